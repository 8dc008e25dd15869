//! RTSP 1.0 (RFC 2326) as a server: messages, the session state machine, SDP.
