//! What workflows may reach, in words.

use super::Finding;
use crate::{auth::egress::EgressPolicy, config::Config};

/// Rules that open every private address at once.
const WIDE_OPEN: [&str; 3] = ["*", "0.0.0.0/0", "::/0"];

/// What the policy says.
pub(super) fn policy(config: &Config) -> Vec<Finding> {
    let (allow, deny) = (&config.egress.allow, &config.egress.deny);
    if let Err(error) = EgressPolicy::new(allow, deny) {
        return vec![Finding::problem("egress", error.to_string(), "correct egress.allow and egress.deny")];
    }
    let mut words = "workflows reach public addresses; private, loopback, link-local and own addresses are refused".to_owned();
    if !allow.is_empty() {
        words += &format!("; allowed nevertheless: {}", allow.join(", "));
    }
    if !deny.is_empty() {
        words += &format!("; never reached: {}", deny.join(", "));
    }
    let mut findings = vec![Finding::good("egress", words)];
    if let Some(rule) = allow.iter().find(|rule| WIDE_OPEN.contains(&rule.as_str())) {
        findings.push(Finding::warning(
            "egress",
            format!("egress.allow has `{rule}`: workflows reach private addresses, such as metadata services of clouds"),
            "name the networks and hosts that are meant",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    fn findings(allow: &[&str], deny: &[&str]) -> Vec<Finding> {
        let list = |rules: &[&str]| rules.iter().map(|&rule| rule.to_owned()).collect();
        let mut config = Config::default();
        (config.egress.allow, config.egress.deny) = (list(allow), list(deny));
        policy(&config)
    }

    #[test]
    fn puts_the_lists_into_words() {
        let found = findings(&["10.0.0.0/8"], &["*.evil.example"]);
        assert_eq!(found.len(), 1);
        assert!(found[0].detail.contains("allowed nevertheless: 10.0.0.0/8; never reached: *.evil.example"), "{found:?}");
    }

    #[test]
    fn warns_of_rules_that_open_everything() {
        assert_eq!(findings(&["*"], &[])[1].state, State::Warning);
        assert_eq!(findings(&["no rule!"], &[])[0].state, State::Problem);
    }
}
