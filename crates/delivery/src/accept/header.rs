//! The header block that a message will have: trace fields, what was found about it, signatures.
//!
//! | the message comes | in mailboxes | sent on |
//! |---|---|---|
//! | from another server | Return-Path, Authentication-Results, Received-SPF, Received; forged results of ours removed | the same without Return-Path, under an ARC set |
//! | from a person or from here | Return-Path, Received, repairs | Received, DKIM-Signature, repairs |

use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_mailauth::arc::SealError;
use waxwing_message::submission::{self, Submission};
use waxwing_message::trace::{self, Edited, Received};
use waxwing_message::{Address, JourneyId, ReversePath};
use waxwing_store::StoreError;

use super::plan::{self, Plan};
use super::verdict::Judged;
use super::{Acceptor, Incoming};
use crate::clock::Clock;
use crate::examine::forged_results;
use crate::sign::Leaving;

/// A message as it will be stored and sent.
pub(super) struct Prepared {
    /// In mailboxes: with Return-Path.
    pub stored: Edited,
    /// In the queue.
    pub queued: Edited,
    pub message_id: Option<String>,
    pub repairs: Vec<String>,
    /// Under which reverse-path it is sent on, where that is another.
    pub queue_reverse_path: Option<ReversePath>,
}

impl<R: Resolve, C: Clock> Acceptor<R, C> {
    /// The header block that the message will have, and what was changed.
    pub(super) async fn prepare(
        &self,
        incoming: &Incoming,
        plan: &Plan,
        judged: Option<&Judged>,
        journey: JourneyId,
        now: Timestamp,
    ) -> Result<Prepared, StoreError> {
        let received = self.received(incoming, journey, now);
        match incoming.entrance.may_relay() {
            true => self.prepare_submitted(incoming, plan, &received, now).await,
            false => self.prepare_from_elsewhere(incoming, plan, judged, received, now).await,
        }
    }

    fn received(&self, incoming: &Incoming, journey: JourneyId, now: Timestamp) -> Vec<u8> {
        let source = &incoming.source;
        let received = Received {
            helo: source.helo.as_deref(),
            ip: source.ip,
            host: None,
            by: &self.policy.host_name,
            with: &incoming.protocol,
            tls: source.tls.as_ref().map(|tls| (tls.version.as_str(), tls.cipher.as_str())),
            id: &journey.to_string(),
            recipient: match incoming.envelope.recipients.as_slice() {
                [only] => Some(&only.address),
                _ => None,
            },
            at: now,
        };
        received.to_field()
    }

    /// Repaired (RFC 6409 §8); signed when it leaves.
    async fn prepare_submitted(
        &self,
        incoming: &Incoming,
        plan: &Plan,
        received: &[u8],
        now: Timestamp,
    ) -> Result<Prepared, StoreError> {
        let raw = incoming.spool.as_bytes();
        let login = incoming.source.login.as_ref();
        let sender = incoming.envelope.reverse_path.address().or(login);
        let repaired = submission::repair(
            raw,
            &Submission {
                now,
                domain: sender.map_or(&*self.policy.host_name, Address::domain),
                random: self.dice.sixteen(),
                from: sender,
            },
        );
        let before = |before: &[&[u8]]| Edited {
            header: [before.concat(), repaired.edited.header.clone()].concat(),
            rest: repaired.edited.rest,
        };
        let mut signatures = Vec::new();
        if !plan.queue.is_empty() && self.policy.sign {
            let leaving = Leaving::new(raw, &repaired.edited);
            let authors = submission::from_addresses(raw).unwrap_or_default();
            if let Some(author) = authors.first().or(sender) {
                let signers = self.signers.of(&self.store, &self.clock, author.domain()).await?;
                signatures = leaving.signatures(&signers, now);
            }
        }
        let return_path = trace::return_path_field(&incoming.envelope.reverse_path);
        Ok(Prepared {
            stored: before(&[&return_path, received]),
            queued: before(&[received, &signatures]),
            message_id: Some(repaired.message_id.clone()),
            repairs: repaired.repairs.iter().map(ToString::to_string).collect(),
            queue_reverse_path: None,
        })
    }

    /// With what was found; sealed when it is forwarded, under a reverse-path of ours.
    async fn prepare_from_elsewhere(
        &self,
        incoming: &Incoming,
        plan: &Plan,
        judged: Option<&Judged>,
        received: Vec<u8>,
        now: Timestamp,
    ) -> Result<Prepared, StoreError> {
        let raw = incoming.spool.as_bytes();
        let host_name = &self.policy.host_name;
        let found = judged.map_or_else(Vec::new, |judged| {
            let examination = &judged.examination;
            [examination.results.to_field(), examination.received_spf.clone()].concat()
        });
        let fields = [found, received].concat();
        let return_path = trace::return_path_field(&incoming.envelope.reverse_path);
        let stored = trace::edit(raw, &[return_path, fields.clone()].concat(), |field| {
            field.is("Return-Path") || forged_results(field, host_name)
        });
        let mut queued = trace::edit(raw, &fields, |field| forged_results(field, host_name));
        let mut queue_reverse_path = None;
        if let Some(forwarded) = &plan.forwarded_by {
            if let Some(judged) = judged {
                let seal = self.seal(raw, &queued, judged, forwarded.domain(), now).await?;
                queued.header = [seal, queued.header].concat();
            }
            let (path, domain) = (&incoming.envelope.reverse_path, forwarded.domain());
            queue_reverse_path = plan::rewritten_path(&self.store, path, domain, now).await?;
        }
        let message_id = trace::message_id(raw);
        Ok(Prepared { stored, queued, message_id, repairs: Vec::new(), queue_reverse_path })
    }

    /// What we saw, sealed for those after us (RFC 8617).
    async fn seal(
        &self,
        raw: &[u8],
        queued: &Edited,
        judged: &Judged,
        domain: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, StoreError> {
        if !self.policy.sign {
            return Ok(Vec::new());
        }
        let signers = self.signers.of(&self.store, &self.clock, domain).await?;
        let examination = &judged.examination;
        let leaving = Leaving::new(raw, queued);
        match leaving.seal(&signers, &examination.results, &examination.arc, now) {
            Ok(set) => Ok(set),
            Err(error @ (SealError::Ended | SealError::TooMany)) => {
                tracing::debug!(%error, "forwarded without a seal");
                Ok(Vec::new())
            }
        }
    }
}
