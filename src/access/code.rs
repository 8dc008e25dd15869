//! The claim code: printed on the box's label or console, it proves that its user is at the box.
//!
//! Owns: its alphabet and how people may type it.

use subtle::ConstantTimeEq;

use crate::base::secret::Secret;

/// No letter that looks or sounds like another one.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a code: 32^8 is 2^40, and five tries lock the claim.
const LENGTH: usize = 8;

/// A claim code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCode(Secret);

impl ClaimCode {
    /// A code out of unguessable bytes.
    #[must_use]
    pub fn new(random: [u8; LENGTH]) -> Self {
        let letters = random.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Self(Secret::new(letters.iter().collect::<String>()))
    }

    /// Reads a code as people type it: in either case, with blanks and dashes anywhere.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let code: String = typed.take(LENGTH + 1).flat_map(char::to_uppercase).collect();
        let known = code.bytes().all(|byte| ALPHABET.contains(&byte));
        (code.len() == LENGTH && known).then(|| Self(Secret::new(code)))
    }

    /// The code for display: two groups of four.
    #[must_use]
    pub fn shown(&self) -> String {
        let (first, second) = self.0.reveal().split_at(LENGTH / 2);
        format!("{first}-{second}")
    }

    /// Whether `other` is the same, in a time that does not tell how much of it is.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.reveal().as_bytes().ct_eq(other.0.reveal().as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = ClaimCode::new([0, 31, 33, 200, 7, 8, 9, 255]);
        assert_eq!(code.shown().len(), LENGTH + 1);
        for typed in [code.shown(), code.shown().to_lowercase(), code.shown().replace('-', " ")] {
            assert!(ClaimCode::parse(&typed).unwrap().is(&code), "{typed}");
        }
        assert!(!ClaimCode::new([1; LENGTH]).is(&code));
        for wrong in ["", "ABCD-EFG", "ABCD-EFGHJ", "ABCD-EFG0", "ÄBCD-EFGH", &"A".repeat(1_000)] {
            assert!(ClaimCode::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{code:?}").contains(&code.shown()[..4]));
    }
}
