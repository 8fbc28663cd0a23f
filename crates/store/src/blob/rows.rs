//! The rows of blobs: making, naming, letting go, sweeping.

use std::collections::HashSet;

use super::chunks::CHUNK_OCTETS;
use super::{Object, Staged, StagedBlob};
use crate::StoreError;
use crate::engine::{Tx, params};

/// Place of a chunk: blob × this + number.
pub(super) const PLACES: i64 = 65_536;

/// Makes `refs` rows' worth of references to a staged blob; gives its number. The caller's
/// transaction then writes those rows.
pub(crate) async fn name_blob(
    tx: &Tx,
    blob: &StagedBlob,
    refs: i64,
    now: i64,
) -> Result<i64, StoreError> {
    const WITH_ROW: &str = "INSERT INTO blobs (hash, size_octets, refs, idle_since, complete) \
        VALUES (?1, ?2, ?3, ?4, 1) \
        ON CONFLICT (hash) DO UPDATE SET refs = blobs.refs + ?3, complete = 1 RETURNING id, refs";
    const WITH_OBJECT: &str = "INSERT INTO blobs (hash, size_octets, refs, idle_since, complete, \
        object, chunk_ends) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6) \
        ON CONFLICT (hash) DO UPDATE SET refs = blobs.refs + ?3, complete = 1, \
        object = CASE blobs.complete WHEN 0 THEN ?5 ELSE blobs.object END, \
        chunk_ends = CASE blobs.complete WHEN 0 THEN ?6 ELSE blobs.chunk_ends END \
        RETURNING id";
    const KNOWN: &str = "UPDATE blobs SET refs = refs + ?2 WHERE hash = ?1 AND complete = 1 \
        RETURNING id";
    match &*blob.staged {
        Staged::Chunks(chunks) => {
            let values = params![&blob.id.0, blob.size_octets as i64, refs, now];
            let named = tx.row(WITH_ROW, values, |row| Ok((row.int(0)?, row.int(1)?))).await?;
            let (id, total) = named.ok_or_else(swept)?;
            // More than ours: someone else brought the octets.
            if total == refs {
                for (number, chunk) in (0..).zip(chunks) {
                    write_chunk(tx, id, number, chunk).await?;
                }
            }
            Ok(id)
        }
        Staged::Object(Object { name, chunk_ends }) => {
            let size = blob.size_octets as i64;
            let values = params![&blob.id.0, size, refs, now, name, chunk_ends];
            let id = tx.row(WITH_OBJECT, values, |row| row.int(0)).await?;
            id.ok_or_else(swept)
        }
        Staged::Row => {
            let id = tx.row(KNOWN, params![&blob.id.0, refs], |row| row.int(0)).await?;
            id.ok_or_else(swept)
        }
    }
}

pub(super) fn swept() -> StoreError {
    StoreError::Unavailable("what was staged is gone: stage it again".into())
}

/// One more reference to a blob that a row names already.
pub(crate) async fn hold_blob(tx: &Tx, blob: i64) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE blobs SET refs = refs + 1 WHERE id = ?1";
    tx.run(SQL, params![blob]).await.map(drop)
}

/// Takes away one reference for each number given; a number may stand there several times.
pub(crate) async fn release_blobs(tx: &Tx, blobs: &[i64], now: i64) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE blobs SET refs = refs - 1, idle_since = ?2 WHERE id IN LIST(?1)";
    for round in rounds(blobs) {
        tx.run(SQL, params![&round, now]).await?;
    }
    Ok(())
}

/// Parts a list with repetitions into ascending lists without.
pub(crate) fn rounds(numbers: &[i64]) -> Vec<Vec<i64>> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut rounds: Vec<Vec<i64>> = Vec::new();
    let mut depth = 0;
    for (index, number) in sorted.iter().enumerate() {
        depth = if index > 0 && sorted[index - 1] == *number { depth + 1 } else { 0 };
        if depth == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[depth].push(*number);
    }
    rounds
}

pub(super) async fn write_chunk(
    tx: &Tx,
    blob: i64,
    number: i64,
    chunk: &[u8],
) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO blob_chunks (place, octets) VALUES (?1, ?2) ON CONFLICT (place) DO NOTHING";
    tx.run(SQL, params![blob * PLACES + number, chunk]).await.map(drop)
}

pub(super) struct Begin {
    pub(super) hash: [u8; 32],
    pub(super) size_octets: i64,
    pub(super) now: i64,
}

/// Makes the row of a large blob, or finds it; gives its number and whether all is there already.
pub(super) async fn begin_blob(tx: &Tx, begin: &Begin) -> Result<(i64, bool), StoreError> {
    const SQL: &str = "INSERT INTO blobs (hash, size_octets, refs, idle_since, complete) \
        VALUES (?1, ?2, 0, ?3, 0) \
        ON CONFLICT (hash) DO UPDATE SET idle_since = ?3 RETURNING id, complete";
    if begin.size_octets / CHUNK_OCTETS as i64 >= PLACES {
        return Err(StoreError::NoSpace("a message can have 16 GiB".into()));
    }
    let values = params![&begin.hash, begin.size_octets, begin.now];
    let row = tx.row(SQL, values, |row| Ok((row.int(0)?, row.flag(1)?))).await?;
    row.ok_or_else(swept)
}

pub(super) struct SomeChunks {
    pub(super) blob: i64,
    pub(super) first: i64,
    pub(super) packed: Vec<Vec<u8>>,
    pub(super) last: bool,
}

pub(super) async fn write_chunks(tx: &Tx, some: &SomeChunks) -> Result<(), StoreError> {
    for (number, chunk) in (some.first..).zip(&some.packed) {
        write_chunk(tx, some.blob, number, chunk).await?;
    }
    if some.last {
        tx.run("UPDATE blobs SET complete = 1 WHERE id = ?1", params![some.blob]).await?;
    }
    Ok(())
}

pub(super) async fn is_known(tx: &Tx, hash: &[u8; 32]) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT id FROM blobs WHERE hash = ?1 AND complete = 1";
    Ok(tx.row(SQL, params![hash], |row| row.int(0)).await?.is_some())
}

pub(super) async fn touch_blob(tx: &Tx, hash: &[u8; 32], now: i64) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE blobs SET idle_since = ?2 WHERE hash = ?1 AND complete = 1";
    Ok(tx.run(SQL, params![hash, now]).await? == 1)
}

/// Those of the names that rows have.
pub(super) async fn named_objects(
    tx: &Tx,
    names: &[String],
) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "SELECT object FROM blobs WHERE object IN LIST(?1)";
    Ok(tx.rows(SQL, params![names], |row| row.text(0)).await?.into_iter().collect())
}

/// Removes some rows; gives, for each, the name of its object if it has one.
pub(super) async fn sweep_some(
    tx: &Tx,
    idle_before: i64,
) -> Result<Vec<Option<String>>, StoreError> {
    const FIND: &str = "SELECT id FROM blobs WHERE refs = 0 AND idle_since < ?1 \
        ORDER BY idle_since LIMIT 20";
    const REMOVE: &str = "DELETE FROM blobs WHERE id = ?1 AND refs = 0 AND idle_since < ?2 \
        RETURNING object";
    const CHUNKS: &str = "DELETE FROM blob_chunks WHERE place BETWEEN ?1 AND ?2";
    let mut swept = Vec::new();
    for id in tx.rows(FIND, params![idle_before], |row| row.int(0)).await? {
        // Tested again: someone may have named it meanwhile.
        let removed = tx.row(REMOVE, params![id, idle_before], |row| row.opt_text(0)).await?;
        if let Some(object) = removed {
            tx.run(CHUNKS, params![id * PLACES, (id + 1) * PLACES - 1]).await?;
            swept.push(object);
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_hold_every_number_as_often_as_given() {
        assert_eq!(rounds(&[5, 1, 5, 5, 2, 1]), [vec![1, 2, 5], vec![1, 5], vec![5]]);
        assert!(rounds(&[]).is_empty());
    }
}
