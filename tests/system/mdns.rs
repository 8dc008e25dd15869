//! Multicast DNS on a network of its own, asked by another implementation of it (python3-zeroconf).

use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Neighbour};
use crate::harness::{Running, run, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const PYTHON: &str = "/usr/bin/python3";
const ASK: &str = "tests/system/mdns.py";
/// What listens beyond loopback needs an account.
const ACCOUNT: &str = "[account.viewer]\nha1 = \"847a52b32b28b0671b52d4a925efea97\"\n";

/// A daemon that listens beyond loopback, on a machine called `gate`, and a neighbour of it.
fn gate(mdns: &str) -> (Daemon, Neighbour) {
    let mut daemon = Daemon::new("64MiB", "");
    configure(&daemon, mdns);
    daemon.start_on_lan("gate");
    wait_for("the daemon listens", PATIENCE, || {
        let asked =
            run(daemon.beside("curl").args(["-s", "http://10.77.0.7/api/v1/health"]), PATIENCE);
        asked.status.success().then_some(())
    });
    let neighbour = daemon.neighbour();
    (daemon, neighbour)
}

fn configure(daemon: &Daemon, mdns: &str) {
    let text = format!(
        "data_dir = \"{}\"\n{mdns}\n{ACCOUNT}[ring]\nsize = \"64MiB\"\n\
         [http]\nlisten = [\"0.0.0.0:80\"]\nlisten_tls = [\"0.0.0.0:443\"]\n\
         [rtsp]\nlisten = [\"0.0.0.0:8554\"]\nlisten_tls = []\n",
        daemon.data_dir().display()
    );
    std::fs::write(daemon.config(), text).unwrap();
}

/// What a neighbour finds within some seconds; sooner if that is everything.
fn found(neighbour: &Neighbour, seconds: &str) -> Vec<Value> {
    let said = run_well(neighbour.command(PYTHON).args([ASK, "find", seconds]), PATIENCE);
    let said = String::from_utf8(said).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A program that a neighbour runs, and what it says.
fn start(neighbour: &Neighbour, order: &[&str]) -> (Running, BufReader<ChildStdout>) {
    let mut command = neighbour.command(PYTHON);
    let command = command.arg(ASK).args(order).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::start(command);
    let says = BufReader::new(running.child().stdout.take().unwrap());
    (running, says)
}

fn next(says: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    says.read_line(&mut line).unwrap();
    line
}

#[test]
fn the_box_is_found_by_what_it_serves() {
    let (_daemon, neighbour) = gate("");
    let services = found(&neighbour, "20");
    let expect = |kind: &str, port: u16| {
        json!({
            "kind": format!("{kind}._tcp.local."), "name": format!("Holdfast gate.{kind}._tcp.local."),
            "host": "gate.local.", "port": port, "addresses": ["10.77.0.7"],
        })
    };
    assert_eq!(services, [expect("_http", 80), expect("_https", 443), expect("_rtsp", 8554)]);
}

#[test]
fn a_name_that_somebody_has_is_left_to_them() {
    let (daemon, neighbour) = gate("[mdns]\nannounce = false");
    assert_eq!(found(&neighbour, "5"), [] as [Value; 0]);
    let (_owner, mut says) = start(&neighbour, &["take", "gate"]);
    assert_eq!(next(&mut says), "taken\n");

    configure(&daemon, "");
    daemon.reload();
    wait_for("another name", PATIENCE, || {
        let log = daemon.logs();
        log.contains("announced under another name").then_some(())
    });
    let services = found(&neighbour, "20");
    assert_eq!(services.len(), 3, "{services:?}");
    for service in services {
        assert_eq!(service["host"], "gate-2.local.");
        assert_eq!(service["addresses"], json!(["10.77.0.7"]));
    }
    // The certificate is good for that name too.
    let pem = daemon.data_dir().join("state/tls/box.pem");
    let mut names = Command::new("openssl");
    names.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(pem);
    wait_for("a certificate for that name", PATIENCE, || {
        let said = String::from_utf8(run_well(&mut names, PATIENCE)).unwrap();
        said.contains("DNS:gate-2.local").then_some(())
    });
}

#[test]
fn a_box_that_stops_says_goodbye() {
    let (mut daemon, neighbour) = gate("");
    let (_follower, mut says) = start(&neighbour, &["follow", "20"]);
    assert_eq!(next(&mut says), "3 there\n");
    assert!(daemon.stop().success());
    assert_eq!(next(&mut says), "0 left\n");
}
