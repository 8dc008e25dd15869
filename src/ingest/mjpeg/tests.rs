//! Cameras that send JPEG over HTTP, spoken by hand over loopback.

use std::time::Duration;

use jpeg_encoder::{ColorType, Encoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::base::name::StreamName;
use crate::base::time::{Clock as _, SystemClock};
use crate::ingest::{self, SharedSources};
use crate::media::AccessUnit;
use crate::stream::{Allowance, Next, StreamState};
use crate::supervise::Supervisor;

/// A grey picture of 64 × 48 pixels.
fn jpeg() -> Vec<u8> {
    let mut out = Vec::new();
    let pixels = [90, 128, 128].repeat(64 * 48);
    Encoder::new(&mut out, 80).encode(&pixels, 64, 48, ColorType::Ycbcr).unwrap();
    out
}

/// A camera that answers the first line and headers of each request with what `answer` says, and
/// then sends `part` before each picture, 25 a second; no picture where `part` is `None`.
async fn camera(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
    part: Option<&'static str>,
) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = socket.read_u8().await else { break };
                head.push(byte);
            }
            let said = answer(&String::from_utf8_lossy(&head));
            let pictures = said.contains(" 200 ");
            let _ = socket.write_all(said.as_bytes()).await;
            let (Some(part), true) = (part, pictures) else { continue };
            let picture = [part.as_bytes(), &jpeg()].concat();
            while socket.write_all(&picture).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    });
    Url::parse(&format!("http://127.0.0.1:{port}/video?key=hidden")).unwrap()
}

/// What happens to a stream of the camera at `url`: its first unit, or why there is none.
async fn pulled(url: Url, password: Option<&str>) -> Result<Arc<AccessUnit>, String> {
    let credentials = password.map(|password| ("viewer".to_owned(), Secret::new(password)));
    let config = MjpegConfig::new(url, credentials);
    let name = StreamName::parse("yard").unwrap();
    let stream = Stream::new(name, "mjpeg", SystemClock.wall());
    let supervisor = Supervisor::new(crate::base::Stop::new(), Arc::new(SystemClock));
    let mut reader = stream.bus().subscribe(Allowance::Viewer);
    let mut state = stream.watch_state();
    let source = ingest::SourceConfig::Mjpeg(config);
    ingest::keep(source, Arc::clone(&stream), &SharedSources::default(), &supervisor);
    let told = async {
        let offline = |(state, _): &(StreamState, _)| matches!(state, StreamState::Offline { .. });
        let told = state.wait_for(offline).await.unwrap().0.clone();
        told.reason().unwrap_or_default().to_owned()
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::select! {
            next = reader.next() => match next {
                Next::Item(unit) => Ok(unit),
                other => panic!("{other:?}"),
            },
            reason = told => Err(reason),
        }
    });
    let ended = ended.await.expect("something comes of it");
    supervisor.stop().await;
    ended
}

#[tokio::test]
async fn pictures_become_a_stream_whatever_stands_between_them() {
    let heads = [
        ("multipart/x-mixed-replace; boundary=\"--x\"", "--x\r\nContent-Type: image/jpeg\r\n\r\n"),
        ("multipart/x-mixed-replace;boundary=x", "\r\nx\r\nContent-Length: 7\r\n\r\n"),
        ("text/plain", ""),
    ];
    for (kind, part) in heads {
        let answer = move |_: &str| format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n");
        let unit = pulled(camera(answer, Some(part)).await, None).await.expect(kind);
        assert!(unit.random_access(), "{kind}");
        assert_eq!(unit.params.codec_name(), "H264");
    }
}

#[tokio::test]
async fn a_password_is_proved_and_a_wrong_one_is_told() {
    for scheme in ["Basic realm=\"cam\"", "Digest realm=\"cam\", nonce=\"7\", qop=\"auth\""] {
        let challenge = move |head: &str| {
            if head.contains("Authorization: ") {
                return "HTTP/1.1 200 OK\r\n\r\n".to_owned();
            }
            format!("HTTP/1.1 401 No\r\nWWW-Authenticate: {scheme}\r\n\r\n")
        };
        let url = camera(challenge, Some("--x\r\n\r\n")).await;
        assert!(pulled(url.clone(), Some("hunter2")).await.is_ok(), "{scheme}");
        let told = pulled(url, None).await.unwrap_err();
        assert!(told.starts_with("The camera asks for a user name and password."), "{told}");
    }
    let refuse =
        |_: &str| "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n".to_owned();
    let told = pulled(camera(refuse, None).await, Some("hunter2")).await.unwrap_err();
    assert!(told.starts_with("The camera refuses the user name or password."), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("hidden"));
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_and_told_elsewhere() {
    let move_once = |head: &str| {
        let is_there = head.starts_with("GET /live.mjpg ");
        let moved = "HTTP/1.1 302 Found\r\nLocation: /live.mjpg\r\n\r\n";
        if is_there { "HTTP/1.1 200 OK\r\n\r\n".to_owned() } else { moved.to_owned() }
    };
    assert!(pulled(camera(move_once, Some("--x\r\n\r\n")).await, None).await.is_ok());
    for (to, wanted) in [
        ("http://u:secret@10.9.9.9:81/x?pw=1", "http://10.9.9.9:81."),
        ("/video?key=hidden", "nowhere."),
    ] {
        let away = move |_: &str| format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\n\r\n");
        let told = pulled(camera(away, None).await, None).await.unwrap_err();
        assert!(told.contains(wanted), "{told}");
        assert!(!told.contains("secret") && !told.contains("hidden"), "{told}");
    }
}

#[tokio::test]
async fn what_sends_no_pictures_is_told_as_such() {
    let page =
        |_: &str| format!("HTTP/1.1 200 OK\r\n\r\n<html>{}", "Log in at the cloud. ".repeat(5_000));
    let told = pulled(camera(page, None).await, None).await.unwrap_err();
    assert!(told.contains("what it sends holds no JPEG pictures"), "{told}");
    let missing = |_: &str| "HTTP/1.1 404 Not Found\r\n\r\n".to_owned();
    let told = pulled(camera(missing, None).await, None).await.unwrap_err();
    assert!(told.starts_with("The camera answers with status 404."), "{told}");
    assert!(!told.contains("hidden"));
}
