//! The queue over a driver that fails and lies at every call.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::fake::{ERRNOS, Fake, FakePicture, ROOM, control};
use super::{
    BufferType, Call, ControlError, ControlId, ControlType, Filled, Interest, Queue, QueueError,
    control as set, wait,
};
use crate::base::limits::V4L2_INTERRUPTS_MAX;

const CALLS: [Call; 8] = [
    Call::RequestBuffers,
    Call::QueryBuffer,
    Call::Map,
    Call::Queue,
    Call::Dequeue,
    Call::StreamOn,
    Call::StreamOff,
    Call::Poll,
];

const SOON: Duration = Duration::ZERO;

fn pictures(fake: &Fake, count: usize) {
    let picture = FakePicture { bytes: 100, ..FakePicture::default() };
    fake.state().pictures.extend(vec![picture; count]);
}

/// Opens, takes four pictures, stops, starts again, takes two more; how many were seen.
fn film(fake: &Fake, kind: BufferType) -> Result<usize, QueueError> {
    let mut queue = Queue::open(Arc::new(fake.clone()), kind, 3)?;
    pictures(fake, 6);
    let mut seen = 0;
    for count in [4, 2] {
        queue.start()?;
        for _ in 0..count {
            if let Some(bytes) = queue.next(SOON, |frame| frame.planes[0].len())? {
                assert_eq!(bytes, 100);
                seen += 1;
            }
        }
        queue.stop()?;
    }
    Ok(seen)
}

#[test]
fn every_errno_at_every_call_is_told_and_nothing_is_left_behind() {
    for (call, errno) in CALLS.iter().flat_map(|&call| ERRNOS.map(|errno| (call, errno))) {
        for (number, kind) in
            [(0, BufferType::Capture), (1, BufferType::CaptureMulti), (3, BufferType::Capture)]
        {
            let fake = Fake::new(if kind.is_multi() { 3 } else { 1 });
            fake.state().fault = Some((call, number, errno));
            match film(&fake, kind) {
                // A signal, nothing there yet, or a call that is not made so often.
                Ok(seen) => assert!(seen >= 5, "{call} {errno}: {seen} pictures"),
                Err(error) => {
                    assert_eq!(error.errno(), Some(errno), "{error}");
                    assert!(matches!(error, QueueError::Call { call: at, .. } if at == call));
                    assert_ne!(errno, libc::EINTR);
                }
            }
            fake.is_clean();
        }
    }
}

#[test]
fn a_signal_interrupts_nothing_and_a_storm_of_them_ends() {
    let fake = Fake::new(1);
    let mut queue = Queue::open(Arc::new(fake.clone()), BufferType::Capture, 3).unwrap();
    queue.start().unwrap();
    pictures(&fake, 1);
    let interrupted = 128_u8; // EINTR is the first of the errnos
    assert_eq!(usize::from(interrupted) % ERRNOS.len(), 0);
    fake.state().tape.extend([interrupted; 5]);
    assert!(queue.next(SOON, |_| ()).unwrap().is_some());
    fake.state().tape.extend(vec![interrupted; V4L2_INTERRUPTS_MAX as usize + 1]);
    assert_eq!(queue.next(SOON, |_| ()).unwrap_err().errno(), Some(libc::EINTR));
    fake.state().tape.clear();
    drop(queue);
    fake.is_clean();
}

#[test]
fn a_timed_out_queue_goes_on_when_pictures_come() {
    let fake = Fake::new(1);
    let mut queue = Queue::open(Arc::new(fake.clone()), BufferType::Capture, 2).unwrap();
    queue.start().unwrap();
    for _ in 0..3 {
        assert!(queue.next(SOON, |_| ()).unwrap().is_none());
    }
    pictures(&fake, 5);
    for _ in 0..5 {
        assert!(queue.next(SOON, |_| ()).unwrap().is_some());
    }
    assert_eq!(queue.lent(), queue.len());
}

#[test]
fn a_damaged_or_impossible_picture_is_told_as_damaged() {
    let fake = Fake::new(1);
    let mut queue = Queue::open(Arc::new(fake.clone()), BufferType::Capture, 2).unwrap();
    queue.start().unwrap();
    let picture = FakePicture { bytes: 100, ..FakePicture::default() };
    fake.state().pictures.extend([
        FakePicture { error: true, ..picture.clone() },
        FakePicture { bytes: ROOM + 1, ..picture.clone() },
        FakePicture { bytes: ROOM, ..picture.clone() },
        FakePicture { bytes: 0, ..picture },
    ]);
    let mut next = || queue.next(SOON, |frame| (frame.damaged, frame.planes[0].len())).unwrap();
    assert_eq!(next(), Some((true, 100)));
    assert_eq!(next(), Some((true, 0)));
    assert_eq!(next(), Some((false, ROOM as usize)));
    assert_eq!(next(), Some((false, 0)));
    assert_eq!(next(), None);
}

#[test]
fn an_output_queue_gives_each_buffer_once_and_bounds_what_is_used() {
    let fake = Fake::new(3);
    let mut queue = Queue::open(Arc::new(fake.clone()), BufferType::OutputMulti, 2).unwrap();
    queue.start().unwrap();
    for _ in 0..5 {
        let sent = queue.send(|planes| {
            assert_eq!(planes.len(), 3);
            planes[0][0] = 7;
            Filled { used: [u32::MAX; 8], at: Duration::from_secs(1) }
        });
        assert!(sent.unwrap().is_some());
    }
    queue.stop().unwrap();
    for _ in 0..2 {
        assert!(queue.send(|_| Filled::default()).unwrap().is_some());
    }
    assert!(queue.send(|_| Filled::default()).unwrap().is_none());
    drop(queue);
    fake.is_clean();
}

#[test]
fn a_driver_that_only_says_that_something_is_wrong_is_believed() {
    let fake = Fake::new(1);
    let mut queue = Queue::open(Arc::new(fake.clone()), BufferType::Capture, 2).unwrap();
    queue.start().unwrap();
    fake.state().tape.extend([0, 255, 0]);
    assert!(matches!(queue.next(SOON, |_| ()), Err(QueueError::Broken)));
}

#[test]
fn a_control_is_set_inside_its_range_only() {
    let fake = Fake::new(1);
    let (integer, menu) = (ControlType::Integer, ControlType::Menu);
    let mut stepped = control(2, "Exposure", integer, 10, 100);
    stepped.step = 10;
    let mut fixed = control(3, "Mode", menu, 0, 2);
    fixed.fixed = true;
    fake.state().controls =
        vec![(control(1, "Brightness", integer, -64, 64), 0), (stepped, 10), (fixed, 0)];
    assert_eq!(set::set(&fake, ControlId(1), -64).unwrap().name, "Brightness");
    assert_eq!(set::get(&fake, ControlId(1)).unwrap(), -64);
    let refused = |id, value| set::set(&fake, ControlId(id), value).unwrap_err();
    assert!(matches!(refused(1, 65), ControlError::Range { max: 64, .. }));
    assert!(matches!(refused(1, i64::MAX), ControlError::Range { .. }));
    assert!(matches!(refused(2, 15), ControlError::Range { step: 10, .. }));
    assert!(matches!(refused(3, 1), ControlError::Fixed { .. }));
    assert!(matches!(refused(4, 1), ControlError::Unknown));
}

/// What is done with a queue.
#[derive(Clone, Copy, Debug)]
enum Act {
    Start,
    Stop,
    Next,
    Receive,
    Send,
    Wait,
    Pictures,
    Reopen,
}

fn act(queue: Queue<Fake>, fake: &Fake, kind: BufferType, act: Act) -> Option<Queue<Fake>> {
    let mut queue = queue;
    let both = Interest { capture: true, output: true };
    // Any call may fail; what matters is what is left behind.
    let _ = match act {
        Act::Start => queue.start(),
        Act::Stop => queue.stop(),
        Act::Next => queue.next(SOON, |frame| drop(format!("{frame:?}"))).map(drop),
        Act::Receive => queue.receive(|frame| assert!(frame.planes.len() <= 8)).map(drop),
        Act::Send => queue.send(|_| Filled { used: [9; 8], at: Duration::ZERO }).map(drop),
        Act::Wait => wait(fake, both, Duration::ZERO).map(drop),
        Act::Pictures => {
            pictures(fake, 3);
            Ok(())
        }
        Act::Reopen => {
            drop(queue);
            return Queue::open(Arc::new(fake.clone()), kind, 4).ok();
        }
    };
    Some(queue)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever the driver does, in whatever order it is used: no panic, nothing stays mapped, no
    /// buffer is given twice, and what it has is what the queue believes it has or less.
    #[test]
    fn no_driver_breaks_a_queue(
        tape in proptest::collection::vec(prop_oneof![4 => Just(0_u8), 1 => any::<u8>()], 0..200),
        acts in proptest::collection::vec(
            proptest::sample::select(vec![
                Act::Start, Act::Stop, Act::Next, Act::Receive, Act::Send, Act::Wait, Act::Pictures,
                Act::Reopen,
            ]),
            0..40,
        ),
        multi: bool,
        output: bool,
    ) {
        let kind = match (multi, output) {
            (false, false) => BufferType::Capture,
            (true, false) => BufferType::CaptureMulti,
            (false, true) => BufferType::Output,
            (true, true) => BufferType::OutputMulti,
        };
        let fake = Fake::new(if multi { 3 } else { 1 });
        fake.state().tape.extend(tape);
        let mut queue = Queue::open(Arc::new(fake.clone()), kind, 4).ok();
        for one in acts {
            queue = match queue {
                Some(queue) => act(queue, &fake, kind, one),
                None => Queue::open(Arc::new(fake.clone()), kind, 4).ok(),
            };
        }
        drop(queue);
        fake.is_clean();
    }
}
