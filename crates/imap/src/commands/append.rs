//! APPEND (RFC 9051 §6.3.12) with APPENDUID, literal8 (RFC 3516 §4.4) and UTF8 (RFC 6855 §4).
//!
//! The message goes from the socket into a spool: a large one is never whole on the heap. What can
//! be refused is refused before it is sent, when the client waits to be asked for it.

use jiff::Timestamp;
use waxwing_message::{Message, Summary};
use waxwing_store::{MailboxId, NewMessage, Spool};

use super::mailbox_name;
use super::store::to_flags;
use crate::connection::{Connection, Lost};
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::command::AppendHead;
use crate::wire::frame::LiteralMark;
use crate::wire::parse;

/// What follows the message is not longer than this.
const MAX_TAIL_OCTETS: usize = 256;
/// Messages up to this size are parsed where they are; larger ones off the async threads.
const PARSE_HERE_OCTETS: usize = 64 * 1024;

/// The command, whose beginning, up to the message's literal mark, is at the front of the input.
/// Writes its own tagged response.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    mark: LiteralMark,
) -> Result<(), Lost> {
    let text = &connection.input()[..mark.data_at];
    let tag = parse::tag_of(text).unwrap_or_else(|| "*".into());
    let head = parse::append_head(text);
    connection.consume(mark.data_at);
    let done = match head {
        Ok(Some(head)) => append(connection, session, mark, head).await,
        Ok(None) => refuse(connection, session, mark, Fail::bad("A message is missing")).await,
        Err(bad) => refuse(connection, session, mark, bad.why.into()).await,
    };
    let tagged = match done {
        Ok(tagged) | Err(Fail::Refused(tagged)) => tagged,
        Err(Fail::Lost(lost)) => return Err(lost),
    };
    if let Err(Fail::Lost(lost)) = news::tell(connection, session, true).await {
        return Err(lost);
    }
    tagged.write(&mut connection.out, &tag);
    Ok(())
}

async fn append(
    connection: &mut Connection<'_>,
    session: &mut Session,
    mark: LiteralMark,
    head: AppendHead,
) -> Done {
    let mailbox = match destination(session, mark, &head).await {
        Ok(mailbox) => mailbox,
        Err(fail) => return refuse(connection, session, mark, fail).await,
    };
    if mark.synchronizing {
        connection.out.raw("+ Send the message\r\n");
    }
    let spool = receive(connection, session, mark, head.utf8).await?;
    let blob = session.store.stage(Vec::new(), &spool, 0).await?;
    let summary = summarize(spool).await?;
    let received_at = head.received_at.unwrap_or_else(Timestamp::now);
    let flags = to_flags(&head.flags);
    let message = NewMessage { blob, summary, received_at, flags, journey: None };
    let appended = session.store.append(mailbox, vec![message]).await?;
    let tagged = Tagged::ok("Appended");
    Ok(match appended.first() {
        Some(at) => tagged.with(format!("APPENDUID {} {}", at.uid_validity, at.uid.0)),
        None => tagged,
    })
}

/// Where the message goes, and whether it may.
async fn destination(
    session: &Session,
    mark: LiteralMark,
    head: &AppendHead,
) -> Result<MailboxId, Fail> {
    let account = session.account()?;
    if mark.octets > session.settings.max_message_octets {
        return Err(Fail::no("TOOBIG", "That message is too large")); // RFC 7889 §5
    }
    if mark.octets == 0 {
        return Err(Fail::no("CANNOT", "That message is empty"));
    }
    if head.utf8 && !session.enabled.reads_utf8() {
        return Err(Fail::bad("ENABLE UTF8=ACCEPT first")); // RFC 6855 §4
    }
    let name = mailbox_name(session, &head.mailbox)?;
    let mailbox = session.store.mailbox_by_name(account, &name).await?;
    mailbox.map(|mailbox| mailbox.id).ok_or_else(|| Fail::no("TRYCREATE", "No such mailbox"))
}

/// The message, and the line's end after it.
async fn receive(
    connection: &mut Connection<'_>,
    session: &Session,
    mark: LiteralMark,
    utf8: bool,
) -> Result<Spool, Fail> {
    let mut writer = Some(session.store.spool());
    let mut trouble = None;
    let mut left = mark.octets;
    while left > 0 {
        if connection.input().is_empty() {
            connection.fill(session.deadline()).await?;
        }
        let piece = first(connection.input(), left);
        let octets = piece.len();
        if let Some(spool) = &mut writer
            && let Err(error) = spool.write(piece)
        {
            // The rest is still the message, and not commands.
            trouble = Some(error);
            writer = None;
        }
        connection.consume(octets);
        left -= octets as u64;
    }
    let tail = connection.line(MAX_TAIL_OCTETS, session.deadline()).await?;
    if let Some(error) = trouble {
        return Err(error.into());
    }
    let expected: &[u8] = if utf8 { b")" } else { b"" };
    match tail {
        Some(tail) if tail == expected => {}
        _ => return Err(Fail::bad("One message, and nothing after it")),
    }
    let writer = writer.ok_or_else(|| Fail::no("UNAVAILABLE", "The message was not kept"))?;
    Ok(writer.finish()?)
}

fn first(input: &[u8], octets: u64) -> &[u8] {
    &input[..input.len().min(usize::try_from(octets).unwrap_or(usize::MAX))]
}

async fn summarize(spool: Spool) -> Result<Summary, Fail> {
    let small = spool.as_bytes().len() <= PARSE_HERE_OCTETS;
    let parse = move || Summary::of(&Message::parse(spool.as_bytes()));
    if small {
        return Ok(parse());
    }
    tokio::task::spawn_blocking(parse).await.map_err(|error| {
        tracing::error!(%error, "parsing an appended message failed");
        Fail::no("SERVERBUG", "The message could not be read")
    })
}

/// Passes over a message that is not wanted, if it is on its way all the same, and refuses.
async fn refuse(
    connection: &mut Connection<'_>,
    session: &Session,
    mark: LiteralMark,
    fail: Fail,
) -> Done {
    if mark.synchronizing {
        return Err(fail);
    }
    if mark.octets > session.settings.max_message_octets.saturating_mul(2) {
        connection.out.raw("* BYE [TOOBIG] Nobody wants to wait for that\r\n");
        let _ = connection.flush().await;
        return Err(Fail::Lost(Lost::Gone));
    }
    let mut left = mark.octets;
    while left > 0 {
        if connection.input().is_empty() {
            connection.fill(session.deadline()).await?;
        }
        let octets = first(connection.input(), left).len();
        connection.consume(octets);
        left -= octets as u64;
    }
    let _rest_of_line = connection.line(MAX_TAIL_OCTETS, session.deadline()).await?;
    Err(fail)
}
