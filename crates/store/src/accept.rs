//! Taking responsibility for a message: every mailbox entry, queue row and journey step of it in
//! one transaction.
//!
//! This is the hot path. What can be prepared outside the transaction (encoding, JSON) is; inside,
//! a message for one local mailbox takes seven statements.

use std::collections::HashMap;

use jiff::Timestamp;
use waxwing_message::journey::{Event, Step};
use waxwing_message::{Address, Envelope, JourneyId, Recipient, ReversePath, Summary};

use crate::blob::name_blob;
use crate::engine::{Operation, Tx, params};
use crate::instant::micros;
use crate::keywords::{self, Keywords};
use crate::queue::EnvelopeRest;
use crate::rules::{note_answer, note_seen_ids};
use crate::trust::{note_failed, note_report_mail, note_seen, note_written, observe};
use crate::{
    AccountId, Failed, Flags, MailboxId, Observation, OnceInAWhile, Role, SeenId, StagedBlob,
    Store, StoreError, SystemFlags,
};

/// Everything that is taken over at once.
#[derive(Clone)]
pub struct Acceptance {
    /// Names it for ever.
    pub journey: JourneyId,
    /// When.
    pub now: Timestamp,
    /// Reverse-path and ESMTP parameters; its recipients are those given by the client.
    pub envelope: Envelope,
    /// The message's own Message-ID (without angle brackets), for finding the journey by it.
    pub message_id: Option<String>,
    /// Into mailboxes here.
    pub deposits: Vec<Deposit>,
    /// To be sent elsewhere.
    pub queue: Vec<NewQueueEntry>,
    /// What is queued. (Deposits carry their own: Return-Path differs.)
    pub queue_blob: Option<StagedBlob>,
    /// The first steps of the journey.
    pub events: Vec<Event>,
    /// What else becomes true with it.
    pub beside: Beside,
}

/// What is written down in the transaction of an acceptance beside the message itself.
#[derive(Clone, Default)]
pub struct Beside {
    /// The reverse-path under which it is sent on, where that is another than it came with:
    /// forwarded mail.
    pub queue_reverse_path: Option<ReversePath>,
    /// To be reported to other domains.
    pub observed: Vec<Observation>,
    /// To be told to the domain that it claims to be from.
    pub failed: Vec<Failed>,
    /// Addresses that an account of ours writes to with this message, folded.
    pub written_to: Option<(AccountId, Vec<String>)>,
    /// It looks like a report about a domain of ours: what is deposited is to be read as one later
    /// ([`Store::begin_report_mail`]).
    pub may_be_report: bool,
    /// What readers' rules are to know again.
    pub seen_ids: Vec<SeenId>,
    /// Messages that this one causes, each with a journey of its own.
    pub caused: Vec<Caused>,
}

/// A message that comes into being with another: taken in the same transaction, or not at all.
#[derive(Clone)]
pub struct Caused {
    /// By whose rules.
    pub account: AccountId,
    /// What is taken.
    pub acceptance: Acceptance,
    /// Left out when somebody was answered meanwhile.
    pub once: Option<OnceInAWhile>,
}

/// A message for one mailbox.
#[derive(Clone)]
pub struct Deposit {
    /// Whose.
    pub account: AccountId,
    /// Which of theirs.
    pub mailbox: DepositTo,
    /// The message.
    pub blob: StagedBlob,
    /// Of that message.
    pub summary: Summary,
    /// IMAP's INTERNALDATE.
    pub received_at: Timestamp,
    /// To begin with.
    pub flags: Flags,
    /// The envelope recipient that led here (the store adds Step::Deposited with the mailbox's name).
    pub recipient: Address,
    /// Also into a full mailbox: for reports of our own, whose size is bounded.
    pub despite_quota: bool,
    /// The address of its author, folded, which the account has seen from now on.
    pub author: Option<String>,
}

/// How a deposit finds its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepositTo {
    /// The mailbox with that role, INBOX when there is none.
    Role(Role),
    /// This one by name if it exists (compared without case) and has no role, else INBOX: plus
    /// addressing.
    NameOrInbox(String),
    /// This one, INBOX when it is not one of the account's (any more).
    Mailbox(MailboxId),
    /// This one by name, whatever its role. Where there is none it is made when `create` says so and
    /// the name is a possible one, else it is INBOX.
    Name {
        /// A path, levels parted by `/`.
        name: String,
        /// Whether to make it, with its parents.
        create: bool,
    },
}

/// A recipient elsewhere.
#[derive(Debug, Clone)]
pub struct NewQueueEntry {
    /// Forward-path and DSN parameters.
    pub recipient: Recipient,
    /// The domain whose mail exchangers take it.
    pub domain: String,
    /// The first attempt.
    pub next_attempt_at: Timestamp,
    /// When to give up.
    pub expires_at: Timestamp,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nothing was stored.
    #[error("the mailbox of {0} is full")]
    OverQuota(Address),
    /// The account was removed between RCPT and the end of data. Nothing was stored.
    #[error("{0} no longer exists")]
    Gone(Address),
    /// The store could not do its work. Nothing was stored, or the answer was lost: accepting again
    /// is harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// All or nothing, durable on return. Accepting one journey id twice does nothing the second
    /// time (so that a retry after a lost answer is harmless).
    pub async fn accept(&self, acceptance: Acceptance) -> Result<(), AcceptError> {
        let prepared = Prepared::new(acceptance)?;
        let locks = prepared.accounts();
        let outcome = self
            .inner
            .engine
            .write_grouped(prepared, locks, |tx, prepared| Box::pin(accept_in(tx, prepared)))
            .await;
        match outcome {
            Ok(()) | Err(Stop::Already) => Ok(()),
            Err(Stop::Refused(error)) => Err(error),
        }
    }
}

/// Why the transaction is to be undone.
pub(crate) enum Stop {
    /// It was done before.
    Already,
    Refused(AcceptError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Refused(error.into())
    }
}

impl Store {
    /// Takes responsibility for reports in place of what they were made of, which `operation` takes out
    /// in the same transaction. False when it finds that another node was first
    /// ([`Stop::Already`]); then nothing was done.
    pub(crate) async fn accept_instead<I: Send + Sync + 'static>(
        &self,
        of: I,
        reports: Vec<Acceptance>,
        operation: Operation<(I, Vec<Prepared>), (), Stop>,
    ) -> Result<bool, AcceptError> {
        let reports = reports.into_iter().map(Prepared::new).collect::<Result<Vec<_>, _>>()?;
        let mut locks: Vec<i64> = reports.iter().flat_map(Prepared::accounts).collect();
        locks.sort_unstable();
        locks.dedup();
        match self.inner.engine.write_grouped((of, reports), locks, operation).await {
            Ok(()) => Ok(true),
            Err(Stop::Already) => Ok(false),
            Err(Stop::Refused(error)) => Err(error),
        }
    }
}

/// An acceptance with all that can be done outside of the transaction done.
pub(crate) struct Prepared {
    journey: JourneyId,
    at: Timestamp,
    now: i64,
    reverse_path: String,
    message_id: Option<String>,
    size_octets: i64,
    deposits: Vec<Deposit>,
    summaries: Vec<Vec<u8>>,
    queue: Vec<(NewQueueEntry, String)>,
    queue_blob: Option<StagedBlob>,
    envelope: String,
    events: String,
    beside: Beside,
    caused: Vec<(Prepared, Option<OnceInAWhile>)>,
}

impl Prepared {
    pub(crate) fn new(acceptance: Acceptance) -> Result<Prepared, StoreError> {
        let Acceptance { journey, now, envelope, message_id, deposits, .. } = acceptance;
        let Acceptance { queue, queue_blob, events, mut beside, .. } = acceptance;
        let caused = std::mem::take(&mut beside.caused).into_iter();
        let caused = caused.map(|caused| Ok((Prepared::new(caused.acceptance)?, caused.once)));
        let caused = caused.collect::<Result<Vec<_>, StoreError>>()?;
        let mut rest = EnvelopeRest::of(&envelope);
        rest.sent_as(beside.queue_reverse_path.take());
        if queue_blob.is_none() && !queue.is_empty() {
            return Err(StoreError::Unavailable("queue entries came without a message".into()));
        }
        let sizes = deposits.iter().map(|deposit| &deposit.blob).chain(&queue_blob);
        let size_octets = sizes.map(|blob| blob.size_octets as i64).max().unwrap_or(0);
        let queue = queue
            .into_iter()
            .map(|entry| {
                let json = json(&entry.recipient);
                (entry, json)
            })
            .collect();
        Ok(Prepared {
            journey,
            at: now,
            now: micros(now),
            reverse_path: match &envelope.reverse_path {
                ReversePath::Null => String::new(),
                ReversePath::Address(address) => address.to_string(),
            },
            message_id: message_id.map(|id| indexed_message_id(&id).to_owned()),
            size_octets,
            summaries: deposits.iter().map(|deposit| encode_summary(&deposit.summary)).collect(),
            deposits,
            queue,
            queue_blob,
            envelope: json(&rest),
            events: json_lines(&events),
            beside,
            caused,
        })
    }

    /// Those that will be written to.
    pub(crate) fn accounts(&self) -> Vec<i64> {
        let own = self.deposits.iter().map(|deposit| deposit.account.0);
        own.chain(self.caused.iter().flat_map(|(caused, _)| caused.accounts())).collect()
    }

    async fn note_beside(&self, tx: &Tx) -> Result<(), StoreError> {
        for deposit in &self.deposits {
            if let Some(author) = &deposit.author {
                note_seen(tx, deposit.account, author, self.now).await?;
            }
        }
        if let Some((account, addresses)) = &self.beside.written_to {
            note_written(tx, *account, addresses, self.now).await?;
        }
        note_seen_ids(tx, &self.beside.seen_ids, self.now).await?;
        note_failed(tx, &self.beside.failed).await?;
        observe(tx, &self.beside.observed).await
    }
}

/// Octets of a Message-ID that are stored: RFC 5322 §2.1.1 bounds a line to 998, and what an index
/// takes is bounded too.
const MESSAGE_ID_OCTETS_MAX: usize = 998;

/// As much of a Message-ID as is stored and searched for.
pub(crate) fn indexed_message_id(id: &str) -> &str {
    &id[..id.floor_char_boundary(MESSAGE_ID_OCTETS_MAX)]
}

pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("mail's own types always have a JSON form")
}

/// One event a line. JSON escapes line ends and NUL, so lines stay lines and text stays text.
pub(crate) fn json_lines(events: &[Event]) -> String {
    events.iter().fold(String::new(), |mut lines, event| {
        lines.push_str(&json(event));
        lines.push('\n');
        lines
    })
}

pub(crate) async fn accept_in(tx: &Tx, new: &Prepared) -> Result<(), Stop> {
    const DONE: &str = "SELECT pending FROM journeys WHERE uuid = ?1";
    let refused = match accept_all(tx, new).await {
        Err(Stop::Refused(refused @ (AcceptError::OverQuota(_) | AcceptError::Gone(_)))) => refused,
        other => return other,
    };
    // What filled the mailbox may be this very message: a repetition is never refused.
    // (Asked only now: mail that is not refused need not pay for the question.)
    let done = tx.row(DONE, params![new.journey.0.as_bytes()], |row| row.int(0)).await?;
    Err(if done.is_some() { Stop::Already } else { Stop::Refused(refused) })
}

pub(crate) async fn accept_all(tx: &Tx, new: &Prepared) -> Result<(), Stop> {
    let mut blobs = HashMap::new();
    for deposit in &new.deposits {
        *blobs.entry(deposit.blob.id).or_insert(0) += 1;
    }
    // Accounts in order of their ids, so that two transactions never wait for each other.
    let mut order: Vec<usize> = (0..new.deposits.len()).collect();
    order.sort_by_key(|index| new.deposits[*index].account);
    let mut deposited: Vec<Option<Event>> = vec![None; new.deposits.len()];
    let mut named = HashMap::new();
    for index in order {
        let deposit = &new.deposits[index];
        let place = find_place(tx, deposit).await?;
        let blob = match named.get(&deposit.blob.id) {
            Some(blob) => *blob,
            None => {
                let refs = blobs[&deposit.blob.id];
                let blob = name_blob(tx, &deposit.blob, refs, new.now).await?;
                named.insert(deposit.blob.id, blob);
                blob
            }
        };
        let message = put(tx, new, deposit, &new.summaries[index], blob, &place).await?;
        // Once is enough: all deposits hold the same message.
        if new.beside.may_be_report && deposited.iter().all(Option::is_none) {
            note_report_mail(tx, message).await?;
        }
        let step = Step::Deposited {
            recipient: deposit.recipient.clone(),
            account: place.address,
            mailbox: place.mailbox_name,
        };
        deposited[index] = Some(Event { at: new.at, step });
    }
    enqueue(tx, new).await?;
    new.note_beside(tx).await?;
    let deposited: Vec<Event> = deposited.into_iter().flatten().collect();
    begin_journey(tx, new, &format!("{}{}", new.events, json_lines(&deposited))).await?;
    accept_caused(tx, new).await
}

/// After the message itself, so that a repetition has stopped before.
async fn accept_caused(tx: &Tx, new: &Prepared) -> Result<(), Stop> {
    for (caused, once) in &new.caused {
        let due = match once {
            Some(once) => note_answer(tx, once, new.now).await?,
            None => true,
        };
        if due {
            Box::pin(accept_all(tx, caused)).await?;
        }
    }
    Ok(())
}

/// The mailbox that takes a deposit, with its counters already moved on.
struct Place {
    modseq: i64,
    address: Address,
    mailbox: i64,
    mailbox_name: String,
    uid: i64,
    keywords: keywords::Packed,
}

async fn find_place(tx: &Tx, deposit: &Deposit) -> Result<Place, Stop> {
    const ACCOUNT: &str = "UPDATE accounts SET modseq = modseq + 1, \
        used_octets = used_octets + ?2, message_count = message_count + 1 \
        WHERE id = ?1 RETURNING modseq, address, used_octets, quota_octets";
    let size = deposit.blob.size_octets as i64;
    let account = tx
        .row(ACCOUNT, params![deposit.account.0, size], |row| {
            Ok((row.int(0)?, row.text(1)?, row.int(2)?, row.opt_int(3)?))
        })
        .await?;
    let Some((modseq, address, used, quota)) = account else {
        return Err(Stop::Refused(AcceptError::Gone(deposit.recipient.clone())));
    };
    if !deposit.despite_quota && quota.is_some_and(|quota| used > quota) {
        return Err(Stop::Refused(AcceptError::OverQuota(deposit.recipient.clone())));
    }
    let address = Address::parse(&address)
        .map_err(|e| StoreError::Damaged(format!("account address {address}: {e}")))?;
    let packed = match &deposit.flags.keywords {
        None => Vec::new(),
        some => Keywords::load(tx, deposit.account).await?.pack(tx, some.as_ref()).await?,
    };
    let (mailbox, mailbox_name, uid) = take_uid(tx, deposit, modseq).await?;
    crate::messages::add_mailbox_keywords(tx, mailbox, &packed).await?;
    tx.touch(deposit.account);
    Ok(Place { modseq, address, mailbox, mailbox_name, uid, keywords: packed })
}

/// Moves the counters of the mailbox that is meant, else of INBOX.
async fn take_uid(
    tx: &Tx,
    deposit: &Deposit,
    modseq: i64,
) -> Result<(i64, String, i64), StoreError> {
    macro_rules! move_counters {
        ($which:literal) => {
            concat!(
                "UPDATE mailboxes SET uid_next = uid_next + 1, total = total + 1, \
                 unseen = unseen + ?3, deleted = deleted + ?4, octets = octets + ?5, \
                 highest_modseq = CASE WHEN highest_modseq < ?6 THEN ?6 ELSE highest_modseq END \
                 WHERE account = ?1 AND ",
                $which,
                " RETURNING id, name, uid_next - 1"
            )
        };
    }
    const BY_ROLE: &str = move_counters!("role = ?2");
    const BY_ID: &str = move_counters!("id = ?2");
    let account = deposit.account.0;
    let wanted = match &deposit.mailbox {
        DepositTo::Role(role) => Some((BY_ROLE, role.code())),
        DepositTo::Mailbox(id) => Some((BY_ID, id.0)),
        DepositTo::NameOrInbox(name) => {
            crate::mailboxes::find_without_case(tx, deposit.account, name)
                .await?
                .map(|id| (BY_ID, id))
        }
        DepositTo::Name { name, create } => {
            let found = crate::mailboxes::find_or_make(tx, deposit.account, name, *create).await?;
            found.map(|id| (BY_ID, id))
        }
    };
    let system = deposit.flags.system;
    let (unseen, deleted) =
        (!system.contains(SystemFlags::SEEN), system.contains(SystemFlags::DELETED));
    let size = deposit.blob.size_octets as i64;
    for (sql, which) in wanted.into_iter().chain([(BY_ROLE, Role::Inbox.code())]) {
        let values = params![account, which, unseen, deleted, size, modseq];
        let taken = tx.row(sql, values, |row| Ok((row.int(0)?, row.text(1)?, row.int(2)?))).await?;
        if let Some(taken) = taken {
            crate::messages::check_uid(taken.2)?;
            return Ok(taken);
        }
    }
    Err(StoreError::Damaged(format!("account {account} has no INBOX")))
}

async fn put(
    tx: &Tx,
    new: &Prepared,
    deposit: &Deposit,
    summary: &[u8],
    blob: i64,
    place: &Place,
) -> Result<i64, StoreError> {
    let journey = Some(new.journey);
    let message =
        crate::messages::insert_message(tx, deposit.account, place.modseq, blob, journey, summary)
            .await?;
    crate::messages::insert_entry(
        tx,
        &crate::messages::NewEntry {
            mailbox: place.mailbox,
            uid: place.uid,
            message,
            modseq: place.modseq,
            flags: deposit.flags.system,
            keywords: &place.keywords,
            size_octets: deposit.blob.size_octets as i64,
            received_at: micros(deposit.received_at),
            saved_at: new.now,
        },
    )
    .await?;
    Ok(message)
}

async fn enqueue(tx: &Tx, new: &Prepared) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO queue (journey, blob, domain, recipient, envelope, size_octets, \
        state, due_at, attempts, created_at, next_attempt_at, expires_at, delay_warned, last_reason) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0, ?8, ?7, ?9, 0, ?10)";
    let Some(blob) = new.queue_blob.as_ref().filter(|_| !new.queue.is_empty()) else {
        return Ok(());
    };
    let number = name_blob(tx, blob, new.queue.len() as i64, new.now).await?;
    for (entry, recipient) in &new.queue {
        let values = params![
            new.journey.0.as_bytes(),
            number,
            &entry.domain,
            recipient,
            &new.envelope,
            blob.size_octets as i64,
            micros(entry.next_attempt_at),
            new.now,
            micros(entry.expires_at),
            &[0u8; 0],
        ];
        tx.run(SQL, values).await?;
    }
    tx.touch_queue();
    Ok(())
}

/// Last, since the steps are complete only now. Its unique id is what makes a repetition harmless.
async fn begin_journey(tx: &Tx, new: &Prepared, events: &str) -> Result<(), Stop> {
    const SQL: &str = "INSERT INTO journeys (uuid, started_at, ended_at, reverse_path, message_id, \
        size_octets, pending, events) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
        ON CONFLICT (uuid) DO NOTHING";
    let ended_at = new.queue.is_empty().then_some(new.now);
    let values = params![
        new.journey.0.as_bytes(),
        new.now,
        ended_at,
        &new.reverse_path,
        new.message_id.as_ref().map(|id| id.as_bytes()),
        new.size_octets,
        new.queue.len() as i64,
        events,
    ];
    match tx.run(SQL, values).await? {
        0 => Err(Stop::Already),
        _ => Ok(()),
    }
}

/// The stored form of a summary.
pub(crate) fn encode_summary(summary: &Summary) -> Vec<u8> {
    summary.encode()
}

/// The summary back from its stored form.
pub(crate) fn decode_summary(stored: &[u8]) -> Result<Summary, StoreError> {
    Summary::decode(stored).ok_or_else(|| StoreError::Damaged("a stored summary".into()))
}
