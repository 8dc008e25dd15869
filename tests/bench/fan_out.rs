//! What it costs to serve one stream to many readers, beside the floor and gst-rtsp-server.
//!
//! `cargo bench --bench fan_out`, or with a leg's name behind `--`: `tcp-200`, `stalled`…
//!
//! One H.264 stream of 4 Mbit/s, 1080p. Server and readers are processes of their own. Processor
//! time is the server's alone (what the scheduler counted for its threads, the stream itself
//! included). Each picture carries the moment at which it was published (CLOCK_BOOTTIME, in an
//! SEI message); it is late by what has passed when its last packet was read. The floor is a
//! thread that writes the same packets at the same times to the same number of sockets. Beside
//! them, when it is there, gst-rtsp-server relaying the stream from our server.

#![allow(unreachable_pub)] // modules of one program

#[path = "fan_out/client.rs"]
mod client;
#[path = "fan_out/film.rs"]
mod film;
#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "fan_out/leg.rs"]
mod leg;
#[path = "fan_out/picture.rs"]
mod picture;
#[path = "fan_out/readers.rs"]
mod readers;
#[path = "../support/rtsp_door/mod.rs"]
mod rtsp_door;
#[path = "fan_out/servers.rs"]
mod servers;

use std::time::Duration;

use client::Way;
use leg::{Leg, Server};

/// Servers of one leg, in their order.
const ALL: &[Server] = &[Server::Floor, Server::Ours, Server::Gst];
const BOTH: &[Server] = &[Server::Floor, Server::Ours];

const fn leg(name: &'static str, way: Way, readers: usize, servers: &'static [Server]) -> Leg {
    let (stalled, pause_micros, window) = (0, 3_000, Duration::from_secs(8));
    Leg { name, way, readers, stalled, pause_micros, window, servers }
}

const LEGS: &[Leg] = &[
    leg("tcp-50", Way::Tcp, 50, ALL),
    leg("tcp-200", Way::Tcp, 200, ALL),
    leg("tcp-1000", Way::Tcp, 1_000, BOTH),
    leg("udp-200", Way::Udp, 200, ALL),
    // Readers that come in one by one over two GOPs.
    Leg {
        pause_micros: 100_000,
        window: Duration::from_secs(1),
        servers: &[Server::Ours, Server::Gst],
        ..leg("join", Way::Tcp, 40, ALL)
    },
    Leg { stalled: 50, servers: &[Server::Ours], ..leg("stalled", Way::Tcp, 50, ALL) },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    raise_descriptors();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => servers::ours(),
        ["floor"] => servers::floor(),
        ["read", ref plan @ ..] => return readers::run(&leg::plan(plan)),
        _ => {}
    }
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    drop(film::Film::load());
    leg::say_conditions();
    for leg in LEGS.iter().filter(|leg| wanted.is_empty() || wanted.iter().any(|w| *w == leg.name))
    {
        leg.run();
    }
}

/// A thousand readers need more descriptors than most shells give.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
