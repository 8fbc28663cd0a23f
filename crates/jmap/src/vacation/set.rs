//! VacationResponse/set (RFC 8621 §8.2): the one object is changed, never made or destroyed.

use serde_json::{Map, Value};
use waxwing_store::Absence;

use super::{ID, object};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::identity::own;
use crate::standard::set::{SetArguments, SetOutcome};
use crate::wire::date;
use crate::wire::error::{MethodError, SetError, SetErrorKind};
use crate::wire::patch::Patch;

/// Octets of a subject, and of a body.
const SUBJECT_OCTETS_MAX: usize = 1_000;
const BODY_OCTETS_MAX: usize = 100_000;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked = SetArguments::read(arguments, &context.limits, &[])?;
    let before = own(context, &asked.account_id).await?;
    asked.check_state(before.state())?;
    let mut outcome = SetOutcome::default();
    for creation_id in asked.create.unwrap_or_default().keys() {
        outcome.not_created(creation_id, &SetErrorKind::Singleton.into());
    }
    for (text, patch) in asked.update.unwrap_or_default() {
        if text != ID {
            outcome.not_updated(&text, &SetErrorKind::NotFound.into());
            continue;
        }
        let now = context.store.absence(before.id).await?;
        match changed(&now, patch) {
            Err(error) => outcome.not_updated(&text, &error),
            Ok(wanted) => {
                if wanted != now {
                    context.store.set_absence(wanted).await?;
                }
                outcome.updated(&text, Value::Null);
            }
        }
    }
    for text in asked.destroy.unwrap_or_default() {
        let kind = if text == ID { SetErrorKind::Singleton } else { SetErrorKind::NotFound };
        outcome.not_destroyed(&text, &kind.into());
    }
    let after = own(context, &asked.account_id).await?;
    Ok(outcome.response(&after.text(), before.state(), after.state()).into())
}

/// What a patch makes of it. All that is wrong is named at once.
fn changed(now: &Absence, patch: Value) -> Result<Absence, SetError> {
    let Value::Object(patch) = patch else { return Err(SetErrorKind::InvalidPatch.into()) };
    let mut wanted = object(now).as_object().cloned().unwrap_or_default();
    let is_strange = |name: &&String| !wanted.contains_key(name.as_str());
    if let Some(name) = patch.keys().find(is_strange) {
        return Err(SetError::invalid(name, "there is no such property"));
    }
    Patch::read(patch)?.apply(&mut wanted)?;
    let (mut absence, mut wrong) = (now.clone(), Vec::new());
    let mut take = |name: &str, fits: bool| {
        if !fits {
            wrong.push(name.to_owned());
        }
    };
    // A `null` of a patch has taken the member away.
    let value = |name: &str| wanted.get(name).unwrap_or(&Value::Null);
    let id_stays = value("id") == ID;
    take("id", id_stays);
    match value("isEnabled") {
        Value::Bool(is) => absence.is_enabled = *is,
        // RFC 8620 §5.3: null is the default, if there is one: there is none.
        _ => take("isEnabled", false),
    }
    for (name, place) in [("fromDate", &mut absence.from_at), ("toDate", &mut absence.to_at)] {
        match value(name) {
            Value::Null => *place = None,
            Value::String(text) => match date::read_utc(text) {
                Some(at) => *place = Some(at),
                None => take(name, false),
            },
            _ => take(name, false),
        }
    }
    let answer = &mut absence.answer;
    for (name, place, most) in [
        ("subject", &mut answer.subject, SUBJECT_OCTETS_MAX),
        ("textBody", &mut answer.text, BODY_OCTETS_MAX),
        ("htmlBody", &mut answer.html, BODY_OCTETS_MAX),
    ] {
        match value(name) {
            Value::Null => *place = None,
            Value::String(text) if text.len() <= most => *place = Some(text.clone()),
            _ => take(name, false),
        }
    }
    match wrong.is_empty() {
        true => Ok(absence),
        false => {
            let why = "these are of the wrong form";
            Err(SetError::new(SetErrorKind::InvalidProperties(wrong), why))
        }
    }
}
