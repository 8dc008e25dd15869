//! Who holds a publish point, what they may offer, and when they lose it.

use super::*;
use crate::base::limits::{PULL_FIRST_FRAME_TIME_MAX, PUSH_IDLE_TIME_MAX};

#[test]
fn a_publisher_without_key_frame_or_frame_is_dropped_with_the_reason() {
    let ends =
        |mut bench: PublishBench, most: Duration, mut feed: Box<dyn FnMut(&mut PublishBench)>| {
            for _ in 0..most.as_secs() - 1 {
                bench.later(Duration::from_secs(1));
                feed(&mut bench);
                bench.publisher.advance().unwrap();
            }
            bench.later(Duration::from_secs(2));
            assert!(bench.publisher.deadline() <= bench.clock.boot());
            let told = bench.publisher.advance().unwrap_err().to_string();
            drop(bench.publisher);
            let StreamState::Offline { reason } = bench.stream.state().0 else { panic!() };
            assert_eq!(reason, told);
            told
        };
    let first = PULL_FIRST_FRAME_TIME_MAX;
    let told = ends(
        PublishBench::new(VIDEO, Carriage::Tcp),
        first,
        Box::new(|bench| bench.send(0, true, &[0x41, 1])),
    );
    assert!(told.contains("frame"), "{told}");
    let told = ends(
        PublishBench::new(VIDEO, Carriage::Tcp),
        first,
        Box::new(|bench| bench.send(0, true, &[])),
    );
    assert!(told.contains("can be read"), "{told}");
    let mut begun = PublishBench::new(VIDEO, Carriage::Tcp);
    begun.key_frame(0);
    let told = ends(begun, PUSH_IDLE_TIME_MAX, Box::new(|_| {}));
    assert!(told.contains("no whole frame"), "{told}");
}

#[test]
fn one_publisher_at_a_time_unless_it_may_be_replaced() {
    let (_, stream, point) = opened(false);
    let (offer, tracks) = (offer(VIDEO), [(TrackId(0), Carriage::Tcp)]);
    let first = point.acquire(&offer, &tracks, 1).unwrap();
    assert_eq!(point.check(&offer), Err(PublishRefused::Taken));
    assert_eq!(point.acquire(&offer, &tracks, 1).unwrap_err(), PublishRefused::Taken);
    drop(first);
    let mut again = point.acquire(&offer, &tracks, 1).unwrap();
    point.close();
    assert_eq!(again.advance(), Err(PushError::Stopped));
    assert_eq!(point.check(&offer), Err(PublishRefused::Closed));

    let (clock, _, point) = opened(true);
    let mut first = point.acquire(&offer, &tracks, 1).unwrap();
    let second = point.acquire(&offer, &tracks, 1).unwrap();
    assert_eq!(first.advance(), Err(PushError::Replaced));
    drop(first);
    assert_eq!(second.deadline(), clock.boot().after(RTCP_REPORT_INTERVAL));
    assert!(stream.state().0 != StreamState::Live);
    drop(second);
}

#[test]
fn what_cannot_be_carried_gets_no_seat() {
    let (_, _, point) = opened(false);
    for sdp in [
        "m=video 0 RTP/AVP 96\na=rtpmap:96 VP8/90000\n",
        "m=video 0 RTP/AVP 96\n",
        "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/48000\n",
        "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\n",
        "m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/8000\n",
        "m=application 0 RTP/AVP 98\na=rtpmap:98 vnd.onvif.metadata/90000\n",
    ] {
        let told = point.check(&offer(sdp));
        assert!(matches!(told, Err(PublishRefused::NotCarried { .. })), "{sdp}: {told:?}");
    }
    let mixed = "m=application 0 RTP/AVP 98\nm=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n";
    assert_eq!(point.check(&offer(mixed)), Ok(()));
}

#[test]
fn only_a_publisher_that_is_missed_is_a_fault() {
    let (clock, stream, point) = opened(false);
    let state = || stream.state().0;
    let waits = |state: StreamState| matches!(state, StreamState::Waiting { reason } if reason.contains("aiting for"));
    assert!(waits(state()), "nobody came yet");
    for why in [PushError::Left, PushError::Paused, PushError::Gone, PushError::Silent] {
        let missed = matches!(why, PushError::Gone | PushError::Silent);
        let tracks = [(TrackId(0), Carriage::Tcp)];
        let mut publisher = point.acquire(&offer(VIDEO), &tracks, 1).unwrap();
        assert_eq!(state(), StreamState::Starting);
        publisher.ends(why);
        drop(publisher);
        assert_eq!(matches!(state(), StreamState::Offline { .. }), missed, "{:?}", state());
        assert_eq!(waits(state()), !missed, "{:?}", state());
    }
    drop(clock);
}

#[tokio::test]
async fn a_replaced_publisher_hears_of_it_without_a_packet() {
    let (_, _, point) = opened(true);
    let (offer, tracks) = (offer(VIDEO), [(TrackId(0), Carriage::Tcp)]);
    let mut first = point.acquire(&offer, &tracks, 1).unwrap();
    let _second = point.acquire(&offer, &tracks, 1).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(10), first.displaced()).await;
    assert_eq!(told, Ok(PushError::Replaced));
}
