//! Writes a zip archive member by member, hashing as it goes.
//!
//! Owns: the file, and when it is brought to the medium. One piece of a member is in memory.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use ring::digest::{Context, SHA256};

use crate::base::device::hex;
use crate::base::limits::EXPORT_JOB_SYNC_BYTES;
use crate::wire::zip::{self, Member, Stamp};

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct ZipArchive {
    file: File,
    stamp: Stamp,
    /// Where the next byte goes.
    at: u64,
    synced_at: u64,
    members: Vec<Member>,
}

/// A member that is being written.
pub(super) struct Open {
    member: Member,
    crc: crc32fast::Hasher,
    sha: Context,
}

/// A finished member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl ZipArchive {
    /// An archive in `file`, which is empty, whose members have the date of `stamp`.
    pub(super) fn new(file: File, stamp: Stamp) -> Self {
        Self { file, stamp, at: 0, synced_at: 0, members: Vec::new() }
    }

    /// Begins a member of `bytes`.
    pub(super) fn begin(&mut self, name: &str, bytes: u64) -> io::Result<Open> {
        let member = Member::begin(name, self.at, bytes);
        self.put(&member.head(self.stamp))?;
        Ok(Open { member, crc: crc32fast::Hasher::new(), sha: Context::new(&SHA256) })
    }

    /// Adds to a member. Says whether it is time for [`ZipArchive::sync`].
    pub(super) fn write(&mut self, open: &mut Open, bytes: &[u8]) -> io::Result<bool> {
        let length = open.member.bytes + bytes.len() as u64;
        if !open.member.may_have(length) {
            return Err(io::Error::other("a file became larger than was planned"));
        }
        self.put(bytes)?;
        open.crc.update(bytes);
        open.sha.update(bytes);
        open.member.bytes = length;
        Ok(self.at - self.synced_at >= EXPORT_JOB_SYNC_BYTES)
    }

    /// Ends a member: now that its length and checksum are known its head is written again.
    pub(super) fn end(&mut self, open: Open) -> io::Result<Written> {
        let member = Member { crc32: open.crc.finalize(), ..open.member };
        self.file.write_all_at(&member.head(self.stamp), member.at)?;
        let (name, bytes) = (member.name.clone(), member.bytes);
        self.members.push(member);
        Ok(Written { name, bytes, sha256: hex(open.sha.finish().as_ref()) })
    }

    /// Takes a member back that was begun.
    pub(super) fn abandon(&mut self, open: Open) -> io::Result<()> {
        self.at = open.member.at;
        self.synced_at = self.synced_at.min(self.at);
        self.file.set_len(self.at)?;
        self.file.seek(SeekFrom::Start(self.at)).map(drop)
    }

    /// A whole member.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<Written> {
        let mut open = self.begin(name, bytes.len() as u64)?;
        self.write(&mut open, bytes)?;
        self.end(open)
    }

    /// Brings what is written to the medium.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced_at = self.at;
        Ok(())
    }

    /// Ends the archive; returns its length when all of it is on the medium.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let tail = zip::tail(&self.members, self.stamp, self.at);
        self.put(&tail)?;
        self.file.sync_all()?;
        Ok(self.at)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
