//! Certificates come, stay, go bad and are exchanged.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::base::time::{BootTime, Clock, ClockQuality, SystemClock, Trust, WallTime};

fn tls(dir: &Path) -> Tls {
    Tls::new(dir.to_owned(), Arc::new(SystemClock))
}

fn given(dir: &Path) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["gate.example".to_owned()]).unwrap();
    let config = CertificateFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    std::fs::write(&config.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&config.key, key.serialize_pem()).unwrap();
    config
}

/// A clock that a time server sets, some days from now.
#[derive(Debug, Default)]
struct Calendar(AtomicI64);

impl Clock for Calendar {
    fn boot(&self) -> BootTime {
        SystemClock.boot()
    }

    fn wall(&self) -> WallTime {
        SystemClock.wall().offset_nanos(self.0.load(Relaxed) * 86_400_000_000_000)
    }

    fn quality(&self) -> ClockQuality {
        ClockQuality { trust: Trust::Ntp, error_max: None }
    }
}

/// What `openssl verify` says of a certificate for `name` by the authority of `tls`.
fn verified(dir: &Path, authority: &str, leaf: &str, name: &str) -> (bool, String) {
    let (ca, cert) = (dir.join("ca.pem"), dir.join("leaf.pem"));
    std::fs::write(&ca, authority).unwrap();
    std::fs::write(&cert, leaf).unwrap();
    let mut command = Command::new("openssl");
    let kind = if name.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "hostname" };
    command.args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]).arg(ca);
    command.args([&format!("-verify_{kind}"), name]).arg(cert);
    let output = command.output().expect("openssl is missing: apt-get install openssl");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), told)
}

/// The certificate in the file of our own.
fn shown(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("box.pem")).unwrap();
    text[text.find("-----BEGIN CERTIFICATE").unwrap()..].to_owned()
}

#[test]
fn our_own_are_made_once_and_their_keys_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("tls");
    let first = tls(&own).load().unwrap();
    assert_eq!(tls(&own).load().unwrap(), first);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(own.clone()), 0o700);
    assert_eq!((mode(own.join("box.pem")), mode(own.join("authority.pem"))), (0o600, 0o600));
    assert_eq!(first.to_string().len(), 32 * 3 - 1);
}

#[test]
fn openssl_takes_the_box_and_refuses_its_authority_for_anybody_else() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("tls");
    let tls = tls(&own);
    tls.want(None, vec!["cam.internal".to_owned(), "nvr.example".to_owned()]);
    tls.load().unwrap();
    let authority = tls.authority().unwrap().pem;
    for name in ["localhost", "127.0.0.1", "::1", "cam.internal"] {
        let (good, told) = verified(dir.path(), &authority, &shown(&own), name);
        assert!(good, "{name}: {told}");
    }
    // What a thief of the key could sign: anything, and no device accepts it.
    let thief = Authority::find(&own).unwrap();
    let key = KeyPair::generate().unwrap();
    for (name, wanted) in
        [("evil.example", false), ("8.8.8.8", false), ("2001:db8::1", false), ("a.local", true)]
    {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = thief.sign(params, &key).unwrap();
        let (good, told) = verified(dir.path(), &authority, &leaf, name);
        assert_eq!(good, wanted, "{name}: {told}");
        assert!(good || told.contains("permitted subtree violation"), "{name}: {told}");
    }
}

#[test]
fn no_authority_may_follow_ours() {
    let dir = tempfile::tempdir().unwrap();
    let own = Authority::find(dir.path()).unwrap();
    let mut middle = CertificateParams::default();
    middle.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    middle.distinguished_name.push(rcgen::DnType::CommonName, "middle");
    let key = KeyPair::generate().unwrap();
    let pem = own.sign(middle.clone(), &key).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["a.local".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&leaf_key, &rcgen::Issuer::new(middle, key)).unwrap().pem();
    let (ca, between, cert) =
        (dir.path().join("ca.pem"), dir.path().join("between.pem"), dir.path().join("leaf.pem"));
    for (path, text) in [(&ca, &own.pem), (&between, &pem), (&cert, &leaf)] {
        std::fs::write(path, text).unwrap();
    }
    let mut command = Command::new("openssl");
    command.args(["verify", "-CAfile"]).arg(ca).arg("-untrusted").arg(between).arg(cert);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("path length constraint exceeded"), "{told}");
}

#[test]
fn a_renewal_keeps_key_and_authority_and_open_connections_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Calendar::default());
    let tls = Tls::new(dir.path().to_owned(), Arc::<Calendar>::clone(&clock));
    let first = tls.load().unwrap();
    let (authority, held) = (tls.authority(), tls.settings().unwrap());
    let key = || std::fs::read_to_string(dir.path().join("box.pem")).unwrap();
    let key =
        || key().split_once("-----END PRIVATE").unwrap().0.split_once('\n').unwrap().1.to_owned();
    let key_before = key();
    assert!(!tls.is_due());
    clock.0.store(300, Relaxed);
    assert!(tls.is_due());
    assert_ne!(tls.load().unwrap(), first);
    assert!(!tls.is_due() && tls.authority() == authority && key() == key_before);
    assert!(!Arc::ptr_eq(&held, &tls.settings().unwrap()));
    tls.want(None, vec!["gate.internal".to_owned()]);
    assert!(tls.is_due(), "another name is another certificate");
}

#[test]
fn damaged_ones_are_made_anew_and_those_that_cannot_be_kept_still_serve() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("tls");
    let first = tls(&own).load().unwrap();
    for (file, text) in [("box.pem", "-----BEGIN nonsense"), ("authority.pem", "# {}\nnonsense")] {
        std::fs::write(own.join(file), text).unwrap();
        let second = tls(&own).load().unwrap();
        assert_ne!(first, second, "{file}");
        assert_eq!(tls(&own).load().unwrap(), second);
        let authority = Authority::find(&own).unwrap().pem;
        let (good, told) = verified(dir.path(), &authority, &shown(&own), "localhost");
        assert!(good, "{told}");
    }
    std::fs::write(dir.path().join("file"), "").unwrap();
    for nowhere in [dir.path().join("file/tls"), PathBuf::from("/proc/none/tls")] {
        assert!(tls(&nowhere).settings().is_ok());
    }
}

#[test]
fn the_configured_one_goes_first_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tls = tls(&dir.path().join("tls"));
    let own = tls.load().unwrap();
    let config = given(dir.path());
    tls.want(Some(config.clone()), Vec::new());
    let given = tls.load().unwrap();
    assert_ne!(own, given);
    assert_eq!(tls.authority(), None);
    let key = KeyPair::generate().unwrap().serialize_pem();
    let before = tls.settings().unwrap();
    for (file, bytes) in
        [(&config.key, key.as_bytes()), (&config.key, b""), (&config.cert, b"junk")]
    {
        std::fs::write(file, bytes).unwrap();
        tls.load().unwrap_err();
        assert!(Arc::ptr_eq(&tls.settings().unwrap(), &before));
    }
}
