//! The audit log: who did what, when and from where.
//!
//! Owns: its two files in `state_dir`, of which the older one goes when the newer one is full, and
//! the chain: each line holds the SHA-256 of the line before it, so that a line that was changed or
//! taken out shows. Passwords, keys and values of settings are in no line. Several processes may
//! write; they take turns. How often acts are noted that anybody can repeat is in `pace`.

mod pace;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::credential::{hash, hex};
use super::store::own_as_parent;
use crate::base::limits::{AUDIT_FILE_BYTES_MAX, AUDIT_TEXT_CHARS_MAX};
use crate::base::time::WallTime;

pub(super) use pace::{Budget, Pace};

const NEWER: &str = "audit.log";
const OLDER: &str = "audit.1.log";
const LOCK: &str = "audit.lock";
/// Bytes behind which no line begins: several times the longest.
const TAIL_BYTES: u64 = 16 << 10;

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Act {
    /// The account or token; `command line` for `holdfast` itself.
    pub who: String,
    /// How they proved it.
    pub proof: &'static str,
    /// `http`, `https`, `rtsp`, `rtsps` or `local`.
    pub scheme: &'static str,
    /// Where they were.
    pub address: Option<IpAddr>,
    /// The act and its object, such as `DELETE /api/v1/pins/5`.
    pub act: String,
    /// The status of the answer; 0 for the command line.
    pub result: u16,
}

/// What one line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// The act.
    pub act: Act,
    /// How often it was done.
    pub times: u64,
    /// How many acts of the same kind, by others too, no line is about.
    pub others: u64,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditEntry {
    /// Counts up.
    pub seq: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// The account or token.
    pub who: String,
    /// How they proved it.
    pub proof: String,
    /// `http`, `https`, `rtsp`, `rtsps` or `local`.
    pub scheme: String,
    /// Where they were.
    pub address: Option<IpAddr>,
    /// The act and its object.
    pub act: String,
    /// The status of the answer; 0 for the command line.
    pub result: u16,
    /// How often it was done, if more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How many acts like it were counted only, because too many came at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// SHA-256 of the line before.
    pub before: String,
}

/// What is read of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AuditTail {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// False where a line was changed or taken out.
    pub whole: bool,
}

/// The log in one directory.
#[derive(Clone, Debug)]
pub struct AuditLog {
    dir: PathBuf,
}

impl AuditLog {
    /// The log in `dir`, which need not be there yet.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Notes `act`; it is on the medium when this returns. Blocks.
    pub fn append(&self, at: WallTime, act: Act) -> io::Result<()> {
        self.append_line(at, &AuditLine { act, times: 1, others: 0 })
    }

    /// The same with an act of which there may be more. Blocks.
    pub fn append_line(&self, at: WallTime, line: &AuditLine) -> io::Result<()> {
        let AuditLine { act, times, others } = line;
        let _turn = self.turn()?;
        let newer = self.dir.join(NEWER);
        let last = match last_line(&newer)? {
            None => last_line(&self.dir.join(OLDER))?,
            last => last,
        };
        let seq = last.as_deref().and_then(parse).map_or(1, |entry| entry.seq + 1);
        let short = |text: &str| text.chars().take(AUDIT_TEXT_CHARS_MAX).collect::<String>();
        let entry = AuditEntry {
            seq,
            at: at.to_rfc3339(),
            who: short(&act.who),
            proof: act.proof.to_owned(),
            scheme: act.scheme.to_owned(),
            address: act.address,
            act: short(&act.act),
            result: act.result,
            times: Some(*times).filter(|times| *times > 1),
            others: Some(*others).filter(|others| *others > 0),
            before: hex(&hash(last.as_deref().unwrap_or_default())),
        };
        let line = serde_json::to_string(&entry)? + "\n";
        let length = fs::metadata(&newer).map_or(0, |file| file.len());
        if length + line.len() as u64 > AUDIT_FILE_BYTES_MAX {
            fs::rename(&newer, self.dir.join(OLDER))?;
            File::open(&self.dir)?.sync_all()?;
        }
        let mut file = open(&newer)?;
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    /// The newest entries, `most` of them, and whether the chain holds over all that is kept.
    /// Blocks.
    pub fn newest(&self, most: usize) -> io::Result<AuditTail> {
        let (mut entries, mut whole) = (Vec::new(), true);
        let mut before: Option<String> = None;
        for name in [OLDER, NEWER] {
            for line in text(&self.dir.join(name))?.lines() {
                let entry = parse(line);
                let follows = |entry: &AuditEntry| {
                    before.as_ref().is_none_or(|before| *before == entry.before)
                };
                whole &= entry.as_ref().is_some_and(follows);
                before = Some(hex(&hash(line)));
                entries.extend(entry);
            }
        }
        entries.reverse();
        entries.truncate(most);
        Ok(AuditTail { entries, whole })
    }

    fn turn(&self) -> io::Result<File> {
        let lock = open(&self.dir.join(LOCK))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(lock)
    }
}

fn parse(line: &str) -> Option<AuditEntry> {
    serde_json::from_str(line).ok()
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    own_as_parent(path)?;
    Ok(file)
}

/// The whole lines of a file; none where it is not there.
fn text(path: &Path) -> io::Result<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(AUDIT_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last line of a file, without its end. One that a power cut tore is cut off: nobody was told
/// that it was kept.
fn last_line(path: &Path) -> io::Result<Option<String>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    (&mut file).take(TAIL_BYTES).read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if end < tail.len() {
        file.set_len(begin + end as u64)?;
    }
    let line = tail[..end].split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn act(text: &str) -> Act {
        Act {
            who: "anna".to_owned(),
            proof: "session",
            scheme: "https",
            address: Some([192, 0, 2, 7].into()),
            act: text.to_owned(),
            result: 200,
        }
    }

    fn log(dir: &Path, count: usize) -> AuditLog {
        let log = AuditLog::at(dir);
        for number in 0..count {
            log.append(WallTime::default(), act(&format!("DELETE /{number}"))).unwrap();
        }
        log
    }

    #[test]
    fn what_was_done_is_there_after_a_restart_the_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), 3);
        log(dir.path(), 1);
        let tail = AuditLog::at(dir.path()).newest(3).unwrap();
        let seqs: Vec<u64> = tail.entries.iter().map(|entry| entry.seq).collect();
        assert_eq!((seqs.as_slice(), tail.whole), (&[4, 3, 2][..], true));
        assert_eq!(tail.entries[0].act, "DELETE /0");
        let mode = fs::metadata(dir.path().join(NEWER)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_changed_or_taken_out_shows() {
        for change in [
            (|text: &str| text.replacen("anna", "vera", 1)) as fn(&str) -> String,
            |text| {
                text.lines()
                    .skip(1)
                    .take(1)
                    .chain(text.lines().skip(3))
                    .collect::<Vec<_>>()
                    .join("\n")
                    + "\n"
            },
            |text| text.replacen('{', "", 1),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let log = log(dir.path(), 5);
            let path = dir.path().join(NEWER);
            let changed = change(&fs::read_to_string(&path).unwrap());
            fs::write(&path, changed).unwrap();
            assert!(!log.newest(9).unwrap().whole);
        }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_log_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 2);
        let path = dir.path().join(NEWER);
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"seq\":3,\"at\":\"19");
        fs::write(&path, text).unwrap();
        log.append(WallTime::default(), act("PUT /")).unwrap();
        let tail = log.newest(9).unwrap();
        assert!(tail.whole && tail.entries.len() == 3 && tail.entries[0].seq == 3, "{tail:?}");
    }

    #[test]
    fn it_is_bounded_and_the_chain_goes_over_to_the_next_file() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1);
        let path = dir.path().join(NEWER);
        let line = fs::read_to_string(&path).unwrap();
        let fill = usize::try_from(AUDIT_FILE_BYTES_MAX).unwrap() - line.len() - 1;
        fs::write(&path, format!("{}\n{line}", "x".repeat(fill))).unwrap();
        log.append(WallTime::default(), act(&"y".repeat(9_000))).unwrap();
        let newer = fs::read_to_string(&path).unwrap();
        assert_eq!(newer.lines().count(), 1);
        let entry = parse(newer.trim_end()).unwrap();
        assert_eq!((entry.seq, entry.act.len()), (2, AUDIT_TEXT_CHARS_MAX));
        assert_eq!(entry.before, hex(&hash(line.trim_end())));
        assert!(fs::metadata(dir.path().join(OLDER)).unwrap().len() <= AUDIT_FILE_BYTES_MAX);
    }
}
