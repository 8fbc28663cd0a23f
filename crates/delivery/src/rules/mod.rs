//! Readers' own rules (Sieve, RFC 5228) at delivery: after the verdict, before the transaction.
//!
//! ```text
//! deposits ── active scripts? (one look-up for all) ── none: nothing more
//!                    │
//!      run ⇄ ask ────┴──▶ outcome ── carry ──▶ deposits, messages caused, what is to be remembered
//!                                        └───▶ refusal, while the client still waits
//! ```
//!
//! | module | its job |
//! |---|---|
//! | `absence` | what a reader who is away has said, as one more script |
//! | `ask` | what a script asks of the store |
//! | `carry` | from what a script decided to what becomes true |
//! | `letters` | messages that a script causes: redirected ones, answers, reports |
//!
//! | what a script wants | what is done |
//! |---|---|
//! | implicit keep | into the mailbox that the verdict chose |
//! | `keep` | into that mailbox; of what was judged to be spam, into INBOX |
//! | `fileinto` | into that mailbox; where there is none, as the implicit keep |
//! | `redirect` | queued with the sender's wishes, under a reverse-path of ours as aliases do it |
//! | `discard` | nothing; the journey says by whom |
//! | `reject`, `ereject` | refused at the end of data when nobody else gets the message, else a report (RFC 5429 §2) |
//! | `vacation`, `notify` | a message from the null reverse-path |
//!
//! All of it commits with the message or not at all. A script that fails means the implicit keep, and
//! its error stands in the journey. Not here: the language itself ([`waxwing_filter::sieve`]).

mod absence;
mod ask;
mod carry;
mod letters;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use waxwing_filter::sieve::{self, Capabilities, Outcome, Script};
use waxwing_mailauth::arc::Validation;
use waxwing_mailauth::results::AuthenticationResults;
use waxwing_message::journey::{Event, Source, Step};
use waxwing_message::trace::Edited;
use waxwing_message::{Envelope, JourneyId, Message};
use waxwing_store::{AbsenceAnswer, Account, ActiveScript, Spool, Store, StoreError};

use crate::accept::plan::{Plan, PlannedDeposit};
use crate::clock::Clock;
use crate::dice::Dice;
use crate::policy::Policy;
use crate::sign::Signers;
use ask::{Asking, Known};

/// Compiled scripts that are kept ready.
const SCRIPTS_MAX: usize = 1_000;
/// How often a script may run for one message until all that it asks is known. Later answers are
/// those of an empty world.
const ROUNDS_MAX: usize = 16;

/// What scripts may use: everything there is.
pub fn capabilities() -> Capabilities {
    Capabilities::default()
}

/// Compiled scripts by what is in them.
#[derive(Default)]
pub(crate) struct Rulebook {
    compiled: Mutex<HashMap<[u8; 32], Script>>,
}

impl Rulebook {
    fn find(&self, digest: &[u8; 32]) -> Option<Script> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn keep(&self, digest: [u8; 32], script: Script) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= SCRIPTS_MAX {
            compiled.clear();
        }
        compiled.insert(digest, script);
    }
}

/// What sorting needs.
pub(crate) struct Sorter<'a, C> {
    pub store: &'a Store,
    pub policy: &'a Policy,
    pub clock: &'a C,
    pub dice: &'a Dice,
    pub signers: &'a Signers,
    pub rulebook: &'a Rulebook,
}

/// A message that is about to be put into mailboxes.
pub(crate) struct Arrival<'a> {
    pub journey: JourneyId,
    pub now: Timestamp,
    pub envelope: &'a Envelope,
    pub source: &'a Source,
    pub spool: &'a Spool,
    /// As it will stand in mailboxes.
    pub stored: &'a Edited,
    /// What was found, for the seal of what is redirected.
    pub found: Option<(&'a AuthenticationResults, &'a Validation)>,
    /// Written by a person here: what is redirected is signed.
    pub is_ours: bool,
    /// The client waits for one answer, and nobody but one reader gets the message.
    pub may_refuse: bool,
}

/// What one reader has done with mail.
#[derive(Clone, Copy)]
struct Rules<'a> {
    script: Option<&'a ActiveScript>,
    answer: Option<&'a AbsenceAnswer>,
}

impl Rules<'_> {
    fn are_none(&self) -> bool {
        self.script.is_none() && self.answer.is_none()
    }
}

/// A script refuses the message, with these words.
pub(crate) struct Refused {
    pub text: String,
}

impl<C: Clock> Sorter<'_, C> {
    /// Runs the scripts of all whose mailboxes the message is for, and changes the plan accordingly.
    pub async fn sort(
        &self,
        arrival: &Arrival<'_>,
        plan: &mut Plan,
    ) -> Result<Option<Refused>, StoreError> {
        let accounts: Vec<_> = plan.deposits.iter().map(|deposit| deposit.account).collect();
        if accounts.is_empty() {
            return Ok(None);
        }
        let active = self.store.active_rules(accounts, arrival.now).await?;
        if active.are_none() {
            return Ok(None);
        }
        let octets = Arc::new(arrival.stored.concat(arrival.spool.as_bytes()));
        let mut refused = None;
        for deposit in std::mem::take(&mut plan.deposits) {
            let account = deposit.account;
            let script = active.scripts.iter().find(|script| script.account == account);
            let answer = active.answers.iter().find(|(owner, _)| *owner == account);
            let rules = Rules { script, answer: answer.map(|(_, answer)| answer) };
            if rules.are_none() {
                plan.deposits.push(deposit);
                continue;
            }
            let Some(account) = self.store.account(deposit.account).await? else {
                // Removed meanwhile: the transaction will say so.
                plan.deposits.push(deposit);
                continue;
            };
            let sorted = self.sort_one(arrival, &octets, deposit, &account, rules, plan);
            refused = sorted.await?.or(refused);
        }
        Ok(refused)
    }

    async fn sort_one(
        &self,
        arrival: &Arrival<'_>,
        octets: &Arc<Vec<u8>>,
        deposit: PlannedDeposit,
        account: &Account,
        rules: Rules<'_>,
        plan: &mut Plan,
    ) -> Result<Option<Refused>, StoreError> {
        let carrier = carry::Carrier::new(self, arrival, octets, account, deposit, plan);
        let script = match rules.script {
            Some(active) => self.compiled(active).await?.map(Some),
            None => Ok(None),
        };
        let ended = match script {
            Ok(script) => {
                let (mut outcome, mut known) = match script {
                    Some(script) => self.run(script, carrier.facts(), octets, account).await?,
                    None => (absence::just_kept(), Known::default()),
                };
                if let Some(answer) = rules.answer.filter(|_| absence::fits(&outcome))
                    && !carrier.is_junk()
                {
                    let script = absence::script(answer);
                    let ran = self.run(script, carrier.facts(), octets, account).await?;
                    absence::join(&mut outcome, ran.0);
                    known = known.with(ran.1);
                }
                carrier.carry_out(outcome, known).await?
            }
            Err(why) => carrier.keep_as_judged(why),
        };
        let step = Step::Sorted {
            recipient: ended.recipient,
            account: account.address.clone(),
            script: rules.script.map_or(absence::NAME, |script| &script.name).to_owned(),
            trace: ended.trace,
            error: ended.error,
            caused: ended.caused,
        };
        plan.events.push(Event { at: arrival.now, step });
        Ok(ended.refused)
    }

    /// The active script, or why it cannot run.
    async fn compiled(&self, active: &ActiveScript) -> Result<Result<Script, String>, StoreError> {
        if let Some(script) = self.rulebook.find(&active.digest) {
            return Ok(Ok(script));
        }
        let Some(content) = self.store.sieve_script(active.account, &active.name).await? else {
            return Ok(Err("the script was removed meanwhile".to_owned()));
        };
        Ok(match sieve::compile(&content, &capabilities()) {
            Ok(script) => {
                self.rulebook.keep(*blake3::hash(&content).as_bytes(), script.clone());
                Ok(script)
            }
            Err(faults) => Err(faults.to_string().replace('\n', "; ")),
        })
    }

    /// Runs a script until nothing that it asks is unknown. Runs are alike but for the answers.
    async fn run(
        &self,
        script: Script,
        facts: carry::Facts,
        octets: &Arc<Vec<u8>>,
        account: &Account,
    ) -> Result<(Outcome, Known), StoreError> {
        let facts = Arc::new(facts);
        let mut known = Known::default();
        let mut round = 0;
        loop {
            round += 1;
            let (script, facts, octets) = (script.clone(), facts.clone(), octets.clone());
            // A script may take as long as its limits allow: not on the threads that all mail needs.
            let running = tokio::task::spawn_blocking(move || {
                let message = Message::parse(&octets);
                let asking = Asking::new(known);
                let outcome = sieve::run(&script, &facts.context(&message), &asking);
                (outcome, asking.into_parts())
            });
            let (outcome, (answered, questions)) = running
                .await
                .map_err(|e| StoreError::Unavailable(format!("a script was cut short: {e}")))?;
            known = answered;
            if questions.is_empty() || round == ROUNDS_MAX {
                return Ok((outcome, known));
            }
            known.learn(self.store, account.id, questions, self.clock.now()).await?;
        }
    }
}
