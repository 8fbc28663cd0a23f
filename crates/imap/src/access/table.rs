//! Which rights an operation takes: RFC 4314 §4, in one place.
//!
//! Every command asks here, and only here. Two questions have answers of their own:
//! [`alterable`], since flags are altered as far as rights go (STORE, APPEND, COPY), and
//! [`is_read_only`].

use waxwing_store::{FlagMask, Rights, SystemFlags};

/// What a client wants to do with a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// LIST, LSUB, and knowing that it is there at all.
    List,
    /// CREATE and RENAME: a mailbox below it.
    CreateBelow,
    /// DELETE and RENAME: the mailbox itself.
    Delete,
    /// SELECT, EXAMINE, STATUS and what reads messages.
    Read,
    /// SETACL, DELETEACL, GETACL, LISTRIGHTS.
    Administer,
    /// MYRIGHTS.
    MyRights,
    /// APPEND, COPY and MOVE: into it.
    Insert,
    /// EXPUNGE, and CLOSE, which passes over it in silence.
    Expunge,
    /// MOVE and REPLACE: out of it (RFC 6851 §4.2: as STORE of `\Deleted` and EXPUNGE).
    TakeOut,
    /// GETMETADATA (RFC 5464 §3.3).
    ReadMetadata,
    /// SETMETADATA of private entries (RFC 5464 §3.3: as reading).
    WritePrivateMetadata,
    /// SETMETADATA of shared entries.
    WriteSharedMetadata,
}

/// Whether these rights are enough.
pub fn allows(rights: Rights, act: Act) -> bool {
    let any_of = match act {
        Act::MyRights => Rights::LOOKUP
            .with(Rights::READ)
            .with(Rights::INSERT)
            .with(Rights::CREATE)
            .with(Rights::DELETE_MAILBOX)
            .with(Rights::ADMINISTER),
        // RFC 5464 §3.3: "l", and one with which something can be done there.
        Act::ReadMetadata | Act::WritePrivateMetadata => {
            let more = Rights::READ.with(Rights::SEEN).with(Rights::WRITE);
            more.with(Rights::INSERT).with(Rights::POST)
        }
        Act::WriteSharedMetadata => Rights::WRITE,
        Act::List => Rights::LOOKUP,
        Act::CreateBelow => Rights::CREATE,
        Act::Delete => Rights::DELETE_MAILBOX,
        Act::Read => Rights::READ,
        Act::Administer => Rights::ADMINISTER,
        Act::Insert => Rights::INSERT,
        Act::Expunge | Act::TakeOut => Rights::EXPUNGE,
    };
    let all_of = match act {
        Act::TakeOut => Rights::DELETE_MESSAGES,
        Act::ReadMetadata | Act::WritePrivateMetadata | Act::WriteSharedMetadata => Rights::LOOKUP,
        _ => Rights::NONE,
    };
    rights.has_any(any_of) && rights.contains(all_of)
}

/// Which flags they let be altered: `s`, `t` and `w` have their own each.
pub fn alterable(rights: Rights) -> FlagMask {
    let others = SystemFlags::ANSWERED.with(SystemFlags::FLAGGED).with(SystemFlags::DRAFT);
    let each = [
        (Rights::SEEN, SystemFlags::SEEN),
        (Rights::DELETE_MESSAGES, SystemFlags::DELETED),
        (Rights::WRITE, others),
    ];
    let granted = each.into_iter().filter(|(right, _)| rights.contains(*right));
    let system = granted.fold(SystemFlags::default(), |all, (_, flags)| all.with(flags));
    FlagMask { system, keywords: rights.contains(Rights::WRITE) }
}

/// RFC 4314 §5.2: READ-ONLY, when nothing can be altered. All flags are shared here, `\Seen` too.
pub fn is_read_only(rights: Rights) -> bool {
    let alter = Rights::INSERT.with(Rights::EXPUNGE).with(Rights::SEEN);
    !rights.has_any(alter.with(Rights::DELETE_MESSAGES).with(Rights::WRITE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(letters: &str) -> Rights {
        letters.parse().unwrap()
    }

    /// RFC 4314 §4, row by row: each right of the row is needed, and nothing else helps.
    #[test]
    fn the_table() {
        for (act, needed) in [
            (Act::List, "l"),
            (Act::CreateBelow, "k"),
            (Act::Delete, "x"),
            (Act::Read, "r"),
            (Act::Administer, "a"),
            (Act::Insert, "i"),
            (Act::Expunge, "e"),
            (Act::TakeOut, "te"),
            (Act::WriteSharedMetadata, "lw"),
        ] {
            assert!(allows(rights(needed), act), "{act:?}");
            assert!(!allows(Rights::NONE, act), "{act:?}");
            for letter in needed.chars() {
                let without = Rights::ALL.without(rights(&letter.to_string()));
                assert!(!allows(without, act), "{act:?} without {letter}");
            }
            assert!(!allows(Rights::ALL.without(rights(needed)), act), "{act:?}");
        }
        for letter in "lrswipkxtea".chars() {
            let alone = allows(rights(&letter.to_string()), Act::MyRights);
            assert_eq!(alone, "lrikxa".contains(letter), "{letter}");
            let with_l = rights(&format!("l{letter}"));
            assert_eq!(allows(with_l, Act::ReadMetadata), "rswip".contains(letter), "{letter}");
            let alone = rights(&letter.to_string());
            assert!(!allows(alone, Act::ReadMetadata), "{letter}");
            assert_eq!(
                allows(with_l, Act::ReadMetadata),
                allows(with_l, Act::WritePrivateMetadata)
            );
        }
    }

    #[test]
    fn flags_have_rights_of_their_own() {
        let alters = |letters: &str| {
            let mask = alterable(rights(letters));
            (mask.system.0, mask.keywords)
        };
        assert_eq!(alters("lrswipkxtea"), (31, true));
        assert_eq!(alters("s"), (SystemFlags::SEEN.0, false));
        assert_eq!(alters("t"), (SystemFlags::DELETED.0, false));
        assert_eq!(alters("w"), (2 | 4 | 16, true));
        assert_eq!(alters("lripkxea"), (0, false));
    }

    /// RFC 4314 §5.2.
    #[test]
    fn read_only() {
        for letter in "iestw".chars() {
            assert!(!is_read_only(rights(&format!("lr{letter}"))), "{letter}");
        }
        assert!(is_read_only(rights("lrpkxa")));
    }
}
