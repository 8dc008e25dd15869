//! What peers send, in whatever pieces and however odd.

use super::*;

#[test]
fn bare_lf_and_blank_lines_and_frames_between_are_read() {
    let mut bench = Bench::new();
    let mixed = b"\r\n\r\n$\x01\0\0OPTIONS * RTSP/1.0\nCSeq: 1\n\n$\x01\0\x04\x81\xc9\0\0\
        \r\nOPTIONS * RTSP/1.0\r\ncseq:2\r\n\r\n";
    assert_eq!(statuses(&bench.say(mixed)), [200, 200]);
    let mut bench = Bench::new();
    let sent: String = mixed.iter().map(|byte| bench.say(&[*byte])).collect();
    assert_eq!(statuses(&sent), [200, 200], "byte by byte");
}

#[test]
fn bodies_are_skipped_and_may_come_later() {
    let mut bench = Bench::new();
    let head = "SET_PARAMETER rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(bench.say(head.as_bytes()), "");
    assert_eq!(statuses(&bench.say(b"a:\r\nbOPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n")), [200, 200]);
}

#[test]
fn a_long_uri_is_414() {
    let mut bench = Bench::new();
    let long = format!("rtsp://h/{}", "x".repeat(3_000));
    assert_eq!(status(&bench.ask("DESCRIBE", &long, "")), 414);
    assert_eq!(status(&bench.ask("OPTIONS", "*", "")), 200, "the connection stays");
    let huge = format!("rtsp://h/{}", "x".repeat(64 << 10));
    assert_eq!(status(&bench.ask("DESCRIBE", &huge, "")), 414);
    assert!(bench.is_closed());
}

#[test]
fn what_cannot_be_delimited_ends_the_connection() {
    let many = "X: 1\r\n".repeat(1_000);
    let wide = format!("X: {}\r\n", "y".repeat(20_000));
    for (headers, wanted) in [
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: five\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 0x10\r\n", 400),
        ("Content-Length: 3\r\nContent-length: 3\r\n", 400),
        ("Content-Length: 70000\r\n", 413),
        ("Content-Length: 9223372036854775808\r\n", 413),
        ("X: a\0b\r\n", 400),
        ("Require: x\rSession: 1\r\n", 400),
        (&many, 400),
        (&wide, 400),
    ] {
        let mut bench = Bench::new();
        let reply = bench.ask("OPTIONS", "*", headers);
        assert_eq!(statuses(&reply), [wanted], "{headers:.40}");
        assert!(bench.is_closed(), "{headers:.40}");
        assert_eq!(bench.say(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), "");
    }
    for garbage in [&b"\x16\x03\x01\x02\0\x01"[..], b"\0", b" OPTIONS"] {
        let mut bench = Bench::new();
        assert_eq!(statuses(&bench.say(garbage)), [400]);
        assert!(bench.is_closed());
    }
}

#[test]
fn other_protocols_and_odd_heads_get_an_answer() {
    for (request, wanted) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505),
        ("OPTIONS * RTSP/1.0\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nCSeq: abc\r\n\r\n", 400),
        ("OPTIONS\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: a\r\n folded\r\n\r\n", 200),
    ] {
        let mut bench = Bench::new();
        assert_eq!(statuses(&bench.say(request.as_bytes())), [wanted], "{request}");
        assert!(!bench.is_closed(), "{request}");
    }
}

#[test]
fn no_answer_is_answered_however_odd() {
    for answer in ["1.0 200 OK\r\nCSeq: 1", "1.0 200 RTSP/2.0", "1.0 abc", "2.0 200 OK", "", "x"] {
        let mut bench = Bench::new();
        let answer = format!("RTSP/{answer}\r\n\r\n");
        assert_eq!(bench.say(answer.as_bytes()), "", "{answer}");
        assert_eq!(status(&bench.ask("OPTIONS", "*", "")), 200, "the connection stays");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_memory_stays_bounded(
        chunks in proptest::collection::vec(proptest::collection::vec(0u8.., 0..2_000), 0..20)
    ) {
        let mut bench = Bench::new();
        for chunk in chunks {
            bench.say(&chunk);
            proptest::prop_assert!(bench.session.framer.len() <= INPUT_BYTES_MAX + 65_536);
        }
    }

    #[test]
    fn arbitrary_requests_never_panic(
        method in "OPTIONS|DESCRIBE|SETUP|PLAY|PAUSE|TEARDOWN|GET_PARAMETER|[A-Z]{1,9}",
        url in "rtsp://h/gate(/trackID=[0-9]{1,3})?|\\PC{0,40}",
        headers in proptest::collection::vec(
            "(Transport|Session|Range|Require|CSeq|Content-Length|[A-Za-z-]{1,9}): ?\\PC{0,60}",
            0..6,
        ),
    ) {
        let mut bench = Bench::new();
        bench.ask(&method, &url, &(headers.join("\r\n") + "\r\n"));
        bench.later(RTSP_REQUEST_TIME_MAX);
    }
}
