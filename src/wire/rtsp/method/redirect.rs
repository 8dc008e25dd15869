//! REDIRECT (RFC 2326 §10.10): sends a peer elsewhere. The only request that we make.

use bytes::Bytes;
use rtsp_types::{Method, Request, Url, Version, headers};

use super::super::state::State;

/// The request numbered `cseq`, which sends the peer to `url`.
pub(in super::super) fn request(session: &State, cseq: u32, url: &str) -> Bytes {
    let mut request = Request::builder(Method::Redirect, Version::V1_0)
        .header(headers::CSEQ, cseq.to_string())
        .header(headers::LOCATION, url);
    if let Ok(url) = Url::parse(url) {
        request = request.request_uri(url);
    }
    if let Some(live) = &session.live {
        request = request.header(headers::SESSION, live.id.as_str());
    }
    let mut out = Vec::new();
    request.empty().write(&mut out).expect("writing to memory does not fail");
    out.into()
}
