//! SORT (RFC 5256, RFC 5957) with the answers of ESORT (RFC 5267 §3).
//!
//! Each criterion is a column of numbers, from the rows and from the mailbox's gist, in which texts
//! have been sorted once: no message is opened, and no text is compared here.

use waxwing_store::{Column, Gist, Line, Row};

use super::search;
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::command::{Criterion, SearchKey, Sort, SortKey};

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    uid: bool,
    sort: &Sort,
) -> Done {
    let Sort { criteria, search } = sort;
    session.selected()?;
    session.enabled.condstore |= search.keys.iter().any(SearchKey::mentions_modseq);
    let renumber = uid && !search.keys.iter().any(SearchKey::mentions_numbers);
    news::tell(connection, session, renumber).await?;
    // No limit: see `crate::limit`.
    let found = search::find(connection, session, tag, search, None).await?;
    let places = sorted(session, criteria, found.places).await?;
    search::answer(connection, session, tag, "SORT", uid, search, &places).await?;
    Ok(Tagged::ok("Sorted"))
}

async fn sorted(
    session: &mut Session,
    criteria: &[Criterion],
    places: Vec<u32>,
) -> Result<Vec<u32>, Fail> {
    let store = session.store.clone();
    let selected = session.selected()?;
    let view = &selected.view;
    let in_row = |key| matches!(key, SortKey::Arrival | SortKey::Size);
    let gist = match criteria.iter().all(|criterion| in_row(criterion.key)) {
        true => None,
        false => Some(store.gist(selected.mailbox, view.shown()).await?),
    };
    let mut columns = vec![Vec::with_capacity(places.len()); criteria.len()];
    let mut finder = gist.as_ref().map(|gist| gist.finder());
    for row in places.iter().filter_map(|&place| view.row(place)) {
        let line = finder.as_mut().and_then(|finder| finder.find(row.uid()));
        let line = line.zip(gist.as_deref());
        for (column, criterion) in columns.iter_mut().zip(criteria) {
            let number = number(criterion.key, row, line);
            // RFC 5256 §3: REVERSE is of its own criterion, and never of the implied order of the
            // mailbox.
            column.push(if criterion.reverse { !number } else { number });
        }
    }
    let mut order: Vec<u32> = (0..places.len() as u32).collect();
    match columns.as_slice() {
        [column] => order.sort_unstable_by_key(|&at| (column[at as usize], at)),
        columns => order.sort_unstable_by(|&a, &b| {
            let each = columns.iter().map(|column| column[a as usize].cmp(&column[b as usize]));
            each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(a.cmp(&b))
        }),
    }
    Ok(order.into_iter().map(|at| places[at as usize]).collect())
}

/// What a message is sorted by. One that is gone has only its row.
fn number(key: SortKey, row: &Row, line: Option<(&Line, &Gist)>) -> i64 {
    let rank = |column| line.map_or(0, |(line, gist)| gist.rank(column, line).into());
    match key {
        SortKey::Arrival => row.received_secs(),
        SortKey::Size => i64::try_from(row.size_octets()).unwrap_or(i64::MAX),
        SortKey::Date => sent_secs(line.map(|(line, _)| line), row),
        SortKey::Subject => rank(Column::BaseSubject),
        SortKey::Cc => rank(Column::CcMailbox),
        SortKey::From => rank(Column::FromMailbox),
        SortKey::To => rank(Column::ToMailbox),
        SortKey::DisplayFrom => rank(Column::FromDisplay),
        SortKey::DisplayTo => rank(Column::ToDisplay),
    }
}

/// RFC 5256 §2.2: the Date field, or INTERNALDATE where there is none.
pub fn sent_secs(line: Option<&Line>, row: &Row) -> i64 {
    line.and_then(Line::sent_secs).unwrap_or_else(|| row.received_secs())
}
