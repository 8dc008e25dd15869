//! RTSP inside HTTP, with cameras spoken by hand.

use super::*;

/// Reads one head of HTTP.
async fn http_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Reads `count` requests that come in base64, on as many POSTs as it takes, and answers them on
/// `down`; each POST is closed behind its first request.
async fn answer_posts(listener: &TcpListener, down: &mut TcpStream, count: usize) -> Vec<String> {
    use base64::Engine as _;
    let mut asked = Vec::new();
    while asked.len() < count {
        let (mut up, _) = listener.accept().await.unwrap();
        let head = http_head(&mut up).await;
        assert!(head.starts_with("POST /main HTTP/1.0\r\n"), "{head}");
        assert!(head.contains("\r\nAuthorization: Digest username=\"viewer\""), "{head}");
        let mut text = String::new();
        let request = loop {
            text.push(char::from(up.read_u8().await.unwrap()));
            let bytes = base64::engine::general_purpose::STANDARD.decode(&text).unwrap_or_default();
            if bytes.ends_with(b"\r\n\r\n") {
                break String::from_utf8(bytes).unwrap();
            }
        };
        drop(up);
        let method = request.split(' ').next().unwrap().to_owned();
        if let Reply::Say(status, headers, body) = polite(&method) {
            // What follows goes by the next POST only if the end of this one has been seen.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let length = body.len();
            let answer =
                format!("RTSP/1.0 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
            down.write_all(answer.as_bytes()).await.unwrap();
        }
        asked.push(method);
    }
    asked
}

#[tokio::test]
async fn a_tunnel_signs_in_to_http_and_opens_a_post_for_each_that_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://127.0.0.1:{}/main", listener.local_addr().unwrap().port());
    let mut config = config(&url);
    (config.transport, config.username) = (PullTransport::Http, Some("viewer".into()));
    config.password = Some(Secret::new("hunter2"));
    config.bounds.describe = Duration::from_secs(20);
    let stream = stream();
    let mut reader = stream.bus().subscribe(Allowance::Window);
    let asked = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let head = http_head(&mut first).await;
        assert!(head.starts_with("GET /main HTTP/1.0\r\n"), "{head}");
        first
            .write_all(
                b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"1\"\r\n\r\n",
            )
            .await
            .unwrap();
        drop(first);
        let (mut down, _) = listener.accept().await.unwrap();
        let head = http_head(&mut down).await;
        assert!(head.contains("\r\nAuthorization: Digest username=\"viewer\""), "{head}");
        down.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
        let asked = answer_posts(&listener, &mut down, 4).await;
        down.write_all(&pictures(5, 50)).await.unwrap();
        // The end of the GET is the end of the tunnel.
        asked
    });
    let error = life(&config, &stream).await;
    assert!(matches!(error, PullError::Closed), "{error}");
    assert_eq!(asked.await.unwrap(), ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]);
    assert!(drain(&mut reader).len() >= 4, "the pictures came");
}

#[tokio::test]
async fn what_carries_no_rtsp_over_http_is_told_as_such() {
    for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "RTSP/1.0 400 Bad Request\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            http_head(&mut socket).await;
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        let mut config = config(&format!("rtsp://127.0.0.1:{port}/main?password=hidden"));
        config.transport = PullTransport::Http;
        let error = life(&config, &stream()).await.to_string();
        let wanted = format!("The device at 127.0.0.1:{port} does not carry RTSP over HTTP.");
        assert!(error.starts_with(&wanted) && !error.contains("hidden"), "{error}");
    }
}
