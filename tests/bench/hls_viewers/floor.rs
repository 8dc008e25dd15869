//! The least that a server can do: one thread that writes the same bytes to as many sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;

use bytes::{Buf, Bytes};
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::mirror::Files;

const LISTENER: u64 = u64::MAX;

/// The thread.
#[derive(Debug)]
pub struct Floor {
    pub address: SocketAddr,
    task: PathBuf,
}

/// A connection: the request so far, and the pending output.
struct Peer {
    socket: TcpStream,
    asked: Vec<u8>,
    head: Bytes,
    body: Bytes,
}

impl Floor {
    /// Serves `files` on a port of its own until the program ends.
    pub fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            serve(&listener, &files);
        });
        let thread = told.recv().unwrap();
        Self { address, task: format!("/proc/self/task/{thread}").into() }
    }

    /// Time that it has had on a processor.
    pub fn processor_millis(&self) -> f64 {
        crate::thread_millis(&self.task)
    }
}

fn serve(listener: &TcpListener, files: &Files) -> ! {
    let poll = epoll::create(epoll::CreateFlags::empty()).unwrap();
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN).unwrap();
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        let _ = epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None);
        for event in &events {
            let number = event.data.u64();
            if number == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true).unwrap();
                    socket.set_nodelay(true).unwrap();
                    let data = EventData::new_u64(peers.len() as u64);
                    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                    epoll::add(&poll, &socket, data, flags).unwrap();
                    let (asked, head, body) = (Vec::new(), Bytes::new(), Bytes::new());
                    peers.push(Some(Peer { socket, asked, head, body }));
                }
                continue;
            }
            let peer = &mut peers[usize::try_from(number).unwrap()];
            if peer.as_mut().is_some_and(|peer| !peer.goes_on(files)) {
                *peer = None;
            }
        }
    }
}

impl Peer {
    /// Reads and writes what it can; returns whether the connection continues.
    fn goes_on(&mut self, files: &Files) -> bool {
        let mut buffer = [0; 4_096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => self.asked.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if self.asked.ends_with(b"\r\n\r\n") {
            let line = String::from_utf8(std::mem::take(&mut self.asked)).unwrap();
            let name = line.split(' ').nth(1).unwrap().trim_start_matches('/');
            self.body = files.lock().unwrap().get(name).cloned().unwrap_or_default();
            let length = self.body.len();
            self.head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into();
        }
        for part in [&mut self.head, &mut self.body] {
            while !part.is_empty() {
                match self.socket.write(part) {
                    Ok(length) => part.advance(length),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    Err(_) => return false,
                }
            }
        }
        true
    }
}
