//! Match types and comparators: how values of a message are held against keys of a script.
//!
//! | match type | holds when |
//! |---|---|
//! | `:is`, `:contains`, `:matches` | RFC 5228 §2.7.1 |
//! | `:regex` | draft-ietf-sieve-regex |
//! | `:value` | the value stands in that relation to the key (RFC 5231 §4.2) |
//! | `:count` | the number of values does (RFC 5231 §4.1) |
//!
//! | comparator | compares |
//! |---|---|
//! | `i;octet` | octets |
//! | `i;ascii-casemap` | the same, letters of ASCII taken as capitals; what is meant when none is named |
//! | `i;ascii-numeric` | numbers that values begin with; none is larger than all (RFC 4790 §9.1) |

use std::cell::OnceCell;
use std::cmp::Ordering;

use memchr::memmem;

use super::Fault;
use super::check::{Bound, Checker, Tag, Takes};
use super::pattern::Pattern;
use super::regex;
use super::run::{Halt, Run};
use super::text::{MAX_MATCH_VARIABLE, Text};

/// Regular expressions in one script.
const MAX_EXPRESSIONS: usize = 200;
/// What making one while a script runs counts, in steps.
const EXPRESSION_STEPS: u64 = 500;

/// The tags of every test that matches.
pub(crate) const TAGS: &[Tag] = &[
    Tag { name: "is", takes: Takes::Nothing, extension: "", group: "match" },
    Tag { name: "contains", takes: Takes::Nothing, extension: "", group: "match" },
    Tag { name: "matches", takes: Takes::Nothing, extension: "", group: "match" },
    Tag { name: "regex", takes: Takes::Nothing, extension: "regex", group: "match" },
    Tag { name: "value", takes: Takes::String, extension: "relational", group: "match" },
    Tag { name: "count", takes: Takes::String, extension: "relational", group: "match" },
    Tag { name: "comparator", takes: Takes::String, extension: "", group: "" },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Octet,
    AsciiCasemap,
    AsciiNumeric,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchType {
    Is,
    Contains,
    Matches,
    Regex,
    Value(Relation),
    Count(Relation),
}

/// RFC 5231 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Gt,
    Ge,
    Lt,
    Le,
    Eq,
    Ne,
}

impl Relation {
    fn parse(name: &str) -> Option<Relation> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gt" => Relation::Gt,
            "ge" => Relation::Ge,
            "lt" => Relation::Lt,
            "le" => Relation::Le,
            "eq" => Relation::Eq,
            "ne" => Relation::Ne,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Relation::Gt => ordering.is_gt(),
            Relation::Ge => ordering.is_ge(),
            Relation::Lt => ordering.is_lt(),
            Relation::Le => ordering.is_le(),
            Relation::Eq => ordering.is_eq(),
            Relation::Ne => ordering.is_ne(),
        }
    }
}

impl Comparator {
    fn compare(self, a: &str, b: &str) -> Ordering {
        match self {
            Comparator::Octet => a.cmp(b),
            Comparator::AsciiCasemap => {
                let upper = |text: &'_ str| text.to_ascii_uppercase();
                upper(a).cmp(&upper(b))
            }
            Comparator::AsciiNumeric => numeric(a).cmp(&numeric(b)),
        }
    }
}

/// Orders like the number that a text begins with; what begins with none is the largest.
fn numeric(text: &str) -> (bool, usize, &str) {
    let digits = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].trim_start_matches('0');
    (digits == 0, number.len(), number)
}

/// How a test matches.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    pub kind: MatchType,
    pub comparator: Comparator,
}

/// The keys of a test, with its patterns made as far as they are known beforehand.
pub(crate) struct Keys {
    matcher: Matcher,
    texts: Vec<Text>,
    ready: Vec<Option<Ready>>,
    /// RFC 5173 §6: `body` leaves match variables alone.
    pub sets_variables: bool,
    /// RFC 5232 §2: a key of `hasflag` may be several flags.
    pub split_at_spaces: bool,
}

/// A key, ready to be matched.
enum Ready {
    Plain(String),
    Pattern(Pattern),
    Regex(Box<::regex::Regex>),
}

/// A value, and the same in capitals once a key asks for that.
struct Value<'v> {
    text: &'v str,
    capitals: OnceCell<String>,
}

impl Value<'_> {
    /// As the comparator has it.
    fn folded(&self, comparator: Comparator) -> &str {
        match comparator {
            Comparator::AsciiCasemap => {
                self.capitals.get_or_init(|| self.text.to_ascii_uppercase())
            }
            _ => self.text,
        }
    }
}

impl Matcher {
    /// What the tags say.
    pub fn new(bound: &Bound<'_>, checker: &Checker<'_>) -> Result<Matcher, Fault> {
        let comparator = match bound.string_of("comparator") {
            None => Comparator::AsciiCasemap,
            Some((name, at)) => {
                let comparator = match name {
                    "i;octet" => Comparator::Octet,
                    "i;ascii-casemap" => Comparator::AsciiCasemap,
                    "i;ascii-numeric" => Comparator::AsciiNumeric,
                    _ => {
                        return Err(at.fault(format!(
                            "there is no comparator \"{name}\" here: take \"i;ascii-casemap\", \
                             \"i;octet\" or \"i;ascii-numeric\""
                        )));
                    }
                };
                checker.needs(&format!("comparator-{name}"), at, &format!("\"{name}\""))?;
                comparator
            }
        };
        let relation = |tag: &str| match bound.string_of(tag) {
            None => Ok(Relation::Eq),
            Some((name, at)) => Relation::parse(name).ok_or_else(|| {
                at.fault(format!("\"{name}\" is no relation: take gt, ge, lt, le, eq or ne"))
            }),
        };
        let (tag, at) = bound.of_group("match").unwrap_or(("is", bound.at));
        let kind = match tag {
            "contains" => MatchType::Contains,
            "matches" => MatchType::Matches,
            "regex" => MatchType::Regex,
            "value" => MatchType::Value(relation("value")?),
            "count" => MatchType::Count(relation("count")?),
            _ => MatchType::Is,
        };
        let substring = matches!(kind, MatchType::Contains | MatchType::Matches | MatchType::Regex);
        if substring && comparator == Comparator::AsciiNumeric {
            // RFC 4790 §9.1.1: it has no substring operation.
            return Err(at.fault(format!(
                "\":{tag}\" looks into values, and \"i;ascii-numeric\" knows whole numbers only: \
                 take another comparator"
            )));
        }
        Ok(Matcher { kind, comparator })
    }

    /// Takes the keys, which are the next argument.
    pub fn keys(
        self,
        bound: &mut Bound<'_>,
        what: &str,
        checker: &Checker<'_>,
    ) -> Result<Keys, Fault> {
        let texts = bound.next_texts(what, checker)?;
        let mut ready = Vec::with_capacity(texts.len());
        for text in &texts {
            let constant = text.constant();
            if constant.is_some() && self.kind == MatchType::Regex {
                let expressions = checker.expressions.get() + 1;
                checker.expressions.set(expressions);
                if expressions > MAX_EXPRESSIONS {
                    return Err(bound.at.fault(format!(
                        "a script has at most {MAX_EXPRESSIONS} regular expressions: put some together"
                    )));
                }
            }
            let made = constant.map(|key| self.ready(key)).transpose();
            ready.push(made.map_err(|why| bound.at.fault(why))?);
        }
        Ok(Keys { matcher: self, texts, ready, sets_variables: true, split_at_spaces: false })
    }

    fn ready(&self, key: &str) -> Result<Ready, String> {
        Ok(match self.kind {
            MatchType::Matches => Ready::Pattern(Pattern::new(key)),
            MatchType::Regex => Ready::Regex(Box::new(regex::compile(key, self.comparator)?)),
            MatchType::Contains if self.comparator == Comparator::AsciiCasemap => {
                Ready::Plain(key.to_ascii_uppercase())
            }
            _ => Ready::Plain(key.to_owned()),
        })
    }

    /// Holds one value against one key. `Some` when it matches, with the match variables it sets.
    fn matches(
        &self,
        value: &Value<'_>,
        key: &Ready,
        run: &mut Run<'_>,
    ) -> Result<Option<Vec<String>>, Halt> {
        let cost = match key {
            Ready::Pattern(pattern) => pattern.cost(value.text.len()),
            Ready::Regex(_) => value.text.len().saturating_mul(16),
            Ready::Plain(_) => value.text.len(),
        };
        run.charge_octets(cost)?;
        Ok(match key {
            Ready::Pattern(pattern) => {
                pattern.matches(value.text, value.folded(self.comparator), self.comparator)
            }
            Ready::Regex(regex) => regex.captures(value.text).map(|found| {
                found.iter().map(|group| group.map_or("", |g| g.as_str()).to_owned()).collect()
            }),
            Ready::Plain(key) => self.plain(value, key).then(Vec::new),
        })
    }

    fn plain(&self, value: &Value<'_>, key: &str) -> bool {
        match (self.kind, self.comparator) {
            (MatchType::Contains, comparator) => {
                memmem::find(value.folded(comparator).as_bytes(), key.as_bytes()).is_some()
            }
            (MatchType::Value(relation) | MatchType::Count(relation), comparator) => {
                relation.holds(comparator.compare(value.text, key))
            }
            (_, Comparator::AsciiCasemap) => value.text.eq_ignore_ascii_case(key),
            (_, comparator) => comparator.compare(value.text, key).is_eq(),
        }
    }
}

impl Keys {
    /// Whether the number of values counts, rather than what they are.
    pub fn counts(&self) -> bool {
        matches!(self.matcher.kind, MatchType::Count(_))
    }

    /// Whether any value matches any key; the first that does sets the match variables.
    pub fn any(&self, values: &[String], run: &mut Run<'_>) -> Result<bool, Halt> {
        let count;
        let values = if self.counts() {
            count = [values.len().to_string()];
            &count
        } else {
            values
        };
        // Keys with variables are made once for all values.
        let mut made = Vec::new();
        for (text, ready) in self.texts.iter().zip(&self.ready) {
            if ready.is_some() && !self.split_at_spaces {
                continue;
            }
            let key = text.expand(run)?;
            match self.split_at_spaces && !self.counts() {
                true => {
                    for word in key.split_ascii_whitespace() {
                        made.push(self.make(word, run)?);
                    }
                }
                false => made.push(self.make(&key, run)?),
            }
        }
        let ready = self.ready.iter().flatten().filter(|_| !self.split_at_spaces);
        let keys: Vec<&Ready> = ready.chain(&made).collect();
        for text in values {
            let value = Value { text, capitals: OnceCell::new() };
            for key in &keys {
                run.charge(1)?;
                if let Some(taken) = self.matcher.matches(&value, key, run)? {
                    self.remember(taken, run)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn make(&self, key: &str, run: &mut Run<'_>) -> Result<Ready, Halt> {
        // Compiling an expression takes longer than using it.
        run.charge(if self.matcher.kind == MatchType::Regex { EXPRESSION_STEPS } else { 1 })?;
        self.matcher.ready(key).map_err(|why| run.value_error(why))
    }

    /// RFC 5229 §3.2: wildcards set the match variables.
    fn remember(&self, mut taken: Vec<String>, run: &mut Run<'_>) -> Result<(), Halt> {
        if !self.sets_variables || !run.variables_used || taken.is_empty() {
            return Ok(());
        }
        taken.truncate(MAX_MATCH_VARIABLE + 1);
        run.set_match_values(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rfc_4790_section_9_1() {
        let compare = |a, b| Comparator::AsciiNumeric.compare(a, b);
        assert_eq!(compare("0010", "10x"), Ordering::Equal);
        assert_eq!(compare("9", "10"), Ordering::Less);
        assert_eq!(compare("x", "99999999999999999999999"), Ordering::Greater);
        assert_eq!(compare("x", ""), Ordering::Equal);
        assert_eq!(compare("0", "x"), Ordering::Less);
    }

    #[test]
    fn casemap_orders_by_capitals() {
        // RFC 4790 §9.2.1: `_` stands after `Z`, so after `z` too.
        assert_eq!(Comparator::AsciiCasemap.compare("z", "_"), Ordering::Less);
        assert_eq!(Comparator::Octet.compare("z", "_"), Ordering::Greater);
    }
}
