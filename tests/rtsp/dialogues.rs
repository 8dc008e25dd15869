//! Golden dialogues: one folder per kind of odd camera, in virtual time.
//!
//! `dialogues/<kind>/dialogue` holds what the camera says and does, and behind it what the box says
//! and makes of it. `UPDATE_GOLDEN=1` writes the box's lines anew. Lines begin with
//!
//! | | |
//! |---|---|
//! | `#` | which cameras do this; `transports:` and `credentials` change what is configured |
//! | `<` | the camera says this line; `Content-Length: *` is counted, `<~` ends it with LF alone |
//! | `<<` | the camera sends a packet inside the connection: channel and octets |
//! | `+` | so many seconds pass |
//! | `x` | the camera closes the connection |
//! | `>` | the box says this line |
//! | `=` | what the box makes of it |

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use holdfast::base::secret::Secret;
use holdfast::base::time::BootTime;
use holdfast::wire::rtsp::client::{
    Carrier, ClientCommand, ClientConfig, ClientEvent, ClientSession, ClientStep, ClientTransport,
};

/// The box, and what was written down of it.
struct Dialogue {
    session: ClientSession,
    now: BootTime,
    written: String,
}

impl Dialogue {
    /// Writes down what the box says and does until it rests; connections and ports are had at
    /// once, and every track is wanted.
    fn settle(&mut self) {
        loop {
            match self.session.poll(self.now) {
                ClientStep::Wait { .. } => return,
                ClientStep::Send(bytes) => {
                    for line in String::from_utf8_lossy(&bytes).trim_end().lines() {
                        writeln!(self.written, "> {line}").unwrap();
                    }
                }
                ClientStep::Event(event) => self.on(&event),
            }
        }
    }

    fn on(&mut self, event: &ClientEvent) {
        let (told, answer) = match event {
            ClientEvent::Connect { port } => {
                (format!("connects to port {port}"), Some(ClientCommand::Connected))
            }
            ClientEvent::Described(description) => {
                let media = (0..description.media.len()).collect();
                let codecs = description.media.iter().map(|medium| medium.encoding.as_str());
                let told = format!("is described {}", codecs.collect::<Vec<_>>().join(", "));
                (told, Some(ClientCommand::SetUp(media)))
            }
            ClientEvent::OpenPorts { medium } => {
                let port = 5_000 + u16::try_from(*medium).unwrap() * 2;
                let ports = ClientCommand::Ports(Some((port, port + 1)));
                (format!("opens ports for track {medium}"), Some(ports))
            }
            ClientEvent::SetUp { medium, path } => {
                (format!("has track {medium} by {path:?}"), None)
            }
            ClientEvent::NotSetUp { medium, status } => {
                (format!("leaves track {medium} out, status {status}"), None)
            }
            ClientEvent::Playing => ("plays".to_owned(), None),
            ClientEvent::Media { medium, kind, packet } => {
                (format!("takes {kind:?} of track {medium}, {} octets", packet.len()), None)
            }
            ClientEvent::Ended(why) => (format!("ends: {why:?}"), None),
        };
        writeln!(self.written, "= {told}").unwrap();
        if let Some(answer) = answer {
            self.session.command(self.now, answer);
        }
    }

    /// The camera says `lines`, from an empty one on a body.
    fn hear(&mut self, lines: &[(String, bool)]) {
        let at = lines.iter().position(|(line, _)| line.is_empty()).unwrap_or(lines.len());
        let text = |lines: &[(String, bool)]| {
            lines.iter().fold(String::new(), |text, (line, bare)| {
                text + line + if *bare { "\n" } else { "\r\n" }
            })
        };
        let body = text(lines.get(at + 1..).unwrap_or_default());
        let mut head = text(&lines[..at]).replace("Length: *", &format!("Length: {}", body.len()));
        head += if lines.iter().all(|(_, bare)| *bare) { "\n" } else { "\r\n" };
        self.session.receive(head.as_bytes());
        self.session.receive(body.as_bytes());
        self.settle();
    }

    fn packet(&mut self, line: &str) {
        let (channel, octets) = line.split_once(' ').unwrap();
        let octets: Vec<u8> = (0..octets.len() / 2)
            .map(|at| u8::from_str_radix(&octets[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
        self.session.receive(&[b'$', channel.parse().unwrap()]);
        self.session.receive(&length);
        self.session.receive(&octets);
        self.settle();
    }
}

/// The configuration that the comments ask for.
fn config(text: &str) -> ClientConfig {
    let wished = text.lines().find_map(|line| line.strip_prefix("# transports: "));
    let transports = wished.unwrap_or("tcp udp multicast").split(' ').map(|name| match name {
        "tcp" => ClientTransport::Tcp,
        "udp" => ClientTransport::Udp,
        "multicast" => ClientTransport::Multicast,
        other => panic!("no transport {other}"),
    });
    let signs_in = text.lines().any(|line| line == "# credentials");
    ClientConfig {
        url: "rtsp://10.0.0.7/main".parse().unwrap(),
        credentials: signs_in.then(|| ("viewer".to_owned(), Secret::new("secret"))),
        carrier: Carrier::Direct,
        transports: transports.collect(),
        answer_time: Duration::from_secs(10),
        seed: 7,
    }
}

/// Replays the camera of `text`; the whole dialogue as it went.
fn replayed(text: &str) -> String {
    let now = BootTime::from_millis(1_000);
    let session = ClientSession::new(now, config(text));
    let mut dialogue = Dialogue { session, now, written: String::new() };
    let (mut says, mut begun) = (Vec::new(), false);
    for line in text.lines().chain([""]) {
        if let Some(said) = line.strip_prefix('<').filter(|rest| !rest.starts_with('<')) {
            let bare = said.starts_with('~');
            let said = said.trim_start_matches('~');
            says.push((said.strip_prefix(' ').unwrap_or(said).to_owned(), bare));
        } else if !says.is_empty() {
            dialogue.hear(&std::mem::take(&mut says));
        }
        if line.starts_with('>') || line.starts_with('=') {
            continue;
        }
        if !line.starts_with('#') && !std::mem::replace(&mut begun, true) {
            dialogue.settle();
        }
        if line.is_empty() {
            continue;
        }
        writeln!(dialogue.written, "{line}").unwrap();
        if let Some(secs) = line.strip_prefix("+ ") {
            for _ in 0..secs.parse().unwrap() {
                dialogue.now = dialogue.now.after(Duration::from_secs(1));
                dialogue.settle();
            }
        } else if let Some(packet) = line.strip_prefix("<< ") {
            dialogue.packet(packet);
        } else if line == "x" {
            dialogue.session.command(dialogue.now, ClientCommand::Disconnected);
            dialogue.settle();
        }
    }
    dialogue.written
}

#[test]
fn every_kind_of_camera_is_spoken_to_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtsp/dialogues");
    let mut kinds: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    kinds.sort();
    assert!(kinds.len() >= 25, "only {} kinds", kinds.len());
    let mut other = Vec::new();
    for kind in kinds {
        let file = kind.join("dialogue");
        let written = std::fs::read_to_string(&file).unwrap();
        let now = replayed(&written);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &now).unwrap();
        } else if now != written {
            println!("--- {}: now it goes\n{now}", file.display());
            other.push(kind);
        }
    }
    assert!(other.is_empty(), "these went otherwise: {other:?}");
}

/// Adds the text of the Rust files below `dir`.
fn read_sources(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The tests that the last column of a row names: one at least.
fn tests_named(row: &str) -> Vec<&str> {
    let shown = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
    let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
    assert!(!names.is_empty(), "no test is named: {row}");
    names
}

#[test]
fn every_row_about_cameras_names_tests_that_exist_and_every_dialogue_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/reference/cameras.md")).unwrap();
    let mut sources = String::new();
    for dir in ["src/ingest", "src/live", "src/stream", "src/supervise", "src/wire", "tests/rtsp"] {
        read_sources(&root.join(dir), &mut sources);
    }
    let dialogues = root.join("tests/rtsp/dialogues");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.contains("| Shown by |"));
    let mut named = Vec::new();
    for row in rows {
        let names = tests_named(row);
        for name in &names {
            let is_test = sources.contains(&format!("fn {name}("));
            assert!(is_test || dialogues.join(name).is_dir(), "there is no test {name}: {row}");
        }
        named.extend(names);
    }
    assert!(named.len() > 50, "only {} tests are named", named.len());
    for dialogue in std::fs::read_dir(&dialogues).unwrap() {
        let name = dialogue.unwrap().file_name().into_string().unwrap();
        assert!(named.contains(&name.as_str()), "no row names the dialogue {name}");
    }
}

#[test]
fn every_row_about_readers_and_encoders_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/reference/readers.md")).unwrap();
    let mut sources = String::new();
    for dir in ["src/ingest", "src/live", "src/playback", "src/serve", "src/wire", "tests/rtsp"] {
        read_sources(&root.join(dir), &mut sources);
    }
    let (_, rows) = page.split_once("## What recorders and players ask").unwrap();
    let rows = rows.lines().filter(|line| line.starts_with("| ") && !line.contains("| shown by |"));
    let mut count = 0;
    for row in rows {
        let names = tests_named(row);
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}: {row}");
        }
        count += 1;
    }
    assert!(count > 25, "only {count} rows");
}
