//! What kind of trouble an error is, so that only `supervise` decides what follows from it.
//!
//! Owns: the classes. Does not own: the errors, which each module keeps in an enum of its own.

/// Whose trouble an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The other side spoke wrongly, or refused in a way that trying again may mend.
    Peer,
    /// The other side refused our credentials: trying again fast only locks the account.
    Refused,
    /// No way through to the other side.
    Network,
    /// The disk failed, filled up or went away.
    Disk,
    /// The configuration asks for something that cannot be done.
    Config,
    /// We are wrong.
    Bug,
}

impl Class {
    /// The class as one lower-case word, for log fields and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Refused => "refused",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Config => "config",
            Self::Bug => "bug",
        }
    }
}

/// An error that knows its class.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// Whose trouble this is.
    fn class(&self) -> Class;
}

/// What the system refused, as the end of a sentence for people: what it is called by the system, or
/// by a library, is of no use to them.
#[must_use]
pub fn plain(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => "it is not there",
        Kind::PermissionDenied => "there is no permission for it",
        Kind::ConnectionRefused => "it refuses the connection",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => "it hung up",
        Kind::HostUnreachable => "no such host answers on this network",
        Kind::NetworkUnreachable | Kind::NetworkDown => "no network leads there",
        Kind::TimedOut => "it does not answer",
        Kind::StorageFull | Kind::QuotaExceeded => "the disk is full",
        Kind::ReadOnlyFilesystem => "the disk is read-only",
        Kind::OutOfMemory => "memory has run out",
        _ => "the system refuses it",
    }
}

/// The error and its sources in one line, each said once: "outer: inner: innermost".
///
/// Used where an error leaves the process (a log field, the API), because `Display` alone
/// hides the sources.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_source_once() {
        assert_eq!(chain(&Outer(std::io::Error::other("inner"))), "outer: inner");
    }
}
