//! A virtual board: qemu, its disks, and the agent that does in the guest what a test says.
//!
//! Owns: the qemu process, which ends with the test however that ends, and the copies of its disks.

#![allow(dead_code, unreachable_pub)] // shared by the tests of boards

use std::cell::{OnceCell, RefCell};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::harness::{Running, free_port, need, run_well, wait_for};

/// From power to the agent; 15 s when the machine is quiet.
const BOOT_TIME_MAX: Duration = Duration::from_secs(240);
/// For one script in the guest.
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(300);
/// After this long without an answer the agent is sent an empty line.
const KNOCK_PAUSE: Duration = Duration::from_secs(20);
/// For one answer over HTTP.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a read of the agent's port waits before its deadline is checked.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// Holds a ring of a few minutes; the file is sparse.
const DATA_DISK: &str = "1G";
/// Lets root reach registers, and leaves out drivers of what this qemu does not have: VideoCore, whose
/// driver crashes, radio and USB, which take time.
const RASPBERRY_PI_BOOT: &str = "root=/dev/mmcblk0 rw console=ttyAMA0 quiet panic=0 iomem=relaxed \
                                 module_blacklist=vchiq,hci_uart,cfg80211,dwc2";

/// Which board qemu plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its generic one, with disks and a network that are fast.
    Virt,
    /// A Raspberry Pi 3 with what hangs inside it, and nothing outside: no network.
    RaspberryPi3,
}

/// A board that runs.
#[derive(Debug)]
pub struct Machine {
    kind: Kind,
    dir: tempfile::TempDir,
    board: PathBuf,
    qemu: Option<Running>,
    agent: RefCell<Option<Agent>>,
    rtsp_port: u16,
    http_port: u16,
    /// Of the account `viewer`, once it is made.
    pub password: OnceCell<String>,
    /// The API token of the tests, once it is made.
    pub token: OnceCell<String>,
}

/// The line to the agent in the guest, see `guest/agent`.
#[derive(Debug)]
struct Agent {
    lines: BufReader<UnixStream>,
    half: Vec<u8>,
    asked: u64,
}

impl Machine {
    /// Boots a new board with an empty data disk, and the package in `/mnt`.
    pub fn boot() -> Self {
        Self::boot_as(Kind::Virt)
    }

    /// Boots a new Raspberry Pi 3 with the package in `/mnt`. It has no network, and a reset stops it
    /// for good, with its registers as they are: [`Machine::status`] is `shutdown` then.
    pub fn boot_raspberry_pi_3() -> Self {
        Self::boot_as(Kind::RaspberryPi3)
    }

    fn boot_as(kind: Kind) -> Self {
        need("qemu-system-aarch64", "qemu-system-arm");
        need("qemu-img", "qemu-utils");
        need("busybox", "busybox-static");
        let mut recipe = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh"));
        let board = run_well(&mut recipe, Duration::from_secs(900));
        let board = PathBuf::from(String::from_utf8(board).unwrap().trim());
        let dir = tempfile::tempdir().unwrap();
        let machine = Self {
            kind,
            board,
            qemu: None,
            agent: RefCell::new(None),
            rtsp_port: free_port(),
            http_port: free_port(),
            password: OnceCell::new(),
            token: OnceCell::new(),
            dir,
        };
        machine.make_disks();
        let mut machine = machine;
        machine.power_on();
        machine
    }

    /// Waits until its health says that all is well.
    pub fn wait_well(&self) {
        wait_for("health", BOOT_TIME_MAX, || {
            std::thread::sleep(Duration::from_secs(1));
            (self.get("/api/v1/health")?["status"] == "ok").then_some(())
        });
    }

    /// What the API says of a stream, if it is configured.
    pub fn stream(&self, name: &str) -> Option<Value> {
        let streams = self.get("/api/v1/streams")?;
        streams["streams"].as_array()?.iter().find(|stream| stream["name"] == name).cloned()
    }

    /// Waits for what `look` finds of a stream, which is asked for once a second.
    pub fn wait_stream<T>(&self, name: &str, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(what, SCRIPT_TIME_MAX, || {
            std::thread::sleep(Duration::from_secs(1));
            look(&self.stream(name)?)
        })
    }

    /// Waits until a stream is live with pictures that are fresh.
    pub fn wait_live(&self, name: &str) {
        self.wait_stream(name, "pictures", |stream| {
            let fresh = stream["last_frame_age_ms"].as_u64().is_some_and(|age| age < 5_000);
            (stream["state"] == "live" && fresh).then_some(())
        });
    }

    /// Waits until a stream says that it is not, for `reason`.
    pub fn wait_offline(&self, name: &str, reason: &str) {
        self.wait_stream(name, reason, |stream| {
            stream["reason"].as_str()?.contains(reason).then_some(())
        });
    }

    /// How many of something a stream has counted.
    pub fn total(&self, name: &str, what: &str) -> u64 {
        self.stream(name).unwrap()["totals"][what].as_u64().unwrap()
    }

    /// What the API says of the camera with this id.
    pub fn camera(&self, id: &str) -> Value {
        let devices = self.get("/api/v1/devices").unwrap();
        let found = devices["devices"].as_array().unwrap().iter().find(|one| one["id"] == id);
        found.unwrap_or_else(|| panic!("{devices}")).clone()
    }

    fn make_disks(&self) {
        self.make_initramfs();
        let mut root = Command::new("qemu-img");
        root.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]);
        root.arg(self.board.join("root.ext4")).arg(self.path("root.qcow2"));
        run_well(&mut root, Duration::from_secs(60));
        if self.kind == Kind::Virt {
            let mut data = Command::new("mke2fs");
            data.args(["-q", "-t", "ext4", "-L", "data"]).arg(self.path("data.img")).arg(DATA_DISK);
            run_well(&mut data, Duration::from_secs(60));
        }
    }

    /// The package travels in front of the initramfs, as an archive of its own (the kernel's
    /// initramfs buffer format): every board can load that.
    fn make_initramfs(&self) {
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/deb");
        let deb = format!("{packages}/holdfast_{}_arm64.deb", env!("CARGO_PKG_VERSION"));
        std::fs::copy(&deb, self.path("holdfast.deb"))
            .unwrap_or_else(|error| panic!("{deb}: {error}; make deb-arm64 makes it"));
        let mut pack = Command::new("sh");
        pack.current_dir(self.dir.path());
        pack.args(["-c", "echo holdfast.deb | busybox cpio -o -H newc"]);
        let mut whole = run_well(&mut pack, Duration::from_secs(60));
        whole.extend(std::fs::read(self.board.join("initramfs")).unwrap());
        std::fs::write(self.path("initramfs"), whole).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Gives it power and waits until it has booted.
    pub fn power_on(&mut self) {
        let qemu = Running::start(&mut self.qemu());
        self.qemu = Some(qemu);
        let socket = self.path("agent");
        let line = wait_for("qemu", Duration::from_secs(60), || UnixStream::connect(&socket).ok());
        line.set_read_timeout(Some(READ_PAUSE)).unwrap();
        let agent = Agent { lines: BufReader::new(line), half: Vec::new(), asked: 0 };
        *self.agent.borrow_mut() = Some(agent);
        self.wait_booted();
    }

    fn qemu(&self) -> Command {
        // The kernel ends qemu with the test, however that ends.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-aarch64"]);
        qemu.args(["-nodefaults", "-display", "none"]);
        qemu.args(["-accel", "tcg,thread=multi,tb-size=256"]);
        qemu.arg("-kernel").arg(self.board.join("kernel"));
        qemu.arg("-initrd").arg(self.path("initramfs"));
        qemu.arg("-qmp").arg(format!("unix:{},server=on,wait=off", self.path("qmp").display()));
        qemu.arg("-serial").arg(format!("file:{}", self.path("console").display()));
        qemu.arg("-chardev").arg(format!(
            "socket,id=agent,server=on,wait=off,path={}",
            self.path("agent").display()
        ));
        match self.kind {
            Kind::Virt => self.virt(&mut qemu),
            Kind::RaspberryPi3 => self.raspberry_pi_3(&mut qemu),
        }
        qemu.stdin(Stdio::null());
        qemu
    }

    fn virt(&self, qemu: &mut Command) {
        qemu.args(["-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024"]);
        // A kernel that crashed stays so: what gets the board out of it is its watchdog.
        qemu.args(["-append", "root=/dev/vda rw console=ttyAMA0 quiet panic=0"]);
        for (name, format) in [("root.qcow2", "qcow2"), ("data.img", "raw")] {
            let file = self.path(name);
            qemu.arg("-drive");
            qemu.arg(format!("if=virtio,format={format},file={}", file.display()));
        }
        qemu.arg("-netdev").arg(format!(
            "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{}-:8554,hostfwd=tcp:127.0.0.1:{}-:8080",
            self.rtsp_port, self.http_port
        ));
        qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        qemu.args(["-device", "virtio-serial-pci"]);
        qemu.args(["-device", "virtserialport,chardev=agent,name=agent"]);
        qemu.args(["-device", "i6300esb", "-action", "watchdog=reset"]);
        // A USB hub whose ports can be switched off; behind the first of them plays a test.
        qemu.args(["-device", "qemu-xhci,id=usb,addr=0x10"]);
        qemu.args(["-device", "usb-hub,bus=usb.0,port=1,ports=4,port-power=on"]);
        qemu.arg("-chardev")
            .arg(format!("socket,id=webcam,server=on,wait=off,path={}", self.usb_port().display()));
        qemu.args(["-device", "usb-redir,chardev=webcam,bus=usb.0,port=1.1"]);
    }

    fn raspberry_pi_3(&self, qemu: &mut Command) {
        qemu.args(["-M", "raspi3b", "-append", RASPBERRY_PI_BOOT]);
        qemu.arg("-dtb").arg(self.board.join("bcm2837-rpi-3-b.dtb"));
        let card = self.path("root.qcow2");
        qemu.arg("-drive").arg(format!("if=sd,format=qcow2,file={}", card.display()));
        // The second serial line, which is on the real board's header.
        qemu.args(["-serial", "chardev:agent"]);
        qemu.args(["-action", "reboot=shutdown,shutdown=pause"]);
    }

    /// Where a USB device can be plugged in, see `usb.rs`.
    pub fn usb_port(&self) -> PathBuf {
        self.path("usb")
    }

    /// Presses the power button: for a tenth of a second the fourth line of the board's GPIO chip is
    /// high.
    pub fn press_power(&self) {
        self.ask_qemu(&json!({"execute": "system_powerdown"}));
    }

    /// What qemu says of the board: `running`, or `shutdown` when it stopped for good.
    pub fn status(&self) -> String {
        let told = self.ask_qemu(&json!({"execute": "query-status"}));
        told["status"].as_str().unwrap().to_owned()
    }

    /// A register of the board's, as qemu itself sees it.
    pub fn register(&self, address: u32) -> u32 {
        let look = json!({"command-line": format!("xp /1wx {address:#x}")});
        let look = json!({"execute": "human-monitor-command", "arguments": look});
        let told = self.ask_qemu(&look);
        let value = told.as_str().unwrap().trim().rsplit("0x").next().unwrap();
        u32::from_str_radix(value, 16).unwrap()
    }

    /// One command to qemu's monitor (QMP), and its answer.
    fn ask_qemu(&self, command: &Value) -> Value {
        let mut line = UnixStream::connect(self.path("qmp")).unwrap();
        line.set_read_timeout(Some(SCRIPT_TIME_MAX)).unwrap();
        let mut said = BufReader::new(line.try_clone().unwrap()).lines();
        said.next().expect("qemu greets").unwrap();
        let mut answer = Value::Null;
        for command in [&json!({"execute": "qmp_capabilities"}), command] {
            writeln!(line, "{command}").unwrap();
            let told = said.find(|said| !said.as_ref().unwrap().contains("\"event\""));
            answer = serde_json::from_str(&told.expect("qemu answers").unwrap()).unwrap();
            assert!(answer.get("return").is_some(), "{command}: {answer}");
        }
        answer["return"].take()
    }

    /// Waits until a boot that is under way is over.
    pub fn wait_booted(&self) {
        let until = Instant::now() + BOOT_TIME_MAX;
        loop {
            let line = self.line(until).unwrap_or_else(|| self.lost("it did not boot"));
            if line == "ready" {
                return;
            }
        }
    }

    /// Runs `script` in the guest and hands back what it wrote; fails unless it succeeded.
    pub fn sh(&self, script: &str) -> String {
        let (status, said) = self.try_sh(script);
        assert_eq!(status, 0, "{script}\n{said}");
        said
    }

    /// Runs `script` in the guest: its exit status and what it wrote.
    pub fn try_sh(&self, script: &str) -> (i32, String) {
        let asked = self.send(script);
        let until = Instant::now() + SCRIPT_TIME_MAX;
        loop {
            let Some(line) = self.line(until.min(Instant::now() + KNOCK_PAUSE)) else {
                if Instant::now() >= until {
                    self.lost(script);
                }
                // The Pi was silent for minutes once, why is not known: if an interrupt of its serial
                // line was lost, the next byte brings another. An agent at work reads it later.
                self.write("\n");
                continue;
            };
            let mut words = line.split(' ');
            if words.next() != Some(asked.to_string().as_str()) {
                continue;
            }
            let status = words.next().unwrap().parse().unwrap();
            let said = BASE64.decode(words.next().unwrap_or_default()).unwrap();
            return (status, String::from_utf8_lossy(&said).into_owned());
        }
    }

    /// Hands `script` to the guest without waiting for its end, which may not come.
    pub fn send(&self, script: &str) -> u64 {
        let asked = {
            let mut agent = self.agent.borrow_mut();
            let agent = agent.as_mut().expect("it has power");
            agent.asked += 1;
            agent.asked
        };
        self.write(&format!("{asked} {}\n", BASE64.encode(script)));
        asked
    }

    fn write(&self, line: &str) {
        let mut agent = self.agent.borrow_mut();
        let agent = agent.as_mut().expect("it has power");
        agent.lines.get_mut().write_all(line.as_bytes()).unwrap();
    }

    /// The next line of the agent, or `None` when none came until then.
    fn line(&self, until: Instant) -> Option<String> {
        let mut agent = self.agent.borrow_mut();
        let agent = agent.as_mut().expect("it has power");
        while Instant::now() < until {
            // A read that ends early leaves in `half` what it got.
            let whole = agent.lines.read_until(b'\n', &mut agent.half).unwrap_or(0) > 0;
            if whole && agent.half.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&std::mem::take(&mut agent.half)).into_owned();
                return Some(line.trim_end().to_owned());
            }
        }
        None
    }

    fn lost(&self, doing: &str) -> ! {
        let console = std::fs::read(self.path("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let tail = console.len().saturating_sub(4_000);
        let tail = console.get(tail..).unwrap_or(&console);
        panic!("the board does not answer: {doing}\n{tail}");
    }

    /// Takes the power away, in the middle of whatever it does.
    pub fn cut_power(&mut self) {
        self.agent.borrow_mut().take();
        self.qemu.take().expect("it has power").kill();
    }

    /// Shuts it down.
    pub fn power_off(&mut self) {
        self.send("systemctl poweroff");
        let mut qemu = self.qemu.take().expect("it has power");
        qemu.ended_within(BOOT_TIME_MAX);
    }

    /// `rtsp://…/stream` as the account `viewer`.
    pub fn rtsp(&self, stream: &str) -> String {
        let password = self.password.get().expect("the account is made");
        format!("rtsp://viewer:{password}@127.0.0.1:{}/{stream}", self.rtsp_port)
    }

    /// `http://…path`.
    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http_port)
    }

    /// The API token of the tests; empty before it is made.
    pub fn token(&self) -> &str {
        self.token.get().map_or("", String::as_str)
    }

    /// A header that lets a program in.
    pub fn proof(&self) -> String {
        format!("Authorization: Bearer {}", self.token())
    }

    /// The JSON at `path`, whatever its status; `None` while there is no answer.
    pub fn get(&self, path: &str) -> Option<Value> {
        let (_, body) = ask(&self.http(path), self.token()).ok()?;
        serde_json::from_slice(&body).ok()
    }

    /// What is at `path`: the status, and the body as far as it is text.
    pub fn fetch(&self, path: &str) -> (u16, String) {
        Self::fetch_url(&self.http(path), self.token())
    }

    /// As [`Machine::fetch`], for other threads.
    pub fn fetch_url(url: &str, token: &str) -> (u16, String) {
        let (status, body) = ask(url, token).unwrap_or_else(|error| panic!("{url}: {error}"));
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

fn ask(url: &str, token: &str) -> Result<(u16, Vec<u8>), ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_TIME_MAX))
        .http_status_as_error(false)
        .build()
        .into();
    let proof = format!("Bearer {token}");
    let mut answer = agent.get(url).header("Authorization", &proof).call()?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_vec()?))
}

impl Drop for Machine {
    /// A test that failed shows what the board said of it.
    fn drop(&mut self) {
        if std::thread::panicking() && self.qemu.is_some() {
            self.send(include_str!("guest/said.sh"));
            let until = Instant::now() + Duration::from_secs(60);
            while let Some(line) = self.line(until) {
                let said = line.split(' ').nth(2).and_then(|said| BASE64.decode(said).ok());
                if let Some(said) = said.filter(|said| !said.is_empty()) {
                    println!("{}", String::from_utf8_lossy(&said));
                    break;
                }
            }
        }
    }
}
