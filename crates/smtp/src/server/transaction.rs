//! The commands that make a message: MAIL, RCPT, DATA, BDAT (RFC 5321 §3.3, RFC 3030).
//!
//! A message can fail while its octets come: too large, a lone CR or LF, no space here. Then the
//! driver is told to forget it, the rest is swallowed to the end that the client means, and only
//! then is it told why; to answer earlier would be to read message octets as commands.

use std::time::Instant;

use waxwing_message::{BodyKind, Envelope, Recipient};

use super::scan::{DataScanner, LineChecker, LoneOctet};
use super::{Chunk, Extensions, Phase, Question, Role, ServerSession, Step, Verdict};
use crate::command::{Mail, Rcpt};
use crate::reply::Reply;

/// From MAIL to the end of the message.
#[derive(Debug)]
pub(super) struct Transaction {
    pub envelope: Envelope,
    /// SIZE= of MAIL.
    pub size_octets: Option<u64>,
    /// The recipient in question.
    pub candidate: Option<Recipient>,
    /// For every positive reply to RCPT the recipient's place in the envelope: LMTP replies once
    /// for each, repetitions too (RFC 2033 §4.2).
    accepted: Vec<u32>,
    content: Option<Content>,
}

/// The message's octets, as far as the session must know them.
#[derive(Debug)]
struct Content {
    octets: u64,
    failed: Option<Reply>,
    scanner: DataScanner,
    lines: LineChecker,
}

/// A message whose reply is awaited.
#[derive(Debug)]
pub(super) struct Finished {
    accepted: Vec<u32>,
    pub smtputf8: bool,
}

impl ServerSession {
    pub(super) fn mail_command(&mut self, mail: Mail) {
        if self.transaction.is_none() && self.counts.messages >= self.settings.max_messages {
            let text = "too many messages in one session";
            return self.close_with(Reply::new(421, (4, 7, 0), text));
        }
        if let Some(reply) = self.mail_obstacle(&mail) {
            return self.refuse(reply);
        }
        let envelope = Envelope {
            reverse_path: mail.reverse_path,
            recipients: Vec::new(),
            body: mail.body.unwrap_or_default(),
            smtputf8: mail.smtputf8,
            require_tls: mail.require_tls,
            dsn_return: mail.dsn_return,
            envelope_id: mail.envelope_id,
        };
        let size_octets = mail.size_octets;
        let (candidate, accepted, content) = (None, Vec::new(), None);
        let open = Transaction { envelope, size_octets, candidate, accepted, content };
        self.transaction = Some(Box::new(open));
        self.phase = Phase::Waiting(Question::Sender);
        self.pending = Some(Step::CheckSender);
    }

    /// Why MAIL is out of place, or asks for what there is not.
    fn mail_obstacle(&self, mail: &Mail) -> Option<Reply> {
        let settings = &self.settings;
        if self.hello.is_none() {
            Some(Reply::new(503, (5, 5, 1), "say EHLO first"))
        } else if self.transaction.is_some() {
            Some(Reply::new(503, (5, 5, 1), "MAIL was given already"))
        } else if self.tls_missing() {
            Some(Reply::new(530, (5, 7, 0), "say STARTTLS first"))
        } else if settings.role == Role::Submission && settings.auth && self.login.is_none() {
            // RFC 6409 §4.3
            Some(Reply::new(530, (5, 7, 0), "log in first"))
        } else if let Some(parameter) = self.unannounced(mail) {
            let text = format!("{parameter} is not offered");
            Some(Reply::new(555, (5, 5, 4), text))
        } else if mail.path_is_utf8 && !mail.smtputf8 {
            // RFC 6531 §3.5
            Some(Reply::new(553, (5, 6, 7), "that address needs SMTPUTF8"))
        } else if mail.size_octets.is_some_and(|size| size > settings.max_message_octets) {
            // RFC 1870 §6.1
            Some(too_large(settings.max_message_octets))
        } else {
            None
        }
    }

    /// A parameter whose extension EHLO does not announce.
    fn unannounced(&self, mail: &Mail) -> Option<&'static str> {
        let on: &Extensions = &self.settings.extensions;
        let binary = on.binary_mime && on.chunking;
        [
            ("SIZE", mail.size_octets.is_some() && !on.size),
            ("8BITMIME", mail.body.is_some() && !on.eight_bit_mime),
            ("BINARYMIME", mail.body == Some(BodyKind::BinaryMime) && !binary),
            ("SMTPUTF8", mail.smtputf8 && !on.smtputf8),
            ("DSN", (mail.dsn_return.is_some() || mail.envelope_id.is_some()) && !on.dsn),
            ("REQUIRETLS", mail.require_tls && !(on.require_tls && self.is_tls())),
            ("AUTH", mail.auth && !self.settings.auth),
        ]
        .into_iter()
        .find_map(|(parameter, unannounced)| unannounced.then_some(parameter))
    }

    /// After [`Action::CheckSender`](super::Action::CheckSender).
    pub fn answer_sender(&mut self, now: Instant, verdict: Verdict) {
        if !matches!(self.phase, Phase::Waiting(Question::Sender)) {
            return;
        }
        self.answered(now);
        match verdict {
            Ok(()) => self.reply(Reply::new(250, (2, 1, 0), "sender ok")),
            Err(reply) => {
                self.reply(reply);
                self.transaction = None;
            }
        }
    }

    pub(super) fn rcpt_command(&mut self, rcpt: Rcpt) {
        let (limit, dsn) = (self.settings.max_recipients, self.settings.extensions.dsn);
        let Some(transaction) = self.transaction.as_mut().filter(|open| open.content.is_none())
        else {
            return self.refuse(Reply::new(503, (5, 5, 1), "MAIL comes before RCPT"));
        };
        if (rcpt.notify.is_some() || rcpt.original.is_some()) && !dsn {
            return self.refuse(Reply::new(555, (5, 5, 4), "DSN is not offered"));
        }
        if rcpt.is_utf8 && !transaction.envelope.smtputf8 {
            return self.refuse(Reply::new(553, (5, 6, 7), "that address needs SMTPUTF8"));
        }
        let Some(recipient) = rcpt.into_recipient(&self.settings.host_name) else {
            return self.refuse(Reply::no_such_mailbox());
        };
        let known = &transaction.envelope.recipients;
        if let Some(place) = known.iter().position(|r| r.address == recipient.address) {
            // LMTP replies to repetitions again at the end; their number is bounded as well.
            if transaction.accepted.len() < 2 * limit as usize {
                transaction.accepted.push(place as u32);
                return self.reply(recipient_ok());
            }
        }
        if known.len() >= limit as usize || transaction.accepted.len() >= 2 * limit as usize {
            // RFC 5321 §4.5.3.1.10
            return self.reply(Reply::new(452, (4, 5, 3), "too many recipients"));
        }
        transaction.candidate = Some(recipient);
        self.phase = Phase::Waiting(Question::Recipient);
        self.pending = Some(Step::CheckRecipient);
    }

    /// After [`Action::CheckRecipient`](super::Action::CheckRecipient).
    pub fn answer_recipient(&mut self, now: Instant, verdict: Verdict) {
        if !matches!(self.phase, Phase::Waiting(Question::Recipient)) {
            return;
        }
        self.answered(now);
        let transaction = self.transaction.as_mut().expect("RCPT needs a transaction");
        let candidate = transaction.candidate.take();
        match verdict {
            Ok(()) => {
                transaction.accepted.push(transaction.envelope.recipients.len() as u32);
                transaction.envelope.recipients.extend(candidate);
                self.reply(recipient_ok());
            }
            Err(reply) if reply.is_permanent() => {
                self.counts.refused_recipients += 1;
                if self.counts.refused_recipients > self.settings.max_refused_recipients {
                    let text = "too many refused recipients";
                    return self.close_with(Reply::new(421, (4, 7, 0), text));
                }
                self.reply(reply);
            }
            Err(reply) => self.reply(reply),
        }
    }

    pub(super) fn data_command(&mut self) {
        if let Some(reply) = self.content_obstacle() {
            return self.refuse(reply);
        }
        let transaction = self.transaction.as_ref().expect("it is no obstacle");
        if transaction.content.is_some() {
            return self.refuse(Reply::new(503, (5, 5, 1), "BDAT was used, so DATA cannot be"));
        }
        if transaction.envelope.body == BodyKind::BinaryMime {
            // RFC 3030 §3
            return self.refuse(Reply::new(503, (5, 5, 1), "BINARYMIME goes with BDAT only"));
        }
        self.phase = Phase::Waiting(Question::BeginData(None));
        self.pending = Some(Step::BeginData);
    }

    /// Why neither DATA nor BDAT has a place.
    fn content_obstacle(&self) -> Option<Reply> {
        match &self.transaction {
            None => Some(Reply::new(503, (5, 5, 1), "MAIL and RCPT come first")),
            Some(open) if !open.envelope.recipients.is_empty() => None,
            // RFC 2033 §4.2
            Some(_) if self.settings.role == Role::Lmtp => {
                Some(Reply::new(503, (5, 5, 1), "no valid recipients"))
            }
            Some(_) => Some(Reply::new(554, (5, 5, 1), "no valid recipients")),
        }
    }

    pub(super) fn bdat_command(&mut self, octets: u64, last: bool) {
        let mut chunk = Chunk { octets, remaining: octets, last, refusal: None };
        if !self.settings.extensions.chunking {
            chunk.refusal = Some(Reply::new(502, (5, 5, 1), "BDAT is not offered"));
        } else {
            chunk.refusal = self.content_obstacle();
        }
        if chunk.refusal.is_some() {
            self.counts.errors += 1;
            self.message_since = self.since;
            self.phase = Phase::Chunk(chunk);
            return;
        }
        let transaction = self.transaction.as_mut().expect("it is no obstacle");
        if transaction.content.is_none() {
            self.phase = Phase::Waiting(Question::BeginData(Some(chunk)));
            self.pending = Some(Step::BeginData);
        } else {
            self.begin_chunk(chunk);
        }
    }

    /// After [`Action::BeginData`](super::Action::BeginData). `Err` refuses the message before its
    /// octets.
    pub fn answer_data(&mut self, now: Instant, verdict: Verdict) {
        let chunk = match &mut self.phase {
            Phase::Waiting(Question::BeginData(chunk)) => chunk.take(),
            _ => return,
        };
        self.answered(now);
        self.message_since = now;
        let transaction = self.transaction.as_mut().expect("DATA needs a transaction");
        let content = transaction.content.insert(Content {
            octets: 0,
            failed: None,
            scanner: DataScanner::new(),
            lines: LineChecker::default(),
        });
        match (chunk, verdict) {
            (None, Ok(())) => {
                self.reply(Reply::bare(354, "send the message, end with a dot on its own line"));
                self.phase = Phase::Data;
            }
            (None, Err(reply)) => {
                self.reply(reply);
                self.transaction = None;
            }
            (Some(chunk), verdict) => {
                content.failed = verdict.err();
                self.begin_chunk(chunk);
            }
        }
    }

    fn begin_chunk(&mut self, chunk: Chunk) {
        let limit = self.settings.max_message_octets;
        let content = self.content_mut();
        let too_many = content.octets.saturating_add(chunk.octets) > limit;
        if content.failed.is_none() && too_many {
            content.failed = Some(too_large(limit));
            self.pending = Some(Step::DiscardData);
        }
        self.phase = Phase::Chunk(chunk);
    }

    /// In the phases that have one: Data, and Chunk in its place.
    fn content_mut(&mut self) -> &mut Content {
        let transaction = self.transaction.as_mut().expect("a message needs a transaction");
        transaction.content.as_mut().expect("its octets have begun")
    }

    /// Goes on in the Data phase.
    pub(super) fn data(&mut self, now: Instant) -> Option<Step> {
        let limit = self.settings.max_message_octets;
        let transaction = self.transaction.as_mut().expect("DATA needs a transaction");
        let content = transaction.content.as_mut().expect("its octets have begun");
        let scanned = content.scanner.scan(self.input.rest());
        let start = self.input.consume(scanned.consumed).start;
        let octets = start + scanned.octets.start..start + scanned.octets.end;
        let mut step = None;
        if let Some(why) = content.failed.clone() {
            self.swallow(scanned.consumed, why);
        } else if let Some(lone) = content.scanner.spoiled() {
            content.failed = Some(lone_octet(lone));
            step = Some(Step::DiscardData);
        } else if content.octets + octets.len() as u64 > limit {
            content.failed = Some(too_large(limit));
            step = Some(Step::DiscardData);
        } else if !octets.is_empty() {
            content.octets += octets.len() as u64;
            step = Some(Step::Data(octets));
        }
        if scanned.ended && matches!(self.phase, Phase::Data) {
            self.since = now;
            // Whatever else was wrong: this is wrong for ever.
            let content = self.content_mut();
            if let Some(lone) = content.scanner.spoiled() {
                content.failed = Some(lone_octet(lone));
            }
            self.message_ended();
        }
        step
    }

    /// Goes on in the Chunk phase.
    pub(super) fn chunk(&mut self, now: Instant) -> Option<Step> {
        let Phase::Chunk(chunk) = &mut self.phase else { return None };
        if chunk.remaining == 0 {
            let chunk = chunk.clone();
            return self.chunk_ended(now, chunk);
        }
        let available = self.input.rest().len() as u64;
        let octets = self.input.consume(available.min(chunk.remaining) as usize);
        chunk.remaining -= octets.len() as u64;
        if let Some(why) = chunk.refusal.clone() {
            self.swallow(octets.len(), why);
            return None;
        }
        let transaction = self.transaction.as_mut().expect("BDAT without refusal has one");
        let content = transaction.content.as_mut().expect("its octets have begun");
        if let Some(why) = content.failed.clone() {
            self.swallow(octets.len(), why);
            return None;
        }
        if octets.is_empty() {
            return None;
        }
        if transaction.envelope.body != BodyKind::BinaryMime
            && let Some(lone) = content.lines.check(self.input.octets(octets.clone()))
        {
            content.failed = Some(lone_octet(lone));
            return Some(Step::DiscardData);
        }
        content.octets += octets.len() as u64;
        Some(Step::Data(octets))
    }

    fn chunk_ended(&mut self, now: Instant, chunk: Chunk) -> Option<Step> {
        self.since = now;
        self.phase = Phase::Command;
        let content = self.transaction.as_mut().and_then(|open| {
            let binary = open.envelope.body == BodyKind::BinaryMime;
            Some((open.content.as_mut()?, binary))
        });
        let Some((content, binary)) = content else {
            // Out of place. A transaction without recipients stays, as after DATA.
            let reply = chunk.refusal.unwrap_or_else(Reply::local_error);
            if self.counts.errors > self.settings.max_errors {
                self.close_with(Reply::new(421, (4, 7, 0), "too many errors"));
            } else {
                self.reply(reply);
            }
            return None;
        };
        if !chunk.last {
            let received = format!("{} octets received", chunk.octets);
            let reply = content.failed.clone();
            self.reply(reply.unwrap_or_else(|| Reply::new(250, (2, 0, 0), received)));
            return None;
        }
        let mut step = None;
        if content.failed.is_none()
            && !binary
            && let Some(lone) = content.lines.finish()
        {
            content.failed = Some(lone_octet(lone));
            step = Some(Step::DiscardData);
        }
        self.message_ended();
        step
    }

    /// The client has sent all: hands the message over, or says why not.
    fn message_ended(&mut self) {
        let Transaction { envelope, accepted, content, .. } =
            *self.transaction.take().expect("a message needs a transaction");
        let content = content.expect("its octets have begun");
        let finished = Finished { accepted, smtputf8: envelope.smtputf8 };
        self.counts.messages += 1;
        self.counts.idle_commands = 0;
        self.phase = Phase::Command;
        match content.failed {
            Some(reply) => self.answer_all(&finished, |_| reply.clone()),
            None => {
                self.pending = Some(Step::DataComplete(Box::new(envelope), content.octets));
                self.phase = Phase::Waiting(Question::Message(finished));
            }
        }
    }

    /// Octets of a message that has failed. A client that sends them without end is told why before
    /// its end, and sent away.
    fn swallow(&mut self, octets: usize, why: Reply) {
        self.swallowed += octets as u64;
        let limit = self.settings.max_message_octets.saturating_mul(2).saturating_add(1 << 20);
        if self.swallowed <= limit {
            return;
        }
        match self.transaction.take().filter(|open| !open.accepted.is_empty()) {
            Some(open) => {
                let smtputf8 = open.envelope.smtputf8;
                let finished = Finished { accepted: open.accepted, smtputf8 };
                self.answer_all(&finished, |_| why.clone());
                self.end();
            }
            None => self.close_with(why),
        }
    }

    /// Between [`Action::BeginData`](super::Action::BeginData) and
    /// [`Action::DataComplete`](super::Action::DataComplete): the message cannot be kept. Its
    /// remaining octets are swallowed and this is the reply. No `DiscardData` follows.
    pub fn fail_data(&mut self, reply: Reply) {
        let open = self.transaction.as_mut();
        if let Some(content) = open.and_then(|open| open.content.as_mut()) {
            content.failed.get_or_insert(reply);
        }
    }

    /// After [`Action::DataComplete`](super::Action::DataComplete): the reply. `250` says that the
    /// message is durable. In LMTP it is given for every recipient.
    pub fn answer_message(&mut self, now: Instant, reply: Reply) {
        self.answer_message_with(now, |_| reply.clone());
    }

    /// After [`Action::DataComplete`](super::Action::DataComplete) in LMTP: a reply for each
    /// recipient of the envelope, in its order (RFC 2033 §4.2). Missing ones count as `451 4.3.0`.
    /// Without LMTP the worst of them is the reply.
    pub fn answer_message_each(&mut self, now: Instant, replies: Vec<Reply>) {
        if self.settings.role == Role::Lmtp {
            let reply = |place: usize| replies.get(place).cloned();
            self.answer_message_with(now, |place| reply(place).unwrap_or_else(Reply::local_error));
        } else {
            let worst = replies.into_iter().max_by_key(|reply| reply.code);
            self.answer_message(now, worst.unwrap_or_else(Reply::local_error));
        }
    }

    fn answer_message_with(&mut self, now: Instant, reply: impl Fn(usize) -> Reply) {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        match phase {
            Phase::Waiting(Question::Message(finished)) => {
                self.since = now;
                self.answer_all(&finished, reply);
            }
            other => self.phase = other,
        }
    }

    /// The reply to the message: one, or in LMTP one for each accepted RCPT.
    fn answer_all(&mut self, finished: &Finished, reply: impl Fn(usize) -> Reply) {
        let places: &[u32] = match self.settings.role {
            Role::Lmtp => &finished.accepted,
            Role::Mx | Role::Submission => &[0],
        };
        let mut closing = false;
        for &place in places {
            let reply = reply(place as usize);
            closing |= reply.code == 421;
            reply.write(&mut self.output, finished.smtputf8);
        }
        if closing {
            self.end();
        }
    }

    /// RSET, EHLO.
    pub(super) fn forget_transaction(&mut self) {
        let open = self.transaction.take();
        if open.and_then(|open| open.content).is_some_and(|content| content.failed.is_none()) {
            self.pending = Some(Step::DiscardData);
        }
    }
}

fn recipient_ok() -> Reply {
    Reply::new(250, (2, 1, 5), "recipient ok")
}

fn too_large(limit: u64) -> Reply {
    Reply::new(552, (5, 3, 4), format!("message too large: at most {limit} octets"))
}

fn lone_octet(lone: LoneOctet) -> Reply {
    Reply::new(
        554,
        (5, 6, 0),
        match lone {
            LoneOctet::Cr => {
                "bare CR in the message: a line ends with CRLF (RFC 5321 section 2.3.8)"
            }
            LoneOctet::Lf => {
                "bare LF in the message: a line ends with CRLF (RFC 5321 section 2.3.8)"
            }
        },
    )
}
