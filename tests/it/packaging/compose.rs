//! The services of one node with its database.

use serde_json::Value;

use super::{check_pinned, check_settings, read, root};

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker/compose.yaml")).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap())
}

#[test]
fn sets_settings_that_there_are_and_keeps_secrets_in_files() {
    let compose = compose();
    let mut settings = 0;
    for (name, service) in services(&compose) {
        let environment = service["environment"].as_object().unwrap();
        for (variable, value) in environment {
            let is_secret = ["PASSWORD", "TOKEN", "URL", "KEY"].iter().any(|word| variable.ends_with(word));
            assert!(!is_secret, "{name}: {variable} belongs into a file");
            assert!(!value.as_str().unwrap().is_empty(), "{name}: {variable}");
        }
        let of_citadel = environment.iter().filter(|(variable, _)| variable.starts_with("CITADEL__"));
        let variables: Vec<(String, String)> =
            of_citadel.map(|(variable, value)| (variable.clone(), value.as_str().unwrap().to_owned())).collect();
        settings += variables.len();
        for (variable, value) in variables.iter().filter(|(variable, _)| variable.ends_with("_FILE")) {
            let secret = value.strip_prefix("/run/secrets/").unwrap_or_else(|| panic!("{variable}"));
            assert!(texts(&service["secrets"]).any(|granted| granted == secret), "{name} is not granted {secret}");
        }
        check_settings(variables);
    }
    assert!(settings > 3);
}

#[test]
fn declares_every_secret_and_volume_that_it_uses() {
    let compose = compose();
    let script = read("docker/secrets.sh");
    for (name, service) in services(&compose) {
        for secret in texts(&service["secrets"]) {
            let file = compose["secrets"][secret]["file"].as_str().unwrap_or_else(|| panic!("{name}: {secret}"));
            assert_eq!(file, format!("./secrets/{secret}"));
            assert!(script.contains(&format!("keep {secret} ")), "secrets.sh does not make {secret}");
        }
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            assert!(compose["volumes"].get(source).is_some(), "{name}: {volume}");
        }
    }
    assert!(read(".gitignore").lines().any(|line| line == "/docker/secrets"), "secrets are never committed");
}

#[test]
fn starts_services_in_order_and_watches_over_them() {
    let compose = compose();
    for (name, service) in services(&compose) {
        check_pinned(service["image"].as_str().unwrap());
        let test: Vec<&str> = texts(&service["healthcheck"]["test"]).collect();
        assert_eq!(test[0], "CMD", "{name} has a health check");
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(how["condition"], "service_healthy");
            assert!(compose["services"][other]["healthcheck"].is_object(), "{name} waits for {other}");
        }
        if let Some(build) = service["build"].as_object() {
            let context = root().join("docker").join(build["context"].as_str().unwrap());
            assert!(context.join(build["dockerfile"].as_str().unwrap()).is_file());
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to everybody without TLS");
        }
    }
    let citadel = &compose["services"]["citadel"];
    assert_eq!(texts(&citadel["healthcheck"]["test"]).collect::<Vec<_>>(), ["CMD", "citadel", "healthcheck"]);
    assert_eq!(citadel["image"], format!("citadel:{}", env!("CARGO_PKG_VERSION")));
}

#[cfg(unix)]
#[test]
fn makes_secrets_once_that_only_their_owner_reaches() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("secrets.sh");
    std::fs::copy(root().join("docker/secrets.sh"), &script).unwrap();
    let run = || assert!(std::process::Command::new("bash").arg(&script).status().unwrap().success());
    let secret = |name: &str| std::fs::read_to_string(directory.path().join("secrets").join(name)).unwrap();
    run();
    let password = secret("postgres_password").trim().to_owned();
    assert_eq!(password.len(), 48);
    assert_eq!(secret("store_url").trim(), format!("postgres://citadel:{password}@postgres:5432/citadel"));
    let mode = std::fs::metadata(directory.path().join("secrets")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    run();
    assert_eq!(secret("postgres_password").trim(), password);
}
