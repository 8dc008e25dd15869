//! An RTSP server with one stream, `gate`, that nothing has been published to yet.
#![allow(unreachable_pub)] // a module of several programs

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, SystemClock};
use holdfast::encode::still::{HevcLibrary, StillDecoders};
use holdfast::live::StreamOutputs;
use holdfast::serve::rtsp::RtspServer;
use holdfast::stream::{Directory, Stream};
use holdfast::supervise::Supervisor;

/// Serves `gate` on a port of loopback, by tasks of `supervisor`. Call it on a runtime.
pub async fn serve(supervisor: &Supervisor) -> (SocketAddr, Arc<StreamOutputs>) {
    let name = StreamName::parse("gate").unwrap();
    let stream = Stream::new(name.clone(), "pattern", SystemClock.wall());
    let decoder = StillDecoders::keep("/nonexistent".as_ref(), HevcLibrary::Off, supervisor);
    let outputs = Arc::new(StreamOutputs::new(&stream, None, &decoder, supervisor));
    let directory = Arc::new(Directory::default());
    directory.replace(BTreeMap::from([(name, Arc::clone(&outputs))]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    RtspServer::new(directory, supervisor.child()).keep(listener);
    (address, outputs)
}
