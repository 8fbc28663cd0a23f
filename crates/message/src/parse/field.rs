//! The header block: octets to fields (RFC 5322 §2.2), one line at a time.
//!
//! A line is one of four things, and the first that fits wins:
//!
//! | line | is |
//! |---|---|
//! | empty | the end of the header |
//! | `name:` with an `ftext` name, perhaps with white space before the colon (RFC 5322 §4.5) | a field, with all lines after it that begin with white space |
//! | anything else, when the next line is a field | junk inside the header: kept in its range, shown to nobody |
//! | anything else | the first line of the body: the empty line was forgotten |
//!
//! Lines end with LF; a CR before it belongs to the line end. Names may hold UTF-8 or any 8-bit
//! octet, since broken mail does; nothing here decodes.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// One header field, as offsets and borrowed octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// As written.
    pub name: &'a [u8],
    /// Raw and folded, without the colon and the final line end.
    pub value: &'a [u8],
    /// The whole field in the message, including its final line end.
    pub range: Range<usize>,
}

impl<'a> Header<'a> {
    /// Whether this is the field of that name; names are case-insensitive (RFC 5322 §1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value unfolded and trimmed, otherwise raw: encoded words stand.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }

    /// The value as text for people: unfolded, encoded words and 8-bit octets decoded.
    pub fn text(&self) -> String {
        super::words::decode_text(self.value)
    }
}

/// What stands at a line of a header block.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A field; the next item begins at the end of its range.
    Field(Header<'a>),
    /// Lines that are no field, with a field after them.
    Junk(Range<usize>),
    /// The header is over; the body begins at `body`. `blank` tells whether an empty line said so.
    End {
        /// Offset of the first octet of the body.
        body: usize,
        /// False when the empty line was missing.
        blank: bool,
    },
}

/// Reads the item that begins at the line start `at`. Takes time in the length of the item.
pub fn item_at(raw: &[u8], at: usize) -> Item<'_> {
    match raw.get(at) {
        None => return Item::End { body: raw.len(), blank: false },
        Some(b'\n') => return Item::End { body: at + 1, blank: true },
        Some(b'\r') if raw.get(at + 1) == Some(&b'\n') => {
            return Item::End { body: at + 2, blank: true };
        }
        Some(_) => {}
    }
    if let Some((name_end, colon)) = field_name(raw, at) {
        let end = folded_end(raw, colon + 1);
        let value = &raw[colon + 1..end];
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        return Item::Field(Header { name: &raw[at..name_end], value, range: at..end });
    }
    let end = folded_end(raw, at);
    match field_name(raw, end) {
        Some(_) => Item::Junk(at..end),
        None => Item::End { body: at, blank: false },
    }
}

/// The end of the name and the place of the colon, when a field begins at `at`.
fn field_name(raw: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut i = at;
    while matches!(raw.get(i), Some(&b) if b > b' ' && b != b':' && b != 0x7f) {
        i += 1;
    }
    let name_end = i;
    while matches!(raw.get(i), Some(b' ' | b'\t')) {
        i += 1;
    }
    (raw.get(i) == Some(&b':') && name_end > at).then_some((name_end, i))
}

/// The end of the line from `at`, with every folded line after it.
fn folded_end(raw: &[u8], mut at: usize) -> usize {
    loop {
        match memchr(b'\n', &raw[at..]) {
            None => return raw.len(),
            Some(n) => at += n + 1,
        }
        if !matches!(raw.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
}

/// Where the header begins: after the `From ` line that an mbox file puts before a message. `From : x` with
/// a space before the colon is a field (RFC 5322 §4.5) and no such line.
pub fn header_start(raw: &[u8]) -> usize {
    if !raw.starts_with(b"From ") || field_name(raw, 0).is_some() {
        return 0;
    }
    memchr(b'\n', raw).map_or(raw.len(), |lf| lf + 1)
}

/// The offset where the body begins: after the empty line that ends the header, or where the
/// header ends without one. Reads nothing beyond the header.
pub fn header_end(raw: &[u8]) -> usize {
    let mut at = header_start(raw);
    loop {
        match item_at(raw, at) {
            Item::Field(field) => at = field.range.end,
            Item::Junk(range) => at = range.end,
            Item::End { body, .. } => return body,
        }
    }
}

/// The fields of the header block at the start of `raw`, in order.
pub fn fields(raw: &[u8]) -> impl Iterator<Item = Header<'_>> {
    let mut at = header_start(raw);
    std::iter::from_fn(move || {
        loop {
            match item_at(raw, at) {
                Item::Field(field) => {
                    at = field.range.end;
                    return Some(field);
                }
                Item::Junk(range) => at = range.end,
                Item::End { .. } => return None,
            }
        }
    })
}

/// Removes every line end (RFC 5322 §2.2.3) and the white space around the whole. Borrows when
/// there is nothing to remove.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    let Some(first) = memchr::memchr2(b'\r', b'\n', value) else { return Cow::Borrowed(value) };
    let mut out = Vec::with_capacity(value.len());
    out.extend_from_slice(&value[..first]);
    out.extend(value[first..].iter().filter(|b| !matches!(b, b'\r' | b'\n')));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(raw: &str) -> Vec<String> {
        fields(raw.as_bytes()).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect()
    }

    #[test]
    fn fields_fold_and_keep_their_ranges() {
        let raw = b"A: one\r\n two\r\nB : x\r\n\r\nbody";
        let all: Vec<_> = fields(raw).collect();
        assert_eq!(all[0].value, b" one\r\n two");
        assert_eq!(all[0].range, 0..14);
        assert_eq!(&*all[0].unfolded(), b"one two");
        assert_eq!(all[1].name, b"B");
        assert_eq!(header_end(raw), 23);
    }

    #[test]
    fn a_header_may_end_without_an_empty_line() {
        assert_eq!(header_end(b"A: b\r\nHello there\r\nbye\r\n"), 6);
        assert_eq!(header_end(b"no header at all"), 0);
        assert_eq!(header_end(b"A: b"), 4);
        assert_eq!(header_end(b""), 0);
        assert_eq!(header_end(b"\r\nbody"), 2);
    }

    #[test]
    fn junk_between_fields_is_passed_over() {
        assert_eq!(names("A: 1\nthis is junk\nB: 2\n\nbody"), ["A", "B"]);
        assert_eq!(names("From joe Tue Jan\nA: 1\n\nbody"), ["A"]);
        assert_eq!(names("A: 1\njunk\njunk\nB: 2\n"), ["A"]);
    }

    #[test]
    fn a_line_of_white_space_folds() {
        assert_eq!(names("A: 1\n \nB: 2\n\n"), ["A", "B"]);
    }
}
