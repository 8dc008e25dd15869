//! What a connection is for: it reads a stream, or it publishes one.
//!
//! Owns: that these exclude each other, and which of them flows now.

use super::super::inline::InlineHandle;
use super::super::multicast::Membership;
use super::super::play::Play;
use super::super::record::Record;
use super::input::Input;

/// What a connection does for its peer besides answering.
#[derive(Debug, Default)]
pub(super) enum ConnectionRole {
    /// Nothing yet, or nothing any more.
    #[default]
    Idle,
    /// Plays by unicast, or has paused.
    Reader(Reader),
    /// Plays by unicast; the packetizer has the sending half while this task sleeps.
    Parked(InlineHandle),
    /// Plays by multicast.
    Member(Membership),
    /// Publishes, or has set up a track for it.
    Publisher(Box<Record>),
}

/// A reader by unicast.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) play: Play,
    /// Where `play` goes while this task sleeps.
    pub(super) inline: Option<InlineHandle>,
}

impl ConnectionRole {
    /// The unicast playback, unless the packetizer has it.
    pub(super) fn play(&self) -> Option<&Play> {
        match self {
            Self::Reader(reader) => Some(&reader.play),
            _ => None,
        }
    }

    /// As [`play`](Self::play), to change it.
    pub(super) fn play_mut(&mut self) -> Option<&mut Play> {
        match self {
            Self::Reader(reader) => Some(&mut reader.play),
            _ => None,
        }
    }

    /// A reader by unicast that nothing serves inline yet.
    pub(super) fn reader(play: Play) -> Self {
        Self::Reader(Reader { play, inline: None })
    }

    /// The unicast playback alone; its inline delivery ends.
    pub(super) fn into_play(self) -> Option<Play> {
        match self {
            Self::Reader(Reader { play, inline }) => {
                drop(inline);
                Some(play)
            }
            _ => None,
        }
    }

    /// The membership of a multicast group.
    pub(super) fn member(&self) -> Option<&Membership> {
        match self {
            Self::Member(member) => Some(member),
            _ => None,
        }
    }

    /// The publishing peer's state.
    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Self::Publisher(record) => Some(record),
            _ => None,
        }
    }

    /// As [`record`](Self::record), to change it.
    pub(super) fn record_mut(&mut self) -> Option<&mut Record> {
        match self {
            Self::Publisher(record) => Some(record),
            _ => None,
        }
    }

    /// The publishing peer's state, a fresh one if it did not publish.
    pub(super) fn into_record(self) -> Box<Record> {
        match self {
            Self::Publisher(record) => record,
            _ => Box::default(),
        }
    }

    /// Waits for what flows: the next unit if one is wanted, the end of the group, or a packet of
    /// the publisher. Cancel safe.
    pub(super) async fn next(&mut self, takes_units: bool) -> Input {
        match self {
            Self::Reader(reader) if takes_units => Input::Unit(reader.play.next().await),
            Self::Member(member) => {
                member.ended().await;
                Input::GroupEnded
            }
            Self::Publisher(record) => Input::PublisherInput(record.next().await),
            Self::Idle | Self::Reader(_) | Self::Parked(_) => std::future::pending().await,
        }
    }

    /// Waits until inline delivery needs its owner. Cancel safe.
    pub(super) async fn woken(&self) {
        match self {
            Self::Parked(inline) => inline.woken().await,
            _ => std::future::pending().await,
        }
    }
}
