//! Places for connections, counted per box and per network.
//!
//! A connection is *unproven* until its peer has signed in (or needs no account). Unproven places
//! are few, short-lived and taken from the network that holds most of them, so that a flood of
//! strangers costs only strangers. Proven places come out of what the unproven ones can never fill.
//!
//! Owns: the counts, and who is evicted. Does not own: sockets. A connection holds a [`Place`] and
//! closes when [`Place::lost`] returns. Every server that should share the limits takes a clone of
//! one [`Places`]:
//!
//! ```text
//! let place = places.enter(peer.ip(), proven)?;      // `None`: close the connection
//! select! { lost = place.lost() => …close…, () = serve() => … }
//! place.prove();                                     // once the peer has signed in
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::process::{Resource, getrlimit};

use crate::base::Stop;
use crate::base::limits::{
    DESCRIPTORS_RESERVED, PLACES_MAX, PLACES_PROVEN_PER_NETWORK_MAX, PLACES_UNPROVEN_MAX,
    PLACES_UNPROVEN_PER_NETWORK_MAX, PROOF_TIME_MAX,
};
use crate::base::network::network_of;
use crate::base::sync::lock;

/// The places of all connections; clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// In all.
    pub total: usize,
    /// Of those, at most this many for peers that have not signed in.
    pub unproven: usize,
}

#[derive(Debug)]
struct Shared {
    limits: PlaceLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the next place: lower numbers are older.
    next: u64,
    places: BTreeMap<u64, Taken>,
    networks: HashMap<IpAddr, Counts>,
    total: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    unproven: usize,
    proven: usize,
}

#[derive(Debug)]
struct Taken {
    network: IpAddr,
    proven: bool,
    /// It belongs to another connection, and ends with that one.
    attached: bool,
    evicted: Stop,
}

/// One connection's place; dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    places: Places,
    number: u64,
    evicted: Stop,
}

/// Why a connection has to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceLost {
    /// A newcomer needed the place.
    #[error("closed to make room: too many connections that have not signed in")]
    Evicted,
    /// The peer has not signed in within [`PROOF_TIME_MAX`].
    #[error("closed: no sign-in in time")]
    NotProven,
}

impl PlaceLimits {
    /// What `descriptors` open files allow, after `reserved` of them for the recorder. Each
    /// connection may need up to four: its socket, a second handle on it and a pair for UDP.
    #[must_use]
    pub fn within(descriptors: u64, reserved: u64) -> Self {
        let fit = usize::try_from(descriptors.saturating_sub(reserved) / 4).unwrap_or(PLACES_MAX);
        let total = fit.clamp(16, PLACES_MAX);
        Self { total, unproven: (total / 4).min(PLACES_UNPROVEN_MAX) }
    }
}

impl PlaceLimits {
    /// What the descriptor limit of this process allows.
    #[must_use]
    pub fn of_this_process() -> Self {
        let current = getrlimit(Resource::Nofile).current;
        Self::within(current.unwrap_or(u64::MAX), DESCRIPTORS_RESERVED)
    }
}

impl Default for PlaceLimits {
    fn default() -> Self {
        Self { total: PLACES_MAX, unproven: PLACES_UNPROVEN_MAX }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self::new(PlaceLimits::default())
    }
}

impl Places {
    /// Places within `limits`.
    #[must_use]
    pub fn new(limits: PlaceLimits) -> Self {
        Self(Arc::new(Shared { limits, state: Mutex::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Takes a place for a connection from `peer`; `proven` when it needs no account. An unproven
    /// one may evict an older unproven one: of its own network when that has its share, else of the
    /// network that holds most. `None` when there is no place left.
    #[must_use]
    pub fn enter(&self, peer: IpAddr, proven: bool) -> Option<Place> {
        let network = network_of(peer);
        let mut state = self.lock();
        if proven {
            if !state.has_proven_place(network, self.0.limits) {
                return None;
            }
        } else {
            state.make_room(network, self.0.limits)?;
        }
        let (number, evicted) = (state.next, Stop::new());
        state.next += 1;
        let taken = Taken { network, proven, attached: false, evicted: evicted.clone() };
        state.places.insert(number, taken);
        state.count(network, proven, 1);
        drop(state);
        Some(Place { places: self.clone(), number, evicted })
    }
}

impl Place {
    /// The peer has signed in. `false` when its network has its share of proven places, or all
    /// are taken: then the connection has to close.
    #[must_use]
    pub fn prove(&self) -> bool {
        let mut state = self.places.lock();
        let Some(taken) = state.places.get(&self.number) else { return false };
        if taken.proven {
            return true;
        }
        let network = taken.network;
        if !state.has_proven_place(network, self.places.0.limits) {
            return false;
        }
        state.count(network, false, -1);
        state.count(network, true, 1);
        if let Some(taken) = state.places.get_mut(&self.number) {
            taken.proven = true;
        }
        true
    }

    /// The connection now belongs to another one that has a place of its own, and ends with that
    /// one: it is counted, but not evicted by itself.
    pub fn attach(&self) {
        if let Some(taken) = self.places.lock().places.get_mut(&self.number) {
            taken.attached = true;
        }
    }

    /// Waits until the connection has to close. Cancel safe.
    pub async fn lost(&self) -> PlaceLost {
        let unproven = async {
            tokio::time::sleep(PROOF_TIME_MAX).await;
            if self.is_proven() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.evicted.cancelled() => PlaceLost::Evicted,
            () = unproven => PlaceLost::NotProven,
        }
    }

    fn is_proven(&self) -> bool {
        self.places.lock().places.get(&self.number).is_some_and(|taken| taken.proven)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.number);
    }
}

impl State {
    fn has_proven_place(&self, network: IpAddr, limits: PlaceLimits) -> bool {
        let own = self.networks.get(&network).map_or(0, |counts| counts.proven);
        let most = limits.total - limits.unproven;
        own < PLACES_PROVEN_PER_NETWORK_MAX && self.total.proven < most
    }

    /// Sees to it that `network` can have another unproven place.
    fn make_room(&mut self, network: IpAddr, limits: PlaceLimits) -> Option<()> {
        let own = self.networks.get(&network).map_or(0, |counts| counts.unproven);
        let crowded = if own >= PLACES_UNPROVEN_PER_NETWORK_MAX {
            network
        } else if self.total.unproven >= limits.unproven {
            self.most_crowded()?
        } else {
            return Some(());
        };
        let candidates = self.places.iter();
        let mut candidates = candidates
            .filter(|(_, taken)| taken.network == crowded && !taken.proven && !taken.attached);
        let (&oldest, taken) = candidates.next()?;
        taken.evicted.cancel();
        self.remove(oldest);
        Some(())
    }

    /// The network with the most unproven places; among equals one that has no proven place.
    fn most_crowded(&self) -> Option<IpAddr> {
        let rank = |counts: &Counts| (counts.unproven, counts.proven == 0);
        self.networks.iter().max_by_key(|(_, counts)| rank(counts)).map(|(network, _)| *network)
    }

    fn remove(&mut self, number: u64) {
        if let Some(taken) = self.places.remove(&number) {
            self.count(taken.network, taken.proven, -1);
        }
    }

    fn count(&mut self, network: IpAddr, proven: bool, by: isize) {
        let own = self.networks.entry(network).or_default();
        for counts in [&mut self.total, &mut *own] {
            let count = if proven { &mut counts.proven } else { &mut counts.unproven };
            *count = count.saturating_add_signed(by);
        }
        if own.unproven == 0 && own.proven == 0 {
            self.networks.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: usize) -> IpAddr {
        let n = u32::try_from(n).unwrap();
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n))
    }

    fn is_evicted(place: &Place) -> bool {
        place.evicted.is_cancelled()
    }

    #[test]
    fn a_newcomer_survives_ten_addresses_with_128_connections_each() {
        let places = Places::default();
        let mut flood: Vec<Place> = Vec::new();
        let mut strangers = |rounds: usize| {
            for n in 0..10 * rounds {
                flood.extend(places.enter(ip(n % 10), false));
            }
        };
        strangers(128);
        let newcomer = places.enter(ip(99), false).unwrap();
        strangers(128);
        assert!(!is_evicted(&newcomer));
        assert!(newcomer.prove());
        let held = places.lock().total;
        assert_eq!(held.unproven, 10 * PLACES_UNPROVEN_PER_NETWORK_MAX);
    }

    #[test]
    fn strangers_of_many_networks_evict_the_oldest_of_the_one_that_holds_most() {
        let places = Places::new(PlaceLimits { total: 100, unproven: 20 });
        let crowd: Vec<Place> = (0..11).map(|_| places.enter(ip(1), false).unwrap()).collect();
        let others: Vec<Place> = (2..11).map(|n| places.enter(ip(n), false).unwrap()).collect();
        let late = places.enter(ip(50), false).unwrap();
        assert!(is_evicted(&crowd[0]) && !is_evicted(&crowd[1]));
        assert!(others.iter().chain([&late]).all(|place| !is_evicted(place)));
        assert_eq!(places.lock().total.unproven, 20);
        drop((crowd, others, late));
        assert!(places.lock().networks.is_empty() && places.lock().places.is_empty());
    }

    #[test]
    fn strangers_leave_room_for_those_who_sign_in_whose_share_is_bounded_too() {
        let places = Places::default();
        let strangers: Vec<Place> = (0..5_000).filter_map(|n| places.enter(ip(n), false)).collect();
        assert_eq!(places.lock().total.unproven, PLACES_UNPROVEN_MAX);
        let own: Vec<Place> = std::iter::from_fn(|| places.enter(ip(9_999), true)).collect();
        assert_eq!(own.len(), PLACES_PROVEN_PER_NETWORK_MAX);
        let more: Vec<Place> = (10_000..20_000).filter_map(|n| places.enter(ip(n), true)).collect();
        assert_eq!(own.len() + more.len(), PLACES_MAX - PLACES_UNPROVEN_MAX);
        assert!(!strangers.last().unwrap().prove(), "all proven places are taken");
    }

    #[test]
    fn a_household_of_ipv6_is_one_network_and_attached_places_stay() {
        let places = Places::default();
        let v6 = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, n, 0, 0, 1]);
        let post = places.enter(v6(0), false).unwrap();
        post.attach();
        let held: Vec<Place> = (1..=PLACES_UNPROVEN_PER_NETWORK_MAX)
            .map(|n| places.enter(v6(u16::try_from(n).unwrap()), false).unwrap())
            .collect();
        assert!(!is_evicted(&post) && is_evicted(&held[0]) && !is_evicted(&held[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_without_proof_is_lost_after_a_while_and_a_proven_one_is_not() {
        let places = Places::default();
        let (silent, good) = (places.enter(ip(1), false).unwrap(), places.enter(ip(2), false));
        let good = good.unwrap();
        assert!(good.prove() && good.prove());
        let begun = tokio::time::Instant::now();
        assert_eq!(silent.lost().await, PlaceLost::NotProven);
        assert_eq!(begun.elapsed().as_secs(), PROOF_TIME_MAX.as_secs());
        let forever = tokio::time::timeout(10 * PROOF_TIME_MAX, good.lost()).await;
        assert!(forever.is_err());
    }

    #[test]
    fn few_descriptors_mean_few_places() {
        assert_eq!(PlaceLimits::within(65_536, 256), PlaceLimits::default());
        assert_eq!(PlaceLimits::within(1_024, 256), PlaceLimits { total: 192, unproven: 48 });
        assert_eq!(PlaceLimits::within(64, 256), PlaceLimits { total: 16, unproven: 4 });
    }
}
