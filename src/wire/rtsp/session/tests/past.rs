//! What a PLAY asks of the past.

use super::*;
use crate::wire::rtsp::play_options::{Frames, Onvif, StartPoint};

/// What the last PLAY asked for.
fn play_options(bench: &Bench) -> PlayOptions {
    let plays = bench.events.iter().rev().find_map(|event| match event {
        Event::Play { options, .. } => Some(options.clone()),
        _ => None,
    });
    plays.expect("a PLAY")
}

fn at(text: &str) -> WallTime {
    WallTime::parse_rfc3339(text).unwrap()
}

#[test]
fn dates_of_a_described_url_hold_for_tracks_that_do_not_repeat_them() {
    let mut bench = Bench::new();
    let url = "rtsp://h/gate?start=2026-01-02T00:00:00Z&end=2026-01-02T00:01:00Z";
    bench.answers = false;
    assert_eq!(bench.ask("DESCRIBE", url, "Accept: application/sdp\r\n"), "");
    let until = Some(at("2026-01-02T00:01:00Z"));
    let span = Span { from: at("2026-01-02T00:00:00Z"), until };
    let asked = Event::DescribePast { stream: "gate".to_owned(), span };
    assert_eq!(bench.events.last(), Some(&asked));
    bench.session.command(bench.now, Command::DescribedPast { tracks: tracks(), span });
    let sdp = bench.drain();
    assert!(sdp.contains("a=range:clock=20260102T000000.000Z-20260102T000100.000Z\r\n"), "{sdp}");
    assert!(sdp.contains("a=range:npt=0.000-60.000\r\n"), "{sdp}");
    bench.answers = true;
    bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
    bench.answers = false;
    bench.ask("PLAY", "rtsp://h/gate/", "Range: npt=10-\r\nScale: 2\r\n");
    let options = play_options(&bench);
    let rest = Span { from: at("2026-01-02T00:00:10Z"), until };
    assert_eq!((options.start, options.onvif), (StartPoint::Past(rest), None));
    let starts = vec![Start { track: TrackId(0), sequence: 7, timestamp: 8 }];
    let replaying = Command::Replaying { starts, span: rest, scale: options.scale };
    bench.session.command(bench.now, replaying);
    let reply = bench.drain();
    assert_eq!(header(&reply, "Range"), "npt=10.000-60.000");
    assert_eq!(header(&reply, "Scale"), "2.0");
    assert_eq!(header(&reply, "RTP-Info"), "url=rtsp://h/gate/trackID=0;seq=7;rtptime=8");
    // PLAY again: nothing new is asked; with a scale something is.
    assert_eq!(status(&bench.ask("PLAY", "rtsp://h/gate/", "")), 200);
    assert_eq!(bench.ask("PLAY", "rtsp://h/gate/", "Scale: -1\r\n"), "");
    assert_eq!(play_options(&bench).start, StartPoint::Resume);
    let nothing = Refusal::NothingThere("nothing there".to_owned());
    bench.session.command(bench.now, Command::Refuse(nothing));
    assert_eq!(status(&bench.drain()), 457);
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate/", "")), 200);
}

#[test]
fn onvif_replay_is_known_and_other_features_are_not() {
    let mut bench = Bench::new();
    bench.play();
    bench.answers = false;
    let onvif = "Require: onvif-replay\r\nRate-Control: no\r\nFrames: intra/500\r\n";
    let more = format!("{onvif}Range: clock=20260102T000000Z-\r\n");
    assert_eq!(bench.ask("PLAY", "rtsp://h/gate/", &more), "");
    let wanted = Onvif {
        unpaced: true,
        frames: Frames::Intra { apart: Duration::from_millis(500) },
        cseq: 7,
    };
    assert_eq!(play_options(&bench).onvif, Some(wanted));
    bench.session.command(bench.now, Command::Refuse(Refusal::TooMany));
    assert_eq!(status(&bench.drain()), 453);
    let both = "Require: onvif-replay, other\r\n";
    let reply = bench.ask("PLAY", "rtsp://h/gate/", both);
    assert_eq!((status(&reply), header(&reply, "Unsupported")), (551, "other"));
    for (more, wanted) in
        [("Range: clock=soon-\r\n", 457), ("Scale: 0\r\n", 400), ("Range: smpte=0:00:00-\r\n", 501)]
    {
        assert_eq!(status(&bench.ask("PLAY", "rtsp://h/gate/", more)), wanted, "{more}");
    }
    assert_eq!(status(&bench.ask("DESCRIBE", "rtsp://h/gate?start=soon", "")), 400);
    let channel = "rtsp://h/cam/playback?channel=2&subtype=1&starttime=2026_01_02_00_00_00";
    assert_eq!(bench.ask("DESCRIBE", channel, ""), "");
    let span = Span { from: at("2026-01-02T00:00:00Z"), until: None };
    let stream = "Streaming/Channels/202".to_owned();
    assert_eq!(bench.events.last(), Some(&Event::DescribePast { stream, span }));
}
