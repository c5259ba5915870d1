//! Certificates that are good, that are not, and that change.

use super::*;

const FIRST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/first");
const SECOND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/second");

/// A directory with a certificate and a key that a test may replace.
struct Place(tempfile::TempDir);

impl Place {
    fn with(cert: &str, key: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.put(cert, key);
        place
    }

    fn put(&self, cert: &str, key: &str) {
        std::fs::copy(format!("{cert}.pem"), self.0.path().join("cert")).unwrap();
        std::fs::copy(format!("{key}.key"), self.0.path().join("key")).unwrap();
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(self.0.path().join("cert"), self.0.path().join("key"))
    }
}

/// The certificate itself, which is what a client is shown.
fn shown(tls: &Tls) -> Vec<u8> {
    tls.0.current.0.load().cert[0].to_vec()
}

#[track_caller]
fn check_refused(place: &Place, expected: &str) {
    let Err(error) = place.load() else { panic!("should be refused") };
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn refuses_files_that_it_cannot_serve_with() {
    let place = Place::with(FIRST, SECOND);
    check_refused(&place, "of no use");
    std::fs::write(place.0.path().join("key"), "no key").unwrap();
    check_refused(&place, "key has no private key");
    std::fs::write(place.0.path().join("cert"), "no certificate").unwrap();
    check_refused(&place, "cert has no certificate");
    std::fs::remove_file(place.0.path().join("cert")).unwrap();
    check_refused(&place, "cannot read");
    let large = vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
    std::fs::write(place.0.path().join("cert"), large).unwrap();
    check_refused(&place, "cannot read");
}

#[test]
fn takes_a_new_pair_over_and_keeps_the_old_one_while_there_is_half_of_it() {
    let place = Place::with(FIRST, FIRST);
    let tls = place.load().unwrap();
    let first = shown(&tls);
    tls.look_again();
    assert_eq!(shown(&tls), first, "nothing has changed");

    place.put(SECOND, FIRST);
    tls.look_again();
    assert_eq!(shown(&tls), first, "the new certificate has the old key still");
    place.put(SECOND, SECOND);
    tls.look_again();
    assert_ne!(shown(&tls), first);
}
