//! The plan: configuration to parts to supervised tasks.
