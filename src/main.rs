//! The daemon's command line.
//!
//! Owns: arguments, exit codes, where logs go. Everything else is the library's.

fn main() {}
