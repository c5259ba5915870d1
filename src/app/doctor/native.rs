//! Native languages: what keeps their processes apart on this machine, and which interpreters start in there.

use super::Finding;
use crate::config::Config;

const NAME: &str = "native";

#[cfg(not(target_os = "linux"))]
pub(super) async fn languages(_config: &Config) -> Finding {
    Finding::good(NAME, "there is no native code: it needs Linux")
}

#[cfg(target_os = "linux")]
pub(super) async fn languages(config: &Config) -> Finding {
    if config.runtimes.isolation == crate::config::NativeIsolation::Off {
        return Finding::good(NAME, "there is no native code: runtimes.isolation is off");
    }
    match crate::app::languages::native::look(config).await {
        Ok((report, states)) => linux::describe(&report, &states),
        Err(error) => Finding::problem(NAME, format!("the check failed: {error:#}"), "report this as a bug"),
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Finding, NAME};
    use crate::runtimes::native::{ControlGroups, Isolation, LanguageState, NativeReport};

    const NO_NAMESPACES: &str = "let the user of the server make user namespaces, or set runtimes.isolation to \"reduced\" if the sandbox \
                                 without them will do, or to \"off\"";
    const BROKEN: &str =
        "see runtimes.native in the settings; an interpreter and all that it reads has to be readable for every user";

    /// Says it in one sentence or two.
    pub(super) fn describe(report: &NativeReport, states: &[LanguageState]) -> Finding {
        let features = &report.features;
        let walls = match report.isolation {
            Some(Isolation::Full) => "namespaces",
            Some(Isolation::Reduced) => "no namespaces",
            None => {
                let missing = [("", &features.full), ("; and without namespaces: ", &features.reduced)];
                let missing: String =
                    missing.iter().filter_map(|(before, text)| Some(format!("{before}{}", text.as_ref()?))).collect();
                return Finding::warning(NAME, format!("there is no native code: {missing}"), NO_NAMESPACES);
            }
        };
        let landlock = features.landlock.map_or("no Landlock".to_owned(), |version| format!("Landlock {version}"));
        let proc = if features.own_proc { "own /proc" } else { "no /proc" };
        let groups = match &features.control_groups {
            ControlGroups::Used => "limits by control groups".to_owned(),
            ControlGroups::Watched { reason } => format!("limits by watching ({reason})"),
        };
        let works: Vec<&str> = states.iter().filter(|state| state.missing.is_none()).map(|state| state.name.as_str()).collect();
        let detail = format!("{}; {walls}, seccomp, {landlock}, {proc}, {groups}", works.join(", "));
        let broken = states.iter().filter_map(|state| state.missing.clone()).chain(report.problems.iter().cloned());
        let broken: Vec<String> = broken.collect();
        if broken.is_empty() {
            return Finding::good(NAME, detail);
        }
        Finding::warning(NAME, format!("{detail}; {}", broken.join("; ")), BROKEN)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{app::doctor::State, runtimes::native::Features};

        fn report(isolation: Option<Isolation>, full: Option<&str>) -> NativeReport {
            let control_groups = ControlGroups::Watched { reason: "not set".to_owned() };
            let full = full.map(str::to_owned);
            let features = Features { full, reduced: None, landlock: Some(6), own_proc: true, control_groups };
            NativeReport { isolation, features, problems: Vec::new() }
        }

        #[test]
        fn says_what_is_there_and_what_is_missing() {
            let state = |name: &str, missing: Option<&str>| LanguageState {
                name: name.to_owned(),
                title: name.to_owned(),
                version: None,
                missing: missing.map(str::to_owned),
            };
            let good = describe(&report(Some(Isolation::Full), None), &[state("bash", None), state("node", None)]);
            assert_eq!(
                (good.state, good.detail.as_str()),
                (State::Good, "bash, node; namespaces, seccomp, Landlock 6, own /proc, limits by watching (not set)")
            );
            let broken = describe(&report(Some(Isolation::Full), None), &[state("node", Some("node does not start"))]);
            assert!(broken.state == State::Warning && broken.detail.ends_with("node does not start"), "{broken:?}");
            let none = describe(&report(None, Some("cannot make namespaces: no")), &[]);
            assert_eq!(
                (none.state, none.detail.as_str()),
                (State::Warning, "there is no native code: cannot make namespaces: no")
            );
        }
    }
}
