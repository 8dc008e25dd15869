//! One connection to a camera that sends JPEG over HTTP.
//!
//! Owns: the socket, the request, the log-in, and the time-outs.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::{MjpegConfig, MjpegError};
use crate::base::limits::{
    MJPEG_REQUESTS_MAX, PULL_CONNECT_TIME_MAX, PULL_DESCRIBE_TIME_MAX, PULL_FIRST_FRAME_TIME_MAX,
    PULL_IDLE_TIME_MAX, PULL_READ_BYTES, SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW,
};
use crate::base::time::BootTime;
use crate::ingest::camera_error::CameraError;
use crate::ingest::jpeg::{JpegEncoder, JpegError};
use crate::ingest::raw::RawError;
use crate::ingest::rtp::FloodGate;
use crate::ingest::run::CaptureStamp;
use crate::ingest::tls::{self, Socket};
use crate::media::{Captured, ClockSource};
use crate::stream::Stream;
use crate::supervise::TaskContext;
use crate::wire::mjpeg::{Head, HttpPictures, MjpegItem, NoPictures};
use crate::wire::rtsp::auth::Challenge;

type Failed = RawError<MjpegError>;

/// A connection whose answer is the pictures.
struct Connection<'a> {
    config: &'a MjpegConfig,
    stream: Arc<Stream>,
    context: &'a TaskContext,
    socket: Option<Socket>,
    pictures: HttpPictures,
    buffer: Vec<u8>,
    gate: FloodGate,
}

/// Runs until something ends it.
pub(super) async fn run(
    config: &MjpegConfig,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, Failed> {
    let mut encoder = JpegEncoder::new(config.encode.clone(), Arc::clone(&stream), context.clone());
    let mut connection = Connection {
        config,
        stream,
        context: &context,
        socket: None,
        pictures: HttpPictures::default(),
        buffer: vec![0; PULL_READ_BYTES],
        gate: FloodGate::new(SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW),
    };
    let stop = context.stop.clone();
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Err(RawError::Stopped),
        ended = connection.go_on(&mut encoder) => ended,
    };
    encoder.close().await;
    ended
}

impl Connection<'_> {
    async fn go_on(&mut self, encoder: &mut JpegEncoder) -> Result<Infallible, Failed> {
        self.open().await?;
        let (mut count, mut lost) = (0_u64, 0_u16);
        let mut heard = self.context.clock.boot();
        loop {
            self.context.heartbeat.beat();
            let found = self.pictures.next_item().map_err(|what| self.no_pictures(what))?;
            let Some(MjpegItem::Picture { jpeg, lost: broken }) = found else {
                let most = if count == 0 { PULL_FIRST_FRAME_TIME_MAX } else { PULL_IDLE_TIME_MAX };
                let stalled = || RawError::Source(MjpegError::Stalled { waited: most });
                let left = heard.after(most).since(self.context.clock.boot());
                let Ok(read) = timeout(left, self.read()).await else { return Err(stalled()) };
                if !read? {
                    return Err(RawError::Source(self.ended(count)));
                }
                // Bytes that never make a picture are silence too.
                if self.context.clock.boot() >= heard.after(most) {
                    return Err(stalled());
                }
                continue;
            };
            heard = self.context.clock.boot();
            (count, lost) = (count + 1, lost.saturating_add(broken));
            let taken = self.taken(heard, std::mem::take(&mut lost));
            encoder.put(jpeg, taken).await.map_err(from_jpeg)?;
        }
    }

    fn taken(&self, at: BootTime, lost_before: u16) -> CaptureStamp {
        let captured = Captured { wall: self.context.clock.wall(), source: ClockSource::Arrival };
        CaptureStamp { at, captured, lost_before }
    }

    /// Asks until the pictures begin: with credentials where they are wanted, and elsewhere on the
    /// same host where that is said.
    async fn open(&mut self) -> Result<(), Failed> {
        let mut url = self.config.url.clone();
        let mut challenge: Option<Challenge> = None;
        for _ in 0..MJPEG_REQUESTS_MAX {
            let head = self.ask(&url, challenge.as_ref()).await?;
            let stream = self.stream.name().to_string();
            let wrong = match head.status {
                200..=299 => return Ok(()),
                401 if self.config.credentials.is_none() => {
                    CameraError::CredentialsMissing { stream }.into()
                }
                401 => match Challenge::best(head.all("WWW-Authenticate")) {
                    Some(offered)
                        if challenge.as_ref().is_none_or(|old| offered.may_follow(old)) =>
                    {
                        challenge = Some(offered);
                        continue;
                    }
                    _ => CameraError::Refused { stream }.into(),
                },
                301 | 302 | 303 | 307 | 308 => match moved(&url, &head) {
                    Ok(to) => {
                        url = to;
                        continue;
                    }
                    Err(address) => MjpegError::Redirected { address, stream },
                },
                status => MjpegError::Status { status, stream },
            };
            return Err(RawError::Source(wrong));
        }
        let (address, stream) =
            ("an address that leads nowhere".to_owned(), self.stream.name().to_string());
        Err(RawError::Source(MjpegError::Redirected { address, stream }))
    }

    /// Connects, asks for `url`, and reads the head of the answer.
    async fn ask(&mut self, url: &Url, challenge: Option<&Challenge>) -> Result<Head, Failed> {
        let mut socket = self.connect(url).await?;
        let answered = async {
            socket.write_all(self.request(url, challenge).as_bytes()).await.ok()?;
            self.socket = Some(socket);
            self.pictures = HttpPictures::default();
            loop {
                match self.pictures.next_item() {
                    Ok(Some(MjpegItem::Head(head))) => return Some(Ok(head)),
                    Err(what) => return Some(Err(self.no_pictures(what))),
                    Ok(_) => match self.read().await {
                        Ok(true) => {}
                        Ok(false) => return None,
                        Err(error) => return Some(Err(error)),
                    },
                }
            }
        };
        match timeout(PULL_DESCRIBE_TIME_MAX, answered).await {
            Ok(Some(head)) => head,
            Ok(None) => Err(RawError::Source(MjpegError::Closed)),
            Err(_) => {
                let waited = PULL_DESCRIBE_TIME_MAX;
                Err(RawError::Source(MjpegError::Stalled { waited }))
            }
        }
    }

    fn request(&self, url: &Url, challenge: Option<&Challenge>) -> String {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{}{query}", url.path());
        let authorization = challenge.zip(self.config.credentials.as_ref()).map(
            |(challenge, (username, password))| {
                let cnonce = format!("{:016x}", fastrand::u64(..));
                let answer = challenge.answer((username, password), ("GET", &uri), (1, &cnonce));
                format!("Authorization: {answer}\r\n")
            },
        );
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "GET {uri} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: Holdfast\r\nAccept: */*\r\n\
             {}Connection: close\r\n\r\n",
            authorization.unwrap_or_default()
        )
    }

    async fn connect(&self, url: &Url) -> Result<Socket, Failed> {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connecting = TcpStream::connect((host, url.port_or_known_default().unwrap_or(80)));
        let detail = match timeout(PULL_CONNECT_TIME_MAX, connecting).await {
            Ok(Ok(socket)) if url.scheme() == "https" => return self.secured(socket, url).await,
            Ok(Ok(socket)) => return Ok(Box::new(socket)),
            Ok(Err(error)) => CameraError::why_unreachable(&error),
            Err(_) => "it does not answer",
        };
        let (address, stream) = (self.config.address(), self.stream.name().to_string());
        let unreachable = CameraError::Unreachable { address, detail, stream };
        Err(RawError::Source(unreachable.into()))
    }

    /// Speaks TLS over `socket`, if the camera's certificate is believed.
    async fn secured(&self, socket: TcpStream, url: &Url) -> Result<Socket, Failed> {
        let host = url.host_str().unwrap_or_default();
        let camera = tls::Camera {
            host: host.trim_start_matches('[').trim_end_matches(']'),
            address: &self.config.address(),
            trust: &self.config.trust,
            known: &self.config.known,
        };
        let secured = tls::secured(socket, camera, &self.stream, "http", PULL_CONNECT_TIME_MAX);
        secured.await.map_err(|error| RawError::Source(error.into()))
    }

    /// Reads what there is; `false` when nothing more will come.
    async fn read(&mut self) -> Result<bool, Failed> {
        let Some(socket) = &mut self.socket else { return Ok(false) };
        let length = match socket.read(&mut self.buffer).await {
            Ok(length) => length,
            Err(error) if CameraError::is_hang_up(&error) => 0,
            Err(_) => return Err(RawError::Source(MjpegError::Broken)),
        };
        if !self.gate.pass(self.context.clock.boot(), length) {
            let max_mib_per_sec = SOURCE_BYTES_PER_SEC_MAX >> 20;
            return Err(RawError::Source(MjpegError::Flooded { max_mib_per_sec }));
        }
        self.pictures.receive(&self.buffer[..length]);
        Ok(length > 0)
    }

    fn no_pictures(&self, what: NoPictures) -> Failed {
        let (address, stream) = (self.config.address(), self.stream.name().to_string());
        RawError::Source(MjpegError::NoPictures { address, what, stream })
    }

    /// What it means that the answer ended after so many pictures.
    fn ended(&self, pictures: u64) -> MjpegError {
        match pictures {
            1 => MjpegError::OnePicture { stream: self.stream.name().to_string() },
            _ => MjpegError::Closed,
        }
    }
}

/// Where a redirect leads, if it is on the host of `from`; else host and port to tell.
fn moved(from: &Url, head: &Head) -> Result<Url, String> {
    let nowhere = || "an address that leads nowhere".to_owned();
    let mut to = from.join(head.get("Location").unwrap_or_default()).map_err(|_| nowhere())?;
    let host = to.host_str().map(str::to_owned).ok_or_else(nowhere)?;
    // What is protected stays so.
    let is_kept = to.scheme() == from.scheme() || (from.scheme(), to.scheme()) == ("http", "https");
    if !is_kept || from.host_str() != Some(&host) {
        let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
        return Err(format!("{}://{host}{port}", to.scheme()));
    }
    // These fail only for URLs without a host.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(to)
}

fn from_jpeg(error: RawError<JpegError>) -> Failed {
    match error {
        RawError::Source(error) => RawError::Source(error.into()),
        RawError::Encode(error) => RawError::Encode(error),
        RawError::Params(error) => RawError::Params(error),
        RawError::Thread(error) => RawError::Thread(error),
        RawError::Ended(what) => RawError::Ended(what),
        RawError::Stopped => RawError::Stopped,
    }
}
