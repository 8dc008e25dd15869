//! Stretches of the recording as MP4 files, read by players that we did not write.

mod large;

mod reading;

use std::process::Command;
use std::time::Duration;

use holdfast::base::time::WallTime;
use holdfast::media::codec::Law;
use mp4_atom::{Any, Decode};

use crate::capture::{Film, Place, Ring};
use crate::harness::daemon::Daemon;
use crate::harness::nginx::nginx;
use crate::harness::{ffmpeg, run_well};
use reading::{
    ask, assert_begins, assert_clean, assert_same, duration, export, fetch, header, probe, serve,
    shown, shown_as, shown_by_gstreamer,
};

const PATIENCE: Duration = Duration::from_secs(120);
const OTHER: &str = "[stream.yard]\n\
     source = { kind = \"pattern\", width = 160, height = 120, fps = 5 }\n";
const MIB: u64 = 1 << 20;

#[test]
fn exactly_the_pictures_asked_for_are_shown_over_b_frames_and_gaps() {
    let film = Film::reordered("320x240", 12);
    let sound = Film::g711(12, Law::A);
    let place = Place::ago(600);
    let behind = place.later(5_000);
    let daemon = serve(|ring| {
        ring.record(&[&film, &sound], 0..6, place, true);
        ring.record(&[&film, &sound], 6..12, behind, true);
    });
    // From and until in seconds, and the pictures on show between: the second half is five seconds
    // later.
    for (from, until, pictures, secs) in [
        (0.0, 17.0, 0..300, 17.0),
        (2.0, 4.0, 50..100, 2.0),
        (2.48, 3.04, 62..76, 0.56),
        (2.5, 3.05, 62..77, 0.57), // both in the middle of a picture
        (0.04, 0.08, 1..2, 0.04),
        (3.2, 5.96, 80..149, 2.76),
        (5.0, 8.0, 125..150, 1.0),   // ends in the gap
        (7.0, 12.0, 150..175, 1.0),  // begins in it
        (5.5, 11.5, 137..163, 6.02), // goes over it
        (-20.0, 1.0, 0..25, 1.0),
        (16.52, 90.0, 288..300, 0.48),
    ] {
        let url = export(&daemon, place.at(from), place.at(until));
        let file = fetch(&url);
        let path = file.path().to_str().unwrap();
        let wanted = &film.sums[pictures.clone()];
        assert_same(&shown(path, 0), wanted, &format!("{from} to {until}: {url}"));
        // GStreamer 1.22 takes what is hidden in front for a part of what it may show, and ends
        // earlier by that; it does so with ffmpeg's own edit lists too.
        let hidden = pictures.start % 25;
        let all = shown_by_gstreamer(path);
        let least = if hidden == 0 { wanted.len() } else { 0 };
        assert!(all.len() >= least, "GStreamer, {from} to {until}: {} pictures", all.len());
        assert_begins(&all, wanted, &format!("GStreamer, {from} to {until}"));
        assert_clean(path);
        let lasts = duration(path);
        assert!((lasts - secs).abs() < 0.003, "{from} to {until} lasts {lasts}, not {secs}");
    }
    // Straight from the door, which ffmpeg seeks in.
    let url = export(&daemon, place.at(2.0), place.at(4.0));
    assert_same(&shown(&url, 0), &film.sums[50..100], "over HTTP");
}

/// The text that is shown, as subtitles.
fn subtitles(file: &str) -> String {
    let mut command = ffmpeg();
    command.args(["-i", file, "-map", "0:s:0", "-f", "srt", "-"]);
    String::from_utf8(run_well(&mut command, PATIENCE)).unwrap()
}

#[test]
fn the_time_travels_as_text_with_the_offset_of_the_site_and_tells_of_gaps() {
    let film = Film::plain("320x240", 8);
    let place = Place::ago(600);
    let daemon = serve(|ring| {
        ring.record(&[&film], 0..4, place, true);
        ring.record(&[&film], 4..8, place.later(6_000), true);
    });
    let file = fetch(&export(&daemon, place.at(2.2), place.at(12.0)));
    let told = subtitles(file.path().to_str().unwrap());
    let zone = jiff::tz::TimeZone::system();
    let local = |secs: f64| {
        let nanos = i128::from(place.at(secs).as_unix_nanos());
        let at = jiff::Timestamp::from_nanosecond(nanos).unwrap().to_zoned(zone.clone());
        at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    };
    for (at, text) in [
        ("00:00:00,800 --> 00:00:01,800", local(3.0)),
        ("00:00:01,800 --> 00:00:07,800", format!("no footage until {}", local(10.0))),
        ("00:00:07,800 --> 00:00:08,800", local(10.0)),
        ("00:00:08,800 --> 00:00:09,800", local(11.0)),
    ] {
        let line = format!("{at}\n<font face=\"Sans-Serif\" size=\"18\">{text}</font>\n");
        assert!(told.contains(&line), "{line}\n{told}");
    }
    assert!(told.contains(&local(2.0)), "the first second, of which a part is shown\n{told}");
}

#[test]
fn other_parameters_are_another_sample_entry_and_another_codec_another_track() {
    let (small, large) = (Film::plain("320x240", 4), Film::reordered("640x360", 4));
    let other = Film::h265("320x240", 4);
    let sound = Film::sound(4, 48_000, "-c:a aac -b:a 64k");
    let place = Place::ago(600);
    let daemon = serve(|ring| {
        ring.record(&[&small, &sound], 0..4, place, true);
        ring.record(&[&large, &sound], 0..4, place.later(4_000), true);
        ring.record(&[&other, &sound], 0..4, place.later(8_000), true);
    });
    let file = fetch(&export(&daemon, place.at(1.0), place.at(11.0)));
    let path = file.path().to_str().unwrap();
    let h264: Vec<_> = small.sums[25..].iter().chain(&large.sums).cloned().collect();
    // ffmpeg 5.1 looks at the file once with the first parameters alone, and complains.
    assert_same(&shown_as(&[], path, 0), &h264, "two sizes");
    assert_same(&shown(path, 1), &other.sums[..75], "the other codec");
    let kinds = probe(path, "stream=codec_type,codec_name");
    let wanted = ["h264,video", "aac,audio", "hevc,video", "mov_text,subtitle"];
    assert_eq!(kinds.split_whitespace().collect::<Vec<_>>(), wanted);
    let lasts = duration(path);
    assert!((lasts - 10.0).abs() < 0.003, "{lasts}: {}", probe(path, "stream=start_time,duration"));
    let bytes = std::fs::read(path).unwrap();
    let movie = movie(&bytes);
    let entries: Vec<_> = movie.trak.iter().map(|it| it.mdia.minf.stbl.stsd.codecs.len()).collect();
    assert_eq!(entries, [2, 1, 1, 1]);
    // The other codec begins seven seconds behind the start.
    let edits = &movie.trak[2].edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
    assert_eq!((edits.len(), edits[0].segment_duration), (2, 7 * 90_000));
}

#[test]
fn another_reader_finds_the_samples_that_were_recorded_and_no_others() {
    let film = Film::reordered("320x240", 6);
    let sound = Film::sound(6, 48_000, "-c:a aac -b:a 64k");
    let place = Place::ago(600);
    let daemon = serve(|ring| {
        ring.record(&[&film, &sound], 0..3, place, true);
        ring.record(&[&film, &sound], 3..6, place.later(4_000), true);
    });
    let file = fetch(&export(&daemon, place.at(1.2), place.at(9.0)));
    let bytes = std::fs::read(file.path()).unwrap();
    let tracks = crate::atoms::tracks(&bytes);
    assert_eq!(tracks.len(), 3, "pictures, sound, text");
    let of = |track: &crate::atoms::Track| -> Vec<Vec<u8>> {
        track.samples.iter().map(|sample| bytes[sample.place.clone()].to_vec()).collect()
    };
    // From the key frame before the start to the end.
    let wanted: Vec<_> = film.packets[25..125].iter().map(|packet| packet.data.to_vec()).collect();
    assert!(of(&tracks[0]) == wanted, "the pictures, each as it is");
    let keys: Vec<_> = tracks[0].samples.iter().map(|sample| sample.key).collect();
    let of_film: Vec<_> = film.packets[25..125].iter().map(|packet| packet.key).collect();
    assert_eq!(keys, of_film);
    let heard = of(&tracks[1]);
    assert!((176..=182).contains(&heard.len()), "{} frames of sound", heard.len());
    let is_recorded = |frame: &Vec<u8>| sound.packets.iter().any(|it| it.data == frame[..]);
    assert!(heard.iter().all(is_recorded));
    let text = of(&tracks[2]);
    assert!(text.iter().any(|line| line.windows(10).any(|it| it == b"no footage")));
}

#[test]
fn a_gap_of_hours_is_as_long_in_the_file_up_to_six() {
    let film = Film::reordered("320x240", 4);
    for (hours, told_hours) in [(5, 5.0), (30, 6.0)] {
        let mut daemon = Daemon::new("64MiB", OTHER);
        let place = Place::ago(30 * 86_400 + 3_600);
        let mut ring = Ring::make(&daemon.data_dir(), 64 * MIB, MIB);
        ring.record(&[&film], 0..2, place, true);
        ring.record(&[&film], 2..4, place.later(hours * 3_600_000), true);
        ring.close();
        daemon.start();
        crate::harness::wait_for("the ring is read", PATIENCE, || {
            let told = daemon.get("/api/v1/recordings/gate");
            (told["complete"] == true && !told["runs"].as_array()?.is_empty()).then_some(())
        });
        let until = place.later(hours * 3_600_000 + 60_000).date;
        let file = fetch(&export(&daemon, place.at(0.48), until));
        let path = file.path().to_str().unwrap();
        assert_same(&shown(path, 0), &film.sums[12..], &format!("{hours} hours"));
        assert_begins(&shown_by_gstreamer(path), &film.sums[12..], "GStreamer");
        assert!(!shown_by_gstreamer(path).is_empty(), "GStreamer, {hours} hours");
        let lasts = duration(path);
        let wanted = told_hours * 3_600.0 + 3.52;
        assert!((lasts - wanted).abs() < 0.01, "{hours} hours: {lasts}, not {wanted}");
        assert_eq!(crate::atoms::tracks(&std::fs::read(path).unwrap())[0].samples.len(), 100);
    }
}

/// The `moov`, in front of the media, by another reader than ours.
fn movie(bytes: &[u8]) -> mp4_atom::Moov {
    let mut rest = bytes;
    assert!(matches!(Any::decode(&mut rest).unwrap(), Any::Ftyp(_)));
    match Any::decode(&mut rest).unwrap() {
        Any::Moov(movie) => movie,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sound_of_every_kind_is_kept_as_it_is() {
    let film = Film::plain("320x240", 4);
    let place = Place::ago(600);
    for (name, rate, sound) in [
        ("pcm_alaw", 8_000, Film::g711(4, Law::A)),
        ("pcm_mulaw", 8_000, Film::g711(4, Law::Mu)),
        ("aac", 44_100, Film::sound(4, 44_100, "-c:a aac -b:a 64k")),
        ("opus", 48_000, Film::sound(4, 48_000, "-c:a libopus")),
    ] {
        let daemon = serve(|ring| ring.record(&[&film, &sound], 0..4, place, true));
        let file = fetch(&export(&daemon, place.at(1.5), place.at(3.5)));
        let path = file.path().to_str().unwrap();
        assert_eq!(probe(path, "stream=codec_name"), format!("h264\n{name}\nmov_text"));
        let mut command = ffmpeg();
        command.args(["-xerror", "-i", path, "-map", "0:a", "-f", "s16le", "-ac", "1", "-"]);
        let samples = run_well(&mut command, PATIENCE).len() / 2;
        // To a frame of sound at both ends.
        assert!(samples.abs_diff(2 * rate) <= 2_100, "{name}: {samples} samples");
        assert_same(&shown(path, 0), &film.sums[37..88], name);
        let mut launch = Command::new("gst-launch-1.0");
        let line = format!(
            "-q filesrc location={path} ! qtdemux name=d d.audio_0 ! queue ! decodebin ! audioconvert \
             ! audio/x-raw,format=S16LE,channels=1 ! filesink location=/dev/stdout"
        );
        let heard = run_well(launch.args(line.split_whitespace()), PATIENCE).len() / 2;
        assert!(heard.abs_diff(2 * rate) <= 4_200, "GStreamer, {name}: {heard} samples");
    }
}

#[test]
fn the_file_is_a_resource_with_length_tag_and_ranges() {
    let film = Film::plain("320x240", 8);
    let place = Place::ago(600);
    let daemon = serve(|ring| ring.record(&[&film], 0..8, place, true));
    let url = export(&daemon, place.at(1.0), place.at(6.0));
    let (status, head, whole) = ask(&url, &[]);
    assert_eq!((status, header(&head, "accept-ranges")), (200, "bytes"));
    assert_eq!(header(&head, "content-length"), whole.len().to_string());
    assert_eq!(header(&head, "content-type"), "video/mp4");
    let name = header(&head, "content-disposition");
    assert!(
        name.starts_with("attachment; filename=\"gate_20") && name.ends_with(".mp4\""),
        "{name}"
    );
    assert_eq!(header(&head, "x-footage-start"), place.at(1.0).to_rfc3339().to_lowercase());
    assert_eq!(header(&head, "x-footage-end"), place.at(6.0).to_rfc3339().to_lowercase());
    assert_eq!(&whole[40..44], b"moov", "the front is in front");
    let tag = header(&head, "etag");
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");

    let (status, other, nothing) = ask(&url, &["--head"]);
    assert_eq!((status, nothing.is_empty() || nothing.starts_with(b"HTTP")), (200, true));
    for name in ["content-length", "etag", "content-type", "accept-ranges"] {
        assert_eq!(header(&other, name), header(&head, name));
    }
    // Seconds since 1970 are the same range.
    let secs = |at: WallTime| at.as_unix_millis() / 1_000;
    let unix = format!("start={}&end={}.000", secs(place.at(1.0)), secs(place.at(6.0)));
    let (_, other, _) = ask(&daemon.http(&format!("/export/gate.mp4?{unix}")), &["--head"]);
    assert_eq!(header(&other, "etag"), tag);
    let (_, other, _) = ask(&export(&daemon, place.at(1.0), place.at(6.04)), &["--head"]);
    assert_ne!(header(&other, "etag"), tag);

    // Any range is that part of the whole.
    let length = whole.len();
    for (from, until) in [(0, 1), (0, length), (39, 41), (1_000, 60_000), (length - 5, length)] {
        let (status, head, part) = ask(&url, &["-r", &format!("{from}-{}", until - 1)]);
        assert_eq!((status, &part[..]), (206, &whole[from..until]), "{from}-{until}");
        let told = format!("bytes {from}-{}/{length}", until - 1);
        assert_eq!((header(&head, "content-range"), header(&head, "etag")), (&told[..], tag));
    }
    let (status, head, _) = ask(&url, &["-r", &format!("{length}-")]);
    assert_eq!((status, header(&head, "content-range")), (416, &format!("bytes */{length}")[..]));
    let if_range = |tag: &str| ask(&url, &["-r", "100-199", "-H", &format!("If-Range: {tag}")]).0;
    assert_eq!((if_range(tag), if_range("\"other\"")), (206, 200));
    assert_eq!(ask(&url, &["-H", &format!("If-None-Match: {tag}")]).0, 304);

    // A download that was cut off continues where it was.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &whole[..length / 3]).unwrap();
    run_well(
        Command::new("curl").args(["-sSf", "-C", "-", "-o"]).arg(file.path()).arg(&url),
        PATIENCE,
    );
    assert!(std::fs::read(file.path()).unwrap() == whole);
}

#[test]
fn what_is_no_stretch_of_the_recording_is_told_in_words() {
    let film = Film::plain("320x240", 4);
    let place = Place::ago(600);
    let daemon = serve(|ring| {
        ring.record(&[&film], 0..2, place, true);
        ring.record(&[&film], 2..4, place.later(20_000), true);
    });
    let (past, future) = (place.at(0.0), place.at(9_000.0));
    for (url, status, code) in [
        (export(&daemon, place.at(2.0), place.at(1.0)), 400, "bad_request"),
        (export(&daemon, past, past), 400, "bad_request"),
        (daemon.http("/export/gate.mp4"), 400, "bad_request"),
        (daemon.http("/export/gate.mp4?start=never"), 400, "bad_request"),
        (export(&daemon, future, place.at(9_010.0)), 404, "nothing_recorded"),
        (export(&daemon, place.at(5.0), place.at(15.0)), 404, "nothing_recorded"),
        (export(&daemon, place.at(-50.0), place.at(-5.0)), 404, "nothing_recorded"),
        (daemon.http("/export/nobody.mp4?start=1"), 404, "stream_unknown"),
        (daemon.http("/export/gate.avi?start=1"), 404, "not_found"),
        (daemon.http("/clip/0123456789abcdef.mp4"), 404, "clip_unknown"),
    ] {
        let (got, _, body) = ask(&url, &[]);
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((got, told["error"]["code"].as_str()), (status, Some(code)), "{url}: {told}");
    }
}

#[test]
fn a_range_that_still_grows_is_never_mixed() {
    let mut daemon = Daemon::new(
        "64MiB",
        "[stream.gate]\n\
         source = { kind = \"pattern\", width = 640, height = 360, fps = 10 }\n",
    );
    daemon.start();
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let listed =
        || daemon.get("/api/v1/recordings/gate")["runs"][0]["start"].as_str().map(str::to_owned);
    let start = crate::harness::wait_for("something is recorded", PATIENCE, listed);
    let url = daemon.http(&format!("/export/gate.mp4?start={start}"));
    let (first, second) = crate::harness::wait_for("some seconds are there", PATIENCE, || {
        let (status, head, body) = ask(&url, &[]);
        let played = (status == 200).then(|| header(&head, "x-footage-end").to_owned());
        let secs =
            |text: &str| WallTime::parse_rfc3339(&text.to_uppercase()).unwrap().as_unix_millis();
        (secs(&played?) - secs(&start) > 3_000).then_some((header(&head, "etag").to_owned(), body))
    });
    std::thread::sleep(Duration::from_secs(3));
    // A client that continues gets what it began with, with a tag and without.
    let rest = second.len() / 2;
    let range = format!("{rest}-");
    let (status, head, body) = ask(&url, &["-r", &range]);
    assert_eq!((status, header(&head, "etag"), &body[..]), (206, &first[..], &second[rest..]));
    let tagged = format!("If-Range: {first}");
    assert_eq!(ask(&url, &["-r", &range, "-H", &tagged]).0, 206);
    // Who begins gets what there is by now, and then the old tag is of no file any more.
    let (_, head, longer) = ask(&url, &[]);
    assert!(header(&head, "etag") != first && longer.len() > second.len());
    let (status, head, body) = ask(&url, &["-r", &range, "-H", &tagged]);
    assert_eq!((status, body.len()), (200, longer.len()));
    assert_ne!(header(&head, "etag"), first);
    // After a restart its version is unknown: without a tag it gets the whole file.
    daemon.stop();
    daemon.start();
    let whole = crate::harness::wait_for("the ring is open", PATIENCE, || {
        let (status, head, _) = ask(&url, &["-r", &range]);
        (status < 500).then(|| (status, header(&head, "content-length").parse::<usize>().unwrap()))
    });
    assert_eq!(whole.0, 200);
    assert!(whole.1 >= longer.len());
}

#[test]
fn a_clip_is_cut_as_nginx_cuts_it() {
    let film = Film::plain("320x240", 8);
    let place = Place::ago(600);
    let daemon = serve(|ring| ring.record(&[&film], 0..8, place, true));
    let pin = serde_json::json!({
        "stream": "gate", "from": place.at(0.0).to_rfc3339(), "to": place.at(8.0).to_rfc3339(),
        "reason": "a clip",
    });
    let (json, pin) = ("Content-Type: application/json", pin.to_string());
    let (status, _, made) = ask(&daemon.http("/api/v1/pins"), &["-H", json, "-d", &pin]);
    assert_eq!(status, 201);
    let made: serde_json::Value = serde_json::from_slice(&made).unwrap();
    let clip = daemon.http(&format!("/clip/{}.mp4", made["id"].as_str().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(fetch(&clip).path(), dir.path().join("clip.mp4")).unwrap();
    let mp4 = ["", "", "location / { mp4; mp4_start_key_frame on; }"];
    let (_nginx, nginx_at) = nginx(dir.path(), "nginx", mp4);
    for query in [
        "",
        "?start=2&end=5",
        "?start=2.5&end=5.5",
        "?start=2.51&end=5.49",
        "?start=3.33",
        "?end=2.2",
        "?end=0.5&start=0.04",
        "?start=6&end=4",
        "?start=x&end=1.2",
        "?start=-3",
        "?start=7.5&end=99",
    ] {
        let theirs = fetch(&format!("http://{nginx_at}/clip.mp4{query}"));
        let ours = fetch(&format!("{clip}{query}"));
        let number = |file: &tempfile::NamedTempFile| -> Vec<usize> {
            let sums = shown(file.path().to_str().unwrap(), 0);
            sums.iter().map(|sum| film.sums.iter().position(|it| it == sum).unwrap()).collect()
        };
        let (ours, theirs) = (number(&ours), number(&theirs));
        assert_eq!(
            (ours.first(), ours.last(), ours.len()),
            (theirs.first(), theirs.last(), theirs.len()),
            "{query}"
        );
    }
    assert_eq!(ask(&format!("{clip}?start=99"), &[]).0, 404);
}
