//! The certificate of the box, signed by its own authority.
//!
//! Owns: its file, and when it has to be renewed. The key stays the same through all renewals, so
//! that a pin of the public key lasts as long as the authority does.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::authority::Authority;
use super::pem_file::{self, PemFile};
use super::{CertificateAndKey, TlsError, names};
use crate::base::time::{Trust, WallTime};

/// Private key and certificate.
const FILE: &str = "box.pem";
const DAY_SECS: i64 = 86_400;
/// How long a certificate is good that was made while the date could be trusted.
const LIFE_DAYS: i64 = 365;
/// The same when the date could not: the most that Apple's devices accept under an authority
/// installed by hand (825 days), less a few.
const LIFE_UNTRUSTED_DAYS: i64 = 820;
/// When this program was built, in seconds since 1970: it cannot be earlier than that.
const BUILT_SECS: &str = env!("HOLDFAST_BUILD_SECS");

/// What decides about a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// Names and addresses, sorted.
    names: Vec<String>,
    /// From when and until when, in days since 1970.
    from_day: i64,
    until_day: i64,
    /// Whether the date could be trusted when it was made.
    trusted: bool,
    /// SHA-256 of the authority that signed it.
    authority: String,
}

/// The date, and whether it is trusted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Today {
    pub(super) day: i64,
    pub(super) trusted: bool,
}

impl Today {
    /// A date before this program was built is invalid.
    pub(super) fn new(now: WallTime, trust: Trust) -> Self {
        let day = now.as_unix_nanos().div_euclid(1_000_000_000 * DAY_SECS);
        Self { day, trusted: trust != Trust::None && day >= built_day() }
    }
}

fn built_day() -> i64 {
    BUILT_SECS.parse::<i64>().unwrap_or_default().div_euclid(DAY_SECS)
}

impl About {
    /// The content of a certificate made `today`; `before` is the one that it replaces.
    fn new(names: Vec<String>, authority: String, today: Today, before: Option<&Self>) -> Self {
        let (from_day, days) = if today.trusted {
            // Clients whose clocks are a little behind take it too.
            (today.day - 1, LIFE_DAYS)
        } else {
            // It is at least as late as when this was built, and as when a trusted date was seen.
            let seen = before.filter(|before| before.trusted).map(|before| before.from_day);
            (seen.map_or(built_day(), |day| day.max(built_day())), LIFE_UNTRUSTED_DAYS)
        };
        let until_day = from_day + days;
        Self { names, from_day, until_day, trusted: today.trusted, authority }
    }

    /// Why it has to be renewed `today`, for `names` and by `authority`.
    fn is_due(&self, names: &[String], authority: &str, today: Today) -> Option<&'static str> {
        let renew_day = self.from_day + (self.until_day - self.from_day) * 2 / 3;
        let outside = today.day < self.from_day || today.day >= renew_day;
        if self.authority != authority {
            return Some("another authority");
        }
        if self.names != names {
            return Some("other names or addresses");
        }
        if today.trusted && !self.trusted {
            return Some("the date can be trusted now");
        }
        (today.trusted && outside).then_some("two thirds of its life are over")
    }
}

/// A certificate with what is known of it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) identity: CertificateAndKey,
    about: About,
}

impl Leaf {
    /// The certificate in `dir` that `authority` signed for the names of the machine and `hosts`;
    /// a new one if it is due, or not there.
    pub(super) fn find(
        dir: &Path,
        authority: &Authority,
        hosts: &[String],
        today: Today,
    ) -> Result<Self, TlsError> {
        let path = dir.join(FILE);
        let kept = pem_file::read::<About>(&path)?;
        let names = names::current(hosts, authority.own_name());
        let signer = authority.fingerprint.to_string();
        if let Some(kept) = &kept
            && let Some(leaf) = Self::parse(kept)
        {
            match leaf.about.is_due(&names, &signer, today) {
                None => return Ok(leaf),
                Some(why) => info!(part = "tls", why, "renewing the certificate"),
            }
        } else if path.exists() {
            warn!(part = "tls", "the certificate is damaged, making another one");
        }
        let key = kept.as_ref().and_then(|kept| KeyPair::from_pem(&kept.key).ok());
        let key = key.map_or_else(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256), Ok)?;
        let about = About::new(names, signer, today, kept.as_ref().map(|kept| &kept.about));
        let certificate = authority.sign(params(&about)?, &key)?;
        let file = PemFile { about, key: key.serialize_pem(), certificate };
        if let Err(error) = pem_file::write(&path, &file) {
            warn!(
                part = "tls",
                error = %error,
                "the certificate cannot be kept, the next start has another"
            );
        }
        Self::parse(&file).ok_or(TlsError::Pem { path, what: "certificate" })
    }

    /// Whether [`find`](Self::find) would make another one.
    pub(super) fn is_due(&self, authority: &Authority, hosts: &[String], today: Today) -> bool {
        let names = names::current(hosts, authority.own_name());
        self.about.is_due(&names, &authority.fingerprint.to_string(), today).is_some()
    }

    fn parse(file: &PemFile<About>) -> Option<Self> {
        let key = PrivateKeyDer::from_pem_slice(file.key.as_bytes()).ok()?;
        let identity = CertificateAndKey { chain: file.chain()?, key };
        Some(Self { identity, about: file.about.clone() })
    }
}

fn params(about: &About) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(about.names.clone())?;
    let date = |day: i64| {
        let date = date(day);
        date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    (params.not_before, params.not_after) = (date(about.from_day), date(about.until_day));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Holdfast box");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// The date of a day; one that no certificate can hold becomes the nearest that one can.
fn date(day: i64) -> Date {
    let secs = day.clamp(0, 29_219).saturating_mul(DAY_SECS);
    let at = Timestamp::from_second(secs).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn on(day: i64, trusted: bool) -> Today {
        Today { day, trusted }
    }

    #[test]
    fn it_is_renewed_when_two_thirds_of_its_year_are_over_and_not_before() {
        let day = built_day() + 10;
        let here = names(&["10.0.0.7", "localhost"]);
        let made = About::new(here.clone(), "A".to_owned(), on(day, true), None);
        assert_eq!((made.from_day, made.until_day), (day - 1, day + 364));
        for (later, due) in [(0, false), (241, false), (242, true), (400, true), (-2, true)] {
            let why = made.is_due(&here, "A", on(day + later, true));
            assert_eq!(why.is_some(), due, "{later} days later");
        }
        assert_eq!(made.is_due(&here, "A", on(day + 400, false)), None, "nobody knows the date");
        let moved = names(&["10.0.0.8", "localhost"]);
        assert_eq!(made.is_due(&moved, "A", on(day, false)), Some("other names or addresses"));
        assert!(made.is_due(&here, "B", on(day, true)).is_some());
    }

    #[test]
    fn without_a_date_it_begins_when_the_program_was_built_and_is_replaced_once_there_is_one() {
        let here = names(&["localhost"]);
        let made = About::new(here.clone(), "A".to_owned(), on(3, false), None);
        assert_eq!((made.from_day, made.until_day), (built_day(), built_day() + 820));
        assert_eq!(made.is_due(&here, "A", on(3, false)), None);
        assert!(made.is_due(&here, "A", on(built_day() + 5, true)).is_some());
        let good = About::new(here.clone(), "A".to_owned(), on(built_day() + 100, true), None);
        let again = About::new(here, "A".to_owned(), on(3, false), Some(&good));
        assert_eq!(again.from_day, good.from_day, "a date that was trusted once is a floor");
    }

    #[test]
    fn a_date_before_the_program_was_built_is_none() {
        let wall = |day: i64| WallTime::from_unix_nanos(day * DAY_SECS * 1_000_000_000);
        assert!(!Today::new(wall(built_day() - 1), Trust::Ntp).trusted);
        assert!(Today::new(wall(built_day()), Trust::Rtc).trusted);
        assert!(!Today::new(wall(built_day() + 9), Trust::None).trusted);
        assert_eq!(date(20_000).to_string(), "2024-10-04");
        assert_eq!(date(i64::MAX).to_string(), "2049-12-31");
    }
}
