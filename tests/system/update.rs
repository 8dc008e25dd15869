//! Updates of the image: Debian's RAUC inspects real bundles, the daemon's side takes uploads; a system without RAUC
//! says so. That an update is installed, and that a bad one is left, `make test-image` shows on a board.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use holdfast::update::{self, Rauc, UpdateError, UpdateRequest, UpdateState, UpdateStep, Updates};

use crate::harness::daemon::Daemon;
use crate::harness::{run, run_well};

const PATIENCE: Duration = Duration::from_secs(60);
const BOARD: &str = "holdfast-test";
const DEMO: &str =
    "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 5 }";

/// A directory with keys and an update of one mebibyte; and a system below `root` that takes it.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        for place in
            ["root/usr/bin", "root/etc/rauc", "root/run/holdfast", "root/run/holdfast-update"]
        {
            fs::create_dir_all(bench.path(place)).unwrap();
        }
        fs::create_dir_all(bench.path("root/usr/lib/holdfast")).unwrap();
        fs::create_dir_all(bench.path("root/run/holdfast-image")).unwrap();
        fs::write(bench.path("root/usr/bin/rauc"), "").unwrap();
        fs::write(
            bench.path("root/usr/lib/holdfast/image"),
            format!("VERSION=1.0.0\nCOMPATIBLE={BOARD}\n"),
        )
        .unwrap();
        fs::write(bench.path("root/run/holdfast-image/boot"), "SLOT=A\n").unwrap();
        for keys in ["keys", "other"] {
            run_well(
                &mut tree("image/keys.sh", &[bench.path(keys).as_os_str().to_str().unwrap()]),
                PATIENCE,
            );
        }
        let configuration = format!(
            "[system]\ncompatible={BOARD}\nbootloader=noop\n[keyring]\npath={}\n",
            bench.path("keys/ca.pem").display()
        );
        fs::write(bench.path("root/etc/rauc/system.conf"), configuration).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn rauc(&self) -> Rauc {
        Rauc::with_configuration(&self.path("root/etc/rauc/system.conf"))
    }

    /// An update for a board, signed with some keys.
    fn bundle(&self, keys: &str, board: &str) -> Vec<u8> {
        let slot = self.path("slot");
        // Something that does not shrink when it is packed.
        let noise = std::iter::successors(Some(1u32), |last| {
            Some(last.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
        });
        let noise: Vec<u8> = noise.map(|number| (number >> 24) as u8).take(1 << 20).collect();
        fs::write(&slot, noise).unwrap();
        let facts = format!("VERSION=1.1.0\nCOMPATIBLE={board}\nSHA256=0\nEPOCH=1764460800\n");
        fs::write(self.path("slot.facts"), facts).unwrap();
        let made = self.path("made.raucb");
        let places = [slot.to_str().unwrap(), made.to_str().unwrap()];
        run_well(tree("image/bundle.sh", &places).env("KEYS", self.path(keys)), PATIENCE);
        fs::read(made).unwrap()
    }

    fn updates(&self) -> Arc<Updates> {
        Arc::new(Updates::open(&self.path("root"), &self.path("data")))
    }

    /// What the helper does when the daemon asked; which step that was.
    fn serve(&self) -> UpdateStep {
        let root = self.path("root");
        let request = UpdateRequest::receive(&root.join("run/holdfast/update-request")).unwrap();
        let report = root.join("run/holdfast-update/report.json");
        let installed = update::serve(&root, &self.rauc(), &self.path("data"), &request, &report);
        assert!(!installed.unwrap(), "there is no service here that installs");
        request.step
    }
}

/// A script of the tree.
fn tree(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    command.args(arguments);
    command
}

/// Uploads all of it, as the API does.
fn upload(updates: &Arc<Updates>, bytes: &[u8]) {
    let mut upload = updates.begin(Some(bytes.len() as u64)).unwrap();
    for piece in bytes.chunks(100_000) {
        upload.write(piece).unwrap();
    }
    upload.finish().unwrap();
}

#[test]
fn an_update_is_inspected_before_it_may_be_installed() {
    let bench = Bench::new();
    let updates = bench.updates();
    let good = bench.bundle("keys", BOARD);
    assert_eq!(updates.update().state, UpdateState::None);
    assert!(matches!(updates.install(), Err(UpdateError::NotReady)));

    upload(&updates, &good);
    assert_eq!(updates.update().state, UpdateState::Checking);
    assert!(matches!(updates.begin(Some(1)), Err(UpdateError::Busy)));
    assert_eq!(bench.serve(), UpdateStep::Inspect);
    let told = updates.update();
    assert_eq!((told.state, told.version.as_deref()), (UpdateState::Ready, Some("1.1.0")));
    // Another life of the daemon continues with it.
    let updates = bench.updates();
    assert_eq!(updates.update().state, UpdateState::Ready);
    assert_eq!(updates.running().unwrap().version, "1.0.0");

    updates.install().unwrap();
    assert_eq!(updates.update().state, UpdateState::Installing);
    assert!(matches!(updates.discard(), Err(UpdateError::Busy)));
    // RAUC's service does not run here: it is refused, and can be tried again.
    assert_eq!(bench.serve(), UpdateStep::Install);
    let told = updates.update();
    assert_eq!(told.state, UpdateState::Refused, "{told:?}");
    assert_eq!(
        told.message.as_deref(),
        Some("RAUC does not answer. Restart the box and try again.")
    );
    updates.discard().unwrap();
    assert!(!bench.path("data/update").exists());
}

#[test]
fn what_is_not_ours_is_refused_with_its_reason() {
    let bench = Bench::new();
    let updates = bench.updates();
    let good = bench.bundle("keys", BOARD);
    let cut = good[..good.len() / 2].to_vec();
    let mut flipped = good.clone();
    // In the signature, which is at the end, before its eight bytes of length.
    let at = good.len() - 300;
    flipped[at] ^= 1;
    let not_signed = "The update is damaged, or not signed with a key that this box trusts.";
    let not_read = "The file is not an update for this box, or it is damaged.";
    for (bytes, reason) in [
        (bench.bundle("other", BOARD), not_signed),
        (flipped, not_signed),
        (bench.bundle("keys", "holdfast-other"), "The update is for another board."),
        (cut, not_read),
        (b"no update at all, but long enough to be looked at".to_vec(), not_read),
    ] {
        upload(&updates, &bytes);
        bench.serve();
        let told = updates.update();
        assert_eq!((told.state, told.message.as_deref()), (UpdateState::Refused, Some(reason)));
        assert!(matches!(updates.install(), Err(UpdateError::NotReady)));
    }
}

#[test]
fn an_upload_that_ends_early_leaves_nothing() {
    let bench = Bench::new();
    let updates = bench.updates();
    let mut broken = updates.begin(Some(1_000_000)).unwrap();
    broken.write(&vec![1; 500_000]).unwrap();
    let told = updates.update();
    assert_eq!((told.state, told.percent), (UpdateState::Uploading, Some(50)));
    drop(broken);
    assert_eq!(updates.update().state, UpdateState::None);
    assert_eq!(fs::read_dir(bench.path("data/update")).unwrap().count(), 0);

    let mut long = updates.begin(Some(10)).unwrap();
    assert!(matches!(long.write(&[1; 11]), Err(UpdateError::TooLarge { .. })));
    drop(long);
    assert!(matches!(updates.begin(Some(2 << 30)), Err(UpdateError::TooLarge { .. })));
    fs::write(bench.path("root/run/holdfast-on-trial"), "").unwrap();
    assert!(matches!(updates.begin(Some(1)), Err(UpdateError::OnTrial)));
}

#[test]
fn a_factory_reset_is_asked_for_where_an_image_runs() {
    let bench = Bench::new();
    let updates = bench.updates();
    updates.factory_reset().unwrap();
    assert!(bench.path(&format!("root{}", update::RESET_REQUEST_PATH)).exists());
    fs::remove_file(bench.path("root/run/holdfast-image/boot")).unwrap();
    assert!(matches!(updates.factory_reset(), Err(UpdateError::NoReset)));
}

#[test]
fn a_system_without_images_says_so() {
    let daemon = Daemon::start_new("64MiB", DEMO);
    for (method, path) in [
        ("GET", "/api/v1/update"),
        ("POST", "/api/v1/update"),
        ("DELETE", "/api/v1/update"),
        ("POST", "/api/v1/update/install"),
    ] {
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-X",
            method,
            "-H",
            "X-Holdfast-CSRF: 1",
            "-w",
            " %{http_code}",
            &daemon.http(path),
        ]);
        let said = String::from_utf8(run_well(&mut curl, PATIENCE)).unwrap();
        assert!(
            said.contains("This system is not updated by images") && said.ends_with(" 501"),
            "{said}"
        );
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let said = run(command.args(["update", "some.raucb"]), PATIENCE);
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("is not updated by images"));
}
