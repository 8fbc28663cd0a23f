//! How much an account does at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use waxwing_store::AccountId;

/// What somebody is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Errand {
    /// `maxConcurrentRequests`.
    Request,
    /// `maxConcurrentUpload`.
    Upload,
    /// Downloads.
    Download,
    /// Waiting for changes.
    Events,
}

/// Everybody.
#[derive(Default)]
pub struct Crowd {
    busy: Mutex<HashMap<(AccountId, Errand), usize>>,
}

impl Crowd {
    /// A place for one more errand, if there are fewer than `most`.
    pub fn enter(
        self: &Arc<Self>,
        account: AccountId,
        errand: Errand,
        most: usize,
    ) -> Option<Place> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry((account, errand)).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), key: (account, errand) })
    }
}

/// Held for as long as it takes.
pub struct Place {
    crowd: Arc<Crowd>,
    key: (AccountId, Errand),
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut busy = self.crowd.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_and_errand_has_its_own_places() {
        let crowd = Arc::new(Crowd::default());
        let first = crowd.enter(AccountId(1), Errand::Upload, 1).unwrap();
        assert!(crowd.enter(AccountId(1), Errand::Upload, 1).is_none());
        assert!(crowd.enter(AccountId(1), Errand::Request, 1).is_some());
        assert!(crowd.enter(AccountId(2), Errand::Upload, 1).is_some());
        drop(first);
        assert!(crowd.enter(AccountId(1), Errand::Upload, 1).is_some());
        assert!(crowd.busy.lock().unwrap().is_empty());
    }
}
