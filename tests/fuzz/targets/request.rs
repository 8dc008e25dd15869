//! Bytes of an RTSP peer, as they come.

#![no_main]

use libfuzzer_sys::fuzz_target;

use holdfast::base::time::{BootTime, WallTime};
use holdfast::wire::rtsp::{Session, Step};

fuzz_target!(|bytes: &[u8]| {
    let now = BootTime::from_millis(1_000);
    let mut session = Session::new(now, WallTime::default(), [127, 0, 0, 1].into(), 7);
    session.receive(now, bytes);
    while !matches!(session.poll(now), Step::Wait { .. }) {}
});
