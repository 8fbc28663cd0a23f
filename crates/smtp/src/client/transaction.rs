//! One message: MAIL, RCPT, DATA or BDAT, and what the replies mean for each recipient.
//!
//! Commands are sent as far ahead as PIPELINING allows (RFC 2920) and a window of them, so that
//! neither side can be blocked by replies that nobody reads yet. `expected` is the queue of replies
//! to come; each is matched with the command that asked for it.
//!
//! | the message goes by | when |
//! |---|---|
//! | BDAT, right behind RCPT | it is small, and CHUNKING and PIPELINING are offered: one round trip for all |
//! | BDAT, once a recipient is accepted | it is BINARYMIME |
//! | DATA | else: every server has it, and nothing large is sent for recipients that are refused |
//!
//! 8-bit messages to servers without 8BITMIME: RFC 6152 §3 has the client convert to 7 bits or give
//! up. Deviates: the message is sent as it is, without BODY=. Converting breaks signatures, giving
//! up loses mail, and servers that do not say 8BITMIME pass eight bits all the same. BINARYMIME is
//! another matter, since DATA cannot carry it: `5.6.3`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use waxwing_message::{BodyKind, Envelope};

use super::body::BodyEncoder;
use super::offer;
use super::report::{Disposition, Outcome, Report, Transaction};
use super::{Capabilities, ClientAction, ClientSession, ClientTimeouts, Stage, State};
use crate::reply::Reply;

/// Replies awaited at a time.
const WINDOW: usize = 64;
/// While this much output waits, no more is made.
const OUTPUT_PAUSE: usize = 64 * 1024;
/// Up to this size a message goes behind RCPT without waiting for the replies.
const SMALL_MESSAGE_OCTETS: u64 = 32 * 1024;

/// A reply to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Reset,
    Mail,
    Recipient(usize),
    /// To DATA: 354.
    DataStart,
    /// To BDAT without LAST.
    Chunk,
    /// To the end of the message: one reply, or in LMTP one per accepted recipient.
    End,
}

/// What is to be said next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Reset,
    Mail,
    Recipient(usize),
    Content,
    /// The message's octets, by DATA or BDAT.
    Octets,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Data,
    /// BDAT behind RCPT, or after the replies to it.
    Bdat {
        at_once: bool,
    },
}

/// A transaction under way.
pub(super) struct Sending {
    envelope: Envelope,
    size_octets: u64,
    smtputf8: bool,
    outcomes: Vec<Option<Outcome>>,
    method: Method,
    encoder: Option<BodyEncoder>,
    next: Next,
    expected: VecDeque<Expected>,
    /// RCPT was accepted, in order.
    accepted: Vec<usize>,
    /// How many of `accepted` have their LMTP reply.
    answered: usize,
    /// MAIL was refused, or the message was: nothing more is said.
    given_up: bool,
    /// The message is out to its end.
    ended: bool,
    /// The server has heard of it.
    spoken: bool,
}

impl Sending {
    fn new(transaction: Transaction, capabilities: &Capabilities, tls: bool) -> Sending {
        let Transaction { envelope, size_octets, utf8_header } = transaction;
        let recipients = &envelope.recipients;
        let sender_needs_utf8 =
            envelope.reverse_path.address().is_some_and(|address| address.needs_smtputf8());
        let needs_utf8 = utf8_header || sender_needs_utf8;
        let wants_utf8 = envelope.smtputf8
            || needs_utf8
            || recipients.iter().any(|recipient| recipient.address.needs_smtputf8());
        let at_once =
            capabilities.chunking && capabilities.pipelining && size_octets <= SMALL_MESSAGE_OCTETS;
        let binary = envelope.body == BodyKind::BinaryMime;
        let method = match at_once || binary {
            true => Method::Bdat { at_once },
            false => Method::Data,
        };
        let encoder = match method {
            Method::Data => Some(BodyEncoder::stuffing()),
            Method::Bdat { .. } if binary => None,
            Method::Bdat { .. } => Some(BodyEncoder::plain()),
        };
        let obstacle = offer::obstacle(&envelope, size_octets, needs_utf8, capabilities, tls);
        let mut outcomes = vec![obstacle; recipients.len()];
        let mut room = capabilities.max_recipients.map_or(usize::MAX, |max| max as usize);
        for (outcome, recipient) in outcomes.iter_mut().zip(recipients) {
            if outcome.is_some() {
                continue;
            }
            if recipient.address.needs_smtputf8() && !capabilities.smtputf8 {
                *outcome = Some(offer::no_smtputf8());
            } else if room == 0 {
                // RFC 9422 §4.2
                *outcome = Some(Outcome::not_tried("the server takes fewer recipients at a time"));
            } else {
                room -= 1;
            }
        }
        Sending {
            smtputf8: wants_utf8 && capabilities.smtputf8,
            envelope,
            size_octets,
            outcomes,
            method,
            encoder,
            next: Next::Mail,
            expected: VecDeque::new(),
            accepted: Vec::new(),
            answered: 0,
            given_up: false,
            ended: false,
            spoken: false,
        }
    }

    /// The recipients whose fate is open get this outcome.
    pub(super) fn into_report(self, outcome: &Outcome) -> Report {
        let settle = |known: Option<Outcome>| known.unwrap_or_else(|| outcome.clone());
        Report { outcomes: self.outcomes.into_iter().map(settle).collect() }
    }

    /// The message is out, and the server has not said whether it took it.
    pub(super) fn awaits_the_end(&self) -> bool {
        self.ended && self.expected.contains(&Expected::End) && !self.accepted.is_empty()
    }

    /// RFC 5321 §4.5.3.2.
    pub(super) fn patience(&self, timeouts: &ClientTimeouts) -> Duration {
        match self.expected.front() {
            Some(Expected::Reset) => timeouts.command,
            Some(Expected::Mail) => timeouts.mail,
            Some(Expected::Recipient(_)) => timeouts.recipient,
            Some(Expected::DataStart) => timeouts.data_start,
            Some(Expected::End) => timeouts.data_end,
            Some(Expected::Chunk) | None => timeouts.data_block,
        }
    }

    /// All replies have come and nothing is left to be said.
    fn is_over(&self) -> bool {
        self.expected.is_empty() && (self.given_up || self.ended || self.next == Next::Nothing)
    }

    fn was_delivered(&self) -> bool {
        let delivered = |outcome: &Outcome| outcome.disposition == Disposition::Delivered;
        self.outcomes.iter().flatten().any(delivered)
    }

    fn give_up(&mut self, outcome: &Outcome) {
        self.given_up = true;
        self.next = Next::Nothing;
        for known in self.outcomes.iter_mut().filter(|known| known.is_none()) {
            *known = Some(outcome.clone());
        }
    }

    fn on_recipient_reply(&mut self, place: usize, reply: &Reply) {
        let refused = "the server refused the recipient";
        // RFC 5321 §4.5.3.1.10: 452, and 552 from servers of old, can mean "not so many at once".
        let status = reply.enhanced.map(|status| (status.subject, status.detail));
        let too_many = matches!(reply.code, 452 | 552) && matches!(status, None | Some((5, 3)));
        let outcome = match reply.code {
            200..300 => {
                self.accepted.push(place);
                return;
            }
            _ if too_many && !self.accepted.is_empty() => Outcome {
                disposition: Disposition::NotTried,
                ..Outcome::deferred_by(reply, "the server takes fewer recipients at a time")
            },
            552 => Outcome::deferred_by(reply, refused),
            500.. => Outcome::of_reply(reply, refused),
            _ => Outcome::deferred_by(reply, refused),
        };
        self.outcomes[place].get_or_insert(outcome);
    }

    /// The reply to the end of the message; false while LMTP has more to come.
    fn on_end_reply(&mut self, lmtp: bool, reply: &Reply) -> bool {
        let reason = match reply.code {
            200..300 => "delivered",
            _ => "the server refused the message",
        };
        let outcome = Outcome::of_reply(reply, reason);
        let (from, to) = match lmtp {
            true => (self.answered, (self.answered + 1).min(self.accepted.len())),
            false => (0, self.accepted.len()),
        };
        for &place in &self.accepted[from..to] {
            self.outcomes[place].get_or_insert_with(|| outcome.clone());
        }
        self.answered = to;
        to == self.accepted.len()
    }
}

impl ClientSession {
    /// When [`ClientAction::Ready`]: begins a transaction. [`ClientAction::Done`] will answer it.
    /// While not idle the message is deferred at once, so that it is never without an answer.
    pub fn send(&mut self, now: Instant, transaction: Transaction) {
        if !matches!(self.state, State::Idle) {
            let outcome = Outcome::deferred((4, 2), "the connection is not ready for a message");
            let outcomes = vec![outcome; transaction.envelope.recipients.len()];
            return self.actions.push_back(ClientAction::Done(Report { outcomes }));
        }
        self.actions.retain(|action| !matches!(action, ClientAction::Ready));
        let mut sending = Sending::new(transaction, &self.capabilities, self.is_tls());
        self.since = now;
        if sending.outcomes.iter().all(Option::is_some) {
            sending.next = Next::Nothing;
        } else {
            self.messages += 1;
            if std::mem::take(&mut self.reset_needed) {
                sending.next = Next::Reset;
            }
        }
        self.state = State::Sending(Box::new(sending));
        self.go_on_sending(now);
    }

    /// Says what may be said now, and ends the transaction when all is known.
    pub(super) fn go_on_sending(&mut self, now: Instant) {
        while self.say_next(now) {}
        if let State::Sending(sending) = &mut self.state
            && sending.is_over()
        {
            let unknown = Outcome::deferred((0, 0), "nothing was said of this recipient");
            // Unless a message went through, the server may have a transaction open still.
            if sending.spoken {
                self.reset_needed = !sending.was_delivered();
            }
            let State::Sending(sending) = std::mem::replace(&mut self.state, State::Idle) else {
                return;
            };
            self.actions.push_back(ClientAction::Done(sending.into_report(&unknown)));
            self.become_idle();
        }
    }

    /// Says one thing; false when the session must wait first.
    fn say_next(&mut self, now: Instant) -> bool {
        let pipelining = self.capabilities.pipelining;
        let waiting_output = self.output().len();
        let State::Sending(sending) = &mut self.state else { return false };
        let free = sending.expected.is_empty();
        let may_speak = free || (pipelining && sending.expected.len() < WINDOW);
        if !may_speak || waiting_output > OUTPUT_PAUSE {
            return false;
        }
        let (line, expected, next) = match sending.next {
            Next::Reset => ("RSET".to_owned(), Expected::Reset, Next::Mail),
            Next::Mail => {
                let line = offer::mail_line(
                    &sending.envelope,
                    sending.size_octets,
                    sending.smtputf8,
                    &self.capabilities,
                );
                (line, Expected::Mail, Next::Recipient(0))
            }
            Next::Recipient(place) => {
                let open = sending.outcomes[place..].iter().position(Option::is_none);
                let Some(place) = open.map(|skipped| place + skipped) else {
                    sending.next = Next::Content;
                    return true;
                };
                let recipient = &sending.envelope.recipients[place];
                let line = offer::rcpt_line(recipient, sending.smtputf8, &self.capabilities);
                (line, Expected::Recipient(place), Next::Recipient(place + 1))
            }
            Next::Content => {
                if free && sending.accepted.is_empty() {
                    // Every recipient was refused.
                    sending.next = Next::Nothing;
                    return false;
                }
                match sending.method {
                    Method::Data => ("DATA".to_owned(), Expected::DataStart, Next::Nothing),
                    Method::Bdat { at_once } => {
                        if at_once || free {
                            sending.next = Next::Octets;
                        }
                        return false;
                    }
                }
            }
            Next::Octets | Next::Nothing => return false,
        };
        sending.expected.push_back(expected);
        sending.next = next;
        sending.spoken = true;
        if free {
            self.since = now;
        }
        self.say(&line);
        true
    }

    /// Whether the driver is to give message octets.
    pub(super) fn wants_data(&self) -> bool {
        let State::Sending(sending) = &self.state else { return false };
        sending.next == Next::Octets
            && sending.expected.len() < WINDOW
            && self.output().len() <= OUTPUT_PAUSE
    }

    /// After [`ClientAction::NeedData`]: the next octets of the message; `last` with the final
    /// ones, which may be none.
    pub fn supply(&mut self, now: Instant, octets: &[u8], last: bool) {
        let State::Sending(sending) = &mut self.state else { return };
        if sending.next != Next::Octets {
            return;
        }
        if self.written == self.output.len() {
            self.since = now;
        }
        match (sending.method, &mut sending.encoder) {
            (Method::Data, Some(encoder)) => {
                encoder.encode(octets, &mut self.output);
                if last {
                    encoder.finish(&mut self.output);
                }
            }
            (_, encoder) => {
                let mut mended = Vec::new();
                let chunk = match encoder {
                    Some(encoder) => {
                        encoder.encode(octets, &mut mended);
                        &mended
                    }
                    None => octets,
                };
                if chunk.is_empty() && !last {
                    return;
                }
                let end = if last { " LAST" } else { "" };
                let line = format!("BDAT {}{end}\r\n", chunk.len());
                self.output.extend_from_slice(line.as_bytes());
                self.output.extend_from_slice(chunk);
            }
        }
        match (last, sending.method) {
            (true, _) => {
                sending.expected.push_back(Expected::End);
                sending.next = Next::Nothing;
                sending.ended = true;
            }
            (false, Method::Bdat { .. }) => sending.expected.push_back(Expected::Chunk),
            (false, Method::Data) => {}
        }
    }

    /// The message cannot be read any further. The transaction is deferred and the connection
    /// closed, so that the server never takes half a message.
    pub fn fail_supply(&mut self, _now: Instant, why: &str) {
        if matches!(self.state, State::Sending(_)) {
            self.output.clear();
            self.written = 0;
            let outcome = Outcome::deferred((3, 0), why.to_owned());
            self.fail_without_quit(Stage::Transaction, outcome);
        }
    }

    pub(super) fn on_transaction_reply(&mut self, now: Instant, reply: Reply) {
        let lmtp = self.settings.lmtp;
        let State::Sending(sending) = &mut self.state else { return };
        if reply.code == 421 {
            let why = "the server ended the connection";
            return self.fail(Stage::Transaction, Outcome::deferred_by(&reply, why));
        }
        let Some(expected) = sending.expected.pop_front() else {
            return self.on_untimely_reply(reply);
        };
        let positive = (200..300).contains(&reply.code);
        match expected {
            // RFC 5321 §4.1.1.5: RSET always succeeds; when it does not, MAIL will say more.
            Expected::Reset => {}
            Expected::Mail if positive => {}
            Expected::Mail => {
                let outcome = refusal(&reply, "the server refused the sender");
                sending.give_up(&outcome);
            }
            Expected::Recipient(place) => {
                sending.on_recipient_reply(place, &reply);
                let all_known = sending.outcomes.iter().all(Option::is_some);
                if all_known && sending.accepted.is_empty() && sending.next == Next::Octets {
                    // BDAT without LAST may be under way; nobody wants the rest.
                    sending.next = Next::Nothing;
                }
            }
            Expected::DataStart if reply.code == 354 => return self.on_data_start(),
            Expected::DataStart => {
                let outcome = refusal(&reply, "the server refused the message");
                sending.give_up(&outcome);
            }
            Expected::Chunk if positive => {}
            Expected::Chunk => {
                let outcome = refusal(&reply, "the server refused the message");
                sending.give_up(&outcome);
            }
            Expected::End => {
                if !sending.on_end_reply(lmtp, &reply) {
                    sending.expected.push_front(Expected::End);
                }
            }
        }
        self.go_on_sending(now);
    }

    fn on_data_start(&mut self) {
        let State::Sending(sending) = &mut self.state else { return };
        if sending.accepted.is_empty() || sending.given_up {
            // RFC 2920 §3.1: DATA went out with RCPT, and nobody is left to get the message.
            self.output.extend_from_slice(b".\r\n");
            sending.expected.push_back(Expected::End);
            sending.next = Next::Nothing;
        } else {
            sending.next = Next::Octets;
        }
    }

    /// Nothing was asked. While a message goes out this can only be a refusal in its midst, after
    /// which the connection is of no use: DATA cannot be broken off.
    fn on_untimely_reply(&mut self, reply: Reply) {
        let outcome = match reply.code {
            500.. => Outcome::of_reply(&reply, "the server refused the message in its midst"),
            _ => Outcome::deferred_by(&reply, "the server replied without being asked"),
        };
        self.fail(Stage::Transaction, outcome);
    }
}

/// 5xx is for ever; everything else that is not the expected reply is not.
fn refusal(reply: &Reply, why: &'static str) -> Outcome {
    match reply.code {
        500.. => Outcome::of_reply(reply, why),
        _ => Outcome::deferred_by(reply, why),
    }
}
