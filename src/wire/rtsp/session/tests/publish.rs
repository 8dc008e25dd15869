//! Conversations of peers that publish, and those that we send elsewhere.

use super::*;

/// Without `v=`, `o=`, `s=` and `t=`, as phones announce.
const OFFER: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n\
    m=audio 0 RTP/AVP 8\r\na=control:streamid=1\r\n";

impl Bench {
    fn announce(&mut self, url: &str, offer: &str) -> String {
        let length = offer.len();
        self.say(
            format!(
                "ANNOUNCE {url} RTSP/1.0\r\nCSeq: 7\r\nContent-Type: application/sdp\r\n\
                 Content-Length: {length}\r\n\r\n{offer}"
            )
            .as_bytes(),
        )
    }

    /// Announces, sets up both media by `transport` and records.
    fn publish(&mut self, transport: &str) {
        assert_eq!(status(&self.announce("rtsp://h/gate", OFFER)), 200);
        for url in ["rtsp://h/gate/streamid=0", "rtsp://h/gate/streamid=1"] {
            assert_eq!(status(&self.ask("SETUP", url, transport)), 200);
        }
        assert_eq!(status(&self.ask("RECORD", "rtsp://h/gate", "Range: npt=0.000-\r\n")), 200);
    }

    /// What came over the connection since the last call.
    fn media(&mut self) -> Vec<(u8, Medium, Bytes)> {
        let media = self.events.drain(..).filter_map(|event| match event {
            Event::Media { track, medium, packet } => Some((track.0, medium, packet)),
            _ => None,
        });
        media.collect()
    }
}

const TCP_RECORD: &str = "Transport: RTP/AVP/TCP;unicast;mode=record\r\n";
const UDP_RECORD: &str = "Transport: RTP/AVP;unicast;client_port=5000-5001;mode=record\r\n";
const RTP: &[u8] = b"$\x02\0\x0d\x80\x08\0\x01\0\0\0\0\0\0\0\x07x";

#[test]
fn a_publisher_is_taken_step_by_step_and_its_packets_handed_on() {
    let mut bench = Bench::new();
    bench.say(RTP);
    bench.publish(TCP_RECORD);
    let Some(Event::Record { stream, offer, routes }) = bench.events.pop() else { panic!() };
    assert_eq!((stream.as_str(), offer.media.len(), routes.len()), ("gate", 2, 2));
    assert!(bench.media().is_empty(), "nothing is taken before RECORD");
    // An unassigned channel, an empty packet, RTP, RTCP, blank lines, all in pieces.
    let all = [b"$\x09\0\x01x", &b"$\0\0\0"[..], RTP, b"\r\n$\x01\0\x04\x81\xc8\0\0"].concat();
    for byte in all {
        assert_eq!(bench.say(&[byte]), "");
    }
    let told: Vec<_> = bench.media().into_iter().map(|(t, m, p)| (t, m, p.len())).collect();
    assert_eq!(told, [(0, Medium::Rtp, 0), (1, Medium::Rtp, 13), (0, Medium::Rtcp, 4)]);
    assert_eq!(status(&bench.ask("TEARDOWN", "rtsp://h/gate", "")), 200);
    assert_eq!(bench.events.last(), Some(&Event::Ended));
    bench.say(RTP);
    assert!(bench.media().is_empty());
}

#[test]
fn a_publisher_over_udp_is_told_where_to_send() {
    let mut bench = Bench::new();
    bench.announce("rtsp://h/gate", OFFER);
    let setup = bench.ask("SETUP", "rtsp://h/gate/streamid=1", UDP_RECORD);
    assert_eq!(
        header(&setup, "Transport"),
        "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;mode=record"
    );
    let route = Route::Udp { rtp: 5_000, rtcp: 5_001 };
    assert_eq!(bench.events.last(), Some(&Event::SetUpRecord { track: TrackId(1), route }));
}

#[test]
fn a_silent_publisher_is_dropped_whatever_it_says_besides() {
    let mut bench = Bench::new();
    bench.publish(TCP_RECORD);
    for _ in 0..4 {
        bench.later(RTSP_PUBLISH_SILENCE_MAX / 2);
        bench.say(RTP);
    }
    assert!(!bench.is_closed());
    bench.later(RTSP_PUBLISH_SILENCE_MAX / 2);
    bench.ask("OPTIONS", "*", "");
    bench.say(b"$\x01\0\x04\x81\xc8\0\0");
    bench.later(RTSP_PUBLISH_SILENCE_MAX / 2);
    let last = &bench.events[bench.events.len() - 3..];
    assert!(matches!(last, [Event::Silent, Event::Ended, Event::Close { .. }]), "{last:?}");

    let mut bench = Bench::new();
    bench.publish(UDP_RECORD);
    for _ in 0..4 {
        bench.later(RTSP_PUBLISH_SILENCE_MAX / 2);
        bench.session.command(bench.now, Command::Heard);
    }
    assert!(!bench.is_closed());
    bench.later(RTSP_PUBLISH_SILENCE_MAX);
    assert!(bench.is_closed());
}

#[test]
fn a_publisher_may_pause_and_go_on_and_take_one_medium_back() {
    let mut bench = Bench::new();
    bench.publish(TCP_RECORD);
    assert_eq!(status(&bench.ask("RECORD", "rtsp://h/gate", "")), 200, "RECORD while recording");
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate", "")), 200);
    assert_eq!(bench.events.last(), Some(&Event::Pause));
    bench.later(RTSP_PUBLISH_SILENCE_MAX * 2);
    bench.say(RTP);
    assert!(!bench.is_closed() && bench.media().is_empty());
    assert_eq!(status(&bench.ask("RECORD", "rtsp://h/gate", "")), 200);
    assert_eq!(status(&bench.ask("TEARDOWN", "rtsp://h/gate/streamid=0", "")), 200);
    let left = vec![Routed { track: TrackId(1), route: Route::Tcp { rtp: 2, rtcp: 3 } }];
    assert_eq!(bench.events.last(), Some(&Event::Reroute { routes: left }));
    bench.say(RTP);
    assert_eq!(bench.media().len(), 1);
    assert_eq!(status(&bench.ask("TEARDOWN", "rtsp://h/gate/", "")), 200);
    assert_eq!(status(&bench.ask("RECORD", "rtsp://h/gate", "")), 455);
}

#[test]
fn methods_out_of_order_are_455_and_change_nothing() {
    let mut bench = Bench::new();
    bench.publish(TCP_RECORD);
    for (method, url, headers) in
        [("PLAY", "rtsp://h/gate", ""), ("SETUP", "rtsp://h/gate/streamid=0", TCP_RECORD)]
    {
        assert_eq!(status(&bench.ask(method, url, headers)), 455, "{method}");
    }
    assert_eq!(status(&bench.announce("rtsp://h/gate", OFFER)), 455);
    assert_eq!(status(&bench.ask("DESCRIBE", "rtsp://h/gate", "")), 200);
    bench.say(RTP);
    assert_eq!(bench.media().len(), 1, "it still records");

    let mut bench = Bench::new();
    bench.play();
    assert_eq!(status(&bench.announce("rtsp://h/gate", OFFER)), 455);
    assert_eq!(status(&bench.ask("RECORD", "rtsp://h/gate", "")), 455);
    let mut bench = Bench::new();
    assert_eq!(status(&bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP_RECORD)), 461);
}

#[test]
fn what_must_not_or_cannot_be_published_is_refused() {
    let mut bench = Bench::new();
    let many = "m=video 0 RTP/AVP 96\r\n".repeat(1_000);
    for (url, offer, wanted) in [
        ("rtsp://h/none", OFFER, 404),
        ("rtsp://h/../x", OFFER, 404),
        ("rtsp://h/other", OFFER, 405),
        ("rtsp://h/moved", OFFER, 302),
        ("rtsp://h/gate", "", 400),
        ("rtsp://h/gate", "v=0\r\n", 400),
        ("rtsp://h/gate", &many, 400),
    ] {
        let reply = bench.announce(url, offer);
        assert_eq!(status(&reply), wanted, "{url}: {reply}");
        assert!(bench.session.state.announced.is_none());
    }
    assert_eq!(status(&bench.announce("rtsp://h/gate", OFFER)), 200);
    let reply = bench.ask("SETUP", "rtsp://h/gate/streamid=5", TCP_RECORD);
    assert_eq!(status(&reply), 404);
    assert_eq!(status(&bench.ask("RECORD", "rtsp://h/gate", "")), 455, "nothing is set up");
    bench.answers = false;
    bench.announce("rtsp://h/gate", OFFER);
    bench.session.command(bench.now, Command::Refuse(Refusal::Taken));
    assert_eq!(status(&bench.drain()), 453);
}

#[test]
fn a_stream_that_moved_is_302_with_its_place_and_readers_are_sent_there() {
    let mut bench = Bench::new();
    bench.answers = false;
    bench.ask("DESCRIBE", "rtsp://h/gate", "");
    let place = "rtsp://10.0.0.9:8554/gate".to_owned();
    bench.session.command(bench.now, Command::Refuse(Refusal::Elsewhere(place.clone())));
    let reply = bench.drain();
    assert_eq!((status(&reply), header(&reply, "Location")), (302, &*place));

    let mut bench = Bench::new();
    let id = bench.play();
    for cseq in ["1", "2"] {
        bench.session.command(bench.now, Command::Redirect { url: place.clone() });
        let request = bench.drain();
        assert!(request.starts_with(&format!("REDIRECT {place} RTSP/1.0\r\n")), "{request}");
        let told = ["CSeq", "Location", "Session"].map(|name| header(&request, name).to_owned());
        assert_eq!(told, [cseq, &place, &id]);
    }
    let answers = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 8\r\n\r\n";
    assert_eq!(statuses(&bench.say(answers)), [200], "an answer is no request");
}

proptest::proptest! {
    #[test]
    fn any_order_of_methods_and_any_split_leave_it_whole(
        steps in proptest::collection::vec((0usize..12, 1usize..200), 1..40),
    ) {
        let mut bench = Bench::new();
        let announce = format!(
            "ANNOUNCE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {}\r\n\r\n{OFFER}",
            OFFER.len()
        );
        let ask = |method: &str, url: &str, headers: &str| {
            format!("{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{headers}\r\n").into_bytes()
        };
        let words = [
            announce.into_bytes(),
            ask("SETUP", "rtsp://h/gate/streamid=0", TCP_RECORD),
            ask("SETUP", "rtsp://h/gate/streamid=1", UDP_RECORD),
            ask("SETUP", "rtsp://h/gate/trackID=0", TCP),
            ask("RECORD", "rtsp://h/gate", ""),
            ask("PLAY", "rtsp://h/gate", ""),
            ask("PAUSE", "rtsp://h/gate", ""),
            ask("DESCRIBE", "rtsp://h/gate", ""),
            ask("TEARDOWN", "rtsp://h/gate/streamid=0", ""),
            ask("TEARDOWN", "rtsp://h/gate", ""),
            ask("GET_PARAMETER", "rtsp://h/gate", ""),
            RTP.to_vec(),
        ];
        for (word, split) in steps {
            let replies: String = words[word].chunks(split).map(|part| bench.say(part)).collect();
            // Every request has one reply, and a session never does both.
            proptest::prop_assert_eq!(statuses(&replies).len(), usize::from(word != 11));
            let both = |live: &Live| live.playing && live.recording.is_some();
            proptest::prop_assert!(!bench.session.state.live.as_ref().is_some_and(both));
        }
    }
}
