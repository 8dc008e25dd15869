//! The past over the RTSP door: a ring of known footage, read by ffmpeg, GStreamer and a client
//! that looks at every packet.
//!
//! The footage has B-frames and sound, and a gap of five seconds in its middle. What a reader
//! gets is decoded and compared by checksum with the file that the footage was made from: a frame
//! that is missing, doubled, damaged or not asked for shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::LongOn;
use crate::replay::{Bench, GOP, Got, Player, SECS, clock, gap_secs};
use holdfast::base::time::{BootTime, Clock, SharedClock, WallTime};
use holdfast::playback::{
    FrameSelection, OnvifOptions, PlayFrom, PlayRange, PlayRequest, PlaySpeed, Playback,
    PlaybackError, PlaybackNext, RtpTracks,
};

const ALL: u32 = SECS * GOP;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_dates_gives_its_frames_and_no_other() {
    let bench = Bench::open().await;
    let mut player = Player::set_up(&bench, "gate").await;
    // Into the third second, and to the middle of the sixth: from the key frame before.
    let range = clock(bench.at(2.4), Some(bench.at(5.52)));
    let reply = player.play(&format!("Range: {range}\r\n")).await;
    assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
    let told = format!("Range: {}\r\n", clock(bench.at(2.0), Some(bench.at(5.52))));
    assert!(reply.contains(&told), "{reply} is not {told}");
    assert!(reply.contains("Scale: 1.0\r\n"), "{reply}");
    let got = player.until_bye().await;
    got.assert_begins_as(&reply);
    let sums = bench.sums(&got).await;
    let wanted = bench.wanted(2 * GOP..5 * GOP + 13);
    assert_eq!(sums[..wanted.len()], wanted);
    // One picture shown behind the end may be needed by a B-frame before it.
    assert!(sums.len() <= wanted.len() + 1, "{} pictures", sums.len());
    assert!(got.sound > 3 * 50, "{} frames of sound", got.sound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_passed_over_and_takes_no_time() {
    let bench = Bench::open().await;
    let half = SECS / 2;
    let mut player = Player::set_up(&bench, "gate").await;
    let from = bench.at(f64::from(half) - 2.0);
    let until = bench.at(f64::from(half) + gap_secs() + 2.0);
    let begun = Instant::now();
    player.play(&format!("Range: {}\r\n", clock(from, Some(until)))).await;
    let got = player.until_bye().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "the gap was played");
    assert_eq!(bench.sums(&got).await, bench.wanted((half - 2) * GOP..(half + 2) * GOP));
    let stamps = &got.stamps;
    let furthest = stamps.iter().map(|at| at.wrapping_sub(stamps[0])).max().unwrap();
    assert!(furthest < 90_000 * 5, "{furthest} ticks");
    // PlayStart in the gap is beginning behind it.
    let into = bench.at(f64::from(half) + 1.5);
    let reply = player.play(&format!("Range: {}\r\n", clock(into, Some(until)))).await;
    let behind = clock(bench.at(f64::from(half) + gap_secs()), Some(until));
    assert!(reply.contains(&behind), "{reply} is not {behind}");
    let got = player.until_bye().await;
    assert_eq!(bench.sums(&got).await, bench.wanted(half * GOP..(half + 2) * GOP));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_there_is_said_and_changes_nothing() {
    let bench = Bench::open().await;
    let mut player = Player::set_up(&bench, "gate").await;
    let long_ago = bench.at(-7_200.0);
    let range = clock(long_ago, Some(bench.at(-7_000.0)));
    let reply = player.play(&format!("Range: {range}\r\n")).await;
    assert!(reply.starts_with("RTSP/1.0 457 "), "{reply}");
    let reply = player.play("Range: clock=yesterday-\r\n").await;
    assert!(reply.starts_with("RTSP/1.0 457 "), "{reply}");
    let reply = player.play("Scale: fast\r\n").await;
    assert!(reply.starts_with("RTSP/1.0 400 "), "{reply}");
    let range = clock(bench.at(0.0), Some(bench.at(1.0)));
    let reply = player.play(&format!("Range: {range}\r\n")).await;
    assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
    assert_eq!(bench.sums(&player.until_bye().await).await, bench.wanted(0..GOP));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scales_play_key_frames_faster_and_backwards() {
    let bench = Bench::open().await;
    let mut player = Player::set_up(&bench, "gate").await;
    let (from, until) = (bench.at(0.0), bench.at(f64::from(SECS) + gap_secs()));
    let begun = Instant::now();
    let range = clock(from, Some(until));
    let reply = player.play(&format!("Range: {range}\r\nScale: 8\r\n")).await;
    assert!(reply.contains("Scale: 8.0\r\n"), "{reply}");
    let got = player.until_bye().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(u64::from(SECS) / 2), "{took:?}");
    let keys: Vec<_> = (0..SECS).flat_map(|gop| bench.wanted(gop * GOP..gop * GOP + 1)).collect();
    assert_eq!(bench.sums(&got).await, keys);
    let range = clock(until, Some(from));
    let reply = player.play(&format!("Range: {range}\r\nScale: -4\r\n")).await;
    assert!(reply.contains("Scale: -4.0\r\n"), "{reply}");
    let got = player.until_bye().await;
    got.assert_begins_as(&reply);
    let back: Vec<_> = keys.into_iter().rev().collect();
    assert_eq!(bench.sums(&got).await, back);
    assert!(got.stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) < 1 << 31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_loses_and_doubles_nothing() {
    let bench = Bench::open().await;
    let mut player = Player::set_up(&bench, "gate").await;
    let range = clock(bench.at(0.0), Some(bench.at(4.0)));
    player.play(&format!("Range: {range}\r\n")).await;
    let mut got = player.frames(37).await;
    let (reply, more) = player.ask("PAUSE", "", "").await;
    assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
    got.append(more);
    assert!(player.silent_for(Duration::from_secs(1)).await);
    let reply = player.play("").await;
    assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
    let rest = player.until_bye().await;
    rest.assert_begins_as(&reply);
    got.append(rest);
    assert_eq!(bench.sums(&got).await, bench.wanted(0..4 * GOP));
    // A new range is a seek, also while it plays.
    let range = clock(bench.at(0.0), None);
    player.play(&format!("Range: {range}\r\n")).await;
    player.frames(5).await;
    let range = clock(bench.at(3.0), Some(bench.at(5.0)));
    let (reply, _) = player.ask("PLAY", "", &format!("Range: {range}\r\n")).await;
    let got = player.until_bye().await;
    got.assert_begins_as(&reply);
    assert_eq!(bench.sums(&got).await, bench.wanted(3 * GOP..5 * GOP));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn onvif_replay_is_as_fast_as_it_is_taken_and_says_what_each_frame_is() {
    let bench = Bench::open().await;
    let mut player = Player::set_up(&bench, "gate").await;
    let onvif = "Require: onvif-replay\r\nRate-Control: no\r\nImmediate: yes\r\n";
    let (last, all) = (f64::from(SECS - 1), ALL - GOP);
    let end = bench.at(last + gap_secs());
    let begun = Instant::now();
    let range = clock(bench.at(0.0), Some(end));
    let reply = player.play(&format!("{onvif}Range: {range}\r\n")).await;
    let got = player.frames(all as usize).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(u64::from(SECS) / 2), "{took:?} for {SECS} seconds");
    assert_eq!(bench.sums(&got).await, bench.wanted(0..all));
    got.assert_begins_as(&reply);
    assert_eq!(got.said.len(), all as usize, "an extension on each picture");
    let half = (SECS / 2 * GOP) as usize;
    for (at, said) in got.said.iter().enumerate() {
        assert_eq!(said.clean, at % GOP as usize == 0, "C of {at}");
        assert_eq!(said.jump, at == 0 || at == half, "D of {at}");
        assert_eq!(said.ends, at == half - 1 || at + 1 == got.said.len(), "E of {at}");
        assert_eq!(said.terminal, at + 1 == got.said.len(), "T of {at}");
        assert_eq!(said.cseq, player.cseq(), "CSeq of {at}");
        // Time stamps are the recording's.
        let ticks = got.stamps[at].wrapping_sub(got.stamps[0]).cast_signed();
        let dated = (said.nanos - got.said[0].nanos) * 9 / 100_000;
        assert!((i64::from(ticks) - dated).abs() <= 9, "{at}: {ticks} ticks, dated {dated}");
    }
    let key = bench.at(0.0).as_unix_nanos();
    assert!((got.said[0].nanos - key).abs() < 100_000_000, "{} {key}", got.said[0].nanos);
    assert!(player.silent_for(Duration::from_secs(1)).await, "no goodbye in ONVIF");
    // Backwards: groups from the last to the first, each in its own order.
    let range = clock(bench.at(last + gap_secs() - 0.02), Some(bench.at(0.0)));
    player.play(&format!("{onvif}Range: {range}\r\nScale: -1.0\r\n")).await;
    let got = player.frames(all as usize).await;
    let wanted: Vec<_> =
        (0..SECS - 1).rev().flat_map(|gop| bench.wanted(gop * GOP..(gop + 1) * GOP)).collect();
    assert_eq!(bench.sums(&got).await, wanted);
    assert!(got.said.iter().enumerate().all(|(at, said)| said.jump == (at % GOP as usize == 0)));
    // Key frames alone, two seconds apart.
    let range = clock(bench.at(0.0), Some(bench.at(f64::from(SECS / 2))));
    player.play(&format!("{onvif}Frames: intra/2000\r\nRange: {range}\r\n")).await;
    let got = player.frames(SECS as usize / 4).await;
    assert!(got.said.iter().all(|said| said.clean));
    assert!(player.silent_for(Duration::from_secs(1)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_plays_a_url_with_dates_and_ends() {
    let bench = Bench::open().await;
    let (from, until) = (bench.at(1.0).to_rfc3339(), bench.at(4.0).to_rfc3339());
    for (transport, url) in [
        ("tcp", format!("gate?start={from}&end={until}")),
        ("udp", format!("gate?start={from}&end={until}")),
        (
            "tcp",
            format!(
                "Streaming/tracks/101?starttime={}&endtime={}",
                bench.basic(1.0),
                bench.basic(4.0)
            ),
        ),
        (
            "tcp",
            format!(
                "cam/playback?channel=1&subtype=0&starttime={}&endtime={}",
                bench.dahua(1.0),
                bench.dahua(4.0)
            ),
        ),
    ] {
        let sums = bench.ffmpeg(transport, &url).await;
        assert_eq!(sums, bench.wanted(GOP..4 * GOP), "{transport} {url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_range_goes_over_to_live_and_every_frame_comes_once() {
    let bench = Bench::empty(64 << 20, 1 << 20, true).await;
    bench.film_live();
    let mut player = Player::set_up(&bench, "gate").await;
    // The ring has some seconds of it.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let range = clock(bench.at(0.0), None);
    let reply = player.play(&format!("Range: {range}\r\nScale: 4\r\n")).await;
    assert!(reply.contains("Scale: 4.0\r\n"), "{reply}");
    // All of what was recorded, then what comes live, until long behind the step.
    let frames = (SECS + 6) * GOP;
    let got = player.frames(frames as usize).await;
    got.assert_begins_as(&reply);
    let late = bench.lateness(frames);
    assert!(late < Duration::from_secs(4), "the last frame came {late:?} after it was made");
    let sums = bench.sums(&got).await;
    bench.assert_round(&sums);
    assert!(sums.len() + 3 >= frames as usize, "{} of {frames}", sums.len());
    // A pause while it is live, and on: out of the ring, and over to live again.
    let (reply, more) = player.ask("PAUSE", "", "").await;
    assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
    let mut all = got;
    all.append(more);
    tokio::time::sleep(Duration::from_secs(4)).await;
    player.play("").await;
    all.append(player.frames(10 * GOP as usize).await);
    bench.assert_round(&bench.sums(&all).await);
    bench.supervisor.stop().await;
}

/// Writes the ring over while a reader of its first film, at `date`, looks away.
async fn write_over(bench: &Bench, mut boot: BootTime, mut date: WallTime) {
    let mut rounds = 1;
    while bench.dvr.listing(bench.stream.name()).gaps.is_empty() {
        for _ in 0..20 {
            boot = boot.after(Duration::from_secs(SECS.into()));
            date = date.offset_nanos(i64::from(SECS) * 1_000_000_000);
            bench.record(0..SECS, boot, date, false);
            rounds += 1;
        }
        bench.durable(u64::from(SECS) * rounds).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_whose_footage_goes_says_so() {
    let bench = Bench::empty(2 << 20, 256 << 10, false).await;
    let (boot, date) = (LongOn.boot().before(Duration::from_secs(7_200)), bench.at(-7_200.0));
    bench.record(0..SECS, boot, date, true);
    bench.durable(u64::from(SECS)).await;
    let from = PlayFrom::Date(PlayRange { from: date, until: None });
    let onvif = Some(OnvifOptions { unpaced: true, frames: FrameSelection::All, cseq: 1 });
    let request = PlayRequest { from, speed: PlaySpeed::ONE, onvif };
    let (archive, clock) = (Playback::new(bench.dvr.clone()), Arc::new(LongOn) as SharedClock);
    let mut replay = archive.open(&bench.stream, &clock, &request).unwrap();
    replay.ready().await.unwrap();
    replay.begin(RtpTracks::new([]));
    write_over(&bench, boot, date).await;
    let reason = loop {
        match tokio::time::timeout(Duration::from_secs(30), replay.next()).await.unwrap() {
            PlaybackNext::Unit(_) => {}
            PlaybackNext::Over => panic!("it took what came later for the end of what it played"),
            PlaybackNext::Ended(reason) => break reason,
        }
    };
    assert_eq!(reason, PlaybackError::Reused.reason());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footage_that_goes_under_a_reader_ends_it_and_nothing_foreign_comes() {
    let bench = Bench::empty(2 << 20, 256 << 10, false).await;
    let ago = Duration::from_secs(7_200);
    let (boot, date) = (LongOn.boot().before(ago), bench.at(-7_200.0));
    bench.record(0..SECS, boot, date, true);
    bench.durable(u64::from(SECS)).await;
    let mut player = Player::set_up(&bench, "gate").await;
    player.play(&format!("Range: {}\r\nScale: 4\r\n", clock(date, None))).await;
    let mut got = player.frames(30).await;
    let (_, more) = player.ask("PAUSE", "", "").await;
    got.append(more);
    write_over(&bench, boot, date).await;
    player.play("Scale: 4\r\n").await;
    let (rest, ended) = player.until_closed().await;
    assert!(ended, "the session goes on with what is not there any more");
    got.append(rest);
    let sums = bench.sums(&got).await;
    bench.assert_round(&sums);
    println!("{} pictures were kept for the reader", sums.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_plays_a_past_stretch_and_seeks() {
    let bench = Bench::open().await;
    let dir = tempfile::tempdir().unwrap();
    for (seek, wanted) in [("", GOP..6 * GOP), ("2.0", 3 * GOP..6 * GOP)] {
        let file = dir.path().join(format!("got{seek}.h264"));
        let path = file.to_str().unwrap();
        let (from, until) = (bench.at(1.0).to_rfc3339(), bench.at(6.0).to_rfc3339());
        let url = format!("rtsp://{}/gate?start={from}&end={until}", bench.address);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/replay/seek.py");
        let args = [script, url.as_str(), path, seek];
        let (_, told) = crate::replay::run("/usr/bin/python3", &args, Vec::new()).await;
        println!("{told}");
        let mut got = Got::default();
        got.pictures.push(std::fs::read(&file).unwrap());
        let sums = bench.sums(&got).await;
        let wanted = bench.wanted(wanted);
        // What was played before the seek comes first.
        assert!(sums.ends_with(&wanted), "{} pictures, {} wanted", sums.len(), wanted.len());
        assert!(!seek.is_empty() || sums.len() == wanted.len(), "{} pictures", sums.len());
    }
}
