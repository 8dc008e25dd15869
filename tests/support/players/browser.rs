//! A real browser on a page of ours that plays with other people's players.
//!
//! Owns: the server of that page (`play.html`), which has an origin of its own, and the browser.
//! The page asks what it is to play and tells what it sees; both go through `/report`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::firefox::firefox;
use crate::harness::{Running, need, wait_for};

/// A browser, and Debian's package of it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Chromium,
    Firefox,
}

/// A browser on the page.
pub struct Browser {
    shared: Arc<Shared>,
    port: u16,
    dir: tempfile::TempDir,
    _running: Running,
}

#[derive(Default)]
struct Shared {
    /// The media to play, by name.
    orders: Mutex<BTreeMap<String, Value>>,
    /// What the page said last.
    told: Mutex<Value>,
}

/// What a player in the page has seen so far.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Seen {
    /// Where it plays, in seconds.
    pub time: f64,
    /// How long all of it is, if it ends.
    pub duration: Option<f64>,
    pub ended: bool,
    /// Pictures that were decoded.
    pub frames: u64,
    /// Some of those on the screen: the number and the date that they say.
    pub pictures: Vec<(u64, u64)>,
    /// How old the newest of them was.
    pub age_ms: Option<i64>,
    /// Widths and heights, as `320x180`.
    pub sizes: Vec<String>,
    /// Errors that end it, and others.
    pub fatal: Vec<String>,
    pub faults: Vec<String>,
    /// Parts in the list that hls.js read last.
    pub parts: u64,
    /// Decoded bytes of sound, where the browser reports them.
    pub sound: Option<u64>,
}

impl Browser {
    pub fn open(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || serve(&listener, &serving));
        let dir = tempfile::tempdir().unwrap();
        let url = format!("http://127.0.0.1:{port}/play.html");
        let mut command = kind.command(dir.path());
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        command.arg(url).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let running = Running::start(&mut command);
        let browser = Self { shared, port, dir, _running: running };
        wait_for("the browser opens the page", Duration::from_secs(60), || {
            (!browser.shared.told.lock().unwrap().is_null()).then_some(())
        });
        browser
    }

    /// The origin of the page.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets `player` (`hls.js`, `shaka`) play what is at `url`.
    pub fn play(&self, name: &str, player: &str, url: &str, options: &Value) {
        let order = json!({ "name": name, "player": player, "url": url, "options": options });
        self.shared.orders.lock().unwrap().insert(name.to_owned(), order);
    }

    /// Moves it to another variant, counted as the player counts them.
    pub fn switch(&self, name: &str, level: usize) {
        let mut orders = self.shared.orders.lock().unwrap();
        orders.get_mut(name).expect("it plays")["level"] = json!(level);
    }

    /// Lets it jump back by some seconds, to what it has buffered.
    pub fn jump_back(&self, name: &str) {
        let mut orders = self.shared.orders.lock().unwrap();
        let order = orders.get_mut(name).expect("it plays");
        order["jumps"] = json!(order["jumps"].as_u64().unwrap_or(0) + 1);
    }

    pub fn stop(&self, name: &str) {
        self.shared.orders.lock().unwrap().remove(name);
    }

    /// What it has seen, once it has begun.
    pub fn seen(&self, name: &str) -> Option<Seen> {
        let told = self.shared.told.lock().unwrap()[name].clone();
        (!told.is_null()).then(|| serde_json::from_value(told).unwrap())
    }

    /// Waits until what it has seen is enough; an error that ends it fails.
    pub fn wait(&self, name: &str, most: Duration, enough: impl Fn(&Seen) -> bool) -> Seen {
        let last = Mutex::new(None);
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(name, most, || {
                let seen = self.seen(name)?;
                assert!(seen.fatal.is_empty(), "{name}: {seen:?}");
                *last.lock().unwrap() = Some(seen.clone());
                enough(&seen).then_some(seen)
            })
        }));
        seen.unwrap_or_else(|_| {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            panic!("{name}: {:?}\n{log}", last.lock().unwrap())
        })
    }

    /// Waits until it has shown so many pictures more.
    pub fn goes_on(&self, name: &str, pictures: u64, most: Duration) -> Seen {
        let before = self.seen(name).map_or(0, |seen| seen.frames);
        self.wait(name, most, |seen| seen.frames >= before + pictures)
    }
}

impl Kind {
    fn command(self, dir: &Path) -> Command {
        match self {
            Self::Chromium => {
                need("chromium", "chromium");
                let mut command = Command::new("chromium");
                command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
                command.args(["--disable-background-networking", "--disable-component-update"]);
                command.args(["--disable-sync", "--mute-audio"]);
                command.arg("--autoplay-policy=no-user-gesture-required");
                command.arg(format!("--user-data-dir={}", dir.display()));
                command
            }
            Self::Firefox => firefox(dir),
        }
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming().flatten() {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || answer(socket, &shared));
    }
}

/// One request; the connection ends with it.
fn answer(socket: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (kind, body) = match path.as_str() {
        "/report" => {
            *shared.told.lock().unwrap() = serde_json::from_slice(&body).ok()?;
            let orders: Vec<_> = shared.orders.lock().unwrap().values().cloned().collect();
            ("application/json", json!(orders).to_string().into_bytes())
        }
        "/play.html" => ("text/html", file("play.html")),
        "/hls.js" => ("text/javascript", file("node_modules/hls.js/dist/hls.min.js")),
        "/shaka.js" => {
            let path = "node_modules/shaka-player/dist/shaka-player.compiled.js";
            ("text/javascript", file(path))
        }
        _ => ("text/plain", Vec::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    let mut socket = socket;
    socket.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    socket.write_all(&body).ok()
}

fn file(name: &str) -> Vec<u8> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "support", "players"].iter().collect();
    std::fs::read(dir.join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}; the players are installed by `make test`"))
}
