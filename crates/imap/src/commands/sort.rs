//! SORT (RFC 5256, RFC 5957) with the answers of ESORT (RFC 5267 §3).
//!
//! Keys come from the rows and from the stored summaries: no message is opened.

use std::cmp::Ordering;

use waxwing_message::Summary;
use waxwing_message::parse::words::decode_text;
use waxwing_message::summary::{Overview, OverviewAddress};
use waxwing_store::Row;

use super::search;
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::collate;
use crate::wire::command::{Criterion, SearchKey, Sort, SortKey};
use crate::wire::subject;

/// What a message is sorted by, one for each criterion.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

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
    let places = search::find(connection, session, tag, search).await?;
    let places = sorted(connection, session, tag, criteria, places).await?;
    search::answer(connection, session, tag, "SORT", uid, search, &places).await?;
    Ok(Tagged::ok("Sorted"))
}

async fn sorted(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    criteria: &[Criterion],
    places: Vec<u32>,
) -> Result<Vec<u32>, Fail> {
    let mut keyed: Vec<(Vec<Key>, u32)> = Vec::with_capacity(places.len());
    if criteria.iter().all(|criterion| is_in_row(criterion.key)) {
        let view = &session.selected()?.view;
        let rows = places.iter().filter_map(|&place| Some((place, view.row(place)?)));
        keyed.extend(rows.map(|(place, row)| (keys(criteria, row, None), place)));
    } else {
        let each = |place, row: &Row, summary: &Summary| {
            keyed.push((keys(criteria, row, Some(&summary.overview)), place));
        };
        search::with_summaries(connection, session, tag, &places, each).await?;
    }
    keyed.sort_by(|a, b| order(criteria, &a.0, &b.0).then(a.1.cmp(&b.1)));
    Ok(keyed.into_iter().map(|(_, place)| place).collect())
}

/// RFC 5256 §3: REVERSE is of its own criterion, and never of the implied order of the mailbox.
fn order(criteria: &[Criterion], a: &[Key], b: &[Key]) -> Ordering {
    let each = criteria.iter().zip(a.iter().zip(b));
    each.map(|(criterion, (a, b))| if criterion.reverse { b.cmp(a) } else { a.cmp(b) })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn is_in_row(key: SortKey) -> bool {
    matches!(key, SortKey::Arrival | SortKey::Size)
}

fn keys(criteria: &[Criterion], row: &Row, overview: Option<&Overview>) -> Vec<Key> {
    let none = Overview::default();
    let overview = overview.unwrap_or(&none);
    let text = |text: String| Key::Text(collate::key(&text));
    let one = |criterion: &Criterion| match criterion.key {
        SortKey::Arrival => Key::Number(row.received_secs()),
        SortKey::Size => Key::Number(i64::try_from(row.size_octets()).unwrap_or(i64::MAX)),
        SortKey::Date => Key::Number(sent_secs(overview, row)),
        SortKey::Subject => Key::Text(base_subject(overview).0),
        SortKey::Cc => text(mailbox(overview.cc.first())),
        SortKey::From => text(mailbox(overview.from.first())),
        SortKey::To => text(mailbox(overview.to.first())),
        SortKey::DisplayFrom => text(display(overview.from.first())),
        SortKey::DisplayTo => text(display(overview.to.first())),
    };
    criteria.iter().map(one).collect()
}

/// RFC 5256 §2.2: the Date field, or INTERNALDATE where there is none.
pub fn sent_secs(overview: &Overview, row: &Row) -> i64 {
    overview.date_epoch_secs.unwrap_or_else(|| row.received_secs())
}

/// The base subject as it is compared, and whether it is that of a reply or forwarded message.
pub fn base_subject(overview: &Overview) -> (String, bool) {
    let whole = overview.subject.as_deref().map(decode_text).unwrap_or_default();
    let whole = subject::collapsed(&whole);
    let base = subject::base_subject(&whole);
    (collate::key(base.text), base.is_reply)
}

/// RFC 5256 §3 `addr-mailbox`: the local part, or the name of a group.
fn mailbox(address: Option<&OverviewAddress>) -> String {
    match address {
        Some(OverviewAddress::Mailbox { local_part, .. }) => {
            String::from_utf8_lossy(local_part).into_owned()
        }
        Some(OverviewAddress::GroupStart { name }) => decode_text(name),
        Some(OverviewAddress::GroupEnd) | None => String::new(),
    }
}

/// RFC 5957 §3: the display name, or `mailbox@host` where there is none.
fn display(address: Option<&OverviewAddress>) -> String {
    match address {
        Some(OverviewAddress::Mailbox { name: Some(name), .. }) if !name.is_empty() => {
            decode_text(name)
        }
        Some(OverviewAddress::Mailbox { local_part, domain, .. }) => {
            let (local_part, domain) =
                (String::from_utf8_lossy(local_part), String::from_utf8_lossy(domain));
            if domain.is_empty() {
                local_part.into_owned()
            } else {
                format!("{local_part}@{domain}")
            }
        }
        group => mailbox(group),
    }
}
