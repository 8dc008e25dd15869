//! Downloads of recordings that cannot end well: footage that goes or breaks while it is sent, clients
//! that leave or take nothing. What the client sees is never a file that looks whole and is not.

use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::capture::{Film, Place, Ring};
use crate::clock::LongOn;
use crate::door::{Setup, TestBox};
use crate::harness::daemon::Daemon;
use crate::harness::wait_for;
use bytes::Bytes;

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const OTHER: &str = "[stream.yard]\n\
     source = { kind = \"pattern\", width = 160, height = 120, fps = 5 }\n";
/// Seconds of footage: 50 MB.
const SECS: i64 = 100;

/// A second of undecodable media: 25 pictures of 20 kB.
fn heavy() -> Film {
    let mut film = Film::plain("160x120", 1);
    for (number, packet) in film.packets.iter_mut().enumerate() {
        packet.data = Bytes::from(vec![u8::try_from(number).unwrap(); 20_000]);
    }
    film
}

fn record(ring: &mut Ring, film: &Film, place: Place, secs: std::ops::Range<i64>) {
    for second in secs {
        ring.record(&[film], 0..1, place.later(second * 1_000), second == 0);
    }
    ring.settle();
}

/// A daemon that holds [`SECS`] seconds from the place on.
fn serve() -> (Daemon, Place) {
    let mut daemon = Daemon::new("64MiB", OTHER);
    let mut ring = Ring::make(&daemon.data_dir(), 64 * MIB, MIB);
    let place = Place::ago(600);
    record(&mut ring, &heavy(), place, 0..SECS);
    ring.close();
    daemon.start();
    wait_for("the ring is open", PATIENCE, || {
        (daemon.get("/api/v1/recordings/gate")["complete"] == true).then_some(())
    });
    (daemon, place)
}

fn export(place: Place) -> String {
    let (from, until) = (place.at(0.0).to_rfc3339(), place.later(SECS * 1_000).date.to_rfc3339());
    format!("/export/gate.mp4?start={from}&end={until}")
}

/// An answer of which nothing is read that is not asked for.
struct Answer {
    socket: TcpStream,
    status: u16,
    /// As its head says.
    length: u64,
    got: u64,
}

impl Answer {
    fn to(server: SocketAddr, path: &str) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        // What the kernel holds for us counts as sent.
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.connect(&server.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.unwrap_or_else(|| panic!("a length in {head}")).parse().unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { socket, status, length, got: 0 }
    }

    /// Reads some; returns whether the connection continues.
    fn take(&mut self) -> bool {
        match self.socket.read(&mut [0; 16 << 10]) {
            Ok(bytes @ 1..) => {
                self.got += bytes as u64;
                true
            }
            // The end, or a reset.
            Ok(0) | Err(_) => false,
        }
    }

    fn take_all(mut self) -> u64 {
        while self.take() {}
        self.got
    }
}

/// What `/metrics` says of `name`, labels included.
fn metric(server: SocketAddr, name: &str) -> Option<u64> {
    let mut answer = Answer::to(server, "/metrics");
    let mut text = String::new();
    answer.socket.read_to_string(&mut text).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

fn ended(server: SocketAddr, outcome: &str) -> Option<u64> {
    let labels = format!("{{stream=\"gate\",outcome=\"{outcome}\"}}");
    metric(server, &format!("holdfast_downloads_total{labels}"))
}

fn running(server: SocketAddr) -> Option<u64> {
    metric(server, "holdfast_past_readers{stream=\"gate\",door=\"export\"}")
}

fn address(daemon: &Daemon) -> SocketAddr {
    ([127, 0, 0, 1], daemon.http_port).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_that_goes_while_it_is_sent_breaks_the_transfer() {
    let setup = Setup::new("/nonexistent/decoder".into());
    let open = TestBox::open_with(Setup { clock: Arc::new(LongOn), ..setup }).await;
    let (server, dvr) = (open.addr, open.dvr.clone());
    tokio::task::spawn_blocking(move || {
        let (mut ring, film) = (Ring::on(dvr), heavy());
        let place = Place::ago(3_600);
        record(&mut ring, &film, place, 0..SECS);
        let mut answer = Answer::to(server, &export(place));
        assert_eq!(answer.status, 200);
        // Slow, but not cut for taking nothing.
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = Arc::clone(&gone);
        let reader = std::thread::spawn(move || {
            let mut goes_on = true;
            while goes_on && !is_gone.load(Ordering::Relaxed) {
                goes_on = answer.take();
                std::thread::sleep(Duration::from_millis(400));
            }
            (answer.length, answer.take_all())
        });
        // Three times the ring.
        record(&mut ring, &film, place, SECS..5 * SECS);
        gone.store(true, Ordering::Relaxed);
        let (length, got) = reader.join().unwrap();
        assert!(got < length, "{got} of {length} bytes");
        wait_for("the download has ended", PATIENCE, || (running(server) == Some(0)).then_some(()));
        assert_eq!((ended(server, "broken"), ended(server, "whole")), (Some(1), Some(0)));
    })
    .await
    .unwrap();
    drop(open);
}

#[test]
fn a_slot_that_breaks_while_it_is_sent_ends_the_file_and_is_told_once() {
    let (daemon, place) = serve();
    let (server, path) = (address(&daemon), export(place));
    let mut answer = Answer::to(server, &path);
    while answer.got < MIB {
        assert!(answer.take());
    }
    // The second half of the footage: one bit in the middle of each slot.
    let slots = daemon.slots();
    for slot in &slots[slots.len() / 2..] {
        let mut file = std::fs::File::options().read(true).write(true).open(slot).unwrap();
        let mut byte = [0];
        file.seek(SeekFrom::Start(MIB / 2)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(MIB / 2)).unwrap();
        file.write_all(&[byte[0] ^ 1]).unwrap();
    }
    let length = answer.length;
    let got = answer.take_all();
    assert!(got < length, "{got} of {length} bytes");
    wait_for("it is counted", PATIENCE, || (ended(server, "broken") == Some(1)).then_some(()));
    let logs = daemon.logs();
    assert_eq!(logs.matches("download of a recording ended early").count(), 1, "{logs}");
    assert!(logs.contains("damaged"), "{logs}");
    // What is left of it is a file, once all that is broken was found.
    let whole = wait_for("the rest is there", PATIENCE, || {
        let answer = Answer::to(server, &path);
        let length = answer.length;
        (answer.take_all() == length).then_some(length)
    });
    assert!(whole < length, "{whole} of {length} bytes");
}

#[test]
fn clients_that_take_nothing_or_leave_cost_little_and_give_their_places_back() {
    let (daemon, place) = serve();
    let (server, path) = (address(&daemon), export(place));
    let before = peak_kib(daemon.pid());
    let mut slow: Vec<Answer> = (0..16).map(|_| Answer::to(server, &path)).collect();
    assert!(slow.iter().all(|answer| answer.status == 200));
    wait_for("all have begun", PATIENCE, || (running(server) == Some(16)).then_some(()));
    assert_eq!(Answer::to(server, &path).status, 503);
    // Half of them leave; their places are free at once.
    slow.truncate(8);
    wait_for("their places are free", PATIENCE, || (running(server) == Some(8)).then_some(()));
    assert_eq!(Answer::to(server, &path).status, 200);
    // The others are cut, after ten seconds.
    wait_for("they are cut", PATIENCE, || (running(server) == Some(0)).then_some(()));
    assert!(slow.into_iter().all(|answer| answer.length > answer.take_all()));
    assert_eq!(ended(server, "whole"), Some(0));
    // Each: what is read and what is read ahead, a fragment more than a megabyte each.
    let grown = peak_kib(daemon.pid()) - before;
    assert!(grown < 16 * 4 * 1_024, "{grown} KiB more");
}

/// What the kernel says a process holds in memory at most, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
