//! What is asked of the large mailbox, one row each.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::letters::{RARE_SUBJECT, RARE_WORD};
use super::session::Session;

/// Messages that are copied and expunged.
const SOME: u32 = 10_000;

/// One question.
pub struct Row {
    pub name: &'static str,
    /// It has a target of its own.
    pub is_body_search: bool,
    pub run: fn(&mut Session, u32) -> Running<'_>,
}

/// How it went; `None` when the server has no such command.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Option<Outcome>>> + 'a>>;

/// One run.
pub struct Outcome {
    pub took: Duration,
    /// Something that all servers must agree on, such as how many were found.
    pub answer: Option<u64>,
}

macro_rules! row {
    ($name:literal, $run:ident) => {
        Row { name: $name, is_body_search: false, run: |s, n| Box::pin($run(s, n)) }
    };
}

/// In the order in which they are run.
pub const ROWS: &[Row] = &[
    row!("SELECT", select),
    row!("FETCH of all envelopes and flags", envelopes),
    row!("FETCH of all bodies", bodies),
    row!("STORE on all", store),
    row!("SEARCH of a header", search_header),
    Row { name: "SEARCH of bodies", is_body_search: true, run: |s, n| Box::pin(search_body(s, n)) },
    row!("SORT by subject", sort),
    row!("SORT by date", sort_date),
    row!("THREAD by references", thread),
    row!("COPY of 10,000", copy),
    row!("EXPUNGE of 10,000", expunge),
    row!("QRESYNC after 100 changes", resync),
];

async fn opened(session: &mut Session) -> Result<()> {
    session.command("SELECT INBOX").await.map(drop)
}

async fn select(session: &mut Session, messages: u32) -> Result<Option<Outcome>> {
    let answer = session.command("SELECT INBOX").await?;
    anyhow::ensure!(answer.text.contains(&format!("* {messages} EXISTS")), "{}", answer.text);
    Ok(Some(Outcome { took: answer.took, answer: None }))
}

async fn envelopes(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    opened(session).await?;
    let asked = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)";
    let answer = session.command(asked).await?;
    Ok(Some(Outcome { took: answer.took, answer: None }))
}

async fn bodies(session: &mut Session, messages: u32) -> Result<Option<Outcome>> {
    opened(session).await?;
    let answer = session.command("FETCH 1:* BODY.PEEK[]").await?;
    anyhow::ensure!(answer.octets > u64::from(messages) * 1024, "bodies are missing");
    Ok(Some(Outcome { took: answer.took, answer: None }))
}

async fn store(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    opened(session).await?;
    let set = session.command("STORE 1:* +FLAGS.SILENT (\\Flagged)").await?;
    let cleared = session.command("STORE 1:* -FLAGS.SILENT (\\Flagged)").await?;
    Ok(Some(Outcome { took: (set.took + cleared.took) / 2, answer: None }))
}

async fn search(session: &mut Session, key: &str) -> Result<Option<Outcome>> {
    opened(session).await?;
    let answer = session.command(&format!("SEARCH {key}")).await?;
    let line =
        answer.text.lines().find(|line| line.starts_with("* SEARCH")).context("no SEARCH")?;
    let hits = line.split(' ').count() as u64 - 2;
    Ok(Some(Outcome { took: answer.took, answer: Some(hits) }))
}

async fn search_header(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    search(session, &format!("SUBJECT {RARE_SUBJECT}")).await
}

async fn search_body(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    search(session, &format!("BODY {RARE_WORD}")).await
}

async fn sort(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    opened(session).await?;
    let answer = session.command("SORT (SUBJECT) UTF-8 ALL").await?;
    Ok(Some(Outcome { took: answer.took, answer: Some(numbers(&answer.text)) }))
}

async fn sort_date(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    opened(session).await?;
    let answer = session.command("SORT (REVERSE DATE) UTF-8 ALL").await?;
    Ok(Some(Outcome { took: answer.took, answer: Some(numbers(&answer.text)) }))
}

async fn thread(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    opened(session).await?;
    let answer = session.command("THREAD REFERENCES UTF-8 ALL").await?;
    let lines = answer.text.lines().filter(|line| line.starts_with("* THREAD"));
    let threads = lines.map(|line| line.matches('(').count() as u64).sum();
    Ok(Some(Outcome { took: answer.took, answer: Some(threads) }))
}

/// A number that depends on the order of the first line's numbers.
fn numbers(text: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with("* SORT")).unwrap_or_default();
    let numbers = line.split(' ').filter_map(|word| word.parse::<u64>().ok());
    numbers.fold(7, |sum, number| sum.wrapping_mul(1_099_511_628_211) ^ number)
}

async fn copy(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    emptied(session).await?;
    opened(session).await?;
    let answer = session.command(&format!("COPY 1:{SOME} Copies")).await?;
    Ok(Some(Outcome { took: answer.took, answer: None }))
}

async fn expunge(session: &mut Session, _: u32) -> Result<Option<Outcome>> {
    emptied(session).await?;
    opened(session).await?;
    session.command(&format!("COPY 1:{SOME} Copies")).await?;
    session.command("SELECT Copies").await?;
    session.command("STORE 1:* +FLAGS.SILENT (\\Deleted)").await?;
    let answer = session.command("EXPUNGE").await?;
    let gone = answer.text.matches(" EXPUNGE\r\n").count() as u64;
    Ok(Some(Outcome { took: answer.took, answer: Some(gone) }))
}

/// An empty mailbox for copies.
async fn emptied(session: &mut Session) -> Result<()> {
    let _ = session.command("DELETE Copies").await;
    session.command("CREATE Copies").await.map(drop)
}

async fn resync(session: &mut Session, messages: u32) -> Result<Option<Outcome>> {
    session.command("ENABLE QRESYNC").await?;
    let before = session.command("SELECT INBOX").await?;
    let validity = number_after(&before.text, "[UIDVALIDITY ")?;
    let modseq = number_after(&before.text, "[HIGHESTMODSEQ ")?;
    let (first, last) = (messages / 2, messages / 2 + 99);
    session.command(&format!("STORE {first}:{last} +FLAGS.SILENT ($Forwarded)")).await?;
    session.command(&format!("STORE {first}:{last} -FLAGS.SILENT ($Forwarded)")).await?;
    session.command("UNSELECT").await?;
    let answer = session.command(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))")).await?;
    let changed = answer.text.matches(" FETCH (").count() as u64;
    Ok(Some(Outcome { took: answer.took, answer: Some(changed) }))
}

fn number_after(text: &str, mark: &str) -> Result<u64> {
    let (_, after) = text.split_once(mark).with_context(|| format!("no {mark}"))?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
