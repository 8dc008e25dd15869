//! Every prefix of every write sequence of a short scenario.
//!
//! A ring is made, filled and turned once; it is cut at each change, and of what was not synced
//! then each prefix survives, with the next write torn at each sector from both sides.

use super::house::House;

#[test]
fn every_prefix_of_every_write_sequence_recovers() {
    let (mut nth, mut disks) = (0, 0);
    loop {
        nth += 1;
        let (left, came) = House::cut_everywhere_at(nth);
        disks += left;
        if !came {
            break;
        }
    }
    println!("{nth} cuts left {disks} disks");
    assert!(nth > 150 && disks > 2_000, "{nth} cuts left only {disks} disks");
}
