//! Keywords as numbers. An account numbers the keywords it uses; an entry keeps the numbers, two
//! octets each (big-endian), ascending. Names are compared without regard to ASCII case and
//! spelled as first written in the account (RFC 9051 §2.3.2).
//!
//! An account can have [`KEYWORDS_MAX`] different ones. Further ones are ignored, as a server may do
//! with flags that are not permanent (RFC 9051 §7.1, PERMANENTFLAGS).

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{Tx, params};
use crate::{AccountId, StoreError};

/// How many different keywords an account can have.
pub(crate) const KEYWORDS_MAX: usize = 4_096;

/// What an entry or a mailbox keeps.
pub(crate) type Packed = Vec<u8>;

/// The keywords of an account, and the lists made of them so far.
pub(crate) struct Keywords {
    account: AccountId,
    names: Vec<(u16, Arc<str>)>,
    lists: HashMap<Packed, Arc<[Arc<str>]>>,
}

impl Keywords {
    pub(crate) async fn load(tx: &Tx, account: AccountId) -> Result<Keywords, StoreError> {
        const SQL: &str = "SELECT number, name FROM keywords WHERE account = ?1 ORDER BY number";
        let names = tx
            .rows(SQL, params![account.0], |row| {
                let number = u16::try_from(row.int(0)?)
                    .map_err(|_| StoreError::Damaged("keyword number out of range".into()))?;
                Ok((number, Arc::from(row.text(1)?)))
            })
            .await?;
        Ok(Keywords { account, names, lists: HashMap::new() })
    }

    /// The names in a packed list, sorted; `None` for the empty one. Equal lists are shared.
    pub(crate) fn list(&mut self, packed: &[u8]) -> Option<Arc<[Arc<str>]>> {
        if packed.is_empty() {
            return None;
        }
        if let Some(list) = self.lists.get(packed) {
            return Some(list.clone());
        }
        let mut names: Vec<Arc<str>> = unpack(packed)
            .filter_map(|number| {
                let at = self.names.binary_search_by_key(&number, |(known, _)| *known).ok()?;
                Some(self.names[at].1.clone())
            })
            .collect();
        names.sort_unstable();
        let list: Arc<[Arc<str>]> = names.into();
        self.lists.insert(packed.to_vec(), list.clone());
        Some(list)
    }

    /// Packs names, giving numbers to new ones. The account must be locked.
    pub(crate) async fn pack(
        &mut self,
        tx: &Tx,
        names: Option<&Arc<[Arc<str>]>>,
    ) -> Result<Packed, StoreError> {
        const INSERT: &str = "INSERT INTO keywords (account, number, name) VALUES (?1, ?2, ?3)";
        let mut numbers = Vec::new();
        for name in names.into_iter().flat_map(|names| names.iter()) {
            let known = self.names.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
            if let Some((number, _)) = known {
                numbers.push(*number);
            } else if self.names.len() < KEYWORDS_MAX {
                let number = u16::try_from(self.names.len()).expect("fewer than KEYWORDS_MAX");
                tx.run(INSERT, params![self.account.0, i64::from(number), &**name]).await?;
                self.names.push((number, name.clone()));
                numbers.push(number);
            }
        }
        Ok(pack(numbers))
    }
}

fn pack(mut numbers: Vec<u16>) -> Packed {
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().flat_map(u16::to_be_bytes).collect()
}

fn unpack(packed: &[u8]) -> impl Iterator<Item = u16> + '_ {
    packed.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// All that are in either.
pub(crate) fn union(a: &[u8], b: &[u8]) -> Packed {
    if b.is_empty() {
        return a.to_vec();
    }
    pack(unpack(a).chain(unpack(b)).collect())
}

/// Those of `a` that are not in `b`.
pub(crate) fn difference(a: &[u8], b: &[u8]) -> Packed {
    pack(unpack(a).filter(|number| !unpack(b).any(|other| other == *number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_lists_are_sets() {
        let a = pack(vec![300, 2, 2, 7]);
        let b = pack(vec![7, 9]);
        assert_eq!(unpack(&a).collect::<Vec<_>>(), [2, 7, 300]);
        assert_eq!(unpack(&union(&a, &b)).collect::<Vec<_>>(), [2, 7, 9, 300]);
        assert_eq!(unpack(&difference(&a, &b)).collect::<Vec<_>>(), [2, 300]);
        assert_eq!(union(&a, &[]), a);
    }
}
