//! Checks an export without the box that made it: `holdfast verify-export`.
//!
//! Owns: what is checked, in which order, and the words for what is wrong. Everything is named that
//! is wrong, not only the first. The archive's own bytes are written again from what it says and
//! compared, so that no bit of it is left unlooked at.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ring::digest::{Context, SHA256};

use super::manifest::{self, Claim};
use crate::base::device::{PublicKey, hex};
use crate::base::limits::{EXPORT_JOB_MANIFEST_BYTES_MAX, STREAMS_MAX, ZIP_NAME_BYTES_MAX};
use crate::base::time::WallTime;
use crate::wire::zip::{self, Member, Stamp};

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Largest key and signature that are checked.
const SMALL_BYTES_MAX: u64 = 4 << 10;
/// Largest directory of an archive that is read: each line has 46 bytes, a name, and 28 more.
const DIRECTORY_BYTES_MAX: u64 = ((STREAMS_MAX + 8) * (46 + 28 + ZIP_NAME_BYTES_MAX)) as u64;

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Everything that is wrong, as sentences for people.
    pub problems: Vec<String>,
    /// Whose signature the manifest has, if it has a good one.
    pub signer: Option<PublicKey>,
    /// What the manifest says, line by line, if it can be read.
    pub says: Vec<String>,
    /// Files that are whole, manifest and signature left out.
    pub whole_files: usize,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn wrong(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }
}

/// Checks the archive in `file`. An error says that it could not be read.
pub fn verify(file: &File) -> io::Result<Report> {
    let mut report = Report::default();
    let length = file.metadata()?.len();
    let Some((members, directory_at)) = members(file, length)? else {
        report.wrong("The archive's directory is damaged, cut off, or not of an export.");
        return Ok(report);
    };
    let claim = signed(file, &members, &mut report)?;
    let date = claim.as_ref().and_then(|claim| WallTime::parse_rfc3339(&claim.made));
    if let Some(date) = date {
        let frame = Frame { stamp: Stamp::at(date), length, directory_at };
        frame.check(file, &members, &mut report)?;
    } else if claim.is_some() {
        report.wrong("manifest.json says no date at which it was made.");
    }
    compare(file, &members, claim.as_ref(), &mut report)?;
    Ok(report)
}

/// The members in the archive's directory, and the position of that directory.
fn members(file: &File, length: u64) -> io::Result<Option<(Vec<Member>, u64)>> {
    let end = length.min(zip::END_BYTES_MAX as u64);
    let end = read(file, length - end, end)?;
    let Some((at, bytes)) = zip::directory_at(&end, length) else { return Ok(None) };
    if bytes > DIRECTORY_BYTES_MAX {
        return Ok(None);
    }
    let found = zip::directory(&read(file, at, bytes)?);
    let inside = |member: &Member| {
        let end = member.at.checked_add(member.head_bytes());
        end.and_then(|end| end.checked_add(member.bytes)).is_some_and(|end| end <= at)
    };
    Ok(found.filter(|found| found.iter().all(inside)).map(|found| (found, at)))
}

/// Checks the signature, and reads what it is under.
fn signed(file: &File, members: &[Member], report: &mut Report) -> io::Result<Option<Claim>> {
    let mut small = |name: &str, bytes_max: u64| {
        let found = members.iter().find(|member| member.name == name);
        let Some(member) = found.filter(|member| member.bytes <= bytes_max) else {
            report.wrong(format!("{name} is missing, or far too long."));
            return Ok(None);
        };
        read(file, member.at + member.head_bytes(), member.bytes).map(Some)
    };
    let key = small(manifest::PUBLIC_KEY, SMALL_BYTES_MAX)?;
    let signature = small(manifest::SIGNATURE, SMALL_BYTES_MAX)?;
    let Some(text) = small(manifest::MANIFEST, EXPORT_JOB_MANIFEST_BYTES_MAX)? else {
        return Ok(None);
    };
    let key = key.and_then(|key| PublicKey::from_pem(&key));
    report.signer = key
        .filter(|key| signature.as_ref().is_some_and(|signature| key.verifies(&text, signature)));
    if report.signer.is_none() {
        report.wrong(format!(
            "{} is not a signature of {} by the key in {}.",
            manifest::SIGNATURE,
            manifest::MANIFEST,
            manifest::PUBLIC_KEY
        ));
    }
    match serde_json::from_slice::<Claim>(&text) {
        Ok(claim) if claim.format == manifest::FORMAT => {
            report.says = says(&claim);
            let same = report.signer.is_none_or(|key| {
                claim.device.key_sha256 == key.fingerprint()
                    && claim.device.public_key == key.to_pem()
            });
            if !same {
                report.wrong("manifest.json names another key than the one that signed it.");
            }
            Ok(Some(claim))
        }
        Ok(claim) => {
            let format: String = claim.format.chars().take(40).collect();
            report.wrong(format!(
                "manifest.json has the format {format:?}, which is not known here."
            ));
            Ok(None)
        }
        Err(error) => {
            report.wrong(format!("manifest.json cannot be read: {error}."));
            Ok(None)
        }
    }
}

/// What a person wants to know of an export.
fn says(claim: &Claim) -> Vec<String> {
    let mut says = vec![
        format!("recorded by {}, exported {}", claim.device.host, claim.made),
        format!("from {} to {}", claim.range.start, claim.range.end),
    ];
    if !claim.note.is_empty() {
        says.push(format!("note: {}", claim.note));
    }
    for stream in &claim.streams {
        says.push(format!("stream {}: {} gaps", stream.stream, stream.gaps.len()));
        let gap =
            |gap: &manifest::ClaimedGap| format!("  {} to {}: {}", gap.start, gap.end, gap.message);
        says.extend(stream.gaps.iter().map(gap));
    }
    // Untrusted text: nothing in it may steer a terminal.
    let plain = |line: String| line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    says.into_iter().map(plain).collect()
}

/// The bytes around the members.
struct Frame {
    stamp: Stamp,
    length: u64,
    directory_at: u64,
}

impl Frame {
    /// Holds them against what would have been written.
    fn check(&self, file: &File, members: &[Member], report: &mut Report) -> io::Result<()> {
        let mut at = 0;
        for member in members {
            let head = member.head(self.stamp);
            if member.at != at || read(file, at, head.len() as u64)? != head {
                report.wrong(format!("{}: its head in the archive is damaged.", member.name));
            }
            at = member.at + member.head_bytes() + member.bytes;
        }
        let tail = zip::tail(members, self.stamp, at);
        let found = self.length - self.directory_at;
        if at != self.directory_at
            || found != tail.len() as u64
            || read(file, self.directory_at, found)? != tail
        {
            report.wrong("The archive's directory is damaged.");
        }
        Ok(())
    }
}

/// Holds every member against its checksum and against the manifest.
fn compare(
    file: &File,
    members: &[Member],
    claim: Option<&Claim>,
    report: &mut Report,
) -> io::Result<()> {
    let mut seen = BTreeSet::new();
    for member in members {
        let name = &member.name;
        if !seen.insert(name.as_str()) {
            report.wrong(format!("{name}: the archive has two of this name."));
        }
        let (crc32, sha256) = hashes(file, member)?;
        if crc32 != member.crc32 {
            report.wrong(format!("{name}: its bytes are damaged (CRC-32)."));
        }
        let listed = claim.and_then(|claim| claim.files.iter().find(|file| file.name == *name));
        match listed {
            Some(listed) if listed.bytes == member.bytes && listed.sha256 == sha256 => {
                report.whole_files += 1;
            }
            Some(listed) if listed.bytes != member.bytes => report.wrong(format!(
                "{name}: has {} bytes, the manifest says {}.",
                member.bytes, listed.bytes
            )),
            Some(_) => report.wrong(format!("{name}: its SHA-256 is not that of the manifest.")),
            None if claim.is_none()
                || [manifest::MANIFEST, manifest::SIGNATURE].contains(&&**name) => {}
            None => report.wrong(format!("{name}: the manifest does not name it.")),
        }
    }
    let files = claim.map_or(&[][..], |claim| &claim.files);
    for missing in files.iter().filter(|file| !seen.contains(file.name.as_str())) {
        report.wrong(format!("{}: missing.", missing.name));
    }
    Ok(())
}

fn hashes(file: &File, member: &Member) -> io::Result<(u32, String)> {
    let (mut crc, mut sha) = (crc32fast::Hasher::new(), Context::new(&SHA256));
    let (mut at, mut left) = (member.at + member.head_bytes(), member.bytes);
    let mut buffer = vec![0; READ_BYTES];
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let piece = &mut buffer[..length];
        file.read_exact_at(piece, at)?;
        crc.update(piece);
        sha.update(piece);
        (at, left) = (at + length as u64, left - length as u64);
    }
    Ok((crc.finalize(), hex(sha.finish().as_ref())))
}

fn read(file: &File, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::archive::ZipArchive;
    use super::super::manifest::{HOW_TO, Listed, PUBLIC_KEY};
    use super::*;
    use crate::base::device::DeviceKey;

    const MADE: &str = "2026-11-22T14:05:07.000Z";

    /// A small export, as the packer makes it, with these files.
    fn export(key: &DeviceKey, files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        let stamp = Stamp::at(WallTime::parse_rfc3339(MADE).unwrap());
        let mut archive = ZipArchive::new(file.try_clone().unwrap(), stamp);
        let public = key.public();
        let pem = public.to_pem();
        let mut listed: Vec<Listed> = Vec::new();
        for (name, bytes) in files.iter().chain(&[(PUBLIC_KEY, pem.as_bytes())]) {
            listed.push(archive.add(name, bytes).unwrap().into());
        }
        let manifest = serde_json::json!({
            "format": manifest::FORMAT, "made": MADE, "note": "",
            "device": manifest::Device::new(&public),
            "range": { "start": MADE, "end": MADE },
            "streams": [], "files": listed,
        });
        let text = serde_json::to_vec_pretty(&manifest).unwrap();
        archive.add(manifest::MANIFEST, &text).unwrap();
        archive.add(manifest::SIGNATURE, &key.sign(&text)).unwrap();
        archive.finish().unwrap();
        file.flush().unwrap();
        let length = file.metadata().unwrap().len();
        read(&file, 0, length).unwrap()
    }

    fn check(bytes: &[u8]) -> Report {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        verify(&file).unwrap()
    }

    fn key() -> DeviceKey {
        DeviceKey::find_or_make(tempfile::tempdir().unwrap().path()).unwrap().0
    }

    #[test]
    fn one_flipped_bit_anywhere_fails() {
        let key = key();
        let good = export(&key, &[("gate.mp4", &[7; 300]), (HOW_TO, b"so")]);
        let report = check(&good);
        assert!(report.is_sound(), "{report:?}");
        assert_eq!((report.signer, report.whole_files), (Some(key.public()), 3));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(!check(&bad).is_sound(), "bit {} of byte {at}", at % 8);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let good = export(&key(), &[("gate.mp4", &[7; 300]), ("yard.mp4", &[8; 300])]);
        let mut bad = good.clone();
        for byte in [7, 8] {
            let at = bad.windows(8).position(|window| window == [byte; 8]).unwrap();
            bad[at] = 0;
        }
        let told = check(&bad).problems.join("\n");
        for part in ["gate.mp4: its SHA-256", "yard.mp4: its SHA-256", "gate.mp4: its bytes"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!check(&good[..good.len() - 1]).is_sound());
        assert!(!check(&[]).is_sound());
        assert!(!check(&[&good[..], b"x"].concat()).is_sound());
    }

    #[test]
    fn a_file_beside_the_manifest_is_told() {
        let key = key();
        let good = export(&key, &[("gate.mp4", b"abc")]);
        let length = good.len() as u64;
        let file = {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&good).unwrap();
            file
        };
        let (mut members, at) = members(&file, length).unwrap().unwrap();
        let stamp = Stamp::at(WallTime::parse_rfc3339(MADE).unwrap());
        let extra = Member {
            crc32: crc32fast::hash(b"evil"),
            bytes: 4,
            ..Member::begin("evil.mp4", at, 4)
        };
        let mut forged = good[..usize::try_from(at).unwrap()].to_vec();
        forged.extend(extra.head(stamp));
        forged.extend(b"evil");
        members.push(extra);
        let end = forged.len() as u64;
        forged.extend(zip::tail(&members, stamp, end));
        assert_eq!(check(&forged).problems, ["evil.mp4: the manifest does not name it."]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            check(&bytes);
        }
    }
}
