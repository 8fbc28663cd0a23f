//! APPEND (RFC 9051 §6.3.12) with APPENDUID, several messages at once (RFC 3502), literal8 (RFC 3516
//! §4.4), UTF8 (RFC 6855 §4) and messages in pieces ([`super::catenate`]); REPLACE (RFC 8508), which is
//! APPEND and EXPUNGE in one.
//!
//! A message goes from the socket into a spool: a large one is never whole on the heap. What can
//! be refused is refused before it is sent, when the client waits to be asked for it. All messages
//! of a command are added in one transaction, or none.

use jiff::Timestamp;
use waxwing_message::{Message, Summary};
use waxwing_store::{
    Appended, FlagMask, MailboxId, NewMessage, Spool, SpoolWriter, StoreError, Uid,
};

use super::store::to_flags;
use super::{catenate, expunge, uid_required};
use crate::access::{self, Act};
use crate::connection::{Connection, Lost};
use crate::limit;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::command::{AppendHead, MessageHead};
use crate::wire::frame::{LiteralMark, literal_mark};
use crate::wire::out::set_text;
use crate::wire::parse;
use crate::wire::parse_append::{self, Replaced};

/// What stands between two messages, or behind the last, is not longer than this.
const MAX_TAIL_OCTETS: usize = 20 * 1024;
/// Messages up to this size are parsed where they are; larger ones off the async threads.
const PARSE_HERE_OCTETS: usize = 64 * 1024;

/// The command, whose beginning is at the front of the input: up to the mark of a literal that is a
/// message or a piece of one, or, with CATENATE, all of it. Writes its own tagged response.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    beginning: Beginning,
) -> Result<(), Lost> {
    let text = connection.input()[..beginning.text].to_vec();
    connection.consume(beginning.next);
    let tag = parse::tag_of(&text).unwrap_or_else(|| "*".into());
    let head = parse_append::append_head(&text);
    let mut line = Line { text, at: 0, mark: beginning.mark };
    let done = match head {
        Ok(Some(head)) => append(connection, session, &mut line, head).await,
        Ok(None) => Err(Fail::bad("A message is missing")),
        Err(bad) => Err(bad.why.into()),
    };
    let tagged = match done {
        Ok(tagged) => tagged,
        Err(Fail::Refused(tagged)) => {
            pass_over(connection, session, line.mark).await?;
            tagged
        }
        Err(Fail::Lost(lost)) => return Err(lost),
    };
    if let Err(Fail::Lost(lost)) = news::tell(connection, session, true).await {
        return Err(lost);
    }
    tagged.write(&mut connection.out, &tag);
    Ok(())
}

/// Where the command's first line, with the literals that are not messages, ends in the input.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    /// Without its line end.
    pub text: usize,
    /// With it.
    pub next: usize,
    /// The literal that it ends with, if it does.
    pub mark: Option<LiteralMark>,
}

/// The line of the command that is being read.
pub struct Line {
    text: Vec<u8>,
    /// What stands before was read.
    at: usize,
    /// The literal behind it, until it is taken.
    pub mark: Option<LiteralMark>,
}

impl Line {
    /// What was not read.
    pub fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    /// So much more was read.
    pub fn advance(&mut self, octets: usize) {
        self.at += octets;
    }

    /// The literal behind the line, whose octets are asked for, if the client waits for that.
    pub fn take_literal(&mut self, connection: &mut Connection<'_>) -> Result<LiteralMark, Fail> {
        let mark = self.mark.take().ok_or_else(|| Fail::bad("A literal is missing"))?;
        if mark.synchronizing {
            connection.out.raw("+ Send it\r\n");
        }
        Ok(mark)
    }

    /// Reads the next line of the command, behind a literal.
    pub async fn read_next(
        &mut self,
        connection: &mut Connection<'_>,
        session: &Session,
    ) -> Result<(), Lost> {
        let tail = connection.line(MAX_TAIL_OCTETS, session.deadline()).await?;
        let Some(tail) = tail else {
            connection.out.raw("* BYE [TOOBIG] That command is too long\r\n");
            let _ = connection.flush().await;
            return Err(Lost::Gone);
        };
        let mark = literal_mark(&tail, 0);
        *self = Line { text: tail, at: 0, mark };
        Ok(())
    }
}

/// Where messages go, and which one they are for.
struct Destination {
    mailbox: MailboxId,
    /// The flags that its messages may have of this client.
    alterable: FlagMask,
    replaces: Option<(MailboxId, Uid)>,
}

/// On failure, the line keeps the mark of the literal that was not taken.
async fn append(
    connection: &mut Connection<'_>,
    session: &mut Session,
    line: &mut Line,
    head: AppendHead,
) -> Done {
    news::rights(connection, session).await?;
    let to = destination(session, &head).await?;
    let mut messages = Vec::new();
    let mut next = Some(head.message);
    while let Some(head) = next {
        may_come(session, line.mark, &head, &to, messages.len())?;
        let spool = match &head.pieces {
            Some(pieces) => catenate::assemble(connection, session, line, pieces.clone()).await?,
            None => {
                let mark = line.take_literal(connection)?;
                let mut writer = Ok(session.store.spool());
                receive(connection, session, mark, &mut writer).await?;
                line.read_next(connection, session).await?;
                writer?.finish()?
            }
        };
        messages.push(kept(session, spool, &head, to.alterable).await?);
        next = parse_append::after_message(line.rest(), head.utf8)?;
    }
    match to.replaces {
        Some(old) => replace(connection, session, old, to.mailbox, messages).await,
        None => {
            let appended = session.store.append(to.mailbox, messages).await?;
            Ok(Tagged::ok("Appended").with(append_uid(&appended)))
        }
    }
}

/// RFC 4315 §3, RFC 3502: UIDs of one transaction ascend.
fn append_uid(appended: &[Appended]) -> String {
    let validity = appended.first().map_or(0, |first| first.uid_validity);
    format!("APPENDUID {validity} {}", set_text(appended.iter().map(|at| at.uid.0)))
}

/// RFC 8508 §4.3: the APPENDUID comes before the EXPUNGE, which is written with the news.
async fn replace(
    connection: &mut Connection<'_>,
    session: &mut Session,
    (from, uid): (MailboxId, Uid),
    to: MailboxId,
    messages: Vec<NewMessage>,
) -> Done {
    let gone = || Fail::no("EXPUNGEISSUED", "The message to be replaced is gone");
    let message = messages.into_iter().next().ok_or_else(gone)?;
    let appended = session.store.replace(from, uid, to, message).await?.ok_or_else(gone)?;
    connection.out.raw("* OK [").raw(append_uid(&[appended])).raw("] The new message is there\r\n");
    Ok(expunge::with_modseq(session, Tagged::ok("Replaced"), Some(appended.modseq)))
}

/// Where the command's messages go.
async fn destination(session: &mut Session, head: &AppendHead) -> Result<Destination, Fail> {
    let replaces = match head.replaces {
        Some(replaced) => Some(to_replace(session, replaced)?),
        None => None,
    };
    let place = access::target(session, &head.mailbox).await?;
    let alterable = access::alterable(place.rights);
    Ok(Destination { mailbox: place.mailbox.id, alterable, replaces })
}

fn to_replace(session: &mut Session, replaced: Replaced) -> Result<(MailboxId, Uid), Fail> {
    if session.enabled.uid_only && matches!(replaced, Replaced::Number(_)) {
        return Err(uid_required());
    }
    let selected = session.selected_for(Act::TakeOut)?;
    let view = &selected.view;
    let place = match replaced {
        Replaced::Number(number) => number.checked_sub(1),
        Replaced::Uid(uid) => view.place_of(Uid(uid)),
    };
    match place.and_then(|place| view.row(place)) {
        Some(row) => Ok((selected.mailbox, row.uid())),
        None if matches!(replaced, Replaced::Number(_)) => {
            Err(Fail::bad("There is no message of that number"))
        }
        None => Err(Fail::no("", "There is no message of that UID")),
    }
}

/// Whether a message may be sent, as far as that is known before.
fn may_come(
    session: &Session,
    mark: Option<LiteralMark>,
    head: &MessageHead,
    to: &Destination,
    before: usize,
) -> Result<(), Fail> {
    if let Some(mark) = mark.filter(|_| head.pieces.is_none()) {
        if mark.octets > session.settings.max_message_octets {
            return Err(Fail::no("TOOBIG", "That message is too large")); // RFC 7889 §5
        }
        if mark.octets == 0 {
            return Err(Fail::no("CANNOT", "That message is empty")); // RFC 3502: cancels all
        }
    }
    if head.utf8 && !session.enabled.reads_utf8() {
        return Err(Fail::bad("ENABLE UTF8=ACCEPT first")); // RFC 6855 §4
    }
    if to.replaces.is_some() && before == 1 {
        return Err(Fail::bad("REPLACE takes one message")); // RFC 8508 §4.7
    }
    let limit = session.settings.message_limit.unwrap_or(limit::LEAST);
    if before == limit as usize {
        return Err(limit::refuse(limit)); // RFC 9738 §3.1: all or nothing
    }
    Ok(())
}

/// Takes a literal's octets, which come whether they can be kept or not.
pub async fn receive(
    connection: &mut Connection<'_>,
    session: &Session,
    mark: LiteralMark,
    writer: &mut Result<SpoolWriter, StoreError>,
) -> Result<(), Lost> {
    let mut left = mark.octets;
    while left > 0 {
        if connection.input().is_empty() {
            connection.fill(session.deadline()).await?;
        }
        let piece = first(connection.input(), left);
        let octets = piece.len();
        if let Ok(spool) = writer
            && let Err(error) = spool.write(piece)
        {
            *writer = Err(error); // the rest is still the message, and not commands
        }
        connection.consume(octets);
        left -= octets as u64;
    }
    Ok(())
}

/// A message that was received, staged in the store.
async fn kept(
    session: &Session,
    spool: Spool,
    head: &MessageHead,
    alterable: FlagMask,
) -> Result<NewMessage, Fail> {
    let blob = session.store.stage(Vec::new(), &spool, 0).await?;
    let summary = summarize(spool).await?;
    let received_at = head.received_at.unwrap_or_else(Timestamp::now);
    // RFC 4314 §4: flags that may not be set are left out, and nothing is said of it.
    let flags = alterable.of(to_flags(&head.flags));
    Ok(NewMessage { blob, summary, received_at, flags, journey: None })
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

/// Passes over the messages that are not wanted, as far as they are on their way all the same.
async fn pass_over(
    connection: &mut Connection<'_>,
    session: &Session,
    mark: Option<LiteralMark>,
) -> Result<(), Lost> {
    let mut patience = session.settings.max_message_octets.saturating_mul(2);
    let mut next = mark;
    while let Some(mark) = next.filter(|mark| !mark.synchronizing) {
        if mark.octets > patience {
            connection.out.raw("* BYE [TOOBIG] Nobody wants to wait for that\r\n");
            let _ = connection.flush().await;
            return Err(Lost::Gone);
        }
        patience -= mark.octets;
        let mut left = mark.octets;
        while left > 0 {
            if connection.input().is_empty() {
                connection.fill(session.deadline()).await?;
            }
            let octets = first(connection.input(), left).len();
            connection.consume(octets);
            left -= octets as u64;
        }
        let tail = connection.line(MAX_TAIL_OCTETS, session.deadline()).await?;
        next = tail.and_then(|tail| literal_mark(&tail, 0));
    }
    Ok(())
}
