//! The source text itself: who may name whom.

mod floors;
