//! GETMETADATA and SETMETADATA (RFC 5464 §5).

use super::cursor::{Bad, Cursor, Parse};

/// Entries in one command.
const MAX_ENTRIES: usize = 200;

/// GETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata {
    /// Which; empty is the server.
    pub mailbox: Vec<u8>,
    /// Names, in lower case.
    pub entries: Vec<String>,
    /// MAXSIZE: longer values are left out.
    pub max_octets: Option<u32>,
    /// DEPTH.
    pub depth: Depth,
}

/// SETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetMetadata {
    /// Which; empty is the server.
    pub mailbox: Vec<u8>,
    /// Names, in lower case, and values; NIL removes.
    pub entries: Vec<(String, Option<Vec<u8>>)>,
}

/// What is asked for beside the entry itself (RFC 5464 §4.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing.
    #[default]
    Zero,
    /// What stands one level below it.
    One,
    /// All that stands below it.
    Infinity,
}

/// Reads the arguments of GETMETADATA. The grammar has the options before the mailbox, the examples of
/// RFC 5464 §4.2 have them behind it: clients do either.
pub fn get(cursor: &mut Cursor<'_>) -> Parse<GetMetadata> {
    let mut get = GetMetadata {
        mailbox: Vec::new(),
        entries: Vec::new(),
        max_octets: None,
        depth: Depth::default(),
    };
    let before = cursor.peek() == Some(b'(');
    if before {
        options(cursor, &mut get)?;
        cursor.space()?;
    }
    get.mailbox = cursor.astring()?.into_owned();
    cursor.space()?;
    if !before && are_options(cursor) {
        options(cursor, &mut get)?;
        cursor.space()?;
    }
    get.entries = match cursor.peek() {
        Some(b'(') => cursor.list(entry)?,
        _ => vec![entry(cursor)?],
    };
    match get.entries.len() {
        1..=MAX_ENTRIES => Ok(get),
        _ => Err(Bad("GETMETADATA needs entries, but not that many")),
    }
}

/// A list that begins with no name of an entry.
fn are_options(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.eat(b'(') && !matches!(ahead.peek(), Some(b'/' | b'"' | b'{'))
}

fn options(cursor: &mut Cursor<'_>, get: &mut GetMetadata) -> Parse<()> {
    cursor
        .list(|cursor| {
            let name = cursor.keyword()?;
            cursor.space()?;
            match name.as_str() {
                "MAXSIZE" => get.max_octets = Some(cursor.number()?),
                "DEPTH" => {
                    get.depth = match cursor.keyword()?.as_str() {
                        "0" => Depth::Zero,
                        "1" => Depth::One,
                        "INFINITY" => Depth::Infinity,
                        _ => return Err(Bad("DEPTH is 0, 1 or infinity")),
                    }
                }
                _ => return Err(Bad("That option of GETMETADATA is not known")),
            }
            Ok(())
        })
        .map(drop)
}

/// Reads the arguments of SETMETADATA.
pub fn set(cursor: &mut Cursor<'_>) -> Parse<SetMetadata> {
    let mailbox = cursor.astring()?.into_owned();
    cursor.space()?;
    let entries = cursor.list(|cursor| {
        let name = entry(cursor)?;
        if name.split('/').nth(2).is_none() {
            return Err(Bad("An entry with a value has a name below /private or /shared"));
        }
        cursor.space()?;
        Ok((name, cursor.nstring8()?.map(|value| value.into_owned())))
    })?;
    match entries.len() {
        1..=MAX_ENTRIES => Ok(SetMetadata { mailbox, entries }),
        _ => Err(Bad("SETMETADATA needs entries, but not that many")),
    }
}

/// RFC 5464 §3.2.1: below `/private` or `/shared`, in any case; no `*`, `%`, no empty level, nothing
/// but printable ASCII.
fn entry(cursor: &mut Cursor<'_>) -> Parse<String> {
    let name = cursor.astring()?;
    let printable = name.iter().all(|b| matches!(b, 0x20..=0x7e) && !matches!(b, b'*' | b'%'));
    let name = std::str::from_utf8(&name).unwrap_or_default().to_ascii_lowercase();
    let mut levels = name.split('/');
    let rooted = levels.next() == Some("") && matches!(levels.next(), Some("private" | "shared"));
    if !rooted || !printable || levels.any(str::is_empty) {
        return Err(Bad("That is not the name of an entry, such as /private/comment"));
    }
    if name.len() > waxwing_store::METADATA_NAME_OCTETS_MAX {
        return Err(Bad("That name of an entry is too long"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_get(text: &str) -> Parse<GetMetadata> {
        let mut cursor = Cursor::new(text.as_bytes());
        let get = get(&mut cursor)?;
        cursor.end().map(|()| get)
    }

    fn read_set(text: &[u8]) -> Parse<SetMetadata> {
        let mut cursor = Cursor::new(text);
        let set = set(&mut cursor)?;
        cursor.end().map(|()| set)
    }

    /// RFC 5464 §4.2's examples.
    #[test]
    fn asking() {
        let plain = read_get("\"\" /shared/Comment").unwrap();
        assert_eq!((plain.mailbox.as_slice(), plain.depth), (&b""[..], Depth::Zero));
        assert_eq!(plain.entries, ["/shared/comment"]);
        let two = read_get("INBOX (/shared/comment /private/comment)").unwrap();
        assert_eq!(two.entries.len(), 2);
        let limited = read_get("\"INBOX\" (MAXSIZE 1024) (/shared/comment)").unwrap();
        assert_eq!(limited.max_octets, Some(1024));
        let deep = read_get("(DEPTH 1) \"INBOX\" (/private/filters/values)").unwrap();
        assert_eq!(deep.depth, Depth::One);
        let both = read_get("(DEPTH infinity MAXSIZE 3) INBOX /private").unwrap();
        assert_eq!((both.depth, both.max_octets), (Depth::Infinity, Some(3)));
        for bad in [
            "INBOX",
            "INBOX ()",
            "INBOX comment",
            "INBOX /public/x",
            "INBOX /private/",
            "INBOX /private//x",
            "INBOX \"/private/*\"",
            "INBOX \"/private/\u{e4}\"",
            "(DEPTH 2) INBOX /private/x",
            "(MAXSIZE) INBOX /private/x",
            "(X 1) INBOX /private/x",
        ] {
            assert!(read_get(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn setting() {
        let set = read_set(b"INBOX (/private/comment {3}\r\nabc /SHARED/x NIL)").unwrap();
        let comment = ("/private/comment".to_owned(), Some(b"abc".to_vec()));
        assert_eq!(set.entries, [comment, ("/shared/x".to_owned(), None)]);
        let binary = read_set(b"\"\" (/private/b ~{3+}\r\na\0b)").unwrap();
        assert_eq!(binary.entries[0].1.as_deref(), Some(&b"a\0b"[..]));
        for bad in ["INBOX ()", "INBOX (/private x)", "INBOX (/private/x)", "INBOX /private/x y"] {
            assert!(read_set(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(text: Vec<u8>) {
            let _ = (get(&mut Cursor::new(&text)), set(&mut Cursor::new(&text)));
        }

        /// What is written as the RFC says is read back.
        #[test]
        fn names_come_back(levels in proptest::collection::vec("[a-zA-Z.-]{1,8}", 1..5)) {
            let name = format!("/private/{}", levels.join("/"));
            let get = read_get(&format!("INBOX {name}")).unwrap();
            prop_assert_eq!(get.entries, [name.to_ascii_lowercase()]);
        }
    }
}
