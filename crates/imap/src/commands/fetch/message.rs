//! The FETCH response of one message.

use waxwing_message::Summary;
use waxwing_message::summary::{Extent, Overview, PartInfo};
use waxwing_store::{Content, Entry, ObjectId as _, Row, ThreadId};

use super::body;
use crate::connection::Connection;
use crate::news;
use crate::reply::Fail;
use crate::selected::View;
use crate::session::Enabled;
use crate::wire::command::{FetchItem, Partial, Section, SectionText};
use crate::wire::out::Out;
use crate::wire::section;
use crate::wire::structure;
use crate::wire::transfer::Decoder;

/// What is at hand of it: what the items need has been brought.
pub struct Message<'a> {
    pub view: &'a View,
    pub place: u32,
    pub enabled: Enabled,
    pub overview: Option<&'a Overview<&'a [u8]>>,
    pub summary: Option<&'a Summary>,
    pub content: Option<&'a Content>,
    pub entry: Option<&'a Entry>,
    pub thread: Option<ThreadId>,
    /// This FETCH has set \Seen, which the client must hear of.
    pub newly_seen: bool,
}

/// Why a message has no response.
pub enum Unwritten {
    /// Nothing was written of it.
    UnknownEncoding,
    /// The command is over.
    Fail(Fail),
}

impl<E: Into<Fail>> From<E> for Unwritten {
    fn from(error: E) -> Unwritten {
        Unwritten::Fail(error.into())
    }
}

impl Message<'_> {
    /// Writes `* n FETCH (…)`.
    pub async fn write(
        &self,
        connection: &mut Connection<'_>,
        items: &[FetchItem],
    ) -> Result<(), Unwritten> {
        let Some(row) = self.view.row(self.place) else { return Ok(()) };
        if items.iter().any(|item| self.has_unknown_encoding(item)) {
            return Err(Unwritten::UnknownEncoding);
        }
        news::fetch_head(&mut connection.out, row.uid(), self.place, self.enabled);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                connection.out.raw(" ");
            }
            if !self.ready_item(&mut connection.out, row, item) {
                self.content_item(connection, item).await?;
            }
        }
        if self.newly_seen {
            self.news_of_seen(&mut connection.out, row, items);
        }
        connection.out.raw(")\r\n");
        Ok(())
    }

    fn news_of_seen(&self, out: &mut Out, row: &Row, items: &[FetchItem]) {
        if !items.contains(&FetchItem::Flags) {
            out.raw(" FLAGS ").flags_of(row.system(), self.view.keywords(row));
        }
        if self.enabled.condstore && !items.contains(&FetchItem::ModSeq) {
            out.raw(" MODSEQ (").number(row.modseq().0).raw(")");
        }
    }

    /// Items that need no content. Gives whether it was one.
    fn ready_item(&self, out: &mut Out, row: &Row, item: &FetchItem) -> bool {
        if let (FetchItem::Envelope, Some(overview)) = (item, self.overview) {
            out.raw("ENVELOPE ");
            structure::envelope(out, overview);
            return true;
        }
        match (item, self.summary) {
            (FetchItem::Flags, _) => {
                out.raw("FLAGS ").flags_of(row.system(), self.view.keywords(row));
            }
            (FetchItem::Uid, _) => {
                out.raw("UID ").number(row.uid().0);
            }
            (FetchItem::InternalDate, _) => {
                out.raw("INTERNALDATE ").date_time(row.received_secs());
            }
            (FetchItem::Size, _) => {
                out.raw("RFC822.SIZE ").number(row.size_octets());
            }
            (FetchItem::ModSeq, _) => {
                out.raw("MODSEQ (").number(row.modseq().0).raw(")");
            }
            (FetchItem::Body, Some(summary)) => {
                out.raw("BODY ");
                structure::body(out, summary, false, self.enabled.rev2);
            }
            (FetchItem::BodyStructure, Some(summary)) => {
                out.raw("BODYSTRUCTURE ");
                structure::body(out, summary, true, self.enabled.rev2);
            }
            (FetchItem::Preview, Some(summary)) => {
                out.raw("PREVIEW ").string(summary.preview.as_bytes());
            }
            _ => return self.entry_item(out, item),
        }
        true
    }

    /// Items that the view has not kept. Gives whether it was one.
    fn entry_item(&self, out: &mut Out, item: &FetchItem) -> bool {
        match (item, self.entry) {
            (FetchItem::EmailId, Some(entry)) => {
                out.raw("EMAILID (").raw(entry.message.text()).raw(")");
            }
            (FetchItem::ThreadId, Some(_)) => match self.thread {
                Some(thread) => {
                    out.raw("THREADID (").raw(thread.text()).raw(")");
                }
                // RFC 8474 §5.2: gone again, perhaps.
                None => drop(out.raw("THREADID NIL")),
            },
            (FetchItem::SaveDate, Some(entry)) => {
                out.raw("SAVEDATE ").date_time(entry.saved_at.as_second());
            }
            _ => return false,
        }
        true
    }

    async fn content_item(
        &self,
        connection: &mut Connection<'_>,
        item: &FetchItem,
    ) -> Result<(), Fail> {
        let whole = |text| Section { part: Vec::new(), text };
        match item {
            FetchItem::Section { section, partial, .. } => {
                section_name(&mut connection.out, section, *partial);
                self.section(connection, section, *partial).await
            }
            FetchItem::Rfc822 => {
                connection.out.raw("RFC822");
                self.section(connection, &whole(SectionText::Whole), None).await
            }
            FetchItem::Rfc822Header => {
                connection.out.raw("RFC822.HEADER");
                self.section(connection, &whole(SectionText::Header), None).await
            }
            FetchItem::Rfc822Text => {
                connection.out.raw("RFC822.TEXT");
                self.section(connection, &whole(SectionText::Text), None).await
            }
            FetchItem::Binary { part, partial, .. } => {
                connection.out.raw("BINARY[");
                part_numbers(&mut connection.out, part);
                connection.out.raw("]");
                origin(&mut connection.out, *partial);
                self.binary(connection, part, *partial).await
            }
            FetchItem::BinarySize(part) => {
                connection.out.raw("BINARY.SIZE[");
                part_numbers(&mut connection.out, part);
                connection.out.raw("] ");
                self.binary_size(connection, part).await
            }
            _ => Ok(()), // `ready_item` has written it
        }
    }

    fn parts(&self) -> &[PartInfo] {
        self.summary.map_or(&[], |summary| &summary.parts)
    }

    async fn section(
        &self,
        connection: &mut Connection<'_>,
        section: &Section,
        partial: Option<Partial>,
    ) -> Result<(), Fail> {
        connection.out.raw(" ");
        let Some(content) = self.content else { return nil(connection) };
        let size = content.size_octets;
        let whole = section.part.is_empty() && section.text == SectionText::Whole;
        let extent = match whole {
            true => Some(Extent { offset: 0, octets: size }),
            false => section::locate(self.parts(), &section.part, &section.text, size),
        };
        let Some(extent) = extent else { return nil(connection) };
        match &section.text {
            SectionText::HeaderFields(names) => {
                body::header_fields(connection, content, extent, names, false, partial).await
            }
            SectionText::HeaderFieldsNot(names) => {
                body::header_fields(connection, content, extent, names, true, partial).await
            }
            _ => body::octets(connection, content, extent, partial).await,
        }
    }

    /// The extent of a part and how it is encoded; `None`: there is no such part.
    fn encoded(&self, part: &[u32]) -> Option<(Extent, Option<Decoder>)> {
        if part.is_empty() {
            let size = self.content.map_or(0, |content| content.size_octets);
            return Some((Extent { offset: 0, octets: size }, Some(Decoder::Identity)));
        }
        let info = &self.parts()[section::find(self.parts(), part)?];
        let decoder = match section::child_count(info) {
            0 => Decoder::for_encoding(&info.encoding),
            _ => Some(Decoder::Identity), // RFC 2045 §6.4: composite types are not encoded
        };
        Some((info.body, decoder))
    }

    fn has_unknown_encoding(&self, item: &FetchItem) -> bool {
        match item {
            FetchItem::Binary { part, .. } | FetchItem::BinarySize(part) => {
                matches!(self.encoded(part), Some((_, None)))
            }
            _ => false,
        }
    }

    async fn binary(
        &self,
        connection: &mut Connection<'_>,
        part: &[u32],
        partial: Option<Partial>,
    ) -> Result<(), Fail> {
        connection.out.raw(" ");
        match (self.content, self.encoded(part)) {
            (Some(content), Some((extent, Some(decoder)))) => {
                body::decoded(connection, content, extent, decoder, partial).await
            }
            _ => nil(connection),
        }
    }

    async fn binary_size(&self, connection: &mut Connection<'_>, part: &[u32]) -> Result<(), Fail> {
        let octets = match (self.content, self.encoded(part)) {
            (Some(content), Some((extent, Some(decoder)))) => {
                body::decoded_octets(content, extent, decoder).await?
            }
            _ => 0,
        };
        connection.out.number(octets);
        Ok(())
    }
}

fn nil(connection: &mut Connection<'_>) -> Result<(), Fail> {
    connection.out.raw("NIL");
    Ok(())
}

/// `BODY[…]<origin>`, with the section as it was asked for.
fn section_name(out: &mut Out, section: &Section, partial: Option<Partial>) {
    out.raw("BODY[");
    part_numbers(out, &section.part);
    if !section.part.is_empty() && section.text != SectionText::Whole {
        out.raw(".");
    }
    match &section.text {
        SectionText::Whole => {}
        SectionText::Header => {
            out.raw("HEADER");
        }
        SectionText::Text => {
            out.raw("TEXT");
        }
        SectionText::Mime => {
            out.raw("MIME");
        }
        SectionText::HeaderFields(names) => field_names(out.raw("HEADER.FIELDS "), names),
        SectionText::HeaderFieldsNot(names) => field_names(out.raw("HEADER.FIELDS.NOT "), names),
    }
    out.raw("]");
    origin(out, partial);
}

fn field_names(out: &mut Out, names: &[Vec<u8>]) {
    for (i, name) in names.iter().enumerate() {
        out.raw(if i == 0 { "(" } else { " " });
        let atom =
            !name.is_empty() && name.iter().all(|&b| crate::wire::cursor::is_astring_char(b));
        if atom {
            out.raw(name);
        } else {
            out.string(name);
        }
    }
    out.raw(")");
}

fn part_numbers(out: &mut Out, part: &[u32]) {
    for (i, &number) in part.iter().enumerate() {
        if i > 0 {
            out.raw(".");
        }
        out.number(number);
    }
}

fn origin(out: &mut Out, partial: Option<Partial>) {
    if let Some(partial) = partial {
        out.raw("<").number(partial.origin).raw(">");
    }
}
