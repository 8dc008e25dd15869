//! Behind a reverse proxy as people set one up: on another port, with its default Host, under a path.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::free_port;
use crate::harness::nginx::nginx;

const PATTERN: &str = "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 180, \
                       fps = 10, bitrate_bps = 50000 }\n";

/// Sends `request` to `port` and returns what comes within a moment.
fn ask(port: u16, request: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = socket.read(&mut buffer) {
        read.extend_from_slice(&buffer[..length]);
        if read.starts_with(b"HTTP/1.1 101") {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[test]
fn the_page_works_behind_nginx() {
    let daemon = Daemon::start_new("64MiB", PATTERN);
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    let [default_host, under_path] = [(); 2].map(|()| free_port());
    let to = format!("http://127.0.0.1:{}", daemon.http_port);
    let headers = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                   proxy_set_header Connection $connection_upgrade; \
                   proxy_set_header X-Forwarded-Host $http_host; \
                   proxy_set_header X-Forwarded-For $remote_addr;";
    let http = format!(
        "map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n\
         server {{ listen 127.0.0.1:{default_host}; location / {{ proxy_pass {to}; {headers} }} }}\n\
         server {{ listen 127.0.0.1:{under_path}; location /cam/ {{ proxy_pass {to}/; \
         proxy_set_header X-Forwarded-Prefix /cam; {headers} }} }}"
    );
    let at_root =
        format!("location / {{ proxy_pass {to}; proxy_set_header Host $host; {headers} }}");
    let root = tempfile::tempdir().unwrap();
    let (_nginx, other_port) = nginx(root.path(), "nginx-light", ["", &http, &at_root]);
    for (port, base) in [(other_port.port(), "/"), (default_host, "/"), (under_path, "/cam/")] {
        let own = format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}");
        let close = format!("{own}\r\nConnection: close");
        let page = ask(port, &format!("GET {base} HTTP/1.1\r\n{close}\r\n\r\n"));
        assert!(page.contains(&format!("<base href=\"{base}\" />")), "{page}");
        assert!(!page.contains("=\"/assets/"), "a file of the page is named from the root: {page}");
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: SG9sZGZhc3QgaXMgaGVyZQ==";
        let live = format!("GET {base}live/demo/ws HTTP/1.1");
        assert_eq!(status(&ask(port, &format!("{live}\r\n{own}\r\n{upgrade}\r\n\r\n"))), "101");
        let foreign = own.replace("Origin: http://127.0.0.1", "Origin: http://evil.example");
        assert_eq!(status(&ask(port, &format!("{live}\r\n{foreign}\r\n{upgrade}\r\n\r\n"))), "403");
        let resume = format!(
            "POST {base}api/v1/recovery/resume HTTP/1.1\r\n{close}\r\nContent-Length: 0\r\n"
        );
        assert_eq!(status(&ask(port, &format!("{resume}X-Holdfast-CSRF: 1\r\n\r\n"))), "200");
        assert_eq!(status(&ask(port, &format!("{resume}\r\n"))), "403");
    }
}
