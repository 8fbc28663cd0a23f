//! Aggregate reports, written as RFC 9990 appendix A has them.
//!
//! Elements come in the order of the tables of §3.1.1, which satisfies the schema both where it fixes an
//! order and where it leaves it free. What only RFC 7489 knew is written in words of RFC 9990.

use std::fmt::Write;

use quick_xml::escape::partial_escape;

use super::{
    AggregateReport, AuthResults, DkimAuth, OverrideType, PolicyPublished, Row, SpfAuth, SpfScope,
};

/// RFC 9990 §3.1.1.1.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:dmarc-2.0";
/// RFC 9990 §3.1.3.
pub(super) const SIGNATURES_MAX: usize = 100;

/// The report as XML in UTF-8. A report without rows is written, but the schema wants at least one
/// (RFC 9990 §3.1.1.2): there is nothing to report then.
pub fn write_aggregate(report: &AggregateReport) -> Vec<u8> {
    let mut xml = Xml { out: String::with_capacity(1024 + report.rows.len() * 768), depth: 0 };
    xml.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.line(format_args!("<feedback xmlns=\"{NAMESPACE}\">"));
    xml.depth += 1;
    // RFC 9990 §3.1.1.2: the version of the format, not of the namespace.
    xml.leaf("version", "1.0");
    xml.within("report_metadata", |xml| metadata(xml, report));
    xml.within("policy_published", |xml| policy(xml, &report.policy));
    for row in &report.rows {
        xml.within("record", |xml| record(xml, row));
    }
    xml.depth -= 1;
    xml.line(format_args!("</feedback>"));
    xml.out.into_bytes()
}

fn metadata(xml: &mut Xml, report: &AggregateReport) {
    xml.leaf("org_name", &report.org_name);
    xml.leaf("email", &report.email);
    xml.option("extra_contact_info", report.extra_contact_info.as_deref());
    xml.leaf("report_id", &report.report_id);
    xml.within("date_range", |xml| {
        xml.leaf("begin", &report.begin.as_second().to_string());
        xml.leaf("end", &report.end.as_second().to_string());
    });
    // RFC 9990 §3.1.1.3 has at most one.
    if !report.errors.is_empty() {
        xml.leaf("error", &report.errors.join("; "));
    }
    xml.option("generator", report.generator.as_deref());
}

fn policy(xml: &mut Xml, policy: &PolicyPublished) {
    xml.leaf("domain", &policy.domain);
    xml.option("discovery_method", policy.discovery_method.map(|method| method.as_str()));
    xml.leaf("p", policy.p.as_str());
    xml.option("sp", policy.sp.map(|policy| policy.as_str()));
    xml.option("np", policy.np.map(|policy| policy.as_str()));
    xml.option("fo", policy.fo.as_deref());
    xml.option("adkim", policy.adkim.map(|mode| mode.as_str()));
    xml.option("aspf", policy.aspf.map(|mode| mode.as_str()));
    xml.option("testing", policy.testing.map(|testing| if testing { "y" } else { "n" }));
}

fn record(xml: &mut Xml, row: &Row) {
    xml.within("row", |xml| {
        xml.leaf("source_ip", &row.source_ip.to_canonical().to_string());
        xml.leaf("count", &row.count.to_string());
        xml.within("policy_evaluated", |xml| evaluated(xml, row));
    });
    xml.within("identifiers", |xml| {
        let names = &row.identifiers;
        xml.leaf("header_from", &names.header_from);
        xml.option("envelope_from", names.envelope_from.as_deref());
        xml.option("envelope_to", names.envelope_to.as_deref());
    });
    xml.within("auth_results", |xml| auth_results(xml, &row.auth_results));
}

fn evaluated(xml: &mut Xml, row: &Row) {
    let evaluated = &row.policy_evaluated;
    xml.leaf("disposition", evaluated.disposition.as_str());
    xml.leaf("dkim", evaluated.dkim.as_str());
    xml.leaf("spf", evaluated.spf.as_str());
    for reason in &evaluated.reasons {
        // RFC 9990 §3.1.6 has fewer words than RFC 7489 had.
        let kind = match reason.kind {
            OverrideType::Forwarded => OverrideType::LocalPolicy,
            OverrideType::SampledOut => OverrideType::PolicyTestMode,
            kind => kind,
        };
        xml.within("reason", |xml| {
            xml.leaf("type", kind.as_str());
            xml.option("comment", reason.comment.as_deref());
        });
    }
}

fn auth_results(xml: &mut Xml, results: &AuthResults) {
    for DkimAuth { domain, selector, result, human_result } in
        results.dkim.iter().take(SIGNATURES_MAX)
    {
        xml.within("dkim", |xml| {
            xml.leaf("domain", domain);
            xml.leaf("selector", selector.as_deref().unwrap_or_default());
            xml.leaf("result", result.as_str());
            xml.option("human_result", human_result.as_deref());
        });
    }
    // RFC 9990 §3.1.1.13: one, and only of the reverse-path.
    let mail_from = results.spf.iter().find(|spf| spf.scope != Some(SpfScope::Helo));
    if let Some(SpfAuth { domain, scope, result, human_result }) = mail_from {
        xml.within("spf", |xml| {
            xml.leaf("domain", domain);
            xml.option("scope", scope.map(|scope| scope.as_str()));
            xml.leaf("result", result.as_str());
            xml.option("human_result", human_result.as_deref());
        });
    }
}

/// Writes elements, one on a line, indented.
struct Xml {
    out: String,
    depth: usize,
}

impl Xml {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.out, "{:width$}{text}", "", width = 2 * self.depth);
    }

    fn within(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        self.line(format_args!("<{name}>"));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line(format_args!("</{name}>"));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        let text: String = text.chars().map(|c| if is_xml(c) { c } else { ' ' }).collect();
        self.line(format_args!("<{name}>{}</{name}>", partial_escape(text.as_str())));
    }

    fn option(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }
}

/// What XML 1.0 §2.2 allows, without the carriage return that its readers turn into a line feed.
pub(super) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..)
}
