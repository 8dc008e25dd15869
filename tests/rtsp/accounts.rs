//! Accounts of the RTSP door: real players with right and wrong passwords, rights, the list of
//! sessions, transcripts of those that failed, and what a restart must not forgive.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, need, players, run, wait_for};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// Looks like a password but is not.
const WRONG: &str = "WrongWrongWrong7Wrong0";
const STREAMS: &str = "[stream.gate]\nsource = { kind = \"pattern\", width = 320, height = 240 }\n\
    record = false\n[stream.yard]\nsource = { kind = \"pattern\", width = 320, height = 240 }\n\
    record = false\n[stream.drone]\nsource = { kind = \"rtsp_push\" }\nrecord = false\n";

/// A section and a password, as the daemon makes them.
fn account(arguments: &[&str]) -> (String, String) {
    let output = Daemon::holdfast(&[&["account", "new"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let section = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let password = told.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(password.len(), 22, "{told}");
    assert!(password.bytes().all(|letter| letter.is_ascii_alphanumeric()), "{told}");
    assert!(!section.contains(&password), "{section}");
    (section, password)
}

/// A box with the accounts `nvr`, who watches everything, and `cam`, who watches `yard` and sends
/// `drone`; and their passwords.
fn guarded_box() -> (Daemon, String, String) {
    let (nvr, nvr_password) = account(&["--name", "nvr"]);
    let (cam, cam_password) = account(&["--name", "cam", "--read", "yard", "--publish", "drone"]);
    let mut daemon = Daemon::new("64MiB", &format!("{STREAMS}{nvr}{cam}"));
    daemon.verbose = true;
    daemon.start();
    for stream in ["gate", "yard"] {
        daemon.wait_state(stream, "live", PATIENCE);
    }
    (daemon, nvr_password, cam_password)
}

fn url(daemon: &Daemon, user: &str, password: &str, stream: &str) -> String {
    format!("rtsp://{user}:{password}@127.0.0.1:{}/{stream}", daemon.rtsp_port)
}

/// ffmpeg reads ten pictures.
fn ffmpeg_reads(url: &str, transport: &str) -> Output {
    let mut command = ffmpeg();
    command.args(["-rtsp_transport", transport, "-i", url, "-map", "0:v:0"]);
    run(command.args(["-frames:v", "10", "-f", "null", "-"]), PATIENCE)
}

/// GStreamer reads 50 packets: how many bytes they had, and what it said. Its exit code says
/// nothing, because it often fails to send PAUSE while it ends.
fn gstreamer_reads(daemon: &Daemon, password: &str, transport: &str) -> (u64, String) {
    need("gst-launch-1.0", "gstreamer1.0-tools");
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = format!(
        "-q rtspsrc location={} user-id=nvr user-pw={password} protocols={transport} ! \
         identity eos-after=50 ! filesink location={}",
        daemon.rtsp("gate"),
        file.path().display()
    );
    let output = run(Command::new("gst-launch-1.0").args(line.split_whitespace()), PATIENCE);
    let bytes = file.as_file().metadata().unwrap().len();
    (bytes, String::from_utf8_lossy(&output.stderr).to_lowercase())
}

/// The status that libcurl ends with.
fn curl_describes(daemon: &Daemon, password: &str) -> String {
    need("python3", "python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/curl_describe.py");
    let mut command = Command::new("python3");
    command.arg(script).args([&daemon.rtsp("gate"), "nvr", password]);
    let output = run(&mut command, PATIENCE);
    assert!(output.status.success(), "is libcurl4 installed? {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// retina reads a picture; the error it ends with otherwise.
fn retina_reads(daemon: &Daemon, password: &str, udp: bool) -> Result<(), String> {
    let read = players::retina(&daemon.rtsp("gate"), ("nvr", password), udp, Duration::ZERO);
    read.map(|_| ())
}

/// Sends `text` and returns what comes back.
fn say(daemon: &Daemon, text: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", daemon.rtsp_port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(text.as_bytes()).unwrap();
    let (mut told, mut buffer) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&told).contains("\r\n\r\n") {
        let length = socket.read(&mut buffer).unwrap();
        assert!(length > 0, "closed after {told:?}");
        told.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(told).unwrap()
}

fn sessions(daemon: &Daemon) -> Vec<Value> {
    daemon.get("/api/v1/rtsp/sessions")["sessions"].as_array().unwrap().clone()
}

/// The text at `path`.
fn text(daemon: &Daemon, path: &str) -> String {
    let mut answer = ureq::get(&daemon.http(path)).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    answer.body_mut().read_to_string().unwrap()
}

fn delete(daemon: &Daemon, id: &str) -> u16 {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let path = format!("/api/v1/rtsp/sessions/{id}");
    agent.delete(&daemon.http(&path)).call().unwrap().status().as_u16()
}

/// ffmpeg that plays `url` until it is stopped.
fn player(url: &str) -> Running {
    let mut command = ffmpeg();
    command.args(["-rtsp_transport", "tcp", "-user_agent", "probe/1", "-i", url]);
    command.args(["-f", "null", "-"]).stdin(Stdio::null()).stderr(Stdio::null());
    Running::start(&mut command)
}

#[test]
fn players_with_the_right_password_read_and_others_do_not() {
    let (mut daemon, password, _) = guarded_box();
    for transport in ["tcp", "udp"] {
        let right = ffmpeg_reads(&url(&daemon, "nvr", &password, "gate"), transport);
        assert!(right.status.success(), "{transport}: {right:?}");
        let (bytes, told) = gstreamer_reads(&daemon, &password, transport);
        assert!(bytes > 5_000, "{transport}: {bytes} bytes: {told}");
        retina_reads(&daemon, &password, transport == "udp").unwrap();
    }
    assert_eq!(curl_describes(&daemon, &password), "200");
    let no_password = ffmpeg_reads(&daemon.rtsp("gate"), "tcp");
    assert!(
        String::from_utf8_lossy(&no_password.stderr).contains("401 Unauthorized"),
        "{no_password:?}"
    );

    for transport in ["tcp", "udp"] {
        let wrong = ffmpeg_reads(&url(&daemon, "nvr", WRONG, "gate"), transport);
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("401 Unauthorized"), "{wrong:?}");
        let refused = retina_reads(&daemon, WRONG, transport == "udp").unwrap_err();
        assert!(refused.contains("Unauthorized"), "{refused}");
    }
    let (bytes, told) = gstreamer_reads(&daemon, WRONG, "tcp");
    assert!(bytes == 0 && told.contains("unauthorized"), "{bytes} bytes: {told}");
    assert_eq!(curl_describes(&daemon, WRONG), "401");

    assert_eq!(daemon.stop().code(), Some(0));
    let logs = daemon.logs();
    assert!(logs.contains("wrong passwords"), "{logs}");
    for secret in [&password[..], WRONG, "ha1"] {
        assert!(!logs.contains(secret), "{secret} in {logs}");
    }
}

#[test]
fn a_challenge_is_well_formed_and_options_needs_none() {
    let (daemon, _, _) = guarded_box();
    let rtsp = daemon.rtsp("gate");
    let options = say(&daemon, &format!("OPTIONS {rtsp} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    assert!(options.starts_with("RTSP/1.0 200 OK\r\n"), "{options}");
    let challenge = say(&daemon, &format!("DESCRIBE {rtsp} RTSP/1.0\r\nCSeq: 2\r\n\r\n"));
    let lines: Vec<_> = challenge.lines().collect();
    assert_eq!(lines[0], "RTSP/1.0 401 Unauthorized");
    let digest: Vec<_> = lines.iter().filter(|line| line.starts_with("WWW-Auth")).collect();
    assert_eq!(digest.len(), 1, "a password is not asked for where others read along");
    assert!(digest[0].starts_with("WWW-Authenticate: Digest realm=\"holdfast\", nonce=\""));
    assert!(digest[0].ends_with("\", qop=\"auth\""), "{challenge}");
    assert!(lines.contains(&"CSeq: 2"), "{challenge}");
    assert!(challenge.ends_with("\r\n\r\n"), "{challenge}");
}

#[test]
fn a_password_is_looked_at_over_tls_only() {
    use base64::Engine as _;
    need("python3", "python3");
    let (daemon, password, _) = guarded_box();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("nvr:{password}"));
    let text = format!(
        "DESCRIBE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Basic {basic}\r\n\r\n"
    );
    assert!(say(&daemon, &text).starts_with("RTSP/1.0 401 "));
    let script = "import socket, ssl, sys\n\
        plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        tls = ssl._create_unverified_context().wrap_socket(plain)\n\
        tls.sendall(sys.argv[2].encode())\n\
        print(tls.recv(4096).decode())";
    let say_over_tls = |text: &str| {
        let port = daemon.rtsps_port.to_string();
        let output = run(Command::new("python3").args(["-c", script, &port, text]), PATIENCE);
        String::from_utf8(output.stdout).unwrap()
    };
    let told = say_over_tls(&text);
    assert!(told.starts_with("RTSP/1.0 200 OK"), "{told}");
    let told = say_over_tls("DESCRIBE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    let offers: Vec<_> = told.lines().filter(|line| line.starts_with("WWW-")).collect();
    assert!(offers[0].contains(": Digest realm="), "{told}");
    assert_eq!(offers[1..], ["WWW-Authenticate: Basic realm=\"holdfast\""]);
    let url = format!("rtsps://nvr:{password}@127.0.0.1:{}/gate", daemon.rtsps_port);
    let read = ffmpeg_reads(&url, "tcp");
    assert!(read.status.success(), "{read:?}");
}

#[test]
fn a_right_covers_its_streams_and_no_others() {
    let (daemon, nvr, cam) = guarded_box();
    let yard = ffmpeg_reads(&url(&daemon, "cam", &cam, "yard"), "tcp");
    assert!(yard.status.success(), "{yard:?}");
    for stream in ["gate", "nowhere"] {
        let other = ffmpeg_reads(&url(&daemon, "cam", &cam, stream), "tcp");
        assert!(String::from_utf8_lossy(&other.stderr).contains("403 Forbidden"), "{other:?}");
    }
    let publish = |user: &str, password: &str| {
        let mut command = ffmpeg();
        command.args(["-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "3"]);
        command.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
        command.args(["-g", "25", "-pix_fmt", "yuv420p", "-f", "rtsp", "-rtsp_transport", "tcp"]);
        run(command.arg(url(&daemon, user, password, "drone")), PATIENCE)
    };
    let sent = publish("cam", &cam);
    assert!(sent.status.success(), "{sent:?}");
    let units = daemon.stream("drone")["totals"]["units"].as_u64().unwrap();
    assert!(units >= 50, "{units} of 75 pictures came");
    let refused = publish("nvr", &nvr);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("403 Forbidden"), "{refused:?}");
}

#[test]
fn sessions_are_listed_ended_and_lose_their_right() {
    let (daemon, password, _) = guarded_box();
    assert_eq!(sessions(&daemon), Vec::<Value>::new());
    let mut first = player(&url(&daemon, "nvr", &password, "gate"));
    let playing = || {
        let list = sessions(&daemon);
        let has = list.len() == 1 && list[0]["bytes"].as_u64() > Some(10_000);
        has.then(|| list[0].clone())
    };
    let told = wait_for("the session is listed", PATIENCE, playing);
    assert_eq!(told["user"], "nvr");
    assert_eq!(told["stream"], "gate");
    assert_eq!(told["transport"], "tcp");
    assert_eq!(told["state"], "playing");
    assert_eq!(told["user_agent"], "probe/1");
    assert_eq!((&told["secure"], &told["drops"]), (&Value::Bool(false), &Value::from(0)));
    assert!(told["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{told}");
    assert!(told["lag_ms"].is_u64() && told["since"].is_string(), "{told}");

    let id = told["id"].as_str().unwrap();
    assert_eq!(delete(&daemon, "0"), 404);
    assert_eq!(delete(&daemon, id), 204);
    first.ended_within(PATIENCE);
    wait_for("the list is empty", PATIENCE, || sessions(&daemon).is_empty().then_some(()));
    assert_eq!(delete(&daemon, id), 404);

    let mut second = player(&url(&daemon, "nvr", &password, "gate"));
    wait_for("the session is listed", PATIENCE, playing);
    let (other, _) = account(&["--name", "other"]);
    daemon.configure("64MiB", &format!("{STREAMS}{other}"));
    daemon.reload();
    second.ended_within(PATIENCE);
    let refused = ffmpeg_reads(&url(&daemon, "nvr", &password, "gate"), "tcp");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401 Unauthorized"), "{refused:?}");
}

#[test]
fn clients_that_fail_leave_a_transcript_without_secrets() {
    let (daemon, password, _) = guarded_box();
    let right = ffmpeg_reads(&url(&daemon, "nvr", &password, "gate"), "udp");
    assert!(right.status.success(), "{right:?}");
    let failures = || daemon.get("/api/v1/rtsp/failures")["failures"].as_array().unwrap().clone();
    assert_eq!(failures(), Vec::<Value>::new(), "who got what he wanted has not failed");
    ffmpeg_reads(&url(&daemon, "nvr", WRONG, "gate"), "tcp");
    ffmpeg_reads(&url(&daemon, "nvr", &password, "nowhere"), "tcp");
    let told = wait_for("both failures", PATIENCE, || Some(failures()).filter(|f| f.len() == 2));
    assert_eq!(told[0]["reason"], "404 Not Found: there is no such stream");
    assert_eq!(told[1]["reason"], "401 Unauthorized");
    assert_eq!(told[0]["user"], "nvr");
    assert!(told[1]["user_agent"].as_str().unwrap().starts_with("Lavf"), "{told:?}");
    for failure in &told {
        let id = failure["id"].as_str().unwrap();
        let transcript = text(&daemon, &format!("/api/v1/rtsp/failures/{id}"));
        for part in ["> DESCRIBE rtsp://127.0.0.1", "< RTSP/1.0 401", "response=\"***\""] {
            assert!(transcript.contains(part), "{part} in {transcript}");
        }
        for secret in [&password[..], WRONG] {
            assert!(!transcript.contains(secret), "{transcript}");
        }
    }
    assert_eq!(daemon.get("/api/v1/rtsp/failures/0")["error"]["code"], "failure_unknown");
}

#[test]
fn a_reader_that_takes_nothing_is_seen_to_lag_and_leaves_a_transcript() {
    let daemon = Daemon::start_new("64MiB", STREAMS);
    // Noise does not compress: a megabyte and more a second.
    let mut publisher = ffmpeg();
    publisher.args(["-re", "-f", "lavfi", "-i"]);
    publisher.arg("testsrc2=size=320x240:rate=25,noise=alls=100:allf=t");
    publisher.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
    publisher.args(["-qp", "10", "-g", "25", "-pix_fmt", "yuv420p", "-f", "rtsp"]);
    publisher.args(["-rtsp_transport", "tcp", &daemon.rtsp("drone")]);
    let _publisher = Running::start(publisher.stdin(Stdio::null()).stderr(Stdio::null()));
    daemon.wait_state("drone", "live", PATIENCE);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], daemon.rtsp_port));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    let rtsp = daemon.rtsp("drone");
    let requests = format!(
        "SETUP {rtsp}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast\r\n\r\n\
         PLAY {rtsp} RTSP/1.0\r\nCSeq: 2\r\n\r\n"
    );
    socket.write_all(requests.as_bytes()).unwrap();
    let lag = || {
        let list = sessions(&daemon);
        list.iter().find(|session| session["state"] == "playing")?["lag_ms"].as_u64()
    };
    wait_for("it is seen to lag", PATIENCE, || lag().filter(|lag| *lag > 2_000));
    let told = wait_for("it is cut", PATIENCE, || {
        let told = daemon.get("/api/v1/rtsp/failures")["failures"].clone();
        told.as_array().unwrap().first().cloned()
    });
    assert_eq!(told["reason"], "the peer takes nothing");
    wait_for("only the publisher is left", PATIENCE, || {
        let list = sessions(&daemon);
        (list.len() == 1 && list[0]["state"] == "recording").then_some(())
    });
}

#[test]
fn a_restart_forgives_no_guesses() {
    let (mut daemon, password, _) = guarded_box();
    let wrong = url(&daemon, "nvr", WRONG, "gate");
    let refused = wait_for("guesses are refused", PATIENCE, || {
        let told = String::from_utf8(ffmpeg_reads(&wrong, "tcp").stderr).unwrap();
        told.contains("503 Service").then_some(told)
    });
    assert!(!refused.contains("401 Unauthorized"), "{refused}");
    daemon.stop();
    daemon.start();
    daemon.wait_state("gate", "live", PATIENCE);
    let right = url(&daemon, "nvr", &password, "gate");
    let told = String::from_utf8(ffmpeg_reads(&right, "tcp").stderr).unwrap();
    assert!(told.contains("503 Service"), "{told}");
    // A guess counts for half a minute; then the next password is checked.
    wait_for("the right password is taken", Duration::from_secs(120), || {
        ffmpeg_reads(&right, "tcp").status.success().then_some(())
    });
}

#[test]
fn nobody_else_is_listened_to_without_an_account() {
    let daemon = Daemon::new("64MiB", STREAMS);
    let wide = std::fs::read_to_string(daemon.config()).unwrap();
    let wide = wide.replace("[rtsp]\nlisten = [\"127.0.0.1:", "[rtsp]\nlisten = [\"0.0.0.0:");
    let wide = wide.replace("claim = \"loopback\"\n", "");
    std::fs::write(daemon.config(), &wide).unwrap();
    let file = daemon.config();
    let refused = Daemon::holdfast(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("rtsp.listen: other computers can reach 0.0.0.0:"), "{told}");
    assert!(told.contains("holdfast account new"), "{told}");
    let (section, _) = account(&["--name", "nvr", "--sha256"]);
    std::fs::write(&file, wide + &section).unwrap();
    let checked = Daemon::holdfast(&["check-config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_right_by_pattern_lets_its_account_begin_streams_and_nobody_else() {
    let (phone, phone_password) = account(&["--name", "phone", "--read", "", "--publish", "cam-*"]);
    let (nvr, nvr_password) = account(&["--name", "nvr"]);
    let pattern = "[publish.\"cam-*\"]\nrecord = false\n[publish.\"dog-*\"]\nrecord = false\n";
    let daemon = Daemon::start_new("64MiB", &format!("{pattern}{phone}{nvr}"));
    let pushes = |user: &str, password: &str, stream: &str| {
        let mut command = ffmpeg();
        command.args(["-re", "-f", "lavfi", "-i", "testsrc=s=320x240:r=10", "-t", "3"]);
        command.args(["-c:v", "libx264", "-tune", "zerolatency", "-g", "10", "-f", "rtsp"]);
        let url = url(&daemon, user, password, stream);
        run(command.args(["-rtsp_transport", "tcp", &url]), PATIENCE)
    };
    for (user, password, stream) in
        [("nvr", &nvr_password, "cam-1"), ("phone", &phone_password, "dog-1")]
    {
        assert!(!pushes(user, password, stream).status.success(), "{user} {stream}");
    }
    let streams = || daemon.get("/api/v1/streams")["streams"].as_array().unwrap().len();
    assert_eq!(streams(), 0, "a stream began without the right to it");
    let pushed = pushes("phone", &phone_password, "cam-1");
    assert!(pushed.status.success(), "{pushed:?}");
    assert_eq!(streams(), 1);
    assert!(daemon.stream("cam-1")["totals"]["units"].as_u64().unwrap() > 20);
}
