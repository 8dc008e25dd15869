//! An HTTP door on a port of its own, one stream behind it, and a client that says what it likes.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

pub mod sound;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use holdfast::access::AccessControl;
use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, MediaTime, SharedClock, SystemClock};
use holdfast::board::Machine;
use holdfast::dvr::{self, Dvr};
use holdfast::encode::still::{HevcLibrary, StillDecoders};
use holdfast::live::StreamOutputs;
use holdfast::live::recorder::Recorder;
use holdfast::media::AccessUnit;
use holdfast::playback::sprite::Sprites;
use holdfast::serve::config_desk::ConfigDesk;
use holdfast::serve::http::{self, HttpContext};
use holdfast::serve::rtsp::SessionRegistry;
use holdfast::serve::tls::Tls;
use holdfast::serve::{Foundation, Services};
use holdfast::stream::{Stream, StreamState};
use holdfast::supervise::{Supervisor, TaskSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::footage::{BEGINS, Footage};

/// The state of the box under test.
pub struct Setup {
    /// The program that makes pictures.
    pub decoder: PathBuf,
    /// Those of H.265 streams.
    pub h265: HevcLibrary,
    /// What is published is recorded.
    pub recorded: bool,
    pub clock: SharedClock,
    pub ring_bytes: u64,
}

impl Setup {
    /// An ordinary one that records nothing.
    pub fn new(decoder: PathBuf) -> Self {
        let clock = Arc::new(SystemClock);
        Self { decoder, h265: HevcLibrary::Off, recorded: false, clock, ring_bytes: 64 << 20 }
    }
}

/// What the kernel of a Raspberry Pi tells.
fn raspberry_pi() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (file, content) in [
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0"),
        ("proc/loadavg", "0.52 0.58 0.59 1/391 12345\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "52095\n"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
    ] {
        let file = root.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    root
}

/// A box with the stream `gate`, recorded or not.
pub struct TestBox {
    pub addr: SocketAddr,
    pub stream: Arc<Stream>,
    pub outputs: Arc<StreamOutputs>,
    pub supervisor: Supervisor,
    pub clock: SharedClock,
    pub dvr: Dvr,
    pub disk: tempfile::TempDir,
    pub sprites: Sprites,
    /// What the kernel of its board tells.
    pub tree: tempfile::TempDir,
}

impl TestBox {
    /// Opens the door. `decoder` is the program that makes pictures.
    pub async fn open(decoder: PathBuf, recorded: bool) -> Self {
        Self::open_with(Setup { recorded, ..Setup::new(decoder) }).await
    }

    /// As [`TestBox::open`], with whatever `setup` says.
    pub async fn open_with(setup: Setup) -> Self {
        let Setup { decoder, h265, recorded, clock, ring_bytes } = setup;
        let supervisor = Supervisor::new(Stop::new(), Arc::clone(&clock));
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name.clone(), "pattern", clock.wall());
        let disk = tempfile::tempdir().unwrap();
        let tree = raspberry_pi();
        let ring = dvr::RingConfig {
            data_dir: disk.path().to_owned(),
            size: dvr::RingSizing::Bytes(ring_bytes),
            slot_bytes: None,
        };
        let dvr = Dvr::open(ring, Arc::clone(&clock), None).unwrap();
        let recorder = recorded.then(|| {
            Recorder::keep(Arc::clone(&stream), &dvr, &supervisor, dvr::Retention::default())
        });
        let decoders = StillDecoders::keep(&decoder, h265, &supervisor);
        let outputs = Arc::new(StreamOutputs::new(&stream, recorder, &decoders, &supervisor));
        let services = Arc::new(Services::new(Foundation {
            supervisor: &supervisor,
            clock: Arc::clone(&clock),
            data_dir: disk.path().to_owned(),
            state_dir: disk.path().join("state"),
            dvr: dvr.clone(),
            decoders: &decoders,
            machine: Machine::open(tree.path(), disk.path(), Arc::clone(&clock)).unwrap(),
            rtsp: SessionRegistry::default(),
            tls: Tls::new(disk.path().join("tls"), Arc::clone(&clock)),
            config: ConfigDesk::new().0,
            access: Arc::new(
                AccessControl::open(&disk.path().join("state"), Arc::clone(&clock)).unwrap(),
            ),
        }));
        services.streams.replace(BTreeMap::from([(name, Arc::clone(&outputs))]));
        services.rtsp.serve_at(8554);
        let hosts = vec!["box.test".to_owned(), "box.t".to_owned()];
        let access = http::Access::OpenOnLoopback;
        services.http.change(http::HttpSettings { access, hosts, ..http::HttpSettings::default() });
        let sprites = services.sprites.clone();
        let http = Arc::new(HttpContext::new(services));
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addr = listener.local_addr().unwrap();
        supervisor.keep(TaskSpec::new("http"), move |context| {
            http::run(Arc::clone(&listener), Arc::clone(&http), None, context)
        });
        Self { addr, stream, outputs, supervisor, clock, dvr, disk, sprites, tree }
    }

    /// A box that makes no pictures and records nothing.
    pub async fn plain() -> Self {
        Self::open(PathBuf::from("/nonexistent/decoder"), false).await
    }

    /// A box that makes no pictures and records.
    pub async fn recording() -> Self {
        let open = Self::open(PathBuf::from("/nonexistent/decoder"), true).await;
        // Before the clock was read footage is dated as believed.
        while open.dvr.facts().clock.rows().next().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        open
    }

    /// Makes the stream live with the tracks of `footage`.
    pub fn go_live(&self, footage: &Footage) {
        self.stream.set_tracks(Arc::clone(&footage.tracks));
        self.stream.set_state(StreamState::Live, self.clock.wall());
    }

    /// Publishes the part of `footage` between two times of its own, as if it had begun at `base`.
    pub async fn publish(&self, footage: &Footage, base: BootTime, from_ms: u64, to_ms: u64) {
        let run = footage.tracks.run;
        let own_ms = |unit: &AccessUnit| millis(unit.arrived.since(BEGINS));
        for unit in &footage.units {
            if (from_ms..to_ms).contains(&own_ms(unit)) {
                self.stream.publish(AccessUnit { run, ..moved(unit, base) });
            }
            // Footage comes faster than from a camera; who waits for the first key frame would
            // begin at the last one.
            while self.outputs.recorder.as_ref().is_some_and(|it| it.totals().units == 0) {
                tokio::task::yield_now().await;
            }
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: box.test\r\nConnection: close\r\n\r\n"))
            .await
    }

    /// Sends `json` to `path`.
    pub async fn post(&self, path: &str, json: &serde_json::Value) -> Reply {
        let body = json.to_string();
        let head = "Host: box.test\r\nConnection: close\r\nContent-Type: application/json";
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.ask(&format!("DELETE {path} HTTP/1.1\r\nHost: box.test\r\nConnection: close\r\n\r\n"))
            .await
    }

    /// Sends `text` unchanged and reads to the end.
    pub async fn ask(&self, text: &str) -> Reply {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        Reply::parse(&bytes)
    }
}

/// Whole milliseconds of a short time.
pub fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

/// `unit` as if its footage had begun at `base`.
fn moved(unit: &AccessUnit, base: BootTime) -> AccessUnit {
    let by = i64::try_from(base.as_nanos()).unwrap() - i64::try_from(BEGINS.as_nanos()).unwrap();
    let time = |at: MediaTime| MediaTime {
        ticks: at.ticks + MediaTime::from_nanos(by, at.rate).ticks,
        rate: at.rate,
    };
    let arrived = base.after(unit.arrived.since(BEGINS));
    AccessUnit { decode: time(unit.decode), present: time(unit.present), arrived, ..unit.clone() }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The error code of an answer other than success.
    pub fn code(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].as_str().unwrap().len() > 10, "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}
