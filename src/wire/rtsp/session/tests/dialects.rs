//! Conversations as recorders hold them, letter by letter; `tests/data/dialects/README.md` says
//! how they are written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use md5::{Digest as _, Md5};

use super::*;
use crate::wire::rtsp::auth::{Account, Accounts, Authorizer, REALM, Rules, Scope};

const DIALECTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dialects");

/// One recorder before the box.
struct Recorder {
    bench: Bench,
    /// The Session header as it came last, and the nonce.
    session: String,
    nonce: String,
    /// Proofs given with that nonce.
    proofs: u32,
    said: usize,
}

fn hex(text: impl AsRef<[u8]>) -> String {
    Md5::digest(text).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn authorizer() -> Arc<Authorizer> {
    let ha1 = crate::base::secret::Secret::new(hex(format!("nvr:{REALM}:secret")));
    let account = Account::new(ha1, Scope::All, Scope::none());
    let accounts: Accounts = BTreeMap::from([("nvr".to_owned(), account)]);
    Arc::new(Authorizer::new(&[7; 32], Rules::new(accounts, false)))
}

impl Recorder {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.session = bench.session.authorized_by(authorizer());
        Self { bench, session: String::new(), nonce: String::new(), proofs: 0, said: 0 }
    }

    /// The value of `word` in braces.
    fn meant(&mut self, word: &str) -> String {
        let parts: Vec<&str> = word.split(' ').collect();
        match parts[..] {
            ["session"] => self.session.split(';').next().unwrap_or_default().to_owned(),
            ["echo"] => self.session.clone(),
            ["digest", method, uri] => {
                self.proofs += 1;
                self.proof(method, uri, Some(self.proofs))
            }
            ["digest-uncounted", method, uri] => self.proof(method, uri, Some(1)),
            ["digest-2069", method, uri] => self.proof(method, uri, None),
            _ => panic!("what is {word}?"),
        }
    }

    /// A proof after RFC 2617 §3.2.2 with this counter, or after RFC 2069.
    fn proof(&self, method: &str, uri: &str, count: Option<u32>) -> String {
        let (ha1, ha2) = (hex(format!("nvr:{REALM}:secret")), hex(format!("{method}:{uri}")));
        let nonce = &self.nonce;
        let counted = count.map(|count| format!("{count:08x}:0a4f113b:auth:")).unwrap_or_default();
        let response = hex(format!("{ha1}:{nonce}:{counted}{ha2}"));
        let mut proof = format!(
            "Digest username=\"nvr\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\""
        );
        if let Some(count) = count {
            write!(proof, ", qop=auth, nc={count:08x}, cnonce=\"0a4f113b\"").unwrap();
        }
        proof
    }

    fn filled_in(&mut self, line: &str) -> String {
        match line.split_once('{').zip(line.rsplit_once('}')) {
            Some(((before, _), (_, after))) => {
                let word = &line[before.len() + 1..line.len() - after.len() - 1];
                format!("{before}{}{after}", self.meant(word))
            }
            None => line.to_owned(),
        }
    }

    /// What came of it, as lines of a dialogue.
    fn heard(&mut self, reply: &str) -> String {
        let mut lines = String::new();
        for line in reply.lines() {
            writeln!(lines, "{}", format!("< {line}").trim_end()).unwrap();
            if let Some(session) = line.strip_prefix("Session: ") {
                session.clone_into(&mut self.session);
            }
            if let Some((_, rest)) = line.split_once("nonce=\"") {
                rest.split('"').next().unwrap_or_default().clone_into(&mut self.nonce);
                self.proofs = 0;
            }
        }
        for event in &self.bench.events[self.said..] {
            writeln!(lines, "! {event:?}").unwrap();
        }
        self.said = self.bench.events.len();
        lines
    }

    /// Holds the conversation of `text`; what it says of answers is rewritten.
    fn hold(&mut self, text: &str) -> String {
        let (mut told, mut request) = (String::new(), String::new());
        for line in text.lines().filter(|line| !line.starts_with(['<', '!'])) {
            writeln!(told, "{line}").unwrap();
            let (mark, rest) = line.split_at(1);
            let rest = rest.trim();
            let reply = match mark {
                "#" => continue,
                "~" => self.bench.later(Duration::from_secs(rest.parse().unwrap())),
                "$" => {
                    let (channel, bytes) = rest.split_once(' ').unwrap();
                    let byte = |at| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap();
                    let packet: Vec<u8> = (0..bytes.len()).step_by(2).map(byte).collect();
                    let length = u8::try_from(packet.len()).unwrap();
                    let head = [b'$', channel.parse().unwrap(), 0, length];
                    self.bench.say(&[&head[..], &packet].concat())
                }
                ">" => {
                    write!(request, "{}\r\n", self.filled_in(rest)).unwrap();
                    if !rest.is_empty() {
                        continue;
                    }
                    self.bench.say(std::mem::take(&mut request).as_bytes())
                }
                _ => panic!("what is {line}?"),
            };
            told += &self.heard(&reply);
        }
        told
    }
}

#[test]
fn recorders_are_understood() {
    let mut seen = 0;
    for entry in std::fs::read_dir(DIALECTS).unwrap() {
        let path = entry.unwrap().path().join("dialogue.txt");
        if !path.is_file() {
            continue;
        }
        check(&path);
        seen += 1;
    }
    assert_eq!(seen, 8, "one recorder or more is missing");
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let told = Recorder::new().hold(&text);
    if std::env::var_os("UPDATE_DIALECTS").is_some() {
        return std::fs::write(path, &told).unwrap();
    }
    let differs = text.lines().zip(told.lines()).position(|(wanted, got)| wanted != got);
    let line = differs.unwrap_or(text.lines().count().min(told.lines().count()));
    let got = told.lines().nth(line).unwrap_or("(nothing more)");
    assert!(text == told, "{}: line {}: {got}", path.display(), line + 1);
}
