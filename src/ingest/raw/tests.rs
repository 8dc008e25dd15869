//! A camera that is a function, through encoders and out of the bus.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::base::Stop;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, Clock, SharedClock, SystemClock};
use crate::encode::{Colours, Matrix};
use crate::ingest::run::CaptureStamp;
use crate::ingest::{self, SharedSources, substream};
use crate::media::codec::Shape;
use crate::media::{AccessUnit, Captured, ClockSource};
use crate::stream::{Allowance, Next, StreamState, Subscriber};
use crate::supervise::{Supervisor, TaskSpec};

#[derive(Debug, thiserror::Error)]
#[error("the camera broke")]
struct Broke;

impl Fault for Broke {
    fn class(&self) -> Class {
        Class::Peer
    }
}

/// A house with a main stream and its sub-stream.
struct EncodingBench {
    supervisor: Supervisor,
    tees: RawTees,
    main: Arc<Stream>,
    sub: Arc<Stream>,
}

impl EncodingBench {
    fn new() -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let stream =
            |name| Stream::new(StreamName::parse(name).unwrap(), "test", SystemClock.wall());
        Self {
            supervisor: Supervisor::new(Stop::new(), clock),
            tees: RawTees::default(),
            main: stream("main"),
            sub: stream("main-sub"),
        }
    }

    /// Keeps a camera that brings 25 pictures of 320x180 per second, until `alive` of them are out.
    fn keep_main(&self, alive: u64) {
        let (stream, tee) = (Arc::clone(&self.main), self.tees.of(self.main.name()));
        let lives = Arc::new(AtomicU64::new(0));
        self.supervisor.keep(TaskSpec::new("main/source"), move |context| {
            let job = EncodeJob { settings: EncoderSettings::default(), fps: 25.0, width: None };
            // The first life breaks; the second lasts.
            let life = lives.fetch_add(1, Relaxed);
            let alive = if life == 0 { alive } else { u64::MAX };
            let take = move |feed: &EncoderQueue| camera(feed, alive);
            run(job, Arc::clone(&tee), Arc::clone(&stream), context, take)
        });
    }

    fn keep_sub(&self) -> Supervisor {
        let config = substream::SubstreamConfig {
            of: self.main.name().clone(),
            width: 160,
            fps: 25.0,
            encode: substream::SubstreamConfig::settings(),
        };
        let scope = self.supervisor.child();
        let sub = Arc::clone(&self.sub);
        let shared = SharedSources { tees: self.tees.clone(), ..SharedSources::default() };
        ingest::keep(ingest::SourceConfig::Substream(config), sub, &shared, &scope);
        scope
    }
}

fn camera(feed: &EncoderQueue, alive: u64) -> Result<Infallible, Broke> {
    let clock = SystemClock;
    for n in 0..alive {
        thread::sleep(Duration::from_millis(40));
        if feed.wants() {
            let mut picture = feed.canvas(320, 180);
            picture.fill(0, 0, 320, 180, [u8::try_from(n % 200).unwrap(), 128, 128]);
            let captured = Captured { wall: clock.wall(), source: ClockSource::Sender };
            let taken = CaptureStamp { at: clock.boot(), captured, lost_before: 0 };
            if feed.put(picture, taken).is_err() {
                break;
            }
        }
    }
    Err(Broke)
}

async fn units(reader: &mut Subscriber<AccessUnit>, count: usize) -> Vec<Arc<AccessUnit>> {
    let mut units = Vec::new();
    while units.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next());
        match next.await.expect("units within 20 s") {
            Next::Item(unit) => units.push(unit),
            Next::Lagged(_) => {}
            Next::Ended => panic!("the stream ended"),
        }
    }
    units
}

fn shape(unit: &AccessUnit) -> (u16, u16) {
    match unit.params.shape {
        Shape::Video { width, height, .. } => (width, height),
        Shape::Audio { .. } => panic!("sound"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sub_stream_shows_the_same_pictures_smaller_over_lives_of_either() {
    let house = EncodingBench::new();
    let mut main = house.main.bus().subscribe(Allowance::Window);
    let mut sub = house.sub.bus().subscribe(Allowance::Window);
    // The sub-stream is there before its main stream, and is restarted while that continues.
    let first = house.keep_sub();
    house.keep_main(30);
    let early = units(&mut sub, 5).await;
    first.stop().await;
    house.keep_sub();
    let main = units(&mut main, 60).await;
    let late = units(&mut sub, 20).await;

    assert!(main.iter().all(|unit| shape(unit) == (320, 180)));
    assert!(early.iter().chain(&late).all(|unit| shape(unit) == (160, 90)));
    assert!(main[0].random_access() && early[0].random_access());
    assert_ne!(main[0].run, main[59].run, "the camera broke once");
    assert!(main.windows(2).all(|pair| pair[0].decode.ticks < pair[1].decode.ticks));
    // A picture missing from the main stream was lost there, on a machine without time, and is
    // reported.
    let has_or_lost = |unit: &Arc<AccessUnit>| {
        let next = main.iter().find(|next| next.decode.ticks >= unit.decode.ticks);
        let said = |next: &Arc<AccessUnit>| next.lost_before > 0 || next.random_access();
        next.is_none_or(|next| next.decode.ticks == unit.decode.ticks || said(next))
    };
    let shared =
        early.iter().chain(&late).filter(|unit| main.iter().any(|of| of.decode == unit.decode));
    assert!(shared.count() > 0);
    assert!(early.iter().chain(&late).all(has_or_lost), "a picture that the main stream has not");
    assert_eq!(house.main.encoding().unwrap().encoder, "openh264");
    house.supervisor.stop().await;
    assert_eq!(house.main.encoding(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_in_other_colours_are_told_with_a_key_frame() {
    let house = EncodingBench::new();
    let mut reader = house.main.bus().subscribe(Allowance::Window);
    let (stream, tee) = (Arc::clone(&house.main), house.tees.of(house.main.name()));
    house.supervisor.keep(TaskSpec::new("main/source"), move |context| {
        let job = EncodeJob { settings: EncoderSettings::default(), fps: 25.0, width: None };
        let bt601 = Colours { matrix: Matrix::Bt601, ..Colours::BT709 };
        // A run may change over, and so may the next run: the sets say so either way.
        let take = move |feed: &EncoderQueue| {
            colourful(feed, Colours::BT709, 10);
            colourful(feed, bt601, 30);
            Err::<Infallible, _>(Broke)
        };
        run(job, Arc::clone(&tee), Arc::clone(&stream), context, take)
    });
    let units = units(&mut reader, 25).await;
    house.supervisor.stop().await;
    let change = units.windows(2).position(|pair| pair[0].params != pair[1].params);
    let first = &units[change.expect("other sets") + 1];
    assert!(first.random_access());
    assert_eq!(first.run, units[0].run);
}

/// Puts so many pictures in these colours.
fn colourful(feed: &EncoderQueue, colours: Colours, count: u16) {
    for _ in 0..count {
        thread::sleep(Duration::from_millis(40));
        if feed.wants() {
            let mut picture = feed.canvas(320, 180);
            picture.set_colours(colours);
            let captured = Captured { wall: SystemClock.wall(), source: ClockSource::Sender };
            let taken = CaptureStamp { at: SystemClock.boot(), captured, lost_before: 0 };
            let _ = feed.put(picture, taken);
        }
    }
}

#[test]
fn a_picture_that_waits_too_long_gives_way_and_is_counted() {
    let feed = EncoderQueue::new(25.0, Arc::new(SystemClock), None);
    let put = |lost_before| {
        let captured = Captured { wall: SystemClock.wall(), source: ClockSource::Arrival };
        let taken = CaptureStamp { at: BootTime::default(), captured, lost_before };
        assert!(feed.wants());
        feed.put(feed.canvas(160, 120), taken)
    };
    put(0).unwrap();
    put(2).unwrap();
    put(0).unwrap();
    assert_eq!(feed.next().unwrap().lost, 4, "two thrown away here, two before");
    put(0).unwrap();
    assert_eq!(feed.next().unwrap().lost, 0);
    feed.close();
    assert!(feed.next().is_none());
    assert_eq!(put(0), Err(Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_panics_ends_its_own_run_and_says_so() {
    let house = EncodingBench::new();
    let (stream, tee) = (Arc::clone(&house.main), house.tees.of(house.main.name()));
    house.supervisor.keep(TaskSpec::new("main/source"), move |context| {
        let job = EncodeJob { settings: EncoderSettings::default(), fps: 25.0, width: None };
        let take =
            |_: &EncoderQueue| -> Result<Infallible, Broke> { panic!("a driver nobody knows") };
        run(job, Arc::clone(&tee), Arc::clone(&stream), context, take)
    });
    let said = async {
        loop {
            if let Some(error) = house.supervisor.report().into_iter().find_map(|t| t.last_error) {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(20), said).await.unwrap();
    assert!(
        said.starts_with("An error of Holdfast ended the thread that takes pictures."),
        "{said}"
    );
    assert_eq!(house.main.state().0, StreamState::Starting);
    house.supervisor.stop().await;
}
