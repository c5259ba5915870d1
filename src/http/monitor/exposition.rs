//! Writes the actors' histograms in the text format of Prometheus. The recorder cannot take counts that were made elsewhere, and
//! one sample per message would cost more than the message.

use std::fmt::Write as _;

use crate::actors::{metering::Distribution, observatory::KindTotals};

/// Appends how long messages waited and how long they were handled, by kind.
pub(super) fn write_actors(text: &mut String, totals: &[KindTotals]) {
    let help = "How long messages waited in the mailboxes of a kind of actors";
    write_all(text, "citadel_actor_mailbox_wait_seconds", help, totals, |totals| &totals.wait);
    let help = "How long the handlers of a kind of actors took";
    write_all(text, "citadel_actor_handle_seconds", help, totals, |totals| &totals.handle);
}

fn write_all(
    text: &mut String,
    name: &str,
    help: &str,
    totals: &[KindTotals],
    distribution: impl Fn(&KindTotals) -> &Distribution,
) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
    for kind in totals {
        let seen = distribution(kind);
        for (below_us, count) in &seen.below_us {
            let _ = writeln!(text, "{name}_bucket{{kind=\"{}\",le=\"{}\"}} {count}", kind.kind, Seconds(*below_us));
        }
        let _ = writeln!(text, "{name}_bucket{{kind=\"{}\",le=\"+Inf\"}} {}", kind.kind, seen.count);
        let _ = writeln!(text, "{name}_sum{{kind=\"{}\"}} {}", kind.kind, Seconds(seen.sum_us));
        let _ = writeln!(text, "{name}_count{{kind=\"{}\"}} {}", kind.kind, seen.count);
    }
    text.push('\n');
}

/// Microseconds that are shown as seconds, exactly.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_histogram_per_kind() {
        let wait = Distribution { below_us: vec![(4, 1), (2_000_000, 3)], count: 4, sum_us: 12_345_678 };
        let none = Distribution { below_us: vec![], count: 0, sum_us: 0 };
        let lane = KindTotals { kind: "lane", live: 1, depth: 0, received: 4, errors: 0, restarts: vec![], wait, handle: none };
        let mut text = String::new();
        write_actors(&mut text, &[lane]);
        insta::assert_snapshot!(text);
    }
}
