//! From what was observed to what is done: one verdict for the message, one for each reader.

use std::net::IpAddr;

use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_filter::spam::evidence::GreylistFacts;
use waxwing_filter::spam::{Judgement, judge};
use waxwing_mailauth::dkim::Verifier;
use waxwing_mailauth::dmarc;
use waxwing_message::journey::{Event, Step, Verdict};
use waxwing_message::{JourneyId, ReversePath, trace};
use waxwing_smtp::reply::{EnhancedStatus, Reply};
use waxwing_store::{Acceptance, Beside, DepositTo, Failed, Observation, Role};

use super::plan::Plan;
use super::{Acceptor, Entrance, Incoming, Refusal};
use crate::clock::Clock;
use crate::examine::{Client, Content, Examination, Failing, Visit, is_trusted, judged_event};
use crate::reports;

/// The key that local parts of recipients are replaced by in failure reports.
const REDACTING_SECRET: &str = "failure reports";

/// What came of examining and judging.
pub(super) struct Judged {
    pub examination: Examination,
    /// For the journey.
    pub events: Vec<Event>,
    /// For the author's domain.
    pub to_tell: ToTell,
}

/// What the author's domain is told.
#[derive(Default)]
pub(super) struct ToTell {
    /// Once a day.
    pub observed: Vec<Observation>,
    /// Soon.
    pub failed: Vec<Failed>,
}

impl<R: Resolve, C: Clock> Acceptor<R, C> {
    /// For a message that is about to come, to be fed with its octets: what [`Incoming::verifier`]
    /// wants. `None` when nobody will ask about its signatures.
    pub fn verifier(&self, entrance: Entrance, ip: IpAddr) -> Option<Verifier> {
        self.examines(entrance, ip).then(Verifier::new)
    }

    fn examines(&self, entrance: Entrance, ip: IpAddr) -> bool {
        let judging = &self.policy.judging;
        entrance == Entrance::Mx && judging.examine && !is_trusted(&self.policy, ip)
    }

    /// Examines and judges mail from other servers; `None` for all other mail. What is spam to a
    /// reader goes to that reader's spam folder.
    pub(super) async fn judge(
        &self,
        incoming: &mut Incoming,
        plan: &mut Plan,
        journey: JourneyId,
        now: Timestamp,
    ) -> Result<Option<Judged>, Refusal> {
        let examined = |ip: &IpAddr| self.examines(incoming.entrance, *ip);
        let Some(ip) = incoming.source.ip.filter(examined) else { return Ok(None) };
        let verifier = incoming.verifier.take().unwrap_or_else(|| {
            let mut verifier = Verifier::new();
            verifier.write(incoming.spool.as_bytes());
            verifier
        });
        let client = Client {
            ip,
            helo: incoming.source.helo.as_deref().unwrap_or_default(),
            reverse_path: &incoming.envelope.reverse_path,
        };
        let visit = Visit { client: Some(client), raw: incoming.spool.as_bytes(), verifier };
        let examining = self.examiner.examine(&self.clock, &self.store, &self.policy, visit);
        let mut examination = examining.await?;
        self.greylist(incoming, &mut examination, now).await?;
        let overall = examination.judged(&self.policy);
        let to_tell = ToTell {
            observed: self.to_report(incoming, &examination, &overall, now).into_iter().collect(),
            failed: self.failed(incoming, &examination, &overall, now).await?.into_iter().collect(),
        };
        let mut events = vec![Event { at: now, step: examination.step() }];
        if let Some(refusal) = refusal(&overall.verdict, journey) {
            events.push(judged_event(&overall, None, now));
            self.record_refusal(incoming, journey, now, events, to_tell, &refusal).await?;
            return Err(refusal);
        }
        if plan.deposits.is_empty() {
            events.push(judged_event(&overall, None, now));
        }
        let mut content = Content::new(incoming.spool.as_bytes());
        let alone = plan.deposits.len() == 1 && plan.queue.is_empty();
        for deposit in &mut plan.deposits {
            let reader = examination.for_reader(&self.store, deposit.account, &mut content, now);
            let judgement = judge(&reader.await?, &self.policy.judging.spam);
            events.push(judged_event(&judgement, Some(deposit.recipient.clone()), now));
            if let Some(refusal) = refusal(&judgement.verdict, journey).filter(|_| alone) {
                self.record_refusal(incoming, journey, now, events, to_tell, &refusal).await?;
                return Err(refusal);
            }
            deposit.weight = Some(judgement.weight);
            if judgement.verdict != Verdict::Accept {
                deposit.mailbox = DepositTo::Role(Role::Junk);
            }
        }
        Ok(Some(Judged { examination, events, to_tell }))
    }

    /// What the author's domain is told, if we tell it anything.
    fn to_report(
        &self,
        incoming: &Incoming,
        examination: &Examination,
        overall: &Judgement,
        now: Timestamp,
    ) -> Option<Observation> {
        if !self.policy.reports.send {
            return None;
        }
        // Deviates: a domain's own reports are not reported on. Two that have nothing else to say
        // would otherwise tell each other of their reports every day for ever.
        let passed = examination.dmarc.as_ref().map(|dmarc| dmarc.result);
        if passed == Some(dmarc::DmarcResult::Pass)
            && reports::says_report(incoming.spool.as_bytes())
        {
            return None;
        }
        let recipient = match incoming.envelope.recipients.as_slice() {
            [only] => Some(&only.address),
            _ => None,
        };
        examination.to_report(&incoming.envelope.reverse_path, recipient, overall, now)
    }

    /// What the author's domain is told of this message soon, if it wants that and we do it.
    async fn failed(
        &self,
        incoming: &Incoming,
        examination: &Examination,
        overall: &Judgement,
        now: Timestamp,
    ) -> Result<Option<Failed>, Refusal> {
        let reports = &self.policy.reports;
        let (envelope, raw) = (&incoming.envelope, incoming.spool.as_bytes());
        // RFC 9991 §5: nothing of a report, so that reports cannot make each other. What is to come
        // again is told when it does.
        if !(reports.send && reports.failures)
            || examination.wants_failure_report().is_none()
            || matches!(envelope.reverse_path, ReversePath::Null)
            || matches!(overall.verdict, Verdict::Defer { .. })
            || reports::is_report(raw)
        {
            return Ok(None);
        }
        let redact = &self.store.secret(REDACTING_SECRET).await?;
        let verdict = &overall.verdict;
        Ok(examination.failed(&Failing { envelope, raw, verdict, now, redact }))
    }

    /// When greylisting: since when this origin is known.
    async fn greylist(
        &self,
        incoming: &Incoming,
        examination: &mut Examination,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !self.policy.judging.spam.greylist {
            return Ok(());
        }
        let network = examination.network();
        let to = incoming.envelope.recipients.first().map(|to| to.address.to_string());
        let path = incoming.envelope.reverse_path.address().map(ToString::to_string);
        let mut origin = blake3::Hasher::new();
        for part in [Some(network), path, to] {
            origin.update(part.unwrap_or_default().to_lowercase().as_bytes());
            origin.update(b"\0");
        }
        let origin = *origin.finalize().as_bytes();
        let since = self.store.greylisted_since(origin, now).await?;
        let ago = now.as_second().saturating_sub(since.as_second());
        let first_seen_secs_ago = (since < now).then(|| u64::try_from(ago).unwrap_or(0));
        examination.evidence.greylist = Some(GreylistFacts { first_seen_secs_ago });
        Ok(())
    }

    /// A message that is refused has a journey too, so that both sides can ask why.
    pub(super) async fn record_refusal(
        &self,
        incoming: &Incoming,
        journey: JourneyId,
        now: Timestamp,
        mut events: Vec<Event>,
        to_tell: ToTell,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        let envelope = incoming.envelope.clone();
        let raw = incoming.spool.as_bytes();
        let message_id = trace::message_id(raw);
        let step = Step::Refused {
            by: self.policy.host_name.clone(),
            protocol: incoming.protocol.clone(),
            source: incoming.source.clone(),
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(|to| to.address.clone()).collect(),
            message_id: message_id.clone(),
            size_octets: raw.len() as u64,
            code: refusal.reply.code,
            text: match refusal.reply.enhanced {
                Some(enhanced) => format!("{enhanced} {}", refusal.reply.text),
                None => refusal.reply.text.to_string(),
            },
        };
        events.push(Event { at: now, step });
        tracing::info!(%journey, reply = %refusal, "refused");
        let acceptance = Acceptance {
            journey,
            now,
            envelope,
            message_id,
            deposits: Vec::new(),
            queue: Vec::new(),
            queue_blob: None,
            events,
            beside: Beside {
                observed: to_tell.observed,
                failed: to_tell.failed,
                ..Beside::default()
            },
        };
        Ok(self.store.accept(acceptance).await?)
    }
}

/// The reply of a verdict that refuses; it names the journey, so that the sender can ask about it.
fn refusal(verdict: &Verdict, journey: JourneyId) -> Option<Refusal> {
    match verdict {
        Verdict::Accept | Verdict::SpamFolder => None,
        Verdict::Defer { text } => {
            let text = format!("{text} ({journey})");
            Some(Reply::new(451, (4, 7, 1), text).into())
        }
        Verdict::Refuse { status, text } => {
            let status: EnhancedStatus = status.parse().unwrap_or(EnhancedStatus::new(5, 7, 1));
            let text = format!("{text} ({journey})");
            Some(Reply::new(550, (5, status.subject, status.detail), text).into())
        }
    }
}
