//! H.264 of a camera that encodes: published as it comes.
//!
//! Owns: the way from a buffer (ITU-T H.264 Annex B, one access unit) to its run.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use super::CameraInUse;
use super::capture::{Capture, FrameFate};
use super::error::CameraError;
use crate::base::limits::{ACCESS_UNIT_BYTES_MAX, CAMERA_CODED_UNITS_MAX};
use crate::encode::Encoded;
use crate::encode::convert::ConvertError;
use crate::ingest::run::{CaptureRun, CaptureStamp};
use crate::stream::Stream;
use crate::supervise::TaskContext;
use crate::v4l2::Driver;

/// One picture on its way to the bus.
type Coded = (Encoded, CaptureStamp);

/// Publishes until something ends it.
pub(super) async fn run(
    held: CameraInUse,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, CameraError> {
    let (to_bus, mut coded) = mpsc::channel(CAMERA_CODED_UNITS_MAX);
    let clock = Arc::clone(&context.clock);
    let taking = thread::Builder::new().name(format!("takes-{}", stream.name()));
    let taking = taking.spawn(move || {
        let CameraInUse { camera, seat, watchdog } = held;
        let Err(error) = film(Capture::new(camera, clock, Some(watchdog)), &to_bus);
        drop(seat);
        // When the run was asked to stop, the receiver is gone.
        let _ = to_bus.blocking_send(Err(error));
    });
    taking.map_err(CameraError::Thread)?;
    let mut run = CaptureRun::new(stream);
    loop {
        let coded = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(CameraError::Stopped),
            coded = coded.recv() => coded,
        };
        let panicked = || CameraError::Driver { detail: "reading it panicked".to_owned() };
        let (encoded, taken) = coded.ok_or_else(panicked)??;
        context.heartbeat.beat();
        run.publish(Some(encoded), taken)?;
    }
}

/// Takes pictures until the receiver is gone.
fn film<D: Driver>(
    mut capture: Capture<D>,
    to_bus: &mpsc::Sender<Result<Coded, CameraError>>,
) -> Result<Infallible, CameraError> {
    while !to_bus.is_closed() {
        let mut next = None;
        capture.turn(|planes, taken| {
            next = Some((unit(planes.first().copied().unwrap_or_default())?, taken));
            Ok(FrameFate::Taken)
        })?;
        // Full: we wait here, the driver runs out of buffers, and counts what it drops.
        if let Some(next) = next
            && to_bus.blocking_send(Ok(next)).is_err()
        {
            break;
        }
    }
    Err(CameraError::Stopped)
}

/// What is in one buffer.
fn unit(bytes: &[u8]) -> Result<Encoded, ConvertError> {
    let short = ConvertError::Short { got: bytes.len(), wanted: 5 };
    if bytes.len() > ACCESS_UNIT_BYTES_MAX {
        return Err(ConvertError::TooLarge { got: bytes.len(), max: ACCESS_UNIT_BYTES_MAX });
    }
    Encoded::from_annex_b(bytes).ok_or(short)
}

#[cfg(test)]
mod tests {
    use super::super::camera::OpenCamera;
    use super::super::{CaptureWish, FormatChoice};
    use super::*;
    use crate::base::limits::CAMERA_BUFFERS;
    use crate::base::name::StreamName;
    use crate::base::time::{Clock, SystemClock};
    use crate::ingest::run::tests::film as units;
    use crate::media::nal;
    use crate::stream::{Allowance, Next};
    use crate::v4l2::FourCc;
    use crate::v4l2::fake::{self, Fake};

    /// A camera whose buffers hold these units, the first behind the last.
    fn camera(units: &[Vec<u8>], pictures: impl IntoIterator<Item = (usize, u32)>) -> Fake {
        let fake = Fake::new(1);
        let mut state = fake.state();
        state.modes = vec![(FourCc::H264, 1280, 720, 25)];
        state.contents = units.to_vec();
        state.pictures.extend(pictures.into_iter().map(|(bytes, skipped)| {
            let bytes = u32::try_from(bytes).unwrap();
            fake::FakePicture { bytes, skipped, ..fake::FakePicture::default() }
        }));
        drop(state);
        fake
    }

    fn capture(fake: &Fake) -> Capture<Fake> {
        let wish = CaptureWish { format: FormatChoice::H264, ..CaptureWish::default() };
        let camera = OpenCamera::agree(Arc::new(fake.clone()), "/dev/video0".to_owned(), &wish);
        Capture::new(camera.unwrap(), Arc::new(SystemClock), None)
    }

    /// What a camera writes for a picture.
    fn written(unit: &Encoded) -> Vec<u8> {
        let sets = unit.sets.iter().flat_map(|(sps, pps)| [&sps[..], &pps[..]]);
        [nal::to_annex_b(&nal::length_prefixed(sets)), nal::to_annex_b(&unit.data)].concat()
    }

    #[tokio::test]
    async fn what_the_camera_made_is_published_as_it_is() {
        let made = units(128);
        let mut buffers: Vec<_> = made.iter().map(written).collect();
        // The camera's last buffer of a round holds no picture.
        buffers.resize(CAMERA_BUFFERS as usize, vec![0; 3]);
        let lengths: Vec<_> = buffers.iter().map(Vec::len).collect();
        let skips = [0, 2, 0, 0, 0];
        let fake = camera(&buffers, lengths.into_iter().cycle().zip(skips));
        let (to_bus, mut coded) = mpsc::channel(CAMERA_CODED_UNITS_MAX);
        let filming = thread::spawn({
            let capture = capture(&fake);
            move || film(capture, &to_bus)
        });

        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name, "v4l2", SystemClock.wall());
        let mut reader = stream.bus().subscribe(Allowance::Window);
        let mut run = CaptureRun::new(Arc::clone(&stream));
        // Pictures that the camera skipped, and invalid ones, are reported with the next.
        for (n, lost) in [(0, 0), (1, 2), (2, 0), (0, 1)] {
            let (encoded, taken) = coded.recv().await.unwrap().unwrap();
            run.publish(Some(encoded), taken).unwrap();
            let Next::Item(unit) = reader.next().await else { panic!("nothing published") };
            assert_eq!(unit.data, made[n].data);
            assert_eq!((unit.random_access(), unit.lost_before), (n == 0, lost));
        }
        drop(coded);
        assert!(matches!(filming.join().unwrap(), Err(CameraError::Stopped)));
        fake.is_clean();
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(matches!(unit(&[]), Err(ConvertError::Short { .. })));
        assert!(matches!(unit(&[0, 0, 0, 1, 9, 16]), Err(ConvertError::Short { .. })));
        let huge = vec![0; ACCESS_UNIT_BYTES_MAX + 1];
        assert!(matches!(unit(&huge), Err(ConvertError::TooLarge { .. })));
    }
}
