//! An installer with a browser on another computer, a new box and a camera: `src/serve/page/e2e/installer`.

use std::path::Path;
use std::time::Duration;

use super::browser::public_key;
use crate::harness::daemon::Daemon;
use crate::harness::{need, run, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// A camera that asks for a password, on the installer's side of the network; not started.
fn camera() -> (Daemon, String) {
    let camera = Daemon::new("64MiB", "");
    let text = format!(
        "data_dir = \"{}\"\n[rtsp]\nlisten = [\"10.77.0.99:8554\"]\nlisten_tls = []\n\
         [http]\nlisten = [\"127.0.0.1:8080\"]\nlisten_tls = []\n[mdns]\nannounce = false\n\
         [stream.main]\nsource = {{ kind = \"pattern\", width = 640, height = 360, fps = 25 }}\n\
         record = false\n",
        camera.data_dir().display()
    );
    std::fs::write(camera.config(), text).unwrap();
    let config = camera.config().display().to_string();
    let made = Daemon::holdfast(&["account", "new", "--name", "viewer", "--config", &config]);
    let told = String::from_utf8(made.stderr).unwrap();
    (camera, told.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned())
}

#[test]
fn a_box_is_claimed_and_gets_a_camera_from_another_computer() {
    need("chromium", "chromium");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/page");
    let mut daemon = Daemon::new("256MiB", "");
    let text = format!(
        "data_dir = \"{}\"\n[ring]\nsize = \"256MiB\"\n[rtsp]\nlisten = []\nlisten_tls = []\n\
         [http]\nhosts = [\"box.test\"]\nlisten = [\"10.77.0.7:80\"]\nlisten_tls = [\"10.77.0.7:443\"]\n\
         [stream.own]\nsource = {{ kind = \"pattern\", width = 640, height = 360, fps = 25 }}\n",
        daemon.data_dir().display()
    );
    std::fs::write(daemon.config(), text).unwrap();
    daemon.start_on_lan("front-door");
    wait_for("the box listens", PATIENCE, || {
        let mut curl = daemon.beside("curl");
        let asked = run(curl.args(["-sf", "http://10.77.0.7/api/v1/claim"]), PATIENCE);
        asked.status.success().then_some(())
    });
    let installer = daemon.neighbour();
    let (mut camera, password) = camera();
    camera.start_in(|program| installer.command(program));
    wait_for("the camera is live", PATIENCE, || {
        camera.logs().contains("stream is live").then_some(())
    });
    let config = daemon.config().display().to_string();
    let code = Daemon::holdfast(&["claim-code", "--config", &config]);
    let code = String::from_utf8(code.stdout).unwrap();
    let mut command = installer.command("npm");
    command.args(["run", "--silent", "e2e"]).current_dir(page);
    command.env("HOLDFAST_URL", "http://10.77.0.7");
    command.env("HOLDFAST_CLAIM_CODE", code.trim());
    command.env("HOLDFAST_CAMERA", "rtsp://10.77.0.99:8554/main");
    command.env("HOLDFAST_CAMERA_PASSWORD", password);
    command.env("HOLDFAST_SPKI", public_key(&daemon.data_dir().join("state/tls/box.pem")));
    let output = run(&mut command, Duration::from_secs(180));
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}\n{}", daemon.logs());
}
