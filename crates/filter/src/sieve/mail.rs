//! The message as scripts see and change it.
//!
//! [`Mail`] holds the octets, the tree of parts as offsets into them, the edited header (RFC 5293), and the
//! parts that were replaced (RFC 5703 §5). Nothing is written anew until an action needs the message:
//! then the pieces are put together.
//!
//! Inside a `foreverypart` loop the tree stays as it is, and replaced parts are remembered with what
//! stands below them, which the loop then passes over. When the outermost loop ends, the changed
//! message is parsed again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use waxwing_message::Message;
use waxwing_message::parse::field::{Item, header_end, item_at};
use waxwing_message::parse::{Body, Header, PartId, TransferEncoding, charset, content};

use super::Version;

/// The message, perhaps changed.
#[derive(Clone)]
pub(crate) struct Mail<'a> {
    raw: Cow<'a, [u8]>,
    parts: Vec<Part>,
    /// The fields of the message's own header; `None` while they are as they came.
    edited: Option<Vec<Field>>,
    /// What stands instead of a part, header and body.
    replaced: BTreeMap<usize, Vec<u8>>,
    /// What stands instead of the whole, once the loops have ended.
    whole: Option<Vec<u8>>,
}

/// One part: offsets in the octets.
#[derive(Clone)]
pub(crate) struct Part {
    fields: Vec<Place>,
    header: Range<usize>,
    body: Range<usize>,
    pub media_type: String,
    pub subtype: String,
    encoding: TransferEncoding,
    pub leaf: bool,
    pub message: bool,
    /// Index after the last part that stands in this one: the parts are in pre-order.
    pub end: usize,
}

/// Where a field stands.
#[derive(Clone)]
struct Place {
    name: Range<usize>,
    value: Range<usize>,
    whole: Range<usize>,
}

/// A field of an edited header.
#[derive(Clone)]
enum Field {
    /// As it came: an index into the root's fields.
    Original(usize),
    /// Added, whole and in its written form.
    Added(Vec<u8>),
}

impl<'a> Mail<'a> {
    pub fn new(message: &Message<'a>) -> Mail<'a> {
        Mail {
            raw: Cow::Borrowed(message.raw),
            parts: places(message),
            edited: None,
            replaced: BTreeMap::new(),
            whole: None,
        }
    }

    fn of_octets(raw: Vec<u8>) -> Mail<'a> {
        let parts = places(&Message::parse(&raw));
        Mail { raw: Cow::Owned(raw), parts, edited: None, replaced: BTreeMap::new(), whole: None }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Octets of the message as it stands.
    pub fn octets(&self) -> usize {
        self.raw.len()
    }

    /// Name and value of the fields of a part, in order; of the root as edited.
    pub fn fields(&self, part: usize) -> Vec<(&[u8], &[u8])> {
        let places = &self.parts[part].fields;
        let place = |place: &Place| (&self.raw[place.name.clone()], &self.raw[place.value.clone()]);
        match &self.edited {
            Some(edited) if part == 0 => edited
                .iter()
                .filter_map(|field| match field {
                    Field::Original(i) => Some(place(&places[*i])),
                    Field::Added(raw) => match item_at(raw, 0) {
                        Item::Field(header) => Some((header.name, header.value)),
                        _ => None,
                    },
                })
                .collect(),
            _ => places.iter().map(place).collect(),
        }
    }

    /// The raw values of the fields of that name.
    pub fn values(&self, part: usize, name: &str) -> Vec<&[u8]> {
        let named = |(field, _): &(&[u8], &[u8])| field.eq_ignore_ascii_case(name.as_bytes());
        self.fields(part).into_iter().filter(named).map(|(_, value)| value).collect()
    }

    /// One value of a field of a part's MIME header.
    fn first(&self, part: usize, name: &str) -> Option<&[u8]> {
        self.values(part, name).into_iter().next()
    }

    /// A parameter of Content-Type.
    pub fn param(&self, part: usize, name: &str) -> Option<String> {
        content::param(self.first(part, "Content-Type")?, name)
    }

    /// The body of a part as it stands.
    pub fn raw_body(&self, part: usize) -> &[u8] {
        &self.raw[self.parts[part].body.clone()]
    }

    /// The header of a part as it stands, without the empty line.
    pub fn raw_header(&self, part: usize) -> &[u8] {
        let header = &self.raw[self.parts[part].header.clone()];
        let header = header.strip_suffix(b"\n").unwrap_or(header);
        header.strip_suffix(b"\r").unwrap_or(header)
    }

    /// The body of a part with its transfer encoding undone.
    pub fn decoded(&self, part: usize) -> Cow<'_, [u8]> {
        let body = self.raw_body(part);
        if self.parts[part].leaf { self.parts[part].encoding.decode(body) } else { body.into() }
    }

    /// The body of a part as text.
    pub fn text(&self, part: usize) -> String {
        let label = self.param(part, "charset");
        charset::decode(&self.decoded(part), label.as_deref().map(str::as_bytes)).into_owned()
    }

    /// Of a multipart: what stands before its first part and after its last.
    pub fn around_parts(&self, part: usize) -> (&[u8], &[u8]) {
        let Part { body, end, .. } = &self.parts[part];
        let inner = &self.parts[part + 1..*end];
        let first = inner.first().map_or(body.end, |part| part.header.start);
        let last = inner.iter().map(|part| part.body.end).max().unwrap_or(body.end);
        (&self.raw[body.start..first], &self.raw[last..body.end])
    }

    /// Adds a field, at the end or the beginning of the header; `raw` is its written form.
    pub fn add_field(&mut self, raw: Vec<u8>, last: bool) {
        if let Some(whole) = self.whole.take() {
            let mut mail = Mail::of_octets(whole);
            mail.add_field(raw, last);
            self.whole = Some(mail.to_bytes());
            return;
        }
        let fields = self.editable();
        let at = if last { fields.len() } else { 0 };
        fields.insert(at, Field::Added(raw));
    }

    /// Removes fields of the root, by their indices in [`Mail::fields`], which ascend.
    pub fn remove_fields(&mut self, indices: &[usize]) {
        let mut at = 0;
        self.editable().retain(|_| {
            at += 1;
            indices.binary_search(&(at - 1)).is_err()
        });
    }

    fn editable(&mut self) -> &mut Vec<Field> {
        let count = self.parts[0].fields.len();
        self.edited.get_or_insert_with(|| (0..count).map(Field::Original).collect())
    }

    /// Puts an entity, header and body, in the place of a part.
    pub fn replace_part(&mut self, part: usize, entity: Vec<u8>) {
        let inside = part + 1..self.parts[part].end;
        self.replaced.retain(|other, _| !inside.contains(other));
        self.replaced.insert(part, entity);
    }

    /// Puts other octets in the place of the whole message, as soon as the message is settled.
    pub fn replace_all(&mut self, raw: Vec<u8>) {
        self.whole = Some(raw);
    }

    /// Whether a part that stands around this one was replaced.
    pub fn is_gone(&self, part: usize) -> bool {
        self.whole.is_some()
            || self
                .replaced
                .keys()
                .any(|other| (*other + 1..self.parts[*other].end).contains(&part))
    }

    /// Parses the message anew when parts of it were replaced.
    pub fn settle(&mut self) {
        if let Some(whole) = self.whole.take() {
            *self = Mail::of_octets(whole);
        } else if !self.replaced.is_empty() {
            let (header, body) = self.written();
            *self = Mail::of_octets([header, body].concat());
        }
    }

    /// Whether anything differs from the message as it came.
    pub fn is_changed(&self) -> bool {
        self.edited.is_some()
            || self.whole.is_some()
            || !self.replaced.is_empty()
            || matches!(self.raw, Cow::Owned(_))
    }

    /// The changed message.
    pub fn version(&self) -> Version {
        if let Some(whole) = &self.whole {
            let (header, body) = whole.split_at(header_end(whole));
            return Version { header: header.to_vec(), body: Some(body.to_vec()) };
        }
        let (header, body) = self.written();
        let as_it_came = self.replaced.is_empty() && matches!(self.raw, Cow::Borrowed(_));
        Version { header, body: (!as_it_came).then_some(body) }
    }

    /// The whole message as it stands now.
    pub fn to_bytes(&self) -> Vec<u8> {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let (header, body) = self.written();
        [header, body].concat()
    }

    fn written(&self) -> (Vec<u8>, Vec<u8>) {
        let mut header = Vec::new();
        for field in self.written_fields(|_| true) {
            header.extend_from_slice(&field);
        }
        header.extend_from_slice(b"\r\n");
        let Range { start, end } = self.parts[0].body.clone();
        let mut body = Vec::with_capacity(end - start);
        let mut at = start;
        for (part, entity) in &self.replaced {
            let part = &self.parts[*part];
            body.extend_from_slice(&self.raw[at..part.header.start]);
            body.extend_from_slice(entity);
            at = part.body.end;
        }
        body.extend_from_slice(&self.raw[at..end]);
        (header, body)
    }

    /// The fields of the root in their written form, each with its line end; those whose name is
    /// wanted.
    pub fn written_fields(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Cow<'_, [u8]>> {
        let places = &self.parts[0].fields;
        let original: Vec<Field>;
        let fields = match &self.edited {
            Some(edited) => edited,
            None => {
                original = (0..places.len()).map(Field::Original).collect();
                &original
            }
        };
        fields
            .iter()
            .map(|field| match field {
                Field::Original(i) => Cow::Borrowed(&self.raw[places[*i].whole.clone()]),
                // `fields` may be a local list of `Original` only; what is added is owned.
                Field::Added(raw) => Cow::Owned(raw.clone()),
            })
            .filter(|raw| match item_at(raw, 0) {
                Item::Field(header) => wanted(header.name),
                _ => false,
            })
            .map(|raw| match raw.ends_with(b"\n") {
                true => raw,
                false => Cow::Owned([&raw, b"\r\n".as_slice()].concat()),
            })
            .collect()
    }
}

/// The tree of a message as offsets.
fn places(message: &Message<'_>) -> Vec<Part> {
    let base = message.raw.as_ptr() as usize;
    let range = |slice: &[u8]| {
        let start = slice.as_ptr() as usize - base;
        start..start + slice.len()
    };
    let place = |header: &Header<'_>| Place {
        name: range(header.name),
        value: range(header.value),
        whole: header.range.clone(),
    };
    let mut parts: Vec<Part> = message
        .parts
        .iter()
        .enumerate()
        .map(|(i, part)| Part {
            fields: part.headers.iter().map(place).collect(),
            header: part.header.clone(),
            body: part.body.clone(),
            media_type: part.media_type.clone().into_owned(),
            subtype: part.subtype.clone().into_owned(),
            encoding: part.encoding,
            leaf: part.content == Body::Leaf,
            message: part.is_message(),
            end: i + 1,
        })
        .collect();
    for i in (1..parts.len()).rev() {
        if let Some(PartId(parent)) = message.parts[i].parent {
            let parent = parent as usize;
            parts[parent].end = parts[parent].end.max(parts[i].end);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &[u8] =
        b"A: 1\r\nContent-Type: multipart/mixed; boundary=x\r\nB: 2\r\n\r\npre\r\n--x\r\n\r\none\
        \r\n--x\r\nContent-Type: text/html\r\n\r\ntwo\r\n--x--\r\npost\r\n";

    #[test]
    fn header_edits_leave_the_body_alone() {
        let message = Message::parse(RAW);
        let mut mail = Mail::new(&message);
        assert!(!mail.is_changed());
        mail.add_field(b"C: 3\r\n".to_vec(), false);
        mail.remove_fields(&[3]);
        let version = mail.version();
        assert_eq!(
            version.header,
            b"C: 3\r\nA: 1\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        );
        assert_eq!(version.body, None);
        assert_eq!(mail.values(0, "c"), [b" 3"]);
        assert!(mail.values(0, "b").is_empty());
    }

    #[test]
    fn replaced_parts_are_spliced() {
        let message = Message::parse(RAW);
        let mut mail = Mail::new(&message);
        mail.replace_part(1, b"X: y\r\n\r\nnew".to_vec());
        mail.settle();
        assert_eq!(mail.parts().len(), 3);
        assert_eq!(mail.raw_body(1), b"new");
        assert_eq!(mail.raw_body(2), b"two");
        assert_eq!(mail.around_parts(0).1, b"\r\n--x--\r\npost\r\n");
    }
}
