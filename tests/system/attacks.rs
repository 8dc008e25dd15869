//! What a hostile client, or a hostile page in a user's browser, gets: nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::door::TestBox;
use crate::footage;
use crate::harness::daemon::Daemon;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: SG9sZGZhc3QgaXMgaGVyZQ==\r\n";

#[tokio::test]
async fn a_name_that_anybody_may_point_here_reaches_nothing() {
    let door = TestBox::plain().await;
    for path in ["/", "/api/v1/streams", "/snap/gate.jpg", "/metrics", "/live/gate/ws"] {
        for host in ["evil.example", "127.0.0.1.evil.example:80"] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}\r\n");
            let reply = door.ask(&head.replace("Connection: Upgrade", "Connection: close")).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (421, "foreign_host"),
                "{path} {host}"
            );
        }
    }
    let forwarded = "GET /api/v1/streams HTTP/1.1\r\nHost: evil.example\r\n\
                     X-Forwarded-Host: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(door.ask(forwarded).await.status, 421, "a page may send this header too");
    let twice = "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(door.ask(twice).await.status, 400);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let door = TestBox::plain().await;
    let resume = |headers: &str| {
        let head = "POST /api/v1/recovery/resume HTTP/1.1\r\nHost: box.test\r\nConnection: close";
        format!("{head}\r\nContent-Length: 0\r\n{headers}\r\n")
    };
    for (headers, status) in [
        ("", 200),
        ("Origin: http://box.test\r\nX-Holdfast-CSRF: 1\r\n", 200),
        ("Origin: http://box.test\r\n", 403),
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: http://evil.example\r\nX-Holdfast-CSRF: 1\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("Content-Type: text/plain\r\n", 415),
    ] {
        assert_eq!(door.ask(&resume(headers)).await.status, status, "{headers}");
    }
    let page = door.get("/").await;
    for directive in ["base-uri 'self'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(page.header("content-security-policy").contains(directive), "{directive}");
    }
    assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
    for path in ["/", "/snap/gate.jpg", "/api/v1/streams"] {
        let policy = door.get(path).await.header("cross-origin-resource-policy").to_owned();
        assert_eq!(policy, "same-origin", "{path}");
    }
}

/// Opens the live socket of `gate` from a page of `origin`, if it is a page.
async fn socket(door: &TestBox, origin: Option<&str>) -> TcpStream {
    let mut socket = TcpStream::connect(door.addr).await.unwrap();
    let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
    let head = format!("GET /live/gate/ws HTTP/1.1\r\nHost: box.test:80\r\n{UPGRADE}{origin}\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn only_the_boxs_own_page_opens_a_socket() {
    let door = TestBox::plain().await;
    door.go_live(&footage::footage(1, 25, 300));
    for (origin, status) in [
        (None, "101"),
        (Some("http://box.test"), "101"),
        (Some("http://box.test:81"), "403"),
        (Some("http://evil.example"), "403"),
        (Some("null"), "403"),
    ] {
        let mut told = [0; 12];
        socket(&door, origin).await.read_exact(&mut told).await.unwrap();
        assert_eq!(&told[9..], status.as_bytes(), "{origin:?}");
    }
}

#[tokio::test]
async fn a_flood_of_pings_ends_its_socket() {
    let door = TestBox::plain().await;
    door.go_live(&footage::footage(1, 25, 300));
    let mut socket = socket(&door, None).await;
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    socket.write_all(&ping.repeat(40)).await.unwrap();
    let mut told = Vec::new();
    let read = timeout(Duration::from_secs(10), socket.read_to_end(&mut told)).await;
    assert!(read.is_ok(), "the socket was closed");
    let policy = [&1_008u16.to_be_bytes()[..], b"too many messages"].concat();
    assert!(told.windows(policy.len()).any(|part| part == policy), "it was told why");
    let pongs = told.windows(3).filter(|part| *part == [0x8a, 125, b'x']).count();
    assert!(pongs <= 21, "{pongs} pongs");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_given_up() {
    let door = TestBox::plain().await;
    let mut socket = TcpStream::connect(door.addr).await.unwrap();
    let head = "POST /api/v1/marks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 60000\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = socket.into_split();
    let trickle = async {
        while to.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut told = String::new();
    let answer = timeout(Duration::from_secs(20), from.read_to_string(&mut told));
    tokio::select! {
        () = trickle => {}
        read = answer => drop(read.expect("the connection was closed")),
    }
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
}

#[tokio::test]
async fn a_body_with_two_lengths_smuggles_no_second_request() {
    let door = TestBox::plain().await;
    let (length, chunked) = ("Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n");
    for lengths in [[length, chunked], [chunked, length]] {
        let mut socket = TcpStream::connect(door.addr).await.unwrap();
        let text = format!(
            "POST /api/v1/marks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{}\r\n\
             2\r\n{{}}\r\n0\r\n\r\nGET /api/v1/claim HTTP/1.1\r\nHost: x\r\n\r\n",
            lengths.concat()
        );
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut told = String::new();
        let read = timeout(Duration::from_secs(20), socket.read_to_string(&mut told)).await;
        assert!(read.is_ok(), "the connection is closed behind the answer: {told}");
        assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{told}");
    }
}

#[test]
fn rtsp_inside_http_asks_for_the_box_too() {
    let pattern = "source = { kind = \"pattern\", width = 320, height = 180, fps = 5 }";
    let daemon = Daemon::start_new("64MiB", &format!("[stream.demo]\n{pattern}\n"));
    for (host, status) in [("127.0.0.1", "200"), ("evil.example", "421")] {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", daemon.rtsp_port)).unwrap();
        let head =
            format!("GET /demo HTTP/1.1\r\nHost: {host}\r\nx-sessioncookie: {status}\r\n\r\n");
        std::io::Write::write_all(&mut socket, head.as_bytes()).unwrap();
        let mut told = [0; 12];
        std::io::Read::read_exact(&mut socket, &mut told).unwrap();
        assert_eq!(&told[9..], status.as_bytes(), "{host}");
    }
}
