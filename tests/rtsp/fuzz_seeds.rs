//! The kept inputs of the fuzz targets (`tests/fuzz`), without the fuzzer: what broke something once
//! does not do so again.

use std::path::Path;

#[path = "../fuzz/eat/lib.rs"]
#[allow(unreachable_pub)] // for the fuzz targets it is a crate
mod eat;

/// Feeds all inputs of one target.
fn feed(target: &str, eat: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let files =
        std::fs::read_dir(&seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        println!("{}", path.display());
        eat(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{target} has no inputs");
}

macro_rules! targets {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            feed(stringify!($target), eat::$target::eat);
        }
    )*};
}

targets! {
    annex_b client client_response client_sdp request response transport authorization sdp interleaved rtp_rtcp depacketise server
    config_document forwarding cookie token ticket proxy_headers
}
