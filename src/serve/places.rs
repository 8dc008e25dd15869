//! Places for connections, counted per box and per network.
//!
//! A connection is *unproven* until its peer has signed in. Unproven places are few, short-lived and
//! taken from the network that holds most of them, so that a flood of strangers costs only strangers.
//! Proven places come out of what the unproven ones can never fill; the last are for administrators.
//! Where nobody has to sign in a place is proven at once, but *firm* only after the first request that
//! asks for something: until then it is as short-lived, and as easily lost, as a stranger's.
//!
//! Owns: the counts, and who is evicted. Does not own: sockets. A connection holds a [`Place`] and
//! closes when [`Place::lost`] returns. Every server that should share the limits takes a clone of
//! one [`Places`]:
//!
//! ```text
//! let place = places.enter(peer.ip(), proven)?;      // `None`: close the connection
//! select! { lost = place.lost() => …close…, () = serve() => … }
//! place.prove(who);                                  // once the peer has signed in
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::process::{Resource, getrlimit};

use crate::base::Stop;
use crate::base::limits::{
    DESCRIPTORS_RESERVED, PLACES_ADMINS, PLACES_MAX, PLACES_PER_ACCOUNT_MAX,
    PLACES_PROVEN_PER_NETWORK_MAX, PLACES_UNPROVEN_MAX, PLACES_UNPROVEN_PER_NETWORK_MAX,
    PROOF_TIME_MAX,
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
    accounts: HashMap<Arc<str>, usize>,
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
    /// It is not evicted any more.
    firm: bool,
    account: Option<Arc<str>>,
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
    /// As in the counts, for the requests after the first.
    firm: AtomicBool,
}

/// Who has signed in on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The account; `None` where nobody needs one.
    pub account: Option<Arc<str>>,
    /// Whether the places that are kept for administrators are theirs too.
    pub admin: bool,
}

/// Why a connection has to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceLost {
    /// A newcomer needed the place.
    #[error("closed to make room: too many connections that have not signed in")]
    Evicted,
    /// The peer has not signed in, or asked for nothing, within [`PROOF_TIME_MAX`].
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

    /// Takes a place for a connection from `peer`; `proven` when it needs no account. It may evict an
    /// older one of the same kind that has asked for nothing yet: of its own network when that has its
    /// share, else of the network that holds most. `None` when there is no place left.
    #[must_use]
    pub fn enter(&self, peer: IpAddr, proven: bool) -> Option<Place> {
        let network = network_of(peer);
        let mut state = self.lock();
        state.make_room(network, proven, self.0.limits)?;
        let (number, evicted) = (state.next, Stop::new());
        state.next += 1;
        let taken = Taken {
            network,
            proven,
            firm: false,
            account: None,
            attached: false,
            evicted: evicted.clone(),
        };
        state.places.insert(number, taken);
        state.count(network, proven, 1);
        drop(state);
        Some(Place { places: self.clone(), number, evicted, firm: AtomicBool::new(false) })
    }
}

impl Place {
    /// The peer has signed in as `holder`, or needs no account and asks for something. `false` when its
    /// network or account has its share of proven places, or all are taken: then the connection has to
    /// close.
    #[must_use]
    pub fn prove(&self, holder: &Holder) -> bool {
        if self.firm.load(Relaxed) {
            return true;
        }
        let mut state = self.places.lock();
        let Some(taken) = state.places.get(&self.number) else { return false };
        if taken.firm {
            return true;
        }
        let (network, proven) = (taken.network, taken.proven);
        if !proven && !state.has_proven_place(network, holder.admin, self.places.0.limits) {
            return false;
        }
        if !state.count_account(holder.account.as_ref()) {
            return false;
        }
        if !proven {
            state.count(network, false, -1);
            state.count(network, true, 1);
        }
        if let Some(taken) = state.places.get_mut(&self.number) {
            (taken.proven, taken.firm, taken.account) = (true, true, holder.account.clone());
        }
        self.firm.store(true, Relaxed);
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
            if self.is_firm() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.evicted.cancelled() => PlaceLost::Evicted,
            () = unproven => PlaceLost::NotProven,
        }
    }

    fn is_firm(&self) -> bool {
        self.places
            .lock()
            .places
            .get(&self.number)
            .is_some_and(|taken| taken.firm || taken.attached)
    }
}

impl Counts {
    fn of(&self, proven: bool) -> usize {
        if proven { self.proven } else { self.unproven }
    }
}

impl Taken {
    /// Whether it may be evicted for another of its kind.
    fn is_loose(&self, proven: bool) -> bool {
        self.proven == proven && !self.firm && !self.attached
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.number);
    }
}

impl State {
    fn has_proven_place(&self, network: IpAddr, admin: bool, limits: PlaceLimits) -> bool {
        let own = self.networks.get(&network).map_or(0, |counts| counts.proven);
        let most = limits.total - limits.unproven;
        let kept = if admin { 0 } else { PLACES_ADMINS.min(most / 4) };
        (admin || own < PLACES_PROVEN_PER_NETWORK_MAX) && self.total.proven < most - kept
    }

    /// Counts one more place of `account`, unless it has its share.
    fn count_account(&mut self, account: Option<&Arc<str>>) -> bool {
        let Some(account) = account else { return true };
        let count = self.accounts.entry(Arc::clone(account)).or_default();
        if *count >= PLACES_PER_ACCOUNT_MAX {
            return false;
        }
        *count += 1;
        true
    }

    /// Sees to it that `network` can have another place of its kind.
    fn make_room(&mut self, network: IpAddr, proven: bool, limits: PlaceLimits) -> Option<()> {
        let own = self.networks.get(&network).map_or(0, |counts| counts.of(proven));
        let (share, fits) = if proven {
            let fits = self.has_proven_place(network, false, limits);
            (PLACES_PROVEN_PER_NETWORK_MAX, fits)
        } else {
            let share = PLACES_UNPROVEN_PER_NETWORK_MAX;
            (share, own < share && self.total.unproven < limits.unproven)
        };
        if fits {
            return Some(());
        }
        let crowded = if own >= share { network } else { self.most_crowded(proven)? };
        let candidates = self.places.iter();
        let mut candidates =
            candidates.filter(|(_, taken)| taken.network == crowded && taken.is_loose(proven));
        let (&oldest, taken) = candidates.next()?;
        taken.evicted.cancel();
        self.remove(oldest);
        Some(())
    }

    /// The network with the most places of a kind that can be evicted; among equals one in which
    /// nobody has signed in.
    fn most_crowded(&self, proven: bool) -> Option<IpAddr> {
        let mut loose: HashMap<IpAddr, usize> = HashMap::new();
        for taken in self.places.values().filter(|taken| taken.is_loose(proven)) {
            *loose.entry(taken.network).or_default() += 1;
        }
        let unknown =
            |network: &IpAddr| self.networks.get(network).is_none_or(|counts| counts.proven == 0);
        let ranked = loose.into_iter().max_by_key(|(network, count)| (*count, unknown(network)));
        ranked.map(|(network, _)| network)
    }

    fn remove(&mut self, number: u64) {
        let Some(taken) = self.places.remove(&number) else { return };
        self.count(taken.network, taken.proven, -1);
        let Some(account) = taken.account else { return };
        if let Some(count) = self.accounts.get_mut(&account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.accounts.remove(&account);
            }
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
        assert!(newcomer.prove(&Holder::default()));
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

    /// Places of peers who need no account and have asked for something.
    fn firm(places: &Places, peer: IpAddr) -> Option<Place> {
        places.enter(peer, true).filter(|place| place.prove(&Holder::default()))
    }

    #[test]
    fn strangers_leave_room_for_those_who_sign_in_whose_share_is_bounded_too() {
        let places = Places::default();
        let strangers: Vec<Place> = (0..5_000).filter_map(|n| places.enter(ip(n), false)).collect();
        assert_eq!(places.lock().total.unproven, PLACES_UNPROVEN_MAX);
        let own: Vec<Place> = std::iter::from_fn(|| firm(&places, ip(9_999))).collect();
        assert_eq!(own.len(), PLACES_PROVEN_PER_NETWORK_MAX);
        let more: Vec<Place> = (10_000..20_000).filter_map(|n| firm(&places, ip(n))).collect();
        assert_eq!(own.len() + more.len(), PLACES_MAX - PLACES_UNPROVEN_MAX - PLACES_ADMINS);
        let last = strangers.last().unwrap();
        assert!(!last.prove(&Holder::default()), "all proven places are taken");
        let admin = Holder { account: Some("anna".into()), admin: true };
        assert!(last.prove(&admin), "but those of administrators");
    }

    #[test]
    fn one_account_cannot_take_all_places_from_wherever_it_comes() {
        let places = Places::default();
        let holder = Holder { account: Some("wall".into()), admin: false };
        let mut held: Vec<Place> =
            (0..2 * PLACES_PER_ACCOUNT_MAX).filter_map(|n| places.enter(ip(n), false)).collect();
        held.retain(|place| place.prove(&holder));
        assert_eq!(held.len(), PLACES_PER_ACCOUNT_MAX);
        held.pop();
        let next = places.enter(ip(7), false).unwrap();
        assert!(next.prove(&holder), "one that leaves makes room");
        drop((held, next));
        assert!(places.lock().accounts.is_empty());
    }

    #[test]
    fn where_nobody_signs_in_the_silent_make_room_for_those_who_ask() {
        let places = Places::default();
        let silent: Vec<Place> =
            (0..3_000).filter_map(|n| places.enter(ip(n % 20), true)).collect();
        assert_eq!(silent.len(), 3_000, "each took the place of an older one");
        let asks = places.enter(ip(99), true).unwrap();
        assert!(asks.prove(&Holder::default()));
        let flood: Vec<Place> = (0..3_000).filter_map(|n| places.enter(ip(n % 20), true)).collect();
        assert!(!is_evicted(&asks) && !flood.is_empty());
        assert!(places.lock().total.proven <= PLACES_MAX - PLACES_UNPROVEN_MAX);
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
        assert!(good.prove(&Holder::default()) && good.prove(&Holder::default()));
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
