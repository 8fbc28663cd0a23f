//! A resolver that writes down what it was asked and what it answered, for the evidence of a
//! message.

use std::sync::{Mutex, PoisonError};

use waxwing_dns::{Answer, LookupError, RecordData, RecordType, Resolve};
use waxwing_message::journey::LookupSeen;

/// Octets of an answer that are kept.
const ANSWER_OCTETS_MAX: usize = 500;
/// Questions that are kept: no check asks more, but what is kept must be bounded by itself.
const LOOKUPS_MAX: usize = 200;

/// Wraps a resolver and keeps a log.
pub struct Recorder<'r, R> {
    resolver: &'r R,
    log: Mutex<Vec<LookupSeen>>,
}

impl<'r, R: Resolve> Recorder<'r, R> {
    /// With an empty log.
    pub fn new(resolver: &'r R) -> Recorder<'r, R> {
        Recorder { resolver, log: Mutex::new(Vec::new()) }
    }

    /// What was asked so far, in the order of the answers.
    pub fn take(&self) -> Vec<LookupSeen> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<R: Resolve> Resolve for Recorder<'_, R> {
    async fn query(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> Result<Answer<RecordData>, LookupError> {
        let answer = self.resolver.query(name, record_type).await;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() < LOOKUPS_MAX {
            log.push(seen(name, record_type, &answer));
        }
        answer
    }
}

fn seen(
    name: &str,
    record_type: RecordType,
    answer: &Result<Answer<RecordData>, LookupError>,
) -> LookupSeen {
    let (mut text, dnssec) = match answer {
        Ok(answer) => {
            let mut records = answer.records.iter().map(shown);
            let mut text = records.next().unwrap_or_default();
            records.for_each(|record| text.extend([", ", &*record]));
            (text, answer.dnssec.is_secure())
        }
        Err(error) => (error.to_string(), false),
    };
    text.truncate(text.floor_char_boundary(ANSWER_OCTETS_MAX));
    LookupSeen {
        name: name.to_owned(),
        record_type: record_type.name().to_owned(),
        answer: text,
        dnssec,
    }
}

fn shown(data: &RecordData) -> String {
    match data {
        RecordData::A(ip) => ip.to_string(),
        RecordData::Aaaa(ip) => ip.to_string(),
        RecordData::Mx(mx) => format!("{} {}", mx.preference, mx.exchange),
        RecordData::Txt(strings) => match strings.as_slice() {
            [one] => String::from_utf8_lossy(one).into_owned(),
            several => crate::dkim::text(several.concat()),
        },
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => name.clone(),
        RecordData::Tlsa(tlsa) => format!("{} {} {}", tlsa.usage, tlsa.selector, tlsa.matching),
        RecordData::Srv(srv) => {
            format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target)
        }
        RecordData::Soa(soa) => format!("{} {}", soa.primary, soa.serial),
    }
}
