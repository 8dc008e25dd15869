//! `WebVTT` files that map times to parts of images, as players take them for the pictures above
//! their seek bar.
//!
//! Owns: the text (W3C WebVTT §4, media fragments `#xywh=` of W3C Media Fragments URI 1.0 §4.2.2).

use std::fmt::Write;
use std::time::Duration;

/// A part of an image that represents a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// From when.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// The image, relative to the file.
    pub image: String,
    /// Left edge, upper edge, width, height in pixels.
    pub xywh: [u16; 4],
}

/// The file of `cues`, with `note` as a comment.
#[must_use]
pub fn file(note: &str, cues: &[Cue]) -> String {
    let mut text = format!("WEBVTT\n\nNOTE {}\n", note.replace("-->", "to").replace('\n', " "));
    for cue in cues {
        let [x, y, w, h] = cue.xywh;
        let (from, until) = (timestamp(cue.from), timestamp(cue.until));
        // A String takes whatever is written to it.
        let _ = write!(text, "\n{from} --> {until}\n{}#xywh={x},{y},{w},{h}\n", cue.image);
    }
    text
}

/// `hh:mm:ss.ttt`, with more digits of hours where they are needed.
fn timestamp(at: Duration) -> String {
    let (secs, millis) = (at.as_secs(), at.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", secs / 3_600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_note_and_its_cues() {
        let cue = |from: u64, until: u64| Cue {
            from: Duration::from_millis(from),
            until: Duration::from_millis(until),
            image: "600.jpg".to_owned(),
            xywh: [160, 90, 160, 90],
        };
        assert_eq!(
            file("from a --> b", &[cue(0, 7_250), cue(7_250, 360_000_000)]),
            "WEBVTT\n\nNOTE from a to b\n\
             \n00:00:00.000 --> 00:00:07.250\n600.jpg#xywh=160,90,160,90\n\
             \n00:00:07.250 --> 100:00:00.000\n600.jpg#xywh=160,90,160,90\n"
        );
    }
}
