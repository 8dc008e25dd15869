//! A stream of two tracks, and accounts that may read it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use holdfast::base::name_pattern::NamePattern;
use holdfast::base::secret::Secret;
use holdfast::media::codec::Law;
use holdfast::media::{CodecParams, RunId, Tracks};
use holdfast::wire::rtsp::auth::{Account, Accounts, Authorizer, Rules, Scope};

/// H.264 and A-law.
pub(crate) fn tracks() -> Arc<Tracks> {
    static TRACKS: LazyLock<Arc<Tracks>> = LazyLock::new(|| {
        let sps = [0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
        let video = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap();
        let audio = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        Arc::new(Tracks::new(RunId(3), [Arc::new(video), Arc::new(audio)]))
    });
    Arc::clone(&TRACKS)
}

/// `nvr`, whose password is `secret`, may read and publish `gate`; `boss` may do everything, and no
/// known password has its hash.
pub(crate) fn accounts() -> Accounts {
    let gate = || Scope::Only([NamePattern::parse("gate").unwrap()].into());
    // md5("nvr:holdfast:secret")
    let nvr = Account::new(Secret::new("7a80d20f1f3584d9012f59b151b3b23e"), gate(), gate());
    let unknown = Secret::new("a7c1f5e20b9d4c6388e1d2f30a4b5c6d");
    let boss = Account::new(unknown, Scope::All, Scope::All);
    BTreeMap::from([("nvr".to_owned(), nvr), ("boss".to_owned(), boss)])
}

/// Lets these accounts in, with Digest and with Basic.
pub(crate) fn authorizer(accounts: Accounts) -> Arc<Authorizer> {
    Arc::new(Authorizer::new(&[7; 32], Rules::new(accounts, true)))
}
