//! Agreeing with a camera and taking its pictures, over a fake driver.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::camera::OpenCamera;
use super::capture::{Capture, FrameFate};
use super::error::CameraError;
use super::format::{BufferLayout, Converter, FormatChoice};
use super::{CameraChoice, CaptureWish, V4l2Config};
use crate::base::limits::CAMERA_SILENCE_MAX;
use crate::base::time::{BootTime, Clock, WallTime};
use crate::encode::convert::ConvertError;
use crate::encode::{Colours, EncoderSettings, Matrix, Picture};
use crate::ingest::run::CaptureStamp;
use crate::media::ClockSource;
use crate::v4l2::clock::monotonic;
use crate::v4l2::fake::{self, Fake, Mode};
use crate::v4l2::{self, BufferTime, Call, FourCc, PixelFormat, PlaneFormat};

/// A camera as many are: raw pictures only small or slow, JPEG in all sizes.
const MODES: [Mode; 3] =
    [(FourCc::YUYV, 640, 480, 30), (FourCc::YUYV, 1280, 720, 10), (FourCc::MJPEG, 1280, 720, 30)];

fn camera(modes: &[Mode]) -> Fake {
    let fake = Fake::new(1);
    fake.state().modes = modes.to_vec();
    fake
}

fn wish(format: FormatChoice, size: Option<(u32, u32)>, fps: u32) -> CaptureWish {
    CaptureWish { format, width: size.map(|s| s.0), height: size.map(|s| s.1), fps }
}

fn agreed(fake: &Fake, wish: CaptureWish) -> Result<OpenCamera<Fake>, CameraError> {
    OpenCamera::agree(Arc::new(fake.clone()), "/dev/video0".to_owned(), &wish)
}

#[test]
fn the_format_is_what_gives_size_and_pace_at_least_cost() {
    let fake = camera(&MODES);
    let chosen = |size, fps| {
        let camera = agreed(&fake, wish(FormatChoice::Auto, size, fps)).unwrap();
        (camera.format.to_string(), camera.fps)
    };
    assert_eq!(chosen(Some((640, 480)), 25), ("YUYV 640x480".to_owned(), 30.0));
    assert_eq!(chosen(Some((1280, 720)), 25), ("MJPG 1280x720".to_owned(), 30.0));
    assert_eq!(chosen(Some((1280, 720)), 10), ("YUYV 1280x720".to_owned(), 10.0));
    assert_eq!(chosen(None, 60), ("MJPG 1280x720".to_owned(), 30.0));
    fake.state().modes.push((FourCc::H264, 1280, 720, 30));
    assert_eq!(chosen(None, 25).0, "H264 1280x720");
}

#[test]
fn what_the_camera_does_not_give_is_told_with_what_it_gives() {
    let fake = camera(&MODES);
    let error = agreed(&fake, wish(FormatChoice::H264, None, 25)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The camera does not give h264, only mjpeg, yuyv. Set `format` to one of these or to \"auto\"."
    );
    let error = agreed(&fake, wish(FormatChoice::Yuyv, Some((800, 600)), 25)).unwrap_err();
    assert!(error.to_string().contains("gives YUYV 640x480 where yuyv 800x600"), "{error}");
    // Only one side is set: the other is as it comes.
    let half = CaptureWish { width: Some(640), ..wish(FormatChoice::Yuyv, None, 25) };
    assert_eq!(agreed(&fake, half).unwrap().format.to_string(), "YUYV 640x480");
    let error = agreed(&camera(&[]), CaptureWish::default()).unwrap_err();
    assert!(error.to_string().contains("only nothing"), "{error}");
    let grey = FourCc(*b"GREY");
    let error = agreed(&camera(&[(grey, 640, 480, 30)]), CaptureWish::default()).unwrap_err();
    assert!(error.to_string().contains("only GREY, which is not supported"), "{error}");
}

/// A clock on which a quarter of a second passes at each look.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn boot(&self) -> BootTime {
        BootTime::from_millis(1_000_000 + self.0.fetch_add(250, Relaxed))
    }

    fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(1_795_363_523_000_000_000)
    }
}

fn picture() -> fake::FakePicture {
    fake::FakePicture { bytes: 100, ..fake::FakePicture::default() }
}

fn capture(fake: &Fake) -> Capture<Fake> {
    let camera = agreed(fake, wish(FormatChoice::Yuyv, Some((640, 480)), 30)).unwrap();
    Capture::new(camera, Arc::<Ticking>::default(), None)
}

/// Turns until a picture was shown or the capture ends; what it was shown with.
fn shown(capture: &mut Capture<Fake>, seen: FrameFate) -> Result<CaptureStamp, CameraError> {
    let mut shown = None;
    while shown.is_none() {
        capture.turn(|_, taken| {
            shown = Some(taken);
            Ok(seen)
        })?;
    }
    Ok(shown.unwrap())
}

#[test]
fn what_is_lost_is_counted_until_a_picture_is_taken() {
    let fake = camera(&MODES);
    let mut capture = capture(&fake);
    fake.state().pictures.extend([
        picture(),
        fake::FakePicture { skipped: 2, ..picture() },
        fake::FakePicture { error: true, ..picture() },
        fake::FakePicture { skipped: 1, ..picture() },
        picture(),
    ]);
    assert_eq!(shown(&mut capture, FrameFate::Taken).unwrap().lost_before, 0);
    assert_eq!(shown(&mut capture, FrameFate::LeftOut).unwrap().lost_before, 2);
    // Two dropped, one damaged, one dropped; the skipped one is not a loss.
    assert_eq!(shown(&mut capture, FrameFate::Taken).unwrap().lost_before, 4);
    assert_eq!(shown(&mut capture, FrameFate::Taken).unwrap().lost_before, 0);
}

#[test]
fn a_stamp_of_the_driver_dates_the_picture_and_none_leaves_its_arrival() {
    let fake = camera(&MODES);
    let mut capture = capture(&fake);
    let ago = Duration::from_millis(40);
    let stamp = BufferTime::Monotonic(monotonic().saturating_sub(ago));
    fake.state().pictures.extend([fake::FakePicture { stamp, ..picture() }, picture()]);
    let stamped = shown(&mut capture, FrameFate::Taken).unwrap();
    assert_eq!(stamped.captured.source, ClockSource::Sender);
    let now = Ticking::default().wall().as_unix_nanos();
    let age =
        Duration::from_nanos(u64::try_from(now - stamped.captured.wall.as_unix_nanos()).unwrap());
    assert!(age >= ago && age < Duration::from_secs(10), "{age:?}");
    assert_eq!(
        shown(&mut capture, FrameFate::Taken).unwrap().captured.source,
        ClockSource::Arrival
    );
}

#[test]
fn a_silent_camera_is_started_anew_once_and_then_given_up() {
    let fake = camera(&MODES);
    let mut silent = capture(&fake);
    let error = shown(&mut silent, FrameFate::Taken).unwrap_err();
    let CameraError::Silent { waited } = error else { panic!("{error}") };
    assert_eq!(waited, 2 * CAMERA_SILENCE_MAX);
    drop(silent);
    fake.is_clean();
    // One that comes back with its new queue continues, as often as it likes.
    let mut moody = capture(&fake);
    for _ in 0..3 {
        for _ in 0..30 {
            moody.turn(|_, _| Ok(FrameFate::Taken)).unwrap();
        }
        fake.state().pictures.push_back(picture());
        shown(&mut moody, FrameFate::Taken).unwrap();
    }
}

#[test]
fn a_camera_that_sends_only_damage_is_told_as_such() {
    let fake = camera(&MODES);
    let mut capture = capture(&fake);
    let error = loop {
        fake.state().pictures.push_back(picture());
        if let Err(error) = capture.turn(|_, _| Err(ConvertError::Truncated)) {
            break error;
        }
    };
    let told = error.to_string();
    assert!(told.starts_with("The camera has sent only damaged pictures for 10 s"), "{told}");
    assert!(told.contains("a JPEG that ends early"), "{told}");
}

#[test]
fn unplugged_while_a_picture_is_awaited_the_camera_is_gone() {
    let fake = camera(&MODES);
    fake.state().fault = Some((Call::Dequeue, 2, libc::ENODEV));
    let mut capture = capture(&fake);
    fake.state().pictures.extend(vec![picture(); 4]);
    shown(&mut capture, FrameFate::Taken).unwrap();
    shown(&mut capture, FrameFate::Taken).unwrap();
    assert!(matches!(shown(&mut capture, FrameFate::Taken), Err(CameraError::Gone)));
    drop(capture);
    fake.is_clean();
}

#[test]
fn a_bus_without_room_is_told_with_what_to_do() {
    let fake = camera(&MODES);
    fake.state().fault = Some((Call::StreamOn, 0, libc::ENOSPC));
    let error = shown(&mut capture(&fake), FrameFate::Taken).unwrap_err();
    assert!(matches!(error, CameraError::NoRoom), "{error}");
    fake.is_clean();
}

/// A code, the lengths of the lines of its planes, and what is in them.
type Case<'a> = (FourCc, &'a [u32], &'a [&'a [u8]]);

#[test]
fn every_layout_finds_its_planes() {
    let format = |code, lines: &[u32]| PixelFormat {
        planes: lines.iter().map(|&l| PlaneFormat { bytes_per_line: l, size_bytes: 0 }).collect(),
        ..PixelFormat::wish(code, 4, 2, 1)
    };
    let luma = [1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0];
    let whole = [&luma[..], &[50, 60, 51, 61, 0, 0]].concat();
    let planar = [&luma[..], &[50, 51, 0], &[60, 61, 0]].concat();
    let packed = [1, 50, 2, 60, 3, 51, 4, 61, 5, 50, 6, 60, 7, 51, 8, 61];
    let cases: [Case<'_>; 5] = [
        (FourCc::NV12, &[6], &[&whole]),
        (FourCc::NV12_MULTI, &[6, 4], &[&luma, &[50, 60, 51, 61]]),
        (FourCc::YUV420, &[6], &[&planar]),
        (FourCc::YUV420_MULTI, &[6, 2, 2], &[&luma, &[50, 51], &[60, 61]]),
        // A driver that does not say how long its lines are.
        (FourCc::YUYV, &[0], &[&packed]),
    ];
    for (code, lines, planes) in cases {
        let mut picture = Picture::black(4, 2);
        Converter::new(&format(code, lines)).convert(planes, &mut picture).unwrap();
        let (y, u, v) = picture.planes();
        assert_eq!(
            (y, u, v),
            (&[1, 2, 3, 4, 5, 6, 7, 8][..], &[50, 51][..], &[60, 61][..]),
            "{code}"
        );
        assert_eq!(BufferLayout::of(code).planes(), planes.len());
        let short = Converter::new(&format(code, lines)).convert(&[&[1, 2, 3]], &mut picture);
        assert!(matches!(short, Err(ConvertError::Short { .. })), "{code}");
    }
}

#[test]
fn a_picture_says_the_colours_that_the_driver_told() {
    let fake = camera(&[(FourCc::NV12, 4, 2, 30)]);
    let told = |space| {
        fake.state().colours = v4l2::PixelColours { space, ..v4l2::PixelColours::default() };
        // Sides so small belong to no camera; only the format matters here.
        let format = v4l2::Driver::set_format(
            &fake,
            v4l2::BufferType::Capture,
            &PixelFormat::wish(FourCc::NV12, 4, 2, 1),
        );
        let mut picture = Picture::black(4, 2);
        Converter::new(&format.unwrap()).convert(&[&[128; 24]], &mut picture).unwrap();
        picture.colours()
    };
    assert_eq!(told(v4l::v4l_sys::v4l2_colorspace_V4L2_COLORSPACE_REC709), Colours::BT709);
    let usual = told(0);
    assert_eq!((usual.matrix, usual.full_range), (Matrix::Bt601, false));
    assert!(told(v4l::v4l_sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG).full_range);
}

#[test]
fn a_camera_that_is_away_is_told_with_those_that_are_there() {
    let device = CameraChoice::Node(PathBuf::from("/dev/v4l/by-path/none"));
    let config =
        V4l2Config::new(device, CaptureWish::default(), Vec::new(), EncoderSettings::default());
    assert!(!config.is_there());
    let told = config.not_there().to_string();
    assert!(told.starts_with("There is no camera at /dev/v4l/by-path/none."), "{told}");
}
