//! H.265 key frames with libde265, which is loaded when a decoder child starts, if it is there.
//!
//! Owns: the library's C interface (libde265/de265.h, as of 1.0), and with it all of the unsafe
//! code of picture decoding. It runs in the child only.

#![allow(unsafe_code)] // a C library that is optional at run time can only be had by dlopen

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::colours::CodedColours;
use super::pixels::{DecodedPicture, PicturePlane};
use crate::base::limits::DECODE_PIXELS_MAX;

/// The library's name; the number is that of its binary interface.
const LIBRARY: &CStr = c"libde265.so.0";
/// `DE265_OK`.
const OK: c_int = 0;
/// `DE265_ERROR_WAITING_FOR_INPUT_DATA`.
const WAITING: c_int = 13;
/// `de265_chroma_420`.
const CHROMA_420: c_int = 1;
/// Rounds of decoding for one key frame; far more than its NAL units need.
const ROUNDS_MAX: usize = 10_000;

/// Why an H.265 key frame was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum HevcError {
    /// The library made no decoder.
    #[error("libde265 makes no decoder")]
    NoContext,
    /// The library reported an error.
    #[error("not decodable as H.265: {0}")]
    Refused(String),
    /// It took the bits but made no picture of them.
    #[error("no picture in it")]
    NoPicture,
    /// Something other than 4:2:0 with 8 to 16 bits.
    #[error("pictures of this kind are not drawn (chroma format {chroma}, {bits} bits)")]
    Kind {
        /// `chroma_format_idc`, ITU-T H.265 §6.2.
        chroma: c_int,
        /// Bits per sample.
        bits: c_int,
    },
}

type Context = *mut c_void;
type Image = *const c_void;

/// The functions of the library that are used.
pub(super) struct Hevc {
    new: unsafe extern "C" fn() -> Context,
    free: unsafe extern "C" fn(Context) -> c_int,
    push: unsafe extern "C" fn(Context, *const c_void, c_int, i64, *mut c_void) -> c_int,
    flush: unsafe extern "C" fn(Context) -> c_int,
    decode: unsafe extern "C" fn(Context, *mut c_int) -> c_int,
    next: unsafe extern "C" fn(Context) -> Image,
    width: unsafe extern "C" fn(Image, c_int) -> c_int,
    height: unsafe extern "C" fn(Image, c_int) -> c_int,
    chroma: unsafe extern "C" fn(Image) -> c_int,
    bits: unsafe extern "C" fn(Image, c_int) -> c_int,
    plane: unsafe extern "C" fn(Image, c_int, *mut c_int) -> *const u8,
    full_range: unsafe extern "C" fn(Image) -> c_int,
    matrix: unsafe extern "C" fn(Image) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
}

/// Looks a function up under its name, as the type of the field that takes it.
macro_rules! function {
    ($library:expr, $name:literal) => {{
        // SAFETY: the handle is that of a loaded library that is never closed.
        let address = unsafe { libc::dlsym($library, $name.as_ptr()) };
        if address.is_null() {
            return Err(format!("{LIBRARY:?} has no {:?}", $name));
        }
        // SAFETY: libde265.so.0 gives this name to a function of the field's type, see de265.h.
        #[allow(clippy::missing_transmute_annotations)] // the field says it
        unsafe {
            std::mem::transmute::<*mut c_void, _>(address)
        }
    }};
}

impl Hevc {
    /// Loads the library; otherwise says in the loader's words why not.
    pub(super) fn open() -> Result<Self, String> {
        // SAFETY: the name ends with a zero; the library's initialisers are those of the
        // system's package, which runs them in every player.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            // SAFETY: called behind a failed dlopen on the only thread.
            return Err(unsafe { text(libc::dlerror()) });
        }
        Ok(Self {
            new: function!(library, c"de265_new_decoder"),
            free: function!(library, c"de265_free_decoder"),
            push: function!(library, c"de265_push_data"),
            flush: function!(library, c"de265_flush_data"),
            decode: function!(library, c"de265_decode"),
            next: function!(library, c"de265_get_next_picture"),
            width: function!(library, c"de265_get_image_width"),
            height: function!(library, c"de265_get_image_height"),
            chroma: function!(library, c"de265_get_chroma_format"),
            bits: function!(library, c"de265_get_bits_per_pixel"),
            plane: function!(library, c"de265_get_image_plane"),
            full_range: function!(library, c"de265_get_image_full_range_flag"),
            matrix: function!(library, c"de265_get_image_matrix_coefficients"),
            error: function!(library, c"de265_get_error_text"),
        })
    }

    /// Decodes one key frame, Annex B with its parameter sets, and hands the picture to `take`.
    pub(super) fn decode<T>(
        &self,
        annex_b: &[u8],
        take: impl FnOnce(&DecodedPicture<'_>) -> T,
    ) -> Result<T, HevcError> {
        // SAFETY: takes nothing.
        let context = unsafe { (self.new)() };
        if context.is_null() {
            return Err(HevcError::NoContext);
        }
        let session = HevcDecoder { hevc: self, context };
        let image = session.run(annex_b)?;
        Ok(take(&session.picture(image)?))
    }
}

/// A decoder of the library for one key frame.
struct HevcDecoder<'a> {
    hevc: &'a Hevc,
    context: Context,
}

impl Drop for HevcDecoder<'_> {
    fn drop(&mut self) {
        // SAFETY: the context came from `new` and is freed once; its images are not used any more,
        // because they borrow from this session.
        unsafe { (self.hevc.free)(self.context) };
    }
}

impl HevcDecoder<'_> {
    /// Feeds all of it; the first picture that comes.
    fn run(&self, annex_b: &[u8]) -> Result<Image, HevcError> {
        let length = c_int::try_from(annex_b.len()).map_err(|_| HevcError::NoPicture)?;
        // SAFETY: the library copies `length` bytes from the pointer before it returns.
        let pushed = unsafe {
            (self.hevc.push)(self.context, annex_b.as_ptr().cast(), length, 0, ptr::null_mut())
        };
        self.check(pushed)?;
        // SAFETY: the context is alive.
        self.check(unsafe { (self.hevc.flush)(self.context) })?;
        for _ in 0..ROUNDS_MAX {
            let mut more = 0;
            // SAFETY: the context is alive, and `more` is an int for the call to write.
            let done = unsafe { (self.hevc.decode)(self.context, &raw mut more) };
            // SAFETY: the context is alive. The image lives until the next call of `next`.
            let image = unsafe { (self.hevc.next)(self.context) };
            if !image.is_null() {
                return Ok(image);
            }
            if done != WAITING {
                self.check(done)?;
            }
            if more == 0 {
                break;
            }
        }
        Err(HevcError::NoPicture)
    }

    fn check(&self, code: c_int) -> Result<(), HevcError> {
        if code == OK {
            return Ok(());
        }
        // SAFETY: the library answers any number with a text of its own, or null.
        Err(HevcError::Refused(unsafe { text((self.hevc.error)(code)) }))
    }

    fn picture(&self, image: Image) -> Result<DecodedPicture<'_>, HevcError> {
        // SAFETY: here and below `image` is the picture that `run` was given last.
        let (chroma, bits) = unsafe { ((self.hevc.chroma)(image), (self.hevc.bits)(image, 0)) };
        if chroma != CHROMA_420 || !(8..=16).contains(&bits) {
            return Err(HevcError::Kind { chroma, bits });
        }
        let plane = |channel| self.plane(image, channel).ok_or(HevcError::NoPicture);
        // SAFETY: as above.
        let (matrix, full_range) =
            unsafe { ((self.hevc.matrix)(image), (self.hevc.full_range)(image)) };
        let told = CodedColours::new(u8::try_from(matrix).unwrap_or(2), full_range != 0);
        Ok(DecodedPicture { planes: [plane(0)?, plane(1)?, plane(2)?], told })
    }

    fn plane(&self, image: Image, channel: c_int) -> Option<PicturePlane<'_>> {
        let mut stride = 0;
        // SAFETY: the image is alive, the channel is one of the three of 4:2:0, and `stride` is
        // an int for the call to write.
        let (width, height, bits, samples) = unsafe {
            (
                (self.hevc.width)(image, channel),
                (self.hevc.height)(image, channel),
                (self.hevc.bits)(image, channel),
                (self.hevc.plane)(image, channel, &raw mut stride),
            )
        };
        let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
        let stride = usize::try_from(stride).ok()?;
        let sample_bytes = if bits > 8 { 2 } else { 1 };
        if samples.is_null() || width == 0 || height == 0 || stride < width * sample_bytes {
            return None;
        }
        if width.checked_mul(height)? > DECODE_PIXELS_MAX {
            return None;
        }
        let length = stride * (height - 1) + width * sample_bytes;
        // SAFETY: the library's planes have `height` rows, each `stride` bytes behind the one
        // before, of `width` samples; they live as long as the session.
        let bytes = unsafe { std::slice::from_raw_parts(samples, length) };
        if sample_bytes == 1 {
            return PicturePlane::new(bytes, stride, (width, height));
        }
        PicturePlane::new(eight_bits(bytes, stride, width, bits - 8), width, (width, height))
    }
}

/// Rows of 16-bit samples, in this machine's order of bytes, by their upper 8 bits.
fn eight_bits(bytes: &[u8], stride: usize, width: usize, by: c_int) -> Cow<'static, [u8]> {
    let sample = |pair: &[u8]| {
        let value = u16::from_ne_bytes([pair[0], pair[1]]) >> by;
        u8::try_from(value).unwrap_or(u8::MAX)
    };
    bytes.chunks(stride).flat_map(|row| row[..width * 2].chunks_exact(2).map(sample)).collect()
}

/// A C text as ours.
///
/// # Safety
///
/// `text` is null or ends with a zero and is not changed meanwhile.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
