//! Which POST belongs to which GET: the HTTP tunnels of one door.
//!
//! Owns: their cookies. A tunnel is joined only from the address that opened it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::super::places::Place;
use super::transport::socket::Socket;
use crate::base::limits::{RTSP_TUNNEL_POSTS_MAX, RTSP_TUNNELS_HALF_OPEN_MAX};
use crate::base::sync::lock;

/// The tunnels of one door.
#[derive(Clone, Debug, Default)]
pub(super) struct TunnelRegistry(Arc<Mutex<HashMap<TunnelKey, Entry>>>);

/// What both halves of a tunnel have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TunnelKey {
    pub(super) cookie: String,
    pub(super) peer: IpAddr,
    /// Both halves are encrypted, or neither is.
    pub(super) secure: bool,
}

#[derive(Debug)]
struct Entry {
    posts: mpsc::Sender<Post>,
    joined: bool,
}

/// One POST of a tunnel.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) socket: Socket,
    /// What came together with its head.
    pub(super) first: Bytes,
    /// Counts the connection for as long as it lives.
    pub(super) place: Place,
}

/// A tunnel's entry; dropping it takes the entry out.
#[derive(Debug)]
pub(super) struct TunnelEntry {
    tunnels: TunnelRegistry,
    key: TunnelKey,
    posts: mpsc::Receiver<Post>,
}

impl TunnelRegistry {
    fn lock(&self) -> MutexGuard<'_, HashMap<TunnelKey, Entry>> {
        lock(&self.0)
    }

    /// Opens a tunnel; `None` when there is one of this key, or when too many wait for their
    /// POST.
    pub(super) fn open(&self, key: TunnelKey) -> Option<TunnelEntry> {
        let mut entries = self.lock();
        let half_open = entries.values().filter(|entry| !entry.joined).count();
        if entries.contains_key(&key) || half_open >= RTSP_TUNNELS_HALF_OPEN_MAX {
            return None;
        }
        let (sender, posts) = mpsc::channel(RTSP_TUNNEL_POSTS_MAX);
        entries.insert(key.clone(), Entry { posts: sender, joined: false });
        Some(TunnelEntry { tunnels: self.clone(), key, posts })
    }

    /// Hands `post` to the tunnel of `key`; gives it back when there is none, or when too many
    /// wait for their turn there.
    pub(super) fn join(&self, key: &TunnelKey, post: Post) -> Result<(), Post> {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else { return Err(post) };
        entry.joined = true;
        entry.posts.try_send(post).map_err(mpsc::error::TrySendError::into_inner)
    }
}

impl TunnelEntry {
    /// Waits for the next POST. Cancel safe.
    pub(super) async fn next_post(&mut self) -> Post {
        match self.posts.recv().await {
            Some(post) => post,
            // The sender lives in the map until this entry is dropped.
            None => std::future::pending().await,
        }
    }
}

impl Drop for TunnelEntry {
    fn drop(&mut self) {
        self.tunnels.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::places::Places;
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn key(cookie: &str) -> TunnelKey {
        TunnelKey { cookie: cookie.to_owned(), peer: PEER, secure: false }
    }

    async fn post() -> Post {
        let listener = tokio::net::TcpListener::bind((PEER, 0)).await.unwrap();
        let socket = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let place = Places::default().enter(PEER, true).unwrap();
        Post { socket: Socket::plain(socket).unwrap(), first: Bytes::new(), place }
    }

    #[tokio::test]
    async fn a_post_finds_its_own_get_only_and_not_for_ever() {
        let tunnels = TunnelRegistry::default();
        let mut entry = tunnels.open(key("a")).unwrap();
        assert!(tunnels.open(key("a")).is_none(), "the cookie is taken");
        let elsewhere = TunnelKey { peer: IpAddr::from([10, 0, 0, 9]), ..key("a") };
        let encrypted = TunnelKey { secure: true, ..key("a") };
        for wrong in [key("b"), elsewhere, encrypted] {
            tunnels.join(&wrong, post().await).unwrap_err();
        }
        for _ in 0..RTSP_TUNNEL_POSTS_MAX {
            tunnels.join(&key("a"), post().await).unwrap();
        }
        tunnels.join(&key("a"), post().await).unwrap_err();
        entry.next_post().await;
        drop(entry);
        tunnels.join(&key("a"), post().await).unwrap_err();
    }

    #[tokio::test]
    async fn tunnels_that_wait_for_their_post_are_few() {
        let tunnels = TunnelRegistry::default();
        let open = |n: usize| tunnels.open(key(&n.to_string()));
        let places: Vec<_> = (0..).map_while(open).collect();
        assert_eq!(places.len(), RTSP_TUNNELS_HALF_OPEN_MAX);
        tunnels.join(&key("0"), post().await).unwrap();
        assert!(open(places.len()).is_some(), "one is joined");
    }
}
