//! What carries RTSP besides TCP and UDP: TLS, the HTTP tunnel, multicast; read by ffmpeg and
//! GStreamer from the real daemon, and attacked by rude clients.
//!
//! The test picture counts its frames, so no two of them are equal. What is missing or damaged,
//! ffmpeg says.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::frames::parse;
use crate::harness::{Running, ffmpeg, need, run, run_well, wait_for};

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
    ffmpeg_does(ffmpeg(), input);
}

fn ffmpeg_does(mut command: Command, input: &[&str]) {
    command.args(["-loglevel", "warning"]).args(input);
    command.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-frames:v", "50"]);
    let output = run(command.args(["-f", "framemd5", "-"]), PATIENCE);
    let told = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(output.status.success(), "{input:?}: {told}");
    assert!(!COMPLAINTS.iter().any(|bad| told.contains(bad)), "{input:?}: {told}");
    let mut sums = parse(&output.stdout);
    assert_eq!(sums.len(), 50, "{input:?}");
    sums.sort();
    sums.dedup();
    assert_eq!(sums.len(), 50, "{input:?}: a picture came twice");
}

/// Lets GStreamer read pictures by `rtspsrc` with these properties, and checks that they decode.
fn gstreamer_reads(source: &str) {
    need("gst-launch-1.0", "gstreamer1.0-tools");
    gstreamer_does(Command::new("gst-launch-1.0"), source);
}

fn gstreamer_does(mut command: Command, source: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("got.h264");
    let line = format!(
        "-q rtspsrc {source} ! rtph264depay ! h264parse ! \
         video/x-h264,stream-format=byte-stream,alignment=au ! identity eos-after=50 ! \
         filesink location={}",
        file.display()
    );
    // Its own PAUSE races with its own flush at the end, so its exit code says little (1.22).
    let output = run(command.args(line.split_whitespace()), PATIENCE);
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
        for fact in
            ["NIST CURVE: P-256", "Issuer: CN = Holdfast box ", "DNS:localhost", "127.0.0.1"]
        {
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
    // A key that does not fit: the one in use stays.
    std::fs::copy(dir.join("state/tls/box.pem"), dir.join("key.pem")).unwrap();
    daemon.reload();
    wait_for("the fault is told", PATIENCE, || {
        daemon.logs().contains("cannot load the certificate, keeping the old one").then_some(())
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

#[test]
fn ffmpeg_and_gstreamer_read_through_the_http_tunnel() {
    let daemon = box_with_demo();
    ffmpeg_reads(&["-rtsp_transport", "http", "-i", &daemon.rtsp("demo")]);
    let at = format!("127.0.0.1:{}/demo", daemon.rtsp_port);
    gstreamer_reads(&format!("location=rtsph://{at}"));
}

#[test]
fn ffmpeg_and_gstreamer_read_through_the_https_tunnel() {
    let daemon = box_with_demo();
    let at = format!("127.0.0.1:{}/demo", daemon.rtsps_port);
    ffmpeg_reads(&["-rtsp_transport", "https", "-i", &format!("rtsp://{at}")]);
    gstreamer_reads(&format!("location=rtspsh://{at} tls-validation-flags=0"));
}

/// One half of a tunnel by hand.
fn half(daemon: &Daemon, method: &str, cookie: &str) -> TcpStream {
    let mut socket = connect(daemon.rtsp_port);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{method} /demo HTTP/1.0\r\nx-sessioncookie: {cookie}\r\n\
         Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

/// Reads one head, that of HTTP or of RTSP.
fn head(socket: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

fn request(daemon: &Daemon, method: &str, rest: &str) -> String {
    use base64::Engine;
    let text = format!("{method} {} RTSP/1.0\r\nCSeq: 1\r\n{rest}\r\n", daemon.rtsp("demo"));
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn a_tunnel_survives_requests_in_pieces_and_posts_in_turn() {
    let daemon = box_with_demo();
    let mut down = half(&daemon, "GET", "turn");
    assert!(head(&mut down).starts_with("HTTP/1.0 200 OK\r\n"));
    let mut up = half(&daemon, "POST", "turn");
    for byte in request(&daemon, "OPTIONS", "").bytes() {
        up.write_all(&[byte]).unwrap();
        up.write_all(b"\r\n").unwrap();
    }
    assert!(head(&mut down).contains("\r\nPublic: "));
    // The POST ends in the middle of a group of four characters; the next one continues there.
    let options = request(&daemon, "OPTIONS", "");
    let (begin, rest) = options.split_at(options.len() / 8 * 4 + 3);
    up.write_all(begin.as_bytes()).unwrap();
    drop(up);
    let mut up = half(&daemon, "POST", "turn");
    up.write_all(rest.as_bytes()).unwrap();
    assert!(head(&mut down).starts_with("RTSP/1.0 200 OK\r\n"));
    // A POST whose first characters come with its head.
    let mut up = connect(daemon.rtsp_port);
    let setup = "Transport: RTP/AVP/TCP;interleaved=0-1\r\n";
    let text = format!(
        "POST /demo HTTP/1.1\r\nx-sessioncookie: turn\r\n\r\n{}{}",
        request(&daemon, "SETUP", setup),
        request(&daemon, "PLAY", ""),
    );
    up.write_all(text.as_bytes()).unwrap();
    for _ in 0..2 {
        assert!(head(&mut down).starts_with("RTSP/1.0 200 OK\r\n"));
    }
    // Playback continues without any POST.
    drop(up);
    let mut first = [0; 2];
    down.read_exact(&mut first).unwrap();
    assert_eq!(first, [b'$', 1], "a sender report goes first");
    let mut media = vec![0; 100_000];
    down.read_exact(&mut media).unwrap();
    drop(down);
    wait_for("the reader is gone", PATIENCE, || {
        (daemon.stream("demo")["readers"]["rtsp"] == 0).then_some(())
    });
}

#[test]
fn rude_clients_of_the_tunnel_are_let_go_and_nobody_else_notices() {
    let daemon = box_with_demo();
    let refused = |mut socket: TcpStream| {
        let told = to_the_end(&mut socket);
        assert!(told.starts_with("HTTP/1.0 400 "), "{told}");
    };
    refused(half(&daemon, "POST", "nobody's"));
    let mut browser = connect(daemon.rtsp_port);
    browser.write_all(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n").unwrap();
    refused(browser);
    let mut huge = connect(daemon.rtsp_port);
    huge.write_all(format!("GET /{}", "x".repeat(20_000)).as_bytes()).unwrap();
    refused(huge);
    // The cookie of another opens nothing, neither before nor after it is joined.
    let begun = Instant::now();
    let mut lonely = half(&daemon, "GET", "lonely");
    assert!(head(&mut lonely).starts_with("HTTP/1.0 200 OK\r\n"));
    refused(half(&daemon, "GET", "lonely"));
    let mut down = half(&daemon, "GET", "joined");
    assert!(head(&mut down).starts_with("HTTP/1.0 200 OK\r\n"));
    let mut up = half(&daemon, "POST", "joined");
    refused(half(&daemon, "GET", "joined"));
    // A GET that begins and never ends, one that stops in its first word.
    let mut slow = connect(daemon.rtsp_port);
    slow.write_all(b"GET /demo HTTP/1.0\r\nx-session").unwrap();
    let mut word = connect(daemon.rtsp_port);
    word.write_all(b"PO").unwrap();
    ffmpeg_reads(&["-rtsp_transport", "http", "-i", &daemon.rtsp("demo")]);
    // Invalid base64 ends its own tunnel.
    up.write_all(b"####").unwrap();
    assert_eq!(to_the_end(&mut down), "");
    for mut socket in [lonely, slow, word] {
        assert_eq!(to_the_end(&mut socket), "");
    }
    assert!(begun.elapsed() > Duration::from_secs(9), "each has ten seconds");
    refused(half(&daemon, "POST", "joined"));
}

/// Groups for [`DEMO`].
const GROUPS: &str = "[rtsp.multicast]\ngroups = \"239.192.77.0/24\"";

/// Datagrams that came in and went out on the network of `daemon`.
fn datagrams(daemon: &Daemon) -> (f64, f64) {
    let table = run_well(daemon.beside("cat").arg("/proc/net/snmp"), PATIENCE);
    let table = String::from_utf8(table).unwrap();
    let line = table.lines().rfind(|line| line.starts_with("Udp: ")).unwrap();
    let column = |at: usize| line.split(' ').nth(at).unwrap().parse().unwrap();
    (column(1), column(4))
}

#[test]
fn multicast_leaves_once_for_all_who_read_it() {
    let mut daemon = Daemon::new("64MiB", &format!("{GROUPS}\n{DEMO}"));
    daemon.start_on_island();
    let url = daemon.rtsp("demo");
    let api = daemon.http("/api/v1/streams");
    let readers = || {
        let told = run(daemon.beside("curl").args(["-s", &api]), PATIENCE).stdout;
        let told: serde_json::Value = serde_json::from_slice(&told).ok()?;
        let demo = &told["streams"][0];
        (demo["state"] == "live").then(|| demo["readers"]["rtsp"].as_u64().unwrap())
    };
    wait_for("the stream is live", PATIENCE, readers);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut ffmpeg = daemon.beside("ffmpeg");
                ffmpeg.args(["-hide_banner", "-nostdin"]);
                ffmpeg_does(ffmpeg, &["-rtsp_transport", "udp_multicast", "-i", &url]);
            });
        }
        wait_for("the sender runs", PATIENCE, || readers().filter(|readers| *readers > 0));
        assert_eq!(readers(), Some(1), "one sender for all");
    });
    let (came, went) = datagrams(&daemon);
    assert!(went > 50.0 && came > 1.8 * went, "{came} came in of {went} that went out");
    wait_for("the sender ends", PATIENCE, || readers().filter(|readers| *readers == 0));
    let source = format!("location={url} protocols=udp-mcast");
    gstreamer_does(daemon.beside("gst-launch-1.0"), &source);
}

/// Sends one request and reads the head of its reply.
fn ask(daemon: &Daemon, socket: &mut TcpStream, method: &str, track: &str, more: &str) -> String {
    let url = daemon.rtsp("demo");
    let text = format!("{method} {url}{track} RTSP/1.0\r\nCSeq: 1\r\n{more}\r\n");
    socket.write_all(text.as_bytes()).unwrap();
    head(socket)
}

#[test]
fn the_group_is_not_the_peers_to_choose_and_stays_the_same() {
    let mut daemon = Daemon::start_new("64MiB", &format!("{GROUPS}\n{DEMO}"));
    daemon.wait_state("demo", "live", PATIENCE);
    let set_up = |transport: &str| {
        let mut socket = connect(daemon.rtsp_port);
        let more = format!("Transport: {transport}\r\n");
        ask(&daemon, &mut socket, "SETUP", "/trackID=0", &more)
    };
    let group = |reply: &str| {
        let line = reply.lines().find(|line| line.starts_with("Transport: RTP/AVP;multicast;"));
        line.unwrap_or_else(|| panic!("{reply}")).to_owned()
    };
    let told = group(&set_up("RTP/AVP;multicast"));
    assert!(told.contains(";destination=239.192.77.") && told.ends_with(";ttl=1"), "{told}");
    let aimed = "RTP/AVP;multicast;destination=239.1.2.3;port=22-23;ttl=255";
    assert_eq!(group(&set_up(aimed)), told);
    // All tracks of a session or none.
    let mut mixed = connect(daemon.rtsp_port);
    for (transport, status) in [("RTP/AVP;multicast", " 200 "), ("RTP/AVP/TCP", " 461 ")] {
        let more = format!("Transport: {transport}\r\n");
        let reply = ask(&daemon, &mut mixed, "SETUP", "/trackID=0", &more);
        assert!(reply.lines().next().unwrap().contains(status), "{transport}: {reply}");
    }
    daemon.stop();
    daemon.start();
    daemon.wait_state("demo", "live", PATIENCE);
    let mut socket = connect(daemon.rtsp_port);
    let more = "Transport: RTP/AVP;multicast\r\n";
    assert_eq!(group(&ask(&daemon, &mut socket, "SETUP", "/trackID=0", more)), told);
    // Switched off, the next transport of the list is taken.
    daemon.configure("64MiB", DEMO);
    daemon.reload();
    wait_for("multicast is off", PATIENCE, || {
        let more = "Transport: RTP/AVP;multicast,RTP/AVP/TCP;interleaved=0-1\r\n";
        let mut socket = connect(daemon.rtsp_port);
        let reply = ask(&daemon, &mut socket, "SETUP", "/trackID=0", more);
        reply.contains("Transport: RTP/AVP/TCP;").then_some(())
    });
}

#[test]
fn a_tls_reader_that_takes_nothing_is_cut() {
    let stream = "[stream.demo]\nrecord = false\nsource = { kind = \"pattern\", width = 1280, \
                  height = 720, fps = 25, bitrate_bps = 8000000 }";
    let daemon = Daemon::start_new("64MiB", stream);
    daemon.wait_state("demo", "live", PATIENCE);
    let readers = || daemon.stream("demo")["readers"]["rtsp"].as_u64().unwrap();
    let mut client = Command::new("openssl");
    let address = format!("127.0.0.1:{}", daemon.rtsps_port);
    client.args(["s_client", "-quiet", "-connect", &address]);
    // Its output is not read, so that it stops reading from us.
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = Running::start(&mut client);
    let url = rtsps(&daemon);
    let mut stdin = client.child().stdin.take().unwrap();
    let setup = "Transport: RTP/AVP/TCP;interleaved=0-1\r\n";
    let text = format!(
        "SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n{setup}\r\n\
         PLAY {url} RTSP/1.0\r\nCSeq: 2\r\n\r\n"
    );
    stdin.write_all(text.as_bytes()).unwrap();
    wait_for("it plays", PATIENCE, || (readers() == 1).then_some(()));
    wait_for("it is cut", PATIENCE, || (readers() == 0).then_some(()));
}
