//! How identities and dates are written in a record.
//!
//! Owns: three forms for serde. Dates keep their nanoseconds here, unlike in the API.

/// 16 octets as 32 hexadecimal digits.
pub(crate) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(identity: &[u8; 16], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{:032x}", u128::from_be_bytes(*identity)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 16], D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map(u128::to_be_bytes).map_err(D::Error::custom)
    }
}

/// A date as nanoseconds since 1970.
pub(crate) mod nanos {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::time::WallTime;

    #[allow(clippy::trivially_copy_pass_by_ref)] // the form that serde asks for
    pub(crate) fn serialize<S: Serializer>(date: &WallTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(date.as_unix_nanos())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WallTime, D::Error> {
        i64::deserialize(from).map(WallTime::from_unix_nanos)
    }
}

/// A date that may be missing, as [`nanos`].
pub(crate) mod nanos_or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::base::time::WallTime;

    #[allow(clippy::ref_option)] // the form that serde asks for
    pub(crate) fn serialize<S: Serializer>(
        date: &Option<WallTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        date.map(WallTime::as_unix_nanos).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<WallTime>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(WallTime::from_unix_nanos))
    }
}
