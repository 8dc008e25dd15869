//! What the multivariant playlist says of a stream and its sub-stream, and which pages of other
//! servers may read it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, media, wait_for};
use crate::playlist::{Media, Multivariant, Variant};

const PATIENCE: Duration = Duration::from_secs(60);
const ALLOWED: &str = "https://nvr.example";

fn streams(cors: &str) -> String {
    format!(
        "cors = [{cors}]\n\
         [stream.gate]\nsource = {{ kind = \"rtsp_push\" }}\nsub = \"gate-sub\"\n\
         [stream.gate-sub]\n\
         source = {{ kind = \"pattern\", width = 320, height = 180, fps = 10 }}\n"
    )
}

/// A daemon to which ffmpeg pushes H.264 with AAC, 640x360 at 25 pictures a second.
fn pushed() -> (Daemon, Running) {
    let daemon = Daemon::start_new("128MiB", &streams(&format!("\"{ALLOWED}\"")));
    let mut command = ffmpeg();
    command.args(["-re", "-i"]).arg(media().join("h264.mp4")).args(["-c", "copy", "-f", "rtsp"]);
    let pushing = Running::start(command.args(["-rtsp_transport", "tcp", &daemon.rtsp("gate")]));
    daemon.wait_state("gate", "live", PATIENCE);
    daemon.wait_state("gate-sub", "live", PATIENCE);
    (daemon, pushing)
}

/// An answer: status, headers, body.
struct Answer(u16, BTreeMap<String, String>, Vec<u8>);

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.1.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.2).unwrap()
    }
}

fn ask(daemon: &Daemon, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(daemon.http(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = agent.run(request.body(()).unwrap()).unwrap();
    let body = answer.body_mut().read_to_vec().unwrap();
    let headers = answer.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    Answer(answer.status().as_u16(), headers.collect(), body)
}

fn get(daemon: &Daemon, path: &str) -> Answer {
    ask(daemon, "GET", path, &[])
}

/// The list of a variant, and what its segments weigh and last.
fn listed(daemon: &Daemon, variant: &Variant) -> (Media, Vec<(usize, f64)>) {
    let dir = if variant.uri.starts_with("../gate-sub/") { "gate-sub" } else { "gate" };
    let told = crate::playlist::media(get(daemon, &format!("/live/{dir}/media.m3u8")).text());
    let weigh = |name: &str| get(daemon, &format!("/live/{dir}/{name}")).2.len();
    let weights = told.segments.iter().map(|it| (weigh(&it.uri), it.secs)).collect();
    (told, weights)
}

#[test]
fn a_stream_and_its_sub_stream_are_two_variants_each_with_its_own_figures() {
    let (daemon, _pushing) = pushed();
    // There were no viewers before: players load this once, so the first answer must be whole.
    let answer = || -> Option<Multivariant> {
        let answer = get(&daemon, "/live/gate/index.m3u8");
        (answer.0 == 200).then(|| crate::playlist::multivariant(answer.text()))
    };
    let first = wait_for("an answer", PATIENCE, answer);
    assert_eq!(first.variants.len(), 2, "{first:?}");
    // The usual rate is known once enough pictures were seen.
    let told = wait_for("the rates are known", PATIENCE, || {
        let told = answer()?;
        told.variants.iter().all(|it| it.told.contains_key("FRAME-RATE")).then_some(told)
    });
    let [main, sub] = &told.variants[..] else { panic!("{told:?}") };
    assert_eq!((main.uri.as_str(), sub.uri.as_str()), ("media.m3u8", "../gate-sub/media.m3u8"));
    let lists: Vec<Media> = [main, sub]
        .into_iter()
        .enumerate()
        .map(|(at, variant)| {
            let (media, weights) = listed(&daemon, variant);
            told.covers(&media);
            told.bandwidth_covers(at, &weights);
            media
        })
        .collect();
    let say = |variant: &Variant, name: &str| variant.told.get(name).cloned().unwrap_or_default();
    let number = |variant: &Variant, name: &str| say(variant, name).parse::<f64>().unwrap();
    for (variant, size, rate) in [(main, "640x360", 25.0), (sub, "320x180", 10.0)] {
        assert_eq!(say(variant, "RESOLUTION"), size);
        assert!((number(variant, "FRAME-RATE") - rate).abs() < 0.5, "{variant:?}");
        assert!(number(variant, "AVERAGE-BANDWIDTH") <= number(variant, "BANDWIDTH"));
        // Sound is in the same segments as the pictures of its variant: there is no group of
        // renditions.
        assert_eq!((say(variant, "AUDIO"), say(variant, "SUBTITLES")), Default::default());
    }
    assert!(number(main, "BANDWIDTH") > number(sub, "BANDWIDTH"));
    let codecs = say(main, "CODECS");
    assert!(codecs.starts_with("avc1.64") && codecs.ends_with(",mp4a.40.2"), "{codecs}");
    assert!(say(sub, "CODECS").starts_with("avc1.42") && !say(sub, "CODECS").contains(','));
    // One clock: what the two lists show of one instant has one date.
    assert_eq!(lists[0].target_secs.to_bits(), lists[1].target_secs.to_bits(), "{lists:?}");
    let span = |list: &Media| {
        let first = list.segments[0].date.unwrap();
        (first, list.segments.last().unwrap().date.unwrap())
    };
    let (main, sub) = (span(&lists[0]), span(&lists[1]));
    assert!(main.0 < sub.1 && sub.0 < main.1, "they overlap: {main:?} {sub:?}");
    let keys = told.key_frames.first().expect("a playlist of key frames");
    assert_eq!(keys["URI"], "iframes.m3u8");
    let keys = get(&daemon, "/live/gate/iframes.m3u8");
    let last = keys.text().lines().last().unwrap().to_owned();
    let key = get(&daemon, &format!("/live/gate/{last}"));
    let whole = get(&daemon, &format!("/live/gate/{}", last.replace(".key.m4s", ".m4s")));
    assert_eq!((key.0, whole.0), (200, 200), "{last}");
    assert!(key.2.len() > 500 && key.2.len() < whole.2.len(), "{}", key.2.len());
    // Who sets out from the sub-stream has that alone.
    let alone = crate::playlist::multivariant(get(&daemon, "/live/gate-sub/index.m3u8").text());
    assert_eq!(alone.variants.len(), 1);
}

#[test]
fn pages_of_allowed_servers_may_read_media_and_nothing_else() {
    let daemon = Daemon::start_new("64MiB", &streams(&format!("\"{ALLOWED}\"")));
    daemon.wait_state("gate-sub", "live", PATIENCE);
    let index = "/live/gate-sub/index.m3u8";
    wait_for("a list", PATIENCE, || (get(&daemon, index).0 == 200).then_some(()));
    let told = crate::playlist::media(get(&daemon, "/live/gate-sub/media.m3u8").text());
    let segment = format!("/live/gate-sub/{}", told.segments.last().unwrap().uri);

    let preflight = |origin: &str, path: &str| {
        let wish = [("origin", origin), ("access-control-request-method", "GET")];
        let headers = [&wish[..], &[("access-control-request-headers", "range")]].concat();
        ask(&daemon, "OPTIONS", path, &headers)
    };
    let allowed = preflight(ALLOWED, &segment);
    assert_eq!(allowed.0, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), ALLOWED);
    assert!(allowed.header("access-control-allow-headers").contains("Range"), "{:?}", allowed.1);
    assert!(allowed.header("access-control-allow-methods").contains("GET"));
    assert_eq!(allowed.header("vary").to_lowercase(), "origin");
    for (origin, path) in [
        ("https://nvr.example.evil.test", segment.as_str()),
        ("http://nvr.example", &segment),
        ("null", &segment),
        (ALLOWED, "/api/v1/streams"),
        (ALLOWED, "/metrics"),
    ] {
        let refused = preflight(origin, path);
        assert_eq!(refused.header("access-control-allow-origin"), "", "{origin} {path}");
        assert_ne!(refused.0, 204, "{origin} {path}");
    }

    let part = ask(&daemon, "GET", &segment, &[("origin", ALLOWED), ("range", "bytes=0-99")]);
    assert_eq!((part.0, part.2.len()), (206, 100));
    assert_eq!(part.header("access-control-allow-origin"), ALLOWED);
    let exposed = part.header("access-control-expose-headers");
    for name in ["Accept-Ranges", "Content-Length", "Content-Range", "Date", "ETag"] {
        assert!(exposed.split(", ").any(|it| it == name), "{name} of {exposed}");
    }
    // Refusals can be read as well.
    let gone = ask(&daemon, "GET", "/live/gate-sub/1.m4s", &[("origin", ALLOWED)]);
    assert_eq!((gone.0 / 100, gone.header("access-control-allow-origin")), (4, ALLOWED));
    let foreign = ask(&daemon, "GET", &segment, &[("origin", "https://other.example")]);
    assert_eq!((foreign.0, foreign.header("access-control-allow-origin")), (200, ""));
    assert!(foreign.header("vary").to_lowercase().contains("origin"), "{:?}", foreign.1);

    // Everyone, without a restart. Never with cookies or passwords: those are for our own page.
    daemon.configure("64MiB", &streams("\"*\""));
    daemon.reload();
    let origin = [("origin", "https://other.example")];
    let all = wait_for("the new list", PATIENCE, || {
        let answer = ask(&daemon, "GET", index, &origin);
        (answer.header("access-control-allow-origin") == "*").then_some(answer)
    });
    for answer in [&allowed, &part, &gone, &all, &preflight("https://x.example", &segment)] {
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}
