//! Cutting NAL units into packets, shared by H.264 (RFC 6184) and H.265 (RFC 7798).
//!
//! Owns: the choice between a packet for one NAL, one for several, and several for one. What
//! differs between the two codecs is a [`Scheme`].

use super::super::packet::{PAYLOAD_BYTES_MAX, PacketWriter};
use crate::media::AccessUnit;
use crate::media::nal::Nals;

/// Length field before each NAL of an aggregation packet.
const AGGREGATED_HEAD_BYTES: usize = 2;

/// Position of a fragment in its NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    First,
    Middle,
    Last,
}

impl Edge {
    /// The S and E bits of a fragment header, the same in both codecs.
    pub(super) fn bits(self) -> u8 {
        match self {
            Self::First => 0x80,
            Self::Middle => 0,
            Self::Last => 0x40,
        }
    }
}

/// What differs between the two codecs.
pub(super) trait Scheme {
    /// Bytes of a NAL unit header.
    const HEADER_BYTES: usize;
    /// NAL types from this one on belong to the payload format and cannot be carried.
    const KINDS: u8;
    /// The access unit delimiter, which stays in front of everything.
    const DELIMITER: u8;
    /// The type of a NAL unit of at least [`HEADER_BYTES`](Self::HEADER_BYTES).
    fn kind(nal: &[u8]) -> u8;
    /// The payload header of a packet with several NAL units.
    fn aggregate(nals: &[&[u8]]) -> Vec<u8>;
    /// The payload and fragment headers of a packet with a piece of `nal`.
    fn fragment(nal: &[u8], edge: Edge) -> Vec<u8>;
}

/// Cuts the NAL units of `unit`; with `sets`, the parameter sets that it lacks go in front.
pub(super) fn cut<S: Scheme>(unit: &AccessUnit, sets: bool, out: &mut PacketWriter) {
    let carried = |nal: &&[u8]| nal.len() >= S::HEADER_BYTES && S::kind(nal) < S::KINDS;
    let mut nals = Nals::new(&unit.data).filter(carried).peekable();
    let mut group = Group::<S>::new(out);
    while let Some(delimiter) = nals.next_if(|nal| S::kind(nal) == S::DELIMITER) {
        group.add(delimiter);
    }
    let wanted = if sets { unit.params.parameter_nals() } else { Vec::new() };
    for set in &wanted {
        // Where several of a kind are in force, each is looked for by itself.
        let alone = wanted.iter().filter(|other| S::kind(other) == S::kind(set)).count() == 1;
        let own = |nal: &[u8]| S::kind(nal) == S::kind(set) && (alone || nal == &set[..]);
        if carried(&&set[..]) && !Nals::new(&unit.data).filter(carried).any(own) {
            group.add(set);
        }
    }
    nals.for_each(|nal| group.add(nal));
    group.flush();
    out.mark();
}

/// NAL units that will share a packet.
struct Group<'a, 'o, S> {
    out: &'o mut PacketWriter,
    nals: Vec<&'a [u8]>,
    bytes: usize,
    scheme: std::marker::PhantomData<S>,
}

impl<'a, 'o, S: Scheme> Group<'a, 'o, S> {
    fn new(out: &'o mut PacketWriter) -> Self {
        let scheme = std::marker::PhantomData;
        Self { out, nals: Vec::new(), bytes: S::HEADER_BYTES, scheme }
    }

    fn add(&mut self, nal: &'a [u8]) {
        let with_head = AGGREGATED_HEAD_BYTES + nal.len();
        if self.bytes + with_head > PAYLOAD_BYTES_MAX {
            self.flush();
        }
        if nal.len() > PAYLOAD_BYTES_MAX {
            self.fragment(nal);
        } else {
            self.nals.push(nal);
            self.bytes += with_head;
        }
    }

    fn flush(&mut self) {
        match &self.nals[..] {
            [] => {}
            [one] => self.out.packet(&[one], 0),
            several => {
                let mut payload = S::aggregate(several);
                for nal in several {
                    let length = u16::try_from(nal.len()).expect("it fits a packet");
                    payload.extend_from_slice(&length.to_be_bytes());
                    payload.extend_from_slice(nal);
                }
                self.out.packet(&[&payload], 0);
            }
        }
        self.nals.clear();
        self.bytes = S::HEADER_BYTES;
    }

    fn fragment(&mut self, nal: &[u8]) {
        let room = PAYLOAD_BYTES_MAX - S::HEADER_BYTES - 1;
        let pieces = nal[S::HEADER_BYTES..].chunks(room);
        let last = pieces.len() - 1;
        for (at, piece) in pieces.enumerate() {
            let edge = match at {
                0 => Edge::First,
                at if at == last => Edge::Last,
                _ => Edge::Middle,
            };
            self.out.packet(&[&S::fragment(nal, edge), piece], 0);
        }
    }
}
