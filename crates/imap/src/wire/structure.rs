//! ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 §7.5.2) from a stored [`Summary`]: the message
//! itself is not opened.
//!
//! ```text
//! leaf       (type subtype params id description encoding octets [lines, if text] EXT)
//! message    (message rfc822 params id description encoding octets ENVELOPE BODY lines EXT)
//! multipart  (child child … subtype EXT)
//! EXT, only in BODYSTRUCTURE:  [md5, or params of a multipart] disposition language location
//! ```

use waxwing_message::Summary;
use waxwing_message::summary::{Overview, OverviewAddress, PartInfo, PartKind};

use super::out::Out;

/// Deeper parts are shown as leaves.
const MAX_DEPTH: usize = 100;

type Params = [(Vec<u8>, Vec<u8>)];

/// Writes ENVELOPE's value.
pub fn envelope<T: AsRef<[u8]>>(out: &mut Out, overview: &Overview<T>) {
    let from = &overview.from;
    // RFC 9051 §7.5.2: Sender and Reply-To are From when absent or empty.
    out.raw(b"(").nstring(octets(&overview.date));
    out.raw(b" ").nstring(octets(&overview.subject));
    for list in [
        from,
        if overview.sender.is_empty() { from } else { &overview.sender },
        if overview.reply_to.is_empty() { from } else { &overview.reply_to },
        &overview.to,
        &overview.cc,
        &overview.bcc,
    ] {
        out.raw(b" ");
        addresses(out, list);
    }
    out.raw(b" ").nstring(octets(&overview.in_reply_to));
    out.raw(b" ").nstring(octets(&overview.message_id)).raw(b")");
}

fn octets<T: AsRef<[u8]>>(field: &Option<T>) -> Option<&[u8]> {
    field.as_ref().map(AsRef::as_ref)
}

fn addresses<T: AsRef<[u8]>>(out: &mut Out, list: &[OverviewAddress<T>]) {
    if list.is_empty() {
        out.raw(b"NIL");
        return;
    }
    out.raw(b"(");
    for item in list {
        match item {
            OverviewAddress::Mailbox { name, local_part, domain } => {
                // A NIL host would begin or end a group, so that an absent domain is "".
                out.raw(b"(").nstring(octets(name)).raw(b" NIL ").string(local_part.as_ref());
                out.raw(b" ").string(domain.as_ref()).raw(b")");
            }
            OverviewAddress::GroupStart { name } => {
                out.raw(b"(NIL NIL ").string(name.as_ref()).raw(b" NIL)");
            }
            OverviewAddress::GroupEnd => {
                out.raw(b"(NIL NIL NIL NIL)");
            }
        }
    }
    out.raw(b")");
}

/// Writes the value of BODYSTRUCTURE (`extended`) or BODY. `rev2`: message/global is composite too
/// (RFC 9051 §9 `media-message`); rev1's grammar knows only message/rfc822.
pub fn body(out: &mut Out, summary: &Summary, extended: bool, rev2: bool) {
    let mut writer = Writer { out, parts: &summary.parts, next: 0, extended, rev2 };
    writer.part(0);
}

struct Writer<'a> {
    out: &'a mut Out,
    parts: &'a [PartInfo],
    /// The part in pre-order to be written next.
    next: usize,
    extended: bool,
    rev2: bool,
}

impl<'a> Writer<'a> {
    fn part(&mut self, depth: usize) {
        let Some(part) = self.parts.get(self.next) else { return self.nothing() };
        self.next += 1;
        match &part.kind {
            PartKind::Multipart { children } if depth < MAX_DEPTH => {
                self.multipart(part, *children, depth);
            }
            PartKind::Message { overview } if depth < MAX_DEPTH && self.shows_as_message(part) => {
                self.message(part, overview, depth);
            }
            PartKind::Leaf => self.leaf(part),
            _ => {
                self.leaf(part);
                self.skip_children(part);
            }
        }
    }

    fn shows_as_message(&self, part: &PartInfo) -> bool {
        self.rev2 || part.subtype.eq_ignore_ascii_case(b"rfc822")
    }

    fn multipart(&mut self, part: &'a PartInfo, children: u32, depth: usize) {
        self.out.raw(b"(");
        for _ in 0..children.max(1) {
            match children {
                0 => self.nothing(), // the grammar wants at least one body
                _ => self.part(depth + 1),
            }
        }
        self.out.raw(b" ").string(&part.subtype);
        if self.extended {
            self.out.raw(b" ");
            params(self.out, &part.params);
            self.extension(part);
        }
        self.out.raw(b")");
    }

    fn message(&mut self, part: &'a PartInfo, overview: &Overview, depth: usize) {
        self.out.raw(b"(").string(&part.media_type).raw(b" ").string(&part.subtype).raw(b" ");
        self.fields(part);
        self.out.raw(b" ");
        envelope(self.out, overview);
        self.out.raw(b" ");
        self.part(depth + 1);
        self.out.raw(b" ").number(part.lines);
        self.leaf_extension(part);
        self.out.raw(b")");
    }

    fn leaf(&mut self, part: &'a PartInfo) {
        let is = |name: &str| part.media_type.eq_ignore_ascii_case(name.as_bytes());
        let rfc822 = is("message")
            && (part.subtype.eq_ignore_ascii_case(b"rfc822")
                || (self.rev2 && part.subtype.eq_ignore_ascii_case(b"global")));
        self.out.raw(b"(");
        if is("multipart") {
            // One whose boundary is missing or that is too deep: nothing of it can be shown.
            self.out.raw(b"\"text\" \"plain\"");
        } else {
            self.out.string(&part.media_type).raw(b" ").string(&part.subtype);
        }
        self.out.raw(b" ");
        self.fields(part);
        if rfc822 {
            // Not parsed (too deep, or encoded): the grammar still wants an envelope and a body.
            self.out.raw(b" ");
            envelope(self.out, &Overview::<&[u8]>::default());
            self.out.raw(b" ");
            self.nothing();
        }
        if rfc822 || is("text") || is("multipart") {
            self.out.raw(b" ").number(part.lines);
        }
        self.leaf_extension(part);
        self.out.raw(b")");
    }

    /// RFC 9051 §9 `body-fields`.
    fn fields(&mut self, part: &PartInfo) {
        params(self.out, &part.params);
        self.out.raw(b" ").nstring(part.id.as_deref());
        self.out.raw(b" ").nstring(part.description.as_deref());
        self.out.raw(b" ").string(&part.encoding);
        self.out.raw(b" ").number(part.body.octets);
    }

    fn leaf_extension(&mut self, part: &PartInfo) {
        if self.extended {
            self.out.raw(b" ").nstring(part.md5.as_deref());
            self.extension(part);
        }
    }

    fn extension(&mut self, part: &PartInfo) {
        self.out.raw(b" ");
        match &part.disposition {
            Some((kind, parameters)) => {
                self.out.raw(b"(").string(kind).raw(b" ");
                params(self.out, parameters);
                self.out.raw(b")");
            }
            None => {
                self.out.raw(b"NIL");
            }
        }
        self.out.raw(b" ");
        match &part.language[..] {
            [] => {
                self.out.raw(b"NIL");
            }
            [one] => {
                self.out.string(one);
            }
            several => {
                for (i, language) in several.iter().enumerate() {
                    self.out.raw(if i == 0 { b"(" } else { b" " }).string(language);
                }
                self.out.raw(b")");
            }
        }
        self.out.raw(b" ").nstring(part.location.as_deref());
    }

    /// An empty text, where the grammar wants a body and there is none.
    fn nothing(&mut self) {
        self.out.raw(b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0");
        if self.extended {
            self.out.raw(b" NIL NIL NIL NIL");
        }
        self.out.raw(b")");
    }

    fn skip_children(&mut self, part: &PartInfo) {
        let mut left = super::section::child_count(part);
        while left > 0 {
            let Some(child) = self.parts.get(self.next) else { return };
            self.next += 1;
            left = left - 1 + super::section::child_count(child);
        }
    }
}

fn params(out: &mut Out, params: &Params) {
    if params.is_empty() {
        out.raw(b"NIL");
        return;
    }
    for (i, (name, value)) in params.iter().enumerate() {
        out.raw(if i == 0 { b"(" } else { b" " }).string(name).raw(b" ").string(value);
    }
    out.raw(b")");
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_message::summary::Extent;

    fn leaf(media_type: &str, subtype: &str) -> PartInfo {
        PartInfo {
            kind: PartKind::Leaf,
            header: Extent { offset: 0, octets: 0 },
            body: Extent { offset: 0, octets: 12 },
            lines: 1,
            media_type: media_type.into(),
            subtype: subtype.into(),
            params: Vec::new(),
            id: None,
            description: None,
            encoding: "7BIT".into(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
        }
    }

    fn shown(parts: Vec<PartInfo>, extended: bool) -> String {
        let mut out = Out::default();
        let summary = Summary {
            overview: Overview::default(),
            parts,
            preview: String::new(),
            has_attachment: false,
        };
        body(&mut out, &summary, extended, false);
        String::from_utf8_lossy(out.waiting()).into_owned()
    }

    #[test]
    fn one_part() {
        let mut text = leaf("TEXT", "PLAIN");
        text.params = vec![(b"CHARSET".to_vec(), b"US-ASCII".to_vec())];
        text.body.octets = 2279;
        text.lines = 48;
        assert_eq!(
            shown(vec![text], false), // RFC 3501 §7.4.2
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 2279 48)"#
        );
        assert_eq!(
            shown(vec![leaf("image", "png")], true),
            r#"("image" "png" NIL NIL NIL "7BIT" 12 NIL NIL NIL NIL)"#
        );
    }

    #[test]
    fn broken_trees_stay_within_the_grammar() {
        let empty =
            PartInfo { kind: PartKind::Multipart { children: 0 }, ..leaf("multipart", "mixed") };
        assert_eq!(
            shown(vec![empty], false),
            r#"(("text" "plain" NIL NIL NIL "7bit" 0 0) "mixed")"#
        );
        assert_eq!(
            shown(vec![leaf("multipart", "mixed")], false),
            r#"("text" "plain" NIL NIL NIL "7BIT" 12 1)"#
        );
        let liar =
            PartInfo { kind: PartKind::Multipart { children: 2 }, ..leaf("multipart", "mixed") };
        assert_eq!(
            shown(vec![liar, leaf("a", "b")], false),
            r#"(("a" "b" NIL NIL NIL "7BIT" 12)("text" "plain" NIL NIL NIL "7bit" 0 0) "mixed")"#
        );
        assert_eq!(
            shown(vec![leaf("message", "rfc822")], false),
            "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 12 \
             (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) 1)"
        );
    }

    #[test]
    fn depth_is_bounded() {
        let nested =
            PartInfo { kind: PartKind::Multipart { children: 1 }, ..leaf("multipart", "mixed") };
        let shown = shown(vec![nested; 100_000], false);
        assert!(shown.starts_with("((((") && shown.len() < 10_000);
    }
}
