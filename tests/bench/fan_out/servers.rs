//! What serves the film, each in a process of its own: our RTSP door, and the floor.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use holdfast::base::Stop;
use holdfast::base::time::SystemClock;
use holdfast::media::{RunId, TrackId, Tracks};
use holdfast::supervise::Supervisor;
use holdfast::wire::rtp::Packetizer;

use crate::film::Film;

/// Our RTSP door with one stream, `gate`, on the runtime that the daemon has.
pub fn ours() -> ! {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(cores).enable_all().build().unwrap();
    let entered = runtime.enter();
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    drop(entered);
    let (address, outputs) = runtime.block_on(crate::rtsp_door::serve(&supervisor));
    let (port, stream) = (address.port(), Arc::clone(&outputs.stream));
    let film = Film::load();
    let run = stream.begin_run();
    stream.set_tracks(Arc::new(Tracks::new(run, [Arc::clone(&film.params)])));
    say_ready(port);
    Film::play(|number| stream.publish(film.unit(number, run)))
}

/// The least that a server can do: one thread that writes the same packets to each socket.
pub fn floor() -> ! {
    let film = Film::load();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let readers = Arc::new(Mutex::new(Vec::new()));
    say_ready(listener.local_addr().unwrap().port());
    let arrived = Arc::clone(&readers);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let reader = FloorReader::welcome(socket.unwrap());
            arrived.lock().unwrap().push(reader);
        }
    });
    let mut packetizer = Packetizer::new(TrackId(0), 7);
    Film::play(|number| {
        let packets = packetizer.packetize(&film.unit(number, RunId(1)));
        let datagrams: Vec<_> = packets.datagrams().collect();
        readers.lock().unwrap().retain_mut(|reader| match reader {
            FloorReader::Tcp(socket) => socket.write_all(packets.framed()).is_ok(),
            FloorReader::Udp(socket, target) => {
                for datagram in &datagrams {
                    let _ = socket.send_to(datagram, *target);
                }
                true
            }
        });
    })
}

enum FloorReader {
    Tcp(TcpStream),
    Udp(UdpSocket, SocketAddr),
}

impl FloorReader {
    /// The first line says how: `tcp`, or `udp` and the port.
    fn welcome(socket: TcpStream) -> Self {
        let mut line = String::new();
        BufReader::new(&socket).read_line(&mut line).unwrap();
        socket.set_nodelay(true).unwrap();
        let Some(port) = line.strip_prefix("udp ") else { return Self::Tcp(socket) };
        let peer: IpAddr = socket.peer_addr().unwrap().ip();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self::Udp(udp, (peer, port.trim().parse().unwrap()).into())
    }
}

fn say_ready(port: u16) {
    println!("ready {port}");
    std::io::stdout().flush().unwrap();
}
