//! The RTSP door: one listener, one task per connection.
