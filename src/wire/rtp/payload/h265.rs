//! H.265 in RTP: single NAL, AP and FU (RFC 7798 §4.4.1 to §4.4.3), no DONL fields.

use super::base64;
use super::nal::{Edge, Scheme};

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

/// H.265's side of cutting.
pub(super) struct H265;

impl Scheme for H265 {
    const HEADER_BYTES: usize = 2;
    const KINDS: u8 = AGGREGATION;
    const DELIMITER: u8 = 35;

    fn kind(nal: &[u8]) -> u8 {
        (nal[0] >> 1) & 0x3f
    }

    /// The lowest layer and temporal ids of all, as RFC 7798 §4.4.2 wants.
    fn aggregate(nals: &[&[u8]]) -> Vec<u8> {
        let forbidden = nals.iter().fold(0, |bits, nal| bits | (nal[0] & 0x80));
        let layer = |nal: &&[u8]| (nal[0] & 1) << 5 | nal[1] >> 3;
        let layer = nals.iter().map(layer).min().unwrap_or(0);
        let temporal = nals.iter().map(|nal| nal[1] & 7).min().unwrap_or(1);
        vec![forbidden | AGGREGATION << 1 | layer >> 5, layer << 3 | temporal]
    }

    fn fragment(nal: &[u8], edge: Edge) -> Vec<u8> {
        vec![(nal[0] & 0x81) | FRAGMENTATION << 1, nal[1], edge.bits() | Self::kind(nal)]
    }
}

/// Format parameters, RFC 7798 §7.1.
pub(super) fn fmtp(vps: &[u8], sps: &[u8], pps: &[u8]) -> String {
    let set = |name: &str, set: &[u8]| format!("{name}={}", base64(set));
    [set("sprop-vps", vps), set("sprop-sps", sps), set("sprop-pps", pps)].join(";")
}
