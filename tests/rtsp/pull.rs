//! The source `rtsp_pull` against a real camera server: every frame comes through unharmed, in
//! its place, and comes back after the camera was gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::camera::{Camera, PASSWORD, USER, aac_frames, alaw_octets};
use crate::harness::daemon::Daemon;
use crate::harness::frames;
use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::secret::Secret;
use holdfast::base::time::{Clock, SystemClock};
use holdfast::ingest::fingerprint::Fingerprint;
use holdfast::ingest::rtsp_pull::{PullConfig, PullTransport};
use holdfast::ingest::tls::Trust;
use holdfast::ingest::{self, CameraCertificates, SharedSources, keep, mjpeg};
use holdfast::media::{AccessUnit, ClockSource, Kind, Shape, nal};
use holdfast::stream::{Allowance, Next, Stream, StreamState, Subscriber};
use holdfast::supervise::Supervisor;

/// A stream that is pulled until this is dropped or stopped.
struct Pull {
    stream: Arc<Stream>,
    supervisor: Supervisor,
    reader: Subscriber<AccessUnit>,
}

impl Pull {
    fn start(url: &str, transport: PullTransport) -> Self {
        Self::start_with(url, transport, |_| {})
    }

    fn start_with(
        url: &str,
        transport: PullTransport,
        change: impl FnOnce(&mut PullConfig),
    ) -> Self {
        Self::start_among(url, transport, &SharedSources::default(), change)
    }

    fn start_among(
        url: &str,
        transport: PullTransport,
        shared: &SharedSources,
        change: impl FnOnce(&mut PullConfig),
    ) -> Self {
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name, "rtsp_pull", SystemClock.wall());
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let password = Some(Secret::new(PASSWORD));
        let url = url::Url::parse(url).unwrap();
        let mut config = PullConfig::new(url, Some(USER.into()), password, transport).unwrap();
        change(&mut config);
        let reader = stream.bus().subscribe(Allowance::Window);
        keep(ingest::SourceConfig::RtspPull(config), Arc::clone(&stream), shared, &supervisor);
        Self { stream, supervisor, reader }
    }

    /// Every unit of the next `span`, counted from the first one.
    async fn units(&mut self, span: Duration) -> Vec<Arc<AccessUnit>> {
        let mut units = Vec::new();
        let mut until = Instant::now() + Duration::from_secs(20);
        while let Ok(next) = tokio::time::timeout_at(until.into(), self.reader.next()).await {
            match next {
                Next::Item(unit) => units.push(unit),
                Next::Lagged(n) => panic!("the test was too slow by {n} units"),
                Next::Ended => panic!("the stream ended: {:?}", self.stream.state()),
            }
            if units.len() == 1 {
                until = Instant::now() + span;
            }
        }
        assert!(!units.is_empty(), "nothing came: {:?}", self.stream.state());
        units
    }
}

fn of(units: &[Arc<AccessUnit>], kind: Kind) -> Vec<Arc<AccessUnit>> {
    units.iter().filter(|unit| unit.params.kind() == kind).cloned().collect()
}

/// Decodes the pictures and returns their checksums, in the order in which they are shown.
fn decoded(units: &[Arc<AccessUnit>], format: &str) -> frames::Sums {
    let mut stream = Vec::new();
    for unit in units {
        if unit.random_access() {
            for set in unit.params.parameter_nals() {
                stream.extend_from_slice(&[0, 0, 0, 1]);
                stream.extend_from_slice(set);
            }
        }
        stream.extend_from_slice(&nal::to_annex_b(&unit.data));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &stream).unwrap();
    let mut command = crate::harness::ffmpeg();
    command.args(["-xerror", "-f", format, "-i"]).arg(file.path()).args(frames::SUMS);
    frames::parse(&crate::harness::run_well(&mut command, Duration::from_secs(60)))
}

/// The promises of `AccessUnit` that hold for every source.
fn assert_times_are_sound(units: &[Arc<AccessUnit>]) {
    for kind in [Kind::Video, Kind::Audio] {
        let track = of(units, kind);
        assert!(track.iter().all(|unit| unit.decode.ticks <= unit.present.ticks));
        assert!(track.windows(2).all(|pair| pair[0].decode.ticks < pair[1].decode.ticks));
        assert!(track.windows(2).all(|pair| pair[0].run <= pair[1].run));
    }
    for unit in units {
        let behind = i128::from(unit.arrived.as_nanos()) - i128::from(unit.present.as_nanos());
        assert!(behind.abs() < 2_000_000_000, "media time is {behind} ns off the arrival");
    }
}

/// Pictures of `mount` by `transport` for `span`: none missing, none damaged.
async fn assert_pictures_come_through(
    mount: &str,
    medium: &str,
    format: &str,
    transport: PullTransport,
) -> Vec<Arc<AccessUnit>> {
    let camera = Camera::start();
    let mut pull = Pull::start(&camera.url(mount), transport);
    let units = pull.units(Duration::from_secs(6)).await;
    pull.supervisor.stop().await;
    assert_times_are_sound(&units);
    let video = of(&units, Kind::Video);
    assert!(video.len() >= 100, "only {} pictures in 6 s", video.len());
    assert!(video[0].random_access() && video.iter().all(|unit| unit.lost_before == 0));
    let mut seen = decoded(&video, format);
    // The last pictures may wait for one that is shown earlier and did not come any more.
    seen.truncate(seen.len().saturating_sub(4));
    frames::assert_unbroken(mount, &seen, &frames::of_medium(medium));
    units
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_and_aac_come_through_by_tcp_and_stay_together() {
    let units = assert_pictures_come_through("h264", "h264.mp4", "h264", PullTransport::Tcp).await;
    let source = aac_frames("h264.mp4");
    let audio = of(&units, Kind::Audio);
    let begin = source.iter().position(|frame| *frame == audio[0].data[..]).expect("it is there");
    for (n, unit) in audio.iter().enumerate() {
        assert!(unit.data[..] == source[begin + n][..], "audio frame {n} is another one");
        assert!(!unit.random_access());
    }
    // Both tracks at their places: picture n is at n/25 s, sound n at (n - 1) · 1024/48000 s (the
    // first frame is the encoder's priming).
    let video = of(&units, Kind::Video);
    let first = frames::of_medium("h264.mp4");
    let place = frames::assert_unbroken("h264", &decoded(&video[..25], "h264")[..1], &first);
    let nanos = |count: usize, each: u64| i64::try_from(count as u64 * each).unwrap();
    let picture_zero = video[0].present.as_nanos() - nanos(place, 40_000_000);
    let sound_zero = audio[0].present.as_nanos() - nanos(begin, 21_333_333) + 21_333_333;
    let apart = (picture_zero - sound_zero).abs();
    assert!(apart < 60_000_000, "picture and sound are {apart} ns apart");
    // The camera's clock is this machine's, so its sender reports are believed.
    let last = units.last().unwrap();
    assert_eq!(last.captured.source, ClockSource::Sender);
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_comes_through_by_udp() {
    assert_pictures_come_through("h264", "h264.mp4", "h264", PullTransport::Udp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_comes_through_inside_http() {
    assert_pictures_come_through("h264", "h264.mp4", "h264", PullTransport::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_server_is_pulled_inside_http_and_https() {
    let demo = "[stream.demo]\nrecord = false\n\
                source = { kind = \"pattern\", width = 320, height = 240, fps = 25 }";
    let camera = Daemon::start_new("64MiB", demo);
    camera.wait_state("demo", "live", Duration::from_secs(60));
    let secure = format!("rtsps://127.0.0.1:{}/demo", camera.rtsps_port);
    for url in [camera.rtsp("demo"), secure] {
        let mut pull = Pull::start(&url, PullTransport::Http);
        let video = of(&pull.units(Duration::from_secs(3)).await, Kind::Video);
        pull.supervisor.stop().await;
        assert!(video.len() >= 50, "only {} pictures in 3 s of {url}", video.len());
        assert!(video.iter().all(|unit| unit.lost_before == 0));
        let seen = decoded(&video, "h264");
        assert!(seen.len() + 4 >= video.len(), "{} of {} pictures", seen.len(), video.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_comes_through_by_tcp() {
    assert_pictures_come_through("h265", "h265.mp4", "hevc", PullTransport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_come_through_with_decoding_times() {
    let units =
        assert_pictures_come_through("bframes", "bframes.mp4", "h264", PullTransport::Tcp).await;
    assert!(units.iter().any(|unit| unit.present.ticks > unit.decode.ticks));
    // Every picture keeps its own time: sorted, they are one frame apart.
    let mut present: Vec<_> = units.iter().map(|unit| unit.present.ticks).collect();
    present.sort_unstable();
    present.truncate(present.len() - 4);
    let steps: Vec<_> = present.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (3_590..=3_610).contains(step)), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_comes_through_beside_the_picture() {
    let units = assert_pictures_come_through("g711", "g711.mov", "h264", PullTransport::Tcp).await;
    let octets: Vec<u8> =
        of(&units, Kind::Audio).iter().flat_map(|unit| unit.data.to_vec()).collect();
    assert!(octets.len() > 8_000);
    let source = alaw_octets("g711.mov");
    assert!(source.windows(octets.len()).any(|window| window == octets), "sound is damaged");
}

/// A certificate as cameras make it, with its key, in one PEM file; and its SHA-256.
fn certificate(dir: &std::path::Path, name: &str) -> (std::path::PathBuf, String) {
    let [pem, key] = ["pem", "key"].map(|end| dir.join(format!("{name}.{end}")));
    let mut command = std::process::Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=cam"]);
    command.arg("-out").arg(&pem).arg("-keyout").arg(&key);
    crate::harness::run_well(&mut command, Duration::from_secs(30));
    let mut command = std::process::Command::new("openssl");
    command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&pem);
    let told = crate::harness::run_well(&mut command, Duration::from_secs(30));
    let told = String::from_utf8_lossy(&told).into_owned();
    let (_, fingerprint) = told.trim().split_once('=').expect("openssl tells a fingerprint");
    let both = [std::fs::read(&pem).unwrap(), std::fs::read(&key).unwrap()].concat();
    std::fs::write(&pem, both).unwrap();
    (pem, fingerprint.to_owned())
}

/// Pulls a camera over TLS, whose certificate is believed as `trust` says.
fn pull_tls(camera: &Camera, trust: Trust) -> Pull {
    let url = camera.url("h264").replace("rtsp://", "rtsps://");
    Pull::start_with(&url, PullTransport::Auto, |config| config.trust = trust)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_pulled_over_tls_and_shown_by_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, fingerprint) = certificate(dir.path(), "camera");
    let (_, other) = certificate(dir.path(), "other");
    let camera = Camera::start_tls(&pem);
    let own = Fingerprint::parse(&fingerprint).unwrap();
    for trust in [Trust::First, Trust::Pinned(own)] {
        let mut pull = pull_tls(&camera, trust);
        let units = pull.units(Duration::from_secs(2)).await;
        assert!(of(&units, Kind::Video).len() > 25);
        let shown = pull.stream.certificate().expect("it is told");
        assert_eq!(*shown, own.to_string());
        pull.supervisor.stop().await;
    }
    let pull = pull_tls(&camera, Trust::Pinned(Fingerprint::parse(&other).unwrap()));
    let reason = refused(&pull).await;
    let wanted = format!("set `tls = {{ fingerprint = \"{own}\" }}`");
    assert!(reason.contains("not the one expected") && reason.contains(&wanted), "{reason}");
    pull.supervisor.stop().await;
}

/// Why a camera is not pulled.
async fn refused(pull: &Pull) -> String {
    let mut state = pull.stream.watch_state();
    let told = state.wait_for(|(state, _)| matches!(state, StreamState::Offline { .. }));
    let told = tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap().clone();
    told.0.reason().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_camera_showed_first_is_the_only_one_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, _) = certificate(dir.path(), "camera");
    let (other, _) = certificate(dir.path(), "other");
    let camera = Camera::start_tls(&pem);
    let url = camera.url("h264").replace("rtsp://", "rtsps://");
    let pull = || {
        let certificates = CameraCertificates::open(dir.path());
        let shared = SharedSources { certificates, ..SharedSources::default() };
        Pull::start_among(&url, PullTransport::Auto, &shared, |_| {})
    };
    for _ in 0..2 {
        let mut pull = pull();
        pull.units(Duration::from_secs(1)).await;
        pull.supervisor.stop().await;
    }
    let port = camera.port();
    camera.kill();
    let _other = Camera::start_tls_on(port, &other);
    let pull = pull();
    let reason = refused(&pull).await;
    assert!(reason.contains("not the one expected"), "{reason}");
    assert!(reason.contains("set `tls = { fingerprint = "), "{reason}");
    pull.supervisor.stop().await;
}

/// An authority, and a certificate for 127.0.0.1 that it signed, with its key in one file.
fn signed(dir: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let at = |name: &str| dir.join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        crate::harness::run_well(command.args(arguments), Duration::from_secs(30));
    };
    let (ca, ca_key, pem, key) = (at("ca.pem"), at("ca.key"), at("signed.pem"), at("signed.key"));
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9"];
    openssl(&[&new[..], &["-subj", "/CN=yard", "-out", &ca, "-keyout", &ca_key]].concat());
    let named = ["-subj", "/CN=cam", "-addext", "subjectAltName=IP:127.0.0.1"];
    let end = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let signs = ["-CA", &ca, "-CAkey", &ca_key, "-out", &pem, "-keyout", &key];
    openssl(&[&new[..], &named, &end, &signs].concat());
    let both = [std::fs::read(&pem).unwrap(), std::fs::read(&key).unwrap()].concat();
    std::fs::write(&pem, both).unwrap();
    (ca.into(), pem.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_believed_that_the_named_authority_vouches_for_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, pem) = signed(dir.path());
    let camera = Camera::start_tls(&pem);
    let mut pull = pull_tls(&camera, Trust::Authority(ca.clone()));
    pull.units(Duration::from_secs(1)).await;
    pull.supervisor.stop().await;
    let (own, _) = certificate(dir.path(), "camera");
    let stranger = Camera::start_tls(&own);
    let missing = dir.path().join("missing.pem");
    for (camera, ca, wanted) in
        [(&stranger, &ca, "not the one expected"), (&camera, &missing, "cannot be read")]
    {
        let pull = pull_tls(camera, Trust::Authority(ca.clone()));
        let reason = refused(&pull).await;
        assert!(reason.contains(wanted), "{reason}");
        pull.supervisor.stop().await;
    }
}

/// Decodes what a camera's JPEG pictures became: pictures of this size.
fn assert_pictures_of_size(units: &[Arc<AccessUnit>], size: (u16, u16)) {
    assert_times_are_sound(units);
    assert!(units[0].random_access());
    let Shape::Video { width, height, .. } = units[0].params.shape else { panic!("no picture") };
    assert_eq!((width, height), size);
    let seen = decoded(units, "h264");
    assert!(seen.len() + 4 >= units.len(), "{} of {} pictures", seen.len(), units.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn jpeg_over_rtsp_is_encoded_here() {
    let camera = Camera::start();
    for transport in [PullTransport::Tcp, PullTransport::Udp] {
        let mut pull = Pull::start(&camera.url("jpeg"), transport);
        let units = pull.units(Duration::from_secs(3)).await;
        pull.supervisor.stop().await;
        // The bars and the snow of the camera change 15 times a second.
        assert!(units.len() >= 20, "{transport:?}: only {} pictures in 3 s", units.len());
        assert_pictures_of_size(&units, (320, 240));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_as_a_camera_that_sends_jpeg_over_http_is_encoded_here() {
    let port = crate::harness::free_port();
    let mut command = crate::harness::ffmpeg();
    command.args(["-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15:duration=60"]);
    command.args(["-f", "mpjpeg", "-listen", "1", &format!("http://127.0.0.1:{port}/video")]);
    let _camera = crate::harness::Running::start(&mut command);
    let name = StreamName::parse("yard").unwrap();
    let stream = Stream::new(name, "mjpeg", SystemClock.wall());
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    let reader = stream.bus().subscribe(Allowance::Window);
    let url = url::Url::parse(&format!("http://127.0.0.1:{port}/video")).unwrap();
    let config = mjpeg::MjpegConfig::new(url, None);
    let source = ingest::SourceConfig::Mjpeg(config);
    keep(source, Arc::clone(&stream), &SharedSources::default(), &supervisor);
    let mut pull = Pull { stream, supervisor, reader };
    let units = pull.units(Duration::from_secs(3)).await;
    pull.supervisor.stop().await;
    assert!(units.len() >= 20, "only {} pictures in 3 s", units.len());
    assert_pictures_of_size(&units, (320, 240));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_in_plain_words() {
    let camera = Camera::start();
    let url = url::Url::parse(&camera.url("h264")).unwrap();
    let name = StreamName::parse("gate").unwrap();
    let stream = Stream::new(name, "rtsp_pull", SystemClock.wall());
    let password = Some(Secret::new("wrong"));
    let config = PullConfig::new(url, Some(USER.into()), password, PullTransport::Tcp).unwrap();
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    keep(
        ingest::SourceConfig::RtspPull(config),
        Arc::clone(&stream),
        &SharedSources::default(),
        &supervisor,
    );
    let mut state = stream.watch_state();
    let told = state.wait_for(|(state, _)| matches!(state, StreamState::Offline { .. }));
    let told = tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap().clone();
    let reason = "The camera refuses the user name or password. \
                  Check `username` and `password` of stream 'gate'.";
    assert_eq!(told.0, StreamState::Offline { reason: reason.into() });
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_was_gone_comes_back_by_itself() {
    let camera = Camera::start();
    let port = camera.port();
    let mut pull = Pull::start(&camera.url("h264"), PullTransport::Tcp);
    let mut units = pull.units(Duration::from_secs(2)).await;
    let before = units.last().unwrap().run;
    camera.kill();
    let mut state = pull.stream.watch_state();
    let gone = state.wait_for(|(state, _)| matches!(state, StreamState::Offline { .. }));
    tokio::time::timeout(Duration::from_secs(15), gone).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _camera = Camera::start_on(port);
    let back = state.wait_for(|(state, _)| *state == StreamState::Live);
    tokio::time::timeout(Duration::from_secs(15), back).await.unwrap().unwrap();
    units.extend(pull.units(Duration::from_secs(2)).await);
    pull.supervisor.stop().await;
    assert_times_are_sound(&units);
    let after = units.iter().find(|unit| unit.run > before).expect("a new run");
    assert!(after.random_access(), "a run begins with a key frame");
}
