//! Export jobs of the real daemon: what comes out is checked with unzip, Python, ffprobe,
//! sha256sum and openssl, and jobs outlive kills, are cancelled, refused, and never outgrow their
//! room.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::{need, run_well, wait_for};
use bytes::Bytes;
use holdfast::base::device::PublicKey;
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{self, Dvr, Retention, RingState};
use holdfast::media::{AccessUnit, Captured, ClockSource, Entry, RunId, Tracks};
use holdfast::playback::export_jobs::verify::verify;
use holdfast::wire::mp4::{FragmentBuilder, init_segment};
use serde_json::{Value, json};

const TWO: &str = "[stream.gate]\n\
     source = { kind = \"pattern\", width = 640, height = 360, fps = 10, bitrate_bps = 500000 }\n\
     [stream.yard]\n\
     source = { kind = \"pattern\", width = 320, height = 240, fps = 5, bitrate_bps = 200000 }\n";
const MOST: Duration = Duration::from_secs(60);

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build()
        .into()
}

/// Asks for an export; status and body.
fn post(daemon: &Daemon, body: &Value) -> (u16, Value) {
    let url = daemon.http("/api/v1/exports");
    let mut answer = agent()
        .post(&url)
        .header("Content-Type", "application/json")
        .send(body.to_string())
        .unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
}

/// Asks for an export until the daemon that has just started takes it.
fn accepted(daemon: &Daemon, wish: &Value) -> Value {
    wait_for("the export is accepted", MOST, || {
        let (status, job) = post(daemon, wish);
        // Before the ring is open the streams that are no longer configured are unknown.
        assert!(matches!(status, 202 | 404 | 503), "{status}: {job}");
        (status == 202).then_some(job)
    })
}

fn delete(daemon: &Daemon, path: &str) -> u16 {
    agent().delete(&daemon.http(path)).call().unwrap().status().as_u16()
}

fn path_of(job: &Value) -> String {
    format!("/api/v1/exports/{}", job["id"].as_str().unwrap_or_else(|| panic!("{job}")))
}

/// Asks until the job has ended; the percentages reported on the way must only grow.
fn ended(daemon: &Daemon, path: &str) -> Value {
    let mut percent = 0;
    wait_for("the export ends", MOST, || {
        let job = daemon.get(path);
        let now = job["percent"].as_u64().unwrap_or_else(|| panic!("{job}"));
        assert!(now >= percent && now <= 100, "{percent} and then {job}");
        percent = now;
        (job["state"] == "done" || job["state"] == "failed").then_some(job)
    })
}

fn done(daemon: &Daemon, path: &str) -> Value {
    let job = ended(daemon, path);
    assert_eq!((&job["state"], &job["percent"]), (&json!("done"), &json!(100)), "{job}");
    job
}

/// The newest date up to which both streams are on the disk.
fn durable(daemon: &Daemon) -> Option<WallTime> {
    let all = ["gate", "yard"].map(|name| {
        let told = &daemon.stream(name)["recording"]["durable_until"];
        WallTime::parse_rfc3339(told.as_str()?)
    });
    all.into_iter().min().flatten()
}

fn wait_recorded(daemon: &Daemon, secs: i64) {
    let begun = wait_for("both streams are recorded", MOST, || durable(daemon));
    wait_for("footage", MOST, || {
        let now = durable(daemon)?;
        (now.as_unix_millis() - begun.as_unix_millis() >= secs * 1_000).then_some(())
    });
}

fn seconds_ago(secs: i64) -> String {
    SystemClock.wall().offset_nanos(-secs * 1_000_000_000).to_rfc3339()
}

fn download(daemon: &Daemon, job: &Value, to: &Path) {
    need("curl", "curl");
    let url = daemon.http(job["file"].as_str().unwrap());
    let mut curl = Command::new("curl");
    run_well(curl.args(["-sSf", "--compressed", "-o"]).arg(to).arg(url), MOST);
}

/// Runs what `VERIFY.txt` says for people without Holdfast, from where the zip is.
fn follow_the_text(text: &str, zip: &Path) -> String {
    let commands = text.lines().filter_map(|line| line.strip_prefix("    "));
    let known = ["unzip", "openssl pkeyutl", "awk"];
    let script: Vec<String> = commands
        .filter(|line| known.iter().any(|program| line.starts_with(program)))
        .map(|line| line.replace("EXPORT.zip", zip.to_str().unwrap()))
        .collect();
    assert_eq!(script.len(), known.len(), "{script:?}");
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script.join("\n")]).current_dir(zip.parent().unwrap());
    String::from_utf8(run_well(&mut shell, MOST)).unwrap()
}

fn holdfast_verifies(zip: &Path, more: &[&str]) -> (bool, String) {
    let arguments = [&["verify-export", zip.to_str().unwrap()], more].concat();
    let output = Daemon::holdfast(&arguments);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {told}", output.status);
    (output.status.success(), told)
}

/// The public key as the box prints it: PEM and fingerprint.
fn device_key(daemon: &Daemon) -> (String, String) {
    let data = daemon.data_dir();
    let output = Daemon::holdfast(&["device-key", "--data-dir", data.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (pem, fingerprint) = text.split_once("SHA-256 ").unwrap();
    (pem.to_owned(), fingerprint.trim().to_owned())
}

#[test]
fn two_streams_leave_as_one_zip_that_anybody_can_check() {
    for (program, package) in
        [("unzip", "unzip"), ("openssl", "openssl"), ("awk", "mawk"), ("python3", "python3")]
    {
        need(program, package);
    }
    let mut daemon = Daemon::start_new("64MiB", TWO);
    let begun = seconds_ago(1);
    wait_recorded(&daemon, 4);
    // A gap of which the reason is known.
    daemon.kill();
    std::thread::sleep(Duration::from_secs(3));
    daemon.start();
    wait_recorded(&daemon, 3);
    let note = "case 7 \"gate\"";
    let (status, job) =
        post(&daemon, &json!({"streams": ["gate", "yard"], "start": begun, "note": note}));
    assert_eq!(status, 202, "{job}");
    let job = done(&daemon, &path_of(&job));
    assert_eq!(daemon.get("/api/v1/exports")["exports"][0]["id"], job["id"]);
    assert_eq!(daemon.get("/api/v1/pins")["pins"], json!([]));

    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("export.zip");
    download(&daemon, &job, &zip);
    assert_eq!(std::fs::metadata(&zip).unwrap().len(), job["bytes"].as_u64().unwrap());
    check_with_foreign_tools(&zip, dir.path());
    check_manifest(&dir.path().join("export"), note);
    check_keys(&daemon, &zip, dir.path());
    check_ranges(&daemon, &job, &zip);
    check_flips(&zip);
    no_secret_leaks(&daemon, &zip);
    assert_eq!(delete(&daemon, &path_of(&job)), 204);
    assert_eq!(std::fs::read_dir(daemon.data_dir().join("exports")).unwrap().count(), 0);
}

fn check_with_foreign_tools(zip: &Path, dir: &Path) {
    run_well(Command::new("unzip").arg("-t").arg(zip), MOST);
    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  assert z.testzip() is None\n\
                  assert all(i.compress_type == zipfile.ZIP_STORED for i in z.infolist())\n\
                  print(z.read('VERIFY.txt').decode(), end='')";
    let text = run_well(Command::new("python3").args(["-c", script]).arg(zip), MOST);
    let told = follow_the_text(&String::from_utf8(text).unwrap(), zip);
    assert!(told.contains("Signature Verified Successfully"), "{told}");
    for file in ["gate.mp4", "yard.mp4", "VERIFY.txt", "device-key.pem"] {
        assert!(told.contains(&format!("{file}: OK")), "{told}");
    }
    let films: Vec<PathBuf> = std::fs::read_dir(dir.join("export"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .collect();
    for stream in ["gate", "yard"] {
        let own = films.iter().filter(|path| path.to_string_lossy().contains(stream));
        let frames: usize = own.map(|path| crate::footage::count_frames(path)).sum();
        assert!(frames > if stream == "gate" { 60 } else { 30 }, "{stream}: {frames}");
    }
    for film in &films {
        crate::footage::decodes(film).unwrap();
    }
}

fn check_manifest(dir: &Path, note: &str) {
    let text = std::fs::read(dir.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(manifest["note"], note);
    assert_eq!(manifest["software"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(manifest["clock"]["trust"].is_string(), "{manifest}");
    assert!(!manifest["clock"]["rows"].as_array().unwrap().is_empty(), "{manifest}");
    let streams = manifest["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2, "{manifest}");
    for stream in streams {
        assert!(stream["file"].is_string() && stream["start"].is_string(), "{stream}");
        let gaps = stream["gaps"].as_array().unwrap();
        assert!(gaps.iter().any(|gap| gap["reason"] == "crashed"), "{stream}");
    }
    for file in manifest["files"].as_array().unwrap() {
        let path = dir.join(file["name"].as_str().unwrap());
        assert_eq!(std::fs::metadata(path).unwrap().len(), file["bytes"].as_u64().unwrap());
    }
}

fn check_keys(daemon: &Daemon, zip: &Path, dir: &Path) {
    let (pem, fingerprint) = device_key(daemon);
    let told = &daemon.get("/api/v1/system")["device"];
    assert_eq!(*told, json!({"key_sha256": fingerprint, "public_key": pem}));
    assert_eq!(pem, std::fs::read_to_string(dir.join("export/device-key.pem")).unwrap());
    assert_eq!(PublicKey::from_pem(pem.as_bytes()).unwrap().fingerprint(), fingerprint);

    let (good, told) = holdfast_verifies(zip, &[]);
    assert!(good && told.contains(&fingerprint) && told.contains("was not checked"), "{told}");
    let own = dir.join("own.pem");
    std::fs::write(&own, &pem).unwrap();
    for key in [own.to_str().unwrap(), &fingerprint] {
        let (good, told) = holdfast_verifies(zip, &["--key", key]);
        assert!(good && !told.contains("was not checked"), "{told}");
    }
    let (good, told) = holdfast_verifies(zip, &["--key", &"0".repeat(64)]);
    assert!(!good && told.contains("another key"), "{told}");
}

fn check_ranges(daemon: &Daemon, job: &Value, zip: &Path) {
    let whole = std::fs::read(zip).unwrap();
    let url = daemon.http(job["file"].as_str().unwrap());
    let length = whole.len();
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=1000-9999".to_owned(), 1_000, 10_000),
        (format!("bytes=-{}", length / 3), length - length / 3, length),
    ] {
        let mut answer = agent().get(&url).header("Range", &range).call().unwrap();
        assert_eq!(answer.status().as_u16(), 206, "{range}");
        let body = answer.body_mut().read_to_vec().unwrap();
        assert!(body == whole[from..to], "{range}: {} bytes", body.len());
    }
    let answer = agent().head(&url).call().unwrap();
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    for (if_range, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
        let asked = agent().get(&url).header("Range", "bytes=5-").header("If-Range", if_range);
        assert_eq!(asked.call().unwrap().status().as_u16(), status, "{if_range}");
    }
    assert_eq!(answer.headers()["content-length"], length.to_string().as_str());
    assert_eq!(answer.headers()["content-type"], "application/zip");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("gate_yard-"));
    let range = format!("bytes={length}-");
    assert_eq!(agent().get(&url).header("Range", range).call().unwrap().status().as_u16(), 416);
}

/// One bit at a time all over the archive, and a look at what the command says of a few.
fn check_flips(zip: &Path) {
    let good = std::fs::read(zip).unwrap();
    let seed = fastrand_seed();
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let ends = (0..64).chain(good.len() - 600..good.len());
    let middle: Vec<usize> = (0..60).map(|_| random.usize(0..good.len())).collect();
    let bad = zip.with_file_name("bad.zip");
    let mut file = File::create(&bad).unwrap();
    file.write_all(&good).unwrap();
    drop(file);
    let file = File::options().read(true).write(true).open(&bad).unwrap();
    for at in ends.step_by(7).chain(middle) {
        let flipped = [good[at] ^ (1 << random.u8(0..8))];
        std::os::unix::fs::FileExt::write_all_at(&file, &flipped, at as u64).unwrap();
        assert!(!verify(&file).unwrap().is_sound(), "byte {at} of {}", good.len());
        std::os::unix::fs::FileExt::write_all_at(&file, &good[at..=at], at as u64).unwrap();
    }
    assert!(verify(&file).unwrap().is_sound());
    // As many things as are wrong are named.
    let middle_of = |name: &str| {
        let head = good.windows(name.len()).position(|bytes| bytes == name.as_bytes()).unwrap();
        head + 5_000
    };
    for name in ["gate.mp4", "yard.mp4"] {
        let at = middle_of(name);
        std::os::unix::fs::FileExt::write_all_at(&file, &[!good[at]], at as u64).unwrap();
    }
    let (sound, told) = holdfast_verifies(&bad, &[]);
    assert!(!sound, "{told}");
    for name in ["gate.mp4", "yard.mp4"] {
        assert!(told.contains(&format!("WRONG: {name}: its SHA-256")), "{told}");
    }
    std::fs::write(&bad, &good[..good.len() / 2]).unwrap();
    assert!(!holdfast_verifies(&bad, &[]).0);
}

fn fastrand_seed() -> u64 {
    let given = std::env::var("SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap())
}

fn no_secret_leaks(daemon: &Daemon, zip: &Path) {
    let path = daemon.data_dir().join("state/device.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let pem = std::fs::read_to_string(&path).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    // Its last 43 characters are the key alone; everything before is the same for every key.
    let tail = &secret[secret.len() - 40..];
    let decoded =
        run_well(Command::new("openssl").args(["pkey", "-outform", "DER", "-in"]).arg(&path), MOST);
    let raw = &decoded[decoded.len() - 32..];
    let mut said = vec![daemon.logs().into_bytes(), std::fs::read(zip).unwrap()];
    for path in ["/api/v1/system", "/api/v1/exports", "/api/v1/health", "/api/v1/storage"] {
        said.push(daemon.get(path).to_string().into_bytes());
    }
    for said in said {
        for secret in [tail.as_bytes(), raw] {
            assert!(!said.windows(secret.len()).any(|window| window == secret));
        }
    }
}

/// Records `count` seconds of `bytes` each that end now into the ring of a daemon that does not
/// run: pictures of which every one is a key frame.
fn fill(daemon: &Daemon, ring_bytes: u64, count: u32, bytes: usize) -> WallTime {
    let film = crate::footage::footage(1, 25, 200);
    let key = film.units.iter().find(|unit| unit.random_access()).unwrap();
    let clock = Arc::new(SystemClock);
    let config = dvr::RingConfig {
        data_dir: daemon.data_dir(),
        size: dvr::RingSizing::Bytes(ring_bytes),
        slot_bytes: None,
    };
    let dvr = Dvr::open(config, clock.clone(), None).unwrap();
    wait_for("the ring", MOST, || (dvr.status().ring == RingState::Ready).then_some(()));
    let tracks = Tracks::new(RunId(1), [Arc::clone(&key.params)]);
    let init = init_segment(&tracks);
    let writer = dvr.writer(&StreamName::parse("gate").unwrap(), Retention::default());
    let span = Duration::from_secs(u64::from(count));
    let (begun, wall) = (clock.boot().before(span), clock.wall());
    let start = wall.offset_nanos(-i64::from(count) * 1_000_000_000);
    // One NAL unit after its length: a slice, and then anything.
    let mut data = vec![0x65; bytes];
    data[..4].copy_from_slice(&u32::try_from(bytes - 4).unwrap().to_be_bytes());
    let data = Bytes::from(data);
    let unit = |second: u32| {
        let arrived = begun.after(Duration::from_secs(u64::from(second)));
        let nanos = i64::try_from(arrived.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(nanos, key.params.clock_rate);
        let wall = start.offset_nanos(i64::from(second) * 1_000_000_000);
        Arc::new(AccessUnit {
            arrived,
            captured: Captured { wall, source: ClockSource::Arrival },
            entry: Entry::key_frame(true),
            ..AccessUnit::new(Arc::clone(&key.params), decode, data.clone())
        })
    };
    for second in 0..count {
        let mut builder = FragmentBuilder::new(second + 1);
        builder.push(unit(second));
        let fragment = builder.build(Some(&unit(second + 1)));
        wait_for("room in the queue", MOST, || {
            writer.append(&init, fragment.clone(), second == 0, false).ok()
        });
    }
    assert!(dvr.close(MOST));
    start
}

/// The most memory that the daemon had so far.
fn peak_mib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[test]
fn a_job_outlives_a_kill_and_can_be_cancelled() {
    const MIB: u64 = 1 << 20;
    let mut daemon = Daemon::new("640MiB", "");
    let start = fill(&daemon, 640 * MIB, 320, 900 << 10);
    daemon.start();
    let wish = json!({"streams": ["gate"], "start": start.to_rfc3339()});
    let first = accepted(&daemon, &wish);
    let path = path_of(&first);
    let running = wait_for("it runs", MOST, || {
        let job = daemon.get(&path);
        (job["percent"].as_u64().unwrap() > 3).then_some(job)
    });
    assert_eq!(running["state"], "running", "the export is too small for this test: {running}");
    let pins = daemon.get("/api/v1/pins");
    assert_eq!(pins["pins"][0]["owner"], "export", "{pins}");
    daemon.kill();

    daemon.start();
    wait_for("it is there again", MOST, || {
        let job = daemon.get(&path);
        (job["id"] == first["id"]).then_some(())
    });
    assert_ne!(daemon.get(&path)["state"], "failed");
    // A second one waits meanwhile, and is cancelled; so is the first when it is done with.
    let second = accepted(&daemon, &wish);
    assert_eq!(delete(&daemon, &path_of(&second)), 204);
    let job = done(&daemon, &path);
    let peak_mib = peak_mib(&daemon);
    println!("{} bytes exported, {peak_mib} MiB at most in memory", job["bytes"]);
    assert!(peak_mib < 160, "{peak_mib} MiB for {} bytes", job["bytes"]);
    let zip =
        daemon.data_dir().join("exports").join(format!("{}.zip", job["id"].as_str().unwrap()));
    let report = verify(&File::open(zip).unwrap()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(daemon.get("/api/v1/pins")["pins"], json!([]));

    // Cancelled in the middle: it leaves nothing, and its footage is free again.
    let (_, third) = post(&daemon, &wish);
    wait_for("it runs", MOST, || {
        (daemon.get(&path_of(&third))["percent"].as_u64().unwrap() > 3).then_some(())
    });
    assert_eq!(delete(&daemon, &path_of(&third)), 204);
    assert_eq!(daemon.get("/api/v1/pins")["pins"], json!([]));
    wait_for("its thread has ended", MOST, || {
        let names = std::fs::read_dir(daemon.data_dir().join("exports")).unwrap();
        (names.count() == 2).then_some(())
    });
    assert_eq!(daemon.get(&path_of(&third))["error"]["code"], "export_unknown");
    let begun = Instant::now();
    assert!(daemon.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(12));
}

#[test]
fn what_would_endanger_the_recordings_is_refused() {
    let mut daemon = Daemon::new("16MiB", TWO);
    daemon.start_on_tmpfs("size=80m");
    wait_recorded(&daemon, 2);
    let (status, answer) = post(&daemon, &json!({"streams": ["gate"], "start": seconds_ago(10)}));
    assert_eq!((status, &answer["error"]["code"]), (507, &json!("no_room")), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("delete") && message.contains("bytes"), "{message}");
    assert_eq!(daemon.get("/api/v1/exports")["exports"], json!([]));
    assert_eq!(daemon.get("/api/v1/pins")["pins"], json!([]));

    let now = seconds_ago(0);
    for (body, status, code) in [
        (json!({"streams": ["nobody"], "start": seconds_ago(9)}), 404, "stream_unknown"),
        (json!({"streams": [], "start": seconds_ago(9)}), 400, "bad_request"),
        (json!({"streams": ["gate"], "start": "yesterday"}), 400, "bad_request"),
        (json!({"streams": ["gate"], "start": now, "end": seconds_ago(9)}), 400, "bad_request"),
        (json!({"streams": ["gate"], "start": seconds_ago(-60)}), 400, "bad_request"),
        (
            json!({"streams": ["gate"], "start": seconds_ago(900), "end": seconds_ago(800)}),
            404,
            "nothing_recorded",
        ),
        (
            json!({"streams": ["gate"], "start": seconds_ago(9), "note": "x".repeat(201)}),
            400,
            "bad_request",
        ),
        (json!({"streams": ["gate"], "since": now}), 400, "bad_request"),
    ] {
        let answer = post(&daemon, &body);
        assert_eq!((answer.0, &answer.1["error"]["code"]), (status, &json!(code)), "{body}");
    }
    for path in ["/api/v1/exports/0000000000000000", "/api/v1/exports/..%2Fdevice.key"] {
        assert_eq!(daemon.get(path)["error"]["code"], "export_unknown", "{path}");
        let file = daemon.get(&format!("{path}/file"));
        assert_eq!(file["error"]["code"], "export_unknown", "{path}");
        assert_eq!(delete(&daemon, path), 404);
    }
}
