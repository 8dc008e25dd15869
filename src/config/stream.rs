//! One `[stream.<name>]` section.
//!
//! Owns: the keys of each kind of source and of recording.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Value;
use url::Url;

use super::reader::{KeyFault, Section};
use super::{camera, encode, unit};
use crate::base::limits::{
    COMMAND_ARGUMENT_BYTES_MAX, COMMAND_ARGUMENTS_MAX, ON_DEMAND_LINGER_DEFAULT,
    STREAM_TITLE_CHARS_MAX,
};
use crate::base::name::StreamName;
use crate::base::secret::Secret;
use crate::dvr::Retention;
use crate::encode::EncoderSettings;
use crate::ingest::fingerprint::Fingerprint;
use crate::ingest::tls::Trust;
use crate::ingest::{self, command, mjpeg, pattern, redirect, rtsp_pull, rtsp_push, substream};
use crate::stream::Label;

const KINDS: &str =
    "\"rtsp_pull\", \"mjpeg\", \"v4l2\", \"rtsp_push\", \"command\", \"redirect\" or \"pattern\"";
const COMMAND: &str = "a program and its arguments, such as [\"rpicam-vid\", \"--output\", \"-\"]";
const MJPEG_URL: &str =
    "an http:// or https:// URL without user info, such as \"http://10.0.0.7/video.mjpg\"";
const PULL_URL: &str = "an rtsp:// URL without user info, such as \"rtsp://10.0.0.7:554/main\"";

/// What a stream is made from and how it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// Where it comes from.
    pub source: ingest::SourceConfig,
    /// How it is recorded; `None`: not at all.
    pub record: Option<Retention>,
    /// The stream that is the same picture made smaller, if there is one.
    pub sub: Option<StreamName>,
    /// What people call it, and whether it is on.
    pub label: Label,
}

/// The stream of one section, and the sub-stream that is made of it, if it is to have one.
pub(super) fn check(
    name: &StreamName,
    mut section: Section,
    faults: &mut Vec<KeyFault>,
) -> Option<(StreamConfig, Option<(StreamName, StreamConfig)>)> {
    let faults_before = faults.len();
    let label = check_label(&mut section, faults);
    let source = section.section("source", faults);
    if source.is_none() && faults.len() == faults_before {
        let right = format!("a table such as source = {{ kind = … }}, kind being {KINDS}");
        faults.push(section.fault(Some("source"), "missing".to_owned(), right));
    }
    let source = source.and_then(|source| check_source(source, faults));
    let record = match source {
        // There is nothing to record of what is elsewhere.
        Some(ingest::SourceConfig::Redirect(_)) => None,
        _ => check_record(&mut section, Some(Retention::default()), faults),
    };
    if record.is_some() && source.as_ref().is_some_and(|source| source.on_demand().is_some()) {
        let wrong = "on demand, and recorded: what is recorded is pulled all the time".to_owned();
        let right = "`record = false` in this section, or no `on_demand`".to_owned();
        let fault = section.fault(Some("source"), wrong, right);
        faults.push(KeyFault { path: format!("{}.on_demand", fault.path), ..fault });
    }
    let mut sub = section.parsed("sub", stream_name, faults);
    let made = check_made(&mut section, name, source.as_ref(), label.enabled, faults);
    if let Some((made, _)) = &made
        && let Some(other) = sub.replace(made.clone())
    {
        let right = "`sub` or `substream`, not both".to_owned();
        faults.push(section.fault(Some("sub"), format!("\"{other}\""), right));
    }
    section.finish(faults);
    Some((StreamConfig { source: source?, record, sub, label }, made))
}

fn check_label(section: &mut Section, faults: &mut Vec<KeyFault>) -> Label {
    let order = section.number("order", 0..=9_999, faults);
    Label {
        title: section.parsed("title", title, faults),
        enabled: section.flag("enabled", faults).unwrap_or(true),
        order: order.and_then(|order| u32::try_from(order).ok()),
    }
}

/// One line that says the same wherever it is shown: nothing in it turns the text around.
fn title(text: &str) -> Result<String, (String, &'static str)> {
    let right = "1 to 64 characters, such as \"Front gate\"";
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.trim().is_empty() || text.chars().count() > STREAM_TITLE_CHARS_MAX {
        return Err(("empty, or too long".to_owned(), right));
    }
    if text.chars().any(|c| c.is_control() || turns(c)) {
        return Err(("has characters that are not shown".to_owned(), right));
    }
    Ok(text.to_owned())
}

/// The sub-stream that is made of a source's raw pictures, under a name of its own.
fn check_made(
    section: &mut Section,
    main: &StreamName,
    source: Option<&ingest::SourceConfig>,
    enabled: bool,
    faults: &mut Vec<KeyFault>,
) -> Option<(StreamName, StreamConfig)> {
    let mut made = section.section("substream", faults)?;
    let wrong = |wrong: &str, right: &str| made.fault(None, wrong.to_owned(), right.to_owned());
    let (main_width, fps) = match source? {
        ingest::SourceConfig::Pattern(pattern) => (pattern.width, f32::from(pattern.fps)),
        ingest::SourceConfig::V4l2(camera) if camera.wish.format.is_raw() => {
            (camera.wish.width_or_default(), camera.wish.fps())
        }
        ingest::SourceConfig::V4l2(_) => {
            let right = "the source's `format` as \"mjpeg\", \"yuyv\" or \"nv12\"";
            faults.push(wrong("not made of H.264 that the camera may send", right));
            return None;
        }
        other => {
            let right = "`sub`, which names the camera's own second stream";
            faults.push(wrong(&format!("not made of {:?}", other.kind()), right));
            return None;
        }
    };
    let name = StreamName::parse(&format!("{main}-sub"));
    if name.is_err() {
        faults.push(wrong("the name would be too long", "a shorter name of the stream itself"));
    }
    let width = made.number("width", 160..=i64::from(main_width) - 1, faults);
    let width = width.and_then(|width| u32::try_from(width).ok()).unwrap_or(main_width.min(640));
    let encode = encode::check(&mut made, substream::SubstreamConfig::settings(), faults);
    let record = check_record(&mut made, None, faults);
    made.finish(faults);
    let source = substream::SubstreamConfig { of: main.clone(), width, fps, encode };
    let source = ingest::SourceConfig::Substream(source);
    let label = Label { enabled, ..Label::default() };
    Some((name.ok()?, StreamConfig { source, record, sub: None, label }))
}

fn stream_name(text: &str) -> Result<StreamName, (String, &'static str)> {
    let right = "the name of another stream, such as \"gate-sub\"";
    StreamName::parse(text).map_err(|error| (error.to_string(), right))
}

/// Whether every `sub` names a stream that can be one.
pub(super) fn check_subs(streams: &BTreeMap<StreamName, StreamConfig>, faults: &mut Vec<KeyFault>) {
    for (name, stream) in streams {
        let Some(sub) = &stream.sub else { continue };
        let wrong = match streams.get(sub) {
            _ if sub == name => "is the stream itself",
            None => "is not a stream here",
            Some(other) if other.sub.is_some() => "has a sub-stream of its own",
            Some(StreamConfig { source: ingest::SourceConfig::Redirect(_), .. }) => "is elsewhere",
            Some(_) => continue,
        };
        faults.push(KeyFault {
            path: format!("stream.{name}.sub"),
            wrong: format!("\"{sub}\" {wrong}"),
            right: "the name of another stream, which shows the same picture smaller".to_owned(),
        });
    }
}

fn check_source(mut section: Section, faults: &mut Vec<KeyFault>) -> Option<ingest::SourceConfig> {
    let Some(kind) = section.text("kind", faults) else {
        faults.push(section.fault(Some("kind"), "missing".to_owned(), KINDS.to_owned()));
        return None;
    };
    let source = match kind.as_str() {
        "pattern" => Some(ingest::SourceConfig::Pattern(check_pattern(&mut section, faults))),
        "v4l2" => Some(ingest::SourceConfig::V4l2(camera::check(&mut section, faults))),
        "command" => check_command(&mut section, faults).map(ingest::SourceConfig::Command),
        "rtsp_pull" => check_pull(&mut section, faults).map(ingest::SourceConfig::RtspPull),
        "mjpeg" => check_mjpeg(&mut section, faults).map(ingest::SourceConfig::Mjpeg),
        "rtsp_push" => {
            let take_over = section.flag("take_over", faults).unwrap_or(false);
            Some(ingest::SourceConfig::RtspPush(rtsp_push::PushConfig::new(take_over)))
        }
        "redirect" => check_url(&mut section, faults)
            .map(|url| ingest::SourceConfig::Redirect(redirect::RedirectConfig { url })),
        _ => {
            let wrong = format!("{kind:?} is not a kind of source");
            faults.push(section.fault(Some("kind"), wrong, KINDS.to_owned()));
            return None;
        }
    };
    section.finish(faults);
    source
}

fn check_pattern(section: &mut Section, faults: &mut Vec<KeyFault>) -> pattern::PatternConfig {
    let default = pattern::PatternConfig::default();
    let mut number = |key, range: std::ops::RangeInclusive<i64>, default: u32| {
        let number = section.number(key, range, faults);
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    pattern::PatternConfig {
        width: number("width", 160..=3_840, default.width),
        height: number("height", 120..=2_160, default.height),
        fps: u16::try_from(number("fps", 1..=60, u32::from(default.fps))).unwrap_or(default.fps),
        encode: encode::check(section, default.encode, faults),
    }
}

fn check_command(
    section: &mut Section,
    faults: &mut Vec<KeyFault>,
) -> Option<command::CommandConfig> {
    let before = faults.len();
    let command = section.parsed_list("command", argument, faults);
    let wrong = match &command {
        Some(command) if command.first().is_none_or(String::is_empty) => {
            "without a program".to_owned()
        }
        Some(command) if command.len() > COMMAND_ARGUMENTS_MAX => {
            format!("more than {COMMAND_ARGUMENTS_MAX} arguments")
        }
        None if faults.len() == before => "missing".to_owned(),
        _ => return command.map(command::CommandConfig::new),
    };
    faults.push(section.fault(Some("command"), wrong, COMMAND.to_owned()));
    None
}

/// The text is never repeated: there may be passwords in it.
fn argument(text: &str) -> Result<String, (String, &'static str)> {
    if text.contains('\0') || text.len() > COMMAND_ARGUMENT_BYTES_MAX {
        return Err(("too long, or with a zero in it".to_owned(), "one argument of a command"));
    }
    Ok(text.to_owned())
}

fn check_pull(section: &mut Section, faults: &mut Vec<KeyFault>) -> Option<rtsp_pull::PullConfig> {
    let url = check_url(section, faults);
    let (username, password) = check_credentials(section, faults);
    let transport = section.parsed("transport", transport, faults).unwrap_or_default();
    let encode = encode::check(section, EncoderSettings::default(), faults);
    let trust = check_trust(section, faults);
    let on_demand = check_on_demand(section, faults);
    let mut config = rtsp_pull::PullConfig::new(url?, username, password, transport).ok()?;
    config.encode = encode;
    config.trust = trust;
    config.on_demand = on_demand;
    Some(config)
}

/// Takes `on_demand` and `linger`: for how long a camera is pulled after the last who watched.
fn check_on_demand(section: &mut Section, faults: &mut Vec<KeyFault>) -> Option<Duration> {
    let on_demand = section.flag("on_demand", faults).unwrap_or(false);
    let linger = section.parsed("linger", unit::duration, faults);
    on_demand.then(|| linger.unwrap_or(ON_DEMAND_LINGER_DEFAULT))
}

/// Takes `tls`: which certificate of the camera is believed.
fn check_trust(section: &mut Section, faults: &mut Vec<KeyFault>) -> Trust {
    let Some(mut tls) = section.section("tls", faults) else { return Trust::First };
    let fingerprint = tls.parsed("fingerprint", fingerprint, faults);
    let authority = tls.text("ca", faults).map(std::path::PathBuf::from);
    let trust = match (fingerprint, authority) {
        (Some(fingerprint), None) => Trust::Pinned(fingerprint),
        (None, Some(path)) => Trust::Authority(path),
        (None, None) => Trust::First,
        (Some(_), Some(_)) => {
            let right = "`fingerprint` or `ca`, not both".to_owned();
            faults.push(tls.fault(Some("ca"), "a second way to believe it".to_owned(), right));
            Trust::First
        }
    };
    tls.finish(faults);
    trust
}

fn fingerprint(text: &str) -> Result<Fingerprint, (String, &'static str)> {
    let right = "the SHA-256 of a certificate, 64 hexadecimal digits";
    Fingerprint::parse(text).ok_or_else(|| ("no fingerprint".to_owned(), right))
}

fn check_mjpeg(section: &mut Section, faults: &mut Vec<KeyFault>) -> Option<mjpeg::MjpegConfig> {
    let before = faults.len();
    let url = section.parsed("url", mjpeg_url, faults);
    if url.is_none() && faults.len() == before {
        faults.push(section.fault(Some("url"), "missing".to_owned(), MJPEG_URL.to_owned()));
    }
    let (username, password) = check_credentials(section, faults);
    let encode = encode::check(section, EncoderSettings::default(), faults);
    let trust = check_trust(section, faults);
    let on_demand = check_on_demand(section, faults);
    let config = mjpeg::MjpegConfig::new(url?, username.zip(password));
    Some(mjpeg::MjpegConfig { trust, encode, on_demand, ..config })
}

fn mjpeg_url(text: &str) -> Result<Url, (String, &'static str)> {
    // Never repeated, as with RTSP.
    let url = Url::parse(text).map_err(|error| (format!("not a URL ({error})"), MJPEG_URL))?;
    match mjpeg::MjpegConfig::url_fault(&url) {
        None => Ok(url),
        Some(wrong) => Err((wrong.to_owned(), MJPEG_URL)),
    }
}

/// Takes `username` and `password`, which come together.
fn check_credentials(
    section: &mut Section,
    faults: &mut Vec<KeyFault>,
) -> (Option<String>, Option<Secret>) {
    let username = section.text("username", faults);
    let password = section.secret("password", faults);
    if username.is_some() != password.is_some() {
        let key = if username.is_some() { "password" } else { "username" };
        let right = "`username` and `password` together, or neither".to_owned();
        faults.push(section.fault(Some(key), "missing".to_owned(), right));
    }
    (username, password)
}

fn check_url(section: &mut Section, faults: &mut Vec<KeyFault>) -> Option<Url> {
    let before = faults.len();
    let url = section.parsed("url", pull_url, faults);
    if url.is_none() && faults.len() == before {
        faults.push(section.fault(Some("url"), "missing".to_owned(), PULL_URL.to_owned()));
    }
    url
}

fn pull_url(text: &str) -> Result<Url, (String, &'static str)> {
    // The text itself is never repeated: people paste URLs with passwords in them.
    let url = Url::parse(text).map_err(|error| (format!("not a URL ({error})"), PULL_URL))?;
    rtsp_pull::PullConfig::check_url(&url).map_err(|error| (error.to_string(), PULL_URL))?;
    Ok(url)
}

fn transport(text: &str) -> Result<rtsp_pull::PullTransport, (String, &'static str)> {
    match text {
        "auto" => Ok(rtsp_pull::PullTransport::Auto),
        "http" => Ok(rtsp_pull::PullTransport::Http),
        "multicast" => Ok(rtsp_pull::PullTransport::Multicast),
        "tcp" => Ok(rtsp_pull::PullTransport::Tcp),
        "udp" => Ok(rtsp_pull::PullTransport::Udp),
        _ => Err((
            format!("{text:?} is not a transport"),
            "\"auto\", \"tcp\", \"udp\", \"multicast\" or \"http\"",
        )),
    }
}

pub(super) fn check_record(
    section: &mut Section,
    default: Option<Retention>,
    faults: &mut Vec<KeyFault>,
) -> Option<Retention> {
    // `record = false` switches recording off; a table changes how it is done.
    let mut record = match section.take("record") {
        None => return default,
        Some(Value::Boolean(true)) => return Some(Retention::default()),
        Some(Value::Boolean(false)) => return None,
        Some(Value::Table(table)) => section.inner("record", table),
        Some(other) => {
            let wrong = format!("{} found", other.type_str());
            faults.push(section.fault(Some("record"), wrong, "true, false or a table".to_owned()));
            return None;
        }
    };
    let config = Retention {
        min_bytes: record.parsed("keep_min", unit::size, faults).unwrap_or(0),
        max_bytes: record.parsed("keep_max", unit::size, faults),
        max_age: record.parsed("max_age", unit::duration, faults),
    };
    record.finish(faults);
    Some(config)
}
