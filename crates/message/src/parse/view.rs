//! Which parts a reader shows, which are attachments, and what there is to search and preview.

use std::borrow::Cow;

use super::{Body, Message, Part, PartId, html};
use crate::Summary;
use crate::summary::{PartInfo, PartKind};

/// The body of a text part is read up to this many octets for a preview.
const PREVIEW_OCTETS: usize = 16 * 1024;

/// What RFC 8621 §4.1.4 makes of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// What to show, plain text preferred.
    pub text: Vec<PartId>,
    /// What to show, HTML preferred.
    pub html: Vec<PartId>,
    /// The rest: what to offer beside it.
    pub attachments: Vec<PartId>,
}

impl Message<'_> {
    /// The three lists of RFC 8621 §4.1.4 at once.
    pub fn view(&self) -> View {
        View::of(self, PartId::ROOT)
    }

    /// The parts to show, plain text preferred: `textBody` of RFC 8621 §4.1.4.
    pub fn text_body(&self) -> Vec<PartId> {
        self.view().text
    }

    /// The parts to show, HTML preferred: `htmlBody` of RFC 8621 §4.1.4.
    pub fn html_body(&self) -> Vec<PartId> {
        self.view().html
    }

    /// What is offered beside the body: `attachments` of RFC 8621 §4.1.4.
    pub fn attachments(&self) -> Vec<PartId> {
        self.view().attachments
    }

    /// All words of the message worth finding: decoded subject, addresses, text of every text
    /// part (HTML turned into text), attachment file names; at most `limit` octets.
    ///
    /// Messages that are enclosed in base64 are opened too, but none inside those.
    pub fn searchable_text(&self, limit: usize) -> String {
        self.words(limit, true)
    }

    fn words(&self, limit: usize, open_encoded: bool) -> String {
        let mut out = String::new();
        for (i, part) in self.parts.iter().enumerate() {
            if out.len() >= limit {
                break;
            }
            if part.header("From").is_some() || part.header("Subject").is_some() {
                push_header_words(part, &mut out);
            }
            if let Some(name) = part.file_name() {
                push_line(&mut out, &name);
            }
            if part.content != Body::Leaf {
                continue;
            }
            if part.is_message() && open_encoded {
                let inner = self.decoded(PartId(i as u32));
                let left = limit - out.len().min(limit);
                push_line(&mut out, &Message::parse(&inner).words(left, false));
            }
            if part.media_type == "text" {
                let text = self.leading_text(PartId(i as u32), limit - out.len().min(limit));
                push_line(&mut out, &text);
            }
        }
        truncate(&mut out, limit);
        out
    }

    /// The first readable text with white space collapsed, at most `limit` characters: RFC 8970
    /// §3.1 has 256. Reads no more than the first 16 KB of a body.
    pub fn preview(&self, limit: usize) -> String {
        let View { text, html, .. } = self.view();
        let mut candidates = text.into_iter().chain(html).filter(|id| {
            let part = self.part(*id);
            part.media_type == "text"
        });
        let preview = candidates.find_map(|id| {
            let text = self.leading_text(id, PREVIEW_OCTETS);
            let mut out = String::new();
            for word in text.split(is_blank).filter(|word| !word.is_empty()) {
                if !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(word);
                if out.len() > 4 * limit {
                    break;
                }
            }
            (!out.is_empty()).then_some(out)
        });
        preview.map(|text| text.chars().take(limit).collect()).unwrap_or_default()
    }

    /// The text of a text part up to about `octets` octets, without decoding the rest; of HTML the
    /// words only.
    fn leading_text(&self, id: PartId, octets: usize) -> String {
        let part = self.part(id);
        let body = &self.raw[part.body.clone()];
        // Quoted-printable takes three octets for one, UTF-7 and ISO-2022 less.
        let cut = &body[..body.len().min(octets.saturating_mul(3).saturating_add(64))];
        let label = part.charset();
        let decoded = part.encoding.decode(cut);
        let mut text =
            super::charset::decode(&decoded, label.as_deref().map(str::as_bytes)).into_owned();
        if cut.len() < body.len() && text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.pop(); // Cut inside a character.
        }
        if part.subtype == "html" {
            return html::to_text(&text, octets);
        }
        truncate(&mut text, octets);
        text
    }
}

impl Summary {
    /// The three lists of RFC 8621 §4.1.4 for the message whose root is that part: [`PartId::ROOT`], or
    /// what is in an enclosed message. The same as [`Message::view`] of its octets.
    pub fn view(&self, root: PartId) -> View {
        View::of(&Stored { parts: &self.parts, children: self.children() }, root)
    }

    /// The parts in each part, by its index: those of a multipart, or the root of an enclosed message.
    pub fn children(&self) -> Vec<Vec<PartId>> {
        let mut children = vec![Vec::new(); self.parts.len()];
        // Parts whose children have not all come.
        let mut open: Vec<(usize, u32)> = Vec::new();
        for (i, part) in self.parts.iter().enumerate() {
            open.retain(|(_, left)| *left > 0);
            if let Some((parent, left)) = open.last_mut() {
                *left -= 1;
                children[*parent].push(PartId(i as u32));
            }
            open.push((
                i,
                match part.kind {
                    PartKind::Leaf => 0,
                    PartKind::Multipart { children } => children,
                    PartKind::Message { .. } => 1,
                },
            ));
        }
        children
    }
}

/// What the lists are made of, wherever it is known from.
trait Tree {
    /// The parts of a multipart; `None` for anything else.
    fn multipart(&self, id: PartId) -> Option<Cow<'_, [PartId]>>;
    /// In lower case.
    fn media_type(&self, id: PartId) -> (Cow<'_, str>, Cow<'_, str>);
    /// Not composite.
    fn is_leaf(&self, id: PartId) -> bool;
    /// Its disposition says so.
    fn is_attachment(&self, id: PartId) -> bool;
    fn has_name(&self, id: PartId) -> bool;
}

impl Tree for Message<'_> {
    fn multipart(&self, id: PartId) -> Option<Cow<'_, [PartId]>> {
        match &self.part(id).content {
            Body::Multipart(children) => Some(Cow::Borrowed(children)),
            _ => None,
        }
    }

    fn media_type(&self, id: PartId) -> (Cow<'_, str>, Cow<'_, str>) {
        let part = self.part(id);
        (Cow::Borrowed(&part.media_type), Cow::Borrowed(&part.subtype))
    }

    fn is_leaf(&self, id: PartId) -> bool {
        self.part(id).content == Body::Leaf
    }

    fn is_attachment(&self, id: PartId) -> bool {
        self.part(id).disposition().as_deref() == Some("attachment")
    }

    fn has_name(&self, id: PartId) -> bool {
        self.part(id).file_name().is_some()
    }
}

/// The parts of a summary.
struct Stored<'s> {
    parts: &'s [PartInfo],
    children: Vec<Vec<PartId>>,
}

impl Stored<'_> {
    fn part(&self, id: PartId) -> &PartInfo {
        &self.parts[id.0 as usize]
    }
}

impl Tree for Stored<'_> {
    fn multipart(&self, id: PartId) -> Option<Cow<'_, [PartId]>> {
        let is_multipart = matches!(self.part(id).kind, PartKind::Multipart { .. });
        is_multipart.then(|| Cow::Borrowed(self.children[id.0 as usize].as_slice()))
    }

    fn media_type(&self, id: PartId) -> (Cow<'_, str>, Cow<'_, str>) {
        let part = self.part(id);
        let lower = super::content::lower;
        (lower(&part.media_type), lower(&part.subtype))
    }

    fn is_leaf(&self, id: PartId) -> bool {
        self.part(id).kind == PartKind::Leaf
    }

    fn is_attachment(&self, id: PartId) -> bool {
        self.part(id).disposition.as_ref().is_some_and(|(word, _)| word == b"attachment")
    }

    fn has_name(&self, id: PartId) -> bool {
        self.part(id).file_name().is_some()
    }
}

fn push_header_words(part: &Part<'_>, out: &mut String) {
    for header in &part.headers {
        if header.is("Subject") {
            push_line(out, &header.text());
            continue;
        }
        let fields = ["From", "To", "Cc", "Bcc", "Reply-To", "Sender"];
        if !fields.iter().any(|name| header.is(name)) {
            continue;
        }
        for item in super::addresses::parse(header.value) {
            match item {
                super::AddressItem::Mailbox { name, local_part, domain } => {
                    push_line(out, name.as_deref().unwrap_or_default());
                    push_line(out, &format!("{local_part}@{domain}"));
                }
                super::AddressItem::GroupStart(name) => push_line(out, &name),
                super::AddressItem::GroupEnd => {}
            }
        }
    }
}

fn push_line(out: &mut String, text: &str) {
    if !text.is_empty() && text != "@" {
        out.push_str(text);
        out.push('\n');
    }
}

/// Cuts at most `limit` octets, at a character.
fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

/// Where the parts being added stand.
struct Within<'t> {
    /// Subtype of the multipart.
    multipart: Cow<'t, str>,
    /// A `multipart/alternative` is somewhere above.
    alternative: bool,
    /// Whether parts still count towards each list.
    text: bool,
    html: bool,
}

impl View {
    fn of(tree: &impl Tree, root: PartId) -> View {
        let mut view = View::default();
        let within =
            Within { multipart: "mixed".into(), alternative: false, text: true, html: true };
        view.add(tree, &[root], within);
        view
    }

    /// RFC 8621 §4.1.4, its suggested algorithm. Recurses no deeper than [`super::MAX_DEPTH`].
    fn add(&mut self, tree: &impl Tree, ids: &[PartId], mut within: Within<'_>) {
        let (text_before, html_before) = (self.text.len(), self.html.len());
        for (i, &id) in ids.iter().enumerate() {
            let (media_type, subtype) = tree.media_type(id);
            if let Some(children) = tree.multipart(id) {
                let alternative = within.alternative || subtype == "alternative";
                let Within { text, html, .. } = within;
                let inner = Within { multipart: subtype, alternative, text, html };
                self.add(tree, &children, inner);
                continue;
            }
            let media = matches!(&*media_type, "image" | "audio" | "video");
            let plain = media_type == "text" && subtype == "plain";
            let html = media_type == "text" && subtype == "html";
            let inline = (media || plain || html)
                && tree.is_leaf(id)
                && !tree.is_attachment(id)
                && (i == 0 || within.multipart != "related" && (media || !tree.has_name(id)));
            if !inline {
                self.attachments.push(id);
            } else if within.multipart == "alternative" {
                match (plain, html) {
                    (true, _) => self.text.extend(within.text.then_some(id)),
                    (_, true) => self.html.extend(within.html.then_some(id)),
                    _ => self.attachments.push(id),
                }
            } else {
                if within.alternative {
                    within.html &= !plain;
                    within.text &= !html;
                }
                self.text.extend(within.text.then_some(id));
                self.html.extend(within.html.then_some(id));
                if media && !(within.text && within.html) {
                    self.attachments.push(id);
                }
            }
        }
        if within.multipart == "alternative" && within.text && within.html {
            if self.text.len() == text_before {
                self.text.extend_from_slice(&self.html[html_before..]);
            } else if self.html.len() == html_before {
                self.html.extend_from_slice(&self.text[text_before..]);
            }
        }
    }
}
