//! What serves the film, each in a process of its own: our RTSP door, and the floor.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, SystemClock};
use holdfast::encode::still::{HevcLibrary, StillDecoders};
use holdfast::live::StreamOutputs;
use holdfast::media::{RunId, TrackId, Tracks};
use holdfast::serve::rtsp::RtspServer;
use holdfast::stream::{Directory, Stream};
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
    let name = StreamName::parse("gate").unwrap();
    let stream = Stream::new(name.clone(), "pattern", SystemClock.wall());
    let decoder = StillDecoders::keep("/nonexistent".as_ref(), HevcLibrary::Off, &supervisor);
    let outlet = Arc::new(StreamOutputs::new(&stream, None, &decoder, &supervisor));
    let directory = Arc::new(Directory::default());
    directory.replace(BTreeMap::from([(name, outlet)]));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    RtspServer::new(directory, supervisor).keep(listener);
    drop(entered);
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
