//! The TOML text and its meaning: raw, then checked.
