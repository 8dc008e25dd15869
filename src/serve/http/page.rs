//! `/`: the page, out of the binary.
//!
//! Owns: content types and caching of the page's files. In a debug build they are read from the
//! source tree, in a release build they are part of the binary.

use std::fmt::Write as _;

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::door::{Access, Door};
use super::error::ApiError;
use super::origin::Reached;

#[derive(RustEmbed)]
#[folder = "src/serve/page/dist"]
struct Dist;

/// Vite puts files whose name holds a hash of their content here.
const HASHED_DIR: &str = "assets/";
/// Hashed files never change.
const HASHED_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Others are asked for anew each time.
const OTHER_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const INDEX_CACHE: HeaderValue = HeaderValue::from_static("no-store");

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/", Access::Public, index)
        .says("The page.")
        .answers_media(200, &["text/html"])
        .answers_empty(304)
        .get("/timeline", Access::Public, index)
        .says("The page, at its timeline.")
        .answers_media(200, &["text/html"])
        .answers_empty(304)
}

/// `GET /`. The page finds everything relative to its base, which is where the client sees the box.
pub(super) async fn index(Extension(reached): Extension<Reached>) -> Result<Response, ApiError> {
    let file = Dist::get("index.html").ok_or_else(ApiError::not_found)?;
    let page = with_base(&String::from_utf8_lossy(&file.data), &reached.base);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, INDEX_CACHE),
    ];
    Ok((headers, page).into_response())
}

/// `page` with `base` in front of every URL in it that is not absolute.
fn with_base(page: &str, base: &str) -> String {
    let mut page = page.replace("=\"/assets/", "=\"assets/");
    // A page without a head has one behind its document type.
    let head = page.find("<head>").map(|at| at + "<head>".len());
    if let Some(at) = head.or_else(|| page.find('>').map(|at| at + 1)) {
        page.insert_str(at, &format!("\n    <base href=\"{base}\" />"));
    }
    page
}

/// Any other path: a file of the page, or nothing.
pub(super) async fn asset(
    method: Method,
    uri: Uri,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let path = uri.path().trim_start_matches('/');
    let kind = content_type(path).ok_or_else(ApiError::not_found)?;
    let file = Dist::get(path).ok_or_else(ApiError::not_found)?;
    if method != Method::GET && method != Method::HEAD {
        return Err(super::layer::method_not_allowed().await);
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let hashed = path.starts_with(HASHED_DIR);
    headers.insert(header::CACHE_CONTROL, if hashed { HASHED_CACHE } else { OTHER_CACHE });
    let etag = etag(&file);
    if asked.get(header::IF_NONE_MATCH) == Some(&etag) {
        headers.insert(header::ETAG, etag);
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(header::ETAG, etag);
    Ok((headers, file.data).into_response())
}

fn etag(file: &EmbeddedFile) -> HeaderValue {
    let mut text = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..12] {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    HeaderValue::from_str(&text).expect("hexadecimal digits are header text")
}

/// The type of a file that a page may have; `None` for all others.
fn content_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_told_where_it_is() {
        let page = "<html><head><script src=\"/assets/a.js\"></script></head></html>";
        let told = with_base(page, "/cam/");
        assert!(told.contains("<head>\n    <base href=\"/cam/\" />"), "{told}");
        assert!(told.contains("src=\"assets/a.js\""), "{told}");
    }
}
