//! Cameras, and how long one is waited for.
//!
//! Owns: cameras of the net and of this machine, commands, raw pictures.

use std::time::Duration;

/// Bytes per second one camera may bring, averaged over [`SOURCE_RATE_WINDOW`]; above it the
/// run is ended and tried again, so that one flooding camera costs the others nothing.
pub const SOURCE_BYTES_PER_SEC_MAX: u64 = 25 << 20;
/// Over how long [`SOURCE_BYTES_PER_SEC_MAX`] is averaged.
pub const SOURCE_RATE_WINDOW: Duration = Duration::from_secs(4);
/// Raw pictures of one camera whose memory is kept for reuse; that of further ones is freed.
pub const RAW_PICTURES_SPARE_MAX: usize = 3;
/// Arguments of a command that brings a stream, its name among them; more are refused.
pub const COMMAND_ARGUMENTS_MAX: usize = 128;
/// Longest argument of a command; a longer one is refused.
pub const COMMAND_ARGUMENT_BYTES_MAX: usize = 4 << 10;
/// How long a command that is asked to end may take; then it is killed.
pub const COMMAND_END_TIME_MAX: Duration = Duration::from_secs(1);
/// Lines a minute of what a command says that go to the log; further ones are counted.
pub const COMMAND_LINES_PER_MINUTE_MAX: u32 = 20;
/// Longest such line; the rest is left out.
pub const COMMAND_LINE_BYTES_MAX: usize = 400;

/// Cameras that are tried at once; a further one is refused.
pub const TRIALS_MAX: usize = 2;
/// How long the name of a camera being tried is looked up. The four times together are the longest
/// a person waits: 10 s.
pub const TRIAL_LOOKUP_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a camera is tried.
pub const TRIAL_TIME_MAX: Duration = Duration::from_millis(6_500);
/// How long a picture of it may take.
pub const TRIAL_PICTURE_TIME_MAX: Duration = Duration::from_millis(1_500);
/// How long pictures are checked even if all is known.
pub const TRIAL_WATCH_TIME_MIN: Duration = Duration::from_secs(2);
/// Places to begin after which there is enough.
pub const TRIAL_ENTRY_UNITS: u32 = 3;
/// Pixels across of that picture.
pub const TRIAL_PICTURE_WIDTH: u16 = 640;
/// Connecting to a camera.
pub const PULL_CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a camera that we leave may take to hear our goodbye.
pub const PULL_GOODBYE_TIME_MAX: Duration = Duration::from_millis(500);
/// Bytes that are read of a camera's connection at once.
pub const PULL_READ_BYTES: usize = 64 << 10;
/// DESCRIBE, and then each of SETUP and PLAY.
pub const PULL_DESCRIBE_TIME_MAX: Duration = Duration::from_secs(10);
/// From PLAY to the first frame.
pub const PULL_FIRST_FRAME_TIME_MAX: Duration = Duration::from_secs(15);
/// Lives in a row without media after which a transport that brought some before gives way to the
/// other one (`transport = "auto"`).
pub const PULL_SILENT_LIVES_MAX: u32 = 2;
/// How long a camera is asked for UDP first because TCP brought nothing.
pub const PULL_TRANSPORT_MEMORY: Duration = Duration::from_secs(86_400);
/// Between two frames of a camera; a slow one gets three pictures' time.
pub const PULL_IDLE_TIME_MAX: Duration = Duration::from_secs(5);
/// Between two frames of a publisher.
pub const PUSH_IDLE_TIME_MAX: Duration = Duration::from_secs(10);

/// Buffers that a camera is given: one is read while the others are filled.
pub const CAMERA_BUFFERS: u32 = 4;
/// Opening a camera and agreeing on a format; some take seconds to wake.
pub const CAMERA_OPEN_TIME_MAX: Duration = Duration::from_secs(15);
/// How long the thread of the last run may take to let go of the camera.
pub const CAMERA_RELEASE_TIME_MAX: Duration = Duration::from_secs(5);
/// Without a usable picture for so long the queue is rebuilt, and after as long again the run ends;
/// slow cameras get three pictures' time and 2 s.
pub const CAMERA_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Pictures of a camera that codes them itself, on their way to the bus; past it the thread waits,
/// and the driver drops pictures.
pub const CAMERA_CODED_UNITS_MAX: usize = 4;
/// Looks, one a second, at which a camera's thread was not seen to come back from the driver.
pub const CAMERA_ANSWER_LOOKS_MAX: u32 = 15;
/// Pause between two looks whether a camera that is away has come back.
pub const CAMERA_LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Largest head of the answer of a camera that sends JPEG over HTTP; also of one line between
/// chunks.
pub const MJPEG_HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes between two pictures of such a camera; one that sends more sends no pictures.
pub const MJPEG_ODD_BYTES_MAX: usize = 64 << 10;
/// Redirects and questions for a password of such a camera that are followed before its pictures.
pub const MJPEG_REQUESTS_MAX: u32 = 5;
/// Pixels of a JPEG picture that is encoded here: those of level 5.2 of H.264.
pub const JPEG_PIXELS_MAX: u64 = 36_864 * 256;
/// Unreadable JPEG pictures in a row before the camera is reported as faulty.
pub const JPEGS_UNREADABLE_MAX: u32 = 50;

/// Streams of one pattern that publishers may begin, unless the configuration says otherwise.
pub const PUBLISHED_STREAMS_DEFAULT: usize = 8;
/// How long a stream that a publisher began stays without one, unless the configuration says
/// otherwise.
pub const PUBLISHED_LINGER_DEFAULT: Duration = Duration::from_secs(600);
/// How long such a stream keeps its place at least, though another one wants it: its encoder may
/// be between ANNOUNCE and RECORD, or on its way back.
pub const PUBLISHED_PLACE_TIME_MIN: Duration = Duration::from_secs(15);
/// Publishers that wait for a stream to begin at once; further ones are refused.
pub const PUBLISH_CALLS_MAX: usize = 16;
/// How long a stream may take to begin.
pub const PUBLISHED_BEGIN_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a camera that is pulled on demand is still pulled after the last who watched, unless the
/// configuration says otherwise.
pub const ON_DEMAND_LINGER_DEFAULT: Duration = Duration::from_secs(30);
/// Certificates of cameras that are remembered over restarts; those of further ones are believed
/// anew at each start.
pub const CAMERA_CERTIFICATES_MAX: usize = 256;
/// Largest file of them that is read.
pub const CAMERA_CERTIFICATES_BYTES_MAX: u64 = 64 << 10;
