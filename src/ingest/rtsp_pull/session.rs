//! From a URL to flowing frames: DESCRIBE, SETUP of the tracks we carry, PLAY.
//!
//! Owns: the options that awkward cameras need, and the time each step may take.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use retina::client::{
    Credentials, Demuxed, Described, InitialSequenceNumberPolicy, InitialTimestampPolicy,
    PlayOptions, Session, SessionIdPolicy, SessionOptions, SetupOptions, TcpTransportOptions,
    TeardownPolicy, UdpTransportOptions, UnassignedChannelDataPolicy, UnknownRtcpSsrcPolicy,
};
use retina::codec::{FrameFormat, ParametersRef};

use super::error::{PullError, Step, Whom, from_retina};
use super::{Config, Transport};
use crate::base::limits::{PULL_STALE_TIME_MAX, TRACKS_MAX};
use crate::ingest::rtp::LaneSpec;
use crate::media::codec::Law;
use crate::media::{CodecParams, Kind};
use crate::supervise::Heartbeat;

/// A playing session and the tracks that were set up.
pub(super) struct Link {
    pub(super) frames: Demuxed,
    /// Video first, if there is any; at most one of each kind.
    pub(super) wanted: Vec<Wanted>,
}

/// A track that was set up.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its index in retina's list.
    pub(super) source: usize,
    /// Its parameters are known at once for audio, and for video whose description has the sets.
    pub(super) spec: LaneSpec,
}

/// Opens a session on `config`'s camera.
pub(super) async fn open(
    config: &Config,
    whom: &Whom,
    heartbeat: &Heartbeat,
) -> Result<Link, PullError> {
    let sessions = config.memory.sessions();
    let stale = sessions.stale_sessions();
    if stale.num_sessions > 0 {
        let gone = sessions.await_stale_sessions(&stale);
        let _ = tokio::time::timeout(PULL_STALE_TIME_MAX, gone).await;
    }
    let mut session = describe(config, whom).await?;
    heartbeat.beat();
    let wanted = choose(session.streams())?;
    for track in &wanted {
        let options = SetupOptions::default()
            .transport(match config.transport {
                Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
                Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
            })
            .frame_format(FrameFormat::MP4);
        let setup = session.setup(track.source, options);
        within(setup, Step::Setup, config.bounds.describe, whom).await?;
        heartbeat.beat();
    }
    let options = PlayOptions::default()
        .initial_timestamp(InitialTimestampPolicy::Permissive)
        // GStreamer 1.22 tells a joiner of a shared medium the number of another client's moment;
        // the first packet knows better. Seen with tests/camera, eight clients at once.
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .unknown_rtcp_ssrc(UnknownRtcpSsrcPolicy::DropPackets);
    let session = within(session.play(options), Step::Play, config.bounds.describe, whom).await?;
    let frames = session.demuxed().map_err(|error| from_retina(&error, Step::Play, whom))?;
    Ok(Link { frames, wanted })
}

fn session_options(config: &Config) -> SessionOptions {
    let creds = config.username.as_ref().map(|username| Credentials {
        username: username.clone(),
        password: config.password.as_ref().map_or_else(String::new, |p| p.reveal().to_owned()),
    });
    SessionOptions::default()
        .creds(creds)
        .user_agent(concat!("Holdfast/", env!("CARGO_PKG_VERSION")).to_owned())
        .session_group(config.memory.sessions())
        .session_id(SessionIdPolicy::UseFirst)
        .unassigned_channel_data(UnassignedChannelDataPolicy::Ignore)
        .teardown(TeardownPolicy::Auto)
}

/// Connects and asks for the description.
///
/// retina connects and asks in one step. When no answer is there after the time for connecting,
/// a second connection tells a camera that is slow from one that is not there.
async fn describe(config: &Config, whom: &Whom) -> Result<Session<Described>, PullError> {
    let described = Session::describe(config.url.clone(), session_options(config));
    tokio::pin!(described);
    if let Ok(answer) = tokio::time::timeout(config.bounds.connect, &mut described).await {
        return answer.map_err(|error| from_retina(&error, Step::Describe, whom));
    }
    let probe = tokio::net::TcpStream::connect(&whom.address);
    let detail = match tokio::time::timeout(config.bounds.connect / 5, probe).await {
        Ok(Ok(_)) => return within(described, Step::Describe, config.bounds.describe, whom).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    let (address, stream) = (whom.address.clone(), whom.stream.clone());
    Err(PullError::Unreachable { address, detail, stream })
}

async fn within<T>(
    request: impl Future<Output = Result<T, retina::Error>>,
    step: Step,
    most: Duration,
    whom: &Whom,
) -> Result<T, PullError> {
    match tokio::time::timeout(most, request).await {
        Ok(answer) => answer.map_err(|error| from_retina(&error, step, whom)),
        Err(_) => Err(PullError::Silent { address: whom.address.clone(), step, waited: most }),
    }
}

/// The first video and the first audio track that we carry, video first.
fn choose(offered: &[retina::client::Stream]) -> Result<Vec<Wanted>, PullError> {
    let mut wanted = Vec::with_capacity(TRACKS_MAX);
    for kind in [Kind::Video, Kind::Audio] {
        for (source, stream) in offered.iter().enumerate() {
            if let Some(track) = carried(source, stream, kind)? {
                wanted.push(track);
                break;
            }
        }
    }
    if wanted.is_empty() {
        let mut names: Vec<_> = offered.iter().map(|s| s.encoding_name().to_uppercase()).collect();
        names.truncate(TRACKS_MAX);
        let offers = if names.is_empty() { "no track".to_owned() } else { names.join(", ") };
        let offers = offers.chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(PullError::NothingCarried { offers });
    }
    Ok(wanted)
}

/// `stream` as a track of `kind`, if it is one that we carry.
fn carried(
    source: usize,
    stream: &retina::client::Stream,
    kind: Kind,
) -> Result<Option<Wanted>, PullError> {
    let Some(clock_rate) = NonZeroU32::new(stream.clock_rate_hz()) else { return Ok(None) };
    let params = match (kind, stream.media(), stream.encoding_name()) {
        (Kind::Video, "video", "h264" | "h265") => match stream.parameters() {
            Some(ParametersRef::Video(video)) => Some(CodecParams::from_video(video)?),
            _ => None,
        },
        (Kind::Audio, "audio", "mpeg4-generic") => match stream.parameters() {
            Some(ParametersRef::Audio(audio)) => Some(CodecParams::from_aac(audio)?),
            _ => return Ok(None),
        },
        (Kind::Audio, "audio", name @ ("pcma" | "pcmu")) => {
            let law = if name == "pcma" { Law::A } else { Law::Mu };
            let channels = stream.channels().map_or(1, std::num::NonZeroU16::get);
            Some(CodecParams::g711(law, clock_rate, channels))
        }
        _ => return Ok(None),
    };
    // Media time is counted in the clock of the parameters; a track that says two is not carried.
    if params.as_ref().is_some_and(|params| params.clock_rate != clock_rate) {
        return Ok(None);
    }
    Ok(Some(Wanted { source, spec: LaneSpec { kind, clock_rate, params: params.map(Arc::new) } }))
}
