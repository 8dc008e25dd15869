//! Sprites over the HTTP door: half an hour of footage whose frames say their number and date, as
//! tiles, each at its place in the map.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::barcode::{Film, Grey, Said, decode};
use crate::clock::LongOn;
use crate::door::{Setup, TestBox};
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, WallTime};
use holdfast::dvr::{Retention, Writer};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

const NANOS: i64 = 1_000_000_000;

struct Bench {
    door: TestBox,
    writer: Option<Writer>,
    film: Film,
    written: u64,
    /// The boundary between the first two sheets, in seconds since 1970.
    boundary: i64,
}

impl Bench {
    async fn open() -> Self {
        let setup = Setup::new(env!("CARGO_BIN_EXE_holdfast").into());
        let door = TestBox::open_with(Setup { clock: Arc::new(LongOn), ..setup }).await;
        let writer =
            Some(door.dvr.writer(&StreamName::parse("gate").unwrap(), Retention::default()));
        let now = LongOn.wall().as_unix_nanos() / NANOS;
        let boundary = (now - 3_600) / 600 * 600;
        Self { door, writer, film: Film::new(), written: 0, boundary }
    }

    /// Records a frame a second from `from` to `to`, seconds since the boundary, as a new run.
    async fn record(&mut self, from: i64, to: i64) {
        let ago = LongOn.wall().as_unix_nanos();
        let unit = |film: &mut Film, secs: i64| {
            let wall = WallTime::from_unix_nanos((self.boundary + secs) * NANOS);
            let since = u64::try_from(ago - wall.as_unix_nanos()).unwrap();
            let boot = LongOn.boot().before(Duration::from_nanos(since));
            film.unit(u64::try_from(secs + 1_000).unwrap(), boot, wall)
        };
        let mut next = unit(&mut self.film, from);
        let init = init_segment(&self.film.tracks());
        for secs in from..to {
            let mut builder = FragmentBuilder::new(u32::try_from(secs + 1_000).unwrap());
            let this = std::mem::replace(&mut next, unit(&mut self.film, secs + 1));
            builder.push(this);
            let fragment = builder.build(Some(&next));
            self.writer.as_ref().unwrap().append(&init, fragment, secs == from, false).unwrap();
            self.written += 1;
            if self.written.is_multiple_of(200) {
                self.durable().await;
            }
        }
        self.durable().await;
    }

    async fn durable(&self) {
        let mut durable = self.writer.as_ref().unwrap().durable();
        let wait = durable.wait_for(|now| now.is_some_and(|now| now.fragments >= self.written));
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .expect("the ring takes it")
            .unwrap();
    }

    fn range(&self, from: i64, to: i64) -> String {
        let (from, to) = (self.boundary + from, self.boundary + to);
        format!("/sprites/gate/index.vtt?start={from}&end={to}")
    }

    async fn map(&self, from: i64, to: i64) -> Vec<Cue> {
        let reply = self.door.get(&self.range(from, to)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/vtt; charset=utf-8"));
        let text = reply.text().to_owned();
        assert!(text.starts_with("WEBVTT\n\n"), "{text}");
        text.split("\n\n").skip(2).map(Cue::parse).collect()
    }
}

/// One entry of the map.
#[derive(Debug)]
struct Cue {
    /// Seconds from the beginning of the map.
    from: i64,
    until: i64,
    image: String,
    xywh: [usize; 4],
}

impl Cue {
    fn parse(text: &str) -> Self {
        let (times, place) = text.trim().split_once('\n').unwrap_or_else(|| panic!("{text:?}"));
        let secs = |text: &str| {
            let parts: Vec<i64> =
                text.strip_suffix(".000").unwrap().split(':').map(|n| n.parse().unwrap()).collect();
            parts[0] * 3_600 + parts[1] * 60 + parts[2]
        };
        let (from, until) = times.split_once(" --> ").unwrap();
        let (image, xywh) = place.split_once("#xywh=").unwrap();
        let xywh: Vec<_> = xywh.split(',').map(|n| n.parse().unwrap()).collect();
        let xywh = xywh.try_into().unwrap();
        Self { from: secs(from), until: secs(until), image: image.to_owned(), xywh }
    }

    fn said(&self, sheets: &BTreeMap<String, Grey>) -> Said {
        sheets[&self.image].said_in(self.xywh)
    }
}

async fn sheets(bench: &Bench, cues: &[Cue]) -> BTreeMap<String, Grey> {
    let mut sheets = BTreeMap::new();
    for cue in cues {
        if !sheets.contains_key(&cue.image) {
            let begun = std::time::Instant::now();
            let reply = bench.door.get(&format!("/sprites/gate/{}", cue.image)).await;
            println!("{}: drawn on demand in {:.0?}", cue.image, begun.elapsed());
            assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"));
            let cache = reply.header("cache-control");
            assert!(cache.contains("immutable"), "{}: {cache}", cue.image);
            let picture = decode(&reply.body);
            assert_eq!((picture.width, picture.height), (1_600, 540));
            sheets.insert(cue.image.clone(), picture);
        }
    }
    sheets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tile_of_the_map_shows_the_frame_of_its_time() {
    let mut bench = Bench::open().await;
    // Two runs with a gap of 37 seconds, over a boundary of two sheets.
    bench.record(-15, 123).await;
    bench.record(160, 305).await;
    let cues = bench.map(-15, 305).await;
    let sheets = sheets(&bench, &cues).await;
    assert_eq!(sheets.len(), 2);
    let mut expected = Vec::new();
    for tile in (-20..305).step_by(10) {
        // What was on the screen when the tile begins, else what comes first in it.
        let shown = match tile {
            -20 => -15,
            130..160 => continue,
            tile => tile,
        };
        expected.push((tile.max(-15) + 15, (tile + 10).min(305) + 15, shown));
    }
    let told: Vec<_> = cues
        .iter()
        .map(|cue| {
            let said = cue.said(&sheets);
            let secs = i64::try_from(said.number).unwrap() - 1_000;
            let millis = i64::try_from(said.millis).unwrap();
            assert_eq!(millis, (bench.boundary + secs) * 1_000, "{cue:?}");
            (cue.from, cue.until, secs)
        })
        .collect();
    assert_eq!(told, expected);
    // A gap is black, and so is what comes behind the end.
    let sheet = &sheets[&format!("{}.jpg", bench.boundary)];
    let [gap, end] = [13, 31].map(|tile| [tile % 10 * 160, tile / 10 * 90, 160, 90]);
    assert!(sheet.mean(gap) < 4 && sheet.mean(end) < 4);
    // Out of the map's own middle.
    let part = bench.map(100, 180).await;
    let times: Vec<_> = part.iter().map(|cue| (cue.from, cue.until)).collect();
    assert_eq!(times, [(0, 10), (10, 20), (20, 30), (60, 70), (70, 80)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_that_was_drawn_while_it_was_recorded_needs_no_picture_any_more() {
    let mut bench = Bench::open().await;
    bench.record(3_000, 3_600).await;
    let now = WallTime::from_unix_nanos((bench.boundary + 3_630) * NANOS);
    let gate = StreamName::parse("gate").unwrap();
    bench.door.sprites.draw_until(&gate, now).await.unwrap();
    // Nothing can be read of the footage from here on.
    for entry in std::fs::read_dir(bench.door.disk.path().join("ring")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mp4") {
            let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; length], 0).unwrap();
        }
    }
    let begun = std::time::Instant::now();
    let reply = bench.door.get(&format!("/sprites/gate/{}.jpg", bench.boundary + 3_000)).await;
    println!("a sheet of ten minutes that was drawn ahead came in {:?}", begun.elapsed());
    assert_eq!(reply.status, 200);
    let sheet = decode(&reply.body);
    for tile in 0..60usize {
        let said = sheet.said_in([tile % 10 * 160, tile / 10 * 90, 160, 90]);
        assert_eq!(said.number, 4_000 + 10 * u64::try_from(tile).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_grows_with_its_footage_and_goes_with_it() {
    let mut bench = Bench::open().await;
    bench.record(0, 25).await;
    let path = format!("/sprites/gate/{}.jpg", bench.boundary);
    let first = bench.door.get(&path).await;
    let again = bench.door.get(&path).await;
    assert_eq!((first.header("etag"), &first.body), (again.header("etag"), &again.body));
    let head = "Host: x\r\nConnection: close";
    let known =
        format!("GET {path} HTTP/1.1\r\n{head}\r\nIf-None-Match: {}\r\n\r\n", first.header("etag"));
    assert_eq!(bench.door.ask(&known).await.status, 304);
    bench.record(25, 55).await;
    let grown = bench.door.get(&path).await;
    assert_ne!(grown.header("etag"), first.header("etag"));
    let tile = |at: usize| [at * 160, 0, 160, 90];
    assert!(decode(&first.body).mean(tile(4)) < 4);
    assert_eq!(decode(&grown.body).said_in(tile(4)).number, 1_040);
    for (path, status, code) in [
        ("/sprites/gate/0.jpg".to_owned(), 404, "no_footage"),
        (format!("/sprites/gate/{}.jpg", bench.boundary + 1), 404, "not_found"),
        ("/sprites/nobody/index.vtt".to_owned(), 404, "stream_unknown"),
        (bench.range(0, 0), 400, "bad_request"),
        (bench.range(0, 90_000), 400, "bad_request"),
        ("/sprites/gate/index.vtt?from=1".to_owned(), 400, "bad_request"),
        ("/sprites/gate/index.vtt?start=now".to_owned(), 400, "bad_request"),
    ] {
        let reply = bench.door.get(&path).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{path}");
    }
    // The ring turns: as much comes as it holds, and the first footage goes.
    bench.writer = None;
    let other = bench.door.dvr.writer(&StreamName::parse("yard").unwrap(), Retention::default());
    fill(&mut bench, &other).await;
    let gone = bench.door.get(&path).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "no_footage"));
    assert!(bench.map(0, 55).await.is_empty());
}

/// Writes more than the whole ring into another stream.
async fn fill(bench: &mut Bench, writer: &Writer) {
    let init = init_segment(&bench.film.tracks());
    let (params, now) = (bench.film.tracks(), LongOn.boot());
    let params = Arc::clone(&params.list[0].params);
    for number in 0_u32..100 {
        let boot = now.before(Duration::from_secs((100 - number).into()));
        let wall = LongOn.wall().offset_nanos(-i64::from(100 - number) * NANOS);
        let nanos = i64::try_from(boot.as_nanos()).unwrap();
        let at = holdfast::base::time::MediaTime::from_nanos(nanos, params.clock_rate);
        let data = vec![0; 1 << 20].into();
        let mut builder = FragmentBuilder::new(number + 1);
        builder.push(crate::barcode::unit(Arc::clone(&params), at, (boot, wall), data));
        writer.append(&init, builder.build(None), number == 0, false).unwrap();
        if number % 25 == 24 {
            let mut durable = writer.durable();
            let taken =
                durable.wait_for(|now| now.is_some_and(|now| now.fragments > number.into()));
            let taken = tokio::time::timeout(Duration::from_secs(60), taken).await;
            taken.expect("the ring takes it").unwrap();
        }
    }
}
