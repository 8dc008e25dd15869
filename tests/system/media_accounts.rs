//! Stream accounts over HTTP on a claimed box: third-party players, and what is refused.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use holdfast::wire::rtsp::auth::{Credential, PASSWORD_SEED_BYTES};

use crate::harness::daemon::Daemon;
use crate::harness::{need, run, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// A claimed box with two streams, and the password of `nvr`, which may watch `gate`.
fn claimed_box() -> (Daemon, String) {
    let streams = "[stream.gate]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 10 }\n\
        [stream.yard]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 10 }\n";
    let nvr = Credential::generate("nvr", &[7; PASSWORD_SEED_BYTES]);
    let account = format!("[account.nvr]\nha1 = \"{}\"\nread = [\"gate\"]\n", nvr.ha1.reveal());
    let mut daemon = Daemon::new("64MiB", streams);
    daemon.claimable = true;
    daemon.configure("64MiB", &format!("{streams}{account}"));
    let mut add = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    add.args(["account", "add", "--name", "anna", "--role", "admin", "--password-stdin"]);
    let mut add = add.arg("--config").arg(daemon.config()).stdin(Stdio::piped()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    assert!(add.wait().unwrap().success());
    daemon.start();
    (daemon, nvr.password.reveal().to_owned())
}

/// The head of the answer, and its status.
fn curl(arguments: &[&str]) -> (String, String) {
    need("curl", "curl");
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
    command.args(["--dump-header", "-", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    let output = run(command.args(arguments), PATIENCE);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let said = String::from_utf8(output.stdout).unwrap().to_lowercase();
    let (head, status) = said.rsplit_once('\n').unwrap();
    (head.to_owned(), status.to_owned())
}

fn status(arguments: &[&str]) -> String {
    curl(arguments).1
}

#[test]
fn players_read_media_with_the_password_of_a_stream_account() {
    let (daemon, password) = claimed_box();
    let user = format!("nvr:{password}");
    let snap = daemon.http("/snap/gate.jpg");
    let digest = ["--digest", "--user", &user];
    wait_for("a picture", PATIENCE, || {
        (status(&[&digest[..], &[&snap]].concat()) == "200").then_some(())
    });
    // Who shows nothing is asked; the box's own page is not, or the browser would ask for it.
    let (head, refused) = curl(&[&snap]);
    assert_eq!(refused, "401");
    assert!(head.contains("www-authenticate: digest realm=\"holdfast\""), "{head}");
    assert!(!head.contains("www-authenticate: basic"), "{head}");
    for page in ["Sec-Fetch-Site: same-origin", "Cookie: hf-plain=gone"] {
        let (head, refused) = curl(&["--header", page, &snap]);
        assert!(refused == "401" && !head.contains("www-authenticate"), "{page}: {head}");
    }
    // A password in clear is refused for good: some players repeat it for ever.
    assert_eq!(status(&["--basic", "--user", &user, &snap]), "403");
    let secure = format!("https://localhost:{}/snap/gate.jpg", daemon.https_port);
    assert_eq!(status(&["--insecure", "--basic", "--user", &user, &secure]), "200");
    // Other streams, other routes, other passwords.
    for path in ["/snap/yard.jpg", "/live/yard/index.m3u8", "/snap/nothing.jpg"] {
        assert_eq!(status(&[&digest[..], &[&daemon.http(path)]].concat()), "403", "{path}");
    }
    for path in ["/api/v1/streams", "/api/v1/config", "/metrics", "/export/gate.mp4?start=1"] {
        assert_eq!(status(&[&digest[..], &[&daemon.http(path)]].concat()), "401", "{path}");
    }
    assert_eq!(status(&["--digest", "--user", "nvr:guess", &snap]), "401");

    let url = daemon.http("/live/gate/index.m3u8").replace("http://", &format!("http://{user}@"));
    let mut ffmpeg = crate::harness::ffmpeg();
    ffmpeg.args(["-i", &url, "-t", "1", "-c", "copy", "-f", "null", "-"]);
    run_well(&mut ffmpeg, PATIENCE);
}

#[test]
fn a_playlist_brings_a_ticket_for_its_stream_that_ends_with_the_account() {
    let (daemon, password) = claimed_box();
    let user = format!("nvr:{password}");
    let list = daemon.http("/live/gate/index.m3u8");
    let media = daemon.http("/live/gate/media.m3u8");
    let head = wait_for("a playlist", PATIENCE, || {
        let (head, status) = curl(&["--digest", "--user", &user, &list]);
        (status == "200").then_some(head)
    });
    let cookie = head.split("set-cookie: ").nth(1).unwrap().split("\r\n").next().unwrap();
    for part in ["path=/live/gate/;", "httponly", "samesite=strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let ticket = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let with = |url: &str| status(&["--header", &ticket, url]);
    assert_eq!(with(&media), "200");
    for other in ["/live/yard/media.m3u8", "/snap/gate.jpg", "/api/v1/streams"] {
        assert_eq!(with(&daemon.http(other)), "401", "{other}");
    }
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    std::fs::write(daemon.config(), &text[..text.find("[account.nvr]").unwrap()]).unwrap();
    daemon.reload();
    wait_for("the ticket to end", PATIENCE, || (with(&media) == "401").then_some(()));
}
