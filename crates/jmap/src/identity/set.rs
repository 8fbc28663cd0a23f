//! Identity/set (RFC 8621 §6.3).

use serde_json::{Map, Value, json};
use waxwing_message::Address;
use waxwing_store::{Identity, IdentityDetails, IdentityId, NamedAddress, SubmissionError};

use super::{all, object, own};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::set::{SetArguments, SetOutcome};
use crate::wire::error::{MethodError, SetError, SetErrorKind};
use crate::wire::id;
use crate::wire::patch::Patch;

/// Octets of a name, and of a signature.
const NAME_OCTETS_MAX: usize = 1_000;
const SIGNATURE_OCTETS_MAX: usize = 100_000;
/// Addresses in a list.
const ADDRESSES_MAX: usize = 100;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked = SetArguments::read(arguments, &context.limits, &[])?;
    own(context, &asked.account_id).await?;
    let mut known = all(context).await?;
    let before = own(context, &asked.account_id).await?;
    asked.check_state(before.state())?;
    let mut outcome = SetOutcome::default();
    let destroy = asked.destroy.unwrap_or_default();
    for (creation_id, wanted) in asked.create.unwrap_or_default() {
        match create(context, wanted).await? {
            Ok((id, object)) => outcome.created(context, &creation_id, id, object),
            Err(error) => outcome.not_created(&creation_id, &error),
        }
    }
    if outcome.has_created() {
        known = all(context).await?;
    }
    for (text, patch) in asked.update.unwrap_or_default() {
        let found = find(context, &known, &text);
        let changed = match (destroy.contains(&text), found) {
            (true, _) => Err(SetErrorKind::WillDestroy.into()),
            (_, None) => Err(SetErrorKind::NotFound.into()),
            (false, Some(identity)) => update(context, identity, patch).await?,
        };
        match changed {
            Ok(()) => outcome.updated(&text, Value::Null),
            Err(error) => outcome.not_updated(&text, &error),
        }
    }
    for text in destroy {
        let gone = match find(context, &known, &text) {
            None => Err(SetErrorKind::NotFound.into()),
            Some(identity) => settle(context.store.remove_identity(before.id, identity.id).await)?,
        };
        match gone {
            Ok(()) => outcome.destroyed(&text),
            Err(error) => outcome.not_destroyed(&text, &error),
        }
    }
    let after = own(context, &asked.account_id).await?;
    Ok(outcome.response(&after.text(), before.state(), after.state()).into())
}

fn find<'a>(context: &Context, known: &'a [Identity], text: &str) -> Option<&'a Identity> {
    let wanted: IdentityId = id::read(&context.resolve_id(text)?)?;
    known.iter().find(|one| one.id == wanted)
}

/// What the store refuses becomes an error of the object, or of the whole method.
fn settle<T>(done: Result<T, SubmissionError>) -> Result<Result<T, SetError>, MethodError> {
    Ok(match done {
        Ok(done) => Ok(done),
        Err(SubmissionError::Store(error)) => return Err(error.into()),
        Err(SubmissionError::NotFound) => Err(SetErrorKind::NotFound.into()),
        Err(SubmissionError::TooMany) => Err(SetErrorKind::OverQuota.into()),
        Err(error @ (SubmissionError::First | SubmissionError::TooLate)) => {
            Err(SetError::new(SetErrorKind::Forbidden, error.to_string()))
        }
    })
}

async fn create(
    context: &Context,
    wanted: Value,
) -> Result<Result<(String, Value), SetError>, MethodError> {
    let Value::Object(mut members) = wanted else {
        return Ok(Err(SetError::invalid("email", "it is no object")));
    };
    let Some(Value::String(email)) = members.remove("email") else {
        return Ok(Err(SetError::invalid("email", "an address is missing")));
    };
    let address = match Address::parse(&email) {
        Ok(address) => address,
        Err(error) => return Ok(Err(SetError::invalid("email", error.to_string()))),
    };
    let details = match details(&members) {
        Ok(details) => details,
        Err(error) => return Ok(Err(error)),
    };
    let own = context.caller.account.id;
    if !context.store.may_send_as(own, &address).await? {
        let why = "mail to that address does not reach this account";
        return Ok(Err(SetError::new(SetErrorKind::ForbiddenFrom, why)));
    }
    let made = settle(context.store.add_identity(own, &email, details).await)?;
    Ok(match made {
        Err(error) => Err(error),
        Ok(made) => {
            let identities = all(context).await?;
            let shown = identities.iter().find(|one| one.id == made).map(object);
            let mut shown = shown.unwrap_or_else(|| json!({"id": id::text(made)}));
            if let Some(shown) = shown.as_object_mut() {
                shown.retain(|name, value| name != "email" && members.get(name) != Some(value));
            }
            Ok((id::text(made), shown))
        }
    })
}

async fn update(
    context: &Context,
    identity: &Identity,
    patch: Value,
) -> Result<Result<(), SetError>, MethodError> {
    let changed = (|| {
        let Value::Object(patch) = patch else { return Err(SetErrorKind::InvalidPatch.into()) };
        let now = object(identity);
        let mut wanted = now.as_object().cloned().unwrap_or_default();
        Patch::read(patch)?.apply(&mut wanted)?;
        // RFC 8621 §6: these are the server's, or immutable.
        for name in ["id", "email", "mayDelete"] {
            if wanted.remove(name).as_ref() != now.get(name) {
                return Err(SetError::invalid(name, "this cannot be changed"));
            }
        }
        details(&wanted)
    })();
    Ok(match changed {
        Err(error) => Err(error),
        Ok(details) if details == identity.details => Ok(()),
        Ok(details) => {
            let own = context.caller.account.id;
            settle(context.store.change_identity(own, identity.id, details).await)?
        }
    })
}

/// All but the address; what is not mentioned is the default. All that is wrong is named at once.
fn details(members: &Map<String, Value>) -> Result<IdentityDetails, SetError> {
    let mut details = IdentityDetails::default();
    let mut wrong = Vec::new();
    let text = |value: &Value, most: usize| {
        value.as_str().filter(|text| text.len() <= most).map(str::to_owned)
    };
    for (name, value) in members {
        let fits = match name.as_str() {
            "name" => text(value, NAME_OCTETS_MAX)
                .filter(|name| !name.chars().any(char::is_control))
                .map(|name| details.name = name),
            "textSignature" => {
                text(value, SIGNATURE_OCTETS_MAX).map(|text| details.text_signature = text)
            }
            "htmlSignature" => {
                text(value, SIGNATURE_OCTETS_MAX).map(|text| details.html_signature = text)
            }
            "replyTo" => list(value).map(|list| details.reply_to = list),
            "bcc" => list(value).map(|list| details.bcc = list),
            _ => None,
        };
        if fits.is_none() {
            wrong.push(name.clone());
        }
    }
    match wrong.is_empty() {
        true => Ok(details),
        false => {
            let why = "these are of the wrong form, or the server's to set";
            Err(SetError::new(SetErrorKind::InvalidProperties(wrong), why))
        }
    }
}

/// `EmailAddress[]|null`.
fn list(value: &Value) -> Option<Option<Vec<NamedAddress>>> {
    let items = match value {
        Value::Null => return Some(None),
        value => value.as_array().filter(|items| items.len() <= ADDRESSES_MAX)?,
    };
    let one = |item: &Value| {
        let email = item.get("email")?.as_str().filter(|email| Address::parse(email).is_ok())?;
        let name = match item.get("name") {
            None | Some(Value::Null) => None,
            Some(name) => Some(name.as_str().filter(|name| name.len() <= NAME_OCTETS_MAX)?),
        };
        Some(NamedAddress { name: name.map(str::to_owned), email: email.to_owned() })
    };
    items.iter().map(one).collect::<Option<_>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_named() {
        let read = |value: Value| details(value.as_object().unwrap());
        let good =
            json!({"name": "Ann", "replyTo": [{"name": null, "email": "a@x.test"}], "bcc": null});
        let reply_to = vec![NamedAddress { name: None, email: "a@x.test".into() }];
        let expected =
            IdentityDetails { name: "Ann".into(), reply_to: Some(reply_to), ..Default::default() };
        assert_eq!(read(good), Ok(expected));
        let bad = json!({"name": "a\nb", "bcc": [{"email": "no"}], "mayDelete": true, "x": 1});
        let error = read(bad).unwrap_err();
        let names = ["bcc", "mayDelete", "name", "x"].map(String::from).to_vec();
        assert_eq!(error.kind, SetErrorKind::InvalidProperties(names));
    }
}
