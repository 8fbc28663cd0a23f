//! The header block as signatures see it: fields by name, chosen from the bottom up, and hashed
//! (RFC 6376 §3.7, §5.4.2).
//!
//! Fields are found as [`waxwing_message::parse::field`] finds them, so that what is verified is
//! what a reader is shown. Choosing is a search in a sorted index: a signature over a hundred
//! thousand names of a header with as many fields still takes about linear time.

use std::cmp::Ordering;
use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};
use waxwing_message::parse::field::{Item, header_start, item_at};

use super::Canonicalization;
use super::body::sha256_of;
use super::canonical::relaxed_field;

/// A header block with an index by name.
pub(crate) struct HeaderBlock {
    raw: Vec<u8>,
    fields: Vec<Field>,
    /// Ordered by name and then from the top down.
    by_name: Vec<Entry>,
}

struct Field {
    name: Range<usize>,
    value: Range<usize>,
    range: Range<usize>,
}

/// One place in the index.
struct Entry {
    key: Key,
    place: u32,
}

/// What decides most often between two names: how long they are, and the first eight octets in lower
/// case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Key {
    fn of(name: &[u8]) -> Key {
        let mut first = [0; 8];
        let octets = name.len().min(8);
        first[..octets].copy_from_slice(&name[..octets]);
        let first = u64::from_be_bytes(first.map(|b| b.to_ascii_lowercase()));
        Key((name.len() as u128) << 64 | u128::from(first))
    }
}

/// One field, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct FieldRef<'a> {
    /// Its place, counted from the top.
    pub place: usize,
    pub name: &'a [u8],
    /// Without the colon and the final line end.
    pub value: &'a [u8],
    raw: &'a [u8],
}

impl HeaderBlock {
    /// The header at the beginning of `raw`.
    pub fn new(raw: Vec<u8>) -> HeaderBlock {
        HeaderBlock::read(raw).0
    }

    /// The header at the beginning of `raw`, and where the body begins.
    pub fn read(raw: Vec<u8>) -> (HeaderBlock, usize) {
        let base = raw.as_ptr() as usize;
        // Names and values are slices of `raw`; kept as offsets, they go where it goes.
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - base;
            start..start + part.len()
        };
        let mut fields = Vec::with_capacity(32);
        let mut at = header_start(&raw);
        let body = loop {
            match item_at(&raw, at) {
                Item::Field(f) => {
                    at = f.range.end;
                    fields.push(Field {
                        name: place(f.name),
                        value: place(f.value),
                        range: f.range,
                    });
                }
                Item::Junk(range) => at = range.end,
                Item::End { body, .. } => break body,
            }
        };
        let entry = |(place, field): (usize, &Field)| Entry {
            key: Key::of(&raw[field.name.clone()]),
            place: place as u32,
        };
        let mut by_name: Vec<Entry> = fields.iter().enumerate().map(entry).collect();
        let name = |entry: &Entry| &raw[fields[entry.place as usize].name.clone()];
        by_name.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| order(name(a), name(b))).then(a.place.cmp(&b.place))
        });
        (HeaderBlock { raw, fields, by_name }, body)
    }

    /// What was given, from an offset on.
    pub fn from(&self, offset: usize) -> &[u8] {
        &self.raw[offset..]
    }

    /// Forgets what is after the header.
    pub fn cut(&mut self, end: usize) {
        self.raw.truncate(end);
        // What is kept of the body is little, unless it came in large pieces.
        if self.raw.capacity() > 2 * end + 16_384 {
            self.raw.shrink_to_fit();
        }
    }

    /// The field at a place.
    pub fn field(&self, place: usize) -> FieldRef<'_> {
        let Field { name, value, range } = &self.fields[place];
        FieldRef {
            place,
            name: &self.raw[name.clone()],
            value: &self.raw[value.clone()],
            raw: &self.raw[range.clone()],
        }
    }

    /// All fields, from the top.
    #[cfg(test)]
    pub fn fields(&self) -> impl Iterator<Item = FieldRef<'_>> {
        (0..self.fields.len()).map(|place| self.field(place))
    }

    /// All fields of one name, from the top.
    pub fn named(&self, name: &[u8]) -> impl DoubleEndedIterator<Item = FieldRef<'_>> {
        self.by_name[self.group(name)].iter().map(|entry| self.field(entry.place as usize))
    }

    /// How many fields have that name.
    pub fn count(&self, name: &[u8]) -> usize {
        self.group(name).len()
    }

    /// Where the fields of that name stand in `by_name`.
    fn group(&self, name: &[u8]) -> Range<usize> {
        let key = Key::of(name);
        let whole =
            |entry: &Entry| order(&self.raw[self.fields[entry.place as usize].name.clone()], name);
        let mut start = self.by_name.partition_point(|entry| entry.key < key);
        if self.by_name.get(start).is_none_or(|entry| entry.key != key) {
            return start..start;
        }
        let same = |entry: &Entry| entry.key == key && whole(entry) == Ordering::Equal;
        // Few names have their length and beginning in common.
        if name.len() > 8 && !same(&self.by_name[start]) {
            start += self.by_name[start..]
                .partition_point(|entry| entry.key == key && whole(entry) == Ordering::Less);
        }
        let rest = &self.by_name[start..];
        // Most names have one field or none.
        let length = match rest.iter().take(2).take_while(|entry| same(entry)).count() {
            2 => rest.partition_point(same),
            few => few,
        };
        start..start + length
    }

    /// The fields that a list of names stands for: for each name the lowest that was not taken yet;
    /// nothing when there is none any more, which is how a signer says that there shall be none
    /// (RFC 6376 §5.4.2). `own`, the signature itself, is never among them.
    pub fn selected<'a>(
        &'a self,
        names: impl Iterator<Item = &'a str>,
        own: Option<usize>,
    ) -> impl Iterator<Item = FieldRef<'a>> {
        let mut taken = vec![0u32; self.by_name.len()];
        names.filter_map(move |name| {
            let group = self.group(name.as_bytes());
            loop {
                // How many of a group are taken is counted at its first place.
                let count = taken.get_mut(group.start)?;
                let left = group.len().checked_sub(*count as usize + 1)?;
                *count += 1;
                let place = self.by_name[group.start + left].place as usize;
                if Some(place) != own {
                    return Some(self.field(place));
                }
            }
        })
    }

    /// The hash of the named fields and the signature field itself, its `b=` emptied.
    pub fn hash<'a>(
        &'a self,
        names: impl Iterator<Item = &'a str>,
        kind: Canonicalization,
        own: FieldRef<'_>,
        own_b: &Range<usize>,
    ) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let mut buffer = Vec::with_capacity(2048);
        for field in self.selected(names, Some(own.place)) {
            append(field, kind, &mut buffer);
            if buffer.len() > 16_384 {
                context.update(&buffer);
                buffer.clear();
            }
        }
        append_own(own, kind, own_b, &mut buffer);
        context.update(&buffer);
        sha256_of(context)
    }
}

/// A field in canonical form, with its line end.
pub(crate) fn append(field: FieldRef<'_>, kind: Canonicalization, out: &mut Vec<u8>) {
    match kind {
        Canonicalization::Simple => {
            out.extend_from_slice(field.raw);
            if !field.raw.ends_with(b"\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
        Canonicalization::Relaxed => {
            relaxed_field(field.name, field.value, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The signature field, last: without what `b=` says and without a line end (RFC 6376 §3.7).
pub(crate) fn append_own(
    own: FieldRef<'_>,
    kind: Canonicalization,
    b: &Range<usize>,
    out: &mut Vec<u8>,
) {
    let (before, after) = (&own.value[..b.start], &own.value[b.end..]);
    match kind {
        Canonicalization::Simple => {
            // From the name up to the value, as it was written.
            let lead = own.raw.len() - tail_of(own.raw).len();
            let lead = &own.raw[..lead - own.value.len()];
            [lead, before, after].iter().for_each(|part| out.extend_from_slice(part));
        }
        Canonicalization::Relaxed => relaxed_field(own.name, &[before, after].concat(), out),
    }
}

/// The line end of a field.
fn tail_of(raw: &[u8]) -> &[u8] {
    let text = raw.strip_suffix(b"\n").unwrap_or(raw);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    &raw[text.len()..]
}

/// The order of two names of the same [`Key`]; names are case-insensitive.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    // What the key holds is equal.
    match (a.get(8..), b.get(8..)) {
        (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => Ordering::Equal,
        (Some(a), Some(b)) => {
            a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
        }
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(raw: &str, names: &[&str], own: Option<usize>) -> Vec<String> {
        let block = HeaderBlock::new(raw.as_bytes().to_vec());
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        let values = block
            .selected(names.iter().map(String::as_str), own)
            .map(|f| String::from_utf8_lossy(f.value).into());
        values.collect()
    }

    /// RFC 6376 §3.4.5, its header in both forms.
    #[test]
    fn the_examples_of_rfc_6376_section_3_4_5() {
        let raw = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n";
        let block = HeaderBlock::new(raw.to_vec());
        let canonical = |kind| {
            let mut out = Vec::new();
            block.fields().for_each(|field| append(field, kind, &mut out));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(canonical(Canonicalization::Relaxed), "a:X\r\nb:Y Z\r\n");
        assert_eq!(canonical(Canonicalization::Simple), "A: X\r\nB : Y\t\r\n\tZ  \r\n");
    }

    #[test]
    fn fields_are_taken_from_the_bottom_up() {
        let raw = "A: 1\r\nB: 2\r\na: 3\r\nA: 4\r\n\r\n";
        assert_eq!(
            chosen(raw, &["a", "A", "b", "b", "c", "a", "a"], None),
            [" 4", " 3", " 2", " 1"]
        );
        assert_eq!(chosen(raw, &["a", "a", "a"], Some(2)), [" 4", " 1"]);
        assert!(chosen("", &["a"], None).is_empty());
    }

    #[test]
    fn the_own_field_loses_its_signature_only() {
        let raw = "DKIM-Signature : b= x y ; v=1\r\n\r\n";
        let block = HeaderBlock::new(raw.as_bytes().to_vec());
        let own = block.named(b"dkim-signature").next().unwrap();
        let mut out = Vec::new();
        append_own(own, Canonicalization::Simple, &(3..8), &mut out);
        assert_eq!(out, b"DKIM-Signature : b=; v=1");
        out.clear();
        append_own(own, Canonicalization::Relaxed, &(3..8), &mut out);
        assert_eq!(out, b"dkim-signature:b=; v=1");
    }

    #[test]
    fn many_names_and_fields_take_little_time() {
        let raw = "a:\n".repeat(80_000);
        let names = vec!["a".to_owned(); 120_000];
        let block = HeaderBlock::new(raw.into_bytes());
        assert_eq!(block.selected(names.iter().map(String::as_str), None).count(), 80_000);
    }
}
