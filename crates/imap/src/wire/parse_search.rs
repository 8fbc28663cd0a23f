//! SEARCH: keys, return options, charset (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 5032 WITHIN,
//! RFC 7162 §3.1.5 MODSEQ, RFC 8474 §6, RFC 8514 §4.3, RFC 9738 §3.2).

use jiff::civil::Date;
use waxwing_store::SystemFlags;

use super::cursor::{Bad, Cursor, Parse, is_atom_char};
use super::date;
use super::object_id;
use super::partial::PartialRange;
use super::sequence::SequenceSet;

/// Keys may be nested this deep.
const MAX_DEPTH: usize = 32;
/// Keys in one SEARCH; each may be asked of every message.
const MAX_KEYS: usize = 200;

/// SEARCH.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// RETURN (…), if it was given.
    pub returns: Option<SearchReturn>,
    /// CHARSET, in upper case.
    pub charset: Option<String>,
    /// All of them must hold.
    pub keys: Vec<SearchKey>,
}

/// RFC 9051 §6.4.4, RFC 5182 §2.1. None of the first four set: ALL is meant, unless SAVE is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// MIN.
    pub min: bool,
    /// MAX.
    pub max: bool,
    /// ALL.
    pub all: bool,
    /// COUNT.
    pub count: bool,
    /// SAVE.
    pub save: bool,
    /// PARTIAL (RFC 9394).
    pub partial: Option<PartialRange>,
}

/// What a message must be like. Strings are octets in the charset of the command.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchKey {
    /// ALL, OLD.
    All,
    /// RECENT, NEW: no message is (there is no \Recent).
    Never,
    /// ANSWERED and so on.
    Flag(SystemFlags),
    /// KEYWORD.
    Keyword(String),
    /// BCC, CC, FROM, SUBJECT, TO, HEADER: a substring of that field; an empty one asks only
    /// whether the field is there.
    Header {
        /// As written.
        field: Vec<u8>,
        /// The substring.
        value: Vec<u8>,
    },
    /// BODY.
    Body(Vec<u8>),
    /// TEXT.
    Text(Vec<u8>),
    /// BEFORE, ON, SINCE.
    Received(When, Date),
    /// SENTBEFORE, SENTON, SENTSINCE.
    Sent(When, Date),
    /// SAVEDBEFORE, SAVEDON, SAVEDSINCE (RFC 8514).
    Saved(When, Date),
    /// EMAILID (RFC 8474): as written.
    EmailId(String),
    /// THREADID (RFC 8474 §6).
    ThreadId(String),
    /// YOUNGER: received within this many seconds.
    Younger(u32),
    /// OLDER.
    Older(u32),
    /// LARGER.
    Larger(u64),
    /// SMALLER.
    Smaller(u64),
    /// MODSEQ: this or higher.
    ModSeq(u64),
    /// By sequence number.
    Sequence(SequenceSet),
    /// UID.
    Uid(SequenceSet),
    /// UIDAFTER (RFC 9738 §3.2): a higher UID than this.
    UidAfter(u32),
    /// UIDBEFORE: a lower one.
    UidBefore(u32),
    /// NOT.
    Not(Box<SearchKey>),
    /// OR.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// `( … )`.
    And(Vec<SearchKey>),
}

/// How a day is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Earlier.
    Before,
    /// That day.
    On,
    /// That day or later.
    Since,
}

impl SearchKey {
    /// Whether MODSEQ occurs: then the answer carries one, and CONDSTORE is enabled.
    pub fn mentions_modseq(&self) -> bool {
        self.any(&|key| matches!(key, SearchKey::ModSeq(_)))
    }

    /// Whether it asks for what only the store's entries have.
    pub fn needs_entries(&self) -> bool {
        self.any(&|key| matches!(key, SearchKey::EmailId(_) | SearchKey::Saved(..)))
    }

    /// Whether messages are named by their sequence numbers.
    pub fn mentions_numbers(&self) -> bool {
        self.any(&|key| matches!(key, SearchKey::Sequence(SequenceSet::Ranges(_))))
    }

    /// Whether a key that is not made of others is so.
    fn any(&self, wanted: &impl Fn(&SearchKey) -> bool) -> bool {
        match self {
            SearchKey::Not(key) => key.any(wanted),
            SearchKey::Or(a, b) => a.any(wanted) || b.any(wanted),
            SearchKey::And(keys) => keys.iter().any(|key| key.any(wanted)),
            key => wanted(key),
        }
    }
}

/// Reads the arguments of SEARCH.
pub fn search(cursor: &mut Cursor<'_>) -> Parse<Search> {
    let mut returns = None;
    if cursor.eat_word("RETURN ") {
        returns = Some(return_options(cursor)?);
        cursor.space()?;
    }
    let mut charset = None;
    if cursor.eat_word("CHARSET ") {
        charset = Some(self::charset(cursor)?);
        cursor.space()?;
    }
    Ok(Search { returns, charset, keys: keys(cursor)? })
}

/// A charset, in upper case.
pub(super) fn charset(cursor: &mut Cursor<'_>) -> Parse<String> {
    let name = cursor.astring()?.to_ascii_uppercase();
    String::from_utf8(name).map_err(|_| Bad("A charset is malformed"))
}

/// The keys, to the end.
pub(super) fn keys(cursor: &mut Cursor<'_>) -> Parse<Vec<SearchKey>> {
    let mut parser = Keys { cursor, count: 0 };
    let mut keys = vec![parser.key(0)?];
    while parser.cursor.peek() == Some(b' ') && parser.cursor.rest() != b" " {
        parser.cursor.space()?;
        keys.push(parser.key(0)?);
    }
    Ok(keys)
}

/// What stands behind RETURN, for ESEARCH and ESORT.
pub(super) fn return_options(cursor: &mut Cursor<'_>) -> Parse<SearchReturn> {
    let mut returns = SearchReturn::default();
    cursor.list(|cursor| {
        let option = match cursor.keyword()?.as_str() {
            "MIN" => &mut returns.min,
            "MAX" => &mut returns.max,
            "ALL" => &mut returns.all,
            "COUNT" => &mut returns.count,
            "SAVE" => &mut returns.save,
            "PARTIAL" if returns.partial.is_none() => {
                cursor.space()?;
                returns.partial = Some(PartialRange::parse(cursor)?);
                return Ok(());
            }
            _ => return Err(Bad("No such option of RETURN")),
        };
        *option = true;
        Ok(())
    })?;
    let SearchReturn { min, max, all, count, save, partial } = returns;
    if all && partial.is_some() {
        return Err(Bad("Either ALL or PARTIAL")); // RFC 9394 §3.1
    }
    if !(min || max || all || count || save || partial.is_some()) {
        returns.all = true; // RFC 9051 §6.4.4: RETURN () is RETURN (ALL)
    }
    Ok(returns)
}

struct Keys<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    count: usize,
}

impl Keys<'_, '_> {
    fn key(&mut self, depth: usize) -> Parse<SearchKey> {
        self.count += 1;
        if depth > MAX_DEPTH || self.count > MAX_KEYS {
            return Err(Bad("That search is too deep or too long"));
        }
        match self.cursor.peek() {
            Some(b'(') => self.group(depth),
            Some(b'0'..=b'9' | b'*' | b'$') => {
                SequenceSet::parse(self.cursor).map(SearchKey::Sequence)
            }
            _ => {
                let name = self.cursor.ascii(is_atom_char, "A search key is missing")?;
                self.named(&name.to_ascii_uppercase(), depth)
            }
        }
    }

    fn group(&mut self, depth: usize) -> Parse<SearchKey> {
        self.cursor.expect(b'(', "A group is missing")?;
        let mut keys = vec![self.key(depth + 1)?];
        while !self.cursor.eat(b')') {
            self.cursor.space()?;
            keys.push(self.key(depth + 1)?);
        }
        Ok(SearchKey::And(keys))
    }

    fn named(&mut self, name: &str, depth: usize) -> Parse<SearchKey> {
        if let Some(key) = flag_key(name) {
            return Ok(key);
        }
        self.cursor.space()?;
        Ok(match name {
            "NOT" => SearchKey::Not(Box::new(self.key(depth + 1)?)),
            "OR" => {
                let first = self.key(depth + 1)?;
                self.cursor.space()?;
                SearchKey::Or(Box::new(first), Box::new(self.key(depth + 1)?))
            }
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
                SearchKey::Header { field: name.into(), value: self.astring()? }
            }
            "HEADER" => {
                let field = self.astring()?;
                self.cursor.space()?;
                SearchKey::Header { field, value: self.astring()? }
            }
            "BODY" => SearchKey::Body(self.astring()?),
            "TEXT" => SearchKey::Text(self.astring()?),
            "BEFORE" => SearchKey::Received(When::Before, date::date(self.cursor)?),
            "ON" => SearchKey::Received(When::On, date::date(self.cursor)?),
            "SINCE" => SearchKey::Received(When::Since, date::date(self.cursor)?),
            "SENTBEFORE" => SearchKey::Sent(When::Before, date::date(self.cursor)?),
            "SENTON" => SearchKey::Sent(When::On, date::date(self.cursor)?),
            "SENTSINCE" => SearchKey::Sent(When::Since, date::date(self.cursor)?),
            "SAVEDBEFORE" => SearchKey::Saved(When::Before, date::date(self.cursor)?),
            "SAVEDON" => SearchKey::Saved(When::On, date::date(self.cursor)?),
            "SAVEDSINCE" => SearchKey::Saved(When::Since, date::date(self.cursor)?),
            "EMAILID" => SearchKey::EmailId(self.object_id()?),
            "THREADID" => SearchKey::ThreadId(self.object_id()?),
            "YOUNGER" => SearchKey::Younger(self.cursor.nz_number()?),
            "OLDER" => SearchKey::Older(self.cursor.nz_number()?),
            "LARGER" => SearchKey::Larger(self.cursor.number64()?),
            "SMALLER" => SearchKey::Smaller(self.cursor.number64()?),
            "KEYWORD" => SearchKey::Keyword(self.cursor.atom()?.to_owned()),
            "UNKEYWORD" => {
                SearchKey::Not(Box::new(SearchKey::Keyword(self.cursor.atom()?.to_owned())))
            }
            "UID" => SearchKey::Uid(SequenceSet::parse(self.cursor)?),
            "UIDAFTER" => SearchKey::UidAfter(self.cursor.nz_number()?),
            "UIDBEFORE" => SearchKey::UidBefore(self.cursor.nz_number()?),
            "MODSEQ" => self.modseq()?,
            _ => return Err(Bad("No such search key")),
        })
    }

    /// RFC 8474 §7 `objectid`.
    fn object_id(&mut self) -> Parse<String> {
        let id = self.cursor.ascii(object_id::is_char, "An object identifier is missing")?;
        match id.len() {
            ..=object_id::MAX_OCTETS => Ok(id.to_owned()),
            _ => Err(Bad("That object identifier is too long")),
        }
    }

    fn astring(&mut self) -> Parse<Vec<u8>> {
        self.cursor.astring().map(|value| value.into_owned())
    }

    /// RFC 7162 §3.1.5: an entry name and type may stand before the number; modseqs are kept per
    /// message here, which that section allows, so they change nothing.
    fn modseq(&mut self) -> Parse<SearchKey> {
        if self.cursor.peek() == Some(b'"') {
            let _entry = self.cursor.quoted()?;
            self.cursor.space()?;
            match self.cursor.keyword()?.as_str() {
                "PRIV" | "SHARED" | "ALL" => {}
                _ => return Err(Bad("No such entry type")),
            }
            self.cursor.space()?;
        }
        self.cursor.number64().map(SearchKey::ModSeq)
    }
}

/// Keys without arguments.
fn flag_key(name: &str) -> Option<SearchKey> {
    let not = |key| SearchKey::Not(Box::new(key));
    Some(match name {
        // Deviates: RFC 3501 §2.3.2. \Recent is not kept (rev2 has done away with it), so no
        // message is recent and every message is old.
        "ALL" | "OLD" => SearchKey::All,
        // RFC 8514 §4.3: every mailbox here keeps the date.
        "SAVEDATESUPPORTED" => SearchKey::All,
        "RECENT" | "NEW" => SearchKey::Never,
        "ANSWERED" => SearchKey::Flag(SystemFlags::ANSWERED),
        "DELETED" => SearchKey::Flag(SystemFlags::DELETED),
        "DRAFT" => SearchKey::Flag(SystemFlags::DRAFT),
        "FLAGGED" => SearchKey::Flag(SystemFlags::FLAGGED),
        "SEEN" => SearchKey::Flag(SystemFlags::SEEN),
        "UNANSWERED" => not(SearchKey::Flag(SystemFlags::ANSWERED)),
        "UNDELETED" => not(SearchKey::Flag(SystemFlags::DELETED)),
        "UNDRAFT" => not(SearchKey::Flag(SystemFlags::DRAFT)),
        "UNFLAGGED" => not(SearchKey::Flag(SystemFlags::FLAGGED)),
        "UNSEEN" => not(SearchKey::Flag(SystemFlags::SEEN)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parse<Search> {
        let mut cursor = Cursor::new(text.as_bytes());
        let search = search(&mut cursor)?;
        cursor.end()?;
        Ok(search)
    }

    #[test]
    fn keys() {
        let search = read("RETURN (MIN COUNT) CHARSET utf-8 UNSEEN OR FROM bob NOT 1:3 (UID 4 $)");
        let search = search.unwrap();
        assert_eq!(
            search.returns,
            Some(SearchReturn { min: true, count: true, ..SearchReturn::default() })
        );
        assert_eq!(search.charset.as_deref(), Some("UTF-8"));
        assert_eq!(search.keys.len(), 3);
        assert!(matches!(&search.keys[1], SearchKey::Or(a, b)
            if matches!(**a, SearchKey::Header { .. }) && matches!(**b, SearchKey::Not(_))));
        assert!(matches!(&search.keys[2], SearchKey::And(keys) if keys.len() == 2));
        assert!(read("RETURN () ALL").unwrap().returns.unwrap().all);
        let modseq = read("MODSEQ \"/flags/\\\\draft\" all 620162338").unwrap();
        assert_eq!(modseq.keys, [SearchKey::ModSeq(620_162_338)]);
        assert!(read("OR ALL NOT MODSEQ 3").unwrap().keys[0].mentions_modseq());
        assert!(read("SINCE 1-Feb-1994 SENTON \"2-Mar-2000\" HEADER X-A \"\" ALL ").is_ok());
    }

    #[test]
    fn what_is_refused() {
        for text in
            ["", "FOO", "NOT", "OR ALL", "()", "(ALL", "FROM", "SINCE 1-Feb", "RETURN (X) ALL"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&format!("{}ALL", "NOT ".repeat(20))).is_ok());
        assert!(read(&format!("{}ALL", "NOT ".repeat(50))).is_err());
        assert!(read(&"(".repeat(60_000)).is_err());
        assert!(read(&format!("ALL{}", " ALL".repeat(2000))).is_err());
    }
}
