//! Who is connected, and how often: the limits on RTSP connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::limits::{RTSP_CONNECTIONS_MAX, RTSP_CONNECTIONS_PER_PEER_MAX};

/// The connections of all listeners, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionLimits(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limits: ConnectionLimits,
    ip: IpAddr,
}

impl ConnectionLimits {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `ip`, if there is one.
    pub(super) fn enter(&self, ip: IpAddr) -> Option<ConnectionPermit> {
        let mut counts = self.lock();
        let own = counts.get(&ip).copied().unwrap_or(0);
        let all: usize = counts.values().sum();
        if own >= RTSP_CONNECTIONS_PER_PEER_MAX || all >= RTSP_CONNECTIONS_MAX {
            return None;
        }
        counts.insert(ip, own + 1);
        Some(ConnectionPermit { limits: self.clone(), ip })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_leaving_frees_them() {
        let limits = ConnectionLimits::default();
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let enter = |n| std::iter::from_fn(|| limits.enter(ip(n))).collect::<Vec<_>>();
        let first = enter(1);
        assert_eq!(first.len(), RTSP_CONNECTIONS_PER_PEER_MAX);
        let rest: Vec<_> = (2..20).flat_map(enter).collect();
        assert_eq!(first.len() + rest.len(), RTSP_CONNECTIONS_MAX);
        drop(first);
        assert_eq!(enter(200).len(), RTSP_CONNECTIONS_PER_PEER_MAX);
        drop(rest);
        assert!(limits.lock().is_empty());
    }
}
