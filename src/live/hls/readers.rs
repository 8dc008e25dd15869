//! The readers: HLS has no sessions, so an address that sent a request lately counts as one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::limits::HLS_READERS_COUNTED_MAX;
use crate::base::time::BootTime;

/// When each address last asked. Players behind one address are one.
#[derive(Debug, Default)]
pub struct Addresses(HashMap<IpAddr, BootTime>);

impl Addresses {
    /// Remembers that `peer` asked at `now`.
    pub fn saw(&mut self, peer: IpAddr, now: BootTime) {
        if self.0.len() < HLS_READERS_COUNTED_MAX || self.0.contains_key(&peer) {
            self.0.insert(peer, now);
        }
    }

    /// The same if it asked before.
    pub fn saw_again(&mut self, peer: IpAddr, now: BootTime) {
        if let Some(seen) = self.0.get_mut(&peer) {
            *seen = now;
        }
    }

    /// How many asked within `span` before `now`; forgets the others.
    pub fn count(&mut self, now: BootTime, span: Duration) -> usize {
        self.0.retain(|_, seen| now.since(*seen) <= span);
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_counts_until_it_stops_asking() {
        let mut readers = Addresses::default();
        let span = Duration::from_secs(9);
        readers.saw(IpAddr::from([10, 0, 0, 1]), BootTime::from_millis(1_000));
        readers.saw(IpAddr::from([10, 0, 0, 1]), BootTime::from_millis(3_000));
        readers.saw(IpAddr::from([10, 0, 0, 2]), BootTime::from_millis(9_000));
        assert_eq!(readers.count(BootTime::from_millis(10_000), span), 2);
        assert_eq!(readers.count(BootTime::from_millis(13_000), span), 1);
    }

    #[test]
    fn many_addresses_do_not_grow_memory() {
        let mut readers = Addresses::default();
        for n in 0..10_000u32 {
            readers.saw(IpAddr::from(n.to_be_bytes()), BootTime::default());
        }
        assert_eq!(readers.0.len(), HLS_READERS_COUNTED_MAX);
    }
}
