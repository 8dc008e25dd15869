//! HTTPS beside HTTP, with curl, openssl, nghttp and Firefox: whom the certificate convinces, what is spoken over it,
//! and what plain HTTP still answers when it only leads there.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::firefox::firefox;
use crate::harness::{Running, need, run, run_well, wait_for};

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const DEMO: &str =
    "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 240, fps = 10 }";

/// `https://localhost…path`: a name that the certificate is good for.
fn https(daemon: &Daemon, path: &str) -> String {
    format!("https://localhost:{}{path}", daemon.https_port)
}

fn curl(arguments: &[&str]) -> Output {
    need("curl", "curl");
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
    run(command.args(arguments), PATIENCE)
}

/// What curl prints of a request that succeeds.
fn said(arguments: &[&str]) -> String {
    let output = curl(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {}\n{told}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The authority as a device gets it: over plain HTTP.
fn authority(daemon: &Daemon) -> PathBuf {
    let path = daemon.data_dir().join("fetched.pem");
    let kind = ["--output", path.to_str().unwrap(), "--write-out", "%{content_type} %{http_code}"];
    let told = said(&[&kind[..], &[&daemon.http("/ca.pem")]].concat());
    assert_eq!(told, "application/x-x509-ca-cert 200");
    path
}

#[test]
fn curl_trusts_the_box_by_its_authority_and_speaks_http2() {
    let daemon = Daemon::start_new("64MiB", DEMO);
    let ca = authority(&daemon);
    let ca = ca.to_str().unwrap();
    let page = https(&daemon, "/api/v1/health");
    let by_address = page.replace("localhost", "127.0.0.1");
    let version = |options: &[&str]| {
        let silent = ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"];
        said(&[&silent[..], options].concat())
    };
    assert_eq!(version(&["--http2", "--cacert", ca, &page]), "2 200");
    assert_eq!(version(&["--http2", "--cacert", ca, &by_address]), "2 200");
    assert_eq!(version(&["--http1.1", "--cacert", ca, &page]), "1.1 200");
    // An upgrade in clear is not taken.
    assert_eq!(version(&["--http2", &daemon.http("/api/v1/health")]), "1.1 200");
    assert_eq!(curl(&[&page]).status.code(), Some(60), "nobody trusts it unasked");
    let many: Vec<String> = (0..40).map(|_| page.clone()).collect();
    let mut parallel =
        vec!["--http2", "--cacert", ca, "--parallel", "--write-out", "%{http_code} "];
    let outputs = many.iter().flat_map(|url| ["--output", "/dev/null", url]);
    parallel.extend(outputs);
    let told = said(&parallel);
    assert_eq!(told.split_whitespace().filter(|code| *code == "200").count(), 40, "{told}");
    daemon.wait_state("demo", "live", PATIENCE);
    let picture = daemon.data_dir().join("shown.jpg");
    let snap = https(&daemon, "/snap/demo.jpg");
    wait_for("a picture over HTTP/2", PATIENCE, || {
        let output = ["--output", picture.to_str().unwrap(), "--write-out", "%{http_code}"];
        (said(&[&["--http2", "--cacert", ca][..], &output, &[&snap]].concat()) == "200")
            .then_some(())
    });
    assert!(std::fs::read(picture).unwrap().starts_with(&[0xff, 0xd8, 0xff]));
    let mut ffmpeg = crate::harness::ffmpeg();
    ffmpeg.args(["-ca_file", ca, "-tls_verify", "1", "-i"]);
    ffmpeg.arg(https(&daemon, "/live/demo/index.m3u8")).args(["-t", "1", "-f", "null", "-"]);
    run_well(&mut ffmpeg, PATIENCE);
}

#[test]
fn clients_of_nghttp2_get_what_they_ask_for() {
    need("nghttp", "nghttp2-client");
    let daemon = Daemon::start_new("64MiB", DEMO);
    let page = https(&daemon, "/");
    let mut nghttp = Command::new("nghttp");
    nghttp.args(["--no-verify-peer", "--null-out", "--get-assets", "--stat", &page]);
    let told = String::from_utf8(run_well(&mut nghttp, PATIENCE)).unwrap();
    let answered = |line: &&str| line.contains(" 200 ") && line.contains('/');
    assert!(told.lines().filter(answered).count() >= 3, "the page and its parts:\n{told}");
    let mut load = Command::new("h2load");
    let health = https(&daemon, "/api/v1/health");
    load.args(["--requests", "200", "--clients", "4", "--max-concurrent-streams", "8", &health]);
    let told = String::from_utf8(run_well(&mut load, PATIENCE)).unwrap();
    assert!(told.contains("Application protocol: h2") && told.contains(" 200 succeeded"), "{told}");
}

/// Firefox has its own list of authorities: one with the box's in it shows the page, and plays.
#[test]
fn firefox_trusts_the_box_by_its_authority() {
    need("certutil", "libnss3-tools");
    let daemon = Daemon::start_new("64MiB", DEMO);
    daemon.wait_state("demo", "live", PATIENCE);
    let (ca, profile) = (authority(&daemon), tempfile::tempdir().unwrap());
    let dir = format!("sql:{}", profile.path().display());
    for arguments in [
        &["-N", "--empty-password", "-d", &dir][..],
        &["-A", "-n", "box", "-t", "C,,", "-i", ca.to_str().unwrap(), "-d", &dir],
    ] {
        run_well(Command::new("certutil").args(arguments), PATIENCE);
    }
    let _running = Running::start(firefox(profile.path()).arg(https(&daemon, "/")));
    wait_for("Firefox watches over https", PATIENCE * 2, || {
        let readers = &daemon.stream("demo")["readers"];
        (readers["mse"].as_u64()? > 0).then_some(())
    });
}

#[test]
fn an_address_that_is_listened_on_by_name_is_in_the_certificate() {
    let mut daemon = Daemon::new("64MiB", DEMO);
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    let [usual, other] =
        ["127.0.0.1", "127.0.0.2"].map(|address| format!("{address}:{}", daemon.https_port));
    std::fs::write(daemon.config(), text.replace(&usual, &other)).unwrap();
    daemon.start();
    let ca = authority(&daemon);
    let url = format!("https://{other}/api/v1/health");
    assert!(said(&["--cacert", ca.to_str().unwrap(), &url]).contains("status"));
}

#[test]
fn plain_http_only_leads_to_https_where_that_is_required() {
    let daemon = Daemon::new("64MiB", DEMO);
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    let text = text.replace("[http]\n", "[http]\nhttps_required = true\n");
    std::fs::write(daemon.config(), text).unwrap();
    let mut daemon = daemon;
    daemon.start();
    let ca = authority(&daemon);
    let ca = ca.to_str().unwrap();
    let told = |url: &str| {
        said(&["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}", url])
    };
    let secure = format!("https://127.0.0.1:{}", daemon.https_port);
    for path in ["/", "/timeline?cam=demo", "/snap/demo.jpg", "/live/demo/index.m3u8"] {
        assert_eq!(told(&daemon.http(path)), format!("308 {secure}{path}"));
    }
    assert!(told(&daemon.http("/api/v1/health")).starts_with("200"));
    for path in ["/api/v1/streams", "/api/v1/config"] {
        assert!(told(&daemon.http(path)).starts_with("403"), "{path}");
    }
    assert_eq!(daemon.get("/api/v1/streams")["error"]["code"], "https_required");
    let sent = said(&["--request", "POST", "--write-out", "%{http_code}", &daemon.http("/")]);
    assert!(sent.ends_with("403"), "{sent}");
    let config = daemon.config();
    let resumed = Daemon::holdfast(&["recovery", "resume", "--config", config.to_str().unwrap()]);
    assert!(resumed.status.success(), "{resumed:?}");
    let head = said(&["--cacert", ca, "--head", &https(&daemon, "/")]);
    assert!(head.contains("200") && head.contains("strict-transport-security: max-age="), "{head}");
}

#[test]
fn a_new_address_is_in_the_certificate_without_a_restart_and_readers_stay() {
    let mut daemon = Daemon::new("64MiB", DEMO);
    daemon.start_on_island();
    let port = daemon.https_port;
    let ca = daemon.data_dir().join("fetched.pem");
    let curl = |address: &str, path: &str, options: &[&str]| {
        let mut command = daemon.beside("curl");
        command.args(["--silent", "--max-time", "5", "--cacert"]).arg(&ca).args(options);
        // The daemon listens on one address; the name that is checked is the other one.
        command.arg("--connect-to").arg(format!("::127.0.0.1:{port}"));
        run(command.arg(format!("https://{address}:{port}{path}")), PATIENCE)
    };
    wait_for("the authority", PATIENCE, || {
        let mut command = daemon.beside("curl");
        command.args(["--silent", "--fail", "--output"]).arg(&ca).arg(daemon.http("/ca.pem"));
        run(&mut command, PATIENCE).status.success().then_some(())
    });
    assert!(curl("127.0.0.1", "/", &[]).status.success());
    let mut ip = daemon.beside("ip");
    run_well(ip.args(["addr", "add", "127.9.8.7/32", "dev", "lo"]), PATIENCE);
    assert_eq!(curl("127.9.8.7", "/", &[]).status.code(), Some(60), "not in it yet");
    // One that began before continues through the exchange.
    let mut reader = daemon.beside("curl");
    reader.args(["--silent", "--http2", "--cacert"]).arg(&ca);
    reader.arg(format!("https://127.0.0.1:{port}/live/demo/mjpeg"));
    let mut reader = crate::harness::Running::start(reader.stdout(std::process::Stdio::null()));
    wait_for("the new certificate", PATIENCE, || {
        curl("127.9.8.7", "/", &[]).status.success().then_some(())
    });
    assert!(reader.runs(), "the exchange cut a reader");
}
