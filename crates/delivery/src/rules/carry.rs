//! From what a script decided to what becomes true: deposits, messages caused, what is to be
//! remembered, and the words of the journey.

use std::sync::Arc;
use std::time::Duration;

use waxwing_filter::sieve::{Action, Context, Fcc, FileInto, Keep, Outcome, Redirect, Vacation};
use waxwing_message::journey::CausedMessage;
use waxwing_message::trace::header_end;
use waxwing_message::{Address, Message, ReversePath, Summary};
use waxwing_store::{
    Account, Caused, DepositTo, Flags, OnceInAWhile, Role, SeenId, StoreError, SystemFlags,
};

use super::ask::{Known, answer_hash, earlier, is_named, seen_hash};
use super::letters::Letter;
use super::{Arrival, Refused, Sorter};
use crate::accept::plan::{Plan, PlannedDeposit};
use crate::clock::{Clock, later};

/// Characters of a reason that stand in a reply.
const REASON_MAX: usize = 400;

/// What a run is told, by itself.
pub(super) struct Facts {
    from: ReversePath,
    to: Address,
    original_to: Option<Address>,
    own_name: Option<String>,
    now: jiff::Timestamp,
    spam_percent: Option<f32>,
    environment: Vec<(String, String)>,
    random: [u8; 16],
}

impl Facts {
    /// For one run.
    pub fn context<'a>(&self, message: &'a Message<'a>) -> Context<'a> {
        Context {
            original_to: self.original_to.clone(),
            own_name: self.own_name.clone(),
            spam_percent: self.spam_percent,
            environment: self.environment.clone(),
            random: self.random,
            ..Context::new(message, self.from.clone(), self.to.clone(), self.now)
        }
    }
}

/// What the journey is told, and whether the client is refused.
pub(super) struct Ended {
    pub recipient: Address,
    pub trace: Vec<String>,
    pub error: Option<String>,
    pub caused: Vec<CausedMessage>,
    pub refused: Option<Refused>,
}

/// Carries out what one reader's script wants.
pub(super) struct Carrier<'a, C> {
    pub sorter: &'a Sorter<'a, C>,
    pub arrival: &'a Arrival<'a>,
    pub octets: &'a Arc<Vec<u8>>,
    pub account: &'a Account,
    pub deposit: PlannedDeposit,
    plan: &'a mut Plan,
    trace: Vec<String>,
    caused: Vec<CausedMessage>,
    refused: Option<Refused>,
}

impl<'a, C: Clock> Carrier<'a, C> {
    pub fn new(
        sorter: &'a Sorter<'a, C>,
        arrival: &'a Arrival<'a>,
        octets: &'a Arc<Vec<u8>>,
        account: &'a Account,
        deposit: PlannedDeposit,
        plan: &'a mut Plan,
    ) -> Carrier<'a, C> {
        let (trace, caused) = (Vec::new(), Vec::new());
        Carrier { sorter, arrival, octets, account, deposit, plan, trace, caused, refused: None }
    }

    /// What the script is told.
    pub fn facts(&self) -> Facts {
        let (source, to) = (self.arrival.source, self.account.address.clone());
        let item = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let host = &self.sorter.policy.host_name;
        // RFC 5183 §4.1.
        let mut environment = vec![
            item("domain", host.split_once('.').map_or("", |(_, domain)| domain)),
            item("host", host),
            item("location", "MDA"),
            item("phase", "during"),
        ];
        environment.extend(source.ip.map(|ip| item("remote-ip", &ip.to_string())));
        environment.extend(source.helo.as_deref().map(|helo| item("remote-host", helo)));
        Facts {
            from: self.arrival.envelope.reverse_path.clone(),
            original_to: (self.deposit.recipient != to).then(|| self.deposit.recipient.clone()),
            to,
            own_name: Some(self.account.display_name.clone()).filter(|name| !name.is_empty()),
            now: self.arrival.now,
            // A hundred points are certainty.
            spam_percent: self.deposit.weight.map(|weight| weight.clamp(0, 100) as f32),
            environment,
            random: self.sorter.dice.sixteen(),
        }
    }

    /// The verdict is that it is unwanted.
    pub fn is_junk(&self) -> bool {
        self.deposit.mailbox == DepositTo::Role(Role::Junk)
    }

    /// A script that cannot run at all.
    pub fn keep_as_judged(self, why: String) -> Ended {
        let recipient = self.deposit.recipient.clone();
        self.plan.deposits.push(self.deposit);
        Ended { recipient, trace: self.trace, error: Some(why), caused: Vec::new(), refused: None }
    }

    /// Does everything that was decided.
    pub async fn carry_out(
        mut self,
        outcome: Outcome,
        mut known: Known,
    ) -> Result<Ended, StoreError> {
        self.trace = outcome.trace.iter().map(ToString::to_string).collect();
        for action in &outcome.actions {
            match action {
                Action::Keep(keep) => self.keep(keep, &outcome).await?,
                Action::FileInto(file) => self.file(file, &outcome, &mut known).await?,
                Action::Redirect(redirect) => self.redirect(redirect, &outcome).await?,
                // The trace says which rule it was.
                Action::Discard => {}
                Action::Reject(reject) => self.reject(reject).await?,
                Action::Vacation(vacation) => self.answer(vacation, &mut known).await?,
                Action::Notify(notification) => {
                    if let Some((to, reply)) = &notification.mail {
                        self.send("notify", to, &reply.message, &reply.from, None).await?;
                        self.file_copy(&notification.fcc, &reply.message, &mut known).await?;
                    }
                }
            }
        }
        if let Some(keep) = &outcome.keep {
            let (mailbox, flags) = (self.deposit.mailbox.clone(), &keep.flags);
            self.put(mailbox, flags, keep.version, &outcome).await?;
        }
        for id in &outcome.seen {
            self.plan.seen_ids.push(SeenId {
                account: self.account.id,
                id: seen_hash(id),
                expires_at: later(self.arrival.now, Duration::from_secs(id.seconds)),
                renew: id.last,
            });
        }
        Ok(Ended {
            recipient: self.deposit.recipient,
            trace: self.trace,
            error: outcome.error.map(|error| error.to_string()),
            caused: self.caused,
            refused: self.refused,
        })
    }

    /// The reader's own word goes before our judgement.
    async fn keep(&mut self, keep: &Keep, outcome: &Outcome) -> Result<(), StoreError> {
        let mailbox = match &self.deposit.mailbox {
            DepositTo::Role(_) => DepositTo::Role(Role::Inbox),
            other => other.clone(),
        };
        self.put(mailbox, &keep.flags, keep.version, outcome).await
    }

    async fn file(
        &mut self,
        file: &FileInto,
        outcome: &Outcome,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let place = (file.mailbox.as_str(), file.create, file.special_use.as_deref());
        let mailbox = match self.place(place, known).await? {
            Some(mailbox) => mailbox,
            None => {
                // RFC 5228 §4.1 leaves open what is done then: nothing is lost.
                let note = format!("there is no mailbox \"{}\": kept instead", file.mailbox);
                self.trace.push(note);
                self.deposit.mailbox.clone()
            }
        };
        self.put(mailbox, &file.flags, file.version, outcome).await
    }

    /// The mailbox that is meant; `None` when there is none.
    async fn place(
        &self,
        (name, create, special_use): (&str, bool, Option<&str>),
        known: &mut Known,
    ) -> Result<Option<DepositTo>, StoreError> {
        let (store, account) = (self.sorter.store, self.account.id);
        // RFC 8579 §3: by its use first, then by its name.
        if let Some(role) = special_use.and_then(Role::of_special_use)
            && known.mailbox(store, account, |_, known| known == Some(role)).await?
        {
            return Ok(Some(DepositTo::Role(role)));
        }
        let there =
            create || known.mailbox(store, account, |known, _| is_named(known, name)).await?;
        Ok(there.then(|| DepositTo::Name { name: name.to_owned(), create }))
    }

    async fn put(
        &mut self,
        mailbox: DepositTo,
        flags: &[String],
        version: Option<usize>,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let content = match version.and_then(|index| outcome.versions.get(index)) {
            None => None,
            Some(version) => {
                let octets = version.concat(self.octets, header_end(self.octets));
                let summary = Summary::of(&Message::parse(&octets));
                Some((self.sorter.store.stage_bytes(octets).await?, summary))
            }
        };
        let flags = flags_of(flags);
        self.plan.deposits.push(PlannedDeposit { mailbox, flags, content, ..self.another() });
        Ok(())
    }

    fn another(&self) -> PlannedDeposit {
        let PlannedDeposit { account, recipient, weight, .. } = &self.deposit;
        PlannedDeposit {
            account: *account,
            mailbox: DepositTo::Role(Role::Inbox),
            recipient: recipient.clone(),
            weight: *weight,
            flags: Flags::default(),
            content: None,
            despite_quota: false,
        }
    }

    async fn redirect(&mut self, redirect: &Redirect, outcome: &Outcome) -> Result<(), StoreError> {
        let changed = redirect.version.and_then(|index| outcome.versions.get(index));
        let octets = match changed {
            None => self.octets.clone(),
            Some(version) => Arc::new(version.concat(self.octets, header_end(self.octets))),
        };
        if let Some(why) = self.goes_in_circles(&octets, &redirect.address) {
            self.trace.push(format!("not redirected to {}: {why}", redirect.address));
            let is_kept = redirect.copy || outcome.keep.is_some();
            return match is_kept {
                true => Ok(()),
                false => {
                    let mailbox = self.deposit.mailbox.clone();
                    self.put(mailbox, &[], redirect.version, outcome).await
                }
            };
        }
        let acceptance = self.redirected(octets, &redirect.address).await?;
        self.cause("redirect", vec![redirect.address.clone()], acceptance, None);
        Ok(())
    }

    async fn answer(&mut self, vacation: &Vacation, known: &mut Known) -> Result<(), StoreError> {
        let (now, account) = (self.arrival.now, self.account.id);
        let once = OnceInAWhile {
            account,
            whom: answer_hash(&vacation.handle, &vacation.to.to_string()),
            again_from: earlier(now, vacation.seconds),
            forget_at: later(now, Duration::from_secs(vacation.seconds)),
        };
        let (to, reply) = ([vacation.to.clone()], &vacation.reply);
        self.send("vacation", &to, &reply.message, &reply.from, Some(once)).await?;
        self.file_copy(&vacation.fcc, &reply.message, known).await
    }

    /// A message from the null reverse-path, so that nothing answers it (RFC 5230 §5.1, RFC 3834 §3.3).
    async fn send(
        &mut self,
        what: &str,
        to: &[Address],
        message: &[u8],
        from: &Address,
        once: Option<OnceInAWhile>,
    ) -> Result<(), StoreError> {
        let letter = Letter { to, octets: message.to_vec(), from };
        let acceptance = letter.acceptance(self.sorter, self.arrival.now).await?;
        self.cause(what, to.to_vec(), acceptance, once);
        Ok(())
    }

    /// RFC 8580 §3: what was sent is filed too.
    async fn file_copy(
        &mut self,
        fcc: &Option<Fcc>,
        message: &[u8],
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let Some(fcc) = fcc else { return Ok(()) };
        let place = (fcc.mailbox.as_str(), fcc.create, fcc.special_use.as_deref());
        let mailbox = match self.place(place, known).await? {
            Some(mailbox) => mailbox,
            None => DepositTo::Role(Role::Inbox),
        };
        let summary = Summary::of(&Message::parse(message));
        let content = Some((self.sorter.store.stage_bytes(message.to_vec()).await?, summary));
        let (flags, despite_quota) = (flags_of(&fcc.flags), true);
        let copy = PlannedDeposit { mailbox, flags, content, despite_quota, ..self.another() };
        self.plan.deposits.push(copy);
        Ok(())
    }

    /// RFC 5429 §2.1: rather refused than reported. Where nobody can be told it is discarded, which the
    /// journey says. `reject` is reported by DSN too, as RFC 5429 §2.3 lets it be taken for `ereject`.
    async fn reject(&mut self, reject: &waxwing_filter::sieve::Reject) -> Result<(), StoreError> {
        // A reply is ASCII (RFC 5321 §4.2): words that are not would be lost, which `reject` minds more
        // than `ereject`.
        if self.arrival.may_refuse && (reject.reason.is_ascii() || reject.ereject) {
            self.refused = Some(Refused { text: one_line(&reject.reason) });
            return Ok(());
        }
        self.plan.delivered.retain(|recipient| recipient.address != self.deposit.recipient);
        match self.report(&reject.reason).await? {
            Ok((to, acceptance)) => self.cause("reject", vec![to], acceptance, None),
            Err(why) => self.trace.push(format!("the sender is not told: {why}")),
        }
        Ok(())
    }

    fn cause(
        &mut self,
        what: &str,
        to: Vec<Address>,
        acceptance: waxwing_store::Acceptance,
        once: Option<OnceInAWhile>,
    ) {
        let journey = acceptance.journey;
        self.caused.push(CausedMessage { what: what.to_owned(), to, journey });
        self.plan.caused.push(Caused { account: self.account.id, acceptance, once });
    }
}

/// IMAP's names of flags to what is stored.
fn flags_of(names: &[String]) -> Flags {
    let mut flags = Flags::default();
    let mut keywords: Vec<Arc<str>> = Vec::new();
    for name in names {
        let system = match name.strip_prefix('\\').map(str::to_ascii_lowercase).as_deref() {
            Some("seen") => SystemFlags::SEEN,
            Some("answered") => SystemFlags::ANSWERED,
            Some("flagged") => SystemFlags::FLAGGED,
            Some("deleted") => SystemFlags::DELETED,
            Some("draft") => SystemFlags::DRAFT,
            Some(_) => continue,
            None => {
                keywords.push(name.as_str().into());
                continue;
            }
        };
        flags.system = flags.system.with(system);
    }
    keywords.sort();
    flags.keywords = (!keywords.is_empty()).then(|| keywords.into());
    flags
}

/// A reason as it may stand in a reply.
fn one_line(reason: &str) -> String {
    if !reason.is_ascii() {
        return "the recipient's rules refuse this message".to_owned();
    }
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
    match line.is_empty() {
        true => "the recipient's rules refuse this message".to_owned(),
        false => line,
    }
}
