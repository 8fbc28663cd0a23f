//! Readers' rules on a message that comes in: [`crate::rules`] between the verdict and the transaction.

use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_message::JourneyId;

use super::header::Prepared;
use super::plan::Plan;
use super::verdict::{Judged, ToTell};
use super::{Acceptor, Entrance, Incoming, Refusal};
use crate::clock::Clock;
use crate::rules::{Arrival, Sorter};

impl<R: Resolve, C: Clock> Acceptor<R, C> {
    /// Changes the plan by what readers' scripts want; a refusal when the only reader's script
    /// rejects the message.
    pub(super) async fn sort(
        &self,
        incoming: &Incoming,
        plan: &mut Plan,
        judged: &mut Option<Judged>,
        prepared: &Prepared,
        (journey, now): (JourneyId, Timestamp),
    ) -> Result<(), Refusal> {
        let alone = plan.deposits.len() == 1
            && plan.queue.is_empty()
            && incoming.envelope.recipients.len() == 1;
        let arrival = Arrival {
            journey,
            now,
            envelope: &incoming.envelope,
            source: &incoming.source,
            spool: &incoming.spool,
            stored: &prepared.stored,
            found: judged.as_ref().map(|judged| {
                let examination = &judged.examination;
                (&examination.results, &examination.arc)
            }),
            is_ours: incoming.entrance.may_relay(),
            may_refuse: alone && incoming.entrance != Entrance::Local,
        };
        let sorter = Sorter {
            store: &self.store,
            policy: &self.policy,
            clock: &self.clock,
            dice: &self.dice,
            signers: &self.signers,
            rulebook: &self.rulebook,
        };
        let Some(refused) = sorter.sort(&arrival, plan).await? else { return Ok(()) };
        // Named, as in every refusal, so that the sender can ask about it.
        let text = format!("{} ({journey})", refused.text);
        let refusal = Refusal::new(550, (5, 7, 1), text);
        let (mut events, mut to_tell) = (Vec::new(), ToTell::default());
        if let Some(judged) = judged.take() {
            events = judged.events;
            to_tell = judged.to_tell;
        }
        events.append(&mut plan.events);
        self.record_refusal(incoming, journey, now, events, to_tell, &refusal).await?;
        Err(refusal)
    }
}
