//! Bad surroundings, against the real binary: each gets a clear error, and the healthy rest
//! continues.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, frames, need, run, run_well, wait_for};

const DEMO: &str = "[stream.demo]\n\
    source = { kind = \"pattern\", width = 320, height = 240, fps = 25 }\n";

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

const THREE_FAULTS: &str = "data_dir = \"/data\"\n\
    [ring]\nsize = \"many\"\n\
    [http]\nlisten = [\"nowhere\"]\n\
    [stream.gate]\n\
    source = { kind = \"rtsp_pull\", url = \"rtsp://viewer:hunter2@10.0.0.7/main\" }\n";

#[test]
fn every_fault_of_a_configuration_is_told_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("holdfast.toml");
    std::fs::write(&file, THREE_FAULTS).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [&["check-config", file][..], &["run", "--config", file]] {
        let output = Daemon::holdfast(arguments);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        for key in ["ring.size", "http.listen", "stream.gate.source.url"] {
            assert!(told.contains(key), "{key} is missing in: {told}");
        }
        assert!(!told.contains("hunter2"), "a password was told: {told}");
    }
}

#[test]
fn a_reload_keeps_the_readers_of_what_did_not_change() {
    let other = DEMO.replace("demo", "yard");
    let daemon = Daemon::start_new("128MiB", &(DEMO.to_owned() + &other));
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let since = daemon.stream("demo")["since"].clone();
    let sums = tempfile::NamedTempFile::new().unwrap();
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("demo"), "-t", "14"]);
    reader.args(["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]);
    reader.stdout(sums.reopen().unwrap()).stderr(Stdio::null());
    let mut reader = Running::start(&mut reader);
    std::thread::sleep(Duration::from_secs(4));

    daemon.configure("128MiB", &(DEMO.to_owned() + &other.replace("fps = 25", "fps = 10")));
    daemon.reload();
    std::thread::sleep(Duration::from_secs(3));
    daemon.configure("many", DEMO);
    daemon.reload();
    std::thread::sleep(Duration::from_secs(1));

    assert!(reader.ended_within(Duration::from_secs(40)).success());
    assert_no_step(&std::fs::read_to_string(sums.path()).unwrap(), 200);
    assert_eq!(daemon.stream("demo")["since"], since, "the stream was not begun again");
    // The faulty file changed nothing.
    daemon.wait_state("demo", "live", Duration::from_secs(1));
    daemon.wait_state("yard", "live", Duration::from_secs(10));
    assert!(daemon.logs().contains("ring.size"), "{}", daemon.logs());
}

#[test]
fn a_reload_of_recording_alone_disturbs_neither_camera_nor_readers() {
    let daemon = Daemon::start_new("128MiB", DEMO);
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let before = daemon.stream("demo");
    let sums = tempfile::NamedTempFile::new().unwrap();
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("demo"), "-t", "12"]);
    reader.args(["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]);
    reader.stdout(sums.reopen().unwrap()).stderr(Stdio::null());
    let mut reader = Running::start(&mut reader);
    std::thread::sleep(Duration::from_secs(3));
    let recorded = || daemon.stream("demo")["recording"].is_object();
    for (record, wanted) in [("{ keep_max = \"100MiB\" }", true), ("false", false), ("true", true)]
    {
        daemon.configure("128MiB", &format!("{DEMO}record = {record}\n"));
        daemon.reload();
        wait_for("the reload", Duration::from_secs(10), || (recorded() == wanted).then_some(()));
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(reader.ended_within(Duration::from_secs(40)).success());
    assert_no_step(&std::fs::read_to_string(sums.path()).unwrap(), 150);
    let after = daemon.stream("demo");
    assert_eq!(after["since"], before["since"], "the stream was not begun again");
    assert_eq!(after["totals"]["restarts"], before["totals"]["restarts"]);
    wait_for("it records again", Duration::from_secs(15), || {
        (daemon.stream("demo")["recording"]["state"] == "recording").then_some(())
    });
}

#[test]
fn a_broken_file_in_conf_d_changes_nothing_and_is_named() {
    let daemon = Daemon::start_new("64MiB", DEMO);
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let dropped = daemon.config().with_file_name("conf.d").join("10-yard.toml");
    std::fs::create_dir(dropped.parent().unwrap()).unwrap();
    let yard = DEMO.replace("demo", "yard");
    for (text, said) in [
        (yard.replace("fps = 25", "fps = 0"), "fps: 0 (line 2 of conf.d/10-yard.toml)"),
        (format!("\n{yard}[broken\n"), "conf.d/10-yard.toml, line 4"),
        (DEMO.to_owned(), "and in line 2 of conf.d/10-yard.toml"),
    ] {
        std::fs::write(&dropped, text).unwrap();
        let checked = Daemon::holdfast(&["check-config", daemon.config().to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(2));
        assert!(told(&checked).contains(said), "{}", told(&checked));
        daemon.reload();
        wait_for("it is told", Duration::from_secs(10), || {
            daemon.logs().contains(said).then_some(())
        });
    }
    daemon.wait_state("demo", "live", Duration::from_secs(1));
    assert_eq!(daemon.get("/api/v1/streams")["streams"].as_array().map(Vec::len), Some(1));
    std::fs::write(&dropped, yard).unwrap();
    daemon.reload();
    wait_for("the yard", Duration::from_secs(20), || {
        (daemon.get("/api/v1/streams")["streams"].as_array()?.len() == 2).then_some(())
    });
    let checked = Daemon::holdfast(&["check-config", daemon.config().to_str().unwrap()]);
    assert!(told(&checked).contains("with conf.d/10-yard.toml: no faults, 2 streams"));
    std::fs::remove_file(&dropped).unwrap();
    let checked = Daemon::holdfast(&["check-config", daemon.config().to_str().unwrap()]);
    assert!(told(&checked).trim_end().ends_with("no faults, 1 stream"), "{}", told(&checked));
}

#[test]
fn a_file_that_was_emptied_or_cut_off_changes_nothing() {
    let daemon = Daemon::start_new("64MiB", DEMO);
    let whole = std::fs::read_to_string(daemon.config()).unwrap();
    let streams = whole.find("[stream").unwrap();
    let before_streams = whole[..streams].trim_end();
    let ring = before_streams.find("[ring]").unwrap();
    for (text, faulty) in [
        ("", true),
        ("\n\0\0\0\n", true),
        ("# a comment\n", true),
        ("[http]\nlisten = [\"127.0.0.1:1\"]\n", true),
        (before_streams, false),
        (before_streams[..ring].trim_end(), false),
    ] {
        std::fs::write(daemon.config(), text).unwrap();
        let checked = Daemon::holdfast(&["check-config", daemon.config().to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(if faulty { 2 } else { 0 }), "{text:?}");
        let lines = daemon.logs().lines().count();
        daemon.reload();
        wait_for("the log says so", Duration::from_secs(10), || {
            let logs = daemon.logs();
            logs.lines().skip(lines).any(|line| line.contains("old configuration")).then_some(())
        });
        assert_eq!(daemon.stream("demo")["name"], "demo", "{text:?}");
    }
}

/// Fails if a second is missing in what ffmpeg's framecrc wrote. The test picture itself leaves
/// pictures out on a machine that is too busy to draw them.
pub(super) fn assert_no_step(framecrc: &str, pictures_min: usize) {
    let times: Vec<i64> = framecrc
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(',').nth(1).unwrap().trim().parse().unwrap())
        .collect();
    assert!(times.len() >= pictures_min, "only {} pictures", times.len());
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest < 90_000, "pictures are missing: a step of {longest} ticks");
}

/// A camera that treats every connection as `how` does; its port.
fn hostile(how: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            how(connection);
        }
    });
    port
}

#[test]
fn hostile_cameras_cost_the_others_nothing() {
    let silent = hostile(std::mem::forget);
    let slams = hostile(drop);
    let floods = hostile(|mut connection| {
        let _ = connection.write_all(b"RTSP/1.0 200 OK\r\nX: ");
        while connection.write_all(&[b'x'; 16_384]).is_ok() {}
    });
    let cameras: String = [("silent", silent), ("slams", slams), ("floods", floods)]
        .map(|(name, port)| {
            let url = format!("rtsp://127.0.0.1:{port}/main");
            format!("[stream.{name}]\nsource = {{ kind = \"rtsp_pull\", url = \"{url}\" }}\n")
        })
        .concat();
    let daemon = Daemon::start_new("128MiB", &(DEMO.to_owned() + &cameras));
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("demo"), "-t", "15"]);
    reader.args(["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]);
    let read = run_well(&mut reader, Duration::from_secs(60));
    assert_no_step(&String::from_utf8(read).unwrap(), 350);
    for camera in ["silent", "slams", "floods"] {
        daemon.wait_state(camera, "offline", Duration::from_secs(20));
        let reason = daemon.stream(camera)["reason"].as_str().unwrap().to_owned();
        let begins = if camera == "floods" { "The device at " } else { "The camera " };
        assert!(reason.starts_with(begins), "{camera}: {reason}");
    }
    let peak_kib = peak_memory_kib(daemon.pid());
    assert!(peak_kib < 400 << 10, "the daemon held {peak_kib} KiB");
}

/// The most memory that a process held so far (`VmHWM`, proc(5)).
fn peak_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Bounds the files that the process may have open.
fn limit_files(pid: u32, most: usize) {
    let (pid, most) = (format!("--pid={pid}"), format!("--nofile={most}"));
    need("prlimit", "util-linux");
    run_well(Command::new("prlimit").args([pid, most]), Duration::from_secs(20));
}

#[test]
fn a_door_without_files_to_open_pauses_and_goes_on() {
    let daemon = Daemon::start_new("128MiB", DEMO);
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let files = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    limit_files(daemon.pid(), files + 8);
    let connect = || TcpStream::connect(("127.0.0.1", daemon.rtsp_port)).unwrap();
    let crowd: Vec<TcpStream> = (0..40).map(|_| connect()).collect();
    wait_for("the door has no file left", Duration::from_secs(20), || {
        daemon.logs().contains("lost=1").then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    // Every power of two is logged. A server that does not pause fails many thousand times.
    let logs = daemon.logs();
    assert!((9..24).all(|power| !logs.contains(&format!("lost={}", 1 << power))), "{logs}");
    drop(crowd);
    let mut guest = connect();
    guest.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    guest.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let mut reply = [0; 12];
    guest.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"RTSP/1.0 200");
}

#[test]
fn a_port_in_use_is_told_with_its_address() {
    let mut daemon = Daemon::new("128MiB", DEMO);
    let taken = TcpListener::bind(("127.0.0.1", daemon.rtsp_port)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    daemon.launch();
    wait_for("the log names the address", Duration::from_secs(20), || {
        daemon.logs().contains(&address).then_some(())
    });
    // Once the port is free the door opens by itself, or a supervisor starts the daemon again.
    drop(taken);
    std::thread::sleep(Duration::from_secs(1));
    if daemon.ended() {
        daemon.start();
    }
    assert_live_goes_on(&daemon);
}

#[test]
fn a_data_directory_that_cannot_be_made_costs_the_recording_only() {
    let mut daemon = Daemon::new("128MiB", DEMO);
    std::fs::remove_dir_all(daemon.data_dir()).unwrap();
    std::fs::write(daemon.data_dir(), "a file where the directory should be").unwrap();
    daemon.start();
    assert_live_goes_on(&daemon);
    assert_recording_says_why(&daemon);
}

#[test]
fn a_read_only_data_directory_costs_the_recording_only() {
    let mut daemon = Daemon::new("128MiB", DEMO);
    daemon.start_on_tmpfs("size=64m,ro");
    assert_live_goes_on(&daemon);
    assert_recording_says_why(&daemon);
}

#[test]
fn keys_that_would_leave_with_the_disk_of_the_recordings_are_told() {
    let mut daemon = Daemon::new("24MiB", DEMO);
    let check = |daemon: &Daemon| {
        let health = daemon.get("/api/v1/health");
        let checks = health["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "keys")
    };
    daemon.start_on_tmpfs("size=64m");
    let told = check(&daemon).expect("the data are on a volume of their own");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("data/state, on the disk with the recordings"), "{message}");
    assert!(message.contains("name it as `state_dir`") && daemon.logs().contains(message));
    daemon.stop();
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    let state = daemon.config().with_file_name("state");
    let text = format!("state_dir = \"{}\"\n{text}", state.display());
    std::fs::write(daemon.config(), text).unwrap();
    daemon.start_on_tmpfs("size=64m");
    assert!(check(&daemon).is_none());
}

#[test]
fn a_full_disk_costs_the_recording_only() {
    let mut daemon = Daemon::new("128MiB", DEMO);
    daemon.start_on_tmpfs("size=3m");
    assert_live_goes_on(&daemon);
    assert_recording_says_why(&daemon);
}

#[test]
fn a_door_opens_when_its_address_comes_and_recording_does_not_wait_for_it() {
    need("curl", "curl");
    let mut daemon = Daemon::new("128MiB", DEMO);
    let (v6, v4) = ("[fd77::7]:8080", "10.77.0.7:8080");
    let text = format!(
        "data_dir = \"{}\"\n[ring]\nsize = \"128MiB\"\n[rtsp]\nlisten = []\nlisten_tls = []\n\
         [http]\nlisten = [\"{v6}\", \"{v4}\"]\n{DEMO}",
        daemon.data_dir().display()
    );
    std::fs::write(daemon.config(), text).unwrap();
    daemon.start_on_island();
    wait_for("footage without a network", Duration::from_secs(40), || {
        let made = daemon.data_dir().join("ring").exists();
        (made && !daemon.slots().is_empty()).then_some(())
    });
    assert!(daemon.logs().contains("cannot listen on"), "{}", daemon.logs());
    let answers = |address: &str| {
        let mut curl = daemon.beside("curl");
        curl.args(["-sf", "-o", "/dev/null", &format!("http://{address}/api/v1/health")]);
        run(&mut curl, Duration::from_secs(20)).status.success()
    };
    let add = |address: &str| {
        let mut ip = daemon.beside("ip");
        run_well(ip.args(["address", "add", address, "dev", "lo"]), Duration::from_secs(20));
    };
    assert!(!answers(v6));
    add("fd77::7/128");
    wait_for("IPv6 alone", Duration::from_secs(60), || answers(v6).then_some(()));
    assert!(!answers(v4));
    add("10.77.0.7/32");
    wait_for("IPv4", Duration::from_secs(60), || answers(v4).then_some(()));
}

/// A viewer sees the test picture, whole.
fn assert_live_goes_on(daemon: &Daemon) {
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("demo"), "-t", "3"]);
    let seen = frames::parse(&run_well(reader.args(frames::SUMS), Duration::from_secs(30)));
    assert!(seen.len() >= 50, "only {} pictures in 3 s", seen.len());
}

/// The API says that nothing is recorded and what is wrong, in words.
fn assert_recording_says_why(daemon: &Daemon) {
    let stream = wait_for("the recording is not on", Duration::from_secs(15), || {
        let stream = daemon.stream("demo");
        (stream["recording"]["state"] != "recording").then_some(stream)
    });
    let reason = stream["recording"]["reason"].as_str().unwrap_or_default();
    assert!(!reason.is_empty(), "no reason: {stream}");
    assert!(stream["recording"]["since"].is_string(), "since when: {stream}");
    // 200 or 503, as it may be said.
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut health = agent.get(daemon.http("/api/v1/health")).call().unwrap();
    let health = health.body_mut().read_to_string().unwrap();
    assert!(health.contains("\"recording/demo\""), "{health}");
    assert!(health.contains("Nothing is recorded since 20"), "{health}");
    wait_for("the log", Duration::from_secs(20), || {
        daemon.logs().contains("not recording").then_some(())
    });
    let metrics = ureq::get(daemon.http("/metrics")).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    assert!(metrics.contains("holdfast_stream_recording{stream=\"demo\"} 0"), "{metrics}");
}

#[test]
fn a_daemon_without_a_configuration_says_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let output = run(
        command.args(["run", "--config", "/nonexistent/holdfast.toml"]),
        Duration::from_secs(10),
    );
    assert!(!output.status.success());
    assert!(told(&output).contains("/nonexistent/holdfast.toml"), "{}", told(&output));
}
