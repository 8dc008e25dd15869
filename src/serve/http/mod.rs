//! The HTTP door: page, API, HLS, pictures, metrics.
