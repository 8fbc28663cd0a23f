//! How many messages one command may be about (RFC 9738).
//!
//! Waxwing needs no such limit: work goes in slices, so that others get their turn. An operator may set
//! one all the same; then MESSAGELIMIT announces it, and what goes beyond is left undone and said:
//!
//! | command | beyond the limit |
//! |---|---|
//! | FETCH, STORE, SEARCH, MOVE, UID EXPUNGE | done for the messages with the highest UIDs, from the highest down; the code says where it ended |
//! | COPY, APPEND of several, FETCH of a PARTIAL | refused whole (§3.1) |
//! | EXPUNGE, CLOSE, STATUS | have no limit (§3.1) |
//! | SORT, THREAD | have none: what they need of each message is kept ready (§3.3) |
//!
//! Without it only APPEND is limited, which keeps all its messages until the last has come: that is what
//! SAVELIMIT announces.

use waxwing_store::Uid;

use crate::connection::Connection;
use crate::reply::{Fail, Tagged};
use crate::wire::out::Out;

/// §3: a limit should not be lower.
pub const LEAST: u32 = 1000;

/// Writes the capability (§5).
pub fn announce(out: &mut Out, limit: Option<u32>) {
    match limit {
        Some(limit) => out.raw(" MESSAGELIMIT=").number(limit),
        None => out.raw(" SAVELIMIT=").number(LEAST),
    };
}

/// What one command may be about was more than the limit; it was done from the highest UID down to the
/// lowest here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    limit: u32,
    lowest: Uid,
}

impl Exceeded {
    /// Done down to this UID.
    pub fn new(limit: u32, lowest: Uid) -> Exceeded {
        Exceeded { limit, lowest }
    }

    /// §5 `resp-text-code`.
    fn code(self) -> String {
        format!("MESSAGELIMIT {} {}", self.limit, self.lowest.0)
    }

    /// For what is done whole or not at all.
    pub fn refuse(self) -> Fail {
        refused(self.code())
    }
}

/// Says what was exceeded in the tagged response; before it where that has another code (§3.1).
pub fn tell(connection: &mut Connection<'_>, exceeded: Option<Exceeded>, tagged: Tagged) -> Tagged {
    let Some(exceeded) = exceeded else { return tagged };
    if tagged.code.is_empty() {
        return tagged.with(exceeded.code());
    }
    let out = &mut connection.out;
    out.raw("* NO [").raw(exceeded.code()).raw("] Done for the last messages only\r\n");
    tagged
}

/// Refuses what is done whole or not at all where no UID can be named.
pub fn refuse(limit: u32) -> Fail {
    refused(format!("MESSAGELIMIT {limit}"))
}

fn refused(code: String) -> Fail {
    Fail::Refused(Tagged::no("", "Too many messages at once: nothing done").with(code))
}

/// Of UIDs that ascend, keeps the last ones, as many as one command may be about.
pub fn keep_last(uids: &mut Vec<Uid>, limit: Option<u32>) -> Option<Exceeded> {
    let limit = limit?;
    let over = uids.len().checked_sub(limit as usize).filter(|&over| over > 0)?;
    uids.drain(..over);
    uids.first().map(|&lowest| Exceeded { limit, lowest })
}

/// UIDs in slices, which are gone through from the highest down where not all of them are (§3.1).
pub fn slices(uids: &[Uid], size: usize, exceeded: Option<Exceeded>) -> Vec<&[Uid]> {
    let mut slices: Vec<&[Uid]> = uids.chunks(size).collect();
    if exceeded.is_some() {
        slices.reverse();
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept() {
        let keep = |count: u32, limit| {
            let mut uids: Vec<Uid> = (1..=count).map(|n| Uid(n * 2)).collect();
            let exceeded = keep_last(&mut uids, limit);
            (uids.len(), exceeded.map(Exceeded::code))
        };
        assert_eq!(keep(5, None), (5, None));
        assert_eq!(keep(5, Some(5)), (5, None));
        assert_eq!(keep(6, Some(5)), (5, Some("MESSAGELIMIT 5 4".into())));
        assert_eq!(keep(0, Some(5)), (0, None));
    }

    #[test]
    fn from_the_highest_down_where_not_all_are_done() {
        let uids: Vec<Uid> = (1..=5).map(Uid).collect();
        let numbers = |exceeded| {
            let slices = slices(&uids, 2, exceeded);
            slices.iter().map(|slice| slice[0].0).collect::<Vec<u32>>()
        };
        assert_eq!(numbers(None), [1, 3, 5]);
        assert_eq!(numbers(Some(Exceeded { limit: 5, lowest: Uid(1) })), [5, 3, 1]);
    }
}
