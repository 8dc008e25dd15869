//! Certificates come, stay, go bad and are exchanged.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn given(dir: &std::path::Path) -> Config {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["gate.example".to_owned()]).unwrap();
    let config = Config { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    std::fs::write(&config.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&config.key, key.serialize_pem()).unwrap();
    config
}

#[test]
fn our_own_certificate_is_made_once_and_its_key_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("tls");
    let first = Tls::new(own.clone()).load().unwrap();
    assert_eq!(Tls::new(own.clone()).load().unwrap(), first);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(own.clone()), mode(own.join("own.pem"))), (0o700, 0o600));
    assert_eq!(first.to_string().len(), 32 * 3 - 1);
}

#[test]
fn a_damaged_one_is_made_anew_and_one_that_cannot_be_kept_still_serves() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("tls");
    let first = Tls::new(own.clone()).load().unwrap();
    std::fs::write(own.join("own.pem"), "-----BEGIN nonsense").unwrap();
    let second = Tls::new(own.clone()).load().unwrap();
    assert_ne!(first, second);
    assert_eq!(Tls::new(own).load().unwrap(), second);
    std::fs::write(dir.path().join("file"), "").unwrap();
    for nowhere in [dir.path().join("file/tls"), PathBuf::from("/proc/none/tls")] {
        assert!(Tls::new(nowhere).settings().is_ok());
    }
}

#[test]
fn the_configured_one_goes_first_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::new(dir.path().join("tls"));
    let own = tls.load().unwrap();
    let config = given(dir.path());
    tls.want(Some(config.clone()));
    let given = tls.load().unwrap();
    assert_ne!(own, given);
    let other = Tls::new(dir.path().join("other"));
    other.load().unwrap();
    let key = std::fs::read(dir.path().join("other/own.pem")).unwrap();
    let before = tls.settings().unwrap();
    for (file, bytes) in [(&config.key, &key[..]), (&config.key, b""), (&config.cert, b"junk")] {
        std::fs::write(file, bytes).unwrap();
        tls.load().unwrap_err();
        assert!(Arc::ptr_eq(&tls.settings().unwrap(), &before));
    }
}
