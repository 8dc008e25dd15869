//! Hostile and plain cameras over loopback, spoken by hand.

mod transport;
mod tunnel;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::base::Stop;
use crate::base::fault::{Class, Fault};
use crate::base::name::StreamName;
use crate::base::time::SystemClock;
use crate::ingest::CameraError;
use crate::ingest::rtp::MissingFrame;
use crate::media::{AccessUnit, CodecParams, RunId, Shape};
use crate::stream::{Allowance, Next, StreamState, Subscriber};
use crate::supervise::{Supervisor, TaskSpec};

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAM6wVFKCgL/lQ,aO48sA==\r\n\
    a=control:track1\r\n";

/// What a camera does with one request.
enum Reply {
    /// Answers with this status line, headers and body.
    Say(&'static str, String, String),
    /// Says nothing more.
    Hush,
    /// Hangs up.
    HangUp,
}

fn ok(headers: &str, body: &str) -> Reply {
    Reply::Say("200 OK", headers.to_owned(), body.to_owned())
}

/// A well-behaved answer to each method.
fn polite(method: &str) -> Reply {
    match method {
        "DESCRIBE" => ok("Content-Type: application/sdp\r\n", SDP),
        "SETUP" => {
            ok("Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", "")
        }
        _ => ok("Session: 1\r\n", ""),
    }
}

/// A camera that answers with `reply` and sends `media` after PLAY, then hushes or hangs up.
async fn camera(
    reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    media: Vec<u8>,
    hang_up: bool,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // One client after the other is enough here; the probe of a slow one waits in line.
            let _ = serve(&mut socket, &reply, &media, hang_up).await;
        }
    });
    format!("rtsp://127.0.0.1:{port}/main")
}

async fn serve(
    socket: &mut TcpStream,
    reply: &(impl Fn(&str) -> Reply + Send + Sync),
    media: &[u8],
    hang_up: bool,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        let byte = socket.read_u8().await?;
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("0");
        match reply(&method) {
            Reply::Say(status, headers, body) => {
                let length = body.len();
                let answer = format!(
                    "RTSP/1.0 {status}\r\nCSeq: {cseq}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                );
                socket.write_all(answer.as_bytes()).await?;
            }
            Reply::Hush => std::future::pending().await,
            Reply::HangUp => return Ok(()),
        }
        if method == "PLAY" {
            socket.write_all(media).await?;
            if hang_up {
                return Ok(());
            }
        }
    }
}

/// An interleaved RTP packet of payload type 96.
fn rtp(seq: u16, time: u32, last: bool, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 12).unwrap();
    let mut packet = vec![b'$', 0];
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&[0x80, if last { 0xe0 } else { 0x60 }]);
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&time.to_be_bytes());
    packet.extend_from_slice(&7u32.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// `count` pictures 40 ms apart: a key frame, then others.
fn pictures(count: u16, size: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| {
            let mut nal = vec![if n == 0 { 0x65 } else { 0x41 }];
            nal.resize(size, 0x88);
            rtp(n + 10, u32::from(n) * 3_600, true, &nal)
        })
        .collect()
}

fn config(url: &str) -> PullConfig {
    let mut config =
        PullConfig::new(Url::parse(url).unwrap(), None, None, PullTransport::Tcp).unwrap();
    // Long for a camera that answers on a busy machine, short for one that never does.
    let short = Duration::from_millis(700);
    config.bounds.connect = short;
    config.bounds.describe = short;
    config.bounds.first_frame = short;
    config.bounds.idle = short;
    config
}

fn stream() -> Arc<Stream> {
    Stream::new(StreamName::parse("gate").unwrap(), "rtsp_pull", SystemClock.wall())
}

use crate::base::time::Clock as _;

/// One life on `stream` and how it ended. A minute bounds a test that went wrong.
async fn life(config: &PullConfig, stream: &Arc<Stream>) -> PullError {
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    let (sender, ended) = oneshot::channel();
    let mut sender = Some(sender);
    let (config, stream) = (config.clone(), Arc::clone(stream));
    supervisor.keep(TaskSpec::new("gate/source"), move |context| {
        let (config, stream, sender) = (config.clone(), Arc::clone(&stream), sender.take());
        async move {
            let Err(error) = run(&config, stream, context).await;
            if let Some(sender) = sender {
                sender.send(error).ok();
                std::future::pending::<()>().await;
            }
            Err::<_, PullError>(PullError::Stopped)
        }
    });
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends").unwrap()
}

async fn ended(url: &str) -> PullError {
    life(&config(url), &stream()).await
}

fn drain(reader: &mut Subscriber<AccessUnit>) -> Vec<Arc<AccessUnit>> {
    std::iter::from_fn(|| match reader.try_next() {
        Some(Next::Item(unit)) => Some(unit),
        _ => None,
    })
    .collect()
}

#[tokio::test]
async fn a_refused_connection_is_told_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = ended(&format!("rtsp://127.0.0.1:{port}/x?password=hidden")).await;
    assert_eq!(error.class(), Class::Network);
    let text = error.to_string();
    let wanted = format!("Cannot reach the camera at 127.0.0.1:{port}: it refuses the connection.");
    assert!(text.starts_with(&wanted), "{text}");
}

#[tokio::test]
async fn a_camera_that_accepts_and_says_nothing_is_given_up() {
    let url = camera(|_| Reply::Hush, Vec::new(), false).await;
    let error = ended(&url).await;
    assert!(matches!(error, PullError::Silent { step: PullStep::Describe, .. }), "{error}");
    let url =
        camera(|m| if m == "PLAY" { Reply::Hush } else { polite(m) }, Vec::new(), false).await;
    let error = ended(&url).await;
    assert!(matches!(error, PullError::Silent { step: PullStep::Play, .. }), "{error}");
}

#[tokio::test]
async fn a_camera_that_hangs_up_is_told_as_such() {
    let url = camera(|_| Reply::HangUp, Vec::new(), false).await;
    assert!(matches!(ended(&url).await, PullError::Closed));
}

#[tokio::test]
async fn refused_credentials_are_refused_not_broken() {
    let refuse = |_: &str| {
        let header = "WWW-Authenticate: Digest realm=\"x\", nonce=\"1\"\r\n".to_owned();
        Reply::Say("401 Unauthorized", header, String::new())
    };
    let url = camera(refuse, Vec::new(), false).await;
    let error = ended(&url).await;
    assert!(matches!(error, PullError::Camera(CameraError::CredentialsMissing { .. })), "{error}");
    let mut config = config(&url);
    config.username = Some("viewer".into());
    config.password = Some(Secret::new("hunter2"));
    let error = life(&config, &stream()).await;
    assert!(matches!(error, PullError::Camera(CameraError::Refused { .. })), "{error}");
    assert_eq!(error.class(), Class::Refused);
    assert!(!format!("{error:?} {error} {config:?}").contains("hunter2"));
}

#[tokio::test]
async fn other_answers_are_told_by_their_meaning() {
    let say = |status: &'static str| {
        camera(move |_| Reply::Say(status, String::new(), String::new()), Vec::new(), false)
    };
    let forbidden = ended(&say("403 Forbidden").await).await;
    assert_eq!(forbidden.class(), Class::Refused);
    let missing = ended(&say("404 Not Found").await).await;
    assert!(matches!(missing, PullError::NotFound { .. }), "{missing}");
    let elsewhere = ended(&say("302 Moved").await).await;
    assert!(matches!(elsewhere, PullError::Redirected { .. }), "{elsewhere}");
    let broken = ended(&say("500 Oops").await).await;
    assert!(matches!(broken, PullError::Status { status: 500, .. }), "{broken}");
}

#[tokio::test]
async fn a_description_that_is_garbage_is_the_peers_fault_and_told_the_same_each_time() {
    let garbage = |method: &str| match method {
        "DESCRIBE" => ok("Content-Type: application/sdp\r\n", "\u{1b}[31mm=?\r\n\0\0garbage"),
        _ => polite(method),
    };
    let url = camera(garbage, Vec::new(), false).await;
    let (first, second) = (ended(&url).await, ended(&url).await);
    assert_eq!(first.class(), Class::Peer);
    assert_eq!(first.to_string(), second.to_string());
    assert!(first.to_string().len() < 400 && !first.to_string().contains('\u{1b}'), "{first}");
}

#[tokio::test]
async fn odd_descriptions_are_bounded_faults_of_the_peer() {
    let head = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\n";
    let medium = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP9/90000\r\na=control:1\r\n";
    for (name, text) in [
        ("a thousand media", format!("{head}{}", medium.repeat(1_000))),
        ("no rate", format!("{head}m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\n")),
        (
            "a megabyte",
            format!("{head}{}", "a=x:yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(30_000)),
        ),
        ("nothing", String::new()),
        ("odd line ends", "v=0\r\r\n\n\rm=video".to_owned()),
    ] {
        let text: &'static str = text.leak();
        let odd = move |method: &str| match method {
            "DESCRIBE" => ok("Content-Type: application/sdp\r\n", text),
            _ => polite(method),
        };
        let mut config = config(&camera(odd, Vec::new(), false).await);
        config.bounds.describe = Duration::from_secs(20); // a megabyte in small pieces
        let error = life(&config, &stream()).await;
        assert_eq!(error.class(), Class::Peer, "{name}: {error}");
        assert!(error.to_string().len() < 1_000, "{name}: {} bytes", error.to_string().len());
    }
}

#[tokio::test]
async fn a_camera_without_a_codec_of_ours_is_told_what_it_offers() {
    let offer = |method: &str| match method {
        "DESCRIBE" => ok(
            "Content-Type: application/sdp\r\n",
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
             a=rtpmap:96 VP9/90000\r\na=control:1\r\n",
        ),
        _ => polite(method),
    };
    let error = ended(&camera(offer, Vec::new(), false).await).await;
    assert!(error.to_string().starts_with("The camera offers VP9."), "{error}");
}

#[tokio::test]
async fn garbage_in_place_of_media_ends_the_run_only() {
    for garbage in [
        vec![b'$', 0, 0, 4, 1, 2, 3, 4],               // RTP too short
        b"\0\xff\xfenot rtsp at all\r\n\r\n".to_vec(), // neither $ nor text
        rtp(1, 0, true, &[0x78, 0, 9, 0x65]),          // STAP-A whose inner length lies
    ] {
        let error = ended(&camera(polite, garbage, false).await).await;
        let known = matches!(error, PullError::NoFirstFrame { .. } | PullError::NoMedia { .. });
        assert!(known, "{error}");
    }
}

#[tokio::test]
async fn no_rtp_makes_the_run_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..60 {
        let media: Vec<u8> =
            (0..random.u16(1..40)).flat_map(|n| scribbled(n, &mut random)).collect();
        // A panic would drop the sender that `life` waits for, and fail here.
        let error = ended(&camera(polite, media, true).await).await;
        assert!(matches!(error.class(), Class::Peer | Class::Network), "{error}");
    }
}

/// A packet whose header is right and whose payload is of a random kind and filling.
fn scribbled(n: u16, random: &mut fastrand::Rng) -> Vec<u8> {
    // Single NAL, SPS, PPS, IDR, STAP-A, FU-A with its begin, middle and end, STAP-B, reserved.
    let kinds = [0x41, 0x67, 0x68, 0x65, 0x78, 0x7c, 0x7c, 0x7c, 0x79, 0x7f];
    let kind = kinds[random.usize(..kinds.len())];
    let mut payload = vec![kind, [0x85, 0x05, 0x45, 0x87, 0x00][random.usize(..5)]];
    payload.truncate(random.usize(1..=2));
    payload.extend((0..random.usize(..60)).map(|_| random.u8(..)));
    rtp(n, u32::from(n) * random.u32(..5_000), random.bool(), &payload)
}

#[tokio::test]
async fn plain_pictures_are_published_and_a_hang_up_is_told() {
    let url = camera(polite, pictures(10, 500), true).await;
    let stream = stream();
    let mut reader = stream.bus().subscribe(Allowance::Window);
    let mut live = stream.watch_state();
    let error = life(&config(&url), &stream).await;
    assert!(matches!(error, PullError::Closed), "{error}");
    assert!(live.has_changed().unwrap());
    assert_eq!(live.borrow_and_update().0, StreamState::Live);
    let units = drain(&mut reader);
    assert_eq!(units.len(), 10);
    assert!(units[0].random_access() && !units[1].random_access());
    assert!(units.iter().all(|unit| crate::media::nal::is_whole(&unit.data)));
    let steps: Vec<_> =
        units.windows(2).map(|pair| pair[1].present.ticks - pair[0].present.ticks).collect();
    assert_eq!(steps, [3_600; 9]);
    let tracks = stream.tracks().borrow().clone().unwrap();
    assert_eq!(tracks.list[0].params.codec_name(), "H264");
}

#[tokio::test]
async fn media_time_grows_over_runs() {
    let url = camera(polite, pictures(200, 20), true).await;
    let (config, stream) = (config(&url), stream());
    let mut reader = stream.bus().subscribe(Allowance::Window);
    // Each run claims eight seconds within a moment, so the second begins behind the first.
    let mut units = Vec::new();
    for _ in 0..2 {
        life(&config, &stream).await;
        units.extend(drain(&mut reader));
    }
    assert_eq!(units.len(), 400);
    assert!(units.windows(2).all(|pair| pair[0].decode.ticks < pair[1].decode.ticks));
    assert!(units[399].run > units[0].run);
}

#[tokio::test]
async fn silence_after_play_and_after_pictures_are_told_apart() {
    let error = ended(&camera(polite, Vec::new(), false).await).await;
    assert!(matches!(error, PullError::NoMedia { tries_another: false, .. }), "{error}");
    let other: Vec<u8> = pictures(5, 50)
        .chunks(4 + 12 + 50)
        .flat_map(|packet| [&packet[..5], &[0xe1], &packet[6..]].concat())
        .collect();
    let error = ended(&camera(polite, other, false).await).await;
    let wanted = MissingFrame::Described;
    assert!(
        matches!(error, PullError::NoFirstFrame { missing, .. } if missing == wanted),
        "{error}"
    );
    let without_key: Vec<u8> = (0..5).flat_map(|n| rtp(n, 3_600, true, &[0x41, 0x88])).collect();
    let error = ended(&camera(polite, without_key, false).await).await;
    assert!(
        matches!(error, PullError::NoFirstFrame { missing: MissingFrame::KeyFrame, .. }),
        "{error}"
    );
    let error = ended(&camera(polite, pictures(3, 50), false).await).await;
    assert!(matches!(error, PullError::Stalled { .. }), "{error}");
}

#[tokio::test]
async fn an_access_unit_that_never_ends_ends_the_run() {
    let begin = rtp(10, 0, false, &[0x7c, 0x85, 1]);
    let more = (11..2_000)
        .flat_map(|seq| rtp(seq, 0, false, &[[0x7c, 0x05].as_slice(), &[0; 900]].concat()));
    let error = ended(&camera(polite, begin.into_iter().chain(more).collect(), false).await).await;
    assert!(matches!(error, PullError::NoFirstFrame { .. }), "{error}");
}

/// A camera that answers `method` with `head` and then sends `filling` for ever.
async fn endless(
    method: &'static str,
    head: &'static str,
    filling: Vec<u8>,
) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let hush =
                move |asked: &str| if asked == method { Reply::HangUp } else { polite(asked) };
            let _ = serve(&mut socket, &hush, &[], false).await;
            let mut goes_on = socket.write_all(head.as_bytes()).await.is_ok();
            while goes_on {
                for chunk in filling.chunks(1 << 16) {
                    goes_on &= socket.write_all(chunk).await.is_ok();
                    counted.fetch_add(chunk.len() as u64, Relaxed);
                }
            }
        }
    });
    (format!("rtsp://127.0.0.1:{port}/main"), sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_cut_before_it_fills_the_memory() {
    let play = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\n\r\n";
    let body = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n";
    // An FU-A that begins and, in the 86 MB that follow, does not end.
    let unit = (0..u16::MAX)
        .flat_map(|seq| {
            let fragment = [0x7c, if seq == 0 { 0x85 } else { 0x05 }];
            rtp(seq, 0, false, &[fragment.as_slice(), &[0; 1_300]].concat())
        })
        .collect();
    let cases = [
        ("DESCRIBE", "RTSP/1.0 200 OK\r\nX: ", vec![b'x'; 1 << 16]),
        ("DESCRIBE", body, vec![b'x'; 1 << 16]),
        ("PLAY", play, unit),
    ];
    for (method, head, filling) in cases {
        let (url, sent) = endless(method, head, filling).await;
        let mut config = config(&url);
        config.bounds = PullBounds::default();
        let error = life(&config, &stream()).await;
        tokio::time::sleep(Duration::from_secs(1)).await; // a goodbye would read on
        let sent = sent.load(Relaxed);
        let told = matches!(error, PullError::NotRtsp { .. } | PullError::Flooded { .. });
        assert!(told, "{method}: {error}");
        assert!(sent < 256 << 20, "{method}: {sent} bytes were taken");
    }
}

#[tokio::test]
async fn a_flooding_camera_ends_its_own_run() {
    let url = camera(polite, pictures(400, 1_000), false).await;
    let mut config = config(&url);
    config.bounds.bytes_per_sec = 1 << 15;
    let error = life(&config, &stream()).await;
    assert!(matches!(error, PullError::Flooded { .. }), "{error}");
    assert_eq!(error.class(), Class::Peer);
}

#[tokio::test]
async fn a_lost_packet_is_counted_before_the_next_unit() {
    let mut media = pictures(3, 50);
    media.extend(rtp(14, 4 * 3_600, true, &[0x41, 0x88, 1, 1]));
    let url = camera(polite, media, true).await;
    let stream = stream();
    let mut reader = stream.bus().subscribe(Allowance::Window);
    let error = life(&config(&url), &stream).await;
    let lost: Vec<_> = drain(&mut reader).iter().map(|unit| unit.lost_before).collect();
    assert_eq!(lost, [0, 0, 0, 1], "{error}");
    assert_eq!(stream.meter.totals().lost, 1);
}

#[tokio::test]
async fn a_change_of_resolution_changes_the_tracks_within_the_run() {
    // x264's sets for 640x360, sent inside the stream before the second key frame.
    let sps = b"\x67\x64\x00\x1e\xac\xd9\x40\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\
        \x03\x00\x32\x0f\x16\x2d\x96";
    let pps = b"\x68\xeb\xe3\xcb\x22\xc0";
    let mut media = pictures(3, 50);
    for (seq, last, nal) in [(13, false, &sps[..]), (14, false, pps), (15, true, &[0x65, 0x88])] {
        media.extend(rtp(seq, 3 * 3_600, last, nal));
    }
    let url = camera(polite, media, true).await;
    let stream = stream();
    let mut reader = stream.bus().subscribe(Allowance::Window);
    let error = life(&config(&url), &stream).await;
    let units = drain(&mut reader); // who begins now begins at the newest key frame
    assert_eq!(units.len(), 1, "{error}");
    let width = |params: &CodecParams| match params.shape {
        Shape::Video { width, .. } => width,
        Shape::Audio { .. } => 0,
    };
    assert_eq!(stream.meter.totals().units, 4);
    assert_eq!((width(&units[0].params), units[0].run), (640, RunId(1)));
    let tracks = stream.tracks().borrow().clone().unwrap();
    assert_eq!(width(&tracks.list[0].params), 640);
}

#[tokio::test]
async fn the_stop_signal_ends_a_run_at_once() {
    let url = camera(polite, pictures(3, 50), false).await;
    let (mut config, stream) = (config(&url), stream());
    config.bounds.idle = Duration::from_secs(3_600);
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    let mut state = stream.watch_state();
    supervisor.keep(TaskSpec::new("gate/source"), move |context| {
        let (config, stream) = (config.clone(), Arc::clone(&stream));
        async move { run(&config, stream, context).await }
    });
    state.wait_for(|(state, _)| *state == StreamState::Live).await.unwrap();
    tokio::time::timeout(Duration::from_secs(4), supervisor.stop()).await.expect("it stops");
}

#[test]
fn a_url_with_a_password_or_of_another_kind_is_refused() {
    let new = |url: &str| PullConfig::new(Url::parse(url).unwrap(), None, None, PullTransport::Tcp);
    assert_eq!(new("rtsp://viewer:hunter2@10.0.0.7/main"), Err(UrlError::UserInfo));
    assert_eq!(new("rtsp://viewer@10.0.0.7/main"), Err(UrlError::UserInfo));
    assert_eq!(new("http://10.0.0.7/main"), Err(UrlError::Scheme));
    assert_eq!(new("rtsp:main"), Err(UrlError::Host));
    assert_eq!(new("rtsp://10.0.0.7/main"), new("rtsp://10.0.0.7/main"));
    assert_eq!(new("rtsp://10.0.0.7/main").unwrap().address(), "10.0.0.7:554");
}
