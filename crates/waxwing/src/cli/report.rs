//! `waxwing report`: what other mail domains say of ours, and what we say of theirs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};
use waxwing_delivery::reports::{Told, ToldHow};
use waxwing_mailauth::report::aggregate::{Aligned, Disposition, Row};
use waxwing_mailauth::report::{AggregateReport, TlsReport, read_tls};
use waxwing_store::{ReportId, ReportKind, Store, StoredReport};

use super::{Context, print};
use crate::serve::road;

/// Report commands.
#[derive(Subcommand)]
pub enum Report {
    /// The reports of others about our domains, latest first.
    List {
        /// Only about this one.
        domain: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One of them: who sent as the domain, and what became of it; how TLS went.
    Show {
        /// The report's number.
        id: i64,
    },
    /// Send the reports of finished days to the domains that want them. The server does it by itself,
    /// some hours after midnight (UTC).
    Send {
        /// At once, whenever their moment is.
        #[arg(long, required = true)]
        now: bool,
        /// Also of today, as far as it has come.
        #[arg(long)]
        today: bool,
    },
}

impl Report {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Report::List { domain, limit } => list(context, &store, domain.as_deref(), limit).await,
            Report::Show { id } => show(context, &store, ReportId(id)).await,
            Report::Send { today, .. } => send(context, &store, today).await,
        }
    }
}

fn kind_name(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Dmarc => "DMARC",
        ReportKind::Tls => "TLS",
        ReportKind::Failure => "DMARC failure",
    }
}

fn as_json(id: ReportId, report: &StoredReport) -> Value {
    json!({
        "id": id.0,
        "kind": kind_name(report.kind),
        "domain": report.domain,
        "organization": report.organization,
        "report_id": report.name,
        "begins_at": report.begins_at,
        "ends_at": report.ends_at,
        "received_at": report.received_at,
        "passed": report.passed,
        "failed": report.failed,
    })
}

async fn list(context: &Context, store: &Store, domain: Option<&str>, limit: usize) -> Result<()> {
    let domain = domain.map(str::to_ascii_lowercase);
    if let Some(domain) = &domain
        && store.domain(domain).await?.is_none()
    {
        bail!("{domain} is no domain of this system; `waxwing domain list` shows those that are");
    }
    let reports = store.reports(domain.as_deref(), limit).await?;
    if context.json {
        let all: Vec<_> = reports.iter().map(|(id, report)| as_json(*id, report)).collect();
        print::json(&json!(all));
        return Ok(());
    }
    if reports.is_empty() {
        println!(
            "No reports yet. Others send them once a day, to the address that the domain's DMARC and \
             TLS-RPT records name."
        );
        return Ok(());
    }
    let row = |(id, report): &(ReportId, StoredReport)| {
        vec![
            id.0.to_string(),
            report.ends_at.strftime("%Y-%m-%d").to_string(),
            kind_name(report.kind).to_owned(),
            report.domain.clone(),
            report.organization.clone(),
            report.passed.to_string(),
            report.failed.to_string(),
        ]
    };
    let header = ["id", "day", "kind", "domain", "from", "passed", "failed"];
    print::table(&header, &[0, 5, 6], reports.iter().map(row).collect());
    Ok(())
}

async fn show(context: &Context, store: &Store, id: ReportId) -> Result<()> {
    let Some(report) = store.report(id).await? else {
        bail!("there is no report {}; `waxwing report list` shows those that are", id.0);
    };
    if context.json {
        let mut value = as_json(id, &report);
        let what: Value = serde_json::from_str(&report.what).context("the stored report")?;
        value["report"] = what;
        print::json(&value);
        return Ok(());
    }
    println!(
        "{} report {} of {} about {}",
        kind_name(report.kind),
        id.0,
        print::clean(&report.organization),
        report.domain,
    );
    println!("from {} to {}", print::moment(report.begins_at), print::moment(report.ends_at));
    println!();
    match report.kind {
        ReportKind::Dmarc => {
            let what = serde_json::from_str(&report.what).context("the stored report")?;
            show_dmarc(&report, &what);
        }
        ReportKind::Tls => {
            let what = read_tls(report.what.as_bytes()).context("the stored report")?;
            show_tls(&report, &what);
        }
        ReportKind::Failure => show_failure(&report)?,
    }
    Ok(())
}

fn passes(row: &Row) -> bool {
    let evaluated = &row.policy_evaluated;
    evaluated.dkim == Aligned::Pass || evaluated.spf == Aligned::Pass
}

/// What became of the messages from one address under one name.
#[derive(Default)]
struct Source {
    messages: u64,
    dkim: u64,
    spf: u64,
    failed: u64,
    done: BTreeMap<&'static str, u64>,
}

fn show_dmarc(kept: &StoredReport, report: &AggregateReport) {
    let all = kept.passed.saturating_add(kept.failed);
    println!(
        "{} said to be from {}: {} proved to be, {} did not.",
        print::count(all, "message"),
        print::clean(&report.policy.domain),
        kept.passed,
        kept.failed,
    );
    println!("Its policy was p={}.", report.policy.p.as_str());
    if kept.failed > 0 {
        println!(
            "Those that did not are forgeries, or come from a server of yours that SPF and DKIM do not \
             know, or were forwarded."
        );
    }
    let mut sources: BTreeMap<(IpAddr, &str), Source> = BTreeMap::new();
    for row in &report.rows {
        let source =
            sources.entry((row.source_ip, row.identifiers.header_from.as_str())).or_default();
        let times = |holds: bool| if holds { row.count } else { 0 };
        let evaluated = &row.policy_evaluated;
        source.messages = source.messages.saturating_add(row.count);
        source.dkim = source.dkim.saturating_add(times(evaluated.dkim == Aligned::Pass));
        source.spf = source.spf.saturating_add(times(evaluated.spf == Aligned::Pass));
        source.failed = source.failed.saturating_add(times(!passes(row)));
        let done = match evaluated.disposition {
            Disposition::None | Disposition::Pass => "delivered",
            Disposition::Quarantine => "to spam",
            Disposition::Reject => "refused",
        };
        let counted = source.done.entry(done).or_default();
        *counted = counted.saturating_add(row.count);
    }
    let mut sources: Vec<_> = sources.into_iter().collect();
    sources.sort_by_key(|(_, source)| std::cmp::Reverse(source.messages));
    let row = |((ip, from), source): ((IpAddr, &str), Source)| {
        let done: Vec<_> =
            source.done.iter().map(|(done, times)| format!("{times} {done}")).collect();
        vec![
            ip.to_string(),
            from.to_owned(),
            source.messages.to_string(),
            source.spf.to_string(),
            source.dkim.to_string(),
            source.failed.to_string(),
            done.join(", "),
        ]
    };
    println!();
    let header = ["address", "from", "messages", "spf", "dkim", "failed", "done with them"];
    print::table(&header, &[2, 3, 4, 5], sources.into_iter().map(row).collect());
    for error in &report.errors {
        println!("\nNote: {}", print::clean(error));
    }
}

fn show_tls(kept: &StoredReport, report: &TlsReport) {
    println!(
        "{} to the servers of {} went well, {} failed.",
        print::count(kept.passed, "session"),
        kept.domain,
        kept.failed,
    );
    for policy in &report.policies {
        let name = match policy.policy_type.as_str() {
            "sts" => "MTA-STS",
            "tlsa" => "DANE",
            _ => "no policy",
        };
        println!();
        println!(
            "Under {name}: {} well, {} failed.",
            policy.successful_sessions, policy.failed_sessions
        );
        let row = |detail: &waxwing_mailauth::report::tls::FailureDetail| {
            let from = detail.sending_mta_ip.map(|ip| ip.to_string()).unwrap_or_default();
            vec![
                detail.result_type.as_str().to_owned(),
                detail.failed_sessions.to_string(),
                detail.receiving_mx_hostname.clone().unwrap_or_default(),
                detail.receiving_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                from,
                detail.failure_reason_code.clone().unwrap_or_default(),
            ]
        };
        if !policy.failure_details.is_empty() {
            let header = ["failure", "times", "your host", "its address", "from", "reason"];
            print::table(&header, &[1], policy.failure_details.iter().map(row).collect());
        }
    }
}

fn show_failure(report: &StoredReport) -> Result<()> {
    let what: Value = serde_json::from_str(&report.what).context("the stored report")?;
    let Some(fields) = what.as_object() else { return Ok(()) };
    let rows = fields.iter().filter(|(name, value)| *name != "original" && !value.is_null()).map(
        |(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            vec![name.replace('_', " "), text]
        },
    );
    print::table(&["about", "what"], &[], rows.collect());
    if let Some(original) = what["original"].as_str() {
        println!();
        for line in original.lines() {
            println!("  {}", print::clean(line));
        }
    }
    Ok(())
}

async fn send(context: &Context, store: &Store, today: bool) -> Result<()> {
    let reporting = road::reporting(&context.config()?, store)?;
    let told = reporting.send_now(today).await?;
    if context.json {
        print::json(&json!(told.iter().map(told_json).collect::<Vec<_>>()));
        return Ok(());
    }
    if told.is_empty() {
        println!("There is nothing to report.");
    }
    for told in &told {
        let (kind, domain) = (kind_name(told.kind), &told.domain);
        let day = day_text(told.day);
        match &told.how {
            ToldHow::Sent { to, posted, counted } => {
                for (to, journey) in to {
                    println!(
                        "{kind}, {domain}, {day}: {counted} counted, sent to {to}; follow it with: \
                         waxwing journey {journey}"
                    );
                }
                for uri in posted {
                    let uri = print::clean(uri);
                    println!("{kind}, {domain}, {day}: {counted} counted, posted to {uri}");
                }
            }
            ToldHow::Unwanted { why } => println!("{kind}, {domain}, {day}: not sent, {why}"),
            ToldHow::Later { why } => println!("{kind}, {domain}, {day}: not sent yet, {why}"),
            ToldHow::Overtaken => {
                println!("{kind}, {domain}, {day}: the server was sending it already");
            }
        }
        for who in &told.left_out {
            println!("    left out: {}", print::clean(who));
        }
    }
    Ok(())
}

fn day_text(day: i64) -> String {
    let at = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%d").to_string()
}

fn told_json(told: &Told) -> Value {
    let (how, why, sent, counted) = match &told.how {
        ToldHow::Sent { to, posted, counted } => {
            let sent = to.iter().map(|(to, journey)| json!({ "to": to, "journey": journey }));
            let posted = posted.iter().map(|uri| json!({ "to": uri }));
            ("sent", None, sent.chain(posted).collect(), *counted)
        }
        ToldHow::Unwanted { why } => ("unwanted", Some(why), Vec::new(), 0),
        ToldHow::Later { why } => ("later", Some(why), Vec::new(), 0),
        ToldHow::Overtaken => ("overtaken", None, Vec::new(), 0),
    };
    json!({
        "kind": kind_name(told.kind),
        "domain": told.domain,
        "day": day_text(told.day),
        "how": how,
        "why": why,
        "sent": sent,
        "counted": counted,
        "left_out": told.left_out,
    })
}
