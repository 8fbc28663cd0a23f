//! SORT and THREAD (RFC 5256 §5, RFC 5957, and ESORT of RFC 5267 §3).

use super::command::{Search, SearchReturn};
use super::cursor::{Bad, Cursor, Parse};
use super::parse_search;

/// Criteria in one SORT: each may be named once in each direction.
const MAX_CRITERIA: usize = 18;

/// SORT.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// At least one.
    pub criteria: Vec<Criterion>,
    /// Which messages, and how they are told: its `returns` are those of ESORT.
    pub search: Search,
}

/// One criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// What of a message.
    pub key: SortKey,
    /// REVERSE: the greatest first.
    pub reverse: bool,
}

/// What messages are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// INTERNALDATE.
    Arrival,
    /// The first address of Cc: its local part.
    Cc,
    /// The Date field.
    Date,
    /// The first address of From: its local part.
    From,
    /// RFC822.SIZE.
    Size,
    /// The base subject.
    Subject,
    /// The first address of To: its local part.
    To,
    /// What a reader sees as the first address of From (RFC 5957).
    DisplayFrom,
    /// The same of To.
    DisplayTo,
}

/// THREAD.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// How.
    pub algorithm: Algorithm,
    /// Which messages.
    pub search: Search,
}

/// How threads are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// By base subject.
    OrderedSubject,
    /// By References.
    References,
}

/// Reads the arguments of SORT.
pub fn sort(cursor: &mut Cursor<'_>) -> Parse<Sort> {
    let mut returns: Option<SearchReturn> = None;
    if cursor.eat_word("RETURN ") {
        returns = Some(parse_search::return_options(cursor)?);
        cursor.space()?;
    }
    let criteria = cursor.list(criterion)?;
    if criteria.is_empty() || criteria.len() > MAX_CRITERIA {
        return Err(Bad("SORT needs criteria, but not that many"));
    }
    cursor.space()?;
    let search = Search { returns, ..search_criteria(cursor)? };
    Ok(Sort { criteria, search })
}

/// Reads the arguments of THREAD.
pub fn thread(cursor: &mut Cursor<'_>) -> Parse<Thread> {
    let algorithm = match cursor.keyword()?.as_str() {
        "ORDEREDSUBJECT" => Algorithm::OrderedSubject,
        "REFERENCES" => Algorithm::References,
        _ => return Err(Bad("No such threading algorithm")),
    };
    cursor.space()?;
    Ok(Thread { algorithm, search: search_criteria(cursor)? })
}

fn criterion(cursor: &mut Cursor<'_>) -> Parse<Criterion> {
    let reverse = cursor.eat_word("REVERSE ");
    let key = match cursor.keyword()?.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        _ => return Err(Bad("No such sort criterion")),
    };
    Ok(Criterion { key, reverse })
}

/// RFC 5256 §5 `search-criteria`: the charset must be there.
fn search_criteria(cursor: &mut Cursor<'_>) -> Parse<Search> {
    let charset = parse_search::charset(cursor)?;
    cursor.space()?;
    Ok(Search { returns: None, charset: Some(charset), keys: parse_search::keys(cursor)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Parse<Sort> {
        let mut cursor = Cursor::new(text.as_bytes());
        let sort = sort(&mut cursor)?;
        cursor.end()?;
        Ok(sort)
    }

    #[test]
    fn sorts() {
        let sort = read("(SUBJECT REVERSE DATE) UTF-8 ALL").unwrap(); // RFC 5256's example
        let keys: Vec<_> = sort.criteria.iter().map(|c| (c.key, c.reverse)).collect();
        assert_eq!(keys, [(SortKey::Subject, false), (SortKey::Date, true)]);
        assert_eq!(sort.search.charset.as_deref(), Some("UTF-8"));
        let sort = read("return (min count) (reverse displayfrom) us-ascii TEXT \"x\"").unwrap();
        assert!(sort.search.returns.is_some_and(|returns| returns.min && returns.count));
        for bad in ["() UTF-8 ALL", "(X) UTF-8 ALL", "(REVERSE) UTF-8 ALL", "(DATE) ALL", "(DATE)"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn threads() {
        let read = |text: &str| thread(&mut Cursor::new(text.as_bytes()));
        assert!(read("REFERENCES UTF-8 SINCE 5-MAR-2000").is_ok());
        assert!(read("orderedsubject \"UTF-8\" ALL").is_ok());
        assert!(read("REFS UTF-8 ALL").is_err() && read("REFERENCES ALL").is_err());
    }

    proptest! {
        #[test]
        fn any_octets(text: Vec<u8>) {
            let _ = (sort(&mut Cursor::new(&text)), thread(&mut Cursor::new(&text)));
        }
    }
}
