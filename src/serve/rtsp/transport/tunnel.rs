//! RTSP inside HTTP: what we say goes down a GET, what the peer says comes up POSTs.
//!
//! Owns: the sockets of both halves and the base64 between. The tunnel lives as long as its GET;
//! POSTs may come and go.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::Interest;

use super::super::super::places::Holder;
use super::super::tunnels::{Post, TunnelEntry};
use super::Socket;
use crate::wire::rtsp::tunnel::Uplink;

/// Characters of the uplink decoded at once.
const UP_BYTES: usize = 4 << 10;

/// Both halves of a tunnel.
#[derive(Debug)]
pub(in super::super) struct Tunnel {
    down: Socket,
    entry: TunnelEntry,
    up: Option<Post>,
    /// Takes the place of `up` once that has nothing more to say.
    next: Option<Post>,
    /// What came of `up` together with its head.
    unread: Bytes,
    uplink: Uplink,
    /// The peer has signed in.
    proven: bool,
}

impl Tunnel {
    /// Joins the GET `down` with its first POST.
    pub(in super::super) fn new(down: Socket, entry: TunnelEntry, first: Post) -> Self {
        let (next, uplink) = (Some(first), Uplink::default());
        Self { down, entry, up: None, next, unread: Bytes::new(), uplink, proven: false }
    }

    /// The peer has signed in: its POSTs need no room among the strangers.
    pub(super) fn prove(&mut self) {
        self.proven = true;
        for post in self.up.iter().chain(&self.next) {
            // One that gets no better place keeps the one it has.
            let _ = post.place.prove(&Holder::default());
        }
    }

    pub(super) fn down(&self) -> &Socket {
        &self.down
    }

    pub(super) fn down_mut(&mut self) -> &mut Socket {
        &mut self.down
    }

    /// Reads what the peer says; `Ok(0)` when it has closed the GET.
    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut scratch = [0; UP_BYTES];
        match self.down.try_read(&mut scratch) {
            Ok(0) => return Ok(0),
            // Nothing belongs here.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // A group of four characters that was begun may become three bytes now.
        let most = UP_BYTES.min(buffer.len().saturating_sub(3));
        loop {
            let characters = match self.unread.len() {
                0 => self.read_up(&mut scratch[..most])?,
                waiting => {
                    let length = waiting.min(most);
                    scratch[..length].copy_from_slice(&self.unread[..length]);
                    self.unread.advance(length);
                    length
                }
            };
            let decoded = self.uplink.decode(&scratch[..characters], buffer);
            match decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                0 => {}
                bytes => return Ok(bytes),
            }
        }
    }

    /// Reads characters from the POST in turn, at least one, going over to the next POST when
    /// this one has nothing. That may bring its first characters in `unread` instead.
    fn read_up(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.up {
            Some(post) => post.socket.try_read(scratch),
            None => Ok(0),
        };
        match read {
            Ok(length) if length > 0 => return Ok(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // It ended, however it did.
            _ => self.up = None,
        }
        let Some(mut post) = self.next.take() else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.unread = std::mem::take(&mut post.first);
        self.up = Some(post);
        Ok(0)
    }

    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.down.try_write_vectored(slices)
    }

    /// Waits until there is what `interest` asks for; whether it is something to read. Cancel
    /// safe.
    pub(super) async fn ready(&mut self, interest: Interest) -> bool {
        let reads = interest.is_readable();
        if reads && (!self.unread.is_empty() || self.next.is_some()) {
            return true;
        }
        tokio::select! {
            biased;
            () = readable(self.up.as_ref()), if reads => true,
            post = self.entry.next_post(), if reads => {
                if self.proven {
                    let _ = post.place.prove(&Holder::default());
                }
                self.next = Some(post);
                true
            }
            readable = self.down.ready(interest) => readable,
        }
    }
}

async fn readable(up: Option<&Post>) {
    match up {
        // An error shows at the read that follows.
        Some(post) => {
            post.socket.ready(Interest::READABLE).await;
        }
        None => std::future::pending().await,
    }
}
