//! The one pass that finds the parts (RFC 2046 §5).
//!
//! Every part that is still open stands on a stack, the enclosing multiparts among them with their
//! boundaries. The pass goes: read a header; for an enclosed message, read the header that follows;
//! else search for the next line that is the delimiter of any open multipart, innermost first; end
//! the parts it ends; begin the part it begins. Bodies are searched for `LF--` and looked at
//! nowhere else; a message that is not multipart is not searched at all.
//!
//! A line is a delimiter when it begins with `--`, the boundary and perhaps `--`, and then ends or
//! goes on after white space. RFC 2046 §5.1.1 would allow any text there; asking for white space
//! keeps boundaries that begin alike apart.
//!
//! | broken | becomes |
//! |---|---|
//! | multipart without a boundary, or none that occurs | one `text/plain` part holding it all |
//! | multipart that never closes | its parts up to the end of its parent |
//! | inner multipart cut off by an outer delimiter | ended there |
//! | multipart or message with base64 or quoted-printable | multipart: read as it stands; message: not opened |
//! | deeper than [`MAX_DEPTH`], more than [`MAX_PARTS`] | not opened; the rest belongs to the last part |

use std::borrow::Cow;

use memchr::memmem;

use super::content;
use super::field::{Header, Item, header_start, item_at};
use super::transfer::TransferEncoding;
use super::{Body, Defect, DefectKind, Part, PartId};

/// Parts inside parts beyond this are not opened.
pub const MAX_DEPTH: usize = 64;
/// Parts beyond this are not told apart.
pub const MAX_PARTS: usize = 10_000;
/// Header fields beyond this, in all parts together, are not recorded.
pub const MAX_FIELDS: usize = 100_000;
/// Defects beyond this are not recorded.
pub const MAX_DEFECTS: usize = 200;

/// Finds the parts of a message, in pre-order, and its defects.
pub(super) fn parse(raw: &[u8]) -> (Vec<Part<'_>>, Vec<Defect>) {
    let mut pass = Pass {
        raw,
        parts: Vec::with_capacity(4),
        defects: Vec::new(),
        open: Vec::with_capacity(8),
        boundaries: 0,
        fields: Vec::with_capacity(32),
        fields_left: MAX_FIELDS,
        delimiter: None,
    };
    pass.run();
    (pass.parts, pass.defects)
}

/// A part whose end has not been found.
struct Open<'a> {
    id: PartId,
    /// Of a multipart that has not been closed.
    boundary: Option<Cow<'a, [u8]>>,
    digest: bool,
    children: Vec<PartId>,
}

struct Pass<'a> {
    raw: &'a [u8],
    parts: Vec<Part<'a>>,
    defects: Vec<Defect>,
    open: Vec<Open<'a>>,
    /// How many of `open` have a boundary.
    boundaries: usize,
    /// Those of the header being read.
    fields: Vec<Header<'a>>,
    fields_left: usize,
    /// Finds `LF--`; made for the first multipart.
    delimiter: Option<memmem::Finder<'static>>,
}

/// Where to go on after a header.
enum After {
    /// The header of the enclosed message begins here.
    Message(usize),
    /// A body to be searched begins here.
    Body(usize),
}

/// A delimiter line.
struct Delimiter {
    /// Whose it is: an index into `open`.
    owner: usize,
    close: bool,
    /// Offset after the line.
    after: usize,
}

/// What a header says about structure.
struct Head<'a> {
    body: usize,
    content_type: Option<&'a [u8]>,
    encoding: TransferEncoding,
    /// The header ran into a delimiter, so there is no body.
    cut: bool,
}

impl<'a> Pass<'a> {
    fn run(&mut self) {
        let start = header_start(self.raw);
        if start > 0 {
            self.defect(0, DefectKind::MboxFromLine);
        }
        let mut at = Some(start);
        while let Some(begin) = at {
            at = match self.begin_part(begin) {
                After::Message(header) => Some(header),
                After::Body(body) => self.next_part(body),
            };
        }
        for i in (0..self.open.len()).rev() {
            if self.open[i].boundary.is_some() && !self.open[i].children.is_empty() {
                self.defect(self.raw.len(), DefectKind::MissingCloseDelimiter);
            }
        }
        self.end_above(0, self.raw.len());
    }

    fn defect(&mut self, offset: usize, kind: DefectKind) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(Defect { offset, kind });
        }
    }

    /// Reads the header at `begin` and opens its part.
    fn begin_part(&mut self, begin: usize) -> After {
        let head = self.header(begin);
        let digest = self.open.last().is_some_and(|parent| parent.digest);
        let (media_type, subtype) = self.media_type(begin, &head, digest);
        let id = PartId(self.parts.len() as u32);
        let parent = self.open.last_mut().map(|parent| {
            parent.children.push(id);
            parent.id
        });
        let mut part = Part {
            headers: self.fields.as_slice().into(),
            header: begin..head.body,
            body: head.body..head.body,
            content: Body::Leaf,
            media_type,
            subtype,
            encoding: head.encoding,
            parent,
        };
        self.fields.clear();
        let mut open = Open { id, boundary: None, digest: false, children: Vec::new() };
        let after = self.open_composite(&mut part, &head, &mut open);
        self.boundaries += usize::from(open.boundary.is_some());
        self.parts.push(part);
        self.open.push(open);
        after
    }

    /// Decides whether the part holds others.
    fn open_composite(
        &mut self,
        part: &mut Part<'a>,
        head: &Head<'a>,
        open: &mut Open<'a>,
    ) -> After {
        let begin = part.header.start;
        let body = After::Body(head.body);
        let multipart = part.media_type == "multipart";
        if !multipart && !part.is_message() {
            if head.encoding == TransferEncoding::Unknown {
                self.defect(begin, DefectKind::UnknownTransferEncoding);
            }
            return body;
        }
        if !head.encoding.is_identity() {
            self.defect(begin, DefectKind::EncodedComposite);
        }
        let too_deep = self.open.len() >= MAX_DEPTH;
        if too_deep {
            self.defect(begin, DefectKind::TooDeep);
        }
        if multipart {
            let boundary =
                head.content_type.and_then(|value| content::param_octets(value, "boundary"));
            // RFC 2046 §5.1.1: a boundary does not end with white space. One with a line end in it
            // (RFC 2231 can say that) delimits no line.
            let line_end = |b: &u8| matches!(b, b'\r' | b'\n');
            let boundary = boundary
                .map(trim_end)
                .filter(|boundary| !boundary.is_empty() && !boundary.iter().any(line_end));
            if boundary.is_none() {
                self.defect(begin, DefectKind::MissingBoundary);
            }
            if too_deep || boundary.is_none() || head.cut {
                part.show_as_text();
                return body;
            }
            open.digest = part.subtype == "digest";
            open.boundary = boundary;
            part.content = Body::Multipart(Vec::new());
            return body;
        }
        if self.parts.len() + 1 >= MAX_PARTS {
            self.defect(begin, DefectKind::TooManyParts);
            return body;
        }
        if too_deep || head.cut || !head.encoding.is_identity() {
            return body;
        }
        part.content = Body::Message(PartId(self.parts.len() as u32 + 1));
        After::Message(head.body)
    }

    /// Reads the fields at `begin` into `self.fields`.
    fn header(&mut self, begin: usize) -> Head<'a> {
        let raw = self.raw;
        let mut head =
            Head { body: begin, content_type: None, encoding: Default::default(), cut: false };
        let mut at = begin;
        let mut bare_lf = false;
        loop {
            if raw[at..].starts_with(b"--") && self.delimiter_at(at).is_some() {
                head.body = at;
                head.cut = true;
                break;
            }
            match item_at(raw, at) {
                Item::Field(field) => {
                    at = field.range.end;
                    bare_lf |= raw[..at].ends_with(b"\n") && !raw[..at].ends_with(b"\r\n");
                    self.field(field, &mut head);
                }
                Item::Junk(range) => {
                    self.defect(range.start, DefectKind::JunkInHeader);
                    at = range.end;
                }
                Item::End { body, blank } => {
                    if !blank && body < raw.len() {
                        let kind = if body == begin {
                            DefectKind::NoHeader
                        } else {
                            DefectKind::MissingBlankLine
                        };
                        self.defect(body, kind);
                    }
                    head.body = body;
                    break;
                }
            }
        }
        if bare_lf && self.parts.is_empty() {
            self.defect(begin, DefectKind::BareLf);
        }
        head
    }

    fn field(&mut self, field: Header<'a>, head: &mut Head<'a>) {
        match field.name.len() {
            12 if field.is("Content-Type") => {
                if head.content_type.is_some() {
                    self.defect(field.range.start, DefectKind::DuplicateContentType);
                } else {
                    head.content_type = Some(field.value);
                }
            }
            25 if field.is("Content-Transfer-Encoding") => {
                head.encoding = TransferEncoding::parse(field.value);
            }
            _ => {}
        }
        if self.fields_left == 0 {
            return;
        }
        self.fields_left -= 1;
        if self.fields_left == 0 {
            self.defect(field.range.start, DefectKind::TooManyFields);
        }
        self.fields.push(field);
    }

    /// The type the header names, or the one that is meant when it names none.
    fn media_type(
        &mut self,
        begin: usize,
        head: &Head<'a>,
        digest: bool,
    ) -> (Cow<'a, str>, Cow<'a, str>) {
        match head.content_type.map(content::media_type) {
            Some(Some(named)) => return named,
            // RFC 2045 §5.2: a malformed type is as good as none.
            Some(None) => self.defect(begin, DefectKind::InvalidContentType),
            None => {}
        }
        // RFC 2046 §5.1.5.
        if digest { ("message".into(), "rfc822".into()) } else { ("text".into(), "plain".into()) }
    }

    /// Searches from `from` for the delimiter that begins the next part.
    fn next_part(&mut self, mut from: usize) -> Option<usize> {
        while self.boundaries > 0 {
            let (line, delimiter) = self.find_delimiter(from)?;
            // The line end before a delimiter belongs to it (RFC 2046 §5.1.1), unless that line
            // end is the one of the header.
            let mut end = line - 1;
            if end > from && self.raw[end - 1] == b'\r' {
                end -= 1;
            }
            self.end_above(delimiter.owner + 1, end.max(from));
            if !delimiter.close {
                if self.parts.len() >= MAX_PARTS {
                    self.defect(line, DefectKind::TooManyParts);
                    return None;
                }
                return Some(delimiter.after);
            }
            self.open[delimiter.owner].boundary = None;
            self.boundaries -= 1;
            from = delimiter.after;
        }
        None
    }

    /// The first delimiter line that begins at or after `from`: its offset and meaning.
    fn find_delimiter(&mut self, from: usize) -> Option<(usize, Delimiter)> {
        let search = from.saturating_sub(1);
        let finder = self.delimiter.take().unwrap_or_else(|| memmem::Finder::new(b"\n--"));
        let found = self.find_delimiter_with(&finder, search);
        self.delimiter = Some(finder);
        found
    }

    fn find_delimiter_with(
        &self,
        finder: &memmem::Finder<'_>,
        search: usize,
    ) -> Option<(usize, Delimiter)> {
        for lf in finder.find_iter(&self.raw[search..]) {
            let line = search + lf + 1;
            if let Some(delimiter) = self.delimiter_at(line) {
                return Some((line, delimiter));
            }
        }
        None
    }

    /// What the line that begins with `--` at `line` delimits.
    fn delimiter_at(&self, line: usize) -> Option<Delimiter> {
        if self.boundaries == 0 {
            return None;
        }
        let text = &self.raw[line + 2..];
        let matched = self.open.iter().enumerate().rev().find_map(|(owner, open)| {
            let boundary = open.boundary.as_deref()?;
            let after = text.strip_prefix(boundary)?;
            let (after, close) = match after.strip_prefix(b"--") {
                Some(after) => (after, true),
                None => (after, false),
            };
            after.first().is_none_or(u8::is_ascii_whitespace).then_some((owner, close))
        });
        let (owner, close) = matched?;
        let rest = &self.raw[line..];
        let line_octets = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        Some(Delimiter { owner, close, after: line + line_octets })
    }

    /// Ends all open parts but the first `keep`.
    fn end_above(&mut self, keep: usize, end: usize) {
        while self.open.len() > keep {
            let Some(open) = self.open.pop() else { break };
            let part = &mut self.parts[open.id.0 as usize];
            part.body.end = end.max(part.body.start);
            self.boundaries -= usize::from(open.boundary.is_some());
            if let Body::Multipart(children) = &mut part.content {
                *children = open.children;
                if children.is_empty() {
                    let offset = part.header.start;
                    part.content = Body::Leaf;
                    part.show_as_text();
                    self.defect(offset, DefectKind::NoParts);
                }
            }
        }
    }
}

fn trim_end(octets: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match octets {
        Cow::Borrowed(octets) => Cow::Borrowed(octets.trim_ascii_end()),
        Cow::Owned(octets) => Cow::Owned(octets.trim_ascii_end().to_vec()),
    }
}
