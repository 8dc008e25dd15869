//! What systemd is told, how it keeps the daemon alive, what a healthy daemon logs (nothing) and
//! what a restarted one does.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, free_port, run, wait_for};

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
        "data_dir = \"{}\"\nclaim = \"loopback\"\n[ring]\nsize = \"64MiB\"\n[rtsp]\nlisten = [\"127.0.0.1:{}\"]\nlisten_tls = [\"127.0.0.1:{}\"]\n\
         [http]\nlisten = [\"127.0.0.1:{}\"]\nlisten_tls = []\n\
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

/// A daemon on `data`, its HTTP address and its notify socket's messages thrown away.
fn started(dir: &Path) -> (Running, u16) {
    let http = free_port();
    let text = format!(
        "data_dir = \"{}\"\nclaim = \"loopback\"\n[ring]\nsize = \"64MiB\"\n[rtsp]\nlisten = []\nlisten_tls = []\n\
         [http]\nlisten = [\"127.0.0.1:{http}\"]\nlisten_tls = []\n",
        dir.join("data").display(),
    );
    let config = dir.join("holdfast.toml");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["run", "--config"]).arg(&config).env_remove("JOURNAL_STREAM");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Running::start(&mut command);
    wait_for("the API", Duration::from_secs(20), || recovery(http));
    (daemon, http)
}

/// `GET /api/v1/recovery`.
fn recovery(http: u16) -> Option<serde_json::Value> {
    let mut answer = ureq::get(format!("http://127.0.0.1:{http}/api/v1/recovery")).call().ok()?;
    serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
}

#[test]
fn a_daemon_that_was_killed_says_so_and_one_that_was_stopped_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut daemon, http) = started(dir.path());
    assert_eq!(recovery(http).unwrap()["entries"], serde_json::json!([]), "a first start is none");
    // The log is on the medium as soon as the directory is there.
    let log = dir.path().join("data/recovery.json");
    wait_for("the log", Duration::from_secs(30), || log.exists().then_some(()));
    daemon.signal(rustix::process::Signal::KILL);
    let _ = daemon.ended_within(Duration::from_secs(15));

    let (mut daemon, http) = started(dir.path());
    let told = recovery(http).unwrap();
    assert_eq!(told["entries"][0]["rung"], 3, "{told}");
    assert_eq!(told["entries"][0]["action"], "daemon_restart");
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.ended_within(Duration::from_secs(15)).success());

    let (_daemon, http) = started(dir.path());
    let told = recovery(http).unwrap();
    assert_eq!(told["entries"].as_array().unwrap().len(), 1, "{told}");
    let printed = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["recovery", "log", "--data-dir"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("rung 3  daemon: ended without being asked to"), "{printed}");
}

#[test]
fn systemd_notes_how_the_daemon_ended() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let config = dir.path().join("holdfast.toml");
    let text = format!("data_dir = \"{}\"\n", dir.path().join("data").display());
    std::fs::write(&config, text).unwrap();
    // The unit's own line, with the environment of systemd.exec(5).
    let unit = std::fs::read_to_string("systemd/holdfast.service").unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStopPost=-/usr/bin/holdfast "));
    let line = line.expect("the unit notes it").replace("/etc/holdfast/holdfast.toml", "FILE");
    let words =
        line.split(' ').map(|word| if word == "FILE" { config.to_str().unwrap() } else { word });
    let mut noting = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    noting.args(words).env("SERVICE_RESULT", "watchdog").env("EXIT_STATUS", "ABRT");
    assert!(noting.status().unwrap().success());
    let log = std::fs::read_to_string(dir.path().join("data/recovery.json")).unwrap();
    assert!(log.contains("did not answer systemd in time"), "{log}");
}

#[test]
fn three_deaths_after_a_change_bring_the_last_good_configuration_back() {
    const DEMO: &str = "[stream.demo]\nsource = { kind = \"pattern\", fps = 5 }\n";
    let mut daemon = Daemon::new("64MiB", DEMO);
    std::fs::create_dir_all(daemon.data_dir()).unwrap();
    std::fs::copy(daemon.config(), daemon.data_dir().join("config.good")).unwrap();
    let changed = DEMO.replace("demo", "yard");
    daemon.configure("64MiB", &changed);
    for _ in 0..3 {
        daemon.start();
        assert_eq!(daemon.stream("yard")["name"], "yard");
        daemon.kill();
    }
    daemon.start();
    assert_eq!(daemon.stream("demo")["name"], "demo");
    let told = health(&daemon);
    let said = told["checks"].as_array().unwrap().iter().any(|check| check["name"] == "config");
    assert!(said, "{told}");
    let noted = daemon.get("/api/v1/recovery").to_string();
    assert!(noted.contains("config_reverted"), "{noted}");
    // A person who reloads wants it to be tried again.
    daemon.reload();
    wait_for("the change", Duration::from_secs(20), || {
        let streams = daemon.get("/api/v1/streams").to_string();
        streams.contains("yard").then_some(())
    });
}

const HANGING: &str = "HOLDFAST_TEST_HANGING";

/// Not a test: the process of the next ones, in which something hangs: an enlisted part that does
/// not beat, or a kept task that spins or waits for itself, on the only worker there is.
#[test]
fn hanging() {
    use holdfast::base::{Stop, time::SystemClock};
    use holdfast::supervise::{Supervisor, TaskSpec, keep_watchdog_fed, recovery::RecoveryLog};
    let Some(data) = std::env::var_os(HANGING) else { return };
    let clock: holdfast::base::time::SharedClock = std::sync::Arc::new(SystemClock);
    let log = RecoveryLog::open(Path::new(&data), std::sync::Arc::clone(&clock)).unwrap();
    let supervisor = Supervisor::new(Stop::new(), clock).with_recovery(log);
    keep_watchdog_fed(supervisor.clone(), || "test".to_owned()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let drill = std::env::var_os("HOLDFAST_DRILL").is_some();
        let spec = TaskSpec::vital("web/test", Duration::from_secs(2));
        let _seat = (!drill).then(|| supervisor.enlist(spec));
        holdfast::supervise::begin_drill(&supervisor);
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

/// What the recovery log says of a process in which `drill`, or nothing but a part, hangs, once
/// systemd was asked for another one.
fn noted_of(drill: Option<&str>, part: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "systemd::hanging"]).env(HANGING, dir.path());
    command.envs(drill.map(|kind| ("HOLDFAST_DRILL", kind)));
    // An interval that only the trigger can be quicker than.
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).env("WATCHDOG_USEC", "600000000");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _hanging = Running::start(&mut command);
    wait_for("WATCHDOG=trigger", Duration::from_secs(50), || {
        told(&socket).filter(|text| text.contains("WATCHDOG=trigger"))
    });
    let log = dir.path().join("recovery.json");
    wait_for("the reason", Duration::from_secs(20), || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains(part))
    })
}

#[test]
fn a_vital_task_that_hangs_brings_a_new_daemon_at_once() {
    let noted = noted_of(None, "web/test");
    assert!(noted.contains("It hung for "), "{noted}");
}

#[test]
fn a_task_that_spins_or_deadlocks_brings_a_new_daemon() {
    std::thread::scope(|scope| {
        for drill in ["spin", "deadlock"] {
            scope.spawn(move || noted_of(Some(drill), "drill"));
        }
    });
}

/// Largest exposure that `systemd-analyze security` may find.
const EXPOSURE_MAX: f32 = 1.5;

#[test]
fn the_units_are_sound_and_their_sandboxes_are_tight() {
    let dir = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for unit in std::fs::read_dir("systemd").unwrap().flatten().map(|entry| entry.path()) {
        if unit.is_file() && unit.extension().is_some_and(|kind| kind != "md") {
            // systemd looks for the programs that a unit names.
            let text = std::fs::read_to_string(&unit).unwrap();
            let text = text.replace("/usr/bin/holdfast", env!("CARGO_BIN_EXE_holdfast"));
            let here = dir.path().join(unit.file_name().unwrap());
            std::fs::write(&here, text).unwrap();
            units.push(here);
        }
    }
    assert!(units.len() >= 6, "{units:?}");
    let analyze = |args: &[&str], unit: &Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(args).arg(unit).env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()));
        let output = command.output().expect("systemd-analyze: apt-get install systemd");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    for unit in &units {
        let (sound, said) = analyze(&["verify", "--man=no"], unit);
        assert!(sound && !said.contains("holdfast"), "{said}");
        if unit.extension().is_none_or(|kind| kind != "service") {
            continue;
        }
        let (_, said) = analyze(&["security", "--offline=true", "--no-pager"], unit);
        let last = said.lines().last().unwrap();
        println!("{last}");
        let exposure = last.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        let exposure: f32 =
            exposure.and_then(|number| number.parse().ok()).expect("it says a number");
        assert!(exposure <= EXPOSURE_MAX, "{said}");
    }
}

/// A box with one camera of its own that was parked a moment ago.
fn parked() -> Daemon {
    let stream =
        "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 240, fps = 10 }\n";
    let mut daemon = Daemon::new("64MiB", stream);
    let clock = holdfast::base::time::SystemClock;
    let now = holdfast::base::time::Clock::wall(&clock);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let up = std::fs::read_to_string("/proc/uptime").unwrap();
    let up_secs: u64 = up.split('.').next().unwrap().parse().unwrap();
    let log = serde_json::json!({
        "entries": [], "life": null, "reboots": [],
        "parked": {
            "since": now.to_rfc3339(), "until": now.offset_nanos(3_600_000_000_000).to_rfc3339(),
            "what": "the board was booted again 3 times within an hour",
            "boot": boot.trim().replace('-', ""), "up_secs": up_secs,
        }
    });
    std::fs::create_dir_all(daemon.data_dir()).unwrap();
    std::fs::write(daemon.data_dir().join("recovery.json"), log.to_string()).unwrap();
    daemon.start();
    daemon
}

/// The health, whatever its status.
fn health(daemon: &Daemon) -> serde_json::Value {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent.get(daemon.http("/api/v1/health")).call().unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

#[test]
fn a_parked_box_shows_pictures_records_nothing_and_says_so_until_somebody_resumes() {
    let daemon = parked();
    daemon.wait_state("demo", "live", Duration::from_secs(30));
    assert_eq!(daemon.stream("demo")["recording"], serde_json::Value::Null);
    let told = health(&daemon);
    assert_eq!(told["status"], "failed");
    let checks = told["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "recovery").expect("it is said");
    assert!(check["message"].as_str().unwrap().starts_with("Recording is off until"), "{check}");
    assert!(daemon.logs().contains("parked, recording is off"), "{}", daemon.logs());
    assert!(daemon.get("/api/v1/recovery")["parked"]["what"].is_string());

    let config = daemon.config();
    let resume = ["recovery", "resume", "--config", config.to_str().unwrap()];
    let said = Daemon::holdfast(&resume);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Recording continues.\n", "{said:?}");
    wait_for("footage", Duration::from_secs(60), || {
        daemon.stream("demo")["recording"]["durable_until"].is_string().then_some(())
    });
    assert_eq!(daemon.get("/api/v1/recovery")["parked"], serde_json::Value::Null);
    let said = Daemon::holdfast(&resume);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "The box is not parked.\n");
}

#[test]
fn the_box_is_well_when_it_records_and_has_run_for_a_minute() {
    let stream =
        "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 240, fps = 10 }\n";
    let mut daemon = Daemon::new("64MiB", stream);
    let config = daemon.config();
    let health = ["health", "--config", config.to_str().unwrap()];
    let said = Daemon::holdfast(&health);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("no answer from http://"), "{said:?}");
    daemon.start();
    let said = Daemon::holdfast(&health);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("of 60 seconds"), "{said:?}");
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let said = run(waiting.args(health).args(["--wait", "3m"]), Duration::from_secs(200));
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let memory = std::fs::read_to_string(daemon.data_dir().join("health.json")).unwrap();
    assert_eq!(memory, "{\"cameras\":[\"demo\"]}");
}
