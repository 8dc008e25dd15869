//! A recording with a gap, and a viewer of it over a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use holdfast::base::time::{BootTime, WallTime};
use holdfast::media::{RunId, Tracks};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;
use crate::door::TestBox;
use crate::footage::Footage;

/// Footage on the disk: from zero to 6.5 s, then three seconds of nothing, then from 7 s on.
pub(super) struct Recorded {
    pub(super) door: TestBox,
    /// Checksums of all pictures, of which each lasts 40 ms.
    pub(super) sums: Vec<String>,
    /// When it begins.
    pub(super) begins: WallTime,
    pub(super) base: BootTime,
    pub(super) footage: Footage,
}

pub(super) const PICTURE_MS: i64 = 40;
/// The first pictures that are missing, and the first that come again.
pub(super) const GAP: (usize, usize) = (162, 175);
pub(super) const GAP_MS: i64 = 3_000;
pub(super) const SECS: u32 = 20;

impl Recorded {
    pub(super) async fn new() -> Self {
        let mut footage = crate::footage::footage(SECS, 25, 300);
        let sums = sums(&file_of(&footage)).await;
        let door = TestBox::recording().await;
        door.go_live(&footage);
        let base = door.clock.boot().before(Duration::from_secs(40));
        door.publish(&footage, base, 0, 6_480).await;
        let params = footage.tracks.list.iter().map(|track| Arc::clone(&track.params));
        footage.tracks = Arc::new(Tracks::new(RunId(2), params));
        door.go_live(&footage);
        let base = base.after(Duration::from_millis(GAP_MS.unsigned_abs()));
        door.publish(&footage, base, 6_600, 16_000).await;
        let name = door.stream.name().clone();
        let newest = || door.dvr.listing(&name).runs.last().map(|run| (run.start, run.end));
        let mut waited = 0;
        let begins = loop {
            let runs = door.dvr.listing(&name).runs;
            if let (2, Some((start, end))) = (runs.len(), newest())
                && end.as_unix_nanos() - start.as_unix_nanos() > 7_900_000_000
            {
                break runs[0].start;
            }
            waited += 1;
            assert!(waited < 300, "{runs:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        Self { door, sums, begins, base, footage }
    }

    /// The date of a picture.
    pub(super) fn date(&self, picture: usize) -> WallTime {
        let ms = i64::try_from(picture).unwrap() * PICTURE_MS;
        let gap_ms = if picture >= GAP.1 { GAP_MS } else { 0 };
        self.begins.offset_nanos((ms + gap_ms) * 1_000_000)
    }

    /// Somewhere in the time of a picture.
    pub(super) fn inside(&self, picture: usize) -> String {
        self.date(picture).offset_nanos(20_000_000).to_rfc3339()
    }

    pub(super) async fn play(&self, picture: usize, speed: f64) -> Player {
        self.open(&self.inside(picture), speed).await
    }

    pub(super) async fn open(&self, start: &str, speed: f64) -> Player {
        let url = format!("ws://{}/play/gate/ws?start={start}&speed={speed}", self.door.addr);
        Player { socket: connect_async(url).await.unwrap().0, got: Vec::new(), last: 0.0 }
    }
}

pub(super) fn file_of(footage: &Footage) -> Vec<u8> {
    use holdfast::wire::mp4::{FragmentBuilder, init_segment};
    let mut file = init_segment(&footage.tracks).to_vec();
    let mut fragment = FragmentBuilder::new(1);
    footage.units.iter().for_each(|unit| fragment.push(Arc::clone(unit)));
    file.extend_from_slice(&fragment.build(None).to_bytes());
    file
}

/// What each picture of a file hashes to.
pub(super) async fn sums(mp4: &[u8]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.mp4");
    std::fs::write(&path, mp4).unwrap();
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-xerror", "-i"]).arg(&path);
    command.args(["-map", "0:v", "-fps_mode", "passthrough", "-f", "framecrc", "-"]);
    let out = command.output().await.expect("ffmpeg must be installed (Debian package ffmpeg)");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(out.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(", ").next().unwrap().to_owned()).collect()
}

/// Samples of sound in a file, all of which decode.
pub(super) async fn sound(mp4: &[u8]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.mp4");
    std::fs::write(&path, mp4).unwrap();
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-xerror", "-i"]).arg(&path);
    command.args(["-map", "0:a", "-f", "s16le", "-"]);
    let out = command.output().await.expect("ffmpeg must be installed (Debian package ffmpeg)");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{said}");
    out.stdout.len() / 2
}

/// A viewer, and all its messages since the last command.
pub(super) struct Player {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) got: Vec<Got>,
    /// The end of what came last, in seconds of its timeline.
    pub(super) last: f64,
}

#[derive(Debug)]
pub(super) enum Got {
    Told(Value),
    Media(Vec<u8>),
}

impl Player {
    pub(super) async fn ask(&mut self, ask: Value) {
        self.socket.send(Message::text(ask.to_string())).await.unwrap();
    }

    /// Reads until `enough`, telling with every part that it was shown if it `shows`.
    pub(super) async fn read(&mut self, shows: bool, enough: impl Fn(&Self) -> bool) {
        let read = async {
            // What was announced has come too.
            while self.told().last().is_some_and(|told| told["part"].is_object())
                && matches!(self.got.last(), Some(Got::Told(_)))
                || !enough(self)
            {
                match self.socket.next().await.expect("goes on").expect("is whole") {
                    Message::Text(text) => {
                        let told: Value = serde_json::from_str(&text).unwrap();
                        let sound_alone = told["part"]["pictures"] == json!([]);
                        if let (Some(end), false) = (told["part"]["end_secs"].as_f64(), sound_alone)
                        {
                            assert!(end > self.last, "the timeline grows: {told} {}", self.last);
                            self.last = end;
                            if shows {
                                self.ask(json!({"at": end})).await;
                            }
                        }
                        self.got.push(Got::Told(told));
                    }
                    Message::Binary(bytes) => self.got.push(Got::Media(bytes.into())),
                    Message::Ping(_) => {}
                    other => panic!("{other:?} after {:?}", self.told()),
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        assert!(read.is_ok(), "{:?}", self.told());
    }

    pub(super) fn told(&self) -> Vec<&Value> {
        let told = self.got.iter();
        told.filter_map(|got| if let Got::Told(told) = got { Some(told) } else { None }).collect()
    }

    pub(super) fn all(&self, key: &str) -> Vec<&Value> {
        self.told().into_iter().filter_map(|told| told.get(key)).collect()
    }

    /// The pictures: when each is shown, and its date according to the messages.
    pub(super) fn pictures(&self) -> Vec<(f64, f64)> {
        let mut pictures = Vec::new();
        for part in self.all("part") {
            let field = |name: &str| part[name].as_f64().unwrap();
            for secs in part["pictures"].as_array().unwrap() {
                let secs = secs.as_f64().unwrap();
                let since_ms = (secs - field("media_secs")) * 1_000.0 * field("way");
                pictures.push((secs, field("wall_ms") + since_ms));
            }
        }
        pictures
    }

    /// Everything that follows the last hello, as a file.
    pub(super) fn file(&self) -> Vec<u8> {
        let hello = self
            .got
            .iter()
            .rposition(|got| matches!(got, Got::Told(t) if t.get("hello").is_some()));
        let media = self.got[hello.unwrap()..].iter();
        media
            .filter_map(|got| if let Got::Media(m) = got { Some(&m[..]) } else { None })
            .collect::<Vec<_>>()
            .concat()
    }

    pub(super) fn forget(&mut self) {
        self.got.clear();
    }

    /// The last word, and the code with which the socket is closed.
    pub(super) async fn farewell(&mut self) -> (String, u16) {
        let mut code = String::new();
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let told: Value = serde_json::from_str(&text).unwrap();
                        if let Some(error) = told.get("error") {
                            assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
                            error["code"].as_str().unwrap().clone_into(&mut code);
                        }
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return frame.map_or(1005, |f| f.code.into());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("no farewell: {other:?}"),
                }
            }
        };
        let close = tokio::time::timeout(PATIENCE, read).await.expect("a farewell");
        (code, close)
    }
}

/// Dates match to the millisecond, through 64-bit floats.
pub(super) fn assert_dates(
    recorded: &Recorded,
    pictures: &[(f64, f64)],
    which: impl Iterator<Item = usize>,
) {
    for ((_, told_ms), picture) in pictures.iter().zip(which) {
        #[allow(clippy::cast_precision_loss)]
        let wanted_ms = recorded.date(picture).as_unix_nanos() as f64 / 1e6;
        assert!((told_ms - wanted_ms).abs() < 1.0, "picture {picture}: {told_ms} {wanted_ms}");
    }
}
