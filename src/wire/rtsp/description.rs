//! What a publisher announces: its session description, read with tolerance (RFC 8866).
//!
//! Owns: the few lines that matter to a receiver. Encoders leave out lines that the RFC demands
//! (`v=`, `o=`, `s=`, `t=`), so no strict reader is asked.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rtsp_types::Url;

use super::target::Target;
use crate::base::limits::{SDP_FMTP_BYTES_MAX, SDP_MEDIA_MAX};
use crate::media::TrackId;

/// What a publisher brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionDescription {
    /// Its media, in order; never empty, at most [`SDP_MEDIA_MAX`].
    pub media: Vec<MediaDescription>,
    /// The control URL of the whole, relative or absolute.
    pub(super) control: Option<String>,
    /// Media beyond those, which were not read.
    pub(super) left_out: usize,
}

/// One `m=` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaDescription {
    /// `video`, `audio` or something else, in lower case.
    pub kind: String,
    /// The first payload type that it names and describes.
    pub payload_type: u8,
    /// All that it names, in order.
    pub(super) formats: Vec<u8>,
    /// The encoding's name in lower case; empty when nothing tells it.
    pub encoding: String,
    /// Ticks per second; zero when nothing tells it.
    pub clock_rate: u32,
    /// Channels, if given.
    pub channels: Option<u16>,
    /// Format parameters as written behind the payload type.
    pub fmtp: Option<String>,
    /// Pixels across and down, if given.
    pub dimensions: Option<(u16, u16)>,
    /// The control URL, relative or absolute.
    pub(super) control: Option<String>,
    /// The port that it names; zero when none.
    pub(super) port: u16,
    /// The multicast group of its `c=`, or of the whole description's.
    pub(super) group: Option<Ipv4Addr>,
}

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// It has no `m=` line.
    #[error("the description names no media")]
    NoMedia,
    /// It has more `m=` lines than are read.
    #[error("the description names more than {SDP_MEDIA_MAX} media")]
    TooMany,
    /// No `m=` line can be read.
    #[error("line {line} of the description cannot be read")]
    Unreadable {
        /// Its number, from 1.
        line: usize,
    },
}

impl SessionDescription {
    /// Reads `text`, whose length has met its limit already. Lines end in CRLF, LF or CR.
    pub fn parse(text: &[u8]) -> Result<Self, DescriptionError> {
        let text = String::from_utf8_lossy(text);
        let mut offer = Self::default();
        let (mut group, mut unreadable, mut readable) = (None, None, 0);
        for (at, line) in text.split(['\r', '\n', '\0']).map(str::trim).enumerate() {
            let Some((kind, value)) = line.split_once('=') else { continue };
            match kind.trim() {
                "m" if offer.media.len() == SDP_MEDIA_MAX => offer.left_out += 1,
                "m" => {
                    let medium = MediaDescription::parse(value);
                    match &medium {
                        Some(_) => readable += 1,
                        None => unreadable = unreadable.or(Some(at + 1)),
                    }
                    // One that cannot be read keeps its place, and is not carried.
                    let kind =
                        || value.split_ascii_whitespace().next().unwrap_or_default().to_owned();
                    let medium = medium.unwrap_or_else(|| MediaDescription {
                        kind: kind(),
                        ..MediaDescription::default()
                    });
                    offer.media.push(MediaDescription { group, ..medium });
                }
                // Attributes of unread media belong to none.
                _ if offer.left_out > 0 => {}
                "c" => match offer.media.last_mut() {
                    Some(medium) => medium.group = group_of(value).or(medium.group),
                    None => group = group_of(value),
                },
                "a" => match offer.media.last_mut() {
                    Some(medium) => medium.attribute(value),
                    None => {
                        if let Some(control) = value.strip_prefix("control:") {
                            offer.control = Some(control.trim().to_owned());
                        }
                    }
                },
                _ => {}
            }
        }
        match (readable, unreadable) {
            (0, None) => Err(DescriptionError::NoMedia),
            (0, Some(line)) => Err(DescriptionError::Unreadable { line }),
            _ => Ok(offer),
        }
    }
}

/// The multicast group that a `c=` line names; what else it says, or leaves out, matters nowhere.
fn group_of(value: &str) -> Option<Ipv4Addr> {
    let address = value.split_ascii_whitespace().nth(2)?;
    let address: Ipv4Addr = address.split('/').next()?.parse().ok()?;
    address.is_multicast().then_some(address)
}

impl MediaDescription {
    /// Reads the rest of an `m=` line: media, port, transport, payload types (RFC 8866 §5.14).
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = words.next()?.to_ascii_lowercase();
        let rest: Vec<&str> = words.take(8).collect();
        // Some leave the port out, so what is behind the transport counts.
        let named = |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic());
        let transport = rest.iter().position(named)?;
        let port = rest[..transport].first().and_then(|port| port.split('/').next()?.parse().ok());
        let port = port.unwrap_or(0);
        let payload_type = rest.get(transport + 1)?.parse().ok().filter(|pt| *pt < 128)?;
        let formats =
            rest[transport + 1..].iter().filter_map(|format| format.parse().ok()).collect();
        // RFC 3551 §6; those that come without a=rtpmap.
        let (encoding, clock_rate) = match payload_type {
            0 => ("pcmu", 8_000),
            8 => ("pcma", 8_000),
            26 => ("jpeg", 90_000),
            _ => ("", 0),
        };
        let encoding = encoding.to_owned();
        Some(Self { kind, payload_type, formats, encoding, clock_rate, port, ..Self::default() })
    }

    /// Takes one `a=` line. A line about another payload type, or one that cannot be read, says
    /// nothing.
    fn attribute(&mut self, value: &str) {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        let own = |own: u8, value: &str| {
            let (payload_type, rest) = value.trim().split_once(char::is_whitespace)?;
            (payload_type.parse() == Ok(own)).then(|| rest.trim().to_owned())
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "rtpmap" => {
                self.describe_another(value);
                let Some(map) = own(self.payload_type, value) else { return };
                let mut parts = map.split('/').map(str::trim);
                self.encoding = match parts.next().unwrap_or_default().to_ascii_lowercase() {
                    // Some cameras call it so.
                    name if name == "hevc" => "h265".to_owned(),
                    name => name,
                };
                self.clock_rate = match parts.next() {
                    // A camera that leaves the rate out: every video format that is carried counts
                    // in this (RFC 6184 §8.2.1). A rate that is written and wrong stays refused.
                    None | Some("") if self.kind == "video" => 90_000,
                    rate => rate.and_then(|rate| rate.parse().ok()).unwrap_or(0),
                };
                self.channels = parts.next().and_then(|channels| channels.parse().ok());
            }
            "fmtp" if value.len() <= SDP_FMTP_BYTES_MAX => {
                self.fmtp = own(self.payload_type, value).or_else(|| self.fmtp.take());
            }
            "control" => self.control = Some(value.trim().to_owned()),
            "x-dimensions" => self.dimensions = size(value).or(self.dimensions),
            "framesize" => {
                let told = own(self.payload_type, value).and_then(|value| size(&value));
                self.dimensions = told.or(self.dimensions);
            }
            _ => {}
        }
    }
}

impl MediaDescription {
    /// Takes the payload type of a map, if it is named before the one that was taken so far, or
    /// nothing tells what that one is.
    fn describe_another(&mut self, map: &str) {
        let mut words = map.split_ascii_whitespace();
        let Some(named) = words.next().and_then(|word| word.parse::<u8>().ok()) else { return };
        let encoding = words.next().unwrap_or_default().to_ascii_lowercase();
        let is_helper = HELPERS.iter().any(|helper| encoding.starts_with(helper));
        let place = |format: u8| self.formats.iter().position(|own| *own == format);
        let (Some(found), Some(taken)) = (place(named), place(self.payload_type)) else { return };
        if found < taken || self.encoding.is_empty() && found > taken && !is_helper {
            (self.payload_type, self.fmtp) = (named, None);
        }
    }
}

/// What comes beside media and is none: repetitions, corrections, tones.
const HELPERS: [&str; 5] = ["rtx", "red/", "ulpfec", "flexfec", "telephone-event"];

/// `1920,1080` or `1920-1080`.
fn size(value: &str) -> Option<(u16, u16)> {
    let (width, height) = value.split_once([',', '-'])?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}

/// An offer that was accepted, and what SETUP finds its media by.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) stream: String,
    pub(super) offer: Arc<SessionDescription>,
}

impl Announced {
    /// Whether `target` is the stream itself, and so all of its media.
    pub(super) fn is_whole(&self, target: &Target) -> bool {
        target.track.is_none() && target.stream == self.stream
    }

    /// Which medium `url` names: by its control URL, else by the number at its end, else the
    /// only one.
    pub(super) fn track_of(&self, url: &Url) -> Option<TrackId> {
        let media = &self.offer.media;
        let asked = url.as_str().trim_end_matches('/');
        let named = media.iter().position(|medium| {
            let control = medium.control.as_deref().unwrap_or_default();
            let control = path(control).trim_matches('/');
            let before = asked.strip_suffix(control);
            !control.is_empty() && control != "*" && before.is_some_and(|b| b.ends_with('/'))
        });
        let numbered = || {
            let (_, number) = asked.rsplit_once('=')?;
            number.parse().ok().filter(|&number: &usize| number < media.len())
        };
        let only = || (media.len() == 1).then_some(0);
        let place = named.or_else(numbered).or_else(only)?;
        u8::try_from(place).ok().map(TrackId)
    }
}

/// A control URL without scheme and host: encoders name the host as they see it.
fn path(control: &str) -> &str {
    match control.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => control,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ffmpeg 5.1 announces for H.264 and AAC.
    const FFMPEG: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\n\
        t=0 0\r\na=tool:libavformat 59.27.100\r\nm=video 0 RTP/AVP 96\r\nb=AS:2000\r\n\
        a=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\n\
        a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\nb=AS:128\r\n\
        a=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=control:streamid=1\r\n";

    fn announced(text: &str) -> Announced {
        let offer = Arc::new(SessionDescription::parse(text.as_bytes()).unwrap());
        Announced { stream: "gate".to_owned(), offer }
    }

    fn track(announced: &Announced, url: &str) -> Option<u8> {
        announced.track_of(&Url::parse(url).unwrap()).map(|track| track.0)
    }

    #[test]
    fn what_ffmpeg_says_is_read() {
        let announced = announced(FFMPEG);
        let told: Vec<_> = announced
            .offer
            .media
            .iter()
            .map(|m| {
                (m.kind.as_str(), m.payload_type, m.encoding.as_str(), m.clock_rate, m.channels)
            })
            .collect();
        let video = ("video", 96, "h264", 90_000, None);
        assert_eq!(told, [video, ("audio", 97, "mpeg4-generic", 48_000, Some(2))]);
        assert!(announced.offer.media[0].fmtp.as_ref().unwrap().ends_with("aMuMsg=="));
        assert_eq!(track(&announced, "rtsp://h:8554/gate/streamid=1"), Some(1));
        assert_eq!(track(&announced, "rtsp://h:8554/gate/streamid=1/"), Some(1));
        assert_eq!(track(&announced, "rtsp://h:8554/gate/streamid=7"), None);
        assert_eq!(track(&announced, "rtsp://h:8554/gate"), None);
    }

    #[test]
    fn lines_that_are_missing_odd_or_ended_otherwise_are_forgiven() {
        for text in [
            "m=audio 0 RTP/AVP 8",
            "v=0\nm=audio 5004 RTP/AVP 8 0\na=rtpmap:0 X/1\na=control\n",
            "v=0\r\nm=audio RTP/AVP 8\r\n\0",
            "m=audio 49170/2 RTP/AVP 8\0m",
            "\r\n\r\nno line\rm=AUDIO 0 RTP/AVP 8\rA=x\r",
        ] {
            let offer = SessionDescription::parse(text.as_bytes()).unwrap();
            assert_eq!((offer.media.len(), &*offer.media[0].encoding), (1, "pcma"), "{text:?}");
        }
    }

    #[test]
    fn of_several_payload_types_the_first_that_is_described_counts() {
        for (text, wanted) in [
            (
                "m=video 0 RTP/AVP 35 96\na=rtpmap:96 H264/90000\na=fmtp:96 x=1\n",
                (96, "h264", true),
            ),
            (
                "m=video 0 RTP/AVP 96 97\na=rtpmap:97 rtx/90000\na=rtpmap:96 HEVC/90000\n",
                (96, "h265", false),
            ),
            (
                "m=video 0 RTP/AVP 96 97\na=rtpmap:97 H265/90000\na=rtpmap:96 H264/90000\na=fmtp:96 x=1\n",
                (96, "h264", true),
            ),
            ("m=audio 0 RTP/AVP 0 97\na=rtpmap:97 opus/48000/2\n", (0, "pcmu", false)),
            ("m=video 0 RTP/AVP 35\na=rtpmap:96 H264/90000\n", (35, "", false)),
        ] {
            let medium = SessionDescription::parse(text.as_bytes()).unwrap().media.remove(0);
            let told = (medium.payload_type, medium.encoding.as_str(), medium.fmtp.is_some());
            assert_eq!(told, wanted, "{text}");
        }
    }

    #[test]
    fn urls_name_media_by_control_number_or_because_there_is_one() {
        let absolute = "m=video 0 RTP/AVP 96\na=control:rtsp://10.0.0.9/gate/trackID=0\n\
            m=audio 0 RTP/AVP 8\na=control:rtsp://10.0.0.9/gate/trackID=1\n";
        assert_eq!(track(&announced(absolute), "rtsp://h/gate/trackID=1"), Some(1));
        let silent = "m=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 8\n";
        assert_eq!(track(&announced(silent), "rtsp://h/gate/trackID=1"), Some(1));
        assert_eq!(track(&announced(silent), "rtsp://h/gate/trackID=2"), None);
        let one = announced("m=video 0 RTP/AVP 96\na=control:*\n");
        assert_eq!(track(&one, "rtsp://h/gate"), Some(0));
    }

    #[test]
    fn parameters_beyond_any_measure_are_not_read() {
        let text = |bytes| format!("m=video 0 RTP/AVP 96\na=fmtp:96 x={}\n", "y".repeat(bytes));
        let read =
            |bytes| SessionDescription::parse(text(bytes).as_bytes()).unwrap().media.remove(0).fmtp;
        assert_eq!(read(1_000).unwrap().len(), 1_002);
        assert_eq!(read(SDP_FMTP_BYTES_MAX), None);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let many = "m=video 0 RTP/AVP 96\n".repeat(1_000);
        for (text, wanted) in [
            (&b""[..], DescriptionError::NoMedia),
            (b"v=0\r\ns=x\r\n", DescriptionError::NoMedia),
            (b"m=video\n", DescriptionError::Unreadable { line: 1 }),
            (b"v=0\nm=video 0 RTP/AVP 400\n", DescriptionError::Unreadable { line: 2 }),
        ] {
            assert_eq!(SessionDescription::parse(text), Err(wanted));
        }
        let beside = SessionDescription::parse(b"m=video\na=control:1\nm=audio 0 RTP/AVP 8\n");
        let kinds = beside.unwrap().media.into_iter().map(|medium| medium.kind);
        assert_eq!(kinds.collect::<Vec<_>>(), ["video", "audio"], "the other one is not lost");
        let read = SessionDescription::parse(many.as_bytes()).unwrap();
        assert_eq!((read.media.len(), read.left_out), (SDP_MEDIA_MAX, 1_000 - SDP_MEDIA_MAX));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_reading_panic(text: String, url in "rtsp://h/\\PC{0,40}") {
            if let (Ok(offer), Ok(url)) = (SessionDescription::parse(text.as_bytes()), Url::parse(&url)) {
                let announced = Announced { stream: String::new(), offer: Arc::new(offer) };
                let _ = announced.track_of(&url);
            }
        }
    }
}
