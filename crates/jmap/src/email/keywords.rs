//! Keywords between JMAP and the store (RFC 8621 §4.1.1).
//!
//! `$seen`, `$answered`, `$flagged` and `$draft` are IMAP's system flags; `\Deleted` has no keyword, and what
//! has it is not there. A message that is in several mailboxes has flags in each. It has a keyword here when
//! it has it in one of them, but `$seen` only when it is seen in all: in doubt, something is still to be
//! read. What is set here is set in all.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use waxwing_store::{Flags, Place, SystemFlags};

use crate::wire::error::{SetError, SetErrorKind};

/// Keywords of one Email.
const KEYWORDS_MAX: usize = 100;
/// Characters of one (RFC 8621 §4.1.1).
const CHARS_MAX: usize = 255;

/// The system flags that have a keyword.
const SYSTEM: [(&str, SystemFlags); 4] = [
    ("$answered", SystemFlags::ANSWERED),
    ("$draft", SystemFlags::DRAFT),
    ("$flagged", SystemFlags::FLAGGED),
    ("$seen", SystemFlags::SEEN),
];

/// Keywords in lower case.
pub type Keywords = BTreeSet<String>;

/// The system flag of a keyword in lower case.
pub fn system(keyword: &str) -> Option<SystemFlags> {
    SYSTEM.iter().find(|(name, _)| *name == keyword).map(|(_, flag)| *flag)
}

/// Whether an entry exists here.
pub fn is_visible(system: SystemFlags) -> bool {
    !system.contains(SystemFlags::DELETED)
}

/// Where a message is for the caller: in mailboxes that may be read, and not marked as deleted.
pub fn visible_places(places: &[Place]) -> impl Iterator<Item = &Place> + Clone {
    places.iter().filter(|place| is_visible(place.entry.flags.system))
}

/// The keywords of a message by its flags in its places, of which there is one at least.
pub fn of_places<'p>(places: impl IntoIterator<Item = &'p Place>) -> Keywords {
    let mut any = SystemFlags(0);
    let mut seen = true;
    let mut keywords = Keywords::new();
    for place in places {
        let Flags { system, keywords: own } = &place.entry.flags;
        any = any.with(*system);
        seen &= system.contains(SystemFlags::SEEN);
        let own = own.iter().flat_map(|own| own.iter()).map(|name| name.to_ascii_lowercase());
        keywords.extend(own);
    }
    // What an IMAP client called so is no flag of the system.
    keywords.retain(|name| self::system(name).is_none());
    let system = if seen { any } else { any.without(SystemFlags::SEEN) };
    let has = SYSTEM.iter().filter(|(_, flag)| system.contains(*flag));
    keywords.extend(has.map(|(name, _)| (*name).to_owned()));
    keywords
}

/// As the value of the property `keywords`.
pub fn value(keywords: &Keywords) -> Value {
    keywords.iter().map(|name| (name.clone(), Value::Bool(true))).collect::<Map<_, _>>().into()
}

/// Reads the property; absent and null are none.
pub fn read(value: Option<&Value>) -> Result<Keywords, SetError> {
    let members = match value {
        None | Some(Value::Null) => return Ok(Keywords::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(SetError::invalid("keywords", "it is an object")),
    };
    let mut keywords = Keywords::new();
    for (name, value) in members {
        if value != &Value::Bool(true) || !is_keyword(name) {
            return Err(SetError::invalid("keywords", format!("{name} is not possible")));
        }
        keywords.insert(name.to_ascii_lowercase());
    }
    check_count(&keywords)?;
    Ok(keywords)
}

/// RFC 8621 §4.6 `tooManyKeywords`.
pub fn check_count(keywords: &Keywords) -> Result<(), SetError> {
    match keywords.len() > KEYWORDS_MAX {
        true => {
            let why = format!("an Email has at most {KEYWORDS_MAX} keywords");
            Err(SetError::new(SetErrorKind::TooManyKeywords, why))
        }
        false => Ok(()),
    }
}

/// RFC 8621 §4.1.1.
pub fn is_keyword(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && !b"(){]%*\"\\".contains(&b);
    (1..=CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// As flags of the store.
pub fn flags(keywords: &Keywords) -> Flags {
    let mut system = SystemFlags(0);
    let mut others: Vec<Arc<str>> = Vec::new();
    for name in keywords {
        match self::system(name) {
            Some(flag) => system = system.with(flag),
            None => others.push(name.as_str().into()),
        }
    }
    Flags { system, keywords: (!others.is_empty()).then(|| others.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_and_back() {
        let given = json!({"$Seen": true, "$flagged": true, "Custom": true});
        let keywords = read(Some(&given)).unwrap();
        let expected = json!({"$flagged": true, "$seen": true, "custom": true});
        assert_eq!(value(&keywords), expected);
        let Flags { system, keywords } = flags(&keywords);
        assert_eq!(system, SystemFlags::SEEN.with(SystemFlags::FLAGGED));
        assert_eq!(keywords.as_deref(), Some(["custom".into()].as_slice()));
    }

    #[test]
    fn what_is_no_keyword() {
        let long = "x".repeat(256);
        for no in ["", "a b", "a(b", "{", "a]", "%", "*", "\"", "\\Seen", "é", &long] {
            assert!(!is_keyword(no), "{no}");
        }
        assert!(is_keyword("$x[y}~") && is_keyword(&long[1..]));
        for no in [json!({"a": false}), json!({"a": null}), json!([]), json!({"a b": true})] {
            assert!(read(Some(&no)).is_err());
        }
        let many: Map<_, _> = (0..101).map(|n| (format!("k{n}"), json!(true))).collect();
        let error = read(Some(&Value::Object(many))).unwrap_err();
        assert_eq!(error.kind, SetErrorKind::TooManyKeywords);
    }
}
