//! The words for people: what happened, what it means, what to do.
//!
//! Plain and kind: the reader did nothing wrong most of the time, and did not ask to learn what an MX is.
//! The other server's own words are given too, since they are what an administrator asks for.

use std::fmt::Write;

use super::{Action, RecipientReport, Report, Returned};
use crate::parse::date;

/// The subject of a report.
pub fn subject(report: &Report<'_>) -> String {
    let kind = match report.recipients.first().map(|to| to.action) {
        _ if report.recipients.iter().any(|to| to.action == Action::Failed) => {
            "Your message could not be delivered"
        }
        Some(Action::Delayed) => "Your message is delayed",
        Some(Action::Delivered) => "Your message was delivered",
        _ => "Your message was sent on",
    };
    match report.recipients {
        [only] => format!("{kind} to {}", only.recipient),
        many => format!("{kind} to {} recipients", many.len()),
    }
}

/// The text of a report. Lines are kept short by hand where they are ours.
pub fn body(report: &Report<'_>) -> String {
    let mut out = format!("This is the mail server {}.\n", report.reporting_mta);
    for (action, opening) in OPENINGS {
        let these: Vec<_> = report.recipients.iter().filter(|to| to.action == *action).collect();
        if these.is_empty() {
            continue;
        }
        let _ = write!(out, "\n{opening}\n");
        for to in these {
            recipient(&mut out, to);
        }
    }
    out.push('\n');
    out.push_str(match report.returned {
        Returned::Full(_) => "Your message is attached.\n",
        Returned::Header(_) => "The header of your message is attached.\n",
    });
    if let Some(journey) = report.journey {
        let _ = writeln!(out, "If you ask the administrator, give this number: {journey}");
    }
    out
}

const OPENINGS: &[(Action, &str)] = &[
    (Action::Failed, "I am sorry: your message could not be delivered to"),
    (
        Action::Delayed,
        "Your message has not been delivered yet. You need not send it again: I keep\n\
         trying, and will tell you if I have to give up. It is waiting for",
    ),
    (Action::Delivered, "As you asked, I am telling you that your message was delivered to"),
    (
        Action::Relayed,
        "Your message was handed to the next mail server, which does not report\n\
         deliveries. No news from it is good news. It was for",
    ),
    (Action::Expanded, "Your message was delivered to a list or alias and sent on to its members:"),
];

fn recipient(out: &mut String, to: &RecipientReport) {
    let _ = write!(out, "\n    {}\n", to.recipient);
    if matches!(to.action, Action::Failed | Action::Delayed) {
        let (meaning, advice) = explain(&to.status, to.action);
        let _ = write!(out, "\nWhat it means: {meaning}\n");
        let _ = writeln!(out, "What to do:    {advice}");
    }
    if let Some(until) = to.will_retry_until.filter(|_| to.action == Action::Delayed) {
        let _ = write!(out, "\nI will keep trying until {}.\n", date::format(until));
    }
    if let Some(reason) = &to.reason {
        let _ = write!(out, "\nIn detail: {}.\n", one_line(reason).trim_end_matches('.'));
    }
    match (&to.diagnostic, &to.remote_mta) {
        (Some(reply), Some(host)) => {
            let _ = write!(out, "\nThe server {} said:\n    {}\n", one_line(host), one_line(reply));
        }
        (Some(reply), None) => {
            let _ = write!(out, "\nThe answer was:\n    {}\n", one_line(reply));
        }
        _ => {}
    }
}

fn one_line(text: &str) -> String {
    text.trim().chars().take(1000).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What a status (RFC 3463, RFC 7504, RFC 7505, and the registry) means to a person, and what to do. The most exact
/// line of the table counts; a class alone always matches.
fn explain(status: &str, action: Action) -> (&'static str, &'static str) {
    let (class, rest) = status.split_once('.').unwrap_or(("", ""));
    let exact = MEANINGS.iter().find(|(known, _, _)| *known == rest);
    let subject = rest.split('.').next().unwrap_or_default();
    let by_subject = || MEANINGS.iter().find(|(known, _, _)| *known == subject);
    if let Some((_, meaning, advice)) = exact.or_else(by_subject) {
        return (meaning, if action == Action::Delayed { WAIT } else { advice });
    }
    match (action, class) {
        (Action::Delayed, _) => ("The other side cannot take the message at the moment.", WAIT),
        (_, "4") => (
            "The other side could not take the message for the whole time I tried.",
            "Try again later, or reach the recipient another way.",
        ),
        _ => (
            "The other side refused the message.",
            "Its own words below may say why. Else ask the recipient another way.",
        ),
    }
}

const WAIT: &str = "Nothing for now.";

/// `subject.detail`, or a subject alone for the rest of it.
#[rustfmt::skip]
const MEANINGS: &[(&str, &str, &str)] = &[
    ("1.1", "There is no mailbox with this name at that domain.",
        "Check the part before the @ for a mistake, then send again."),
    ("1.2", "There is no such domain, or it takes no mail.",
        "Check the part after the @ for a mistake, then send again."),
    ("1.3", "The address is not written as an address has to be.",
        "Check the address for a mistake, then send again."),
    ("1.6", "The mailbox has moved and left no new address.",
        "Ask the recipient for the new address."),
    ("1.7", "The other side does not accept your address as a sender.",
        "Ask your administrator whether your address is set up rightly."),
    ("1.8", "The other side cannot find the domain of your own address.",
        "Ask your administrator to check the domain's DNS records."),
    ("1.10", "That domain says that it takes no mail at all.",
        "Check the part after the @; the recipient must have another address."),
    ("1", "The other side does not accept this address.",
        "Check the address for a mistake, then send again."),
    ("2.1", "The mailbox exists but is switched off.",
        "Reach the recipient another way."),
    ("2.2", "The recipient's mailbox is full.",
        "Tell the recipient another way, or try again in a few days."),
    ("2.3", "The message is larger than this mailbox accepts.",
        "Send a smaller message: share large files by a link."),
    ("2.4", "The mailing list behind this address could not be reached.",
        "Ask the owner of the list."),
    ("2", "The recipient's mailbox cannot take the message.",
        "Tell the recipient another way, or try again later."),
    ("3.1", "The other mail server has no more room.",
        "Try again later."),
    ("3.4", "The message is larger than the other mail server accepts.",
        "Send a smaller message: share large files by a link."),
    ("3", "The other mail server is not able to take the message.",
        "Try again later. If it happens again, tell your administrator."),
    ("4.1", "The other mail server did not answer.",
        "Check the part after the @. If it is right, try again later."),
    ("4.3", "The directory of names (DNS) for that domain did not answer.",
        "Check the part after the @. If it is right, try again later."),
    ("4.4", "No way to that domain's mail server could be found.",
        "Check the part after the @; the domain may be set up wrongly."),
    ("4.6", "The message was going round in circles between mail servers.",
        "Tell the administrator: a forwarding is set up wrongly."),
    ("4.7", "I tried for as long as I may, and the other side never took it.",
        "Check the address. If it is right, try again later or ask the\n               recipient another way."),
    ("4", "The other mail server could not be reached.",
        "Check the part after the @. If it is right, try again later."),
    ("5", "The two mail servers did not understand each other.",
        "Tell your administrator: nothing in your message is at fault."),
    ("6.7", "The address needs international mail, which a server on the way\n               does not know.",
        "Ask the recipient for an address in plain letters."),
    ("6", "The other side cannot handle the form of this message.",
        "Send it as plain text, or with its attachments in another form."),
    ("7.1", "The other side refused the message by its own rules.",
        "If you think this is a mistake, ask the recipient another way to\n               have your address allowed."),
    ("7.2", "Only some may write to that mailing list.",
        "Ask the owner of the list."),
    ("7.23", "The other side found that this server may not send for your\n               domain (SPF).",
        "Tell your administrator: the domain's SPF record needs a look."),
    ("7.20", "The other side found no valid signature (DKIM) of your domain.",
        "Tell your administrator: the domain's DKIM key needs a look."),
    ("7.25", "The other side found that this server's address has no name.",
        "Tell your administrator: reverse DNS is missing."),
    ("7.26", "The other side could not make sure that the message is yours.",
        "Tell your administrator: SPF, DKIM or DMARC needs a look."),
    ("7.10", "Your message asked for encryption that the other server does not\n               offer.",
        "Send it without that demand, or reach the recipient another way."),
    ("7.30", "Your message demands encryption on its whole way (REQUIRETLS), and\n               the other server does not offer it.",
        "Send it without that demand, or reach the recipient another way."),
    ("7", "The other side refused the message for reasons of security or policy.",
        "Its own words below may say why. If you think it is a mistake, ask\n               the recipient another way."),
];
