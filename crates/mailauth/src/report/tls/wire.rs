//! The JSON of RFC 8460 §4.4.
//!
//! Reading forgives: numbers as strings or with a fraction, one string where a list belongs, `null` for what
//! is absent, `mx-host-pattern` for `mx-host`, dates without a zone, addresses that are none, fields that
//! nobody knows. A failure without a `result-type` says nothing and is refused, which also bounds what a
//! report of a given size can make us keep.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{FailureDetail, PolicyType, ResultType, TlsPolicy, TlsReport};
use crate::report::ReportError;

/// Octets of JSON that are read.
const OCTETS_MAX: usize = 8_000_000;
/// Policies that are read; a report is about one domain, so it has a handful.
const POLICIES_MAX: usize = 10_000;
/// Elements of a list of strings that are read.
const STRINGS_MAX: usize = 1_000;

/// The report as JSON (RFC 8460 §4).
pub fn write_tls(report: &TlsReport) -> Vec<u8> {
    // Strings, numbers and lists of them cannot fail.
    serde_json::to_vec_pretty(&Wire::from(report)).expect("a report is plain data")
}

/// Reads a report from its JSON.
pub fn read_tls(json: &[u8]) -> Result<TlsReport, ReportError> {
    if json.len() > OCTETS_MAX {
        return Err(ReportError::TooLarge { limit: OCTETS_MAX });
    }
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    // Octets that are no UTF-8 become U+FFFD, as in the XML of aggregate reports.
    let text = String::from_utf8_lossy(json);
    let wire: Wire =
        serde_json::from_str(&text).map_err(|error| ReportError::Json(error.to_string()))?;
    wire.report()
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wire {
    #[serde(default, deserialize_with = "text")]
    organization_name: String,
    date_range: Range,
    #[serde(default, deserialize_with = "text")]
    contact_info: String,
    #[serde(default, deserialize_with = "text")]
    report_id: String,
    #[serde(deserialize_with = "policies")]
    policies: Vec<WirePolicy>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WirePolicy {
    policy: Policy,
    #[serde(default)]
    summary: Summary,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<Detail>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    policy_type: String,
    #[serde(default, deserialize_with = "strings", skip_serializing_if = "Vec::is_empty")]
    policy_string: Vec<String>,
    #[serde(default, deserialize_with = "text")]
    policy_domain: String,
    #[serde(
        default,
        alias = "mx-host-pattern",
        deserialize_with = "strings",
        skip_serializing_if = "Vec::is_empty"
    )]
    mx_host: Vec<String>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    #[serde(default, deserialize_with = "number")]
    total_successful_session_count: u64,
    #[serde(default, deserialize_with = "number")]
    total_failure_session_count: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    result_type: ResultType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_mx_helo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<String>,
    #[serde(default, deserialize_with = "number")]
    failed_session_count: u64,
    #[serde(default, alias = "additional-info-uri", skip_serializing_if = "Option::is_none")]
    additional_information: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure_reason_code: Option<String>,
}

impl From<&TlsReport> for Wire {
    fn from(report: &TlsReport) -> Wire {
        let policies = report.policies.iter().map(|policy| WirePolicy {
            policy: Policy {
                policy_type: policy.policy_type.as_str().to_owned(),
                policy_string: policy.policy_strings.clone(),
                policy_domain: policy.policy_domain.clone(),
                mx_host: policy.mx_hosts.clone(),
            },
            summary: Summary {
                total_successful_session_count: policy.successful_sessions,
                total_failure_session_count: policy.failed_sessions,
            },
            failure_details: policy.failure_details.iter().map(Detail::from).collect(),
        });
        Wire {
            organization_name: report.organization_name.clone(),
            date_range: Range {
                start_datetime: report.begin.to_string(),
                end_datetime: report.end.to_string(),
            },
            contact_info: report.contact_info.clone(),
            report_id: report.report_id.clone(),
            policies: policies.collect(),
        }
    }
}

impl From<&FailureDetail> for Detail {
    fn from(detail: &FailureDetail) -> Detail {
        Detail {
            result_type: detail.result_type.clone(),
            sending_mta_ip: detail.sending_mta_ip.map(|ip| ip.to_string()),
            receiving_mx_hostname: detail.receiving_mx_hostname.clone(),
            receiving_mx_helo: detail.receiving_mx_helo.clone(),
            receiving_ip: detail.receiving_ip.map(|ip| ip.to_string()),
            failed_session_count: detail.failed_sessions,
            additional_information: detail.additional_information.clone(),
            failure_reason_code: detail.failure_reason_code.clone(),
        }
    }
}

impl Wire {
    fn report(self) -> Result<TlsReport, ReportError> {
        let policies = self.policies.into_iter().map(WirePolicy::policy);
        Ok(TlsReport {
            organization_name: self.organization_name,
            begin: datetime("start-datetime", &self.date_range.start_datetime)?,
            end: datetime("end-datetime", &self.date_range.end_datetime)?,
            contact_info: self.contact_info,
            report_id: self.report_id,
            policies: policies.collect::<Result<_, _>>()?,
        })
    }
}

impl WirePolicy {
    fn policy(self) -> Result<TlsPolicy, ReportError> {
        let kind = PolicyType::parse(&self.policy.policy_type);
        Ok(TlsPolicy {
            policy_type: kind
                .ok_or_else(|| ReportError::value("policy-type", &self.policy.policy_type))?,
            policy_strings: self.policy.policy_string,
            policy_domain: self.policy.policy_domain,
            mx_hosts: self.policy.mx_host,
            successful_sessions: self.summary.total_successful_session_count,
            failed_sessions: self.summary.total_failure_session_count,
            failure_details: self.failure_details.into_iter().map(Detail::detail).collect(),
        })
    }
}

impl Detail {
    fn detail(self) -> FailureDetail {
        let ip = |text: Option<String>| text.and_then(|text| text.trim().parse::<IpAddr>().ok());
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        FailureDetail {
            result_type: self.result_type,
            sending_mta_ip: ip(self.sending_mta_ip),
            receiving_mx_hostname: some(self.receiving_mx_hostname),
            receiving_mx_helo: some(self.receiving_mx_helo),
            receiving_ip: ip(self.receiving_ip),
            failed_sessions: self.failed_session_count,
            additional_information: some(self.additional_information),
            failure_reason_code: some(self.failure_reason_code),
        }
    }
}

/// RFC 3339; without a zone it is taken as UTC.
fn datetime(field: &'static str, text: &str) -> Result<Timestamp, ReportError> {
    let text = text.trim();
    let utc = || {
        let civil: civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    text.parse().ok().or_else(utc).ok_or_else(|| ReportError::value(field, text))
}

/// A list that is not longer than it may be.
struct Bounded<T> {
    limit: usize,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a list of at most {} elements", self.limit)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut out = Vec::new();
        while let Some(element) = list.next_element()? {
            if out.len() >= self.limit {
                return Err(A::Error::invalid_length(out.len() + 1, &self));
            }
            out.push(element);
        }
        Ok(out)
    }
}

fn policies<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<WirePolicy>, D::Error> {
    from.deserialize_seq(Bounded { limit: POLICIES_MAX, of: PhantomData })
}

fn nullable<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Detail>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A string, or nothing for `null`.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// One string or several.
fn strings<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMore;

    impl<'de> Visitor<'de> for OneOrMore {
        type Value = Vec<String>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a string or a list of strings")
        }

        fn visit_str<E: Error>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(if one.is_empty() { Vec::new() } else { vec![one.to_owned()] })
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<String>, A::Error> {
            Bounded { limit: STRINGS_MAX, of: PhantomData }.visit_seq(list)
        }
    }

    from.deserialize_any(OneOrMore)
}

/// A count: a number, perhaps in a string or with a fraction.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Count;

    impl<'de> Visitor<'de> for Count {
        type Value = u64;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a count")
        }

        fn visit_u64<E: Error>(self, count: u64) -> Result<u64, E> {
            Ok(count)
        }

        fn visit_i64<E: Error>(self, count: i64) -> Result<u64, E> {
            u64::try_from(count).map_err(|_| E::custom("a count below zero"))
        }

        fn visit_f64<E: Error>(self, count: f64) -> Result<u64, E> {
            // Beyond 2^53 a float holds no exact count.
            if (0.0..=9_007_199_254_740_992.0).contains(&count) {
                Ok(count as u64)
            } else {
                Err(E::custom("a count out of all bounds"))
            }
        }

        fn visit_str<E: Error>(self, count: &str) -> Result<u64, E> {
            count.trim().parse().map_err(E::custom)
        }

        fn visit_unit<E: Error>(self) -> Result<u64, E> {
            Ok(0)
        }
    }

    from.deserialize_any(Count)
}
