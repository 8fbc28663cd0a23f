//! What a check says: sections of remarks, each with its level and the records that mend it.
//!
//! | level | mark | means |
//! |---|---|---|
//! | good | ✓ | as it should be |
//! | info | · | neither good nor bad, or not known from outside |
//! | warning | ! | works, and could be better |
//! | fault | ✗ | mail is lost, refused or forged: to be mended |

use serde_json::{Value, json};
use waxwing_dns::{LookupError, RecordData};

/// How good a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Good,
    Info,
    Warning,
    Fault,
}

impl Level {
    /// As people see it.
    pub fn mark(self) -> char {
        match self {
            Level::Good => '✓',
            Level::Info => '·',
            Level::Warning => '!',
            Level::Fault => '✗',
        }
    }

    /// As programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Fault => "fault",
        }
    }
}

/// A record to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub data: RecordData,
}

impl Record {
    pub fn new(name: impl Into<String>, data: RecordData) -> Record {
        Record { name: name.into(), data }
    }

    /// A text, cut into strings of at most 255 octets (RFC 1035 §3.3.14).
    pub fn txt(name: impl Into<String>, text: &str) -> Record {
        let strings = text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect();
        Record::new(name, RecordData::Txt(strings))
    }

    /// A line of a zone file (RFC 1035 §5).
    pub fn line(&self) -> String {
        format!("{}. IN {} {}", self.name, self.data.record_type(), self.data)
    }
}

/// How something is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// Such as `add this record`.
    pub how: String,
    pub records: Vec<Record>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub level: Level,
    /// What it is, for programs: `spf-missing`. Never changes.
    pub what: &'static str,
    pub text: String,
    pub remedy: Option<Remedy>,
}

impl Remark {
    pub fn good(what: &'static str, text: impl Into<String>) -> Remark {
        Remark { level: Level::Good, what, text: text.into(), remedy: None }
    }

    pub fn info(what: &'static str, text: impl Into<String>) -> Remark {
        Remark { level: Level::Info, ..Remark::good(what, text) }
    }

    pub fn warning(what: &'static str, text: impl Into<String>) -> Remark {
        Remark { level: Level::Warning, ..Remark::good(what, text) }
    }

    pub fn fault(what: &'static str, text: impl Into<String>) -> Remark {
        Remark { level: Level::Fault, ..Remark::good(what, text) }
    }

    /// The DNS could not say: nothing can be judged, and mail will wait.
    pub fn unanswered(question: &str, error: &LookupError) -> Remark {
        Remark::fault("dns-failed", format!("the DNS does not say {question}: {error}"))
    }

    /// Mended by adding records.
    pub fn add(self, records: impl IntoIterator<Item = Record>) -> Remark {
        let records: Vec<Record> = records.into_iter().collect();
        let how = if records.len() == 1 { "add this record" } else { "add these records" };
        self.mended(how, records)
    }

    /// Mended by putting a record in the place of the one that is there.
    pub fn replace(self, record: Record) -> Remark {
        self.mended("put this record in place of the one that is there", vec![record])
    }

    pub fn mended(mut self, how: impl Into<String>, records: Vec<Record>) -> Remark {
        self.remedy = Some(Remedy { how: how.into(), records });
        self
    }

    fn as_json(&self) -> Value {
        let remedy = self.remedy.as_ref().map(|remedy| {
            let records: Vec<Value> = remedy
                .records
                .iter()
                .map(|record| {
                    json!({
                        "name": record.name,
                        "type": record.data.record_type().name(),
                        "value": record.data.to_string(),
                        "line": record.line(),
                    })
                })
                .collect();
            json!({ "how": remedy.how, "records": records })
        });
        json!({
            "level": self.level.name(), "what": self.what, "text": self.text, "remedy": remedy,
        })
    }
}

/// Everything about one subject.
#[derive(Debug, Clone)]
pub struct Section {
    /// For programs: `mx`.
    pub subject: &'static str,
    /// For people.
    pub title: &'static str,
    pub remarks: Vec<Remark>,
    /// Lines to look at, below the remarks.
    pub details: Vec<String>,
    /// What was found, as data.
    pub data: Value,
}

impl Section {
    pub fn new(subject: &'static str, title: &'static str) -> Section {
        Section { subject, title, remarks: Vec::new(), details: Vec::new(), data: Value::Null }
    }

    pub fn say(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    /// The worst of its remarks.
    pub fn level(&self) -> Level {
        self.remarks.iter().map(|remark| remark.level).max().unwrap_or(Level::Info)
    }

    pub fn as_json(&self) -> Value {
        let findings: Vec<Value> = self.remarks.iter().map(Remark::as_json).collect();
        json!({
            "subject": self.subject,
            "title": self.title,
            "level": self.level().name(),
            "findings": findings,
            "data": self.data,
        })
    }
}

/// Remarks of a level in all sections.
pub fn count(sections: &[Section], level: Level) -> usize {
    let remarks = sections.iter().flat_map(|section| &section.remarks);
    remarks.filter(|remark| remark.level == level).count()
}

/// Whether only machines of the same network reach an address.
pub fn is_internal(ip: std::net::IpAddr) -> bool {
    !crate::serve::connect::is_public(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lines_of_a_zone_file() {
        let long = "x".repeat(300);
        let line = Record::txt("a.example.org", &long).line();
        let strings = format!("\"{}\" \"{}\"", &long[..255], &long[255..]);
        assert_eq!(line, format!("a.example.org. IN TXT {strings}"));
        assert!(waxwing_dns::Zone::parse("example.org", &line).is_ok());
    }

    #[test]
    fn a_section_is_as_bad_as_its_worst_remark() {
        let mut section = Section::new("mx", "MX");
        assert_eq!(section.level(), Level::Info);
        section.say(Remark::warning("a", ""));
        section.say(Remark::good("b", ""));
        assert_eq!(section.level(), Level::Warning);
        assert_eq!(count(&[section], Level::Good), 1);
    }
}
