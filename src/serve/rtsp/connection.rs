//! One RTSP connection: waits for socket, stream, reports and timer, and does what its
//! [`Session`] says.
//!
//! Owns: the sockets of one peer. Waiting is in [`Connection::next`], deciding in
//! [`Connection::apply`] and [`Connection::settle`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::debug;

use super::outgoing::Outgoing;
use super::play::{Exits, Play};
use super::record::{self, Arrival, Record};
use super::udp::UdpPair;
use crate::base::limits::{
    RTSP_BATCH_BYTES_MAX, RTSP_DESCRIBE_WAIT_MAX, RTSP_REPLY_BYTES_MAX, RTSP_SEND_BUFFER_BYTES,
    RTSP_WRITE_STALL_MAX,
};
use crate::base::time::{BootTime, SharedClock};
use crate::bus::{Directory, Next, State};
use crate::media::Tracks;
use crate::sink::Outlet;
use crate::sink::rtsp_play::RtpUnit;
use crate::source::Entrance;
use crate::source::rtsp_push::{PushError, Seat};
use crate::wire::rtsp::{Command, Event, Medium, Refusal, Route, Routed, Session, Step, Target};

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// What is read and dropped of a peer after its last reply, and for how long.
const PART_BYTES_MAX: u64 = 256 << 10;
const PART_TIME_MAX: Duration = Duration::from_secs(1);

/// One RTSP connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    peer: SocketAddr,
    local: IpAddr,
    outlets: Arc<Directory<Outlet>>,
    entrances: Arc<Directory<Entrance>>,
    clock: SharedClock,
    session: Session,
    out: Outgoing,
    /// When the session wants to be polled again.
    wake: Option<BootTime>,
    /// The peer has closed its direction.
    half_closed: bool,
    asked: Option<Asked>,
    outlet: Option<Arc<Outlet>>,
    play: Option<Play>,
    udp: Option<UdpPair>,
    record: Record,
    end: Option<&'static str>,
}

/// What an answer to the session waits for.
#[derive(Debug)]
enum Asked {
    /// The tracks of a stream.
    Tracks { outlet: Arc<Outlet>, tracks: watch::Receiver<Option<Arc<Tracks>>>, until: BootTime },
    /// The first unit after PLAY.
    FirstUnit { until: BootTime },
}

impl Asked {
    fn until(&self) -> BootTime {
        match self {
            Self::Tracks { until, .. } | Self::FirstUnit { until } => *until,
        }
    }
}

/// What there was to wait for.
enum Input {
    Socket { readable: bool },
    Unit(Next<RtpUnit>),
    Tracks,
    Report,
    Arrival(Arrival),
    Timer,
}

impl Connection {
    /// Takes over `socket`.
    pub(super) fn new(
        socket: TcpStream,
        peer: SocketAddr,
        outlets: Arc<Directory<Outlet>>,
        entrances: Arc<Directory<Entrance>>,
        clock: SharedClock,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let options = socket2::SockRef::from(&socket);
        // A peer that vanished without a word is gone after this, not after 15 minutes.
        options.set_tcp_user_timeout(Some(RTSP_WRITE_STALL_MAX))?;
        options.set_send_buffer_size(RTSP_SEND_BUFFER_BYTES)?;
        let (now, wall) = (clock.boot(), clock.wall());
        let ip = peer.ip().to_canonical();
        Ok(Self {
            local: socket.local_addr()?.ip().to_canonical(),
            session: Session::new(now, wall, ip, fastrand::u64(..)),
            out: Outgoing::new(now),
            wake: None,
            half_closed: false,
            asked: None,
            outlet: None,
            play: None,
            udp: None,
            record: Record::default(),
            end: None,
            socket,
            peer,
            outlets,
            entrances,
            clock,
        })
    }

    /// Serves the peer until one of both sides ends it.
    pub(super) async fn run(mut self) {
        debug!(part = "rtsp", peer = %self.peer, "connected");
        let reason = loop {
            self.settle();
            let now = self.clock.boot();
            if let Err(error) = self.out.write(now, &self.socket) {
                break error.to_string();
            }
            if let Some(udp) = &mut self.udp {
                udp.send(now);
            }
            let ticked = self.record.tick(now, &mut self.out);
            self.recorded(ticked);
            if let Some(reason) = self.end.filter(|_| self.out.is_empty()) {
                self.part().await;
                break reason.to_owned();
            }
            if self.out.deadline().is_some_and(|at| at <= now) {
                self.cut();
                break "the peer takes nothing".to_owned();
            }
            let input = self.next(now).await;
            if let Err(error) = self.apply(input) {
                break error.to_string();
            }
        };
        let lost = self.udp.as_ref().map_or(0, UdpPair::refused);
        debug!(part = "rtsp", peer = %self.peer, lost, error = reason, "disconnected");
    }

    /// Waits for the next input.
    async fn next(&mut self, now: BootTime) -> Input {
        let interest = self.interest();
        let takes = self.takes_units();
        let until = self.deadline();
        let (play, udp, asked) = (&mut self.play, &self.udp, &mut self.asked);
        let record = &mut self.record;
        tokio::select! {
            biased;
            ready = ready(&self.socket, interest) => {
                Input::Socket { readable: ready }
            }
            next = next_unit(play.as_mut().filter(|_| takes)) => Input::Unit(next),
            () = tracks_changed(asked.as_mut()) => Input::Tracks,
            () = report(udp.as_ref()) => Input::Report,
            arrival = record.next() => Input::Arrival(arrival),
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        }
    }

    fn interest(&self) -> Option<Interest> {
        let room = self.out.bytes() <= RTSP_REPLY_BYTES_MAX + RTSP_BATCH_BYTES_MAX;
        let reads = room && !self.half_closed && self.end.is_none() && self.session.wants_bytes();
        match (reads, !self.out.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    /// Units are taken when what was taken before has left; until then the reader lags on the
    /// bus, where it is bounded and told.
    fn takes_units(&self) -> bool {
        self.end.is_none() && self.out.is_empty() && self.udp.as_ref().is_none_or(UdpPair::is_empty)
    }

    fn deadline(&self) -> Option<BootTime> {
        let udp = self.udp.as_ref().and_then(UdpPair::deadline);
        let asked = self.asked.as_ref().map(Asked::until);
        let record = self.record.deadline();
        [self.wake, self.out.deadline(), udp, asked, record].into_iter().flatten().min()
    }

    fn apply(&mut self, input: Input) -> io::Result<()> {
        let now = self.clock.boot();
        match input {
            Input::Socket { readable: true } => self.read(now)?,
            Input::Socket { readable: false } => {}
            Input::Unit(next) => self.take(now, next),
            Input::Tracks => self.describe(now),
            Input::Report => self.session.command(now, Command::Alive),
            Input::Arrival(arrival) => self.arrived(now, arrival),
            Input::Timer => self.late(now),
        }
        Ok(())
    }

    fn read(&mut self, now: BootTime) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.socket.try_read(&mut buffer) {
            // A reader over TCP may close its own direction and go on reading.
            Ok(0) if self.play.is_some() && self.udp.is_none() => self.half_closed = true,
            Ok(0) => self.end = Some("the peer closed"),
            Ok(length) => self.session.receive(now, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Polls the session until it waits, or until enough replies wait for the socket.
    fn settle(&mut self) {
        self.wake = None;
        while self.out.bytes() <= RTSP_REPLY_BYTES_MAX + RTSP_BATCH_BYTES_MAX {
            let now = self.clock.boot();
            match self.session.poll(now) {
                Step::Send(bytes) => self.out.push(now, bytes),
                Step::Event(event) => self.on(now, event),
                Step::Wait { until } => {
                    self.wake = until;
                    return;
                }
            }
        }
    }

    fn on(&mut self, now: BootTime, event: Event) {
        match event {
            Event::Describe { stream } => match self.readable(&stream) {
                Err(refusal) => self.refuse(now, refusal),
                Ok(outlet) => {
                    let tracks = outlet.stream.tracks();
                    let until = now.after(RTSP_DESCRIBE_WAIT_MAX);
                    self.asked = Some(Asked::Tracks { outlet, tracks, until });
                    self.describe(now);
                }
            },
            Event::SetUp { target, route } => {
                let ready = self.set_up(&target, route);
                self.answer(now, ready);
            }
            Event::Play { stream, routes } => self.play(now, &stream, &routes),
            Event::Reroute { routes } => {
                if let Some(play) = &mut self.play {
                    play.reroute(&routes);
                }
            }
            Event::Announce { stream, offer } => {
                let seat = self.seat(&stream);
                let checked = seat.and_then(|seat| seat.check(&offer).map_err(record::refusal));
                self.answer(now, checked.map(|()| Command::Announced));
            }
            Event::SetUpRecord { track, route } => {
                let peer = self.peer.ip().to_canonical();
                let ports = self.record.set_up(track, route, self.local, peer);
                let ready = |server_port| Command::SetUp { track, ssrc: 0, server_port };
                self.answer(now, ports.map(ready));
            }
            Event::Record { stream, offer, routes } => {
                let (seat, seed) = (self.seat(&stream), fastrand::u64(..));
                let begun = seat.and_then(|seat| self.record.begin(&seat, &offer, routes, seed));
                self.answer(now, begun.map(|()| Command::Recording));
            }
            Event::Media { track, medium, packet } => {
                let taken = self.record.take(track, medium, packet);
                self.recorded(taken);
            }
            Event::Silent => self.record.pause(PushError::Silent),
            Event::Pause => {
                self.silence();
                self.record.pause(PushError::Paused);
            }
            Event::Ended => {
                self.silence();
                self.record.end();
                (self.outlet, self.udp) = (None, None);
            }
            Event::Close { reason } => self.end = Some(reason),
        }
    }

    fn refuse(&mut self, now: BootTime, refusal: Refusal) {
        self.session.command(now, Command::Refuse(refusal));
    }

    fn answer(&mut self, now: BootTime, answer: Result<Command, Refusal>) {
        self.session.command(now, answer.unwrap_or_else(Command::Refuse));
    }

    /// The stream that a peer wants to read.
    fn readable(&self, stream: &str) -> Result<Arc<Outlet>, Refusal> {
        if let Some(Entrance::Elsewhere(url)) = self.entrances.get(stream).as_deref() {
            return Err(Refusal::Elsewhere(url.to_string()));
        }
        self.outlets.get(stream).ok_or(Refusal::NoStream)
    }

    /// Where a peer may publish.
    fn seat(&self, stream: &str) -> Result<Arc<Seat>, Refusal> {
        self.readable(stream)?;
        match self.entrances.get(stream).as_deref() {
            Some(Entrance::Seat(seat)) => Ok(Arc::clone(seat)),
            _ => Err(Refusal::NotPublished),
        }
    }

    /// Takes what came of a publisher, and all that is there behind it.
    fn arrived(&mut self, now: BootTime, arrival: Arrival) {
        match arrival {
            Arrival::Displaced(why) => self.recorded(Err(why)),
            Arrival::Datagram(track, medium, packet) => {
                let rest = self.record.try_next();
                for (track, medium, packet) in std::iter::once((track, medium, packet)).chain(rest)
                {
                    self.session.command(
                        now,
                        match medium {
                            Medium::Rtp => Command::Heard,
                            Medium::Rtcp => Command::Alive,
                        },
                    );
                    let taken = self.record.take(track, medium, packet);
                    self.recorded(taken);
                }
            }
        }
    }

    /// A publisher that cannot go on takes its connection with it; who reads the stream's state
    /// sees why.
    fn recorded(&mut self, done: Result<(), PushError>) {
        if let Err(why) = done {
            self.record.pause(why);
            self.end = Some("the publisher cannot go on");
        }
    }

    fn silence(&mut self) {
        self.play = None;
        if let Some(udp) = &mut self.udp {
            udp.clear();
        }
    }

    /// Answers DESCRIBE if the tracks are known by now.
    fn describe(&mut self, now: BootTime) {
        let Some(Asked::Tracks { tracks, .. }) = &mut self.asked else { return };
        let Some(tracks) = tracks.borrow_and_update().clone() else { return };
        self.asked = None;
        self.session.command(now, Command::Described { tracks });
    }

    fn set_up(&mut self, target: &Target, route: Route) -> Result<Command, Refusal> {
        let outlet = match &self.outlet {
            Some(outlet) => Arc::clone(outlet),
            None => self.readable(&target.stream)?,
        };
        let tracks = outlet.stream.tracks().borrow().clone();
        let tracks = tracks.ok_or_else(|| not_ready(&outlet))?;
        let track = match (target.track, &tracks.list[..]) {
            (Some(track), _) => tracks.get(track).ok_or(Refusal::NoTrack)?.id,
            (None, [only]) => only.id,
            (None, _) => return Err(Refusal::WhichTrack),
        };
        let ssrc = outlet.rtsp.ssrc(track).ok_or(Refusal::NoTrack)?;
        let server_port = match route {
            Route::Tcp { .. } => None,
            Route::Udp { .. } => Some(self.ports()?),
        };
        self.outlet = Some(outlet);
        Ok(Command::SetUp { track, ssrc, server_port })
    }

    fn ports(&mut self) -> Result<(u16, u16), Refusal> {
        if self.udp.is_none() {
            let pair = UdpPair::open(self.local, self.peer.ip().to_canonical());
            self.udp = Some(pair.map_err(|_| Refusal::NoPorts)?);
        }
        self.udp.as_ref().map(UdpPair::ports).ok_or(Refusal::NoPorts)
    }

    /// Joins the stream; PLAY is answered when its first unit is there.
    fn play(&mut self, now: BootTime, stream: &str, routes: &[Routed]) {
        let Some(outlet) = &self.outlet else { return self.refuse(now, Refusal::NoStream) };
        self.play = Some(Play::new(outlet.rtsp.join(), routes, format!("{stream}@holdfast")));
        self.asked = Some(Asked::FirstUnit { until: now.after(RTSP_DESCRIBE_WAIT_MAX) });
    }

    /// Takes a unit, and all that are there behind it, up to a batch.
    fn take(&mut self, now: BootTime, next: Next<RtpUnit>) {
        let mut next = Some(next);
        while let Some(came) = next {
            match came {
                Next::Item(unit) => self.send(now, &unit),
                // The reader is counted as lagging where it lags; the next unit is a key frame.
                Next::Lagged(_) => {}
                Next::Ended => self.stream_ended(now),
            }
            let batch = self.out.bytes() < RTSP_BATCH_BYTES_MAX
                && self.udp.as_ref().is_none_or(UdpPair::is_empty)
                && self.end.is_none();
            next = self.play.as_mut().filter(|_| batch).and_then(Play::try_next);
        }
    }

    /// Takes leave of a reader, and tells it where the stream is now if it moved.
    fn stream_ended(&mut self, now: BootTime) {
        let name = self.outlet.as_ref().map(|outlet| outlet.stream.name().to_string());
        let entrance = name.and_then(|name| self.entrances.get(&name));
        if let Some(Entrance::Elsewhere(url)) = entrance.as_deref() {
            self.session.command(now, Command::Redirect { url: url.to_string() });
        }
        self.end = Some("the stream ended");
    }

    fn send(&mut self, now: BootTime, unit: &RtpUnit) {
        if matches!(self.asked, Some(Asked::FirstUnit { .. })) {
            self.asked = None;
            let wall = Some(unit.captured.wall);
            self.session.command(now, Command::Playing { starts: unit.starts.clone(), wall });
            // The reply goes out before the first packet.
            self.settle();
        }
        let Some(play) = &mut self.play else { return };
        let exits = Exits { tcp: &mut self.out, udp: self.udp.as_mut() };
        if play.send(now, unit, exits).is_err() {
            self.end = Some("the codec changed");
        }
    }

    /// Answers what has waited long enough.
    fn late(&mut self, now: BootTime) {
        match self.asked.take_if(|asked| asked.until() <= now) {
            None => {}
            Some(Asked::Tracks { outlet, .. }) => self.refuse(now, not_ready(&outlet)),
            Some(Asked::FirstUnit { .. }) => {
                let answer = Command::Playing { starts: Vec::new(), wall: None };
                self.session.command(now, answer);
            }
        }
    }

    /// Takes leave: closing a socket with unread input would make the kernel send a reset, which
    /// overtakes the last reply.
    async fn part(&mut self) {
        let drained = async {
            self.socket.shutdown().await?;
            let mut rest = (&mut self.socket).take(PART_BYTES_MAX);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whatever happens now, the connection is over.
        let _ = tokio::time::timeout(PART_TIME_MAX, drained).await;
    }

    /// Lets the kernel forget what it still holds for a peer that takes nothing.
    fn cut(&self) {
        // A socket that refuses this is closed in the ordinary way.
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

/// Why a stream cannot be described or set up now.
fn not_ready(outlet: &Outlet) -> Refusal {
    Refusal::NotReady(match outlet.stream.state().0 {
        State::Offline { reason } => format!("the stream is offline: {reason}"),
        State::Starting | State::Live => "nothing has come of this stream yet".to_owned(),
    })
}

/// Waits until the socket is ready; whether it is so for reading.
async fn ready(socket: &TcpStream, interest: Option<Interest>) -> bool {
    let Some(interest) = interest else { return std::future::pending().await };
    // An error shows again, and is handled, at the read or write that follows.
    socket.ready(interest).await.is_ok_and(|ready| ready.is_readable() || ready.is_read_closed())
        && interest.is_readable()
}

async fn next_unit(play: Option<&mut Play>) -> Next<RtpUnit> {
    match play {
        Some(play) => play.next().await,
        None => std::future::pending().await,
    }
}

async fn tracks_changed(asked: Option<&mut Asked>) {
    if let Some(Asked::Tracks { tracks, .. }) = asked
        && tracks.changed().await.is_ok()
    {
        return;
    }
    // Nothing to wait for, or the stream is gone: then the timer answers.
    std::future::pending::<()>().await;
}

async fn report(udp: Option<&UdpPair>) {
    match udp {
        Some(udp) => udp.report().await,
        None => std::future::pending().await,
    }
}

async fn sleep(by: Option<Duration>) {
    match by {
        Some(by) => tokio::time::sleep(by).await,
        None => std::future::pending().await,
    }
}
