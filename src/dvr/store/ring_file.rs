//! `ring.toml` as bytes, and what the slots say where it is missing or damaged.
//!
//! Owns: the checksum behind the file, and the survey of slots. Every lap names its ring and the size of
//! its slot, so the file can be made again; what it alone knows is the volume and a shrink that was
//! under way.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dvr::disk::{Disk, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::front::{SlotFront, read_front};
use crate::dvr::format::salvage;
use crate::dvr::format::seal::Identity;

/// Behind the text: eight hexadecimal digits, CRC-32C of what is before. A comment, so that versions
/// that do not know it read the file as well.
const CHECKSUM: &str = "# crc32c = ";

/// What `ring.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RingFile {
    pub(crate) format: u32,
    /// The ring's identity, 32 hexadecimal digits.
    pub(crate) ring: String,
    pub(crate) slot_bytes: u64,
    pub(crate) slots: u32,
    /// Numbers of slots are below this; left out where it is `slots`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) numbers: Option<u32>,
    /// Slots whose deletion was agreed to, and that may still have files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leaving: Vec<u32>,
    /// The file system's identity in hexadecimal; 0 where it has none.
    pub(crate) volume: String,
}

impl RingFile {
    /// Reads the file's text; says why it cannot be believed.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        if let Some(at) = text.rfind(CHECKSUM) {
            let (before, checksum) = (&text[..at], text[at + CHECKSUM.len()..].trim_end());
            if checksum != format!("{:08x}", crc32c::crc32c(before.as_bytes())) {
                return Err("its checksum does not match".to_owned());
            }
        }
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    /// Whether a checksum is behind the text.
    pub(crate) fn has_checksum(text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| text.contains(CHECKSUM))
    }

    /// The file's text with its checksum.
    pub(crate) fn text(&self) -> Result<String, String> {
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        let crc = crc32c::crc32c(text.as_bytes());
        Ok(format!("{text}{CHECKSUM}{crc:08x}\n"))
    }
}

/// What the slots in a directory say of their ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) ring: Identity,
    pub(crate) slot_bytes: u64,
    /// Slots that have files.
    pub(crate) slots: u32,
    /// Their numbers are below this.
    pub(crate) numbers: u32,
}

/// What the slots in `dir` say of their ring; `None` when none of them holds footage.
///
/// Where they disagree the ring with the most slots counts. Seals are asked only where no slot has a
/// front that can be read.
pub(crate) fn survey(disk: &dyn Disk, dir: &Path) -> Result<Option<Survey>, DvrError> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DvrError::disk("list", dir)(error)),
    };
    let numbers: Vec<u32> = names.iter().filter_map(|name| slot_number(name)).collect();
    let mut votes: BTreeMap<(Identity, u64), u32> = BTreeMap::new();
    let mut unclear = Vec::new();
    for &number in &numbers {
        let path = dir.join(slot_name(number));
        let looked = || {
            let file = disk.open(&path, OpenMode::Read)?;
            let length = file.length()?;
            Ok::<_, io::Error>((read_front(&*file, length)?, file, length))
        };
        // What cannot be read now has no vote; the ring counts it as unreadable.
        match looked() {
            Ok((SlotFront::Held { header, .. }, ..)) => {
                *votes.entry((header.ring, header.slot_bytes)).or_default() += 1;
            }
            Ok((SlotFront::Damaged, file, length)) => unclear.push((file, length)),
            Ok((SlotFront::Blank, ..)) | Err(_) => {}
        }
    }
    if votes.is_empty() {
        for (file, length) in unclear {
            if let Ok(Some(found)) = salvage::remains(&*file, length, None) {
                *votes.entry((found.first.ring, length)).or_default() += 1;
            }
        }
    }
    let winner = votes.into_iter().max_by_key(|&(_, count)| count);
    let slots = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    let highest = numbers.iter().max().map_or(0, |highest| highest.saturating_add(1));
    Ok(winner.map(|((ring, slot_bytes), _)| Survey {
        ring,
        slot_bytes,
        slots,
        numbers: highest.max(slots),
    }))
}

/// The file name of a slot.
pub(crate) fn slot_name(number: u32) -> String {
    format!("{number:06}.mp4")
}

/// The number in a slot's file name.
pub(crate) fn slot_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".mp4")?;
    let plain = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}
