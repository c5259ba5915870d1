//! `citadel bench`, briefly: that it measures what it says, not how fast anything is.

use serde_json::{Value, json};

use crate::support::citadel;

/// Runs the command in a directory of its own; answers the exit code, both outputs, and what it has left behind.
fn bench(arguments: &[&str]) -> (Option<i32>, String, String, usize) {
    let directory = tempfile::tempdir().unwrap();
    let output = citadel().arg("bench").args(arguments).arg("--data-dir").arg(directory.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    (output.status.code(), text(output.stdout), text(output.stderr), left)
}

#[track_caller]
fn figure(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no figure: {value}"))
}

/// Checks what holds for the requests of any load that met no error.
#[track_caller]
fn check_load(load: &Value) {
    assert_eq!((&load["errors"], &load["requests"]), (&json!({}), &load["succeeded"]), "{load}");
    assert!(figure(&load["succeeded"]) > 0.0 && figure(&load["requests_per_second"]) > 0.0, "{load}");
    let latencies = ["p50", "p90", "p99", "max"].map(|name| figure(&load["latency_ms"][name]));
    assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{load}");
}

#[test]
fn measures_a_scenario_beside_the_limits_of_the_machine() {
    let arguments = ["--seconds", "1", "--warmup", "0", "--clients", "2", "--scenario", "webhook-3", "-o", "json"];
    let (code, out, err, left) = bench(&arguments);
    assert_eq!((code, left), (Some(0), 0), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();

    assert_eq!(report["versions"]["citadel"], env!("CARGO_PKG_VERSION"));
    assert!(report["versions"]["database"].as_str().unwrap().starts_with("SQLite 3."));
    assert!(figure(&report["machine"]["cores"]) >= 1.0);
    let settings = json!({ "store": "sqlite", "scenarios": ["webhook-3"], "clients": [2], "seconds": 1, "warmup_seconds": 0, "log_filter": "warn" });
    assert_eq!(report["settings"], settings);

    let limits = &report["limits"];
    assert!(figure(&limits["fdatasync_per_second"]) > 0.0);
    assert!(limits["single_row_commits"].as_array().unwrap().iter().all(|row| figure(&row["per_second"]) > 0.0));
    assert_eq!(limits["constant"].as_array().unwrap().len(), 1);
    check_load(&limits["constant"][0]["load"]);
    assert!(report["starts"]["cached_ms"].is_number() && report["start_cost"].is_null());

    let [cell] = &report["scenarios"].as_array().unwrap()[..] else { panic!("{report}") };
    check_load(&cell["load"]);
    assert_eq!((&cell["scenario"], &cell["clients"], &cell["at_rest"]), (&json!("webhook-3"), &json!(2), &json!(true)));
    assert_eq!((&cell["executions"], &cell["effects"]), (&cell["load"]["succeeded"], &json!(0)));
    assert!(figure(&cell["of_constant"]) > 0.0);
    // One more than measured: the execution that proved that the answer is right.
    let growth = &report["memory"]["growth"][0];
    assert_eq!(growth["executions"].as_u64(), cell["executions"].as_u64().map(|count| count + 1));
    if cfg!(target_os = "linux") {
        assert!(figure(&report["memory"]["idle_bytes"]) > 0.0 && figure(&growth["resident_bytes"]) > 0.0);
        assert!(cell["server_cpu_us_per_execution"].is_number() && cell["generator_cpu_us_per_request"].is_number());
    }
}

#[test]
fn says_what_is_wrong_with_its_arguments() {
    let (code, out, err, left) = bench(&["--store", "postgres"]);
    assert_eq!((code, out.as_str(), left), (Some(2), "", 0));
    assert!(err.contains("error: `--store postgres` needs the URL") && err.contains("\nhint: "), "{err}");
    let (code, _, err, left) = bench(&["--store", "postgres://nobody@127.0.0.1:1/none"]);
    assert_eq!((code, left), (Some(1), 0));
    assert!(err.contains("error: cannot make a database") && err.contains("\nhint: "), "{err}");
    let (code, _, err, _) = bench(&["--store", "postgres://nobody:hunter2@127.0.0.1:1/none"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("can be read by every user") && !err.contains("hunter2"), "{err}");
    assert_eq!(bench(&["--clients", "0"]).0, Some(2));
    assert_eq!(bench(&["--scenario", "webhook-4"]).0, Some(2));
}

#[cfg(unix)]
#[tokio::test]
async fn stops_in_order_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["bench", "--seconds", "600", "--clients", "1", "--scenario", "webhook-3", "--data-dir"];
    let mut child = citadel().args(arguments).arg(directory.path()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let made = || std::fs::read_dir(directory.path()).unwrap().next().map(|entry| entry.unwrap().path());
    let log = crate::support::eventually("the constant server runs", async || {
        made().map(|path| path.join("constant.log")).filter(|path| path.exists())
    })
    .await;
    let asked = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let ended = crate::support::eventually("the command has ended", async || child.try_wait().unwrap()).await;
    assert_eq!(ended.code(), Some(1));
    let mut err = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut err).unwrap();
    assert!(err.contains("error: stopped by SIGINT"), "{err}");
    assert!(!log.exists() && made().is_none(), "the temporary directory is gone");
}
