//! A submission as a client sees it (RFC 8621 §7), with what its journey tells of each recipient.

use serde_json::{Map, Value, json};
use waxwing_message::Address;
use waxwing_message::journey::{Outcome, ReplySeen, Step};
use waxwing_store::{Journey, Store, StoreError, Submission, SubmissionState};

use super::envelope;
use crate::wire::id;

/// All properties.
pub const PROPERTIES: [&str; 10] = [
    "id",
    "identityId",
    "emailId",
    "threadId",
    "envelope",
    "sendAt",
    "undoStatus",
    "deliveryStatus",
    "dsnBlobIds",
    "mdnBlobIds",
];

/// As it stands on the wire.
pub fn undo_status(state: SubmissionState) -> &'static str {
    match state {
        SubmissionState::Waiting => "pending",
        SubmissionState::Final => "final",
        SubmissionState::Canceled => "canceled",
    }
}

/// The object.
pub async fn object(store: &Store, submission: &Submission) -> Result<Value, StoreError> {
    let journey = match submission.journey {
        Some(id) => store.journey(id).await?,
        None => None,
    };
    Ok(json!({
        "id": id::text(submission.id),
        "identityId": id::text(submission.identity),
        "emailId": id::text(submission.message),
        "threadId": id::text(submission.thread),
        "envelope": envelope::value(&submission.envelope),
        "sendAt": envelope::send_at(submission.send_at),
        "undoStatus": undo_status(submission.state),
        "deliveryStatus": delivery(submission, journey.as_ref()),
        // Reports arrive as mail, in mailboxes; none is kept here.
        "dsnBlobIds": [],
        "mdnBlobIds": [],
    }))
}

/// By recipient; null while it waits.
fn delivery(submission: &Submission, journey: Option<&Journey>) -> Value {
    if submission.state != SubmissionState::Final {
        return Value::Null;
    }
    let status = |recipient: &Address| match (&submission.refusal, journey) {
        (Some(why), _) => ("no", why.clone()),
        (None, Some(journey)) => told(journey, recipient),
        // Forgotten after a while.
        (None, None) => ("unknown", "250 2.0.0 accepted".to_owned()),
    };
    let each = submission.envelope.recipients.iter().map(|recipient| {
        let (delivered, reply) = status(&recipient.address);
        let value = json!({"smtpReply": reply, "delivered": delivered, "displayed": "unknown"});
        (recipient.address.to_string(), value)
    });
    Value::Object(each.collect::<Map<_, _>>())
}

/// `delivered` and `smtpReply`, by the last word on a recipient. What another server has taken is `unknown`: only
/// a report could say more.
fn told(journey: &Journey, recipient: &Address) -> (&'static str, String) {
    let mut status = ("queued", "250 2.0.0 accepted".to_owned());
    // Where an alias leads, its own words count.
    let mut names = vec![recipient.clone()];
    for event in &journey.events {
        match &event.step {
            Step::Expanded { recipient, to } if names.contains(recipient) => {
                names.extend(to.iter().cloned());
            }
            Step::Deposited { recipient, mailbox, .. } if names.contains(recipient) => {
                status = ("yes", format!("250 2.1.5 delivered to {mailbox}"));
            }
            Step::Bounced { recipient, status: code, reason, .. } if names.contains(recipient) => {
                status = ("no", format!("550 {code} {reason}"));
            }
            Step::Attempted { recipients, .. } => {
                for outcome in recipients.iter().filter(|one| names.contains(&one.recipient)) {
                    status = match &outcome.outcome {
                        Outcome::Delivered { reply } => ("unknown", words(reply)),
                        Outcome::Deferred { reply, reason } => {
                            let reply = reply.as_ref().map(words);
                            ("queued", reply.unwrap_or_else(|| format!("451 4.4.1 {reason}")))
                        }
                        Outcome::Failed { reply, reason } => {
                            let reply = reply.as_ref().map(words);
                            ("no", reply.unwrap_or_else(|| format!("550 5.0.0 {reason}")))
                        }
                    };
                }
            }
            _ => {}
        }
    }
    status
}

fn words(reply: &ReplySeen) -> String {
    match &reply.enhanced {
        Some(enhanced) => format!("{} {enhanced} {}", reply.code, reply.text),
        None => format!("{} {}", reply.code, reply.text),
    }
}
