//! RTP payload formats and RTCP reports.
