//! What a right is on.

/// What a caller wants to see of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// What happens now.
    Live,
    /// What was recorded.
    Past,
}
