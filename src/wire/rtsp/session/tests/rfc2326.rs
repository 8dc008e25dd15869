//! What RFC 2326 wants that players seldom ask for.

use super::*;

#[test]
fn a_timestamp_is_sent_back_with_its_own_reply_only() {
    let mut bench = Bench::new();
    let options = bench.ask("OPTIONS", "*", "Timestamp: 123.45\r\n");
    assert_eq!(header(&options, "Timestamp"), "123.45");
    let describe = bench.ask("DESCRIBE", "rtsp://h/gate", "Timestamp: 6\r\n");
    assert_eq!(header(&describe, "Timestamp"), "6", "of a reply that waits for the driver");
    assert!(!bench.ask("OPTIONS", "*", "").contains("Timestamp"));
}

#[test]
fn a_connection_closes_after_the_reply_when_the_peer_asks_for_it() {
    for (method, url) in [("OPTIONS", "*"), ("DESCRIBE", "rtsp://h/gate")] {
        let mut bench = Bench::new();
        assert_eq!(status(&bench.ask(method, url, "Connection: keep-alive\r\n")), 200);
        assert!(!bench.is_closed());
        assert_eq!(status(&bench.ask(method, url, "Connection: x, Close\r\n")), 200);
        assert!(bench.is_closed(), "{method}");
    }
    let mut bench = Bench::new();
    bench.play();
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate", "Connection: close\r\n")), 200);
    assert!(bench.is_closed());
}

#[test]
fn units_that_are_not_known_are_not_implemented() {
    let mut bench = Bench::new();
    bench.play();
    for range in ["smpte=0:10:20-", "smpte-25=0:10:20-", "bytes=0-9", "foo"] {
        for method in ["PLAY", "PAUSE"] {
            let reply = bench.ask(method, "rtsp://h/gate", &format!("Range: {range}\r\n"));
            assert_eq!(status(&reply), 501, "{method} {range}");
        }
    }
}

#[test]
fn a_range_that_ends_before_it_begins_is_for_playing_backwards() {
    let mut bench = Bench::new();
    bench.ask("SETUP", "rtsp://h/gate?start=1767312000&end=1767312060/trackID=0", TCP);
    assert_eq!(status(&bench.ask("PLAY", "rtsp://h/gate", "Range: npt=5-2\r\n")), 457);
    let dates = "Range: clock=20260102T000005Z-20260102T000002Z\r\n";
    assert_eq!(status(&bench.ask("PLAY", "rtsp://h/gate", dates)), 457);
    let backwards = format!("{dates}Scale: -1\r\n");
    bench.events.clear();
    bench.ask("PLAY", "rtsp://h/gate", &backwards);
    assert!(matches!(bench.events.first(), Some(Event::Play { .. })), "{:?}", bench.events);
}

#[test]
fn pause_is_at_once_and_for_all_tracks() {
    let mut bench = Bench::new();
    bench.play();
    for range in ["npt=10-", "clock=19970102T000005Z-"] {
        let reply = bench.ask("PAUSE", "rtsp://h/gate", &format!("Range: {range}\r\n"));
        assert_eq!(status(&reply), 457, "{range}");
    }
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate/trackID=1", "")), 460);
    assert!(!bench.events.contains(&Event::Pause), "it still plays");
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate", "Range: npt=now-\r\n")), 200);
    assert_eq!(bench.events.last(), Some(&Event::Pause));
    let mut bench = Bench::new();
    bench.play();
    let of_libcurl = "Range: npt=0.000-\r\n";
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate", of_libcurl)), 200);
    let mut bench = Bench::new();
    bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
    bench.ask("PLAY", "rtsp://h/gate/trackID=0", "");
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate/trackID=0", "")), 200, "its only track");
}

#[test]
fn play_and_pause_are_of_the_sessions_own_stream() {
    let mut bench = Bench::new();
    bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
    bench.events.clear();
    for url in ["rtsp://h/nosuch", "rtsp://h/yard/trackID=0", "rtsp://h/Streaming/Channels/201"] {
        assert_eq!(status(&bench.ask("PLAY", url, "")), 404, "{url}");
        assert_eq!(status(&bench.ask("PAUSE", url, "")), 404, "{url}");
    }
    assert!(bench.events.is_empty());
    for url in ["rtsp://h/gate/main", "rtsp://h/Streaming/Channels/101", "rtsp://h/", "*"] {
        assert_eq!(status(&bench.ask("PLAY", url, "")), 200, "{url}");
    }
}

#[test]
fn descriptions_of_different_streams_hosts_and_dates_have_different_origins() {
    let origin = |url: &str| {
        let reply = Bench::new().ask("DESCRIBE", url, "");
        let line = reply.lines().find(|line| line.starts_with("o=")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{reply}"))
    };
    let urls = ["rtsp://h/gate", "rtsp://i/gate", "rtsp://h/Streaming/Channels/101"];
    let origins: std::collections::BTreeSet<String> = urls.map(origin).into();
    assert_eq!(origins.len(), urls.len(), "{origins:?}");
    assert_eq!(origin("rtsp://h/gate"), origin("rtsp://u:p@h/gate/"));
}
