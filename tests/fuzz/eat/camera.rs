//! Our client before a camera that says anything, in virtual time.

use std::time::Duration;

use holdfast::base::secret::Secret;
use holdfast::base::time::BootTime;
use holdfast::wire::rtsp::client::{
    Carrier, ClientCommand, ClientConfig, ClientEvent, ClientSession, ClientStep, ClientTransport,
};

/// Steps after one input; more would be without end.
const STEPS_MAX: usize = 20_000;
const PASSWORD: &str = "q7secretq7";

/// The client, and what it did.
pub struct Client {
    /// The session.
    pub session: ClientSession,
    /// The clock.
    pub now: BootTime,
    /// What it said last.
    pub said: Vec<u8>,
    /// Whether it is over.
    pub over: bool,
    /// Whether ports can be had.
    pub ports: bool,
    /// How much media came out.
    pub media: usize,
    /// Connections so far.
    pub connections: usize,
}

impl Client {
    /// A client that has credentials and takes any transport.
    #[must_use]
    pub fn new() -> Self {
        let now = BootTime::from_millis(1_000);
        let config = ClientConfig {
            url: "rtsp://10.0.0.7/main".parse().expect("it is one"),
            credentials: Some(("viewer".to_owned(), Secret::new(PASSWORD))),
            carrier: Carrier::Direct,
            transports: vec![
                ClientTransport::Tcp,
                ClientTransport::Udp,
                ClientTransport::Multicast,
            ],
            answer_time: Duration::from_secs(10),
            seed: 7,
        };
        let session = ClientSession::new(now, config);
        let (said, over, ports) = (Vec::new(), false, true);
        let mut client = Self { session, now, said, over, ports, media: 0, connections: 0 };
        client.go_on();
        client
    }

    /// The camera says this.
    pub fn hear(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(60_000) {
            if self.session.wants_bytes() {
                self.session.receive(piece);
            }
            self.go_on();
        }
    }

    /// Time passes.
    pub fn pass(&mut self, secs: u64) {
        self.now = self.now.after(Duration::from_secs(secs));
        self.go_on();
    }

    /// The camera closes the connection.
    pub fn hang_up(&mut self) {
        self.session.command(self.now, ClientCommand::Disconnected);
        self.go_on();
    }

    /// Polls until it rests, and checks what it says.
    pub fn go_on(&mut self) {
        self.said.clear();
        for _ in 0..STEPS_MAX {
            match self.session.poll(self.now) {
                ClientStep::Wait { until } => {
                    assert!(until.is_none_or(|until| until > self.now), "it never rests");
                    return;
                }
                ClientStep::Send(bytes) => {
                    check(&bytes);
                    self.said.extend_from_slice(&bytes);
                }
                ClientStep::Event(event) => self.on(event),
            }
        }
        panic!("steps without end");
    }

    fn on(&mut self, event: ClientEvent) {
        assert!(!self.over, "{event:?} behind the end");
        let answer = match event {
            ClientEvent::Connect { .. } => {
                self.connections += 1;
                assert!(self.connections < 50, "connections without end");
                Some(ClientCommand::Connected)
            }
            ClientEvent::Described(told) => {
                Some(ClientCommand::SetUp((0..told.media.len().min(3)).collect()))
            }
            ClientEvent::OpenPorts { .. } => {
                Some(ClientCommand::Ports(self.ports.then_some((5_000, 5_001))))
            }
            ClientEvent::Media { packet, .. } => {
                self.media += packet.len();
                None
            }
            ClientEvent::Ended(_) => {
                self.over = true;
                None
            }
            ClientEvent::SetUp { .. } | ClientEvent::NotSetUp { .. } | ClientEvent::Playing => None,
        };
        if let Some(answer) = answer {
            self.session.command(self.now, answer);
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Whatever a camera said, what goes out is one message whose lines are its own, without the
/// password in the clear.
fn check(bytes: &[u8]) {
    if bytes.first() == Some(&b'$') {
        return;
    }
    let text = std::str::from_utf8(bytes).expect("text");
    let head = text.strip_suffix("\r\n\r\n").expect("a message with an end");
    assert!(!head.contains("\r\n\r\n"), "two messages in one: {text:?}");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']), "a bare line end: {text:?}");
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let is_answer = first.starts_with("RTSP/1.0 ");
    assert!(is_answer || first.ends_with(" RTSP/1.0"), "{first:?}");
    assert!(is_answer || first.split(' ').count() == 3, "a blank in the address: {first:?}");
    assert!(lines.all(|line| line.contains(": ")), "{text:?}");
    assert!(!text.contains(PASSWORD), "the password in the clear: {text:?}");
}
