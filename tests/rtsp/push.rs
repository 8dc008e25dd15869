//! The source `rtsp_push` with real encoders: every frame that is pushed comes out again, by RTSP
//! and out of the ring.

mod encoder;
mod pattern;

use std::io::Read;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::encoder::{Encoder, PHONE, pictures};
use crate::harness::camera::{aac_frames, alaw_octets, raw_aac};
use crate::harness::daemon::{Daemon, assert_slots_decode};
use crate::harness::{Running, ffmpeg, frames, media, run, run_well, wait_for};

/// Pictures per second of the test media.
const RATE: usize = 25;

/// A daemon with a stream to publish of each name.
fn daemon(names: &[&str], keys: &str) -> Daemon {
    let stream = |name| format!("[stream.{name}]\nsource = {{ kind = \"rtsp_push\"{keys} }}\n");
    Daemon::start_new("512MiB", &names.iter().map(stream).collect::<Vec<_>>().concat())
}

/// ffmpeg publishing `secs` of the medium `file` as fast as it plays.
fn pushing(file: &str, secs: u32, transport: &str, url: &str) -> Command {
    let mut command = ffmpeg();
    command.args(["-re", "-t", &secs.to_string(), "-i"]).arg(media().join(file));
    // Pictures that are sent in another order than they are shown in end with a whole group.
    command.args(["-frames:v", &(usize::try_from(secs).unwrap() * RATE).to_string()]);
    command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", transport, url]);
    command
}

/// Fails unless what was recorded are the first `count` pictures of `medium`, each once. Slots
/// that show something else belong to other streams.
fn assert_recorded(daemon: &Daemon, medium: &[String], count: usize) {
    let slots = daemon.slots();
    assert_slots_decode(&slots);
    let mut parts: Vec<_> = slots
        .iter()
        .map(|slot| (slot.display().to_string(), frames::of_file(slot)))
        .filter(|(_, seen)| medium.contains(&seen[0]))
        .map(|(slot, seen)| {
            let begin = frames::assert_unbroken(&slot, &seen, medium);
            (begin, begin + seen.len())
        })
        .collect();
    parts.sort_unstable();
    assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0), "pictures lost: {parts:?}");
    let ends = parts.first().zip(parts.last()).map(|(first, last)| (first.0, last.1));
    assert_eq!(ends, Some((0, count)), "pictures are missing at an end: {parts:?}");
}

fn assert_nothing_lost(daemon: &Daemon, stream: &str) {
    let told = daemon.stream(stream);
    assert_eq!((&told["totals"]["lost"], &told["recording"]["lost"]), (&0.into(), &0.into()));
}

/// ffmpeg pushes for twenty seconds; a reader gets what comes while it is there, and the ring all
/// of it, sound included.
fn ffmpeg_by(transport: &str) {
    let _alone = crate::harness::alone();
    let medium = frames::of_medium("h264.mp4");
    let mut daemon = daemon(&["gate"], "");
    let url = daemon.rtsp("gate");
    let mut encoder = Running::start(&mut pushing("h264.mp4", 20, transport, &url));
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    std::thread::scope(|readers| {
        readers.spawn(|| {
            let mut reader = ffmpeg();
            reader.args(["-rtsp_transport", "tcp", "-i", &url, "-t", "8"]).args(frames::SUMS);
            let seen = frames::parse(&run_well(&mut reader, Duration::from_secs(60)));
            frames::assert_unbroken("what was read", &seen, &medium);
            assert!(seen.len() >= 7 * RATE, "only {} pictures in 8 s", seen.len());
        });
        readers.spawn(|| {
            let mut sound = ffmpeg();
            sound.args(["-rtsp_transport", "tcp", "-i", &url, "-t", "6"]);
            sound.args(["-map", "0:a", "-c", "copy", "-f", "adts", "-"]);
            let seen = raw_aac(&run_well(&mut sound, Duration::from_secs(60)));
            let source = aac_frames("h264.mp4");
            let begin = source.iter().position(|frame| *frame == seen[0]).expect("its own sound");
            assert!(seen.len() > 200 && source[begin..].starts_with(&seen), "sound is damaged");
        });
    });
    assert!(encoder.ended_within(Duration::from_secs(60)).success());
    daemon.wait_state("gate", "offline", Duration::from_secs(5));
    assert_nothing_lost(&daemon, "gate");
    assert!(daemon.stop().success());
    assert_recorded(&daemon, &medium, 20 * RATE);
}

#[test]
fn what_ffmpeg_pushes_by_tcp_comes_out_whole() {
    ffmpeg_by("tcp");
}

#[test]
fn what_ffmpeg_pushes_by_udp_comes_out_whole() {
    ffmpeg_by("udp");
}

#[test]
fn h265_b_frames_and_g711_are_taken_as_well() {
    let _alone = crate::harness::alone();
    let media = [
        ("hevc", "h265.mp4", "tcp"),
        ("order", "bframes.mp4", "udp"),
        ("phone", "g711.mov", "tcp"),
    ];
    let mut daemon = daemon(&media.map(|(name, ..)| name), "");
    let mut encoders = media.map(|(name, file, transport)| {
        Running::start(&mut pushing(file, 10, transport, &daemon.rtsp(name)))
    });
    daemon.wait_state("phone", "live", Duration::from_secs(20));
    let mut sound = ffmpeg();
    sound.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("phone"), "-t", "4"]);
    sound.args(["-map", "0:a", "-c", "copy", "-f", "alaw", "-"]);
    let seen = run_well(&mut sound, Duration::from_secs(40));
    let source = alaw_octets("g711.mov");
    assert!(seen.len() > 20_000, "only {} octets in 4 s", seen.len());
    assert!(source.windows(seen.len()).any(|part| part == seen), "sound is damaged");
    for encoder in &mut encoders {
        assert!(encoder.ended_within(Duration::from_secs(60)).success());
    }
    for (name, ..) in media {
        daemon.wait_state(name, "offline", Duration::from_secs(5));
        assert_nothing_lost(&daemon, name);
    }
    assert!(daemon.stop().success());
    for (_, file, _) in media {
        assert_recorded(&daemon, &frames::of_medium(file), 10 * RATE);
    }
}

/// GStreamer's `rtspclientsink` fed by `elements`, until it is asked to end.
fn gstreamer(url: &str, protocol: &str, elements: &str) -> Running {
    crate::harness::need("gst-launch-1.0", "gstreamer1.0-tools");
    let mut probe = Command::new("gst-inspect-1.0");
    let there = probe.arg("rtspclientsink").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        there.is_ok_and(|status| status.success()),
        "rtspclientsink is missing: apt-get install gstreamer1.0-rtsp"
    );
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "-e", "rtspclientsink", "name=out", &format!("location={url}")]);
    command.arg(format!("protocols={protocol}")).args(elements.split_whitespace());
    Running::start(&mut command)
}

#[test]
fn what_gstreamer_pushes_comes_out_whole() {
    let _alone = crate::harness::alone();
    let medium = frames::of_medium("h264.mp4");
    for protocol in ["tcp", "udp"] {
        let mut daemon = daemon(&["gate"], "");
        let file = media().join("h264.mp4");
        let elements = format!(
            "filesrc location={} ! qtdemux ! h264parse config-interval=-1 ! \
             identity sync=true eos-after=251 ! out.",
            file.display()
        );
        let encoder = gstreamer(&daemon.rtsp("gate"), protocol, &elements);
        wait_for("all of it came", Duration::from_secs(60), || {
            (daemon.stream("gate")["totals"]["units"] == 250).then_some(())
        });
        // At the end of its file it keeps reporting, without ever ending.
        encoder.kill();
        daemon.wait_state("gate", "offline", Duration::from_secs(25));
        assert_nothing_lost(&daemon, "gate");
        assert!(daemon.stop().success());
        assert_recorded(&daemon, &medium, 250);
    }
}

#[test]
fn aac_in_latm_is_taken_and_recorded_as_aac() {
    let daemon = daemon(&["gate"], "");
    let mut sender = ffmpeg();
    sender.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10"]);
    sender.args(["-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", "8"]);
    sender.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac", "-ac", "2"]);
    sender.args(["-rtpflags", "latm", "-rtsp_transport", "tcp", "-f", "rtsp"]);
    run_well(sender.arg(daemon.rtsp("gate")), Duration::from_secs(60));
    let out = daemon.data_dir().with_extension("latm.mp4");
    let mut extract = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let now = holdfast::base::time::SystemClock;
    let date =
        |nanos: i64| holdfast::base::time::Clock::wall(&now).offset_nanos(nanos).to_rfc3339();
    extract.args(["ring", "extract", "--stream", "gate", "--data-dir"]).arg(daemon.data_dir());
    extract.args(["--from", &date(-60_000_000_000), "--to", &date(0)]).arg(&out);
    wait_for("it is on the medium", Duration::from_secs(20), || {
        let _ = std::fs::remove_file(&out);
        let done = extract.output().unwrap();
        let mut probe = Command::new("ffprobe");
        probe.args(["-v", "error", "-select_streams", "a", "-show_entries"]);
        probe.args(["stream=codec_name,profile,sample_rate,duration", "-of", "csv=p=0"]).arg(&out);
        let told = String::from_utf8(probe.output().unwrap().stdout).unwrap();
        let fields: Vec<&str> = told.trim().split(',').collect();
        let [codec, profile, rate, secs] = fields[..] else { return None };
        let secs: f64 = secs.parse().ok()?;
        assert!(done.status.success());
        (codec == "aac" && profile == "LC" && rate == "48000" && (7.0..9.0).contains(&secs))
            .then_some(())
    });
    let _ = std::fs::remove_file(&out);
}

#[test]
fn opus_is_taken_recorded_and_served() {
    let _alone = crate::harness::alone();
    let mut daemon = daemon(&["radio"], "");
    let source = "audiotestsrc is-live=true wave=sine freq=440 ! audio/x-raw,channels=2 ! \
                  opusenc ! out.";
    let encoder = gstreamer(&daemon.rtsp("radio"), "tcp", source);
    daemon.wait_state("radio", "live", Duration::from_secs(20));
    assert_eq!(daemon.stream("radio")["tracks"][0]["codec"], "Opus");
    for transport in ["tcp", "udp"] {
        let mut reader = ffmpeg();
        reader.args(["-rtsp_transport", transport, "-i", &daemon.rtsp("radio"), "-t", "4"]);
        reader.args(["-f", "s16le", "-ac", "1", "-ar", "48000", "-"]);
        let sound = run_well(&mut reader, Duration::from_secs(40));
        assert!(sound.len() > 48_000 * 2 * 3, "only {} bytes in 4 s", sound.len());
        let second: Vec<i16> = sound[48_000 * 2..48_000 * 4]
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let crossings = second.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!((430..=450).contains(&crossings), "a tone of {crossings} Hz, 440 were sent");
    }
    encoder.kill();
    assert_nothing_lost(&daemon, "radio");
    assert!(daemon.stop().success());
    for slot in daemon.slots() {
        let mut probe = ffmpeg();
        probe.args(["-xerror", "-i"]).arg(&slot).args(["-f", "null", "-"]);
        run_well(&mut probe, Duration::from_secs(60));
    }
}

#[test]
fn a_phone_without_an_origin_line_is_taken_and_may_pause() {
    let _alone = crate::harness::alone();
    let medium = frames::of_medium("h264.mp4");
    let pictures = pictures(200);
    let mut daemon = daemon(&["gate"], "");
    let mut phone = Encoder::new(&daemon, "gate");
    phone.publish("RTP/AVP/TCP;unicast;interleaved=0-1");
    phone.play(&pictures[..100]);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    assert_eq!(phone.ask("GET_PARAMETER", "", "", "").0, 200);
    assert_eq!(phone.ask("PAUSE", "", "", "").0, 200);
    daemon.wait_state("gate", "offline", Duration::from_secs(20));
    let reason = daemon.stream("gate")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("paused"), "{reason}");
    assert_eq!(phone.ask("RECORD", "", "", "").0, 200);
    phone.play(&pictures[100..]);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    assert_eq!(phone.ask("TEARDOWN", "", "", "").0, 200);
    daemon.wait_state("gate", "offline", Duration::from_secs(20));
    assert_nothing_lost(&daemon, "gate");
    assert!(daemon.stop().success());
    assert_recorded(&daemon, &medium, 200);
}

#[test]
fn datagrams_out_of_order_are_put_in_order_and_reported_on() {
    let _alone = crate::harness::alone();
    let medium = frames::of_medium("h264.mp4");
    let mut daemon = daemon(&["gate"], "");
    let mut encoder = Encoder::new(&daemon, "gate");
    // The reports come to the second port; an even one is not needed for that.
    let [media, reports] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = [&media, &reports].map(|socket| socket.local_addr().unwrap().port());
    let transport = format!("RTP/AVP;unicast;client_port={}-{}", ports[0], ports[1]);
    let headers = encoder.publish(&transport);
    let server = headers.split("server_port=").nth(1).unwrap();
    let server: u16 = server.split('-').next().unwrap().parse().unwrap();
    let mut seed = 7u64;
    let begun = Instant::now();
    for (at, unit) in (0u32..).zip(pictures(175)) {
        let mut packets = encoder.packets(&unit, at * 3_600);
        for index in (1..packets.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = usize::try_from(seed >> 33).unwrap() % (index + 1);
            // The very first packet says where the numbers begin.
            if at > 0 || other > 0 {
                packets.swap(index, other);
            }
        }
        for packet in packets {
            media.send_to(&packet, ("127.0.0.1", server)).unwrap();
        }
        let due = Duration::from_millis(40) * (at + 1);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    reports.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut report = [0; 1_500];
    let length = reports.recv(&mut report).expect("a receiver report within its interval");
    assert!(length >= 32 && report[1] == 201, "{:?}", &report[..length]);
    assert_eq!(report[8..12], [0, 0, 0, 7], "on our source");
    assert_eq!(encoder.ask("TEARDOWN", "", "", "").0, 200);
    daemon.wait_state("gate", "offline", Duration::from_secs(5));
    assert_nothing_lost(&daemon, "gate");
    assert!(daemon.stop().success());
    assert_recorded(&daemon, &medium, 175);
}

#[test]
fn who_may_not_publish_is_told_so() {
    let _alone = crate::harness::alone();
    let streams = "[stream.gate]\nsource = { kind = \"rtsp_push\" }\n\
        [stream.demo]\nsource = { kind = \"pattern\" }\n\
        [stream.yard]\nsource = { kind = \"redirect\", url = \"rtsp://10.0.0.9/yard\" }\n";
    let daemon = Daemon::start_new("256MiB", streams);
    let vp8 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";
    for (path, sdp, wanted) in [
        ("none", PHONE, 404),
        ("../x", PHONE, 404),
        ("demo", PHONE, 405),
        ("yard", PHONE, 302),
        ("gate", vp8, 415),
        ("gate", "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\n", 415),
        ("gate", "v=0\r\n", 400),
    ] {
        let (status, headers) = Encoder::new(&daemon, path).ask("ANNOUNCE", "", "", sdp);
        assert_eq!(status, wanted, "{path}: {headers}");
    }
    let (status, headers) = Encoder::new(&daemon, "yard").ask("DESCRIBE", "", "", "");
    assert_eq!(status, 302);
    assert!(headers.contains("Location: rtsp://10.0.0.9/yard\r\n"), "{headers}");

    let pictures = pictures(25);
    let mut first = Encoder::new(&daemon, "gate");
    let mut second = Encoder::new(&daemon, "gate");
    assert_eq!(second.announce(), 200);
    first.publish("RTP/AVP/TCP;unicast");
    first.play(&pictures);
    // One that announced before finds the seat taken at the latest when it wants to begin.
    assert_eq!(second.ask("SETUP", "/trackID=0", "Transport: RTP/AVP/TCP\r\n", "").0, 200);
    assert_eq!(second.ask("RECORD", "", "", "").0, 453);
    let mut late = pushing("h264.mp4", 5, "tcp", &daemon.rtsp("gate"));
    assert!(!run(&mut late, Duration::from_secs(30)).status.success());
    assert_eq!(daemon.stream("gate")["state"], "live");
    assert_eq!(first.ask("TEARDOWN", "", "", "").0, 200);
    let mut again = pushing("h264.mp4", 3, "tcp", &daemon.rtsp("gate"));
    run_well(&mut again, Duration::from_secs(30));
}

#[test]
fn the_configuration_may_let_a_second_publisher_take_over() {
    let _alone = crate::harness::alone();
    let daemon = daemon(&["gate"], ", take_over = true");
    let pictures = pictures(25);
    let mut first = Encoder::new(&daemon, "gate");
    first.publish("RTP/AVP/TCP;unicast");
    first.play(&pictures);
    let mut second = Encoder::new(&daemon, "gate");
    second.publish("RTP/AVP/TCP;unicast");
    let mut rest = Vec::new();
    first.socket.read_to_end(&mut rest).expect("the first one is hung up on");
    second.play(&pictures);
    let stream = daemon.stream("gate");
    assert_eq!((&stream["state"], &stream["totals"]["units"]), (&"live".into(), &50.into()));
}

#[test]
fn a_publisher_that_falls_silent_is_dropped_and_one_that_was_killed_comes_back() {
    let _alone = crate::harness::alone();
    let daemon = daemon(&["gate"], "");
    let mut silent = Encoder::new(&daemon, "gate");
    silent.publish("RTP/AVP/TCP;unicast");
    silent.play(&pictures(25));
    let begun = Instant::now();
    daemon.wait_state("gate", "offline", Duration::from_secs(25));
    assert!(begun.elapsed() > Duration::from_secs(8), "dropped after {:?}", begun.elapsed());
    let reason = daemon.stream("gate")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("sent no"), "{reason}");

    for transport in ["tcp", "udp"] {
        let mut command = pushing("h264.mp4", 60, transport, &daemon.rtsp("gate"));
        let encoder = Running::start(&mut command);
        daemon.wait_state("gate", "live", Duration::from_secs(20));
        encoder.kill();
        daemon.wait_state("gate", "offline", Duration::from_secs(25));
        let reason = daemon.stream("gate")["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("connection ended"), "{reason}");
    }
    let runs = wait_for("three runs are listed", Duration::from_secs(10), || {
        let listing = daemon.get("/api/v1/recordings/gate");
        let runs = listing["runs"].as_array()?.len();
        (runs == 3).then_some(runs)
    });
    assert_eq!(runs, 3);
}

#[test]
fn readers_of_a_stream_that_moves_are_told_where_it_is() {
    let _alone = crate::harness::alone();
    let daemon = Daemon::start_new("256MiB", "[stream.gate]\nsource = { kind = \"pattern\" }\n");
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let mut reader = Encoder::new(&daemon, "gate");
    assert_eq!(reader.ask("DESCRIBE", "", "", "").0, 200);
    assert_eq!(reader.ask("SETUP", "/trackID=0", "Transport: RTP/AVP/TCP\r\n", "").0, 200);
    assert_eq!(reader.ask("PLAY", "", "", "").0, 200);
    daemon.configure(
        "256MiB",
        "[stream.gate]\nsource = { kind = \"redirect\", url = \"rtsp://10.0.0.9/gate\" }\n",
    );
    daemon.reload();
    let mut rest = Vec::new();
    reader.socket.read_to_end(&mut rest).unwrap();
    let text = String::from_utf8_lossy(&rest);
    let request =
        &text[text.find("REDIRECT rtsp://10.0.0.9/gate RTSP/1.0\r\n").expect("REDIRECT")..];
    assert!(request.contains("Location: rtsp://10.0.0.9/gate\r\n"), "{request}");
}
