//! Raw pictures to H.264, and key frames to JPEG.
