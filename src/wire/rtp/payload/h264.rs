//! H.264 in RTP: single NAL, STAP-A and FU-A (RFC 6184 §5.6, §5.7.1, §5.8), `packetization-mode=1`.

use std::fmt::Write;

use super::base64;
use super::nal::{Edge, Scheme};

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const KIND: u8 = 0x1f;
const REFERENCE: u8 = 0x60;
const FORBIDDEN: u8 = 0x80;

/// H.264's side of cutting.
pub(super) struct H264;

impl Scheme for H264 {
    const HEADER_BYTES: usize = 1;
    const KINDS: u8 = STAP_A;
    const DELIMITER: u8 = 9;

    fn kind(nal: &[u8]) -> u8 {
        nal[0] & KIND
    }

    fn aggregate(nals: &[&[u8]]) -> Vec<u8> {
        let forbidden = nals.iter().fold(0, |bits, nal| bits | (nal[0] & FORBIDDEN));
        let reference = nals.iter().map(|nal| nal[0] & REFERENCE).max().unwrap_or(0);
        vec![forbidden | reference | STAP_A]
    }

    fn fragment(nal: &[u8], edge: Edge) -> Vec<u8> {
        vec![(nal[0] & !KIND) | FU_A, edge.bits() | Self::kind(nal)]
    }
}

/// Format parameters, RFC 6184 §8.1.
pub(super) fn fmtp(sps: &[u8], pps: &[u8]) -> String {
    let mut fmtp = "packetization-mode=1".to_owned();
    if let Some(profile) = sps.get(1..4) {
        fmtp.push_str(";profile-level-id=");
        for byte in profile {
            // Writing to a String cannot fail.
            let _ = write!(fmtp, "{byte:02X}");
        }
    }
    // An empty set would break readers that trust the attribute.
    if !sps.is_empty() && !pps.is_empty() {
        let _ = write!(fmtp, ";sprop-parameter-sets={},{}", base64(sps), base64(pps));
    }
    fmtp
}
