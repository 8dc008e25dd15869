//! What a child says on its standard error: a few lines a minute into the log, the rest counted.

use std::time::Duration;

use tracing::info;

use crate::base::limits::{COMMAND_LINE_BYTES_MAX, COMMAND_LINES_PER_MINUTE_MAX};
use crate::base::name::StreamName;
use crate::base::time::BootTime;

const MINUTE: Duration = Duration::from_secs(60);

/// The lines of one child.
#[derive(Debug)]
pub(super) struct Chatter {
    stream: StreamName,
    line: Vec<u8>,
    last: String,
    minute_begun: Option<BootTime>,
    told: u32,
    left_out: u64,
}

impl Chatter {
    pub(super) fn new(stream: StreamName) -> Self {
        Self {
            stream,
            line: Vec::new(),
            last: String::new(),
            minute_begun: None,
            told: 0,
            left_out: 0,
        }
    }

    /// Takes what was read.
    pub(super) fn receive(&mut self, now: BootTime, bytes: &[u8]) {
        for &byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                self.end_line(now);
            } else if self.line.len() < COMMAND_LINE_BYTES_MAX {
                self.line.push(byte);
            }
        }
    }

    fn end_line(&mut self, now: BootTime) {
        let line = readable(&std::mem::take(&mut self.line));
        if line.is_empty() {
            return;
        }
        if self.minute_begun.is_none_or(|begun| now.since(begun) >= MINUTE) {
            self.tell_left_out();
            (self.minute_begun, self.told) = (Some(now), 0);
        }
        if self.told < COMMAND_LINES_PER_MINUTE_MAX {
            self.told += 1;
            info!(stream = %self.stream, words = line, "command says");
        } else {
            self.left_out += 1;
        }
        self.last = line;
    }

    fn tell_left_out(&mut self) {
        let lines = std::mem::take(&mut self.left_out);
        if lines > 0 {
            info!(stream = %self.stream, lines, "too much output from the command, dropping it");
        }
    }

    /// The last thing it said, as the end of a sentence.
    pub(super) fn last_words(&mut self, now: BootTime) -> String {
        self.end_line(now);
        self.tell_left_out();
        match self.last.as_str() {
            "" => String::new(),
            last => format!("; it said: {}", last.trim_end_matches('.')),
        }
    }
}

/// The line as text, without control characters and without what is between `://` and `@`.
fn readable(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line)
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let mut parts = text.trim().split("://");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(['/', ' ', '?']).unwrap_or(part.len());
        let host = part[..end].rfind('@').map_or(0, |at| at + 1);
        told.push_str("://");
        told.push_str(&part[host..]);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chatter() -> Chatter {
        Chatter::new(StreamName::parse("gate").unwrap())
    }

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    #[test]
    fn a_flood_is_counted_and_not_told() {
        let mut chatter = chatter();
        for n in 0..10_000 {
            chatter.receive(at(1), format!("line {n}\r\n").as_bytes());
        }
        assert_eq!((chatter.told, chatter.left_out), (20, 9_980));
        chatter.receive(at(61), b"later\n");
        assert_eq!((chatter.told, chatter.left_out), (1, 0));
        assert_eq!(chatter.last_words(at(61)), "; it said: later");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut chatter = chatter();
        chatter.receive(at(1), &vec![b'x'; 100_000]);
        assert_eq!(chatter.line.len(), COMMAND_LINE_BYTES_MAX);
    }

    #[test]
    fn a_line_is_text_without_secrets() {
        let line = b"\x1b[31mInput #0, rtsp://admin:p/a@s@10.0.0.7/main?x, from rtsp://u:p@h\x07";
        assert!(!readable(line).contains('\x1b'));
        let line = b"open rtsp://admin:secret@10.0.0.7/main from http://u:p@h failed";
        assert_eq!(readable(line), "open rtsp://10.0.0.7/main from http://h failed");
        assert_eq!(readable(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
