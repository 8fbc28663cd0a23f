//! `waxwing journey`: what happened to a message, step by step.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use waxwing_message::JourneyId;
use waxwing_message::journey::{
    Event, Outcome, RecipientOutcome, ReplySeen, Step, TlsPolicyKind, TlsPolicySeen, TlsUsed,
};
use waxwing_store::{Journey as Found, Store};

use super::{Context, evidence, print};
use crate::config::Octets;

/// Shows the journey of a message.
#[derive(Args)]
pub struct Journey {
    /// The id that our reply to the sender gave (32 digits), or the message's Message-ID. Without
    /// it, the latest journeys are listed.
    id: Option<String>,
    /// How many to list.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

impl Journey {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        let Some(id) = self.id else {
            return list(&store, context, self.limit).await;
        };
        let found = find(&store, &id).await?;
        if found.is_empty() {
            bail!("no journey {id} here: journeys are kept for messages that this server accepted");
        }
        match found.as_slice() {
            all if !context.json => all.iter().for_each(draw),
            [one] if id.parse::<JourneyId>().is_ok() => print::json(&as_json(one)),
            // A Message-ID may have gone several ways here.
            all => print::json(&json!(all.iter().map(as_json).collect::<Vec<_>>())),
        }
        Ok(())
    }
}

/// By journey id, or by Message-ID with or without angle brackets.
pub async fn find(store: &Store, id: &str) -> Result<Vec<Found>> {
    if let Ok(id) = id.parse::<JourneyId>() {
        return Ok(store.journey(id).await?.into_iter().collect());
    }
    let message_id = id.trim().trim_start_matches('<').trim_end_matches('>');
    let mut found = Vec::new();
    for journey in store.journeys_by_message_id(message_id).await? {
        found.extend(store.journey(journey.id).await?);
    }
    Ok(found)
}

/// The whole journey as JSON.
pub fn as_json(journey: &Found) -> Value {
    json!({
        "id": journey.id,
        "started_at": journey.started_at,
        "reverse_path": journey.reverse_path.to_string(),
        "message_id": journey.message_id,
        "size_octets": journey.size_octets,
        "pending": journey.pending,
        "events": journey.events,
    })
}

async fn list(store: &Store, context: &Context, limit: usize) -> Result<()> {
    let journeys = store.recent_journeys(limit).await?;
    if context.json {
        print::json(&json!(journeys.iter().map(as_json).collect::<Vec<_>>()));
        return Ok(());
    }
    if journeys.is_empty() {
        println!("No message has come this way yet.");
        return Ok(());
    }
    let rows = journeys
        .iter()
        .map(|j| {
            vec![
                j.id.to_string(),
                print::moment(j.started_at),
                j.reverse_path.to_string(),
                Octets(j.size_octets).to_string(),
                if j.pending > 0 { format!("{} waiting", j.pending) } else { "ended".into() },
            ]
        })
        .collect();
    print::table(&["journey", "began", "from", "size", ""], &[3], rows);
    Ok(())
}

/// Draws a journey for people.
pub fn draw(journey: &Found) {
    println!("Journey {}", journey.id);
    let message_id = journey
        .message_id
        .as_deref()
        .map(|id| format!(", <{}>", print::clean(id)))
        .unwrap_or_default();
    println!("  from {}, {}{message_id}", journey.reverse_path, Octets(journey.size_octets));
    println!("  began {}", print::moment(journey.started_at));
    for event in &journey.events {
        draw_event(event, journey.started_at);
    }
    if journey.pending > 0 {
        println!("  … {} still on the way", print::count(journey.pending.into(), "recipient"));
    }
    println!();
}

/// One step, with its time since the beginning.
pub fn draw_event(event: &Event, since: jiff::Timestamp) {
    let (name, lines) = describe(&event.step);
    let millis = event.at.as_millisecond() - since.as_millisecond();
    let mut margin = format!("{:>11}  {name:<10}", elapsed(millis));
    for line in lines {
        println!("{margin} {}", print::clean(&line));
        margin = " ".repeat(23);
    }
}

fn elapsed(millis: i64) -> String {
    match millis {
        ..60_000 => format!("+{:.3} s", millis as f64 / 1_000.0),
        60_000..7_200_000 => format!("+{} min", millis / 60_000),
        _ => format!("+{:.1} h", millis as f64 / 3_600_000.0),
    }
}

/// What the domain demands of TLS; `None` when it demands nothing and nothing is to be said.
fn policy_words(seen: &TlsPolicySeen) -> Option<String> {
    if seen.policy == TlsPolicyKind::None && seen.note.is_none() {
        return None;
    }
    let verified = if seen.verified { "host verified by it" } else { "host not verified by it" };
    let note = seen.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    Some(format!("TLS policy {}: {verified}{note}", seen.policy.name()))
}

fn tls_words(tls: Option<&TlsUsed>) -> String {
    match tls {
        None => "in clear text".into(),
        Some(tls) => {
            let verified = if tls.peer_verified { ", certificate verified" } else { "" };
            format!("{} {}{verified}", tls.version, tls.cipher)
        }
    }
}

/// A word for the step, and lines that tell it.
fn describe(step: &Step) -> (&'static str, Vec<String>) {
    match step {
        Step::Accepted { by, protocol, source, recipients, repairs, .. } => {
            let from = match (source.ip, &source.helo) {
                (Some(ip), Some(helo)) => {
                    format!(" from {helo} [{ip}], {}", tls_words(source.tls.as_ref()))
                }
                (Some(ip), None) => format!(" from [{ip}], {}", tls_words(source.tls.as_ref())),
                _ => String::new(),
            };
            let mut lines = vec![format!("by {by} over {protocol}{from}")];
            lines.extend(source.login.as_ref().map(|login| format!("logged in as {login}")));
            lines.extend(recipients.iter().map(|r| format!("for {r}")));
            lines.extend(repairs.iter().map(|repair| format!("repaired: {repair}")));
            ("accepted", lines)
        }
        Step::Examined { findings, took_millis, .. } => {
            let mut lines = evidence::finding_lines(findings);
            lines.push(format!("in {took_millis} ms"));
            ("examined", lines)
        }
        Step::Judged { recipient, verdict, weight, reasons, overridden } => {
            let mut lines =
                evidence::verdict_lines(verdict, *weight, reasons, overridden.as_deref());
            if let (Some(recipient), Some(first)) = (recipient, lines.first_mut()) {
                *first = format!("{recipient}: {first}");
            }
            ("judged", lines)
        }
        Step::Refused { by, protocol, source, reverse_path, recipients, code, text, .. } => {
            let from = match (source.ip, &source.helo) {
                (Some(ip), Some(helo)) => format!("{helo} [{ip}]"),
                (Some(ip), None) => format!("[{ip}]"),
                _ => "this machine".to_owned(),
            };
            let sender = reverse_path.address().map_or("<>".into(), ToString::to_string);
            let to: Vec<String> = recipients.iter().map(ToString::to_string).collect();
            let lines = vec![
                format!("by {by} over {protocol} from {from}, {}", tls_words(source.tls.as_ref())),
                format!("from {sender} to {}", to.join(", ")),
                format!("it was told: {code} {text}"),
            ];
            ("refused", lines)
        }
        Step::Expanded { recipient, to } => {
            let to: Vec<String> = to.iter().map(ToString::to_string).collect();
            ("alias", vec![format!("{recipient} leads to {}", to.join(", "))])
        }
        Step::Sorted { account, script, trace, error, caused, .. } => {
            let mut lines = vec![format!("by the rules of {account}, script \"{script}\"")];
            lines.extend(trace.iter().cloned());
            lines.extend(error.iter().map(|why| format!("failed, so the message is kept: {why}")));
            lines.extend(caused.iter().map(|caused| {
                let to: Vec<String> = caused.to.iter().map(ToString::to_string).collect();
                format!("{} to {} (journey {})", caused.what, to.join(", "), caused.journey)
            }));
            ("sorted", lines)
        }
        Step::Deposited { recipient, account, mailbox } => {
            let whose = if recipient == account { String::new() } else { format!(" of {account}") };
            ("delivered", vec![format!("{recipient}: in the mailbox {mailbox}{whose}")])
        }
        Step::Queued { recipient, .. } => ("queued", vec![format!("{recipient}: to be sent on")]),
        Step::Routed { domain, hosts, by, dnssec } => {
            let signed = if *dnssec { "DNSSEC-signed" } else { "not signed" };
            ("routed", vec![format!("{domain} → {} (by {by}, {signed})", hosts.join(", "))])
        }
        Step::Attempted { attempt, host, ip, tls, tls_policy, recipients, took_millis } => {
            let address = ip.map(|ip| format!(" [{ip}]")).unwrap_or_default();
            let mut lines = vec![format!(
                "attempt {attempt} at {host}{address}, {}, {took_millis} ms",
                tls_words(tls.as_ref())
            )];
            lines.extend(tls_policy.as_ref().and_then(policy_words));
            lines.extend(recipients.iter().map(outcome_words));
            ("sent", lines)
        }
        Step::Deferred { recipient, next_attempt_at, reason } => (
            "waiting",
            vec![
                format!("{recipient}: again at {}", print::moment(*next_attempt_at)),
                reason.clone(),
            ],
        ),
        Step::DelayWarned { recipient, report } => (
            "warned",
            vec![format!("{recipient}: the sender was told that it takes long (journey {report})")],
        ),
        Step::Bounced { recipient, status, reason, report } => {
            let told = match report {
                Some(report) => format!("the sender was told (journey {report})"),
                None => "nobody was told: the sender did not want it, or this was a report itself"
                    .into(),
            };
            ("bounced", vec![format!("{recipient}: {status} {reason}"), told])
        }
        Step::SuccessReported { recipient, report } => (
            "reported",
            vec![format!("{recipient}: the sender was told of the delivery (journey {report})")],
        ),
        Step::ReportRead { kind, domain, organization, summary } => (
            "report read",
            vec![format!("{kind} report of {organization} about {domain}: {summary}")],
        ),
        Step::ReportNotRead { reason } => ("report not read", vec![reason.clone()]),
        Step::Operator { recipient, action } => {
            ("operator", vec![format!("{recipient}: {action}")])
        }
    }
}

fn outcome_words(recipient: &RecipientOutcome) -> String {
    let words = |reply: &Option<ReplySeen>, reason: &str| match reply {
        Some(reply) => format!("{reason} – it said: {}", reply_words(reply)),
        None => reason.to_owned(),
    };
    match &recipient.outcome {
        Outcome::Delivered { reply } => {
            format!("{}: taken – {}", recipient.recipient, reply_words(reply))
        }
        Outcome::Deferred { reply, reason } => {
            format!("{}: not now: {}", recipient.recipient, words(reply, reason))
        }
        Outcome::Failed { reply, reason } => {
            format!("{}: refused: {}", recipient.recipient, words(reply, reason))
        }
    }
}

fn reply_words(reply: &ReplySeen) -> String {
    let enhanced = reply.enhanced.as_ref().map(|e| format!("{e} ")).unwrap_or_default();
    format!("{} {enhanced}{}", reply.code, reply.text.replace('\n', " / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_times() {
        assert_eq!(elapsed(0), "+0.000 s");
        assert_eq!(elapsed(1_234), "+1.234 s");
        assert_eq!(elapsed(300_000), "+5 min");
        assert_eq!(elapsed(86_400_000), "+24.0 h");
    }

    #[test]
    fn a_refusal_shows_the_words_of_the_other_server() {
        let reply =
            ReplySeen { code: 550, enhanced: Some("5.1.1".into()), text: "no such\nuser".into() };
        let outcome =
            Outcome::Failed { reply: Some(reply), reason: "it does not know the recipient".into() };
        let text =
            outcome_words(&RecipientOutcome { recipient: "a@b.test".parse().unwrap(), outcome });
        assert_eq!(
            text,
            "a@b.test: refused: it does not know the recipient – it said: 550 5.1.1 no such / user"
        );
    }
}
