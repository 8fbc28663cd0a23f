//! The arguments of SETACL and its neighbours (RFC 4314 §7).

use waxwing_store::Rights;

use super::command::Command;
use super::cursor::{Bad, Cursor, Parse};

/// SETACL's third argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others.
    Set(Rights),
    /// `+`: these too.
    Add(Rights),
    /// `-`: not these.
    Take(Rights),
}

/// Reads the arguments of SETACL.
pub fn set_acl(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let mailbox = cursor.astring()?.into_owned();
    cursor.space()?;
    let identifier = cursor.astring()?.into_owned();
    cursor.space()?;
    let text = cursor.astring()?;
    let (change, letters): (fn(Rights) -> RightsChange, _) = match text.split_first() {
        Some((b'+', letters)) => (RightsChange::Add, letters),
        Some((b'-', letters)) => (RightsChange::Take, letters),
        _ => (RightsChange::Set, &*text),
    };
    Ok(Command::SetAcl { mailbox, identifier, change: change(rights(letters)?) })
}

/// Reads a mailbox and an identifier: DELETEACL, LISTRIGHTS.
pub fn about_someone(cursor: &mut Cursor<'_>) -> Parse<(Vec<u8>, Vec<u8>)> {
    let mailbox = cursor.astring()?.into_owned();
    cursor.space()?;
    Ok((mailbox, cursor.astring()?.into_owned()))
}

/// RFC 4314 §3.1: what is not recognised is never ignored.
fn rights(letters: &[u8]) -> Parse<Rights> {
    let letters = std::str::from_utf8(letters).ok().and_then(|letters| letters.parse().ok());
    letters.ok_or(Bad("That is not a right: rights are lrswipkxtea, in lower case"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Parse<RightsChange> {
        match set_acl(&mut Cursor::new(text.as_bytes()))? {
            Command::SetAcl { change, .. } => Ok(change),
            _ => Err(Bad("another command")),
        }
    }

    #[test]
    fn changes() {
        let rights = |letters: &str| letters.parse::<Rights>().unwrap();
        assert_eq!(read("INBOX David lrswida"), Ok(RightsChange::Set(rights("lrswitea"))));
        assert_eq!(read("INBOX {5}\r\nChris +cda"), Ok(RightsChange::Add(rights("kxtea"))));
        assert_eq!(read("INBOX b@x.test -x"), Ok(RightsChange::Take(rights("x"))));
        assert_eq!(read("INBOX anyone \"\""), Ok(RightsChange::Set(Rights::NONE)));
        // RFC 4314 §3.1's examples of what is refused.
        assert!(read("INBOX/Drafts John lrQswicda").is_err());
        assert!(read("INBOX/Drafts John lrqswicda").is_err());
        assert!(read("INBOX John").is_err());
    }

    proptest! {
        #[test]
        fn rights_come_back(bits in proptest::collection::vec(0usize..11, 0..11)) {
            let letters: String = bits.iter().map(|&at| char::from(b"lrswipkxtea"[at])).collect();
            let Ok(RightsChange::Set(read)) = read(&format!("a b \"{letters}\"")) else {
                panic!("{letters}")
            };
            prop_assert!(letters.chars().all(|letter| read.to_string().contains(letter)));
            prop_assert!(read.to_string().chars().all(|letter| letters.contains(letter)));
        }
    }
}
