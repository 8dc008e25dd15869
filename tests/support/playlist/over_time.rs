//! What holds between two playlists: of one URL at two times, of a variant and its list.

use std::collections::BTreeMap;

use super::{Breach, Media, Multivariant, Segment};

type Rule = (&'static str, fn(&Media, &Media) -> Result<(), String>);

const RULES: &[Rule] = &[
    ("the target never changes", |before, after| {
        let (old, new) = (before.target_secs, after.target_secs);
        same("target", old.to_bits(), new.to_bits())
    }),
    ("the part target never changes", |before, after| {
        let (old, new) = (before.part_target_secs, after.part_target_secs);
        same("part target", old.map(f64::to_bits), new.map(f64::to_bits))
    }),
    ("the version never changes", |before, after| same("version", before.version, after.version)),
    ("numbers never decrease", numbers_grow),
    ("a number is one segment", one_segment),
    ("each removed discontinuity is counted", discontinuities_counted),
    ("removal leaves three targets", three_targets),
    (
        "nothing follows an end",
        |before, _| {
            if before.ended { Err("it had ended".to_owned()) } else { Ok(()) }
        },
    ),
];

fn same<T: PartialEq + std::fmt::Debug>(what: &str, old: T, new: T) -> Result<(), String> {
    if old == new { Ok(()) } else { Err(format!("{what} {old:?}, then {new:?}")) }
}

fn numbers_grow(before: &Media, after: &Media) -> Result<(), String> {
    let old = (before.sequence, before.discontinuity_sequence, before.next());
    let new = (after.sequence, after.discontinuity_sequence, after.next());
    let grows = new.0 >= old.0 && new.1 >= old.1 && new.2 >= old.2;
    if grows { Ok(()) } else { Err(format!("{old:?}, then {new:?}")) }
}

fn one_segment(before: &Media, after: &Media) -> Result<(), String> {
    let old: BTreeMap<u64, &Segment> = before.segments.iter().map(|it| (it.number, it)).collect();
    let shown = |it: &Segment| (it.uri.clone(), it.secs.to_bits(), it.discontinuity);
    for new in &after.segments {
        if let Some(old) = old.get(&new.number) {
            same("segment", shown(old), shown(new))?;
        }
    }
    let parts = |it: &Segment| it.parts.iter().map(|part| part.uri.clone()).collect::<Vec<_>>();
    let grown = after.segments.iter().chain([&after.open]);
    let grown = grown.filter(|it| it.number == before.open.number && !it.parts.is_empty());
    for new in grown {
        let (old, new) = (parts(&before.open), parts(new));
        if !new.starts_with(&old) {
            return Err(format!("parts {old:?}, then {new:?}"));
        }
    }
    Ok(())
}

/// Whether the later list joins the earlier one, so that it is known what was removed.
fn joins(before: &Media, after: &Media) -> bool {
    let end = before.sequence + before.skipped + before.segments.len() as u64;
    after.sequence >= before.sequence && after.sequence <= end && before.skipped == 0
}

fn discontinuities_counted(before: &Media, after: &Media) -> Result<(), String> {
    if !joins(before, after) {
        return Ok(());
    }
    let gone = before.segments.iter().filter(|it| it.number < after.sequence && it.discontinuity);
    let expected = before.discontinuity_sequence + gone.count() as u64;
    same("discontinuity sequence", expected, after.discontinuity_sequence)
}

fn three_targets(before: &Media, after: &Media) -> Result<(), String> {
    let removed = joins(before, after) && after.sequence > before.sequence && after.skipped == 0;
    let enough = after.secs() >= 3.0 * after.target_secs - 0.001;
    if !removed || enough { Ok(()) } else { Err(format!("{} s", after.secs())) }
}

/// The rules that `after` breaks as the successor of `before` at the same URL.
pub fn breaches(before: &Media, after: &Media) -> Vec<Breach> {
    let broken = RULES
        .iter()
        .filter_map(|(rule, holds)| holds(before, after).err().map(|how| Breach { rule, how }));
    broken.collect()
}

impl Media {
    /// Fails unless this may come behind `before` at the same URL.
    pub fn follows(&self, before: &Self) {
        let breaches = breaches(before, self);
        assert!(breaches.is_empty(), "{breaches:#?}\n{before:#?}\nthen\n{self:#?}");
    }

    /// The rules that it breaks behind `before`.
    pub fn breaches_behind(&self, before: &Self) -> Vec<Breach> {
        breaches(before, self)
    }
}

impl Multivariant {
    /// Fails unless it may name `media` (RFC 8216 §7, Apple's authoring rules).
    pub fn covers(&self, media: &Media) {
        assert!(self.version >= media.version, "version {} of {}", self.version, media.version);
        assert!(!self.independent || media.independent, "segments are promised independent");
    }

    /// Fails unless the BANDWIDTH of variant `at` is not exceeded by any of these segments, given
    /// as bytes and seconds (Apple's authoring rules, 9.11: by no more than a tenth).
    pub fn bandwidth_covers(&self, at: usize, segments: &[(usize, f64)]) {
        let told: f64 = self.variants[at].told["BANDWIDTH"].parse().unwrap();
        for (bytes, secs) in segments {
            #[allow(clippy::cast_precision_loss)] // bytes of one segment
            let bits = *bytes as f64 * 8.0 / secs;
            assert!(bits <= told * 1.1, "{bits} bit/s in a segment, {told} told");
        }
    }
}
