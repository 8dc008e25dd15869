//! A full house of foreigners: slow, silent and half-open connections of every protocol, from many
//! addresses at once, while eight streams record. Nobody who signs in notices, nor does the footage.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Instant;

use holdfast::base::limits::{PLACES_UNPROVEN_MAX, PLACES_UNPROVEN_PER_NETWORK_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::{PASSWORD, PATIENCE, add_account, ask, get, new_box, send, sign_in};
use crate::harness::daemon::Daemon;
use crate::harness::wait_for;

/// Addresses that the foreigners come from, and connections of each.
const ADDRESSES: u8 = 50;
const EACH: usize = 40;

fn streams() -> String {
    let one = |n: u8| {
        format!(
            "[stream.cam-{n}]\nsource = {{ kind = \"pattern\", width = 160, height = 120, fps = 5, \
             bitrate_bps = 50000 }}\n"
        )
    };
    (1..=8).map(one).collect()
}

fn foreigner(n: u8, port: u16, says: &[u8]) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, n), 0).into()).unwrap();
    socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()).ok()?;
    let mut socket = TcpStream::from(socket);
    socket.write_all(says).ok()?;
    Some(socket)
}

/// A line of /proc/PID/status, in KiB.
fn status_kib(daemon: &Daemon, line: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let found = text.lines().find_map(|told| told.strip_prefix(line)).unwrap();
    found.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").trim().parse().unwrap()
}

fn descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

#[test]
fn the_page_opens_under_two_thousand_slow_connections_and_nothing_is_lost() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let mut daemon = new_box();
    daemon.configure("256MiB", &streams());
    add_account(&daemon, &["--name", "anna", "--role", "admin"]);
    daemon.start();
    let cookie = sign_in(&daemon, "anna", PASSWORD).cookie();
    wait_for("all record", PATIENCE * 2, || {
        let told = get(&daemon, "/api/v1/streams", &cookie).json();
        let streams = told["streams"].as_array()?.clone();
        let records = |one: &serde_json::Value| one["recording"]["state"] == "recording";
        (streams.len() == 8 && streams.iter().all(records)).then_some(())
    });
    let (before, memory) = (descriptors(&daemon), status_kib(&daemon, "VmHWM"));
    let doors: [(u16, &[u8]); 5] = [
        (daemon.http_port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow"),
        (
            daemon.http_port,
            b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                             Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        ),
        (daemon.https_port, b""),
        (daemon.rtsp_port, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        (daemon.rtsps_port, b"\x16\x03\x01\x02"),
    ];
    let mut held = Vec::new();
    for round in 0..EACH {
        let (port, says) = doors[round % doors.len()];
        held.extend((1..=ADDRESSES).filter_map(|n| foreigner(n, port, says)));
    }
    assert!(held.len() >= 1_900, "{} foreigners came", held.len());

    let begun = Instant::now();
    let page = send(&daemon, "GET", "/", "", "");
    let opened = begun.elapsed();
    assert_eq!(page.status, 200);
    // The next of them push each other out, not those who are let in.
    let (port, says) = doors[0];
    held.extend((1..=ADDRESSES).filter_map(|n| foreigner(n, port, says)));
    let again = sign_in(&daemon, "anna", PASSWORD);
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(ask(&daemon, "GET", "/api/v1/streams", &again.cookie(), &json!(null)).status, 200);
    let secure = Instant::now();
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sk", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}"]);
    curl.arg(format!("https://127.0.0.1:{}/", daemon.https_port));
    let told = crate::harness::run(&mut curl, PATIENCE);
    assert_eq!(String::from_utf8_lossy(&told.stdout), "200");
    let secured = secure.elapsed();
    // Half heads and handshakes of a network share its places.
    let most = PLACES_UNPROVEN_MAX.min(usize::from(ADDRESSES) * PLACES_UNPROVEN_PER_NETWORK_MAX);
    wait_for("those who were pushed out are gone", PATIENCE, || {
        (descriptors(&daemon) <= before + 2 * most + 64).then_some(())
    });
    let peak = status_kib(&daemon, "VmHWM");
    println!("page {opened:?}, over https {secured:?}, memory {memory} KiB, peak {peak} KiB");
    assert!(peak < memory + (80 << 10), "{memory} KiB grew to {peak} KiB");
    drop(held);
    for n in 1..=8 {
        let path = format!("/api/v1/recordings/cam-{n}");
        let list = ask(&daemon, "GET", &path, &again.cookie(), &json!(null)).json();
        assert_eq!((list["runs"].as_array().map(Vec::len), &list["gaps"]), (Some(1), &json!([])));
    }
}
