//! One entry of a mailbox in 24 octets, so that a mailbox of 100,000 takes 2.4 MB.
//!
//! | octets | what |
//! |---|---|
//! | 4 | UID |
//! | 4 | size in octets, capped at 4 GiB |
//! | 5 | when it was received: seconds since 1970, 40 bits with sign |
//! | 4 | which set of keywords ([`super::sets`]) |
//! | 6 | modseq: 48 bits, for 280 billion changes a year over a thousand years |
//! | 1 | system flags |

use crate::{ModSeq, SystemFlags, Uid};

/// See above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    uid: u32,
    size: u32,
    received_low: u32,
    keywords: u32,
    modseq_low: u32,
    modseq_high: u16,
    received_high: i8,
    system: u8,
}

/// What a row is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowParts {
    /// UID.
    pub uid: Uid,
    /// RFC822.SIZE.
    pub size_octets: u64,
    /// INTERNALDATE.
    pub received_secs: i64,
    /// Number of a set of keywords, in the roll that the row is from.
    pub keywords: u32,
    /// MODSEQ.
    pub modseq: ModSeq,
    /// System flags.
    pub system: SystemFlags,
}

const RECEIVED_LIMIT: i64 = 1 << 39;
const MODSEQ_LIMIT: u64 = (1 << 48) - 1;

impl Row {
    /// Packs; values out of range are capped.
    pub(super) fn new(parts: RowParts) -> Row {
        let received = parts.received_secs.clamp(-RECEIVED_LIMIT, RECEIVED_LIMIT - 1);
        let mut row = Row {
            uid: parts.uid.0,
            size: u32::try_from(parts.size_octets).unwrap_or(u32::MAX),
            received_low: received as u32,
            keywords: parts.keywords,
            modseq_low: 0,
            modseq_high: 0,
            received_high: (received >> 32) as i8,
            system: parts.system.0,
        };
        row.set_modseq(parts.modseq);
        row
    }

    /// UID.
    pub fn uid(&self) -> Uid {
        Uid(self.uid)
    }

    /// RFC822.SIZE.
    pub fn size_octets(&self) -> u64 {
        u64::from(self.size)
    }

    /// INTERNALDATE, in seconds since 1970.
    pub fn received_secs(&self) -> i64 {
        i64::from(self.received_high) << 32 | i64::from(self.received_low)
    }

    /// Number of a set of keywords, in the roll that the row is from.
    pub fn keywords(&self) -> u32 {
        self.keywords
    }

    /// MODSEQ.
    pub fn modseq(&self) -> ModSeq {
        ModSeq(u64::from(self.modseq_high) << 32 | u64::from(self.modseq_low))
    }

    /// System flags.
    pub fn system(&self) -> SystemFlags {
        SystemFlags(self.system)
    }

    /// The entry was altered.
    pub(super) fn set_flags(&mut self, system: SystemFlags, keywords: u32, modseq: ModSeq) {
        self.system = system.0;
        self.keywords = keywords;
        self.set_modseq(modseq);
    }

    /// Only the number: the set is the same.
    pub(super) fn renumber_keywords(&mut self, keywords: u32) {
        self.keywords = keywords;
    }

    fn set_modseq(&mut self, modseq: ModSeq) {
        let modseq = modseq.0.min(MODSEQ_LIMIT);
        self.modseq_low = modseq as u32;
        self.modseq_high = (modseq >> 32) as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_is_24_octets() {
        assert_eq!(std::mem::size_of::<Row>(), 24);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            uid: u32, size: u32, received in -RECEIVED_LIMIT..RECEIVED_LIMIT, keywords: u32,
            modseq in 0..=MODSEQ_LIMIT, system: u8,
        ) {
            let row = Row::new(RowParts {
                uid: Uid(uid),
                size_octets: size.into(),
                received_secs: received,
                keywords,
                modseq: ModSeq(modseq),
                system: SystemFlags(system),
            });
            prop_assert_eq!(row.uid(), Uid(uid));
            prop_assert_eq!(row.size_octets(), u64::from(size));
            prop_assert_eq!(row.received_secs(), received);
            prop_assert_eq!(row.keywords(), keywords);
            prop_assert_eq!(row.modseq(), ModSeq(modseq));
            prop_assert_eq!(row.system(), SystemFlags(system));
        }
    }
}
