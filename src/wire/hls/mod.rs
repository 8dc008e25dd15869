//! HLS playlists and segments (RFC 8216) as pure state.
