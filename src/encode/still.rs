//! Key frame to JPEG, in a child process that may crash.
//!
//! Owns: both sides of the child: [`run_child`] is what the child does, [`StillDecoder`] starts
//! it, bounds it in time and memory and kills it. A decoder crash costs one picture.
//!
//! The child is this same program, called with [`CHILD_COMMAND`]: Annex B on its standard input
//! until end of file, one JPEG on its standard output, words for the log on standard error.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;

use bytes::Bytes;
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::base::limits::{
    ACCESS_UNIT_BYTES_MAX, DECODE_MEMORY_BYTES_MAX, DECODE_TIME_MAX, JPEG_BYTES_MAX,
};

/// The argument that makes the program a decoder child.
pub const CHILD_COMMAND: &str = "decode-still";

/// JPEG quality, 1 to 100: at 80 a 1280x720 picture takes about 100 KB.
const JPEG_QUALITY: u8 = 80;
/// What of the child's standard error is kept for the error text.
const CHILD_WORDS_BYTES_MAX: u64 = 512;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum StillError {
    /// The child could not be started or talked to.
    #[error("the picture decoder could not be run")]
    Run(#[source] std::io::Error),
    /// It took longer than [`DECODE_TIME_MAX`] and was killed.
    #[error("the picture decoder took longer than {} s and was ended", DECODE_TIME_MAX.as_secs())]
    TimedOut,
    /// It ended without a picture.
    #[error("the key frame could not be decoded: {words}")]
    Failed {
        /// What the child said.
        words: String,
    },
    /// Its answer is longer than [`JPEG_BYTES_MAX`].
    #[error("the decoded picture is larger than {JPEG_BYTES_MAX} bytes")]
    TooLarge,
}

/// Starts decoder children.
#[derive(Clone, Debug)]
pub struct StillDecoder {
    program: PathBuf,
}

impl StillDecoder {
    /// Children are `program`, which must understand [`CHILD_COMMAND`].
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Children are this very program.
    pub fn this_program() -> std::io::Result<Self> {
        // The link, not what it points to: it stays valid when the file is replaced by an update.
        let link = PathBuf::from("/proc/self/exe");
        if link.exists() { Ok(Self::new(link)) } else { std::env::current_exe().map(Self::new) }
    }

    /// Decodes one key frame, in Annex B and with its parameter sets, to a JPEG.
    ///
    /// Cancel safe: dropping the future kills the child.
    pub async fn jpeg(&self, annex_b: &[u8]) -> Result<Bytes, StillError> {
        let mut child = Command::new(&self.program)
            .arg(CHILD_COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(StillError::Run)?;
        tokio::time::timeout(DECODE_TIME_MAX, converse(&mut child, annex_b))
            .await
            .map_err(|_| StillError::TimedOut)?
    }
}

async fn converse(child: &mut Child, annex_b: &[u8]) -> Result<Bytes, StillError> {
    let taken = "the pipes were asked for when the child was made, and are taken once";
    let mut stdin = child.stdin.take().expect(taken);
    let stdout = child.stdout.take().expect(taken);
    let stderr = child.stderr.take().expect(taken);
    let write = async {
        // A child that ends early closes the pipe; its words say why, not our write.
        let _ = stdin.write_all(annex_b).await;
        drop(stdin);
    };
    let mut jpeg = Vec::new();
    let mut words = Vec::new();
    let mut stdout = stdout.take(JPEG_BYTES_MAX as u64 + 1);
    let mut stderr = stderr.take(CHILD_WORDS_BYTES_MAX);
    let ((), read, _) =
        tokio::join!(write, stdout.read_to_end(&mut jpeg), stderr.read_to_end(&mut words));
    read.map_err(StillError::Run)?;
    if jpeg.len() > JPEG_BYTES_MAX {
        return Err(StillError::TooLarge);
    }
    drop((stdout, stderr));
    let status = child.wait().await.map_err(StillError::Run)?;
    if !status.success() || !jpeg.starts_with(&[0xff, 0xd8]) {
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        let words = if words.is_empty() { format!("decoder ended with {status}") } else { words };
        return Err(StillError::Failed { words });
    }
    Ok(jpeg.into())
}

/// Why the child gives no picture; shown on its standard error.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Standard input or output failed, or a limit could not be set.
    #[error("input or output failed")]
    Io(#[from] std::io::Error),
    /// openh264 gave up.
    #[error("not decodable as H.264")]
    Decode(#[from] openh264::Error),
    /// It took the bits but made no picture of them.
    #[error("no picture in it")]
    NoPicture,
    /// The picture could not be written as JPEG.
    #[error("not writable as JPEG")]
    Encode(#[from] jpeg_encoder::EncodingError),
}

/// The child's whole life: standard input to standard output, inside its limits.
pub fn run_child() -> Result<(), ChildError> {
    limit_myself()?;
    let mut annex_b = Vec::new();
    // Parameter sets and key frame of one access unit, twice the bound for start codes.
    std::io::stdin().take(2 * ACCESS_UNIT_BYTES_MAX as u64).read_to_end(&mut annex_b)?;
    let mut decoder = Decoder::new()?;
    let jpeg = match decoder.decode(&annex_b)? {
        Some(picture) => to_jpeg(&picture)?,
        None => to_jpeg(decoder.flush_remaining()?.last().ok_or(ChildError::NoPicture)?)?,
    };
    Ok(std::io::stdout().write_all(&jpeg)?)
}

/// Memory and processor time are bounded, no core is dumped, nothing can be opened.
fn limit_myself() -> std::io::Result<()> {
    let to = |max: u64| Rlimit { current: Some(max), maximum: Some(max) };
    setrlimit(Resource::As, to(DECODE_MEMORY_BYTES_MAX))?;
    setrlimit(Resource::Cpu, to(DECODE_TIME_MAX.as_secs()))?;
    setrlimit(Resource::Core, to(0))?;
    setrlimit(Resource::Nofile, to(3))?;
    Ok(())
}

fn to_jpeg(picture: &DecodedYUV<'_>) -> Result<Vec<u8>, ChildError> {
    let (width, height) = picture.dimensions();
    let side = |pixels: usize| u16::try_from(pixels).map_err(|_| ChildError::NoPicture);
    let (across, down) = (side(width)?, side(height)?);
    let mut rgb = Vec::with_capacity(width * height * 3);
    let matrix = Matrix::of(height);
    let (luma_stride, chroma_stride, _) = picture.strides();
    for row in 0..height {
        let luma = &picture.y()[row * luma_stride..][..width];
        let chroma = row / 2 * chroma_stride;
        let (u, v) = (&picture.u()[chroma..], &picture.v()[chroma..]);
        for (column, &y) in luma.iter().enumerate() {
            rgb.extend_from_slice(&matrix.rgb(y, u[column / 2], v[column / 2]));
        }
    }
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, JPEG_QUALITY).encode(
        &rgb,
        across,
        down,
        jpeg_encoder::ColorType::Rgb,
    )?;
    Ok(jpeg)
}

/// From video-range YCbCr to RGB, in 1/65536.
///
/// The library's own conversion knows the matrix of standard definition only, which turns an HD
/// camera's greens yellow.
struct Matrix {
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Matrix {
    /// What players assume when a stream does not say: ITU-R BT.709 from 720 lines, else BT.601.
    fn of(height: usize) -> Self {
        if height >= 720 {
            Self { red_v: 117_489, green_u: -13_975, green_v: -34_925, blue_u: 138_438 }
        } else {
            Self { red_v: 104_597, green_u: -25_675, green_v: -53_279, blue_u: 132_201 }
        }
    }

    fn rgb(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let luma = (i32::from(y) - 16) * 76_309 + (1 << 15);
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let eight_bits = |value: i32| u8::try_from((value >> 16).clamp(0, 255)).unwrap_or(255);
        [
            eight_bits(luma + self.red_v * v),
            eight_bits(luma + self.green_u * u + self.green_v * v),
            eight_bits(luma + self.blue_u * u),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_keep_their_colours_in_both_definitions() {
        // 75 % green and white of BT.709 and of BT.601.
        let near = |got: [u8; 3], want: [u8; 3]| {
            got.iter().zip(want).all(|(&got, want)| got.abs_diff(want) <= 2)
        };
        assert!(near(Matrix::of(720).rgb(133, 63, 52), [0, 191, 0]));
        assert!(near(Matrix::of(576).rgb(112, 72, 58), [0, 191, 0]));
        assert!(near(Matrix::of(720).rgb(180, 128, 128), [191, 191, 191]));
        assert_eq!(Matrix::of(720).rgb(255, 128, 128), [255, 255, 255]);
    }
}
