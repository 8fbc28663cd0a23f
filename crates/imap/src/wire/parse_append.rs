//! APPEND and REPLACE, whose messages are literals that no command holds: what stands before each
//! message (RFC 9051 §6.3.12, RFC 3502, RFC 8508, RFC 6855 §4), or, with CATENATE, between the pieces
//! of one (RFC 4469 §5).
//!
//! ```text
//! a APPEND saved (\Seen) {310}CRLF        ← append_head
//! 310 octets
//!  (\Flagged) " 7-Feb-1994 …" {295}CRLF   ← after_message: another one
//! 295 octets
//! CRLF                                    ← after_message: that was all
//!
//! a APPEND Drafts CATENATE (URL "/INBOX/;UID=3/;SECTION=HEADER" TEXT {42}CRLF   ← append_head
//! 42 octets
//!  URL "/INBOX/;UID=3/;SECTION=TEXT")CRLF                                      ← more_pieces
//! ```

use jiff::Timestamp;

use super::command::FlagList;
use super::cursor::{Bad, Cursor, Parse};
use super::date;
use super::parse::{BadCommand, flag_list, tag};

/// Pieces of a message that one line may name.
const MAX_PIECES: usize = 1000;

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
    /// CATENATE: there is no such literal, but pieces.
    pub pieces: Option<Pieces>,
}

/// The pieces of a message that stand on one line (RFC 4469 §5 `cat-part`).
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    /// URLs of what comes first.
    pub urls: Vec<Vec<u8>>,
    /// What comes then.
    pub next: NextPiece,
}

/// How a line with pieces ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextPiece {
    /// With the mark of a literal that is a piece.
    Text,
    /// With the mark of a literal that is the URL of one.
    Url,
    /// The message is complete; behind it, from this place on, something may follow.
    End {
        /// In the text that was read.
        rest: usize,
    },
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

/// Reads what follows a piece that was a literal, without its line end: more pieces, or the end of them.
pub fn more_pieces(text: &[u8]) -> Parse<Pieces> {
    let mut cursor = Cursor::new(text);
    match end_of_pieces(&mut cursor)? {
        Some(next) => Ok(Pieces { urls: Vec::new(), next }),
        None => pieces(&mut cursor),
    }
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
    if cursor.eat_word("CATENATE (") {
        head.pieces = Some(pieces(cursor)?);
        return Ok(head);
    }
    head.utf8 = cursor.eat_word("UTF8 (");
    let _ = cursor.eat(b'~');
    if is_last_mark(cursor.rest()) { Ok(head) } else { Err(Bad("A message is missing")) }
}

/// RFC 4469 §5, from the beginning of a piece on.
fn pieces(cursor: &mut Cursor<'_>) -> Parse<Pieces> {
    let mut urls = Vec::new();
    while urls.len() < MAX_PIECES {
        if cursor.eat_word("TEXT ") {
            let _ = cursor.eat(b'~'); // RFC 4466 §3: as APPEND's literal may be
            return match is_last_mark(cursor.rest()) {
                true => Ok(Pieces { urls, next: NextPiece::Text }),
                false => Err(Bad("TEXT is a literal")),
            };
        }
        if !cursor.eat_word("URL ") {
            return Err(Bad("A piece of a message is a URL or TEXT"));
        }
        if is_last_mark(cursor.rest()) {
            return Ok(Pieces { urls, next: NextPiece::Url });
        }
        urls.push(cursor.astring()?.into_owned());
        if let Some(next) = end_of_pieces(cursor)? {
            return Ok(Pieces { urls, next });
        }
    }
    Err(Bad("A message of too many pieces"))
}

/// Behind a piece: the end of the message, or a space and another piece.
fn end_of_pieces(cursor: &mut Cursor<'_>) -> Parse<Option<NextPiece>> {
    if cursor.eat(b')') {
        return Ok(Some(NextPiece::End { rest: cursor.at() }));
    }
    cursor.space().map(|()| None)
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

    /// RFC 4469 §4.
    #[test]
    fn messages_in_pieces() {
        let head =
            append_head(b"A003 APPEND Drafts (\\Draft $x) CATENATE (URL \"/D/;UID=20\" TEXT {42}");
        let pieces = head.unwrap().unwrap().message.pieces.unwrap();
        assert_eq!(pieces.urls, [b"/D/;UID=20".to_vec()]);
        assert_eq!(pieces.next, NextPiece::Text);
        let pieces = more_pieces(b" URL \"/a\" URL {3+}").unwrap();
        assert_eq!((pieces.urls.len(), pieces.next), (1, NextPiece::Url));
        assert_eq!(more_pieces(b")").unwrap().next, NextPiece::End { rest: 1 });
        let text = b"a APPEND x CATENATE (URL /a) (\\Seen) {3}";
        let pieces = append_head(text).unwrap().unwrap().message.pieces.unwrap();
        let NextPiece::End { rest } = pieces.next else { panic!("{pieces:?}") };
        let more = after_message(&text[rest..], false).unwrap().unwrap();
        assert_eq!((more.flags.system, more.pieces), (SystemFlags::SEEN, None));
        for bad in
            ["CATENATE ()", "CATENATE (TEXT x)", "CATENATE (X y)", "CATENATE (URL a", "CATENATE"]
        {
            assert!(append_head(format!("a APPEND x {bad}").as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(text: Vec<u8>, utf8: bool, tail in "[ ()URLTEXT\"{}0-9+~]{0,30}") {
            let _ = (append_head(&text), after_message(&text, utf8), is_append(&text));
            let _ = (more_pieces(&text), more_pieces(tail.as_bytes()));
            let _ = append_head(format!("a APPEND x CATENATE ({tail}").as_bytes());
        }
    }
}
