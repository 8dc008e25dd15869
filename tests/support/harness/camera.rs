//! The camera: GStreamer's RTSP server in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Running, media, run_well};

/// What its users are asked for.
pub const USER: &str = "viewer";
/// The password of [`USER`].
pub const PASSWORD: &str = "hunter2";
/// Debian's own, which has its packages, whichever Python comes first in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// A running camera; dropping it is pulling its plug.
#[derive(Debug)]
pub struct Camera {
    running: Running,
    address: String,
    port: u16,
}

impl Camera {
    /// A camera on a free port that asks for Digest credentials.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// A camera on a free port that speaks TLS with this certificate and its key.
    pub fn start_tls(certificate: &Path) -> Self {
        Self::start_with(0, Some(certificate))
    }

    /// The same on `port`.
    pub fn start_tls_on(port: u16, certificate: &Path) -> Self {
        Self::start_with(port, Some(certificate))
    }

    /// A camera on `port`, as one that comes back after a power cut.
    pub fn start_on(port: u16) -> Self {
        Self::start_with(port, None)
    }

    /// A camera at `address` of another network, in which `enter` starts a program.
    pub fn start_in(address: &str, enter: impl Fn(&str) -> Command) -> Self {
        Self::check_peers();
        Self::run(enter(PYTHON), address, 0, None)
    }

    fn start_with(port: u16, certificate: Option<&Path>) -> Self {
        Self::check_peers();
        Self::run(Command::new(PYTHON), "127.0.0.1", port, certificate)
    }

    fn check_peers() {
        let have = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                    from gi.repository import GstRtspServer";
        let mut probe = Command::new(PYTHON);
        let there = probe.args(["-c", have]).stderr(Stdio::null()).status();
        assert!(
            there.is_ok_and(|status| status.success()),
            "GStreamer's RTSP server is missing: \
             apt-get install python3-gi gir1.2-gst-rtsp-server-1.0"
        );
        for (element, package) in
            [("rtph264pay", "good"), ("h264parse", "bad"), ("audioconvert", "base")]
        {
            let mut probe = Command::new("gst-inspect-1.0");
            let there = probe.arg(element).stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(
                there.is_ok_and(|status| status.success()),
                "{element} is missing: \
                 apt-get install gstreamer1.0-tools gstreamer1.0-plugins-{package}"
            );
        }
    }

    fn run(mut command: Command, address: &str, port: u16, certificate: Option<&Path>) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        command.arg(tests.join("camera/camera.py")).arg("--media").arg(media());
        command.args(["--address", address]);
        command.args(["--port", &port.to_string(), "--user", USER, "--password", PASSWORD]);
        if let Some(certificate) = certificate {
            command.arg("--certificate").arg(certificate);
        }
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut line = String::new();
        let out = running.child().stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let port = line.strip_prefix("ready ").and_then(|port| port.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("the camera said {line:?}"));
        Self { running, address: address.to_owned(), port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `rtsp://address:port/mount`, without credentials.
    pub fn url(&self, mount: &str) -> String {
        format!("rtsp://{}:{}/{mount}", self.address, self.port)
    }

    /// Pulls the plug.
    pub fn kill(self) {
        self.running.kill();
    }
}

/// The raw AAC frames of the medium `file`.
pub fn aac_frames(file: &str) -> Vec<Vec<u8>> {
    let mut command = super::ffmpeg();
    command.arg("-i").arg(media().join(file)).args(["-map", "0:a", "-c", "copy"]);
    raw_aac(&run_well(command.args(["-f", "adts", "-"]), Duration::from_secs(60)))
}

/// The raw frames of an ADTS stream without checksums (ISO/IEC 14496-3 §1.A.2.2).
pub fn raw_aac(adts: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = adts;
    while rest.len() > 7 {
        let [high, middle, low] = [rest[3] & 3, rest[4], rest[5] >> 5].map(usize::from);
        let length = (high << 11) | (middle << 3) | low;
        frames.push(rest[7..length].to_vec());
        rest = &rest[length..];
    }
    frames
}

/// The A-law octets of `file`.
pub fn alaw_octets(file: &str) -> Vec<u8> {
    let mut command = super::ffmpeg();
    command
        .arg("-i")
        .arg(media().join(file))
        .args(["-map", "0:a", "-c", "copy", "-f", "alaw", "-"]);
    run_well(&mut command, Duration::from_secs(60))
}
