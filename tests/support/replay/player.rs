//! An RTSP client that notes what it was sent.

use std::time::Duration;

use holdfast::base::time::{Clock, WallTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bench, PATIENCE};
use crate::clock::LongOn;

/// What the header extension of ONVIF says of a picture.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // four bits of one octet
pub struct Said {
    /// Since 1970.
    pub nanos: i64,
    pub clean: bool,
    pub ends: bool,
    pub jump: bool,
    pub terminal: bool,
    pub cseq: u8,
}

/// What was got.
#[derive(Default)]
pub struct Got {
    /// Each picture as Annex B.
    pub pictures: Vec<Vec<u8>>,
    pub stamps: Vec<u32>,
    pub said: Vec<Said>,
    pub sound: usize,
    pub(super) first: Option<(u16, u32)>,
    pub(super) making: Vec<u8>,
    pub(super) bye: bool,
}

impl Got {
    pub fn append(&mut self, mut more: Self) {
        self.pictures.append(&mut more.pictures);
        self.stamps.append(&mut more.stamps);
        self.said.append(&mut more.said);
        self.sound += more.sound;
        self.first = self.first.or(more.first);
    }

    /// The first packet is the one in RTP-Info.
    pub fn assert_begins_as(&self, reply: &str) {
        let (sequence, stamp) = self.first.expect("a packet came");
        let told = format!("/trackID=0;seq={sequence};rtptime={stamp}");
        assert!(reply.contains(&told), "{reply} does not say {told}");
    }

    /// Takes a packet of pictures.
    pub(super) fn take(&mut self, packet: &[u8]) {
        let stamp = u32::from_be_bytes(*packet[4..].first_chunk().unwrap());
        let sequence = u16::from_be_bytes(*packet[2..].first_chunk().unwrap());
        self.first.get_or_insert((sequence, stamp));
        let mut payload = &packet[12..];
        if packet[0] & 0x10 != 0 {
            assert_eq!(payload[..4], [0xab, 0xac, 0, 3], "the extension of ONVIF");
            assert!(self.making.is_empty(), "on the first packet of a picture only");
            let ntp = u64::from_be_bytes(*payload[4..].first_chunk().unwrap());
            let nanos = WallTime::from_ntp(ntp, LongOn.wall()).as_unix_nanos();
            let bit = |bit: u8| payload[12] & bit != 0;
            let (clean, ends, jump, terminal) = (bit(0x80), bit(0x40), bit(0x20), bit(0x10));
            let cseq = payload[13];
            self.said.push(Said { nanos, clean, ends, jump, terminal, cseq });
            payload = &payload[16..];
        }
        match payload[0] & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while let Some((length, behind)) = rest.split_first_chunk::<2>() {
                    let (nal, behind) = behind.split_at(u16::from_be_bytes(*length).into());
                    self.nal(nal);
                    rest = behind;
                }
            }
            28 if payload[1] & 0x80 != 0 => {
                self.nal(&[payload[0] & 0xe0 | payload[1] & 0x1f]);
                self.making.extend_from_slice(&payload[2..]);
            }
            28 => self.making.extend_from_slice(&payload[2..]),
            _ => self.nal(payload),
        }
        if packet[1] & 0x80 != 0 {
            self.pictures.push(std::mem::take(&mut self.making));
            self.stamps.push(stamp);
        }
    }

    pub(super) fn nal(&mut self, nal: &[u8]) {
        self.making.extend_from_slice(&[0, 0, 0, 1]);
        self.making.extend_from_slice(nal);
    }
}

/// A client over TCP.
pub struct Player {
    pub(super) socket: TcpStream,
    pub(super) url: String,
    pub(super) cseq: u32,
    /// The number that the next packet of each channel must have.
    pub(super) next: [Option<u16>; 4],
}

impl Player {
    /// Sets up both tracks of `stream`.
    pub async fn set_up(bench: &Bench, stream: &str) -> Self {
        let socket = TcpStream::connect(bench.address).await.unwrap();
        let url = format!("rtsp://{}/{stream}", bench.address);
        let mut player = Self { socket, url, cseq: 300, next: [None; 4] };
        for track in 0..2 {
            let more = format!(
                "Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n",
                track * 2,
                track * 2 + 1
            );
            let (reply, _) = player.ask("SETUP", &format!("/trackID={track}"), &more).await;
            assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
        }
        player
    }

    /// The low octet of the last CSeq.
    pub fn cseq(&self) -> u8 {
        self.cseq.to_be_bytes()[3]
    }

    /// Asks, and returns the reply with what came before it.
    pub async fn ask(&mut self, method: &str, path: &str, more: &str) -> (String, Got) {
        self.cseq += 1;
        let (url, cseq) = (&self.url, self.cseq);
        let ask = format!("{method} {url}{path} RTSP/1.0\r\nCSeq: {cseq}\r\n{more}\r\n");
        self.socket.write_all(ask.as_bytes()).await.unwrap();
        let mut got = Got::default();
        let read = async {
            loop {
                let first = self.socket.read_u8().await.unwrap();
                if first == b'$' {
                    self.frame(&mut got).await;
                    continue;
                }
                let mut reply = vec![first];
                while !reply.ends_with(b"\r\n\r\n") {
                    reply.push(self.socket.read_u8().await.unwrap());
                }
                let mut reply = String::from_utf8(reply).unwrap();
                let length = reply.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                if let Some(length) = length {
                    let mut body = vec![0; length.parse().unwrap()];
                    self.socket.read_exact(&mut body).await.unwrap();
                    reply += &String::from_utf8(body).unwrap();
                }
                return reply;
            }
        };
        let reply = tokio::time::timeout(PATIENCE, read).await.expect("a reply comes");
        (reply, got)
    }

    pub async fn play(&mut self, more: &str) -> String {
        let (reply, got) = self.ask("PLAY", "", more).await;
        assert!(got.pictures.is_empty(), "{} pictures before the reply", got.pictures.len());
        reply
    }

    pub(super) async fn frame(&mut self, got: &mut Got) {
        let channel = usize::from(self.socket.read_u8().await.unwrap());
        let mut packet = vec![0; usize::from(self.socket.read_u16().await.unwrap())];
        self.socket.read_exact(&mut packet).await.unwrap();
        if channel % 2 == 1 {
            // A report, then the name, and BYE (RFC 3550 §6.6).
            got.bye |= channel == 1 && packet.windows(4).any(|head| head == [0x81, 203, 0, 1]);
            return;
        }
        let sequence = u16::from_be_bytes(*packet[2..].first_chunk().unwrap());
        let wanted = *self.next[channel].get_or_insert(sequence);
        assert_eq!(sequence, wanted, "numbers only grow, by one");
        self.next[channel] = Some(sequence.wrapping_add(1));
        if channel == 0 { got.take(&packet) } else { got.sound += 1 }
    }

    pub(super) async fn read(&mut self, enough: impl Fn(&Got) -> bool) -> Got {
        let mut got = Got::default();
        let read = async {
            while !enough(&got) {
                assert_eq!(self.socket.read_u8().await.unwrap(), b'$', "nothing but packets");
                self.frame(&mut got).await;
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        assert!(read.is_ok(), "{} pictures and no end", got.pictures.len());
        got
    }

    /// So many pictures.
    pub async fn frames(&mut self, count: usize) -> Got {
        self.read(|got| got.pictures.len() >= count).await
    }

    /// All until the server says that nothing more comes.
    pub async fn until_bye(&mut self) -> Got {
        self.read(|got| got.bye).await
    }

    /// All until the server closes, and whether it does.
    pub async fn until_closed(&mut self) -> (Got, bool) {
        let mut got = Got::default();
        let read = async {
            while let Ok(first) = self.socket.read_u8().await {
                assert_eq!(first, b'$', "nothing but packets");
                self.frame(&mut got).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, read).await.is_ok();
        (got, ended)
    }

    /// Whether no picture comes for so long.
    pub async fn silent_for(&mut self, time: Duration) -> bool {
        let mut got = Got::default();
        let until = tokio::time::Instant::now() + time;
        loop {
            match tokio::time::timeout_at(until, self.socket.read_u8()).await {
                Err(_) => return got.pictures.is_empty(),
                Ok(first) => {
                    assert_eq!(first.unwrap(), b'$');
                    self.frame(&mut got).await;
                }
            }
        }
    }
}
