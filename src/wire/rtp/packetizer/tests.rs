//! Packs with ours, unpacks with retina's depacketizers, which also read the pulled cameras.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use retina::codec::{CodecItem, Depacketizer, FrameFormat};
use retina::rtp::{PacketHeader, PacketMeta};
use retina::testutil::DepacketizeBuf;

use super::*;
use crate::base::limits::RTP_PACKET_BYTES_MAX;
use crate::media::codec::Law;
use crate::media::nal::{Nals, length_prefixed};
use crate::media::{Codec, Entry, Shape};
use crate::wire::rtp::payload::describe;

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

fn h264() -> Arc<CodecParams> {
    Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap())
}

fn audio(codec: Codec, rate: u32, channels: u16) -> Arc<CodecParams> {
    Arc::new(CodecParams {
        codec,
        clock_rate: NonZeroU32::new(rate).unwrap(),
        rfc6381: None,
        sample_entry: Bytes::new(),
        shape: Shape::Audio { sample_rate: rate, channels },
    })
}

fn unit(params: &Arc<CodecParams>, ticks: i64, key: bool, data: Bytes) -> AccessUnit {
    let time = MediaTime { ticks, rate: params.clock_rate };
    AccessUnit { entry: Entry::key_frame(key), ..AccessUnit::new(Arc::clone(params), time, data) }
}

/// A NAL of `bytes` with `head` in front and nothing in it that looks like a start code.
fn nal(head: &[u8], bytes: usize) -> Vec<u8> {
    let filler = (0u8..=250).map(|byte| byte | 4).cycle().skip(head.len());
    head.iter().copied().chain(filler).take(bytes).collect()
}

/// Checks what holds for every packet and returns (sequence, timestamp, marker, payload).
fn opened(packets: &Packets) -> Vec<(u16, u32, bool, Bytes)> {
    packets
        .datagrams()
        .map(|packet| {
            assert!(packet.len() <= RTP_PACKET_BYTES_MAX);
            let (head, _) = PacketHeader::validate(&packet[..]).unwrap();
            (head.sequence_number(), head.timestamp(), head.mark(), packet.slice(12..))
        })
        .collect()
}

/// What retina's depacketizer of the track makes of `packets`.
fn depacketized(params: &CodecParams, packets: &Packets) -> Vec<Vec<u8>> {
    let told = describe(params, TrackId(0));
    let name = told.rtpmap.split('/').next().unwrap().to_ascii_lowercase();
    let (media, channels) = match params.shape {
        Shape::Video { .. } => ("video", None),
        Shape::Audio { channels, .. } => ("audio", NonZeroU16::new(channels)),
    };
    let rate = params.clock_rate.get();
    let fmtp = told.fmtp.as_deref();
    let mut depacketizer = Depacketizer::new(media, &name, rate, channels, fmtp).unwrap();
    depacketizer.set_frame_format(FrameFormat::MP4);
    let mut buffer = DepacketizeBuf::new(4 << 20);
    let mut frames = Vec::new();
    let start = opened(packets)[0].1;
    for (sequence_number, timestamp, mark, payload) in opened(packets) {
        let meta = PacketMeta {
            ctx: retina::PacketContext::dummy(),
            stream_id: 0,
            timestamp: retina::Timestamp::new(
                i64::from(timestamp.wrapping_sub(start)),
                params.clock_rate,
                0,
            )
            .unwrap(),
            sequence_number,
            ssrc: 1,
            mark,
            loss: 0,
        };
        buffer.push(&mut depacketizer, meta, &payload).unwrap();
        while let Some(item) = depacketizer.pull() {
            match item.unwrap() {
                CodecItem::VideoFrame(frame) => frames.push(frame.data().to_vec()),
                CodecItem::AudioFrame(frame) => frames.push(frame.data().to_vec()),
                other => panic!("{other:?}"),
            }
        }
    }
    frames
}

#[test]
fn an_h264_key_frame_gets_its_parameter_sets_after_the_delimiter() {
    let params = h264();
    let (delimiter, sei, slice) = (nal(&[9], 2), nal(&[6], 40), nal(&[0x65], 9_000));
    let data = length_prefixed([&delimiter[..], &sei, &slice]);
    let packets = Packetizer::new(TrackId(0), 1).packetize(&unit(&params, 90, true, data.clone()));
    let opened = opened(&packets);
    // One packet with four small NALs, then the slice in pieces.
    let first = &opened[0].3;
    let mut stap = vec![0x78, 0, 2];
    stap.extend(&delimiter);
    for nal in [SPS, PPS, &sei[..]] {
        stap.extend(u16::try_from(nal.len()).unwrap().to_be_bytes());
        stap.extend(nal);
    }
    assert_eq!(first[..], stap[..]);
    assert_eq!(opened[1].3[..2], [0x7c, 0x85]);
    assert_eq!(opened.last().unwrap().3[..2], [0x7c, 0x45]);
    let marks: Vec<bool> = opened.iter().map(|(_, _, mark, _)| *mark).collect();
    assert_eq!(marks.iter().rposition(|mark| !mark), Some(marks.len() - 2), "{marks:?}");
    let frames = depacketized(&params, &packets);
    assert_eq!(frames, [data.to_vec()], "other NALs stay byte exact and in order");
}

#[test]
fn inline_parameter_sets_are_not_sent_twice() {
    let params = h264();
    let data = length_prefixed([SPS, PPS, &nal(&[0x65], 100)]);
    let packets = Packetizer::new(TrackId(0), 1).packetize(&unit(&params, 0, true, data.clone()));
    let payload = &opened(&packets)[0].3;
    let sets = payload.windows(SPS.len()).filter(|window| *window == SPS).count();
    assert_eq!((packets.len(), sets), (1, 1));
}

#[test]
fn new_parameters_go_in_band_once_without_a_key_frame() {
    let mut packetizer = Packetizer::new(TrackId(0), 1);
    let params = h264();
    let data = length_prefixed([&nal(&[0x41], 100)[..]]);
    let sizes: Vec<usize> = [&params, &params, &h264()]
        .map(|params| packetizer.packetize(&unit(params, 0, false, data.clone())).octets())
        .into();
    assert_eq!(sizes[1], 100);
    assert!(sizes[0] > 100 && sizes[0] == sizes[2], "{sizes:?}");
}

#[test]
fn sequence_and_timestamp_go_on_from_unit_to_unit_and_wrap() {
    let params = h264();
    let mut packetizer = Packetizer::new(TrackId(0), 0xffff_ffff_ffff_ffff);
    let first = packetizer.next_sequence();
    let mut sequences = Vec::new();
    for at in 0..20 {
        let data = length_prefixed([&nal(&[0x41], 3_000)[..]]);
        let unit = unit(&params, at * 3_600, at == 0, data);
        let timestamp = packetizer.timestamp(unit.present);
        for (sequence, told, _, _) in opened(&packetizer.packetize(&unit)) {
            assert_eq!(told, timestamp);
            sequences.push(sequence);
        }
    }
    let wanted: Vec<u16> = (0u16..).take(sequences.len()).map(|n| first.wrapping_add(n)).collect();
    assert_eq!(sequences, wanted);
    let later = MediaTime { ticks: (1 << 32) + 5, rate: params.clock_rate };
    let now = MediaTime { ticks: 5, rate: params.clock_rate };
    assert_eq!(packetizer.timestamp(later), packetizer.timestamp(now));
}

#[test]
fn types_of_the_payload_format_itself_are_never_sent_as_nal_units() {
    let params = h264();
    let data = length_prefixed([&nal(&[0x7c], 50)[..], &nal(&[0x41], 50)]);
    let mut packetizer = Packetizer::new(TrackId(0), 1);
    packetizer.packetize(&unit(&params, 0, true, Bytes::new()));
    assert_eq!(packetizer.packetize(&unit(&params, 0, false, data)).octets(), 50);
}

#[test]
fn aac_comes_back_whole_and_in_pieces() {
    let params = audio(Codec::Aac { config: Bytes::from_static(&[0x11, 0x90]) }, 48_000, 2);
    for bytes in [1, 300, 1_384, 1_385, 5_000, 8_191] {
        let frame = nal(&[], bytes);
        let unit = unit(&params, 1_024, true, Bytes::from(frame.clone()));
        let packets = Packetizer::new(TrackId(0), 1).packetize(&unit);
        let marked = opened(&packets).iter().filter(|(_, _, mark, _)| *mark).count();
        assert_eq!((packets.len(), marked), (bytes.div_ceil(1_384), 1));
        assert_eq!(depacketized(&params, &packets), [frame]);
    }
    let unit = unit(&params, 0, true, Bytes::from(nal(&[], 8_192)));
    assert!(
        Packetizer::new(TrackId(0), 1).packetize(&unit).is_empty(),
        "13 bits cannot say this size"
    );
}

#[test]
fn g711_is_split_with_timestamps_that_go_on() {
    let params = audio(Codec::G711(Law::A), 8_000, 1);
    let octets = nal(&[], 3_000);
    let packets =
        Packetizer::new(TrackId(0), 1).packetize(&unit(&params, 0, true, octets.clone().into()));
    let opened = opened(&packets);
    let at: Vec<u32> = opened.iter().map(|o| o.1.wrapping_sub(opened[0].1)).collect();
    assert_eq!(at, [0, 1_388, 2_776]);
    assert!(opened.iter().all(|(_, _, mark, _)| !mark));
    assert_eq!(depacketized(&params, &packets).concat(), octets);
}

#[test]
fn an_opus_packet_is_sent_whole_or_not_at_all() {
    let params = Arc::new(CodecParams::opus(2));
    for (bytes, packets) in [(1, 1), (1_388, 1), (1_389, 0)] {
        let unit = unit(&params, 960, true, Bytes::from(nal(&[0xfc], bytes)));
        let packed = Packetizer::new(TrackId(1), 1).packetize(&unit);
        assert_eq!(packed.len(), packets, "{bytes}");
        assert!(opened(&packed).iter().all(|(_, _, marked, _)| !marked));
    }
}

#[test]
fn sdp_says_what_each_codec_needs() {
    let told = |params: &CodecParams| {
        let d = describe(params, TrackId(1));
        format!("{} {} {}", d.payload_type, d.rtpmap, d.fmtp.unwrap_or_default())
    };
    let h264 = "97 H264/90000 packetization-mode=1;profile-level-id=640033;\
                sprop-parameter-sets=Z2QAM6wVFKCgL/lQ,aO48sA==";
    assert_eq!(told(&self::h264()), h264);
    let aac = audio(Codec::Aac { config: Bytes::from_static(&[0x11, 0x90]) }, 48_000, 2);
    let wanted = "97 mpeg4-generic/48000/2 streamtype=5;profile-level-id=1;mode=AAC-hbr;\
                  sizelength=13;indexlength=3;indexdeltalength=3;config=1190";
    assert_eq!(told(&aac), wanted);
    assert_eq!(told(&audio(Codec::G711(Law::A), 8_000, 1)), "8 PCMA/8000 ");
    assert_eq!(told(&audio(Codec::G711(Law::Mu), 8_000, 1)), "0 PCMU/8000 ");
    assert_eq!(told(&audio(Codec::G711(Law::Mu), 16_000, 2)), "97 PCMU/16000/2 ");
    assert_eq!(told(&CodecParams::opus(2)), "97 opus/48000/2 sprop-stereo=1");
    assert_eq!(told(&CodecParams::opus(1)), "97 opus/48000/2 ");
}

/// H.265 with placeholder parameter sets: packing looks at NAL headers only.
fn h265() -> Arc<CodecParams> {
    let mut params = audio(Codec::G711(Law::A), 90_000, 1).as_ref().clone();
    params.codec = Codec::H265 {
        vps: Bytes::from_static(&[0x40, 1, 0x0c, 1]),
        sps: Bytes::from_static(&[0x42, 1, 1, 1]),
        pps: Bytes::from_static(&[0x44, 1, 0xc1]),
        more: Vec::new(),
    };
    params.shape = Shape::Video {
        width: 64,
        height: 64,
        aspect: crate::media::codec::SampleAspect::SQUARE,
        frame_secs: None,
    };
    Arc::new(params)
}

/// Puts H.265 payloads back together as RFC 7798 §4.4 says, independent of the packing code.
fn h265_nals(packets: &Packets) -> Vec<Vec<u8>> {
    let mut nals: Vec<Vec<u8>> = Vec::new();
    for (_, _, _, payload) in opened(packets) {
        match payload[0] >> 1 & 0x3f {
            48 => {
                let mut rest = &payload[2..];
                while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                    let (nal, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
                    nals.push(nal.to_vec());
                    rest = tail;
                }
            }
            49 => {
                if payload[2] & 0x80 != 0 {
                    let kind = payload[2] & 0x3f;
                    nals.push(vec![payload[0] & 0x81 | kind << 1, payload[1]]);
                }
                nals.last_mut().unwrap().extend_from_slice(&payload[3..]);
            }
            _ => nals.push(payload.to_vec()),
        }
    }
    nals
}

#[test]
fn h265_comes_back_byte_exact_behind_its_parameter_sets() {
    let params = h265();
    let data = length_prefixed([
        &nal(&[35 << 1, 1], 3)[..],
        &nal(&[39 << 1, 1], 30),
        &nal(&[19 << 1, 1], 1_388),
        &nal(&[19 << 1, 2], 1_389),
        &nal(&[19 << 1, 1], 20_000),
        &nal(&[40 << 1, 1], 2),
    ]);
    let unit = unit(&params, 0, true, data.clone());
    let packets = Packetizer::new(TrackId(0), 1).packetize(&unit);
    let mut wanted: Vec<Vec<u8>> = Nals::new(&data).map(<[u8]>::to_vec).collect();
    for (at, set) in (1..).zip(params.parameter_nals()) {
        wanted.insert(at, set.to_vec());
    }
    assert_eq!(h265_nals(&packets), wanted);
    assert_eq!(opened(&packets).iter().filter(|(_, _, mark, _)| *mark).count(), 1);
}

proptest::proptest! {
    #[test]
    fn any_nals_come_back_in_order(sizes in proptest::collection::vec(2usize..6_000, 1..12)) {
        let params = h265();
        let nals: Vec<Vec<u8>> = sizes.iter().map(|&bytes| nal(&[1 << 1, 1], bytes)).collect();
        let data = length_prefixed(nals.iter().map(Vec::as_slice));
        let mut packetizer = Packetizer::new(TrackId(0), 9);
        packetizer.packetize(&unit(&params, 0, true, Bytes::new()));
        let packets = packetizer.packetize(&unit(&params, 0, false, data));
        proptest::prop_assert_eq!(h265_nals(&packets), nals);
    }

    #[test]
    fn no_data_makes_packing_panic(data: Vec<u8>, key: bool) {
        for params in [h264(), h265()] {
            Packetizer::new(TrackId(3), 5).packetize(&unit(&params, -1, key, data.clone().into()));
        }
    }
}
