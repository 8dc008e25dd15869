//! The daemon: the real binary with a configuration of its own and free ports.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::{Running, free_port, run, wait_for};

/// The real binary.
const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");

/// A directory with a configuration, and the daemon that runs on it from time to time.
#[derive(Debug)]
pub struct Daemon {
    dir: tempfile::TempDir,
    running: Option<Running>,
    starts: u32,
    /// Where RTSP is served.
    pub rtsp_port: u16,
    /// Where RTSP is served with TLS.
    pub rtsps_port: u16,
    /// Where HTTP is served.
    pub http_port: u16,
    /// Where HTTP is served with TLS.
    pub https_port: u16,
    /// Whether it says everything it can.
    pub verbose: bool,
    /// Whether it begins unclaimed, as a box does; most tests are about something else, and open
    /// to this computer.
    pub claimable: bool,
}

impl Daemon {
    /// Writes a configuration with `streams` (TOML tables) and a ring of `ring_size`.
    pub fn new(ring_size: &str, streams: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [rtsp_port, rtsps_port, http_port, https_port] = [(); 4].map(|()| free_port());
        let daemon = Self {
            dir,
            running: None,
            starts: 0,
            rtsp_port,
            rtsps_port,
            http_port,
            https_port,
            verbose: false,
            claimable: false,
        };
        daemon.configure(ring_size, streams);
        daemon
    }

    /// As [`Daemon::new`], and starts it.
    pub fn start_new(ring_size: &str, streams: &str) -> Self {
        let mut daemon = Self::new(ring_size, streams);
        daemon.start();
        daemon
    }

    /// Writes the configuration anew; a running daemon reads it at [`Daemon::reload`].
    pub fn configure(&self, ring_size: &str, streams: &str) {
        let text = format!(
            "data_dir = \"{data}\"\n{claim}\n\
             [ring]\nsize = \"{ring_size}\"\n\
             [rtsp]\nlisten = [\"127.0.0.1:{rtsp}\"]\nlisten_tls = [\"127.0.0.1:{rtsps}\"]\n\
             [http]\nlisten = [\"127.0.0.1:{http}\"]\nlisten_tls = [\"127.0.0.1:{https}\"]\n\
             {streams}\n",
            data = self.data_dir().display(),
            claim = if self.claimable { "" } else { "claim = \"loopback\"" },
            rtsp = self.rtsp_port,
            rtsps = self.rtsps_port,
            http = self.http_port,
            https = self.https_port,
        );
        std::fs::create_dir_all(self.data_dir()).unwrap();
        std::fs::write(self.config(), text).unwrap();
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("holdfast.toml")
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts it and waits until it answers on HTTP.
    pub fn start(&mut self) {
        self.launch();
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        wait_for("the daemon answers", Duration::from_secs(20), || {
            let runs = self.running.as_mut().is_some_and(Running::runs);
            assert!(runs, "the daemon ended at its start:\n{}", self.logs());
            self.try_get("/api/v1/health")
        });
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self) {
        let mut command = Command::new(BINARY);
        command.args(["run", "--config"]).arg(self.config());
        self.spawn(&mut command);
    }

    fn spawn(&mut self, command: &mut Command) {
        self.starts += 1;
        let log = File::create(self.log(self.starts)).unwrap();
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
        if self.verbose {
            command.env("HOLDFAST_LOG", "trace");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running = Some(Running::start(command));
    }

    /// As [`Daemon::start`], with a file system of its own for the data: a tmpfs mounted with
    /// `options` in a private mount namespace.
    pub fn start_on_tmpfs(&mut self, options: &str) {
        super::need("unshare", "util-linux");
        let data = self.data_dir();
        let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && exec \"$3\" run --config \"$4\"";
        let mut command = Command::new("unshare");
        // Who is not root gets a user namespace in which he may mount.
        let root = rustix::process::geteuid().is_root();
        command.args(if root { &["--mount"][..] } else { &["--map-root-user", "--mount"] });
        command.args(["sh", "-c", script, "sh", options]).arg(data).arg(BINARY).arg(self.config());
        self.spawn(&mut command);
        self.wait_until_it_answers();
    }

    /// Starts it on a network of its own: loopback alone, which carries multicast there. Only
    /// programs that [`Daemon::beside`] makes reach it.
    pub fn start_on_island(&mut self) {
        super::need("unshare", "util-linux");
        super::need("ip", "iproute2");
        let script = "ip link set lo up multicast on && ip route add 239.0.0.0/8 dev lo && \
                      exec \"$1\" run --config \"$2\"";
        let mut command = Command::new("unshare");
        let root = rustix::process::geteuid().is_root();
        command.args(if root { &["--net"][..] } else { &["--map-root-user", "--net"] });
        command.args(["sh", "-c", script, "sh", BINARY]).arg(self.config());
        self.spawn(&mut command);
    }

    /// Starts it on a machine that is called `name`, as 10.77.0.7 of a network that
    /// [`Daemon::neighbour`] may join.
    pub fn start_on_lan(&mut self, name: &str) {
        super::need("unshare", "util-linux");
        super::need("ip", "iproute2");
        let script = "hostname \"$3\" && ip link set lo up && ip link add lan type veth peer name wire && \
                      ip address add 10.77.0.7/24 dev lan && ip link set lan up && \
                      exec \"$1\" run --config \"$2\"";
        let mut command = Command::new("unshare");
        let root = rustix::process::geteuid().is_root();
        let own = ["--map-root-user", "--net", "--uts"];
        command.args(if root { &own[1..] } else { &own });
        command.args(["sh", "-c", script, "sh", BINARY]).arg(self.config()).arg(name);
        self.spawn(&mut command);
    }

    /// Starts it in another network, in which `enter` starts a program.
    pub fn start_in(&mut self, enter: impl Fn(&str) -> Command) {
        let mut command = enter(BINARY);
        command.args(["run", "--config"]).arg(self.config());
        self.spawn(&mut command);
    }

    /// `program` on the network of a daemon that was started on an island.
    pub fn beside(&self, program: &str) -> Command {
        on_network_of(self.pid(), program)
    }

    /// Another machine, 10.77.0.99, on the network of a daemon that was started on a LAN.
    pub fn neighbour(&self) -> Neighbour {
        // Its end of the cable comes from the daemon's network as soon as it has one of its own.
        let script = "before=$(readlink /proc/self/ns/net) me=$$; \
                      (until [ \"$(readlink /proc/$me/ns/net)\" != \"$before\" ]; do sleep 0.05; done; \
                       ip link set wire netns $me) & \
                      exec unshare --net sh -c 'until ip link set wire up 2>/dev/null; do sleep 0.05; done; \
                       ip link set lo up && ip address add 10.77.0.99/24 dev wire && exec sleep infinity'";
        let machine = Neighbour(Running::start(self.beside("sh").args(["-c", script])));
        super::wait_for("the network carries", Duration::from_secs(20), || {
            let mut ping = machine.command("curl");
            let most = Duration::from_secs(5);
            let asked = super::run(ping.args(["-s", "-o", "/dev/null", "http://10.77.0.7"]), most);
            asked.status.success().then_some(())
        });
        machine
    }

    /// Whether it ended by itself; then it counts as not started.
    pub fn ended(&mut self) -> bool {
        let ended = !self.running.as_mut().expect("it was started").runs();
        if ended {
            self.running = None;
        }
        ended
    }

    /// Its end, within `most`.
    pub fn ended_within(&mut self, most: Duration) -> ExitStatus {
        let status = self.running.as_mut().expect("it was started").ended_within(most);
        self.running = None;
        status
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// Tells it to stop, as systemd does, and waits.
    pub fn stop(&mut self) -> ExitStatus {
        self.running.as_ref().expect("it runs").signal(rustix::process::Signal::TERM);
        self.ended_within(Duration::from_secs(15))
    }

    /// Tells it to read its configuration again.
    pub fn reload(&self) {
        self.running.as_ref().expect("it runs").signal(rustix::process::Signal::HUP);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("it runs").pid()
    }

    fn log(&self, start: u32) -> PathBuf {
        self.dir.path().join(format!("log-{start}"))
    }

    /// What it has said since its newest start.
    pub fn logs(&self) -> String {
        let bytes = std::fs::read(self.log(self.starts)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `rtsp://…/stream`.
    pub fn rtsp(&self, stream: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{stream}", self.rtsp_port)
    }

    /// `http://…path`.
    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http_port)
    }

    fn try_get(&self, path: &str) -> Option<serde_json::Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(5)))
            .http_status_as_error(false)
            .build()
            .into();
        let mut answer = agent.get(&self.http(path)).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The JSON at `path`, whatever its status.
    pub fn get(&self, path: &str) -> serde_json::Value {
        self.try_get(path).unwrap_or_else(|| panic!("no JSON at {path}\n{}", self.logs()))
    }

    /// What `/api/v1/streams` says of `stream`.
    pub fn stream(&self, stream: &str) -> serde_json::Value {
        let all = self.get("/api/v1/streams");
        let list = all["streams"].as_array().unwrap_or_else(|| panic!("no streams in {all}"));
        let found = list.iter().find(|entry| entry["name"] == stream);
        found.unwrap_or_else(|| panic!("no {stream} in {all}")).clone()
    }

    /// Waits until `stream` is in `state`.
    pub fn wait_state(&self, stream: &str, state: &str, most: Duration) {
        wait_for(&format!("{stream} is {state}"), most, || {
            (self.stream(stream)["state"] == state).then_some(())
        });
    }

    /// `holdfast` with `arguments`.
    pub fn holdfast(arguments: &[&str]) -> Output {
        run(Command::new(BINARY).args(arguments), Duration::from_secs(30))
    }

    /// What `holdfast ring ls` says of its data.
    pub fn ring_ls(&self) -> String {
        let data = self.data_dir();
        let output = Self::holdfast(&["ring", "ls", "--data-dir", data.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "ring ls: {}\n{told}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The slot files that hold footage.
    pub fn slots(&self) -> Vec<PathBuf> {
        slots_in(&self.data_dir())
    }
}

/// The slot files under `data_dir` that hold footage: those that begin with `ftyp`.
pub fn slots_in(data_dir: &Path) -> Vec<PathBuf> {
    let ring = data_dir.join("ring");
    let entries =
        std::fs::read_dir(&ring).unwrap_or_else(|error| panic!("{}: {error}", ring.display()));
    let mut slots: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .filter(|path| {
            use std::io::Read;
            let mut head = [0; 8];
            File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
                && &head[4..] == b"ftyp"
        })
        .collect();
    slots.sort();
    slots
}

/// Fails unless every slot that holds footage decodes without a single error.
pub fn assert_slots_decode(slots: &[PathBuf]) {
    assert!(!slots.is_empty(), "no slot holds footage");
    for slot in slots {
        let mut command = super::ffmpeg();
        command.args(["-xerror", "-err_detect", "explode", "-i"]).arg(slot);
        // In the file's own ticks: ffmpeg guesses a frame rate over the gaps between runs, and two
        // frames can fall on one tick of that.
        command.args(["-enc_time_base", "-1", "-f", "null", "-"]);
        let output = run(&mut command, Duration::from_secs(120));
        let told = String::from_utf8_lossy(&output.stderr);
        let (name, status) = (slot.display(), output.status);
        assert!(status.success() && told.is_empty(), "{name}: {status}\n{told}");
    }
}

/// A machine on the network of a daemon.
#[derive(Debug)]
pub struct Neighbour(Running);

impl Neighbour {
    /// `program` on it.
    pub fn command(&self, program: &str) -> Command {
        on_network_of(self.0.pid(), program)
    }
}

fn on_network_of(pid: u32, program: &str) -> Command {
    super::need("nsenter", "util-linux");
    let mut command = Command::new("nsenter");
    let root = rustix::process::geteuid().is_root();
    let user: &[&str] = if root { &[] } else { &["--user", "--preserve-credentials"] };
    command.args(["--target", &pid.to_string(), "--net"]).args(user).arg(program);
    command
}
