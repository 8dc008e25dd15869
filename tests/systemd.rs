//! What systemd is told, and what a healthy daemon logs: nothing.

mod harness;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Running, free_port, wait_for};

/// The newest messages on the socket, joined.
fn told(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 4_096];
    let read = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

fn wait_told(socket: &UnixDatagram, wanted: &str) -> String {
    wait_for(wanted, Duration::from_secs(20), || told(socket).filter(|text| text.contains(wanted)))
}

/// The log once the start is over: the ring is open and its clock noted, and nothing was added for
/// as long as the test will watch.
fn settled(log: &Path) -> String {
    let mut before = String::new();
    wait_for("the start to be over", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_secs(5));
        let now = std::fs::read_to_string(log).unwrap();
        let same = now == before && now.contains("ring opened") && now.contains("clock noted");
        before.clone_from(&now);
        same.then_some(now)
    })
}

#[test]
fn systemd_is_told_and_a_healthy_daemon_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let config = dir.path().join("holdfast.toml");
    let text = format!(
        "data_dir = \"{}\"\n[ring]\nsize = \"64MiB\"\n[rtsp]\nlisten = [\"127.0.0.1:{}\"]\nlisten_tls = [\"127.0.0.1:{}\"]\n\
         [http]\nlisten = [\"127.0.0.1:{}\"]\n\
         [stream.demo]\nsource = {{ kind = \"pattern\", width = 320, height = 240, fps = 5 }}\n",
        dir.path().join("data").display(),
        free_port(),
        free_port(),
        free_port(),
    );
    std::fs::write(&config, text).unwrap();
    let log = dir.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["run", "--config"]).arg(&config).env_remove("JOURNAL_STREAM");
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).env("WATCHDOG_USEC", "2000000");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(&log).unwrap());
    let mut daemon = Running::start(&mut command);

    let ready = wait_told(&socket, "READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    wait_told(&socket, "STATUS=1 of 1 streams live");
    let logged = settled(&log);
    for _ in 0..5 {
        wait_told(&socket, "WATCHDOG=1");
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), logged, "a healthy daemon says nothing");

    daemon.signal(rustix::process::Signal::TERM);
    wait_told(&socket, "STOPPING=1");
    assert!(daemon.ended_within(Duration::from_secs(15)).success());
}
