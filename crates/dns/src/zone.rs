//! Zones: records by name, how a question is answered from them, and the text they are read from.
//!
//! The same zone feeds [`FakeZone`](crate::FakeZone) (answers in memory) and the
//! [server](crate::server) (answers on the wire), so both agree on what a question means:
//!
//! | the name | the answer |
//! |---|---|
//! | has records of the type | those records |
//! | has a CNAME and another type was asked for | the CNAME, then the same question for its target |
//! | exists, or stands above one that does (RFC 4592 §2.2.2) | no data |
//! | does not exist, and its closest ancestor has a `*` child | the records of `*` (RFC 4592) |
//! | does not exist | NXDOMAIN |
//! | is below no zone | not ours |
//!
//! # Text
//!
//! A subset of RFC 1035 §5 master files: one record a line (a parenthesis joins lines), as
//!
//! ```text
//! $TTL 300
//! @        IN SOA ns hostmaster 1 7200 900 1209600 60
//! @        MX   10 mail
//! mail 60  A    127.0.0.1          ; TTL and class in either order, both may be left out
//!          AAAA ::1                ; no name: the one above
//! @        TXT  "v=spf1 mx -all"   ; up to 255 octets a string, \" \\ and \DDD
//! ```
//!
//! Relative names end in the zone's name or in `$ORIGIN`. Left out: `$INCLUDE`, other classes, TTL
//! units, unknown types (RFC 3597), and delegation: every name below the zone's is answered here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::record::{Mx, RecordData, RecordType, Soa, Srv, Tlsa, canonical_name, is_at_or_below};

/// TTL where the text gives none.
pub const DEFAULT_TTL_SECS: u32 = 300;
/// The longest alias chain that is followed.
pub const MAX_ALIASES: usize = 8;

/// Records of one name and type, which share a TTL (RFC 2181 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Seconds.
    pub ttl_secs: u32,
    /// Never empty.
    pub records: Vec<RecordData>,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    apex: String,
    names: BTreeMap<String, BTreeMap<RecordType, RecordSet>>,
}

/// What is wrong with a zone's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ZoneError {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub problem: String,
}

impl Zone {
    /// An empty zone with a start of authority, or `None` when `apex` is not a name.
    pub fn new(apex: &str) -> Option<Zone> {
        let apex = canonical_name(apex)?;
        let below = |label: &str| match apex.as_str() {
            "." => label.to_owned(),
            apex => format!("{label}.{apex}"),
        };
        let soa = RecordData::Soa(Soa {
            primary: below("ns"),
            mailbox: below("hostmaster"),
            serial: 1,
            refresh_secs: 7200,
            retry_secs: 900,
            expire_secs: 1_209_600,
            minimum_secs: 60,
        });
        let set = RecordSet { ttl_secs: DEFAULT_TTL_SECS, records: vec![soa] };
        let names = BTreeMap::from([(apex.clone(), BTreeMap::from([(RecordType::Soa, set)]))]);
        Some(Zone { apex, names })
    }

    /// Reads a zone's text (see the head of this file).
    pub fn parse(apex: &str, text: &str) -> Result<Zone, ZoneError> {
        let not_a_name =
            || ZoneError { line: 0, problem: format!("{apex:?} is not a domain name") };
        let mut zone = Zone::new(apex).ok_or_else(not_a_name)?;
        Reader::new(&zone.apex).read(text, &mut zone)?;
        Ok(zone)
    }

    /// The zone's own name.
    pub fn apex(&self) -> &str {
        &self.apex
    }

    /// The zone's start of authority and its TTL.
    pub fn soa(&self) -> (&Soa, u32) {
        let set = &self.names[&self.apex][&RecordType::Soa];
        match set.records.as_slice() {
            [RecordData::Soa(soa)] => (soa, set.ttl_secs),
            _ => unreachable!("new() writes one SOA and add() only ever replaces it"),
        }
    }

    /// Adds a record; a repeated one is kept once, a new SOA replaces the old. The error says in
    /// words why it cannot stand there.
    pub fn add(&mut self, name: &str, ttl_secs: u32, data: RecordData) -> Result<(), String> {
        let name = canonical_name(name).ok_or_else(|| format!("{name:?} is not a domain name"))?;
        if !is_at_or_below(&name, &self.apex) {
            return Err(format!("{name} is not in the zone {}", self.apex));
        }
        check_data(&data)?;
        let record_type = data.record_type();
        if record_type == RecordType::Soa && name != self.apex {
            return Err("SOA belongs to the zone's own name".to_owned());
        }
        let sets = self.names.entry(name).or_default();
        // RFC 1034 §3.6.2: a CNAME stands alone.
        let has_other = sets.keys().any(|&other| other != RecordType::Cname);
        let has_cname = sets.contains_key(&RecordType::Cname);
        if (record_type == RecordType::Cname && has_other)
            || (record_type != RecordType::Cname && has_cname)
        {
            return Err("a CNAME stands alone at its name (RFC 1034 §3.6.2)".to_owned());
        }
        let set = sets.entry(record_type).or_insert(RecordSet { ttl_secs, records: Vec::new() });
        if record_type == RecordType::Soa {
            set.records.clear();
            set.ttl_secs = ttl_secs;
        }
        if record_type == RecordType::Cname && !set.records.is_empty() && set.records[0] != data {
            return Err("a name has one CNAME (RFC 2181 §10.1)".to_owned());
        }
        set.ttl_secs = set.ttl_secs.min(ttl_secs);
        if !set.records.contains(&data) {
            set.records.push(data);
        }
        Ok(())
    }

    /// Every record set by name, in order.
    pub fn record_sets(&self) -> impl Iterator<Item = (&str, &RecordSet)> {
        self.names.iter().flat_map(|(name, sets)| sets.values().map(move |set| (&**name, set)))
    }

    /// The record sets that answer for a name: its own, or the wildcard's. `None`: no such name.
    fn sets_for(&self, name: &str) -> Option<Option<&BTreeMap<RecordType, RecordSet>>> {
        if let Some(sets) = self.names.get(name) {
            return Some(Some(sets));
        }
        if self.is_above_a_name(name) {
            return Some(None);
        }
        // RFC 4592 §3.3.1: the closest encloser is the longest ancestor that exists.
        let mut encloser = name;
        while let Some((_, parent)) = encloser.split_once('.') {
            encloser = parent;
            if self.names.contains_key(parent) || self.is_above_a_name(parent) {
                break;
            }
        }
        self.names.get(&format!("*.{encloser}")).map(Some)
    }

    /// An empty non-terminal: no records of its own, but a name below it has some.
    fn is_above_a_name(&self, name: &str) -> bool {
        let suffix = format!(".{name}");
        self.names.keys().any(|other| other.ends_with(&suffix))
    }
}

/// Limits that the wire sets, and names in their one form.
fn check_data(data: &RecordData) -> Result<(), String> {
    let name_ok = |name: &str| match canonical_name(name) {
        Some(canonical) if canonical == name => Ok(()),
        _ => Err(format!("{name:?} is not a domain name")),
    };
    match data {
        RecordData::A(_) | RecordData::Aaaa(_) => Ok(()),
        RecordData::Mx(mx) => name_ok(&mx.exchange),
        RecordData::Srv(srv) => name_ok(&srv.target),
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => name_ok(name),
        RecordData::Soa(soa) => name_ok(&soa.primary).and(name_ok(&soa.mailbox)),
        RecordData::Txt(strings) => {
            if strings.is_empty() || strings.iter().any(|string| string.len() > 255) {
                return Err("TXT has one or more strings of at most 255 octets".to_owned());
            }
            let octets: usize = strings.iter().map(|string| string.len() + 1).sum();
            if octets > 60_000 { Err("TXT is too long".to_owned()) } else { Ok(()) }
        }
        RecordData::Tlsa(tlsa) if tlsa.data.len() > 60_000 => Err("TLSA is too long".to_owned()),
        RecordData::Tlsa(_) => Ok(()),
    }
}

/// Several zones; a name belongs to the longest that it stands in.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    zones: BTreeMap<String, Zone>,
}

/// One alias on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAlias {
    /// The alias.
    pub owner: String,
    /// What it stands for.
    pub target: String,
    /// Seconds.
    pub ttl_secs: u32,
}

/// What zones say to a question.
#[derive(Debug, Clone)]
pub struct Found<'z> {
    /// The aliases that led to `name`.
    pub aliases: Vec<FoundAlias>,
    /// The name that `end` speaks of.
    pub name: String,
    /// Where it ended.
    pub end: End<'z>,
}

/// How a question ends.
#[derive(Debug, Clone)]
pub enum End<'z> {
    /// Records of the type that was asked for.
    Records(&'z RecordSet),
    /// The name exists in this zone without such records.
    NoData(&'z Zone),
    /// The name does not exist in this zone.
    NxDomain(&'z Zone),
    /// The name is in none of the zones.
    NotOurs,
    /// The aliases go round, or on for too long.
    AliasLoop,
}

impl Zones {
    /// Adds a zone, in place of one with the same name.
    pub fn insert(&mut self, zone: Zone) {
        self.zones.insert(zone.apex.clone(), zone);
    }

    /// The zone that a name (in canonical form) belongs to.
    pub fn zone_of(&self, name: &str) -> Option<&Zone> {
        let mut rest = name;
        loop {
            if let Some(zone) = self.zones.get(rest) {
                return Some(zone);
            }
            match rest.split_once('.') {
                Some((_, parent)) if !parent.is_empty() => rest = parent,
                _ => return self.zones.get("."),
            }
        }
    }

    /// The zone of exactly this name, to be changed.
    pub fn zone_mut(&mut self, apex: &str) -> Option<&mut Zone> {
        self.zones.get_mut(apex)
    }

    /// Answers a question; `name` is in canonical form. Ask with `None` for a type that no zone
    /// holds: existence and aliases are told all the same.
    pub fn find(&self, name: &str, record_type: impl Into<Option<RecordType>>) -> Found<'_> {
        let record_type = record_type.into();
        let mut name = name.to_owned();
        let mut aliases: Vec<FoundAlias> = Vec::new();
        loop {
            let Some(zone) = self.zone_of(&name) else {
                return Found { aliases, name, end: End::NotOurs };
            };
            let sets = match zone.sets_for(&name) {
                None => return Found { aliases, name, end: End::NxDomain(zone) },
                Some(None) => return Found { aliases, name, end: End::NoData(zone) },
                Some(Some(sets)) => sets,
            };
            if let Some(set) = record_type.and_then(|record_type| sets.get(&record_type)) {
                return Found { aliases, name, end: End::Records(set) };
            }
            let Some((target, ttl_secs)) = alias_target(sets) else {
                return Found { aliases, name, end: End::NoData(zone) };
            };
            aliases.push(FoundAlias { owner: name, target: target.to_owned(), ttl_secs });
            name = target.to_owned();
            if aliases.len() > MAX_ALIASES || aliases.iter().any(|alias| alias.owner == name) {
                return Found { aliases, name, end: End::AliasLoop };
            }
        }
    }
}

impl FromIterator<Zone> for Zones {
    fn from_iter<I: IntoIterator<Item = Zone>>(zones: I) -> Zones {
        let mut all = Zones::default();
        zones.into_iter().for_each(|zone| all.insert(zone));
        all
    }
}

fn alias_target(sets: &BTreeMap<RecordType, RecordSet>) -> Option<(&str, u32)> {
    let set = sets.get(&RecordType::Cname)?;
    match set.records.first()? {
        RecordData::Cname(target) => Some((target, set.ttl_secs)),
        _ => None,
    }
}

/// Writes the text that [`Zone::parse`] reads back to an equal zone.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, set) in self.record_sets() {
            for data in &set.records {
                let (ttl, kind) = (set.ttl_secs, data.record_type());
                writeln!(f, "{} {ttl} IN {kind} {data}", Absolute(name))?;
            }
        }
        Ok(())
    }
}

/// A name with its final dot.
struct Absolute<'a>(&'a str);

impl fmt::Display for Absolute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == "." {
            return f.write_str(".");
        }
        for c in self.0.chars() {
            if matches!(c, ';' | '"' | '(' | ')' | '@' | '$') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str(".")
    }
}

/// As zone text has it, names absolute.
impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordData::A(ip) => write!(f, "{ip}"),
            RecordData::Aaaa(ip) => write!(f, "{ip}"),
            RecordData::Mx(mx) => write!(f, "{} {}", mx.preference, Absolute(&mx.exchange)),
            RecordData::Txt(strings) => {
                for (i, string) in strings.iter().enumerate() {
                    f.write_str(if i == 0 { "\"" } else { " \"" })?;
                    for &octet in string {
                        match octet {
                            b'"' | b'\\' => write!(f, "\\{}", octet as char)?,
                            b' '..=b'~' => write!(f, "{}", octet as char)?,
                            _ => write!(f, "\\{octet:03}")?,
                        }
                    }
                    f.write_str("\"")?;
                }
                Ok(())
            }
            RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => {
                write!(f, "{}", Absolute(name))
            }
            RecordData::Tlsa(tlsa) => {
                write!(f, "{} {} {} ", tlsa.usage, tlsa.selector, tlsa.matching)?;
                tlsa.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            RecordData::Srv(srv) => {
                let target = Absolute(&srv.target);
                write!(f, "{} {} {} {target}", srv.priority, srv.weight, srv.port)
            }
            RecordData::Soa(soa) => write!(
                f,
                "{} {} {} {} {} {} {}",
                Absolute(&soa.primary),
                Absolute(&soa.mailbox),
                soa.serial,
                soa.refresh_secs,
                soa.retry_secs,
                soa.expire_secs,
                soa.minimum_secs
            ),
        }
    }
}

/// A word of zone text.
#[derive(Debug, Clone)]
struct Word {
    octets: Vec<u8>,
    /// Quoted or escaped, so that it is never `@`, a number or a type.
    literal: bool,
}

/// One record's words.
struct Entry {
    line: usize,
    /// The line begins with white space: the owner is the one above.
    same_owner: bool,
    words: Vec<Word>,
}

/// Reads records with what earlier lines have set.
struct Reader {
    origin: String,
    ttl_secs: u32,
    owner: Option<String>,
}

impl Reader {
    fn new(apex: &str) -> Reader {
        Reader { origin: apex.to_owned(), ttl_secs: DEFAULT_TTL_SECS, owner: None }
    }

    fn read(mut self, text: &str, zone: &mut Zone) -> Result<(), ZoneError> {
        for entry in entries(text)? {
            let line = entry.line;
            self.entry(entry, zone).map_err(|problem| ZoneError { line, problem })?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry, zone: &mut Zone) -> Result<(), String> {
        let mut words = entry.words.into_iter().peekable();
        if !entry.same_owner {
            let first = words.next().ok_or("nothing here")?;
            match first.plain() {
                Some("$ORIGIN") => {
                    self.origin = self.name(&words.next().ok_or("$ORIGIN needs a name")?)?;
                    return no_more(words.next());
                }
                Some("$TTL") => {
                    self.ttl_secs = number(words.next().as_ref(), "a TTL in seconds")?;
                    return no_more(words.next());
                }
                Some(other) if other.starts_with('$') => {
                    return Err(format!("{other} is not understood here"));
                }
                _ => self.owner = Some(self.name(&first)?),
            }
        }
        let owner = self.owner.clone().ok_or("the first record needs a name")?;
        let mut ttl_secs = self.ttl_secs;
        // RFC 1035 §5.1: [<TTL>] [<class>] <type> or [<class>] [<TTL>] <type>.
        for _ in 0..2 {
            match words.peek().and_then(Word::plain) {
                Some(word) if word.eq_ignore_ascii_case("IN") => {
                    words.next();
                }
                Some(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                    ttl_secs = number(words.next().as_ref(), "a TTL in seconds")?;
                }
                _ => break,
            }
        }
        // RFC 2181 §8: a TTL has 31 bits.
        if ttl_secs > i32::MAX as u32 {
            return Err("a TTL is at most 2147483647".to_owned());
        }
        let kind = words.next().ok_or("a record needs a type")?;
        let record_type = kind.plain().and_then(|kind| kind.parse().ok());
        let record_type =
            record_type.ok_or_else(|| format!("{} is not a type known here", kind.lossy()))?;
        let words: Vec<Word> = words.collect();
        let data = self.data(record_type, &words)?;
        zone.add(&owner, ttl_secs, data)
    }

    fn data(&self, record_type: RecordType, words: &[Word]) -> Result<RecordData, String> {
        if record_type == RecordType::Txt {
            return Ok(RecordData::Txt(words.iter().map(|word| word.octets.clone()).collect()));
        }
        let mut words = words.iter();
        let data = match record_type {
            RecordType::A => RecordData::A(parsed::<Ipv4Addr>(words.next(), "an IPv4 address")?),
            RecordType::Aaaa => {
                RecordData::Aaaa(parsed::<Ipv6Addr>(words.next(), "an IPv6 address")?)
            }
            RecordType::Mx => RecordData::Mx(Mx {
                preference: parsed(words.next(), "a preference")?,
                exchange: self.name_word(words.next())?,
            }),
            RecordType::Ptr => RecordData::Ptr(self.name_word(words.next())?),
            RecordType::Cname => RecordData::Cname(self.name_word(words.next())?),
            RecordType::Ns => RecordData::Ns(self.name_word(words.next())?),
            RecordType::Srv => RecordData::Srv(Srv {
                priority: parsed(words.next(), "a priority")?,
                weight: parsed(words.next(), "a weight")?,
                port: parsed(words.next(), "a port")?,
                target: self.name_word(words.next())?,
            }),
            RecordType::Tlsa => RecordData::Tlsa(Tlsa {
                usage: parsed(words.next(), "a certificate usage")?,
                selector: parsed(words.next(), "a selector")?,
                matching: parsed(words.next(), "a matching type")?,
                data: hex(words.by_ref())?,
            }),
            RecordType::Soa => RecordData::Soa(Soa {
                primary: self.name_word(words.next())?,
                mailbox: self.name_word(words.next())?,
                serial: parsed(words.next(), "a serial number")?,
                refresh_secs: parsed(words.next(), "seconds")?,
                retry_secs: parsed(words.next(), "seconds")?,
                expire_secs: parsed(words.next(), "seconds")?,
                minimum_secs: parsed(words.next(), "seconds")?,
            }),
            RecordType::Txt => unreachable!("returned above"),
        };
        no_more(words.next().cloned())?;
        Ok(data)
    }

    fn name_word(&self, word: Option<&Word>) -> Result<String, String> {
        self.name(word.ok_or("a name is missing")?)
    }

    fn name(&self, word: &Word) -> Result<String, String> {
        let problem = || format!("{:?} is not a domain name", word.lossy());
        let text = std::str::from_utf8(&word.octets).map_err(|_| problem())?;
        if !word.literal && text == "@" {
            return Ok(self.origin.clone());
        }
        if text.ends_with('.') || self.origin == "." {
            return canonical_name(text).ok_or_else(problem);
        }
        canonical_name(&format!("{text}.{}", self.origin)).ok_or_else(problem)
    }
}

impl Word {
    fn plain(&self) -> Option<&str> {
        if self.literal { None } else { std::str::from_utf8(&self.octets).ok() }
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.octets).into_owned()
    }
}

fn number(word: Option<&Word>, what: &str) -> Result<u32, String> {
    parsed(word, what)
}

fn parsed<T: std::str::FromStr>(word: Option<&Word>, what: &str) -> Result<T, String> {
    let word = word.ok_or_else(|| format!("{what} is missing"))?;
    let value = word.plain().and_then(|text| text.parse().ok());
    value.ok_or_else(|| format!("{:?} is not {what}", word.lossy()))
}

fn hex<'w>(words: impl Iterator<Item = &'w Word>) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = words.flat_map(|word| word.octets.iter().copied()).collect();
    let digit = |octet: u8| (octet as char).to_digit(16).map(|value| value as u8);
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().ok_or_else(|| "not pairs of hexadecimal digits".to_owned())
}

fn no_more(word: Option<Word>) -> Result<(), String> {
    match word {
        None => Ok(()),
        Some(word) => Err(format!("{:?} is one word too many", word.lossy())),
    }
}

/// Cuts text into records: comments gone, parentheses joined, quotes and escapes undone.
fn entries(text: &str) -> Result<Vec<Entry>, ZoneError> {
    let mut entries = Vec::new();
    let mut entry: Option<Entry> = None;
    let mut open_parens = 0_usize;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let at = |problem: &str| ZoneError { line, problem: problem.to_owned() };
        let current = entry.get_or_insert_with(|| Entry {
            line,
            same_owner: raw.starts_with([' ', '\t']),
            words: Vec::new(),
        });
        cut_line(raw.as_bytes(), &mut current.words, &mut open_parens).map_err(at)?;
        if open_parens == 0 {
            entries.extend(entry.take().filter(|entry| !entry.words.is_empty()));
        }
    }
    match entry {
        Some(entry) => {
            Err(ZoneError { line: entry.line, problem: "a parenthesis stays open".to_owned() })
        }
        None => Ok(entries),
    }
}

fn cut_line(line: &[u8], words: &mut Vec<Word>, open: &mut usize) -> Result<(), &'static str> {
    let mut rest = line;
    while let Some((&octet, tail)) = rest.split_first() {
        match octet {
            b';' => return Ok(()),
            b' ' | b'\t' | b'\r' => rest = tail,
            b'(' => {
                *open += 1;
                rest = tail;
            }
            b')' => {
                *open = open.checked_sub(1).ok_or("a parenthesis closes that was not open")?;
                rest = tail;
            }
            b'"' => {
                let (octets, _, after) = cut_until(tail, |octet| octet == b'"')?;
                rest = after.strip_prefix(b"\"").ok_or("a quotation mark is missing")?;
                words.push(Word { octets, literal: true });
            }
            _ => {
                let ends = |octet: u8| b" \t\r;()\"".contains(&octet);
                let (octets, literal, after) = cut_until(rest, ends)?;
                rest = after;
                words.push(Word { octets, literal });
            }
        }
    }
    Ok(())
}

/// Takes octets up to one that ends the word, undoing `\X` and `\DDD` (RFC 1035 §5.1). Also says
/// whether there was an escape, and what is left.
fn cut_until(
    mut rest: &[u8],
    ends: impl Fn(u8) -> bool,
) -> Result<(Vec<u8>, bool, &[u8]), &'static str> {
    let (mut octets, mut escaped) = (Vec::new(), false);
    while let Some((&octet, tail)) = rest.split_first() {
        if octet == b'\\' {
            escaped = true;
            let (value, after) = unescape(tail)?;
            octets.push(value);
            rest = after;
        } else if ends(octet) {
            break;
        } else {
            octets.push(octet);
            rest = tail;
        }
    }
    Ok((octets, escaped, rest))
}

fn unescape(rest: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let (&first, tail) = rest.split_first().ok_or("a backslash at the end of the line")?;
    if !first.is_ascii_digit() {
        return Ok((first, tail));
    }
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let digits = digits.ok_or("a backslash and a digit need two digits more")?;
    let value = digits.iter().fold(0_u16, |value, digit| value * 10 + u16::from(digit - b'0'));
    let value = u8::try_from(value).map_err(|_| "\\DDD is at most 255")?;
    Ok((value, &rest[3..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAX: &str = "\
$TTL 300
@        IN SOA ns hostmaster 7 7200 900 1209600 60
@        MX   10 mail
         MX   20 mail.elsewhere.example.
mail 60  A    127.0.0.1          ; a comment
         AAAA ::1
www      CNAME mail
out      IN 30 CNAME mail.elsewhere.example.
loop1    CNAME loop2
loop2    CNAME loop1
@        TXT  ( \"v=spf1 mx \" ; the first string
                \"-all\" )
_25._tcp.mail TLSA 3 1 1 AABB ccdd
*.wild   A    127.0.0.9
a.b.deep A    127.0.0.8
";

    fn zones() -> Zones {
        [Zone::parse("wax.test", WAX).unwrap()].into_iter().collect()
    }

    fn records<'z>(zones: &'z Zones, name: &str, kind: RecordType) -> &'z [RecordData] {
        match zones.find(name, kind).end {
            End::Records(set) => &set.records,
            other => panic!("{name} {kind}: {other:?}"),
        }
    }

    #[test]
    fn records_are_read_as_written() {
        let zones = zones();
        let mx = |preference, exchange: &str| {
            RecordData::Mx(Mx { preference, exchange: exchange.to_owned() })
        };
        assert_eq!(
            records(&zones, "wax.test", RecordType::Mx),
            [mx(10, "mail.wax.test"), mx(20, "mail.elsewhere.example")]
        );
        assert_eq!(
            records(&zones, "wax.test", RecordType::Txt),
            [RecordData::Txt(vec![b"v=spf1 mx ".to_vec(), b"-all".to_vec()])]
        );
        let tlsa = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0xaa, 0xbb, 0xcc, 0xdd] };
        assert_eq!(
            records(&zones, "_25._tcp.mail.wax.test", RecordType::Tlsa),
            [RecordData::Tlsa(tlsa)]
        );
        let (soa, ttl) = zones.zone_of("x.wax.test").unwrap().soa();
        assert_eq!((soa.serial, soa.minimum_secs, ttl), (7, 60, 300));
    }

    #[test]
    fn ttl_stands_before_or_after_the_class() {
        let zones = zones();
        match zones.find("mail.wax.test", RecordType::A).end {
            End::Records(set) => assert_eq!(set.ttl_secs, 60),
            other => panic!("{other:?}"),
        }
        assert_eq!(zones.find("out.wax.test", RecordType::A).aliases[0].ttl_secs, 30);
    }

    #[test]
    fn aliases_are_followed_inside_and_left_at_the_border() {
        let zones = zones();
        let found = zones.find("www.wax.test", RecordType::A);
        assert_eq!(found.name, "mail.wax.test");
        assert_eq!(found.aliases.len(), 1);
        assert!(matches!(found.end, End::Records(_)));
        let found = zones.find("out.wax.test", RecordType::A);
        assert_eq!(found.name, "mail.elsewhere.example");
        assert!(matches!(found.end, End::NotOurs));
        assert!(matches!(zones.find("loop1.wax.test", RecordType::A).end, End::AliasLoop));
        // Asked for itself, a CNAME is an ordinary record.
        let found = zones.find("www.wax.test", RecordType::Cname);
        assert!(found.aliases.is_empty() && matches!(found.end, End::Records(_)));
    }

    #[test]
    fn absence_has_two_kinds() {
        let zones = zones();
        let end = |name, kind| zones.find(name, kind).end;
        assert!(matches!(end("mail.wax.test", RecordType::Mx), End::NoData(_)));
        assert!(matches!(end("nobody.wax.test", RecordType::A), End::NxDomain(_)));
        // Empty non-terminals exist: RFC 4592 §2.2.2.
        assert!(matches!(end("b.deep.wax.test", RecordType::A), End::NoData(_)));
        assert!(matches!(end("deep.wax.test", RecordType::A), End::NoData(_)));
        assert!(matches!(end("wax.example", RecordType::A), End::NotOurs));
    }

    #[test]
    fn wildcards_answer_below_their_closest_encloser_only() {
        let zones = zones();
        let end = |name, kind| zones.find(name, kind).end;
        assert!(matches!(end("any.wild.wax.test", RecordType::A), End::Records(_)));
        assert!(matches!(end("any.more.wild.wax.test", RecordType::A), End::Records(_)));
        assert!(matches!(end("any.wild.wax.test", RecordType::Mx), End::NoData(_)));
        assert!(matches!(end("wild.wax.test", RecordType::A), End::NoData(_)));
        assert!(matches!(end("any.tame.wax.test", RecordType::A), End::NxDomain(_)));
    }

    #[test]
    fn mistakes_name_their_line() {
        let cases = [
            ("@ A 127.0.0.1\n@ A 127.0.0.256", 2, "IPv4"),
            ("@ MX mail", 1, "preference"),
            ("@ MX 10", 1, "missing"),
            ("@ A 127.0.0.1 127.0.0.2", 1, "too many"),
            ("@ HINFO a b", 1, "type"),
            ("  A 127.0.0.1", 1, "name"),
            ("mail.other.test. A 127.0.0.1", 1, "not in the zone"),
            ("a CNAME b\na A 127.0.0.1", 2, "alone"),
            ("a CNAME b\na CNAME c", 2, "one CNAME"),
            ("@ CNAME b", 1, "alone"),
            ("$INCLUDE x", 1, "not understood"),
            ("@ TXT \"open", 1, "quotation"),
            ("\n@ TXT (\n a", 2, "parenthesis"),
            ("@ TXT a )", 1, "parenthesis"),
            ("@ TXT \\256", 1, "255"),
            ("@ TXT", 1, "one or more"),
            ("@ 4294967295 A 127.0.0.1", 1, "TTL"),
            ("@ TLSA 3 1 1 abc", 1, "hexadecimal"),
        ];
        for (text, line, word) in cases {
            let error = Zone::parse("wax.test", text).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.problem.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        let zone = Zone::parse("wax.test", r#"@ TXT "a\"b\\c\010" d\;e"#).unwrap();
        let zones: Zones = [zone].into_iter().collect();
        assert_eq!(
            records(&zones, "wax.test", RecordType::Txt),
            [RecordData::Txt(vec![b"a\"b\\c\n".to_vec(), b"d;e".to_vec()])]
        );
    }
}
