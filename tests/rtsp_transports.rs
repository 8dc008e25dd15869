//! What carries RTSP besides TCP and UDP: TLS, the HTTP tunnel, multicast; read by ffmpeg and
//! GStreamer from the real daemon, and attacked by rude clients.
//!
//! The test picture counts its frames, so no two of them are equal, and each is 40 ms after the
//! one before it: a picture that is missing, damaged or shown twice is seen.

mod harness;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::daemon::Daemon;
use harness::frames::parse;
use harness::{ffmpeg, need, run, run_well, wait_for};

const DEMO: &str = "[stream.demo]\nrecord = false\n\
                    source = { kind = \"pattern\", width = 320, height = 240, fps = 25 }";
const PATIENCE: Duration = Duration::from_secs(60);
/// What ffmpeg says when packets are missing or damaged.
const COMPLAINTS: [&str; 5] = ["missed", "error", "corrupt", "conceal", "max delay"];

fn box_with_demo() -> Daemon {
    let daemon = Daemon::start_new("64MiB", DEMO);
    daemon.wait_state("demo", "live", PATIENCE);
    daemon
}

fn rtsps(daemon: &Daemon) -> String {
    format!("rtsps://127.0.0.1:{}/demo", daemon.rtsps_port)
}

/// Lets ffmpeg read fifty pictures from `input` and checks every one of them.
fn ffmpeg_reads(input: &[&str]) {
    let mut command = ffmpeg();
    command.args(["-loglevel", "warning"]).args(input);
    command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-frames:v", "50"]);
    let output = run(command.args(["-f", "framemd5", "-"]), PATIENCE);
    let told = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(output.status.success(), "{input:?}: {told}");
    assert!(!COMPLAINTS.iter().any(|bad| told.contains(bad)), "{input:?}: {told}");
    let sums = parse(&output.stdout);
    assert_eq!(sums.len(), 50, "{input:?}");
    let times: Vec<i64> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(',').nth(2).unwrap().trim().parse().unwrap())
        .collect();
    // In frames of 40 ms; ffmpeg puts the first one where it likes.
    assert!(times[1..].windows(2).all(|pair| pair[1] - pair[0] == 1), "{input:?}: {times:?}");
    let mut different = sums.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 50, "{input:?}: a picture came twice");
}

/// Lets GStreamer read pictures by `rtspsrc` with these properties, and checks that they decode.
fn gstreamer_reads(source: &str) {
    need("gst-launch-1.0", "gstreamer1.0-tools");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("got.h264");
    let line = format!(
        "-q rtspsrc {source} ! rtph264depay ! h264parse ! \
         video/x-h264,stream-format=byte-stream,alignment=au ! identity eos-after=50 ! \
         filesink location={}",
        file.display()
    );
    // Its own PAUSE races with its own flush at the end, so its exit code says little (1.22).
    let output = run(Command::new("gst-launch-1.0").args(line.split_whitespace()), PATIENCE);
    let told = String::from_utf8_lossy(&output.stderr);
    let mut command = ffmpeg();
    command.args(["-xerror", "-err_detect", "explode", "-f", "h264", "-i"]).arg(&file);
    let sums = run_well(command.args(["-f", "framemd5", "-"]), PATIENCE);
    let count = parse(&sums).len();
    assert!(count >= 45, "{source}: {count} pictures\n{told}");
}

/// Reads until the peer closes, which it must do.
fn to_the_end(socket: &mut TcpStream) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("it stays open, having said {:?}", String::from_utf8_lossy(&bytes))
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// What `openssl s_client` says of the handshake, with these options.
fn s_client(daemon: &Daemon, options: &[&str]) -> String {
    need("openssl", "openssl");
    let address = format!("127.0.0.1:{}", daemon.rtsps_port);
    let mut command = Command::new("openssl");
    let output = run(command.args(["s_client", "-connect", &address]).args(options), PATIENCE);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn ffmpeg_and_gstreamer_read_over_tls() {
    let daemon = box_with_demo();
    let url = rtsps(&daemon);
    ffmpeg_reads(&["-i", &url]);
    gstreamer_reads(&format!("location={url} protocols=tcp tls-validation-flags=0"));
    // Asks for UDP first, is refused because that would not be encrypted, and takes TCP.
    gstreamer_reads(&format!("location={url} tls-validation-flags=0"));
}

#[test]
fn the_handshake_is_what_the_box_says_it_is() {
    let mut daemon = box_with_demo();
    let told = daemon.logs();
    let said = told.lines().find_map(|line| line.strip_prefix("Certificate: SHA-256 ")).unwrap();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let shaken = s_client(&daemon, &[version, "-showcerts"]);
        assert!(shaken.contains(name), "{shaken}");
        let path = daemon.data_dir().join("shown.pem");
        let begin = shaken.find("-----BEGIN CERTIFICATE-----").unwrap();
        std::fs::write(&path, &shaken[begin..]).unwrap();
        let mut x509 = Command::new("openssl");
        x509.args(["x509", "-noout", "-fingerprint", "-sha256", "-text", "-in"]).arg(&path);
        let text = String::from_utf8(run_well(&mut x509, PATIENCE)).unwrap();
        let lower = text.to_lowercase();
        assert!(lower.contains(&format!("fingerprint={said}").to_lowercase()), "{text}");
        for fact in ["NIST CURVE: P-256", "Jan  1 00:00:00 1970", "DNS:localhost", "127.0.0.1"] {
            assert!(text.contains(fact), "{fact} is not in\n{text}");
        }
    }
    assert!(!s_client(&daemon, &["-tls1_1"]).contains("Cipher is ECDHE"), "TLS 1.1");
    daemon.stop();
    daemon.start();
    assert!(daemon.logs().contains(said), "another certificate after a restart");
}

#[test]
fn a_certificate_of_the_configuration_is_shown_and_exchanged_without_a_restart() {
    let daemon = box_with_demo();
    let dir = daemon.data_dir();
    let make = |name: &str| {
        let mut req = Command::new("openssl");
        req.args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj".split(' '));
        req.arg(format!("/CN={name}"));
        req.arg("-keyout").arg(dir.join("key.pem")).arg("-out").arg(dir.join("cert.pem"));
        run_well(&mut req, PATIENCE);
    };
    let shows = |name: &str| {
        let wanted = format!("CN = {name}");
        wait_for(&wanted, PATIENCE, || {
            s_client(&daemon, &["-showcerts"]).contains(&wanted).then_some(())
        });
    };
    let tls =
        format!("[tls]\ncert = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n{DEMO}", dir.display());
    make("first.example");
    daemon.configure("64MiB", &tls);
    daemon.reload();
    shows("first.example");
    // Renewed under the same name.
    make("second.example");
    daemon.reload();
    shows("second.example");
    // A key that does not fit: the one in use goes on.
    std::fs::copy(dir.join("tls/own.pem"), dir.join("key.pem")).unwrap();
    daemon.reload();
    wait_for("the fault is told", PATIENCE, || {
        daemon.logs().contains("certificate not changed").then_some(())
    });
    shows("second.example");
}

#[test]
fn rude_clients_of_the_tls_port_are_let_go_and_nobody_else_notices() {
    let daemon = box_with_demo();
    let port = daemon.rtsps_port;
    let begun = Instant::now();
    // One says nothing, one says a hello that never ends.
    let silent = connect(port);
    let mut endless = connect(port);
    endless.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    let mut plain = connect(port);
    plain.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let answer = to_the_end(&mut plain);
    assert!(!answer.contains("RTSP"), "{answer}");
    ffmpeg_reads(&["-i", &rtsps(&daemon)]);
    for mut socket in [silent, endless] {
        let _ = to_the_end(&mut socket);
    }
    assert!(begun.elapsed() > Duration::from_secs(9), "the handshake has ten seconds");
}
