//! The URLs by which recorders of other makers ask for a channel, live and recorded.
//!
//! Owns: their shapes. Does not own: which stream a channel is; that is the driver's rule
//! ([`Channels`]).

/// A numbered channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// From one.
    pub number: u32,
    /// Its sub-stream.
    pub sub: bool,
}

/// Which stream each channel is.
pub trait Channels: std::fmt::Debug + Send + Sync {
    /// The name of the stream that `channel` is; `None` when there is none.
    fn stream(&self, channel: Channel) -> Option<String>;
}

/// No channel is any stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoChannels;

impl Channels for NoChannels {
    fn stream(&self, _: Channel) -> Option<String> {
        None
    }
}

impl Channel {
    /// The channel that a path without its outer slashes names, together with the query.
    ///
    /// `Streaming/Channels/102` is the sub-stream of channel 1, `Streaming/tracks/101` its main
    /// stream; `cam/realmonitor` and `cam/playback` say `channel=1&subtype=0`.
    pub(super) fn of(path: &str, query: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        if let Some(number) =
            path.strip_prefix("streaming/channels/").or(path.strip_prefix("streaming/tracks/"))
        {
            return Self::of_number(number);
        }
        if path != "cam/realmonitor" && path != "cam/playback" {
            return None;
        }
        let number = query("channel").and_then(|text| text.parse().ok()).filter(|&n| n > 0)?;
        let sub = query("subtype").is_some_and(|subtype| subtype != "0");
        Some(Self { number, sub })
    }

    fn of_number(text: &str) -> Option<Self> {
        let number: u32 = text.parse().ok()?;
        match (number / 100, number % 100) {
            (0, _) | (_, 0 | 3..) => None,
            (channel, stream) => Some(Self { number: channel, sub: stream == 2 }),
        }
    }

    /// The one path that names it without a query, in Hikvision's numbers. No stream is called so.
    pub(super) fn path(self) -> String {
        format!("Streaming/Channels/{}", u64::from(self.number) * 100 + 1 + u64::from(self.sub))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_told_by_path_or_by_query() {
        let none = |_: &str| None;
        let sub = |key: &str| Some(if key == "channel" { "16" } else { "1" }.to_owned());
        let of = |path: &str| Channel::of(path, none).map(|channel| (channel.number, channel.sub));
        assert_eq!(of("Streaming/Channels/101"), Some((1, false)));
        assert_eq!(of("streaming/channels/1602"), Some((16, true)));
        assert_eq!(of("Streaming/tracks/201"), Some((2, false)));
        for path in ["Streaming/Channels/1", "Streaming/Channels/100", "Streaming/Channels/103"] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(of("cam/realmonitor"), None);
        let sub = Channel::of("cam/playback", sub).unwrap();
        assert_eq!((sub.number, sub.sub), (16, true));
        assert_eq!(sub.path(), "Streaming/Channels/1602");
        assert_eq!(Channel::of(&sub.path(), none), Some(sub));
    }
}
