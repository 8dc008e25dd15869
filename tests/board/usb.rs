//! The wire of a USB device that a test plays: qemu's `usb-redir` hands to a socket what the board's
//! own host controller asks of it.
//!
//! Owns: the packets of the USB network redirection protocol 0.7 that a device with control and bulk
//! endpoints needs (usbredirproto.h of the project usbredir). Little-endian; identifiers of 32 bits.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::harness::wait_for;

/// A packet with more is not one of qemu's.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Type, length and identifier.
const HEADER_BYTES: usize = 12;
/// Packets by their type.
const HELLO: u32 = 0;
const CONNECT: u32 = 1;
const RESET: u32 = 3;
const INTERFACES: u32 = 4;
const ENDPOINTS: u32 = 5;
const SET_CONFIGURATION: u32 = 6;
const GET_CONFIGURATION: u32 = 7;
const CONFIGURATION: u32 = 8;
const SET_ALTERNATE: u32 = 9;
const GET_ALTERNATE: u32 = 10;
const ALTERNATE: u32 = 11;
const CANCEL: u32 = 21;
const CONTROL: u32 = 100;
const BULK: u32 = 101;
/// `usb_redir_cap_ep_info_max_packet_size`: the only capability that we need.
const CAPABILITIES: u32 = 1 << 4;
/// How a transfer went.
const DONE: u8 = 0;
const CANCELLED: u8 = 1;
const STALLED: u8 = 4;
/// The marker for a missing endpoint.
const NO_ENDPOINT: u8 = 255;

/// What the first answers of a device say, before it is asked for its descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// 1: full speed, 2: high speed.
    pub(crate) speed: u8,
    /// Class, subclass and protocol of the device.
    pub(crate) class: [u8; 3],
    /// Vendor and product.
    pub(crate) ids: [u16; 2],
    /// Class, subclass and protocol of each interface.
    pub(crate) interfaces: &'static [[u8; 3]],
    /// The bulk endpoint that gives data, and its largest packet.
    pub(crate) bulk: (u8, u16),
}

/// A request to the device as a whole (USB 2.0 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// `bmRequestType`.
    pub(crate) kind: u8,
    /// `bRequest`.
    pub(crate) request: u8,
    /// `wValue`.
    pub(crate) value: u16,
    /// `wIndex`.
    pub(crate) index: u16,
    /// `wLength`.
    pub(crate) length: u16,
}

/// What the board does to the device.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Its port was reset.
    Reset,
    /// A configuration was chosen; 0 means none.
    Configured(u8),
    /// A request with what came along; answered by [`Wire::answer`].
    Control(u32, Setup, Vec<u8>),
    /// Up to so many bytes are awaited; answered by [`Wire::give`].
    Bulk(u32, usize),
    /// That is awaited no longer; answered here.
    Cancelled(u32),
}

/// A device that is plugged in. Dropped, it is pulled out.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: UnixStream,
    read: Vec<u8>,
    bulk: u8,
    configuration: u8,
}

impl Wire {
    /// Plugs a device into the port behind `socket`.
    pub(crate) fn plug(socket: &Path, identity: &Identity) -> Self {
        let connect = || UnixStream::connect(socket).ok();
        let socket = wait_for("the port", Duration::from_secs(10), connect);
        let bulk = identity.bulk.0;
        let mut wire = Self { socket, read: Vec::new(), bulk, configuration: 0 };
        let mut hello = [0; 68];
        hello[..8].copy_from_slice(b"holdfast");
        hello[64..].copy_from_slice(&CAPABILITIES.to_le_bytes());
        wire.send(HELLO, 0, &hello);
        let greeted = || wire.packet(Duration::from_secs(1)).filter(|(kind, ..)| *kind == HELLO);
        wait_for("qemu's greeting", Duration::from_secs(60), greeted);
        wire.introduce(identity);
        wire
    }

    fn introduce(&mut self, identity: &Identity) {
        let mut interfaces = vec![0; 4 + 4 * 32];
        interfaces[0] = u8::try_from(identity.interfaces.len()).unwrap();
        for (n, class) in identity.interfaces.iter().enumerate() {
            interfaces[4 + n] = u8::try_from(n).unwrap();
            for (field, byte) in class.iter().enumerate() {
                interfaces[4 + 32 * (field + 1) + n] = *byte;
            }
        }
        self.send(INTERFACES, 0, &interfaces);
        // Sixteen that take data and sixteen that give it: type, interval, interface, packet.
        let mut endpoints = vec![0; 3 * 32 + 2 * 32];
        endpoints[..32].fill(NO_ENDPOINT);
        (endpoints[0], endpoints[16]) = (0, 0);
        let (address, packet) = identity.bulk;
        let n = 16 + usize::from(address & 0x0f);
        endpoints[n] = 2;
        endpoints[64 + n] = 1;
        endpoints[96 + 2 * n..][..2].copy_from_slice(&packet.to_le_bytes());
        self.send(ENDPOINTS, 0, &endpoints);
        let ids = identity.ids.map(u16::to_le_bytes).concat();
        self.send(CONNECT, 0, &[&[identity.speed], &identity.class[..], &ids].concat());
    }

    /// The next request, if it comes within `wait`; `None` as well for what is answered here.
    pub(crate) fn asked(&mut self, wait: Duration) -> Option<Asked> {
        let (kind, id, body) = self.packet(wait)?;
        let half = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
        match kind {
            RESET => return Some(Asked::Reset),
            SET_CONFIGURATION => {
                self.configuration = body[0];
                self.send(CONFIGURATION, id, &[DONE, body[0]]);
                return Some(Asked::Configured(body[0]));
            }
            GET_CONFIGURATION => self.send(CONFIGURATION, id, &[DONE, self.configuration]),
            SET_ALTERNATE => self.send(ALTERNATE, id, &[DONE, body[0], body[1]]),
            GET_ALTERNATE => self.send(ALTERNATE, id, &[DONE, body[0], 0]),
            CONTROL => {
                let (request, kind) = (body[1], body[2]);
                let (value, index, length) = (half(4), half(6), half(8));
                let setup = Setup { kind, request, value, index, length };
                return Some(Asked::Control(id, setup, body[10..].to_vec()));
            }
            BULK => return Some(Asked::Bulk(id, usize::from(half(2)))),
            CANCEL => {
                self.send(BULK, id, &[self.bulk, CANCELLED, 0, 0, 0, 0, 0, 0]);
                return Some(Asked::Cancelled(id));
            }
            _ => {}
        }
        None
    }

    /// Answers a request; `None`: the device refuses.
    pub(crate) fn answer(&mut self, id: u32, setup: Setup, data: Option<&[u8]>) {
        let status = if data.is_some() { DONE } else { STALLED };
        let data = data.unwrap_or_default();
        let data = &data[..data.len().min(usize::from(setup.length))];
        let takes = setup.kind & 0x80 == 0;
        let length = if takes { usize::from(setup.length) } else { data.len() };
        let length = u16::try_from(length).unwrap();
        let head = [setup.kind & 0x80, setup.request, setup.kind, status];
        let words = [setup.value, setup.index, length].map(u16::to_le_bytes).concat();
        let data = if takes { &[] } else { data };
        self.send(CONTROL, id, &[&head, &words[..], data].concat());
    }

    /// Gives what is awaited as `id`.
    pub(crate) fn give(&mut self, id: u32, data: &[u8]) {
        let [low, high] = u16::try_from(data.len()).unwrap().to_le_bytes();
        let head = [self.bulk, DONE, low, high, 0, 0, 0, 0];
        self.send(BULK, id, &[&head, data].concat());
    }

    fn send(&mut self, kind: u32, id: u32, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap();
        let head = [kind, length, id].map(u32::to_le_bytes).concat();
        // A board without power takes nothing, and need not.
        let _ = self.socket.write_all(&[&head, body].concat());
    }

    /// The next packet: type, identifier, body.
    fn packet(&mut self, wait: Duration) -> Option<(u32, u32, Vec<u8>)> {
        loop {
            let word = |at: usize| {
                let bytes = self.read.get(at..at + 4)?;
                Some(u32::from_le_bytes(bytes.try_into().unwrap()))
            };
            if let (Some(kind), Some(length), Some(id)) = (word(0), word(4), word(8)) {
                let end = HEADER_BYTES + usize::try_from(length).unwrap();
                assert!(end <= PACKET_BYTES_MAX, "no packet of qemu's: {kind}, {length} bytes");
                if self.read.len() >= end {
                    let body = self.read[HEADER_BYTES..end].to_vec();
                    self.read.drain(..end);
                    return Some((kind, id, body));
                }
            }
            self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
            let mut some = [0; 4_096];
            match self.socket.read(&mut some) {
                Ok(0) => {
                    // The board has no power.
                    std::thread::sleep(wait);
                    return None;
                }
                Ok(count) => self.read.extend_from_slice(&some[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}
