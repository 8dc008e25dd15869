use super::*;

struct Unit {
    id: u64,
    key: bool,
    at: BootTime,
}

impl Item for Unit {
    fn bytes(&self) -> usize {
        10
    }
    fn random_access(&self) -> bool {
        self.key
    }
    fn arrived(&self) -> BootTime {
        self.at
    }
}

fn publish(publisher: &Publisher<Unit>, ids: std::ops::Range<u64>, gop: u64) {
    for id in ids {
        let at = BootTime::from_millis(id * 100);
        publisher.publish(Arc::new(Unit { id, key: id % gop == 0, at }));
    }
}

/// Reads until nothing is there and writes down what came.
fn read(subscriber: &mut Subscriber<Unit>) -> Vec<String> {
    std::iter::from_fn(|| subscriber.try_next())
        .take(1_000)
        .map(|next| match next {
            Next::Item(unit) => unit.id.to_string(),
            Next::Lagged(n) => format!("lagged {n}"),
            Next::Ended => "ended".to_owned(),
        })
        .take_while(|told| told != "ended")
        .collect()
}

#[test]
fn a_joiner_begins_at_the_newest_key_frame_at_once() {
    let (publisher, bus) = Bus::new(Bounds::default());
    publish(&publisher, 0..8, 5);
    assert_eq!(read(&mut bus.subscribe(Allowance::Viewer)), ["5", "6", "7"]);
}

#[test]
fn a_joiner_without_a_key_frame_waits_for_one() {
    let (publisher, bus) = Bus::new(Bounds::default());
    publish(&publisher, 1..4, 5);
    let mut viewer = bus.subscribe(Allowance::Viewer);
    assert!(read(&mut viewer).is_empty());
    publish(&publisher, 4..7, 5);
    assert_eq!(read(&mut viewer), ["5", "6"]);
}

#[test]
fn a_slow_viewer_resumes_at_a_key_frame() {
    let (publisher, bus) = Bus::new(Bounds::default());
    publish(&publisher, 0..1, 10);
    let mut viewer = bus.subscribe(Allowance::Viewer);
    assert_eq!(read(&mut viewer), ["0"]);
    publish(&publisher, 1..75, 10);
    assert_eq!(read(&mut viewer), ["lagged 69", "70", "71", "72", "73", "74"]);
}

#[test]
fn a_viewer_with_too_much_unread_is_moved_on() {
    let bounds = Bounds { lag_bytes_max: 150, ..Bounds::default() };
    let (publisher, bus) = Bus::new(bounds);
    publish(&publisher, 0..1, 10);
    let mut viewer = bus.subscribe(Allowance::Viewer);
    assert_eq!(read(&mut viewer), ["0"]);
    publish(&publisher, 1..16, 10);
    assert_eq!(read(&mut viewer).len(), 15);
    publish(&publisher, 16..32, 10);
    assert_eq!(read(&mut viewer)[..2], ["lagged 14", "30"]);
    // No key frame to continue with: nothing would be won by a jump.
    publish(&publisher, 32..53, 1_000);
    assert_eq!(read(&mut viewer).len(), 21);
}

#[test]
fn the_recorder_may_lag_as_far_as_the_window_reaches() {
    let bounds = Bounds { bytes_max: 1_000, ..Bounds::default() };
    let (publisher, bus) = Bus::new(bounds);
    publish(&publisher, 0..1, 10);
    let mut recorder = bus.subscribe(Allowance::Window);
    publish(&publisher, 1..100, 10);
    assert_eq!(read(&mut recorder).len(), 100);
    publish(&publisher, 100..205, 10);
    assert_eq!(read(&mut recorder)[..2], ["lagged 100", "200"]);
}

#[test]
fn the_window_stays_inside_its_bounds() {
    let span_max = Duration::from_secs(60);
    let bounds = Bounds { bytes_max: 55, units_max: 100, span_max, ..Bounds::default() };
    let (publisher, bus) = Bus::new(bounds);
    publish(&publisher, 0..1, 1_000_000);
    let _stuck = bus.subscribe(Allowance::Window);
    let held = (1..1_000).map(|id| {
        publish(&publisher, id..id + 1, 1_000_000);
        publisher.0.lock().items.len()
    });
    assert_eq!(held.max(), Some(5));
    assert!(publisher.0.lock().starts.is_empty());
    assert!(bus.newest_start().is_none());
}

#[test]
fn a_joiner_of_a_window_that_outgrew_its_key_frame_begins_with_what_there_is() {
    let bounds = Bounds { units_max: 5, ..Bounds::default() };
    let (publisher, bus) = Bus::new(bounds);
    publish(&publisher, 0..1, 1_000);
    publish(&publisher, 1..9, 1_000);
    let mut joiner = bus.subscribe(Allowance::Viewer);
    publish(&publisher, 9..11, 1_000);
    assert_eq!(read(&mut joiner), ["8", "9", "10"]);
    publish(&publisher, 1_000..1_002, 1_000);
    assert_eq!(read(&mut bus.subscribe(Allowance::Viewer)), ["1000", "1001"]);
}

#[test]
fn what_nobody_needs_is_let_go() {
    let (publisher, bus) = Bus::new(Bounds::default());
    publish(&publisher, 0..95, 10);
    assert_eq!(publisher.0.lock().items.len(), 5, "no reader: the newest GOP");
    let mut viewer = bus.subscribe(Allowance::Viewer);
    publish(&publisher, 95..125, 10);
    assert_eq!(publisher.0.lock().items.len(), 35, "a reader that lags keeps what it wants");
    assert_eq!(read(&mut viewer).len(), 35);
    publish(&publisher, 125..126, 10);
    assert_eq!(publisher.0.lock().items.len(), 6, "a reader that keeps up keeps nothing");
    publish(&publisher, 126..195, 10);
    assert_eq!(publisher.0.lock().items.len(), 5, "a reader past its allowance keeps nothing");
    assert_eq!(read(&mut viewer)[0], "lagged 65");
}

#[test]
fn the_newest_gop_stays_however_long_it_is() {
    let (publisher, bus) = Bus::new(Bounds::default());
    publish(&publisher, 0..500, 1_000);
    assert_eq!(read(&mut bus.subscribe(Allowance::Viewer)).len(), 500);
}

/// Whether a reader that rests for so long would be woken now.
async fn is_woken(reader: &Subscriber<Unit>, ms: u64) -> bool {
    let rested = reader.rested(Duration::from_millis(ms));
    tokio::time::timeout(Duration::ZERO, rested).await.is_ok()
}

#[tokio::test]
async fn a_reader_that_rests_is_woken_by_what_comes_behind_its_rest() {
    let (publisher, bus) = Bus::new(Bounds::default());
    let mut recorder = bus.subscribe(Allowance::Window);
    assert!(!is_woken(&recorder, 0).await, "nothing came");
    publish(&publisher, 0..1, 10);
    assert!(is_woken(&recorder, 300).await, "it has not begun");
    assert_eq!(read(&mut recorder), ["0"]);
    publish(&publisher, 1..3, 10);
    assert!(is_woken(&recorder, 0).await && is_woken(&recorder, 200).await);
    assert!(!is_woken(&recorder, 300).await, "these can wait");
    publish(&publisher, 3..4, 10);
    assert!(is_woken(&recorder, 300).await);
    assert_eq!(read(&mut recorder), ["1", "2", "3"]);
    assert!(!is_woken(&recorder, 0).await, "all was read");
    drop(publisher);
    assert!(is_woken(&recorder, 300).await);
}

#[tokio::test]
async fn a_reader_that_waits_in_its_rest_is_woken_once() {
    let (publisher, bus) = Bus::new(Bounds::default());
    let mut recorder = bus.subscribe(Allowance::Window);
    publish(&publisher, 0..1, 10);
    assert_eq!(read(&mut recorder), ["0"]);
    let waiting = tokio::spawn(async move {
        recorder.rested(Duration::from_millis(300)).await;
        recorder
    });
    tokio::task::yield_now().await;
    publish(&publisher, 1..3, 10);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    publish(&publisher, 3..4, 10);
    let mut recorder = waiting.await.unwrap();
    assert_eq!(read(&mut recorder), ["1", "2", "3"]);
    // A wait that was given up wakes nobody.
    assert!(!is_woken(&recorder, 300).await);
    assert!(recorder.shared.lock().readers.values().all(|cursor| cursor.wakes_at.is_none()));
}

#[tokio::test]
async fn a_reader_is_told_when_the_publisher_is_gone() {
    let (publisher, bus) = Bus::<Unit>::new(Bounds::default());
    let mut viewer = bus.subscribe(Allowance::Viewer);
    let waiting = tokio::spawn(async move { matches!(viewer.next().await, Next::Ended) });
    tokio::task::yield_now().await;
    drop(publisher);
    assert!(waiting.await.unwrap());
    assert_eq!(bus.readers(), 0);
}
