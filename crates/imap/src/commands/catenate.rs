//! CATENATE (RFC 4469): a message of pieces, some sent, some of messages that are here.
//!
//! The pieces go into one spool in their order. A URL leads to a message of any mailbox that the
//! account may read, by [`crate::wire::url`].

use waxwing_message::summary::Extent;
use waxwing_store::{Content, MailboxId, Spool, SpoolWriter, StoreError, Uid};

use super::append::{Line, receive};
use super::fetch::body;
use crate::access::{self, Act};
use crate::connection::Connection;
use crate::reply::{Fail, Tagged};
use crate::session::Session;
use crate::wire::command::{Section, SectionText};
use crate::wire::parse_append::{self, NextPiece, Pieces};
use crate::wire::section;
use crate::wire::url::{MessageUrl, message_url};

/// A longer URL names nothing.
const MAX_URL_OCTETS: u64 = 8 * 1024;
/// Read at once.
const PIECE_OCTETS: u64 = 64 * 1024;

/// The message, whose first line of pieces was read. Leaves the line that its end stands on.
pub async fn assemble(
    connection: &mut Connection<'_>,
    session: &mut Session,
    line: &mut Line,
    mut pieces: Pieces,
) -> Result<Spool, Fail> {
    let mut writer: Result<SpoolWriter, StoreError> = Ok(session.store.spool());
    loop {
        for url in &pieces.urls {
            add_url(connection, session, url, writer.as_mut().map_err(|e| e.clone())?).await?;
        }
        match pieces.next {
            NextPiece::End { rest } => {
                line.advance(rest);
                break;
            }
            NextPiece::Text => {
                let octets = line.mark.map_or(0, |mark| mark.octets);
                check_size(session, written(&writer), octets)?;
                let mark = line.take_literal(connection)?;
                receive(connection, session, mark, &mut writer).await?;
            }
            NextPiece::Url => {
                let octets = line.mark.map_or(0, |mark| mark.octets);
                if octets > MAX_URL_OCTETS {
                    return Err(Fail::bad("That URL is too long"));
                }
                let mark = line.take_literal(connection)?;
                let mut url = Ok(session.store.spool());
                receive(connection, session, mark, &mut url).await?;
                let url = url?.finish()?;
                line.read_next(connection, session).await?;
                let spool = writer.as_mut().map_err(|e| e.clone())?;
                add_url(connection, session, url.as_bytes(), spool).await?;
                pieces = parse_append::more_pieces(line.rest())?;
                continue;
            }
        }
        line.read_next(connection, session).await?;
        pieces = parse_append::more_pieces(line.rest())?;
    }
    if written(&writer) == 0 {
        return Err(Fail::no("CANNOT", "That message is empty")); // RFC 3502: cancels all
    }
    Ok(writer?.finish()?)
}

fn written<E>(writer: &Result<SpoolWriter, E>) -> u64 {
    writer.as_ref().map_or(0, SpoolWriter::len)
}

/// RFC 4469 §3: TOOBIG, as soon as it is known.
fn check_size(session: &Session, written: u64, more: u64) -> Result<(), Fail> {
    match written.saturating_add(more) > session.settings.max_message_octets {
        true => Err(Fail::no("TOOBIG", "That message is too large")),
        false => Ok(()),
    }
}

/// RFC 4469 §3: BADURL names the URL that cannot be used, as far as a response code can hold it.
fn bad_url(url: &[u8], why: &'static str) -> Fail {
    let kept = url.iter().take(1000).filter(|b| matches!(b, b'!'..=b'~') && **b != b']');
    let url: String = kept.map(|&b| char::from(b)).collect();
    Fail::Refused(Tagged::no("", why).with(format!("BADURL {url}")))
}

async fn add_url(
    connection: &mut Connection<'_>,
    session: &mut Session,
    text: &[u8],
    writer: &mut SpoolWriter,
) -> Result<(), Fail> {
    let url = message_url(text).filter(|_| text.len() as u64 <= MAX_URL_OCTETS);
    let url = url.ok_or_else(|| bad_url(text, "That is not the URL of a message here"))?;
    let none = || bad_url(text, "There is no such message");
    let mailbox = mailbox_of(session, &url).await?.ok_or_else(none)?;
    let uid = Uid(url.uid);
    let content = session.store.content(mailbox, uid).await?.ok_or_else(none)?;
    let size = content.size_octets;
    let whole = Extent { offset: 0, octets: size };
    let Some(section) = &url.section else {
        let (from, octets) = body::cut(size, url.partial);
        let extent = Extent { offset: whole.offset + from, octets };
        return add_octets(connection, session, &content, extent, writer).await;
    };
    let summaries = session.store.summaries(mailbox, &[uid]).await?;
    let (_, summary) = summaries.first().ok_or_else(none)?;
    let extent = section::locate(&summary.parts, &section.part, &section.text, size);
    let extent = extent.ok_or_else(|| bad_url(text, "There is no such part of that message"))?;
    let extent = body::within(&content, extent);
    if let Some(fields) = chosen_fields(section) {
        let header = body::header(&content, extent).await?;
        let fields = section::header_fields(&header, fields.0, fields.1);
        let (from, octets) = body::cut(fields.len() as u64, url.partial);
        check_size(session, writer.len(), octets)?;
        return Ok(writer.write(&fields[from as usize..(from + octets) as usize])?);
    }
    let (from, octets) = body::cut(extent.octets, url.partial);
    let extent = Extent { offset: extent.offset + from, octets };
    add_octets(connection, session, &content, extent, writer).await
}

/// The fields that are asked for, and whether they are those that are not.
fn chosen_fields(section: &Section) -> Option<(&[Vec<u8>], bool)> {
    match &section.text {
        SectionText::HeaderFields(names) => Some((names, false)),
        SectionText::HeaderFieldsNot(names) => Some((names, true)),
        _ => None,
    }
}

/// The mailbox, if the account may read it and it is the one that the URL means.
async fn mailbox_of(session: &mut Session, url: &MessageUrl) -> Result<Option<MailboxId>, Fail> {
    let Some(name) = &url.mailbox else {
        return Ok(session.selected().ok().map(|selected| selected.mailbox));
    };
    let place = access::find_named(session, name).await?;
    let place = place.filter(|place| {
        let validity = url.uid_validity.is_none_or(|is| is == place.mailbox.uid_validity);
        validity && access::allows(place.rights, Act::Read)
    });
    Ok(place.map(|place| place.mailbox.id))
}

async fn add_octets(
    connection: &mut Connection<'_>,
    session: &Session,
    content: &Content,
    extent: Extent,
    writer: &mut SpoolWriter,
) -> Result<(), Fail> {
    check_size(session, writer.len(), extent.octets)?;
    let (mut at, mut left) = (extent.offset, extent.octets);
    while left > 0 {
        let piece = content.read(at, left.min(PIECE_OCTETS)).await?;
        if piece.is_empty() {
            return Err(Fail::no("CONTACTADMIN", "Stored mail is damaged"));
        }
        writer.write(&piece)?;
        at += piece.len() as u64;
        left = left.saturating_sub(piece.len() as u64);
        connection.breathe().await?;
    }
    Ok(())
}
