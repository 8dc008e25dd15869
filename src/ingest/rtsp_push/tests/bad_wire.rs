//! A wire that loses, doubles and delays packets.

use super::*;

/// Pictures of one try.
const PICTURES: u32 = 200;
const FRAGMENTS: usize = 4;

/// The packets of picture `n`, which says its number, without their numbers on the wire.
fn packed(n: u32) -> Vec<(bool, Vec<u8>)> {
    let is_key = n.is_multiple_of(25);
    let mut packets: Vec<(bool, Vec<u8>)> = Vec::new();
    if is_key {
        packets.extend([SPS, PPS].map(|set| (false, set.to_vec())));
    }
    let kind = if is_key { 5 } else { 1 };
    for at in 0..FRAGMENTS {
        let header = u8::from(at == 0) << 7 | u8::from(at + 1 == FRAGMENTS) << 6 | kind;
        let mut payload = vec![0x7c, header];
        if at == 0 {
            payload.push(0x88);
        }
        payload.extend_from_slice(&digits(n));
        packets.push((at + 1 == FRAGMENTS, payload));
    }
    packets
}

/// The number of a picture in four octets that hold no start code.
fn digits(n: u32) -> [u8; 4] {
    [n / 100, n / 10 % 10, n % 10, 0].map(|digit| 0x80 | u8::try_from(digit).unwrap())
}

/// The number of the picture that a unit holds, if all of it is of one picture and whole.
fn number(unit: &AccessUnit) -> Option<u32> {
    let nal = crate::media::nal::Nals::new(&unit.data).last()?;
    let parts: Vec<&[u8]> = nal[2..].chunks(4).collect();
    let is_one = parts.len() == FRAGMENTS && parts.iter().all(|part| *part == parts[0]);
    (0..PICTURES).find(|n| is_one && digits(*n) == *parts[0])
}

/// The pictures of which every packet arrived, and those that came out.
fn tried(seed: u64, loss: f64, late: f64) -> (Vec<u32>, Vec<u32>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bench = PublishBench::new(VIDEO, Carriage::Udp);
    let (mut arrived, mut delayed) = (Vec::new(), Vec::new());
    for n in 0..PICTURES {
        let mut is_whole = true;
        for (marker, payload) in packed(n) {
            let packet = bench.packet(n * 3_600, marker, &payload);
            for packet in delayed.drain(..) {
                bench.give(TrackId(0), TrackPacket::Rtp(packet));
            }
            // The first pictures come as they should: a run begins with a key frame.
            if n > 2 && random.f64() < loss {
                // Sets that are lost are in force already.
                is_whole &= payload[0] & 31 != 28;
            } else if n > 2 && random.f64() < late {
                delayed.push(packet);
            } else {
                bench.give(TrackId(0), TrackPacket::Rtp(packet.clone()));
                if random.f64() < late {
                    bench.give(TrackId(0), TrackPacket::Rtp(packet));
                }
            }
        }
        if is_whole {
            arrived.push(n);
        }
        bench.later(Duration::from_millis(40));
        let _ = bench.publisher.advance();
    }
    for packet in delayed {
        bench.give(TrackId(0), TrackPacket::Rtp(packet));
    }
    let came = bench.units().iter().filter_map(|unit| number(unit)).collect();
    (arrived, came)
}

#[test]
fn every_picture_of_which_all_packets_arrive_comes_out_once_whatever_is_lost_around_it() {
    for seed in 0..100 {
        for (loss, late) in [(0.0, 0.05), (0.01, 0.02), (0.1, 0.1)] {
            let (arrived, came) = tried(seed, loss, late);
            assert_eq!(came, arrived, "seed {seed}, loss {loss}, late {late}");
        }
    }
}
