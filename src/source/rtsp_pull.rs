//! Pulls an IP camera over RTSP with retina.
