//! A camera that agrees to a transport and sends nothing by it.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::net::UdpSocket;

use super::*;

/// What was asked for, in order.
type Asked = Arc<Mutex<Vec<&'static str>>>;

/// A camera that agrees to everything and sends by `sends` alone, then hangs up.
async fn mute_camera(sends: &'static str) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = speak(socket, sends, &log).await;
        }
    });
    (format!("rtsp://127.0.0.1:{port}/main"), asked)
}

async fn speak(mut socket: TcpStream, sends: &str, log: &Asked) -> std::io::Result<()> {
    let (mut head, mut to) = (Vec::new(), None::<SocketAddr>);
    loop {
        head.push(socket.read_u8().await?);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&std::mem::take(&mut head)).into_owned();
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        let mut more = "Session: 1\r\n".to_owned();
        if let Some(value) = text.lines().find_map(|line| line.strip_prefix("Transport: ")) {
            more.extend(["Transport: ", value, "\r\n"]);
            let port = value.split("client_port=").nth(1).and_then(|ports| ports.split('-').next());
            to = port.map(|port| SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())));
            log.lock().unwrap().push(if to.is_some() { "udp" } else { "tcp" });
        }
        let body = if method == "DESCRIBE" { SDP } else { "" };
        let answer =
            format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n{more}\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await?;
        let used = if to.is_some() { "udp" } else { "tcp" };
        if method != "PLAY" || used != sends {
            continue;
        }
        let media = pictures(10, 500);
        let Some(to) = to else { return socket.write_all(&media).await };
        let out = UdpSocket::bind("127.0.0.1:0").await?;
        for packet in media.chunks(4 + 12 + 500) {
            out.send_to(&packet[4..], to).await?;
        }
        // What arrived is read before the hang-up.
        tokio::time::sleep(Duration::from_millis(100)).await;
        return Ok(());
    }
}

/// How three lives with such a camera end, what was asked for in them, and whether it was live.
async fn three_lives(sends: &'static str, transport: PullTransport) -> ([String; 3], String, bool) {
    let (url, asked) = mute_camera(sends).await;
    let mut config = config(&url);
    config.transport = transport;
    config.bounds.idle = Duration::from_millis(400);
    let stream = stream();
    let mut ends = [const { String::new() }; 3];
    for end in &mut ends {
        *end = life(&config, &stream).await.to_string();
    }
    let asked = asked.lock().unwrap().join(" ");
    (ends, asked, stream.state().0 == StreamState::Live)
}

#[tokio::test]
async fn a_transport_that_brings_nothing_gives_way_to_the_other_which_is_remembered() {
    let (ends, asked, live) = three_lives("udp", PullTransport::Auto).await;
    assert_eq!(asked, "tcp udp udp", "{ends:?}");
    assert!(
        live && ends[0].ends_with("arrives by TCP within 0.4 s. UDP is tried next."),
        "{ends:?}"
    );
    assert!(ends[1].starts_with("The camera closed the connection."), "{ends:?}");
    let (ends, asked, live) = three_lives("tcp", PullTransport::Auto).await;
    assert!(live && asked == "tcp tcp tcp", "{asked}: {ends:?}");
}

#[tokio::test]
async fn a_transport_that_is_configured_is_kept_and_what_to_do_is_said() {
    let (ends, asked, live) = three_lives("tcp", PullTransport::Udp).await;
    assert!(!live && asked == "udp udp udp", "{asked}");
    assert!(ends[2].ends_with("set `transport` of stream 'gate' to \"auto\"."), "{ends:?}");
    assert_eq!(ends[0], ends[2]);
    let (ends, asked, live) = three_lives("none", PullTransport::Auto).await;
    assert!(!live && asked == "tcp udp tcp", "{asked}");
    assert!(ends[1].contains("nothing arrives by TCP or UDP within"), "{ends:?}");
    assert_eq!(ends[1], ends[2], "equal faults read equal, so that they are told once");
}
