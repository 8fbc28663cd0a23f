//! A flood: many messages over many connections, by a client that goes on whatever happens to the
//! server, and keeps account of every attempt.
//!
//! Each attempt carries an id of its own (`X-Flood-Id`), so that what a mailbox holds can be laid
//! beside what the client was told:
//!
//! | the client saw | copies there may be |
//! |---|---|
//! | `250` after the final dot | exactly one |
//! | the connection break after the message was begun to be sent | none or one |
//! | a 4xx or 5xx, or the break before | none |
//!
//! A message counts as sent once an attempt got its `250`; until then it is tried again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::smtp::{Reply, Smtp, dot_stuffed};

/// What to send, where.
pub struct Flood<'a> {
    /// Servers; a connection goes to the first that answers, beginning at its own number.
    pub servers: Vec<SocketAddr>,
    /// Name and password, for submission.
    pub login: Option<(String, String)>,
    /// MAIL FROM and the header.
    pub from: String,
    /// Recipients of message `n`.
    pub recipients: &'a (dyn Fn(usize) -> Vec<String> + Sync),
    /// How many messages.
    pub count: usize,
    /// How many connections at once.
    pub connections: usize,
    /// The body's octets.
    pub body_octets: usize,
    /// Give up after this.
    pub within: Duration,
}

/// What the client was told of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `250`.
    Accepted,
    /// The connection broke after the message was begun to be sent.
    Unknown,
    /// A refusal, or a break before that.
    Refused(String),
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// `X-Flood-Id`.
    pub id: String,
    /// For whom.
    pub recipients: Vec<String>,
    /// How it went.
    pub outcome: Outcome,
}

/// The account of a flood.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every attempt.
    pub attempts: Vec<Attempt>,
}

impl Flood<'_> {
    /// Sends everything; `accepted` counts along, for whoever wants to act in the middle.
    pub fn run(&self, accepted: &AtomicUsize) -> Ledger {
        let deadline = Instant::now() + self.within;
        let next = AtomicUsize::new(0);
        let ledger = Mutex::new(Ledger::default());
        std::thread::scope(|scope| {
            for number in 0..self.connections {
                let (next, ledger) = (&next, &ledger);
                scope.spawn(move || {
                    let mut line = Line { flood: self, number, smtp: None };
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= self.count {
                            return;
                        }
                        let attempts = line.deliver(n, deadline);
                        accepted.fetch_add(1, Ordering::Relaxed);
                        ledger.lock().expect("nobody panics holding it").attempts.extend(attempts);
                    }
                });
            }
        });
        ledger.into_inner().expect("nobody panics holding it")
    }
}

/// One connection of a flood, made again when it breaks.
struct Line<'a> {
    flood: &'a Flood<'a>,
    number: usize,
    smtp: Option<Smtp>,
}

impl Line<'_> {
    fn deliver(&mut self, n: usize, deadline: Instant) -> Vec<Attempt> {
        let recipients = (self.flood.recipients)(n);
        let mut attempts = Vec::new();
        loop {
            assert!(Instant::now() < deadline, "message {n} is not sent in time: {attempts:?}");
            let id = format!("{n}.{}", attempts.len());
            let flood = self.flood;
            let Some(smtp) = self.connected() else {
                // Nobody listens: the server is being started again.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let outcome = attempt(smtp, flood, &id, &recipients);
            if outcome != Outcome::Accepted {
                self.smtp = None;
            }
            let done = outcome == Outcome::Accepted;
            attempts.push(Attempt { id, recipients: recipients.clone(), outcome });
            if done {
                return attempts;
            }
        }
    }

    fn connected(&mut self) -> Option<&mut Smtp> {
        if self.smtp.is_none() {
            let servers = &self.flood.servers;
            let order = (0..servers.len()).map(|i| servers[(self.number + i) % servers.len()]);
            self.smtp = order.into_iter().find_map(|server| self.flood.connect(server).ok());
        }
        self.smtp.as_mut()
    }
}

impl Flood<'_> {
    fn connect(&self, server: SocketAddr) -> io::Result<Smtp> {
        let mut smtp = Smtp::greeted(server)?;
        if let Some((user, password)) = &self.login {
            let reply = smtp.login(user, password)?;
            if !reply.is_ok() {
                return Err(io::Error::other(format!("{reply:?}")));
            }
        }
        Ok(smtp)
    }

    fn message(&self, id: &str, recipients: &[String]) -> Vec<u8> {
        let mut message = format!(
            "From: <{}>\r\nTo: <{}>\r\nSubject: flood {id}\r\nX-Flood-Id: {id}\r\n\
             Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <flood.{id}.{}@client.test>\r\n\r\n",
            self.from,
            recipients.join(">, <"),
            crate::mail::unique(),
        )
        .into_bytes();
        while message.len() < self.body_octets {
            message.extend_from_slice(b"The quick brown fox jumps over the lazy dog, again.\r\n");
        }
        message
    }
}

fn attempt(smtp: &mut Smtp, flood: &Flood<'_>, id: &str, recipients: &[String]) -> Outcome {
    match envelope(smtp, flood, recipients) {
        Ok(reply) if reply.code == 354 => {}
        Ok(reply) => return Outcome::Refused(format!("{reply:?}")),
        Err(error) => return Outcome::Refused(error.to_string()),
    }
    let message = dot_stuffed(&flood.message(id, recipients));
    match smtp.wire.send(message).and_then(|()| smtp.reply()) {
        Ok(reply) if reply.is_ok() => Outcome::Accepted,
        Ok(reply) => Outcome::Refused(format!("{reply:?}")),
        Err(_) => Outcome::Unknown,
    }
}

fn envelope(smtp: &mut Smtp, flood: &Flood<'_>, recipients: &[String]) -> io::Result<Reply> {
    let reply = smtp.command(&format!("MAIL FROM:<{}>", flood.from))?;
    if !reply.is_ok() {
        return Ok(reply);
    }
    for recipient in recipients {
        let reply = smtp.command(&format!("RCPT TO:<{recipient}>"))?;
        if !reply.is_ok() {
            return Ok(reply);
        }
    }
    smtp.command("DATA")
}

impl Ledger {
    /// How many attempts ended so that the client cannot know.
    pub fn unknown(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Unknown).count()
    }

    /// The ids that must have arrived for a recipient.
    pub fn promised(&self, recipient: &str) -> usize {
        self.of(recipient).filter(|attempt| attempt.outcome == Outcome::Accepted).count()
    }

    /// Lays what was found beside what was promised to one recipient. `excess` copies more than one
    /// are tolerated in all (what a second hop may repeat when its first was killed).
    #[track_caller]
    pub fn check(&self, recipient: &str, found: &[String], excess: usize) {
        let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
        for id in found {
            *copies.entry(id).or_default() += 1;
        }
        let (mut lost, mut doubled, mut invented) = (Vec::new(), Vec::new(), Vec::new());
        let mut repeated = 0;
        for attempt in self.of(recipient) {
            let count = copies.remove(attempt.id.as_str()).unwrap_or(0);
            if count > 1 {
                repeated += count - 1;
                doubled.push(&attempt.id);
            }
            match attempt.outcome {
                Outcome::Accepted if count == 0 => lost.push(&attempt.id),
                Outcome::Refused(_) if count > 0 => invented.push(attempt),
                _ => {}
            }
        }
        assert!(lost.is_empty(), "{recipient}: {} got 250 and are gone: {lost:?}", lost.len());
        assert!(invented.is_empty(), "{recipient}: refused and delivered: {invented:?}");
        assert!(copies.is_empty(), "{recipient}: never sent there: {copies:?}");
        assert!(repeated <= excess, "{recipient}: {repeated} copies too many of {doubled:?}");
    }

    fn of(&self, recipient: &str) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .iter()
            .filter(move |attempt| attempt.recipients.iter().any(|r| r == recipient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let attempt = |id: &str, outcome| Attempt {
            id: id.to_owned(),
            recipients: vec!["a".to_owned()],
            outcome,
        };
        Ledger {
            attempts: vec![
                attempt("0.0", Outcome::Accepted),
                attempt("1.0", Outcome::Unknown),
                attempt("1.1", Outcome::Refused("450".to_owned())),
                attempt("1.2", Outcome::Accepted),
            ],
        }
    }

    fn check(found: &[&str], excess: usize) {
        let found: Vec<String> = found.iter().map(|id| (*id).to_owned()).collect();
        ledger().check("a", &found, excess);
    }

    #[test]
    fn what_was_never_answered_may_be_there_or_not() {
        check(&["0.0", "1.2"], 0);
        check(&["0.0", "1.0", "1.2"], 0);
    }

    #[test]
    #[should_panic(expected = "are gone")]
    fn a_lost_message_is_found_out() {
        check(&["0.0", "1.0"], 0);
    }

    #[test]
    #[should_panic(expected = "too many")]
    fn a_doubled_message_is_found_out() {
        check(&["0.0", "0.0", "1.2"], 0);
    }

    #[test]
    #[should_panic(expected = "refused and delivered")]
    fn a_refused_message_that_arrives_is_found_out() {
        check(&["0.0", "1.1", "1.2"], 0);
    }

    #[test]
    #[should_panic(expected = "never sent")]
    fn an_unknown_message_is_found_out() {
        check(&["0.0", "1.2", "7.0"], 0);
    }

    #[test]
    fn a_second_hop_may_repeat_so_many() {
        check(&["0.0", "0.0", "1.2"], 1);
    }
}
