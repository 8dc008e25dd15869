//! UDP multicast: a live stream leaves once for all who read it this way.
//!
//! Owns: which group a stream has, and the sender of each stream, which runs while it has members;
//! when each of them was heard last. Does not own: sessions.
//!
//! Invariants:
//! 1. There is one sender per stream and interface, whatever the number of members and listeners.
//! 2. A stream keeps its group for as long as the configuration of groups and the set of streams
//!    that want the same one stay the same; restarts do not matter.
//! 3. The group is never the peer's to choose.

mod rtcp_receivers;
mod sender;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwapOption;

use self::sender::GroupSender;
use crate::base::Stop;
use crate::base::limits::{MULTICAST_GROUPS_MAX, TRACKS_MAX};
use crate::base::sync::lock;
use crate::base::time::BootTime;
use crate::live::StreamOutputs;
use crate::media::TrackId;
use crate::supervise::Supervisor;
use crate::wire::rtsp::Group;

/// Ports of one stream: RTP and RTCP of every track.
pub const PORTS_PER_STREAM: u16 = 8;
const _: () = assert!(PORTS_PER_STREAM as usize == 2 * TRACKS_MAX);

/// Which groups there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulticastGroups {
    /// The first group.
    pub base: Ipv4Addr,
    /// How many there are, one behind the other, at most [`MULTICAST_GROUPS_MAX`].
    pub count: u16,
    /// The first port; [`PORTS_PER_STREAM`] for each group follow.
    pub port: u16,
    /// How many routers a packet may pass, and one more.
    pub ttl: u8,
}

/// The multicast side of the RTSP doors; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Multicast(Arc<MulticastState>);

#[derive(Debug, Default)]
struct MulticastState {
    config: ArcSwapOption<MulticastGroups>,
    senders: Mutex<HashMap<GroupKey, ActiveSender>>,
}

/// What is sent where, and through which interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct GroupKey {
    stream: String,
    local: Ipv4Addr,
}

#[derive(Debug)]
struct ActiveSender {
    /// By address; from one address there may be several.
    members: HashMap<IpAddr, Member>,
    /// Ends the sender, or says that it has ended.
    ended: Stop,
}

#[derive(Debug)]
struct Member {
    count: usize,
    /// When a report came from there, or one joined.
    heard: BootTime,
}

/// One reader's part in a sender; dropping the last one ends the sender.
#[derive(Debug)]
pub(super) struct Membership {
    shared: Arc<MulticastState>,
    key: GroupKey,
    peer: IpAddr,
    ended: Stop,
}

impl Multicast {
    /// Takes groups into use, or none. Who plays continues as it began.
    pub fn configure(&self, config: Option<MulticastGroups>) {
        self.0.config.store(config.map(Arc::new));
    }

    /// Whether there are groups.
    pub(super) fn is_on(&self) -> bool {
        self.0.config.load().is_some()
    }

    /// Where `track` of `stream` goes, one of all the streams called `names`; `None` without
    /// groups, or when there are too few.
    pub(super) fn group<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        stream: &str,
        track: TrackId,
    ) -> Option<Group> {
        let config = self.0.config.load();
        let config = config.as_ref()?;
        let index = index(names, stream, config.count)?;
        let address = Ipv4Addr::from_bits(config.base.to_bits() + u32::from(index));
        let port = config.port + index * PORTS_PER_STREAM + 2 * u16::from(track.0);
        Some(Group { address, port, ttl: config.ttl })
    }

    /// Makes `peer` a member of what `outputs` sends to `group`, that of its first track, through
    /// the interface of `local`. The first member starts the sender.
    pub(super) fn join(
        &self,
        outputs: &StreamOutputs,
        group: Group,
        (local, peer): (Ipv4Addr, IpAddr),
        supervisor: &Supervisor,
    ) -> io::Result<Membership> {
        let clock = supervisor.clock();
        let key = GroupKey { stream: outputs.stream.name().to_string(), local };
        let mut senders = self.0.lock();
        if senders.get(&key).is_none_or(|entry| entry.ended.is_cancelled()) {
            let ended = Stop::new();
            let shared = Arc::clone(&self.0);
            let sender =
                GroupSender::open(outputs, group, (key.clone(), shared), Arc::clone(clock))?;
            supervisor.spawn("multicast", sender.run(ended.clone(), ended.clone().drop_guard()));
            senders.insert(key.clone(), ActiveSender { members: HashMap::new(), ended });
        }
        let entry = senders.get_mut(&key).ok_or(io::ErrorKind::NotFound)?;
        let heard = clock.boot();
        let member = entry.members.entry(peer).or_insert(Member { count: 0, heard });
        (member.count, member.heard) = (member.count + 1, heard);
        let ended = entry.ended.clone();
        Ok(Membership { shared: Arc::clone(&self.0), key, peer, ended })
    }
}

impl MulticastState {
    fn lock(&self) -> MutexGuard<'_, HashMap<GroupKey, ActiveSender>> {
        lock(&self.senders)
    }

    /// Notes that a report came from `peer`; strangers are not noted.
    fn hear(&self, now: BootTime, key: &GroupKey, peer: IpAddr) {
        let mut senders = self.lock();
        let member = senders.get_mut(key).and_then(|entry| entry.members.get_mut(&peer));
        if let Some(member) = member {
            member.heard = now;
        }
    }
}

impl Membership {
    /// Waits until nothing more is sent. Cancel safe.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// When the member's address was heard last.
    pub(super) fn heard(&self) -> Option<BootTime> {
        let senders = self.shared.lock();
        Some(senders.get(&self.key)?.members.get(&self.peer)?.heard)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut senders = self.shared.lock();
        // After a sender has ended, others may be members of its successor.
        let Some(entry) = senders.get_mut(&self.key) else { return };
        if !self.ended.is_cancelled()
            && let Some(member) = entry.members.get_mut(&self.peer)
        {
            member.count -= 1;
            if member.count == 0 {
                entry.members.remove(&self.peer);
            }
        }
        if entry.members.is_empty() {
            self.ended.cancel();
        }
        if entry.ended.is_cancelled() {
            senders.remove(&self.key);
        }
    }
}

/// The group of `stream`: the one that its name hashes to, or the next one that is free. Streams
/// choose in the order of their names, so that a restarted box chooses the same.
fn index<'a>(names: impl Iterator<Item = &'a str>, stream: &str, count: u16) -> Option<u16> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let mut taken = [false; MULTICAST_GROUPS_MAX];
    for name in names {
        let first = u16::try_from(hash(name) % u64::from(count.max(1))).unwrap_or(0);
        let mut places = (first..count).chain(0..first);
        let key = places.find(|&at| taken.get(usize::from(at)).is_some_and(|taken| !taken))?;
        taken[usize::from(key)] = true;
        if name == stream {
            return Some(key);
        }
    }
    None
}

/// FNV-1a, which is the same everywhere and always.
fn hash(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: MulticastGroups =
        MulticastGroups { base: Ipv4Addr::new(239, 9, 9, 0), count: 64, port: 20_000, ttl: 1 };

    #[test]
    fn every_stream_has_a_group_and_ports_of_its_own() {
        let multicast = Multicast::default();
        let names: Vec<String> = (0..64).map(|n| format!("camera-{n}")).collect();
        let group = |stream: &str, track| {
            multicast.group(names.iter().map(String::as_str), stream, TrackId(track))
        };
        assert_eq!(group("camera-0", 0), None, "not configured");
        multicast.configure(Some(CONFIG));
        let mut groups: Vec<_> = names.iter().map(|name| group(name, 0).unwrap()).collect();
        let sound = group("camera-0", 1).unwrap();
        assert_eq!((sound.address, sound.port), (groups[0].address, groups[0].port + 2));
        assert!(groups.iter().all(|group| group.port.is_multiple_of(2) && group.ttl == 1));
        groups.sort_unstable_by_key(|group| group.port);
        assert!(groups.windows(2).all(|pair| pair[0].port + PORTS_PER_STREAM == pair[1].port));
        groups.dedup_by_key(|group| group.address);
        assert_eq!(groups.len(), 64);
        assert_eq!(group("nobody", 0), None);
    }

    #[test]
    fn a_stream_keeps_its_group_when_others_come_and_go() {
        let of = |names: &[&str]| index(names.iter().copied(), "gate", 64).unwrap();
        let alone = of(&["gate"]);
        assert_eq!(of(&["gate", "yard"]), alone);
        assert_eq!(of(&["yard", "gate", "attic"]), alone);
        assert_eq!(hash("gate") % 64, u64::from(alone));
    }
}
