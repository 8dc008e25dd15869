//! What a film is made of, on a ring in memory.
