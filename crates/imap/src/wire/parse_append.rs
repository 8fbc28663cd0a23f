//! APPEND and REPLACE, whose messages are literals that no command holds: what stands before each
//! message (RFC 9051 §6.3.12, RFC 3502, RFC 8508, RFC 6855 §4).
//!
//! ```text
//! a APPEND saved (\Seen) {310}CRLF        ← append_head
//! 310 octets
//!  (\Flagged) " 7-Feb-1994 …" {295}CRLF   ← after_message: another one
//! 295 octets
//! CRLF                                    ← after_message: that was all
//! ```

use jiff::Timestamp;

use super::command::FlagList;
use super::cursor::{Bad, Cursor, Parse};
use super::date;
use super::parse::{BadCommand, flag_list, tag};

/// The command up to the literal of its first message.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendHead {
    /// REPLACE: the message that the new one is for.
    pub replaces: Option<Replaced>,
    /// Where to.
    pub mailbox: Vec<u8>,
    /// What is said of the message.
    pub message: MessageHead,
}

/// The message that goes when another comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// By sequence number.
    Number(u32),
    /// By UID.
    Uid(u32),
}

/// What is said of a message before its literal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MessageHead {
    /// Its flags.
    pub flags: FlagList,
    /// INTERNALDATE; now when absent.
    pub received_at: Option<Timestamp>,
    /// The message is in `UTF8 (~{…}` (RFC 6855 §4): `)` follows the literal.
    pub utf8: bool,
}

/// Whether `text` is the beginning of a command whose last literal is a message.
pub fn is_append(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    tag(&mut cursor).is_ok() && verb(&mut cursor).is_some()
}

/// Reads the command up to a literal mark that the line ends in. `Ok(None)`: the mark belongs to
/// the mailbox name, so the command goes on after that literal.
pub fn append_head(text: &[u8]) -> Result<Option<AppendHead>, BadCommand> {
    let mut cursor = Cursor::new(text);
    let tag = tag(&mut cursor).map_err(|why| BadCommand { tag: None, why })?;
    arguments(&mut cursor).map_err(|why| BadCommand { tag: Some(tag), why })
}

/// Reads the rest of the line behind a message, without its line end. `Ok(None)`: the command is
/// complete. `utf8` says whether the message was in `UTF8 (…)`.
pub fn after_message(text: &[u8], utf8: bool) -> Parse<Option<MessageHead>> {
    let mut cursor = Cursor::new(text);
    if utf8 {
        cursor.expect(b')', "UTF8 is not closed")?;
    }
    if cursor.at_end() {
        return Ok(None);
    }
    cursor.space()?;
    message_head(&mut cursor).map(Some)
}

/// What the command is called.
#[derive(Clone, Copy)]
enum Verb {
    Append,
    Replace { uid: bool },
}

fn verb(cursor: &mut Cursor<'_>) -> Option<Verb> {
    const VERBS: [(&str, Verb); 3] = [
        ("APPEND ", Verb::Append),
        ("REPLACE ", Verb::Replace { uid: false }),
        ("UID REPLACE ", Verb::Replace { uid: true }),
    ];
    VERBS.into_iter().find(|(name, _)| cursor.eat_word(name)).map(|(_, verb)| verb)
}

fn arguments(cursor: &mut Cursor<'_>) -> Parse<Option<AppendHead>> {
    let replaces = match verb(cursor).ok_or(Bad("That command has no message"))? {
        Verb::Append => None,
        Verb::Replace { uid } => {
            let number = cursor.nz_number()?;
            cursor.space()?;
            Some(if uid { Replaced::Uid(number) } else { Replaced::Number(number) })
        }
    };
    if is_last_mark(cursor.rest()) {
        return Ok(None);
    }
    let mailbox = cursor.astring()?.into_owned();
    cursor.space()?;
    Ok(Some(AppendHead { replaces, mailbox, message: message_head(cursor)? }))
}

/// RFC 4466 §3 `append-message`, up to the mark of its literal.
fn message_head(cursor: &mut Cursor<'_>) -> Parse<MessageHead> {
    let mut head = MessageHead::default();
    if cursor.peek() == Some(b'(') {
        head.flags = flag_list(cursor)?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        head.received_at = Some(date::date_time(cursor)?);
        cursor.space()?;
    }
    head.utf8 = cursor.eat_word("UTF8 (");
    let _ = cursor.eat(b'~');
    if is_last_mark(cursor.rest()) { Ok(head) } else { Err(Bad("A message is missing")) }
}

/// `{n}` and nothing behind it but the line end.
fn is_last_mark(rest: &[u8]) -> bool {
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    rest.first() == Some(&b'{') && rest.iter().position(|&b| b == b'}') == Some(rest.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use waxwing_store::SystemFlags;

    #[test]
    fn heads() {
        let head = append_head(b"a APPEND saved (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" {310}");
        let head = head.unwrap().unwrap();
        assert_eq!(head.mailbox, b"saved");
        assert_eq!(head.replaces, None);
        assert_eq!(head.message.flags.system, SystemFlags::SEEN);
        assert_eq!(head.message.received_at.map(|t| t.as_second()), Some(760_686_745));
        assert_eq!(append_head(b"a append {5+}\r\n"), Ok(None));
        let head = append_head(b"a append {5}\r\nsaved UTF8 (~{310+}\r\n").unwrap().unwrap();
        assert!(head.message.utf8);
        assert_eq!(head.mailbox, b"saved");
        assert!(append_head(b"a APPEND x (\\Seen {3}").is_err());
        assert!(append_head(b"a APPEND x y {3}").is_err());
        assert!(is_append(b"a append x") && !is_append(b"a NOOP"));
    }

    #[test]
    fn replacing() {
        let replaces = |text: &[u8]| append_head(text).ok().flatten().and_then(|h| h.replaces);
        assert_eq!(
            replaces(b"A3 REPLACE 4 Drafts (\\Seen \\Draft) {312}"),
            Some(Replaced::Number(4))
        );
        assert_eq!(replaces(b"A4 uid replace 2000 Drafts {350+}"), Some(Replaced::Uid(2000)));
        assert!(append_head(b"a REPLACE 1:2 Drafts {3}").is_err());
        assert!(append_head(b"a REPLACE 0 Drafts {3}").is_err());
        assert!(append_head(b"a UID APPEND Drafts {3}").is_err());
    }

    #[test]
    fn more_messages() {
        let more = after_message(b" (\\Seen) \" 7-Feb-1994 22:43:04 -0800\" {295}", false);
        assert_eq!(more.unwrap().unwrap().flags.system, SystemFlags::SEEN);
        assert_eq!(after_message(b"", false), Ok(None));
        assert_eq!(after_message(b")", true), Ok(None));
        assert!(after_message(b") UTF8 (~{3+}", true).unwrap().unwrap().utf8);
        for (text, utf8) in [(&b")"[..], false), (b"", true), (b" x", false), (b"{3}", false)] {
            assert!(after_message(text, utf8).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_octets(text: Vec<u8>, utf8: bool) {
            let _ = (append_head(&text), after_message(&text, utf8), is_append(&text));
        }
    }
}
