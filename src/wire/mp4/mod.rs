//! Fragmented MP4 (ISO/IEC 14496-12): init segments, fragments, and the boxes around them.
