//! The RTSP door over real sockets, read by ffmpeg, GStreamer and rude clients.
//!
//! One synthetic H.264 picture per 40 ms with A-law sound. Every frame that a reader decodes is
//! compared by checksum with the same frame decoded from the file: one that is missing, damaged
//! or out of order shows.

mod bench;

use std::sync::Arc;
use std::time::Duration;

use holdfast::media::{RunId, Tracks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use bench::{Bench, Clip, H265};

use crate::replay::{checksums, end_of, run};

const FRAME: Duration = Duration::from_millis(40);
const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=8-9\r\n";
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_reads_every_picture_over_tcp_and_udp() {
    let bench = Bench::open(Clip::make("640x360", "23").await).await;
    tokio::join!(bench.read("tcp", 75), bench.read("udp", 75));
    bench.readers_become(0).await;
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_reads_h265_and_aac() {
    let bench = Bench::open(Clip::coded(&H265, "640x360", "28").await.with_aac().await).await;
    bench.read("tcp", 60).await;
    let url = bench.url();
    let line = "-v warning -rtsp_transport tcp -i URL -map 0:a -frames:a 100 -f null -";
    let args: Vec<&str> =
        line.split_whitespace().map(|arg| if arg == "URL" { &url } else { arg }).collect();
    let (_, told) = run("ffmpeg", &args, Vec::new()).await;
    assert!(!told.contains("aac"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_pictures_are_paced_over_udp_so_that_none_is_lost() {
    // Key frames longer than the usual socket buffer of a receiver.
    let clip = Clip::make("640x360", "20").await;
    assert!(clip.bytes_max() > 150_000, "only {} bytes", clip.bytes_max());
    let bench = Bench::open(clip).await;
    bench.read("udp", 75).await;
    bench.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_with_a_small_buffer_may_look_away() {
    let bench = Bench::open(Clip::make("1280x720", "33").await).await;
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    // The default of most systems, 208 KiB as the kernel counts: about 90 packets.
    socket2::SockRef::from(&receiver).set_recv_buffer_size(106_496).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let transport = format!("Transport: RTP/AVP;unicast;client_port={port}-{port}\r\n");
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let client = bench.player(socket, &transport).await;
    let count = tokio::task::spawn_blocking(move || {
        let (mut next, mut buffer) = (None, [0; 2_000]);
        let (mut count, mut looks) = (0, 0);
        let begun = std::time::Instant::now();
        let mut looked = begun;
        while begun.elapsed() < Duration::from_secs(4) {
            std::thread::sleep(Duration::from_millis(15));
            // On a busy machine it is away for longer than it wished; what is lost then is not ours.
            let is_away_as_wished = looked.elapsed() < Duration::from_millis(20);
            looks += u32::from(is_away_as_wished);
            looked = std::time::Instant::now();
            while let Ok(length) = receiver.recv(&mut buffer) {
                if buffer[1] & 0x7f != 96 {
                    continue; // a sender report
                }
                assert!(length <= 1_400, "{length}");
                let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
                let is_whole = *next.get_or_insert(sequence) == sequence;
                assert!(is_whole || !is_away_as_wished, "lost after {count}");
                next = Some(sequence.wrapping_add(1));
                count += 1;
            }
        }
        (count, looks)
    });
    let (count, looks) = count.await.unwrap();
    assert!(count > 1_500 && looks > 50, "only {count} packets in {looks} looks");
    drop(client);
    bench.readers_become(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffprobe_sees_both_tracks() {
    let bench = Bench::open(Clip::make("640x360", "23").await).await;
    let url = bench.url();
    let entries = "stream=codec_name,width,height,avg_frame_rate,sample_rate";
    let args =
        ["-v", "error", "-rtsp_transport", "tcp", "-show_entries", entries, "-of", "csv=p=0"];
    let (told, errors) = run("ffprobe", &[&args[..], &[&url]].concat(), Vec::new()).await;
    assert_eq!(String::from_utf8(told).unwrap(), "h264,640,360,25/1\npcm_alaw,8000,0/0\n");
    assert_eq!(errors, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_reads_over_tcp_and_udp() {
    let bench = Bench::open(Clip::make("640x360", "23").await).await;
    let read = async |protocol: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("got.h264");
        let line = format!(
            "-q rtspsrc location={} protocols={protocol} ! rtph264depay ! h264parse ! \
             video/x-h264,stream-format=byte-stream,alignment=au ! identity eos-after=60 ! \
             filesink location={}",
            bench.url(),
            file.display()
        );
        let args: Vec<&str> = line.split_whitespace().collect();
        // Its own PAUSE races with its own flush at the end, so its exit code says little
        // (GStreamer 1.22). What it read says all.
        let told = end_of("gst-launch-1.0", &args, Vec::new()).await.stderr;
        println!("{}", String::from_utf8_lossy(&told));
        let args = ["-v", "error", "-f", "h264", "-i", "-", "-f", "framemd5", "-"];
        let (sums, errors) = run("ffmpeg", &args, std::fs::read(&file).unwrap()).await;
        assert_eq!(errors, "");
        let sums = checksums(&sums);
        assert!(sums.len() >= 58, "{} pictures", sums.len());
        bench.clip.assert_stretch(&sums, sums.len());
    };
    tokio::join!(read("tcp"), read("udp"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_cut_and_nobody_else_notices() {
    let bench = Bench::open(Clip::make("1280x720", "12").await).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8_192).unwrap();
    let stuck = bench.player(socket.connect(bench.address).await.unwrap(), TCP).await;
    bench.readers_become(1).await;
    bench.read("tcp", 150).await;
    bench.readers_become(0).await;
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_frees_its_place() {
    let bench = Bench::open(Clip::make("320x240", "30").await).await;
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let client = bench.player(socket, TCP).await;
    bench.readers_become(1).await;
    drop(client);
    bench.readers_become(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rude_clients_get_an_answer_and_their_connection_ends() {
    let bench = Bench::open(Clip::make("320x240", "30").await).await;
    let huge = format!("DESCRIBE rtsp://h/{} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "x".repeat(64 << 10));
    for (bytes, wanted) in [
        (huge.as_bytes(), "RTSP/1.0 414 "),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", "RTSP/1.0 400 "),
        (b"\x16\x03\x01\x02\x00\x01\x00", "RTSP/1.0 400 "),
    ] {
        let mut socket = TcpStream::connect(bench.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut reply = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut reply));
        read.await.unwrap().unwrap();
        assert!(reply.starts_with(wanted.as_bytes()), "{}", String::from_utf8_lossy(&reply));
    }
    bench.read("tcp", 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn describe_and_play_wait_for_the_camera_and_not_for_ever() {
    let bench = Bench::dark(Clip::make("320x240", "30").await).await;
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    let early = bench.ask(&mut socket, "DESCRIBE", "", "").await;
    assert!(early.starts_with("RTSP/1.0 503 "), "{early}");
    let mut second = TcpStream::connect(bench.address).await.unwrap();
    let (in_time, ()) = tokio::join!(bench.ask(&mut second, "DESCRIBE", "", ""), async {
        tokio::time::sleep(FRAME * 10).await;
        let tracks = [&bench.clip.params, &bench.clip.audio].map(Arc::clone);
        bench.outputs.stream.set_tracks(Arc::new(Tracks::new(RunId(0), tracks)));
    });
    assert!(in_time.starts_with("RTSP/1.0 200 "), "{in_time}");
    // The tracks are known, and nothing comes: PLAY is answered without numbers.
    let mut third = TcpStream::connect(bench.address).await.unwrap();
    let setup = bench.ask(&mut third, "SETUP", "/trackID=0", TCP).await;
    assert!(setup.starts_with("RTSP/1.0 200 "), "{setup}");
    let play = bench.ask(&mut third, "PLAY", "", "").await;
    assert!(play.contains("/trackID=0\r\n"), "{play}");
    bench.film();
    let first = tokio::time::timeout(PATIENCE, third.read_u16()).await.unwrap().unwrap();
    assert_eq!(first, u16::from_be_bytes([b'$', 9]), "a sender report goes first");
}

/// What a socket in a session says next: a packet of channel 8, or the head of a reply.
async fn next_of_session(socket: &mut TcpStream) -> Result<Vec<u8>, String> {
    loop {
        let first = tokio::time::timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap();
        if first == b'$' {
            let channel = socket.read_u8().await.unwrap();
            let mut packet = vec![0; usize::from(socket.read_u16().await.unwrap())];
            socket.read_exact(&mut packet).await.unwrap();
            if channel == 8 {
                return Ok(packet);
            }
            continue;
        }
        let mut reply = vec![first];
        while !reply.ends_with(b"\r\n\r\n") {
            reply.push(socket.read_u8().await.unwrap());
        }
        return Err(String::from_utf8(reply).unwrap());
    }
}

/// Number and time stamp of a packet.
fn numbers(packet: &[u8]) -> (u16, u32) {
    let number = u16::from_be_bytes([packet[2], packet[3]]);
    (number, u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_continue_over_pause_and_play_within_one_group_of_pictures() {
    let bench = Bench::open(Clip::make("320x180", "30").await).await;
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let mut socket = bench.player(socket, TCP).await;
    let say = |method: &str| format!("{method} {} RTSP/1.0\r\nCSeq: 3\r\n\r\n", bench.url());
    let mut last: Option<(u16, u32)> = None;
    for _ in 0..4 {
        let mut reply = String::new();
        if last.is_some() {
            socket.write_all(say("PLAY").as_bytes()).await.unwrap();
            reply = next_of_session(&mut socket).await.expect_err("the reply comes first");
        }
        let (number, time) = numbers(&next_of_session(&mut socket).await.unwrap());
        if let Some((before, latest)) = last {
            assert_eq!(number, before.wrapping_add(1), "{reply}");
            assert!(time.wrapping_sub(latest).cast_signed() > 0, "time steps back");
            assert!(reply.contains(&format!("seq={number};rtptime={time}")), "{reply}");
        }
        let (mut before, mut latest) = (number, time);
        for count in 0.. {
            if count == 20 {
                socket.write_all(say("PAUSE").as_bytes()).await.unwrap();
            }
            let Ok(packet) = next_of_session(&mut socket).await else { break };
            let (number, time) = numbers(&packet);
            assert_eq!(number, before.wrapping_add(1));
            before = number;
            if time.wrapping_sub(latest).cast_signed() > 0 {
                latest = time;
            }
        }
        last = Some((before, latest));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_over_tcp_that_closes_its_own_direction_goes_on_reading() {
    let bench = Bench::open(Clip::make("320x180", "30").await).await;
    let socket = TcpStream::connect(bench.address).await.unwrap();
    let mut socket = bench.player(socket, TCP).await;
    socket.shutdown().await.unwrap();
    let mut last = None;
    for _ in 0..60 {
        let (number, _) = numbers(&next_of_session(&mut socket).await.unwrap());
        assert!(last.is_none_or(|before: u16| number == before.wrapping_add(1)));
        last = Some(number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_readers_get_the_same_bytes() {
    let bench = Bench::open(Clip::make("320x240", "30").await).await;
    let read = async || {
        let socket = TcpStream::connect(bench.address).await.unwrap();
        let own = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let mut socket = bench.player(socket, own).await;
        let (mut next, mut count) = (None, 0);
        while count < 200 {
            let (head, length) =
                (socket.read_u16().await.unwrap(), socket.read_u16().await.unwrap());
            let mut packet = vec![0; usize::from(length)];
            socket.read_exact(&mut packet).await.unwrap();
            if head == u16::from_be_bytes([b'$', 0]) {
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                assert_eq!(*next.get_or_insert(sequence), sequence);
                next = Some(sequence.wrapping_add(1));
                count += 1;
            }
        }
    };
    let readers = futures::future::join_all((0..40).map(|_| read()));
    tokio::time::timeout(PATIENCE, readers).await.unwrap();
    bench.readers_become(0).await;
    assert_eq!(bench.outputs.rtsp.totals().lost, 0);
}
