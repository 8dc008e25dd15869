//! Values with units: sizes, durations, shares, addresses.
//!
//! Owns: which units exist. Every parser answers (what is wrong, what would be right).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::limits::RTSP_SESSION_TIMEOUTS;
use crate::dvr;
use crate::encode::still;
use crate::serve::http::{ExternalUrl, Network, prefix_base};

type Parsed<T> = Result<T, (String, &'static str)>;

const SIZE: &str = "a size with a unit, such as \"200GiB\" or \"500MB\"";
const DURATION: &str = "a duration with a unit, such as \"30d\", \"12h\" or \"90s\"";
const RING_SIZE: &str = "a size such as \"200GiB\", or a share of the disk such as \"80%\"";

/// Splits "200GiB" into 200 and "GiB"; no sign, no blank inside the number.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Bytes: `B`, powers of 1000 (`KB` to `TB`), powers of 1024 (`KiB` to `TiB`).
pub(super) fn size(text: &str) -> Parsed<u64> {
    let wrong = || (format!("{text:?} is not a size"), SIZE);
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// The ring's size: a size, or 1 % to 95 % of the volume.
pub(super) fn ring_size(text: &str) -> Parsed<dvr::RingSizing> {
    let Some(share) = text.trim().strip_suffix('%') else {
        return size(text)
            .map(dvr::RingSizing::Bytes)
            .map_err(|_| (format!("{text:?} is not a ring size"), RING_SIZE));
    };
    match share.trim().parse::<u8>() {
        Ok(percent @ 1..=95) => Ok(dvr::RingSizing::Percent(percent)),
        _ => Err((format!("{text:?} is not a share"), "1% to 95%")),
    }
}

/// How long the peer of an RTSP session may be silent.
pub(super) fn session_timeout(text: &str) -> Parsed<Duration> {
    let wanted = "a duration from \"4s\" to \"10m\"";
    let timeout = duration(text).map_err(|(fault, _)| (fault, wanted))?;
    let whole = RTSP_SESSION_TIMEOUTS.contains(&timeout) && timeout.subsec_nanos() == 0;
    whole.then_some(timeout).ok_or_else(|| (format!("{text:?} cannot be waited for"), wanted))
}

/// A duration: `ms`, `s`, `m`, `h`, `d`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let wrong = || (format!("{text:?} is not a duration"), DURATION);
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let secs = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => secs(1),
        "m" => secs(60),
        "h" => secs(3_600),
        "d" => secs(86_400),
        _ => None,
    }
    .ok_or_else(wrong)
}

pub(super) const GROUPS: &str =
    "64 to 1024 groups of 239.0.0.0/8 (RFC 2365), such as \"239.192.77.0/24\"";

/// A range of multicast groups: the first, and how many.
pub(super) fn groups(text: &str) -> Parsed<(Ipv4Addr, u16)> {
    let read = || {
        let (base, bits) = text.trim().split_once('/')?;
        let (base, bits) = (base.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
        let count = 1u32 << 32u32.checked_sub(bits).filter(|left| (6..=10).contains(left))?;
        let whole = base.to_bits().is_multiple_of(count) && base.octets()[0] == 239;
        Some((base, u16::try_from(count).ok()?)).filter(|_| whole)
    };
    read().ok_or_else(|| (format!("{text:?} is not such a range"), GROUPS))
}

/// Where pictures of H.265 streams come from.
pub(super) fn h265_source(text: &str) -> Parsed<still::HevcLibrary> {
    match text {
        "libde265" => Ok(still::HevcLibrary::Libde265),
        "off" => Ok(still::HevcLibrary::Off),
        _ => Err((format!("{text:?} is not a decoder"), "\"libde265\" or \"off\"")),
    }
}

/// An address to listen on.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        (
            format!("{text:?} is not an address"),
            "an IP address and a port, such as \"0.0.0.0:8554\" or \"[::]:8554\"",
        )
    })
}

/// Where a page comes from, as a browser says it in `Origin` (RFC 6454 §6.1), or "*".
pub(super) fn origin(text: &str) -> Parsed<String> {
    let wrong = || {
        let right =
            "an origin such as \"https://nvr.example\" or \"http://10.0.0.5:3000\", or \"*\"";
        (format!("{text:?} is not an origin"), right)
    };
    if text == "*" {
        return Ok(text.to_owned());
    }
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let origin = url.origin().ascii_serialization();
    let plain = matches!(url.scheme(), "http" | "https") && origin == text;
    if plain { Ok(origin) } else { Err(wrong()) }
}

/// As [`origin`], of one site.
pub(super) fn page_origin(text: &str) -> Parsed<String> {
    match text {
        "*" => Err(("\"*\" is every site".to_owned(), "an origin such as \"https://nvr.example\"")),
        text => origin(text),
    }
}

/// How the box gets its first account.
pub(super) fn claim(text: &str) -> Parsed<()> {
    let right = "\"loopback\", or leave it out";
    (text == "loopback").then_some(()).ok_or_else(|| (format!("{text:?} is not known"), right))
}

/// A host name, in lower case.
pub(super) fn host(text: &str) -> Parsed<String> {
    let url = url::Url::parse(&format!("http://{text}/")).ok();
    let host = url.as_ref().and_then(url::Url::host_str).map(str::to_owned);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let plain = |host: &String| host.eq_ignore_ascii_case(text) && host.bytes().all(is_plain);
    host.filter(plain).ok_or_else(|| {
        (format!("{text:?} is not a host name"), "a name without a port, such as \"nvr.example\"")
    })
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Parsed<Network> {
    let right = "a network such as \"10.0.0.0/24\", or an address";
    Network::parse(text).ok_or_else(|| (format!("{text:?} is not a network"), right))
}

/// Where a reverse proxy serves the box.
pub(super) fn external_url(text: &str) -> Parsed<ExternalUrl> {
    let wrong = || {
        let right = "a URL such as \"https://nvr.example/\" or \"https://nvr.example/cam/\"";
        (format!("{text:?} is not such a URL"), right)
    };
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let host = url.host_str().filter(|_| plain).ok_or_else(wrong)?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let base = match url.path() {
        "/" => "/".to_owned(),
        path => prefix_base(path).ok_or_else(wrong)?,
    };
    Ok(ExternalUrl { authority, base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_units() {
        assert_eq!(size("200GiB"), Ok(200 << 30));
        assert_eq!(size("5 MB"), Ok(5_000_000));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(ring_size("80%"), Ok(dvr::RingSizing::Percent(80)));
        for bad in ["", "5", "GiB", "-1GiB", "5gib", "99999999999TiB", "1e3MB"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "5", "d", "-1d", "5 days", "18446744073709551615d"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        for bad in ["0%", "96%", "%", "200"] {
            assert!(ring_size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_and_urls_of_the_box_are_read() {
        assert_eq!(host("NVR.Example"), Ok("nvr.example".to_owned()));
        for bad in ["", "nvr.example:80", "http://nvr.example", "a b", "a/b", "*"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
        let url = external_url("https://nvr.example:8443/cam").unwrap();
        assert_eq!((url.authority.as_str(), url.base.as_str()), ("nvr.example:8443", "/cam/"));
        let url = external_url("https://nvr.example:443").unwrap();
        assert_eq!((url.authority.as_str(), url.base.as_str()), ("nvr.example", "/"));
        for bad in ["", "nvr.example", "ftp://a/", "https://a:b@c/", "https://a/?x", "https://a//b"]
        {
            assert!(external_url(bad).is_err(), "{bad:?}");
        }
        assert!(page_origin("*").is_err() && page_origin("https://nvr.example").is_ok());
    }
}
