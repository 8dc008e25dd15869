//! Texts of configuration and their faults.

use super::*;

/// What is wrong with `text`, as it is reported.
pub(super) fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(ConfigError::Faults { faults }) => faults.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

/// The example with its commented-out keys made live: prose has a blank behind the `#`.
fn uncommented() -> String {
    let live = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c != ' ' && c != '#') => rest,
        _ => line,
    };
    EXAMPLE.lines().map(live).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(parse(EXAMPLE).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn every_key_in_the_example_is_known_and_every_default_true() {
    let told = parse(&uncommented()).unwrap();
    let bare = parse(
        r#"
            [stream.demo]
            source = { kind = "pattern" }
            substream = { width = 640 }
            [stream.gate]
            source = { kind = "rtsp_pull", url = "rtsp://10.0.0.7:554/main", username = "viewer", password = "secret" }
            sub = "door"
            [stream.shed]
            source = { kind = "rtsp_pull", url = "rtsp://10.0.0.8:554/main", on_demand = true }
            record = false
            [stream.lot]
            source = { kind = "mjpeg", url = "http://10.0.0.9/video.mjpg", username = "viewer", password = "secret" }
            [stream.dock]
            source = { kind = "v4l2" }
            [stream.door]
            source = { kind = "rtsp_push" }
            [publish."cam-*"]
            [stream.csi]
            source = { kind = "command", command = ["rpicam-vid", "--timeout", "0", "--nopreview", "--codec", "h264", "--inline", "--width", "1280", "--height", "720", "--framerate", "25", "--intra", "25", "--bitrate", "2000000", "--flush", "--output", "-"] }
            [stream.yard]
            source = { kind = "redirect", url = "rtsp://10.0.0.8:8554/yard" }
            "#,
    );
    let bare = bare.unwrap();
    assert_eq!((told.streams, told.publish), (bare.streams, bare.publish));
}

#[test]
fn a_camera_on_demand_is_not_recorded() {
    let of = |keys: &str| {
        format!(
            "[stream.gate]\nsource = {{ kind = \"rtsp_pull\", url = \"rtsp://h/\", on_demand = true }}\n{keys}"
        )
    };
    let told = faults(&of(""));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("stream.gate.source.on_demand: "), "{told:?}");
    let config = parse(&of("record = false")).unwrap();
    let source = &config.streams.values().next().unwrap().source;
    assert_eq!(source.on_demand(), Some(Duration::from_secs(30)));
}

#[test]
fn every_fault_is_reported_at_once_with_its_key_path() {
    let told = faults(
        r#"
            data_dri = "/data"
            [ring]
            size = "200 bananas"
            [rtsp]
            listen = ["localhost"]
            multicast = { groups = "10.0.0.0/24", port = 70000, ttl = 0, prot = 1 }
            [tls]
            cert = "/etc/box.pem"
            [stream.gate]
            source = { kind = "rtsp_pull", url = "http://10.0.0.7/main" }
            record = { max_age = "-3d" }
            [stream."Yard 2"]
            source = { kind = "pattern" }
            [stream.pair]
            source = { kind = "pattern" }
            sub = "pair"
            [stream.x]
            "#,
    );
    let paths: Vec<_> = told.iter().map(|t| t.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "ring.size",
            "rtsp.listen[0]",
            "rtsp.multicast.groups",
            "rtsp.multicast.port",
            "rtsp.multicast.ttl",
            "rtsp.multicast.prot",
            "tls.key",
            "stream.\"Yard 2\"",
            "stream.gate.source.url",
            "stream.gate.record.max_age",
            "stream.x.source",
            "stream.pair.sub",
            "data_dri"
        ],
        "{told:#?}"
    );
    assert!(told[12].contains("did you mean \"data_dir\""), "{}", told[12]);
}

#[test]
fn a_made_sub_stream_is_a_stream_of_its_own() {
    let config = parse(
        r#"
            [stream.gate]
            source = { kind = "pattern", fps = 10 }
            substream = { width = 320, bitrate_bps = 200000, record = true }
            "#,
    );
    let streams = config.unwrap().streams;
    let name = |name| StreamName::parse(name).unwrap();
    assert_eq!(streams[&name("gate")].sub, Some(name("gate-sub")));
    let sub = &streams[&name("gate-sub")];
    assert!(sub.record.is_some() && sub.sub.is_none());
    let crate::ingest::SourceConfig::Substream(source) = &sub.source else { panic!("{sub:?}") };
    assert_eq!((source.of.as_str(), source.width, source.fps), ("gate", 320, 10.0));
}

#[test]
fn a_sub_stream_that_cannot_be_made_is_told() {
    let told = faults(
        r#"
            [stream.a]
            source = { kind = "pattern", width = 640, encoder = "nvenc", gop = "1m", profile = "best" }
            substream = { width = 640 }
            [stream.a-sub]
            source = { kind = "pattern" }
            [stream.b]
            source = { kind = "pattern" }
            sub = "a"
            substream = { width = 320 }
            [stream.c]
            source = { kind = "rtsp_push" }
            substream = { width = 320 }
            [stream.d2345678901234567890123456789-32]
            source = { kind = "pattern" }
            substream = {}
            "#,
    );
    let paths: Vec<_> = told.iter().map(|t| t.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "stream.a.source.encoder",
            "stream.a.source.gop",
            "stream.a.source.profile",
            "stream.a.substream.width",
            "stream.b.sub",
            "stream.c.substream",
            "stream.d2345678901234567890123456789-32.substream",
            "stream.a-sub",
        ],
        "{told:#?}"
    );
}

#[test]
fn a_command_is_a_list_and_is_never_repeated() {
    let told = faults(
        r#"
            [stream.a]
            source = { kind = "command" }
            [stream.b]
            source = { kind = "command", command = [] }
            [stream.c]
            source = { kind = "command", command = ["cam", "hunter2\u0000", 7], url = "rtsp://x" }
            [stream.d]
            source = { kind = "command", command = [""] }
            "#,
    );
    let paths: Vec<_> = told.iter().map(|t| t.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "stream.a.source.command",
            "stream.b.source.command",
            "stream.c.source.command[1]",
            "stream.c.source.command[2]",
            "stream.c.source.url",
            "stream.d.source.command",
        ],
        "{told:#?}"
    );
    assert!(told[5].contains("without a program"), "{told:#?}");
    assert!(!told.concat().contains("hunter2"));
}

#[test]
fn secrets_in_urls_are_refused_and_never_repeated() {
    let told = faults(
        r#"
            [stream.gate]
            source = { kind = "rtsp_pull", url = "rtsp://viewer:hunter2@10.0.0.7/main" }
            "#,
    );
    assert!(told[0].contains("`username` and `password`"), "{told:?}");
    assert!(!told[0].contains("hunter2"), "{told:?}");
}

#[test]
fn bad_toml_is_one_fault_with_its_line() {
    assert!(faults("a = 1\nb = = 2")[0].starts_with("line 2"), "{:?}", faults("a = 1\nb = = 2"));
}

#[test]
fn a_text_that_nests_without_end_is_a_fault() {
    for deep in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{b=".repeat(200_000)),
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]", "a.".repeat(200_000)),
    ] {
        let told = faults(&deep);
        assert!(!told.is_empty() && told[0].len() < 1_000, "{} bytes", told[0].len());
    }
}
