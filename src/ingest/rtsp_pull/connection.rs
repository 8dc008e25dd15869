//! One connection to a camera: sockets under the RTSP session, packets into the run.
//!
//! Owns: the datagram sockets, and the deadlines of all; [`Link`] is the connection itself.
//! [`wire::rtsp::client`](crate::wire::rtsp::client) decides what to send;
//! [`ingest::rtp`](crate::ingest::rtp) handles the packets.
//!
//! Memory: the session holds one message, each track its reordering buffer and one access unit,
//! all of them bounded in `base::limits`; one datagram or read is held beside them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::time::Instant;

use super::error::{NextTry, PullError, Whom};
use super::link::{Dialer, Ends, Link};
use super::udp::{self, DATAGRAM_BYTES_MAX, Port};
use super::{PullBounds, PullConfig, PullTransport};
use crate::base::limits::{PULL_GOODBYE_TIME_MAX, PULL_READ_BYTES};
use crate::base::time::BootTime;
use crate::ingest::jpeg::JpegEncoder;
use crate::ingest::rtp::{
    FloodGate, MissingFrame, Now, Overdue, RunBuilder, RunInput, TrackInput, TrackSpec, choose,
    not_carried,
};
use crate::stream::Stream;
use crate::supervise::TaskContext;
use crate::wire::rtsp::Medium;
use crate::wire::rtsp::client::{
    self, ClientCommand, ClientEvent, ClientSession, ClientStep, ClientTransport, Path,
};

/// Datagrams that are taken before anything else gets its turn.
const DATAGRAMS_AT_ONCE: usize = 64;

/// One connection on its way.
pub(super) struct PullConnection<'a> {
    config: &'a PullConfig,
    whom: &'a Whom,
    stream: &'a Arc<Stream>,
    context: &'a TaskContext,
    session: ClientSession,
    link: Option<Link<'a>>,
    ends: Ends,
    ports: Vec<Port>,
    /// What was chosen and is not set up yet.
    chosen: Vec<(TrackInput, TrackSpec)>,
    /// What was set up, with its channel for reports inside the connection.
    set_up: Vec<(TrackInput, TrackSpec)>,
    channels: Vec<(usize, u8)>,
    input: Option<RunInput>,
    /// How its media comes.
    used: ClientTransport,
    /// Media came.
    heard: bool,
    /// Where pictures of JPEG are encoded.
    encoder: Option<JpegEncoder>,
    out: Vec<u8>,
}

impl<'a> PullConnection<'a> {
    pub(super) fn new(
        config: &'a PullConfig,
        whom: &'a Whom,
        stream: &'a Arc<Stream>,
        context: &'a TaskContext,
    ) -> Self {
        let session = ClientSession::new(
            context.clock.boot(),
            client::ClientConfig {
                url: config.url.clone(),
                credentials: config.credentials(),
                carrier: config.transport.carrier(),
                transports: transports(config, context.clock.boot()),
                answer_time: config.bounds.describe,
                seed: fastrand::u64(..),
            },
        );
        Self {
            config,
            whom,
            stream,
            context,
            session,
            link: None,
            ends: None,
            ports: Vec::new(),
            chosen: Vec::new(),
            set_up: Vec::new(),
            channels: Vec::new(),
            input: None,
            used: ClientTransport::Tcp,
            heard: false,
            encoder: None,
            out: Vec::new(),
        }
    }

    /// Runs until something ends it, and says goodbye.
    pub(super) async fn run(mut self) -> Result<Infallible, PullError> {
        let stop = self.context.stop.clone();
        let Err(error) = tokio::select! {
            biased;
            () = stop.cancelled() => Err(PullError::Stopped),
            ended = self.go_on() => ended,
        };
        if let Some(encoder) = self.encoder.take() {
            encoder.close().await;
        }
        let now = self.now();
        if let Some(input) = &mut self.input {
            input.finish(now);
        }
        self.session.command(now.boot, ClientCommand::Leave);
        while let ClientStep::Send(bytes) = self.session.poll(now.boot) {
            self.out.extend_from_slice(&bytes);
        }
        let goodbye = async {
            self.flush().await?;
            let Some(link) = &mut self.link else { return Ok(()) };
            link.shutdown().await.map_err(|_| PullError::Closed)
        };
        let _ = tokio::time::timeout(PULL_GOODBYE_TIME_MAX, goodbye).await;
        Err(error)
    }

    async fn go_on(&mut self) -> Result<Infallible, PullError> {
        let (mut buffer, mut room) = (vec![0; PULL_READ_BYTES], vec![0; DATAGRAM_BYTES_MAX]);
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        // Nothing is overdue before everything that came was looked at.
        let mut is_idle = false;
        loop {
            let until = self.settle(is_idle).await?;
            let now = self.context.clock.boot();
            let wait = until.map_or(Duration::from_secs(1), |until| until.since(now));
            let due = Instant::now() + wait;
            // One that goes off too early costs a look, which is less than setting it anew for each
            // packet.
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            let reads = self.session.wants_bytes();
            is_idle = false;
            tokio::select! {
                biased;
                read = read(&mut self.link, &mut buffer), if reads => match read {
                    Ok(length) if length > 0 => self.session.receive(&buffer[..length]),
                    ended => {
                        if let Err(error) = ended
                            && let broken @ PullError::Broken = PullError::from_socket(&error)
                        {
                            return Err(broken);
                        }
                        self.link = None;
                        self.session.command(now, ClientCommand::Disconnected);
                    }
                },
                came = udp::receive(&self.ports, &mut room), if !self.ports.is_empty() => {
                    self.datagrams(came, &mut room)?;
                }
                () = &mut timer => is_idle = true,
            }
            self.context.heartbeat.beat();
        }
    }

    /// Does what the session wants until it rests; when to look again.
    async fn settle(&mut self, is_idle: bool) -> Result<Option<BootTime>, PullError> {
        let mut now = self.now();
        let until = loop {
            match self.session.poll(now.boot) {
                ClientStep::Send(bytes) => self.out.extend_from_slice(&bytes),
                ClientStep::Event(ClientEvent::Media { medium, kind, packet }) => {
                    self.begin();
                    self.receive(now, medium, kind, &packet)?;
                    // Units that came in one read differ in their times of arrival all the same.
                    now.boot = now.boot.after(Duration::from_nanos(1));
                }
                ClientStep::Event(event) => {
                    self.flush().await?;
                    self.on(event).await?;
                    now = self.now();
                }
                ClientStep::Wait { until } => break until,
            }
        };
        self.flush().await?;
        let due = self.media_time(now, is_idle)?;
        if let (Some(encoder), Some(input)) = (&mut self.encoder, &mut self.input) {
            for (jpeg, taken) in input.take_pictures() {
                encoder.put(jpeg, taken).await?;
            }
        }
        self.flush().await?;
        Ok([until, due].into_iter().flatten().reduce(BootTime::min))
    }

    /// Publishes what is in turn, reports what is due, and looks at what is overdue if nothing is
    /// left to read.
    fn media_time(&mut self, now: Now, is_idle: bool) -> Result<Option<BootTime>, PullError> {
        let bounds = self.config.bounds;
        let first = self.patience();
        let Some(input) = &mut self.input else { return Ok(None) };
        input.advance(now);
        match input.overdue(now.boot, first, bounds.idle) {
            None => {}
            Some(_) if !is_idle => {}
            Some(Overdue::Next(waited)) => return Err(PullError::Stalled { waited }),
            Some(Overdue::First(MissingFrame::Media)) => return Err(self.no_media(first, now.boot)),
            Some(Overdue::First(missing)) => {
                return Err(PullError::NoFirstFrame { missing, waited: first });
            }
        }
        if input.has_heard() && !std::mem::replace(&mut self.heard, true) {
            self.config.memory.transports().heard(self.used);
        }
        for (medium, report) in input.reports(now.boot) {
            if let Some(port) = self.ports.iter().find(|port| port.medium == medium) {
                port.report(&report);
            } else if let Some((_, channel)) = self.channels.iter().find(|(of, _)| *of == medium) {
                let command = ClientCommand::Report { channel: *channel, packet: report };
                self.session.command(now.boot, command);
            }
        }
        while let ClientStep::Send(bytes) = self.session.poll(now.boot) {
            self.out.extend_from_slice(&bytes);
        }
        Ok(Some(input.deadline(first, bounds.idle)))
    }

    /// How long the first frame may take.
    fn patience(&self) -> Duration {
        let PullBounds { first_frame, idle, .. } = self.config.bounds;
        if self.heard || self.config.transport != PullTransport::Auto {
            return first_frame;
        }
        self.config.memory.transports().patience(self.used, idle.min(first_frame), first_frame)
    }

    /// What it means that nothing came.
    fn no_media(&self, waited: Duration, now: BootTime) -> PullError {
        let is_free = self.config.transport == PullTransport::Auto
            && self.config.url.scheme() != "rtsps"
            && self.used != ClientTransport::Multicast;
        let then = if is_free {
            NextTry::Auto(self.config.memory.transports().silent(self.used, now))
        } else {
            NextTry::Same(&self.whom.stream)
        };
        PullError::no_media(self.used, waited, then)
    }

    async fn on(&mut self, event: ClientEvent) -> Result<(), PullError> {
        let now = self.now();
        match event {
            ClientEvent::Connect { port } => {
                self.link = None;
                let (config, whom, stream) = (self.config, self.whom, &**self.stream);
                let (link, ends) = Dialer { config, whom, stream }.open(port).await?;
                (self.link, self.ends) = (Some(link), ends);
                if let Some((peer, _)) = ends {
                    self.session.met(peer);
                }
                self.session.command(now.boot, ClientCommand::Connected);
            }
            ClientEvent::Described(description) => {
                let media = 0..description.media.len();
                self.chosen = choose(&description, media, true)
                    .map_err(|offers| PullError::nothing_carried(&offers))?;
                let left = not_carried(&description, &self.chosen);
                self.stream.set_not_carried(left.into_iter().map(|(_, what)| what).collect());
                let media = self.chosen.iter().map(|(track, _)| track.medium).collect();
                self.session.command(now.boot, ClientCommand::SetUp(media));
            }
            ClientEvent::OpenPorts { medium } => {
                let port = self.ends.and_then(|(peer, own)| Port::open(medium, peer, own).ok());
                let numbers = port.as_ref().and_then(Port::numbers);
                self.ports.extend(port);
                self.session.command(now.boot, ClientCommand::Ports(numbers));
            }
            ClientEvent::SetUp { medium, path } => self.take(medium, path)?,
            ClientEvent::NotSetUp { medium, status } => {
                self.chosen.retain(|(track, _)| track.medium != medium);
                tracing::warn!(
                    stream = self.whom.stream,
                    status,
                    "camera refuses one of its tracks"
                );
            }
            ClientEvent::Playing => self.begin(),
            // Taken before, without a wait.
            ClientEvent::Media { .. } => {}
            ClientEvent::Ended(why) => return Err(PullError::from_ending(why, self.whom)),
        }
        Ok(())
    }

    /// A track is set up.
    fn take(&mut self, medium: usize, path: Path) -> Result<(), PullError> {
        self.used = path.transport();
        match path {
            Path::Tcp { rtcp } => {
                self.ports.retain(|port| port.medium != medium);
                self.channels.push((medium, rtcp));
            }
            Path::Udp { server_port } => {
                if let Some(port) = self.ports.iter_mut().find(|port| port.medium == medium) {
                    port.greet(server_port);
                }
            }
            Path::Multicast { group, port } => {
                self.ports.retain(|port| port.medium != medium);
                let joined =
                    self.ends.map(|(peer, own)| Port::join(medium, peer, own, group, port));
                match joined {
                    Some(Ok(port)) => self.ports.push(port),
                    _ => return Err(PullError::NoGroup { group: group.to_string() }),
                }
            }
        }
        if let Some(at) = self.chosen.iter().position(|(track, _)| track.medium == medium) {
            self.set_up.push(self.chosen.remove(at));
        }
        Ok(())
    }

    /// Begins the run, once.
    fn begin(&mut self) {
        if self.input.is_some() {
            return;
        }
        let (tracks, specs): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.set_up).into_iter().unzip();
        if specs.iter().any(|spec: &TrackSpec| spec.is_jpeg) {
            let (stream, context) = (Arc::clone(self.stream), self.context.clone());
            self.encoder = Some(JpegEncoder::new(self.config.encode.clone(), stream, context));
        }
        let bounds = self.config.bounds;
        let gate = FloodGate::new(bounds.bytes_per_sec, bounds.rate_window);
        let run = RunBuilder::new(Arc::clone(self.stream), self.config.memory.end(), &specs);
        let now = self.context.clock.boot();
        self.input = Some(RunInput::new(now, run, tracks, gate, fastrand::u32(..)));
    }

    fn receive(
        &mut self,
        now: Now,
        medium: usize,
        kind: Medium,
        packet: &Bytes,
    ) -> Result<(), PullError> {
        let Some(input) = &mut self.input else { return Ok(()) };
        input.receive(now, medium, kind, packet).map_err(|_| PullError::Flooded {
            max_mib_per_sec: self.config.bounds.bytes_per_sec >> 20,
        })
    }

    /// Takes a datagram and those that have come behind it.
    fn datagrams(&mut self, first: udp::UdpPacket, room: &mut [u8]) -> Result<(), PullError> {
        self.datagram(first)?;
        for _ in 1..DATAGRAMS_AT_ONCE {
            let Some(next) = udp::receive(&self.ports, room).now_or_never() else { break };
            self.datagram(next)?;
        }
        Ok(())
    }

    fn datagram(&mut self, came: udp::UdpPacket) -> Result<(), PullError> {
        // Only the camera itself is heard.
        if self.ends.is_none_or(|(peer, _)| peer != came.from) {
            self.stream.count_foreign(1);
            return Ok(());
        }
        // Before PLAY nothing is set up yet.
        if self.input.is_none() {
            return Ok(());
        }
        let now = self.now();
        self.session.command(now.boot, ClientCommand::Heard);
        self.receive(now, came.medium, came.kind, &came.packet)
    }

    /// Writes the pending output; a camera that takes nothing is gone.
    async fn flush(&mut self) -> Result<(), PullError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let Some(link) = &mut self.link else { return Ok(()) };
        let written = tokio::time::timeout(self.config.bounds.describe, link.write(&out));
        // One that hung up is found out by reading, with what it said last.
        let _ = written.await;
        Ok(())
    }

    fn now(&self) -> Now {
        Now { boot: self.context.clock.boot(), wall: self.context.clock.wall() }
    }
}

/// The ways that media may take, the first choice first.
fn transports(config: &PullConfig, now: BootTime) -> Vec<ClientTransport> {
    use ClientTransport::{Multicast, Tcp, Udp};
    match config.transport {
        // Datagrams would not be protected.
        _ if config.url.scheme() == "rtsps" => vec![Tcp],
        PullTransport::Auto => {
            let [first, second] = config.memory.transports().order(now);
            vec![first, second, Multicast]
        }
        PullTransport::Tcp | PullTransport::Http => vec![Tcp],
        PullTransport::Udp => vec![Udp],
        PullTransport::Multicast => vec![Multicast],
    }
}

async fn read(link: &mut Option<Link<'_>>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match link {
        Some(link) => link.read(buffer).await,
        None => std::future::pending().await,
    }
}
