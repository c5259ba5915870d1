//! What workflows may reach, in words.

use super::Finding;
use crate::{auth::egress::EgressPolicy, config::Config};

/// Rules that open every private address at once.
const WIDE_OPEN: [&str; 3] = ["*", "0.0.0.0/0", "::/0"];

/// What the policy calls addresses that hand out credentials.
const METADATA: &str = "cloud metadata";

/// What the policy says.
pub(super) fn policy(config: &Config) -> Vec<Finding> {
    let (allow, deny) = (&config.egress.allow, &config.egress.deny);
    let policy = match EgressPolicy::new(allow, deny) {
        Ok(policy) => policy,
        Err(error) => return vec![Finding::problem("egress", error.to_string(), "correct egress.allow and egress.deny")],
    };
    let opened = policy.opened();
    let mut words = "workflows reach public addresses; private, loopback, link-local and own addresses are refused".to_owned();
    if !allow.is_empty() {
        words += &format!("; allowed nevertheless: {}", allow.join(", "));
    }
    if !opened.is_empty() {
        words += &format!(" (that opens: {})", opened.iter().copied().collect::<Vec<_>>().join(", "));
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
    } else if opened.contains(METADATA) {
        findings.push(Finding::warning(
            "egress",
            "egress.allow opens the metadata service of a cloud: workflows can read the credentials of this machine there",
            "name smaller networks",
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
        let words = "allowed nevertheless: 10.0.0.0/8 (that opens: private); never reached: *.evil.example";
        assert!(found[0].detail.contains(words), "{found:?}");
    }

    #[test]
    fn warns_of_rules_that_open_everything() {
        assert_eq!(findings(&["*"], &[])[1].state, State::Warning);
        let metadata = findings(&["169.254.0.0/16"], &[]);
        assert!(metadata.len() == 2 && metadata[1].detail.contains("metadata service"), "{metadata:?}");
        assert_eq!(findings(&["127.0.0.1", "8.8.8.8"], &[]).len(), 1);
        assert_eq!(findings(&["no rule!"], &[])[0].state, State::Problem);
    }
}
