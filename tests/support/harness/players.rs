//! Readers of RTSP that are libraries, not programs.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use retina::client::{
    Credentials, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions,
    Transport, UdpTransportOptions,
};

/// More than any stream of the tests takes to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets retina read the first track of `url` for so long, and one picture at least; how many came,
/// or the error that it ends with.
pub fn retina(
    url: &str,
    (username, password): (&str, &str),
    udp: bool,
    hold: Duration,
) -> Result<u32, String> {
    let transport = if udp {
        Transport::Udp(UdpTransportOptions::default())
    } else {
        Transport::Tcp(TcpTransportOptions::default())
    };
    let credentials = Credentials { username: username.into(), password: password.into() };
    let url = url::Url::parse(url).unwrap();
    let read = async move {
        let options = SessionOptions::default().creds(Some(credentials));
        let mut session = Session::describe(url, options).await?;
        session.setup(0, SetupOptions::default().transport(transport)).await?;
        let playing = session.play(PlayOptions::default()).await?;
        let mut items = playing.demuxed()?;
        let (begun, mut pictures) = (Instant::now(), 0);
        while pictures == 0 || begun.elapsed() < hold {
            items.next().await.expect("a picture comes")?;
            pictures += 1;
        }
        Ok(pictures)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = runtime.block_on(async { tokio::time::timeout(PATIENCE + hold, read).await });
    read.expect("retina ends").map_err(|error: retina::Error| error.to_string())
}
