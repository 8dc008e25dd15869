//! The ring-buffer DVR.
