//! The newest roll of each mailbox that somebody looks at, and the gist and the ties of its messages, kept
//! for all who do.
//!
//! Whoever asks gets the roll of a moment that is not before the question: the mailbox's modseq is read
//! each time, which is one look-up by key. Only when it has moved is anything else read, once for all
//! who wait for it. Writes of this process hand in what they changed ([`Rolls::wrote`]), so that most
//! of the time not even that is read.
//!
//! A roll that somebody holds can be had again as long as it is held; besides, those asked for last are
//! kept, up to a bound, for some minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Roll, Row, RowParts, Sets, Ties};
use crate::Gist;
use crate::engine::{Tx, params};
use crate::instant::{count, count32, timestamp};
use crate::keywords::Keywords;
use crate::messages::{changes_in, mailbox_state, modseq, system};
use crate::{Entry, Inner, MailboxId, ModSeq, Store, StoreError, Uid};

/// Rows kept though nobody holds them: 12 MB.
const KEPT_ROWS: usize = 500_000;
/// Octets of gists kept, about.
const KEPT_GIST_OCTETS: usize = 48 << 20;
/// And for how long after they were asked for.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

impl Store {
    /// All entries of a mailbox as they are now, shared with all others who ask. `None`: there is no
    /// such mailbox.
    pub async fn roll(&self, mailbox: MailboxId) -> Result<Option<Arc<Roll>>, StoreError> {
        const MOMENT: &str = "SELECT highest_modseq FROM mailboxes WHERE id = ?1";
        let Inner { engine, rolls, .. } = &*self.inner;
        let moment = engine
            .read_brief(mailbox, |tx, mailbox| {
                let mailbox = mailbox.0;
                Box::pin(async move { tx.row(MOMENT, params![mailbox], |row| row.int(0)).await })
            })
            .await?;
        let Some(moment) = moment else { return Ok(None) };
        let moment = modseq(moment)?;
        let slot = rolls.slot(mailbox);
        if let Some(roll) = slot.since(moment) {
            return Ok(Some(roll));
        }
        let _only = slot.reading.lock().await;
        if let Some(roll) = slot.since(moment) {
            return Ok(Some(roll));
        }
        let asked = (mailbox, slot.newest().roll.upgrade());
        let read = engine.read(asked, |tx, (mailbox, before)| {
            Box::pin(read_roll(tx, *mailbox, before.as_deref()))
        });
        let Some(roll) = read.await? else { return Ok(None) };
        let roll = slot.put(roll);
        rolls.tidy();
        Ok(Some(roll))
    }
}

/// The newest roll of each mailbox.
#[derive(Default)]
pub(crate) struct Rolls {
    slots: Mutex<HashMap<MailboxId, Arc<Slot>>>,
}

/// What is kept of a mailbox.
#[derive(Default)]
pub(crate) struct Slot {
    newest: Mutex<Newest>,
    /// One reads, the others wait for it.
    reading: tokio::sync::Mutex<()>,
    gist: Mutex<Option<(Arc<Gist>, Instant)>>,
    /// The same for the gist.
    pub(crate) gisting: tokio::sync::Mutex<()>,
    ties: Mutex<Option<(Arc<Ties>, Instant)>>,
    /// The same for the ties.
    pub(super) tying: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Newest {
    roll: Weak<Roll>,
    /// The same, with the time of the last question.
    kept: Option<(Arc<Roll>, Instant)>,
}

impl Rolls {
    pub(crate) fn slot(&self, mailbox: MailboxId) -> Arc<Slot> {
        self.slots().entry(mailbox).or_default().clone()
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<MailboxId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write is durable that found a mailbox at the moment `before`, left it at the moment `now`,
    /// and did this to it, both by UID. Whatever does not follow the newest roll is passed over: the
    /// next question reads it.
    pub(crate) fn wrote(
        &self,
        mailbox: MailboxId,
        (before, now): (ModSeq, ModSeq),
        changed: &[Entry],
        vanished: &[Uid],
    ) {
        let slot = self.slots().get(&mailbox).cloned();
        let Some(slot) = slot else { return };
        let mut newest = slot.newest();
        if let Some(roll) = newest.roll.upgrade().filter(|roll| roll.modseq() == before) {
            newest.set(Arc::new(roll.advanced(changed, vanished, now)));
        }
    }

    /// Lets go of what has not been asked for of late, and of the oldest where there is too much.
    pub(crate) fn tidy(&self) {
        let mut slots = self.slots();
        let mut kept: Vec<(Instant, usize, Arc<Slot>)> = Vec::new();
        let mut gists: Vec<(Instant, usize, Arc<Slot>)> = Vec::new();
        let mut all_ties: Vec<(Instant, usize, Arc<Slot>)> = Vec::new();
        slots.retain(|_, slot| {
            let mut newest = slot.newest();
            newest.kept.take_if(|(_, asked)| asked.elapsed() > KEPT_FOR);
            if let Some((roll, asked)) = &newest.kept {
                kept.push((*asked, roll.len() as usize, slot.clone()));
            }
            let mut gist = slot.kept_gist();
            gist.take_if(|(_, asked)| asked.elapsed() > KEPT_FOR);
            if let Some((gist, asked)) = &*gist {
                gists.push((*asked, gist.octets(), slot.clone()));
            }
            let mut ties = slot.kept_ties();
            ties.take_if(|(_, asked)| asked.elapsed() > KEPT_FOR);
            if let Some((ties, asked)) = &*ties {
                all_ties.push((*asked, ties.len(), slot.clone()));
            }
            // Somebody may hold it, or be about to read.
            let holds = newest.roll.strong_count() > 0 || gist.is_some() || ties.is_some();
            holds || Arc::strong_count(slot) > 1
        });
        beyond(KEPT_ROWS, kept).for_each(|slot| slot.newest().kept = None);
        beyond(KEPT_GIST_OCTETS, gists).for_each(|slot| *slot.kept_gist() = None);
        beyond(KEPT_ROWS, all_ties).for_each(|slot| *slot.kept_ties() = None);
    }
}

/// Those asked for longest ago, for which there is no room.
fn beyond(
    room: usize,
    mut kept: Vec<(Instant, usize, Arc<Slot>)>,
) -> impl Iterator<Item = Arc<Slot>> {
    kept.sort_unstable_by_key(|(asked, ..)| std::cmp::Reverse(*asked));
    let mut taken = 0;
    kept.into_iter().filter_map(move |(_, size, slot)| {
        taken += size;
        (taken > room).then_some(slot)
    })
}

impl Slot {
    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The roll, if it is not of before that moment.
    fn since(&self, moment: ModSeq) -> Option<Arc<Roll>> {
        let mut newest = self.newest();
        let roll = newest.roll.upgrade().filter(|roll| roll.modseq() >= moment)?;
        newest.kept = Some((roll.clone(), Instant::now()));
        Some(roll)
    }

    fn kept_gist(&self) -> MutexGuard<'_, Option<(Arc<Gist>, Instant)>> {
        self.gist.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gist, if there is one.
    pub(crate) fn gist(&self) -> Option<Arc<Gist>> {
        let mut kept = self.kept_gist();
        let (gist, asked) = kept.as_mut()?;
        *asked = Instant::now();
        Some(gist.clone())
    }

    /// The gist, for making the next of it.
    pub(crate) fn take_gist(&self) -> Option<Arc<Gist>> {
        self.kept_gist().take().map(|(gist, _)| gist)
    }

    pub(crate) fn put_gist(&self, gist: Arc<Gist>) {
        *self.kept_gist() = Some((gist, Instant::now()));
    }

    fn kept_ties(&self) -> MutexGuard<'_, Option<(Arc<Ties>, Instant)>> {
        self.ties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ties, if there are any.
    pub(super) fn ties(&self) -> Option<Arc<Ties>> {
        let mut kept = self.kept_ties();
        let (ties, asked) = kept.as_mut()?;
        *asked = Instant::now();
        Some(ties.clone())
    }

    pub(super) fn put_ties(&self, ties: Arc<Ties>) {
        *self.kept_ties() = Some((ties, Instant::now()));
    }

    /// Gives the newest, which may have come meanwhile.
    fn put(&self, roll: Roll) -> Arc<Roll> {
        let mut newest = self.newest();
        if let Some(known) = newest.roll.upgrade().filter(|known| known.modseq >= roll.modseq) {
            return known;
        }
        let roll = Arc::new(roll);
        newest.set(roll.clone());
        roll
    }
}

impl Newest {
    fn set(&mut self, roll: Arc<Roll>) {
        self.roll = Arc::downgrade(&roll);
        self.kept = Some((roll, Instant::now()));
    }
}

/// The roll of now, made of an older one where what has happened since is still known.
async fn read_roll(
    tx: &Tx,
    mailbox: MailboxId,
    before: Option<&Roll>,
) -> Result<Option<Roll>, StoreError> {
    const ROWS: &str = "SELECT uid, modseq, flags, keywords, size_octets, received_at \
        FROM entries WHERE mailbox = ?1 ORDER BY uid";
    if let Some(before) = before {
        let changes = changes_in(tx, mailbox, before.modseq()).await?;
        if !changes.incomplete {
            let now = changes.highest_modseq;
            return Ok(Some(before.advanced(&changes.changed, &changes.vanished, now)));
        }
    }
    let Some(state) = mailbox_state(tx, mailbox).await? else { return Ok(None) };
    let mut names = Keywords::load(tx, state.account).await?;
    let mut roll = Roll { modseq: modseq(state.highest_modseq)?.0, ..Roll::default() };
    let mut numbers: HashMap<Vec<u8>, u32> = HashMap::new();
    tx.each(ROWS, params![mailbox.0], |row| {
        let packed = row.bytes(3)?;
        let keywords = match numbers.get(packed) {
            _ if packed.is_empty() => 0,
            Some(number) => *number,
            None => {
                let number = Sets::number(&mut roll.sets, names.list(packed).as_ref());
                numbers.insert(packed.to_vec(), number);
                number
            }
        };
        roll.push(Row::new(RowParts {
            uid: Uid(count32(row.int(0)?)?),
            size_octets: count(row.int(4)?)?,
            received_secs: timestamp(row.int(5)?)?.as_second(),
            keywords,
            modseq: modseq(row.int(1)?)?,
            system: system(row.int(2)?)?,
        }));
        Ok(true)
    })
    .await?;
    Ok(Some(roll))
}
