//! That the suite is whole: a method of the trait without a case is a failure.

use std::{fs, path::Path};

#[test]
fn every_method_of_the_store_has_a_case() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store");
    let paths = fs::read_dir(tests).unwrap().map(|entry| entry.unwrap().path());
    let suite: String = paths.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect();
    let methods = methods_of_the_trait();
    assert!(methods.len() > 30, "the trait has {} methods?", methods.len());
    let without: Vec<&str> = methods.into_iter().filter(|method| !suite.contains(&format!("store.{method}("))).collect();
    assert!(without.is_empty(), "no case calls {without:?}");
}

fn methods_of_the_trait() -> Vec<&'static str> {
    let source = include_str!("../../src/store.rs");
    let (_, body) = source.split_once("pub trait Store").expect("store.rs has the trait");
    let named = body.split("async fn ").skip(1);
    named.map(|rest| &rest[..rest.find('(').expect("a method has parameters")]).collect()
}
