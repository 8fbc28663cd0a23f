//! FETCH: items, sections, partials (RFC 9051 §6.4.5, RFC 3501 §6.4.5, RFC 3516, RFC 7162 §3.1.4,
//! RFC 8970, RFC 8474, RFC 8514).

use super::cursor::{Bad, Cursor, Parse};
use super::partial::PartialRange;
use super::sequence::SequenceSet;

/// A section may name this many levels: deeper than any message that is parsed.
const MAX_LEVELS: usize = 100;
/// Header fields in one HEADER.FIELDS.
const MAX_FIELDS: usize = 500;
/// Items in one FETCH.
const MAX_ITEMS: usize = 500;

/// FETCH.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetch {
    /// Which messages.
    pub set: SequenceSet,
    /// What of each; macros are spelled out.
    pub items: Vec<FetchItem>,
    /// Which of these messages, and what of those that are gone.
    pub modifiers: Modifiers,
}

/// What may stand behind the items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// CHANGEDSINCE (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// VANISHED (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// PARTIAL (RFC 9394 §3.3).
    pub partial: Option<PartialRange>,
}

/// One item. Those of rev1 only (RFC822 and so on) keep their names for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// FLAGS.
    Flags,
    /// UID.
    Uid,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822.SIZE.
    Size,
    /// ENVELOPE.
    Envelope,
    /// BODY: the structure without extension data.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// MODSEQ (RFC 7162).
    ModSeq,
    /// PREVIEW (RFC 8970).
    Preview,
    /// EMAILID (RFC 8474).
    EmailId,
    /// THREADID (RFC 8474).
    ThreadId,
    /// SAVEDATE (RFC 8514).
    SaveDate,
    /// BODY[…], BODY.PEEK[…].
    Section {
        /// Which octets.
        section: Section,
        /// Without setting \Seen.
        peek: bool,
        /// `<origin.octets>`.
        partial: Option<Partial>,
    },
    /// RFC822: BODY[] by an older name.
    Rfc822,
    /// RFC822.HEADER: `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// RFC822.TEXT: `BODY[TEXT]`.
    Rfc822Text,
    /// BINARY[…], BINARY.PEEK[…] (RFC 3516): the transfer encoding undone.
    Binary {
        /// Part numbers; empty is the whole message.
        part: Vec<u32>,
        /// Without setting \Seen.
        peek: bool,
        /// Of the decoded octets.
        partial: Option<Partial>,
    },
    /// BINARY.SIZE[…].
    BinarySize(Vec<u32>),
}

/// `<origin.octets>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first octet.
    pub origin: u64,
    /// How many at most; not 0.
    pub octets: u64,
}

/// What stands in the brackets of BODY[…].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty is the message itself.
    pub part: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
}

/// The end of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// Nothing: all of it.
    Whole,
    /// HEADER.
    Header,
    /// HEADER.FIELDS: names as written.
    HeaderFields(Vec<Vec<u8>>),
    /// HEADER.FIELDS.NOT.
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// TEXT.
    Text,
    /// MIME: the part's own header.
    Mime,
}

impl FetchItem {
    /// Whether fetching it marks the message as seen.
    pub fn sets_seen(&self) -> bool {
        match self {
            FetchItem::Section { peek, .. } | FetchItem::Binary { peek, .. } => !peek,
            FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
            _ => false,
        }
    }
}

/// Reads the arguments of FETCH.
pub fn fetch(cursor: &mut Cursor<'_>) -> Parse<Fetch> {
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    let items = match cursor.peek() {
        Some(b'(') => item_list(cursor)?,
        _ => macro_or_item(cursor)?,
    };
    if items.is_empty() {
        return Err(Bad("FETCH needs an item"));
    }
    let modifiers = if cursor.eat(b' ') { modifiers(cursor)? } else { Modifiers::default() };
    Ok(Fetch { set, items, modifiers })
}

/// Items between parentheses.
pub fn item_list(cursor: &mut Cursor<'_>) -> Parse<Vec<FetchItem>> {
    let mut items = Vec::new();
    cursor.list(|cursor| one_item(cursor, &mut items))?;
    Ok(items)
}

fn modifiers(cursor: &mut Cursor<'_>) -> Parse<Modifiers> {
    let mut modifiers = Modifiers::default();
    cursor.list(|cursor| {
        match cursor.keyword()?.as_str() {
            "CHANGEDSINCE" if modifiers.changed_since.is_none() => {
                cursor.space()?;
                modifiers.changed_since = Some(cursor.number64()?);
            }
            "VANISHED" => modifiers.vanished = true,
            "PARTIAL" if modifiers.partial.is_none() => {
                cursor.space()?;
                modifiers.partial = Some(PartialRange::parse(cursor)?);
            }
            _ => return Err(Bad("That modifier of FETCH is not known")),
        }
        Ok(())
    })?;
    Ok(modifiers)
}

/// RFC 9051 §6.4.5: macros stand alone.
fn macro_or_item(cursor: &mut Cursor<'_>) -> Parse<Vec<FetchItem>> {
    use FetchItem::*;
    let mut ahead = cursor.clone();
    let items = match ahead.keyword()?.as_str() {
        "ALL" => vec![Flags, InternalDate, Size, Envelope],
        "FAST" => vec![Flags, InternalDate, Size],
        "FULL" => vec![Flags, InternalDate, Size, Envelope, Body],
        _ => return Ok(vec![item(cursor)?]),
    };
    *cursor = ahead;
    Ok(items)
}

fn one_item(cursor: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> Parse<()> {
    if items.len() == MAX_ITEMS {
        return Err(Bad("FETCH has too many items"));
    }
    let item = item(cursor)?;
    if !items.contains(&item) {
        items.push(item);
    }
    Ok(())
}

fn item(cursor: &mut Cursor<'_>) -> Parse<FetchItem> {
    let name = cursor
        .ascii(|b| b.is_ascii_alphanumeric() || b == b'.', "A FETCH item is missing")?
        .to_ascii_uppercase();
    let bracket = cursor.peek() == Some(b'[');
    Ok(match (name.as_str(), bracket) {
        ("BODY", true) => section_item(cursor, false)?,
        ("BODY.PEEK", true) => section_item(cursor, true)?,
        ("BINARY", true) => binary_item(cursor, false)?,
        ("BINARY.PEEK", true) => binary_item(cursor, true)?,
        ("BINARY.SIZE", true) => FetchItem::BinarySize(bracketed_part(cursor)?),
        ("FLAGS", false) => FetchItem::Flags,
        ("UID", false) => FetchItem::Uid,
        ("INTERNALDATE", false) => FetchItem::InternalDate,
        ("RFC822.SIZE", false) => FetchItem::Size,
        ("ENVELOPE", false) => FetchItem::Envelope,
        ("BODY", false) => FetchItem::Body,
        ("BODYSTRUCTURE", false) => FetchItem::BodyStructure,
        ("MODSEQ", false) => FetchItem::ModSeq,
        ("EMAILID", false) => FetchItem::EmailId,
        ("THREADID", false) => FetchItem::ThreadId,
        ("SAVEDATE", false) => FetchItem::SaveDate,
        ("RFC822", false) => FetchItem::Rfc822,
        ("RFC822.HEADER", false) => FetchItem::Rfc822Header,
        ("RFC822.TEXT", false) => FetchItem::Rfc822Text,
        ("PREVIEW", false) => {
            // RFC 8970 §3: LAZY changes nothing where previews are ready.
            let _ = cursor.eat_word(" (LAZY)");
            FetchItem::Preview
        }
        _ => return Err(Bad("No such FETCH item")),
    })
}

fn section_item(cursor: &mut Cursor<'_>, peek: bool) -> Parse<FetchItem> {
    cursor.expect(b'[', "A section is missing")?;
    let section = section(cursor)?;
    cursor.expect(b']', "A section is not closed")?;
    Ok(FetchItem::Section { section, peek, partial: partial(cursor)? })
}

fn binary_item(cursor: &mut Cursor<'_>, peek: bool) -> Parse<FetchItem> {
    let part = bracketed_part(cursor)?;
    Ok(FetchItem::Binary { part, peek, partial: partial(cursor)? })
}

fn bracketed_part(cursor: &mut Cursor<'_>) -> Parse<Vec<u32>> {
    cursor.expect(b'[', "A section is missing")?;
    let (part, dangling) = part_numbers(cursor)?;
    if dangling {
        return Err(Bad("A section is malformed"));
    }
    cursor.expect(b']', "A section is not closed")?;
    Ok(part)
}

/// `1.2.3`, perhaps nothing; and whether a dot follows the last number.
fn part_numbers(cursor: &mut Cursor<'_>) -> Parse<(Vec<u32>, bool)> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        if part.len() == MAX_LEVELS {
            return Err(Bad("A section has too many levels"));
        }
        part.push(cursor.nz_number()?);
        if !cursor.eat(b'.') {
            return Ok((part, false));
        }
    }
    let dangling = !part.is_empty();
    Ok((part, dangling))
}

/// RFC 9051 §9 `section-spec`.
pub fn section(cursor: &mut Cursor<'_>) -> Parse<Section> {
    let (part, dot) = part_numbers(cursor)?;
    if cursor.peek() == Some(b']') && !dot {
        return Ok(Section { part, text: SectionText::Whole });
    }
    if !part.is_empty() && !dot {
        return Err(Bad("A section is malformed"));
    }
    let text = if cursor.eat_word("HEADER.FIELDS.NOT ") {
        SectionText::HeaderFieldsNot(field_names(cursor)?)
    } else if cursor.eat_word("HEADER.FIELDS ") {
        SectionText::HeaderFields(field_names(cursor)?)
    } else if cursor.eat_word("HEADER") {
        SectionText::Header
    } else if cursor.eat_word("TEXT") {
        SectionText::Text
    } else if !part.is_empty() && cursor.eat_word("MIME") {
        SectionText::Mime
    } else {
        return Err(Bad("A section is malformed"));
    };
    Ok(Section { part, text })
}

fn field_names(cursor: &mut Cursor<'_>) -> Parse<Vec<Vec<u8>>> {
    let names = cursor.list(|cursor| cursor.astring().map(|name| name.into_owned()))?;
    match names.len() {
        0 => Err(Bad("HEADER.FIELDS needs a field name")),
        1..=MAX_FIELDS => Ok(names),
        _ => Err(Bad("HEADER.FIELDS has too many field names")),
    }
}

fn partial(cursor: &mut Cursor<'_>) -> Parse<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let origin = cursor.number64()?;
    cursor.expect(b'.', "A partial is malformed")?;
    let octets = cursor.number64()?;
    cursor.expect(b'>', "A partial is not closed")?;
    if octets == 0 {
        return Err(Bad("A partial of no octets"));
    }
    Ok(Some(Partial { origin, octets }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parse<Vec<FetchItem>> {
        let mut cursor = Cursor::new(text.as_bytes());
        let fetch = fetch(&mut cursor)?;
        cursor.end()?;
        Ok(fetch.items)
    }

    fn section(part: &[u32], text: SectionText) -> FetchItem {
        FetchItem::Section {
            section: Section { part: part.to_vec(), text },
            peek: false,
            partial: None,
        }
    }

    #[test]
    fn items() {
        use FetchItem::*;
        assert_eq!(read("1 ALL"), Ok(vec![Flags, InternalDate, Size, Envelope]));
        assert_eq!(read("1 (uid Flags UID)"), Ok(vec![Uid, Flags]));
        assert_eq!(read("1 BODY"), Ok(vec![Body]));
        assert_eq!(read("1 BODY[]"), Ok(vec![section(&[], SectionText::Whole)]));
        assert_eq!(read("1 BODY[4.2.HEADER]"), Ok(vec![section(&[4, 2], SectionText::Header)]));
        assert_eq!(read("1 BODY[4.1.MIME]"), Ok(vec![section(&[4, 1], SectionText::Mime)]));
        assert_eq!(
            read("1 (BODY.PEEK[HEADER.FIELDS (Subject \"To\")]<0.100> RFC822.SIZE)"),
            Ok(vec![
                Section {
                    section: super::Section {
                        part: vec![],
                        text: SectionText::HeaderFields(vec![b"Subject".into(), b"To".into()]),
                    },
                    peek: true,
                    partial: Some(Partial { origin: 0, octets: 100 }),
                },
                Size
            ])
        );
        assert_eq!(
            read("1 BINARY.PEEK[1.2]<5.6>"),
            Ok(vec![Binary {
                part: vec![1, 2],
                peek: true,
                partial: Some(Partial { origin: 5, octets: 6 })
            }])
        );
        assert_eq!(read("1 BINARY.SIZE[3]"), Ok(vec![BinarySize(vec![3])]));
        assert_eq!(read("1 (PREVIEW (LAZY) UID)"), Ok(vec![Preview, Uid]));
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "1",
            "1 ()",
            "1 (ALL)",
            "1 BODY[",
            "1 BODY[MIME]",
            "1 BODY[1.]",
            "1 BODY[0]",
            "1 BODY[1HEADER]",
            "1 BODY[]<0.0>",
            "1 BODY[]<0>",
            "1 BINARY[1.HEADER]",
            "1 FLAGS UID",
            "1 BODY[HEADER.FIELDS ()]",
            "1 FOO",
            "1 FLAGS (FOO 1)",
            "1 BODY.PEEK",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&format!("1 BODY[{}1]", "1.".repeat(MAX_LEVELS))).is_err());
    }

    #[test]
    fn what_marks_as_seen() {
        let seen = |text| read(text).unwrap()[0].sets_seen();
        assert!(
            seen("1 BODY[]") && seen("1 RFC822") && seen("1 RFC822.TEXT") && seen("1 BINARY[1]")
        );
        assert!(!seen("1 BODY.PEEK[]") && !seen("1 RFC822.HEADER") && !seen("1 BINARY.SIZE[1]"));
    }
}
