//! The intake: messages as a source hands them over, into the store.
//!
//! A batch goes through four steps: what is known is left out (two look-ups by hash), the rest is
//! parsed and packed on all processors, and added in one transaction, while the next batch is already
//! on its way. The order of the source is kept.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use waxwing_message::{Message, Summary};
use waxwing_migrate::print::{self, Content};
use waxwing_store::{
    AccountId, AppendError, Flags, ImportMark, ImportPrint, MailboxId, NewImport, NewMessage,
    Spool, StagedBlob, Store,
};

use super::super::progress::{Meter, Progress};
use super::places::{Place, Places, Target};

/// Messages in one transaction.
const BATCH_MESSAGES: usize = 64;
/// Octets of the messages in one transaction; a larger message is alone.
const BATCH_OCTETS: usize = 8 << 20;
/// Messages that a source may be ahead.
const AHEAD: usize = 16;
/// Failures that are told by name; the others are counted.
const FAILURES_TOLD: usize = 1_000;
/// A larger message is not imported.
pub const MESSAGE_OCTETS_MAX: u64 = 512 << 20;

/// What a source says.
pub enum Arriving {
    /// A message.
    Message(Box<Arrived>),
    /// A message that cannot be had: which, and why.
    Failed(String, String),
    /// A message that its owner had deleted.
    LeftOut,
    /// Something to be told at the end.
    Note(String),
}

/// A message from elsewhere.
pub struct Arrived {
    /// Where it belongs: at least one place.
    pub places: Vec<Place>,
    /// What it says.
    pub spool: Spool,
    /// When it came there; its own date is taken where that is not known.
    pub received_at: Option<Timestamp>,
    /// Flags and keywords.
    pub flags: Flags,
    /// What it is called in a complaint.
    pub what: String,
    /// Reached when it is done.
    pub mark: Option<ImportMark>,
}

/// Where a source hands messages over. Waits while the store is behind.
pub struct Outlet {
    /// For spools and marks.
    pub store: Store,
    /// Whose import it is.
    pub account: AccountId,
    /// To be kept up to date by the source.
    pub meter: Arc<Meter>,
    queue: mpsc::Sender<Arriving>,
}

/// Nobody wants more: the import is over.
#[derive(Debug)]
pub struct Over;

impl std::fmt::Display for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the import was ended")
    }
}

impl std::error::Error for Over {}

impl Outlet {
    pub fn new(
        store: Store,
        account: AccountId,
        meter: Arc<Meter>,
    ) -> (Outlet, mpsc::Receiver<Arriving>) {
        let (queue, arriving) = mpsc::channel(AHEAD);
        (Outlet { store, account, meter, queue }, arriving)
    }

    /// From an async task.
    pub async fn send(&self, arriving: Arriving) -> Result<(), Over> {
        self.queue.send(arriving).await.map_err(|_| Over)
    }

    /// From a thread.
    pub fn send_blocking(&self, arriving: Arriving) -> Result<(), Over> {
        self.queue.blocking_send(arriving).map_err(|_| Over)
    }
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Messages added; one in two mailboxes counts twice.
    pub added: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that were here already.
    pub known: u64,
    /// Messages that their owner had deleted.
    pub left_out: u64,
    /// The first failures: which message, and why.
    pub failed: Vec<(String, String)>,
    /// All of them.
    pub failed_count: u64,
    /// Messages added to each mailbox.
    pub mailboxes: BTreeMap<String, u64>,
    /// The account's quota ended it.
    pub over_quota: bool,
    /// Why the source ended before its end.
    pub ended: Option<String>,
    /// What else is to be told.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Everything there was is here.
    pub fn is_whole(&self) -> bool {
        self.failed_count == 0 && !self.over_quota && self.ended.is_none()
    }

    fn fail(&mut self, what: String, why: String) {
        self.failed_count += 1;
        if self.failed.len() < FAILURES_TOLD {
            self.failed.push((what, why));
        }
    }
}

/// A message on its way into one mailbox.
struct Entering {
    target: Target,
    print: ImportPrint,
    arrived: Arc<Arrived>,
    content: Content,
}

/// A message ready to be added.
struct Ready {
    mailbox: MailboxId,
    name: String,
    print: ImportPrint,
    message: NewMessage,
    what: String,
}

/// Some messages of one mailbox, one transaction.
#[derive(Default)]
struct Load {
    messages: Vec<Ready>,
    mark: Option<(MailboxId, ImportMark)>,
}

/// The intake of one import.
pub struct Intake {
    store: Store,
    account: AccountId,
    places: Places,
    dry_run: bool,
    /// In a dry run: what would have been added.
    would_add: HashSet<ImportPrint>,
    progress: Progress,
    outcome: Outcome,
    /// The transaction that is on its way.
    adding: Option<JoinHandle<Result<Added>>>,
    /// Parsing and packing at once: more threads than processors only take memory.
    processors: Arc<Semaphore>,
}

/// What became of a load.
struct Added {
    /// Name and octets of each that was added.
    added: Vec<(String, u64)>,
    known: u64,
    over_quota: bool,
}

impl Intake {
    pub fn new(
        store: Store,
        account: AccountId,
        places: Places,
        dry_run: bool,
        progress: Progress,
    ) -> Intake {
        Intake {
            store,
            account,
            places,
            dry_run,
            would_add: HashSet::new(),
            progress,
            outcome: Outcome::default(),
            adding: None,
            processors: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(2, usize::from),
            )),
        }
    }

    /// Takes all that comes, until the source has no more or the account is full. Gives the outcome and
    /// how long it took.
    pub async fn take(mut self, mut from: mpsc::Receiver<Arriving>) -> Result<(Outcome, Duration)> {
        let (mut batch, mut octets) = (Vec::new(), 0);
        while let Some(arriving) = from.recv().await {
            let arrived = match arriving {
                Arriving::Message(arrived) => *arrived,
                other => {
                    self.note(other);
                    continue;
                }
            };
            let source = |arrived: &Arrived| arrived.mark.map(|mark| mark.source);
            let another = batch.last().is_some_and(|last| source(last) != source(&arrived));
            let size = arrived.spool.as_bytes().len();
            if another || batch.len() >= BATCH_MESSAGES || octets + size > BATCH_OCTETS {
                self.enter(std::mem::take(&mut batch)).await?;
                octets = 0;
            }
            octets += size;
            batch.push(arrived);
            if self.outcome.over_quota {
                break;
            }
        }
        drop(from);
        if !self.outcome.over_quota {
            self.enter(batch).await?;
        }
        self.finish_adding().await?;
        Ok((self.outcome, self.progress.finish()))
    }

    fn note(&mut self, arriving: Arriving) {
        match arriving {
            Arriving::Failed(what, why) => self.outcome.fail(what, why),
            Arriving::LeftOut => self.outcome.left_out += 1,
            Arriving::Note(text) => self.outcome.notes.push(text),
            Arriving::Message(_) => {}
        }
    }

    /// All steps of one batch but the last, which goes on beside the next batch.
    async fn enter(&mut self, batch: Vec<Arrived>) -> Result<()> {
        let Some(last) = batch.last() else { return Ok(()) };
        let (mark, place) = (last.mark, last.places.first().cloned());
        let failed = self.outcome.failed_count;
        let unknown = self.unknown(batch).await?;
        let mut load = self.prepare(unknown).await?;
        if self.dry_run {
            for ready in &load.messages {
                let octets = ready.message.blob.size_octets;
                count(&mut self.outcome, &ready.name, octets);
            }
        } else {
            // What failed is to be tried again by the next import.
            let mark = mark.filter(|_| self.outcome.failed_count == failed);
            if let (Some(mark), Some(place)) = (mark, place.as_ref()) {
                let mailbox = self.places.target(place).await.ok().and_then(|target| target.id);
                load.mark = mailbox.map(|mailbox| (mailbox, mark));
            }
            self.finish_adding().await?;
            let store = self.store.clone();
            self.adding = Some(tokio::spawn(async move { add(&store, load).await }));
        }
        let through = self.outcome.added + self.outcome.known;
        let shown = place.map_or_else(String::new, |place| match place {
            Place::Role(_, name) | Place::Name(name) => name,
        });
        self.progress.show(through, &shown);
        Ok(())
    }

    /// Those of a batch that no import has brought, each in each of its mailboxes.
    async fn unknown(&mut self, batch: Vec<Arrived>) -> Result<Vec<Entering>> {
        // The hashes, off the async threads.
        let hashed = tokio::task::spawn_blocking(move || {
            let one =
                |arrived: Arrived| (print::content(arrived.spool.as_bytes()), Arc::new(arrived));
            batch.into_iter().map(one).collect::<Vec<_>>()
        });
        let mut entering = Vec::new();
        for (content, arrived) in hashed.await? {
            for place in &arrived.places {
                match self.places.target(place).await {
                    Ok(target) => {
                        let print = print::in_mailbox(&content, &target.name);
                        let arrived = arrived.clone();
                        entering.push(Entering { target, print, arrived, content });
                    }
                    Err(error) => self.outcome.fail(arrived.what.clone(), format!("{error:#}")),
                }
            }
        }
        let prints = entering.iter().map(|entering| entering.print).collect();
        let known = self.store.known_imports(self.account, prints).await?;
        let mut unknown = Vec::new();
        for (entering, known) in entering.into_iter().zip(known) {
            if known || self.dry_run && !self.would_add.insert(entering.print) {
                self.outcome.known += 1;
            } else {
                unknown.push(entering);
            }
        }
        Ok(unknown)
    }

    /// Parses and packs, all at once; leaves out what a mailbox held before.
    async fn prepare(&mut self, unknown: Vec<Entering>) -> Result<Load> {
        let mut working: Vec<(Entering, JoinHandle<Result<Packed>>)> = Vec::new();
        for entering in unknown {
            let (store, spool) = (self.store.clone(), entering.arrived.spool.clone());
            let processors = self.processors.clone();
            let packing = tokio::spawn(async move {
                let _turn = processors.acquire_owned().await?;
                pack(&store, spool).await
            });
            working.push((entering, packing));
        }
        let (mut load, mut present) = (Load::default(), Vec::new());
        for (entering, packed) in working {
            let (summary, blob) = match packed.await {
                Ok(Ok(packed)) => packed,
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let why = "it cannot be parsed: please report this".to_owned();
                    self.outcome.fail(entering.arrived.what.clone(), why);
                    continue;
                }
            };
            if let Some(mailbox) = entering.target.id
                && self.places.holds(mailbox, &summary, &entering.content).await?
            {
                self.outcome.known += 1;
                present.push(entering.print);
                continue;
            }
            let arrived = &entering.arrived;
            let received_at = arrived.received_at.or_else(|| own_date(&summary));
            let received_at = received_at.unwrap_or_else(Timestamp::now);
            let flags = arrived.flags.clone();
            load.messages.push(Ready {
                // Only in a dry run is there none.
                mailbox: entering.target.id.unwrap_or(MailboxId(0)),
                name: entering.target.name,
                print: entering.print,
                message: NewMessage { blob, summary, received_at, flags, journey: None },
                what: arrived.what.clone(),
            });
        }
        if !present.is_empty() && !self.dry_run {
            self.store.note_imports(self.account, present).await?;
        }
        Ok(load)
    }

    /// Waits for the transaction that is on its way.
    async fn finish_adding(&mut self) -> Result<()> {
        let Some(adding) = self.adding.take() else { return Ok(()) };
        let added = adding.await??;
        for (name, octets) in &added.added {
            count(&mut self.outcome, name, *octets);
        }
        self.outcome.known += added.known;
        self.outcome.over_quota |= added.over_quota;
        Ok(())
    }
}

fn count(outcome: &mut Outcome, mailbox: &str, octets: u64) {
    outcome.added += 1;
    outcome.octets += octets;
    match outcome.mailboxes.get_mut(mailbox) {
        Some(count) => *count += 1,
        None => drop(outcome.mailboxes.insert(mailbox.to_owned(), 1)),
    }
}

/// The message's own `Date`.
fn own_date(summary: &Summary) -> Option<Timestamp> {
    Timestamp::from_second(summary.overview.date_epoch_secs?).ok()
}

/// What is stored of a message.
type Packed = (Summary, StagedBlob);

async fn pack(store: &Store, spool: Spool) -> Result<Packed> {
    let read = spool.clone();
    let summary =
        tokio::task::spawn_blocking(move || Summary::of(&Message::parse(read.as_bytes())));
    // A panic of the parser ends this task, and is told as a failure of this message.
    let summary = match summary.await {
        Ok(summary) => summary,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    Ok((summary, store.stage(Vec::new(), &spool, 0).await?))
}

/// Adds a load, mailbox by mailbox. Nothing else of it is added once the account is full.
async fn add(store: &Store, load: Load) -> Result<Added> {
    let mut by_mailbox: Vec<(MailboxId, Vec<Ready>)> = Vec::new();
    if let Some((mailbox, _)) = load.mark {
        by_mailbox.push((mailbox, Vec::new()));
    }
    for ready in load.messages {
        match by_mailbox.iter_mut().find(|(mailbox, _)| *mailbox == ready.mailbox) {
            Some((_, some)) => some.push(ready),
            None => by_mailbox.push((ready.mailbox, vec![ready])),
        }
    }
    let mut all = Added { added: Vec::new(), known: 0, over_quota: false };
    for (mailbox, some) in by_mailbox {
        let mark = load.mark.filter(|(of, _)| *of == mailbox).map(|(_, mark)| mark);
        add_to(store, mailbox, some, mark, &mut all).await?;
        if all.over_quota {
            break;
        }
    }
    Ok(all)
}

async fn add_to(
    store: &Store,
    mailbox: MailboxId,
    some: Vec<Ready>,
    mark: Option<ImportMark>,
    all: &mut Added,
) -> Result<()> {
    // Kept until it is known that all fit.
    let of = |ready: &Ready| {
        let NewMessage { blob, summary, received_at, flags, .. } = &ready.message;
        let (blob, summary, flags) = (blob.clone(), summary.clone(), flags.clone());
        let message = NewMessage { blob, summary, received_at: *received_at, flags, journey: None };
        NewImport { print: ready.print, message }
    };
    match store.import(mailbox, some.iter().map(of).collect(), mark).await {
        Ok(added) => all.note(&some, &added),
        Err(AppendError::OverQuota) => {
            // One by one, as far as there is room: a clear end.
            for ready in some {
                match store.import(mailbox, vec![of(&ready)], None).await {
                    Ok(added) => all.note(std::slice::from_ref(&ready), &added),
                    Err(AppendError::OverQuota) => {
                        all.over_quota = true;
                        return Ok(());
                    }
                    Err(error) => return Err(anyhow!("{}: {error}", ready.what)),
                }
            }
        }
        Err(AppendError::NoMailbox) => {
            let name = some.first().map_or("a mailbox", |ready| &ready.name);
            return Err(anyhow!("{name} was deleted while messages were on their way into it"));
        }
        Err(AppendError::Store(error)) => return Err(error.into()),
    }
    Ok(())
}

impl Added {
    fn note(&mut self, some: &[Ready], added: &[bool]) {
        for (ready, added) in some.iter().zip(added) {
            match added {
                true => self.added.push((ready.name.clone(), ready.message.blob.size_octets)),
                false => self.known += 1,
            }
        }
    }
}
