//! EmailSubmission/set (RFC 8621 §7.5): sending.

use serde_json::{Map, Value, json};
use waxwing_message::{Envelope, Message};
use waxwing_store::{
    Content, Handing, Identity, IdentityId, Located, MessageId, NewSubmission, Spool, StagedBlob,
    Store, StoreError, SubmissionError, SubmissionId, SubmissionState,
};

use super::envelope::{self, Wanted};
use super::object::{object, undo_status};
use crate::caller::Account;
use crate::context::{Context, Outgoing, Refused};
use crate::dispatch::{Answer, find};
use crate::identity::{all as all_identities, own};
use crate::session::DELAYED_SEND_SECS;
use crate::standard::set::{SetArguments, SetOutcome};
use crate::wire::error::{MethodError, SetError, SetErrorKind};
use crate::wire::id;

/// Read at once.
const PIECE_OCTETS: u64 = 256 * 1024;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let more = ["onSuccessUpdateEmail", "onSuccessDestroyEmail"];
    let asked = SetArguments::read(arguments, &context.limits, &more)?;
    let after_success = AfterSuccess::read(&asked.more)?;
    let identities = all_identities(context).await?;
    let before = own(context, &asked.account_id).await?;
    asked.check_state(before.state())?;
    let mut outcome = SetOutcome::default();
    // The message of each that went well, by what a client calls it in `onSuccess…`.
    let mut went_well: Vec<(String, MessageId)> = Vec::new();
    for (creation_id, wanted) in asked.create.unwrap_or_default() {
        match create(context, &before, &identities, &wanted).await {
            Ok((id, message, object)) => {
                went_well.push((format!("#{creation_id}"), message));
                went_well.push((id.clone(), message));
                outcome.created(context, &creation_id, id, object);
            }
            Err(Stop::One(error)) => outcome.not_created(&creation_id, &error),
            Err(Stop::All(error)) => return Err(error),
        }
    }
    let known = context.store.submissions(before.id).await?;
    let named = |text: &str| -> Option<SubmissionId> {
        let wanted = id::read(&context.resolve_id(text)?)?;
        known.iter().map(|one| one.id).find(|id| *id == wanted)
    };
    let message_of =
        |id: SubmissionId| known.iter().find(|one| one.id == id).map(|one| one.message);
    let destroy = asked.destroy.unwrap_or_default();
    for (text, patch) in asked.update.unwrap_or_default() {
        let done = match (destroy.contains(&text), named(&text)) {
            (true, _) => Err(SetErrorKind::WillDestroy.into()),
            (_, None) => Err(SetErrorKind::NotFound.into()),
            (false, Some(id)) => {
                let state = known.iter().find(|one| one.id == id).map(|one| one.state);
                let done = update(context, &before, id, state, &patch).await?;
                if done.is_ok() {
                    went_well.extend(message_of(id).map(|message| (text.clone(), message)));
                }
                done
            }
        };
        match done {
            Ok(()) => outcome.updated(&text, Value::Null),
            Err(error) => outcome.not_updated(&text, &error),
        }
    }
    for text in destroy {
        let Some(id) = named(&text) else {
            outcome.not_destroyed(&text, &SetErrorKind::NotFound.into());
            continue;
        };
        match context.store.remove_submission(before.id, id).await {
            Ok(()) => {
                went_well.extend(message_of(id).map(|message| (text.clone(), message)));
                outcome.destroyed(&text);
            }
            Err(SubmissionError::Store(error)) => return Err(error.into()),
            Err(_) => outcome.not_destroyed(&text, &SetErrorKind::NotFound.into()),
        }
    }
    let after = own(context, &asked.account_id).await?;
    let response = outcome.response(&after.text(), before.state(), after.state());
    let also = after_success.carry_out(context, &after, &went_well).await;
    Ok(Answer { arguments: response, also })
}

/// Why something was not done.
enum Stop {
    One(SetError),
    All(MethodError),
}

impl From<SetError> for Stop {
    fn from(error: SetError) -> Stop {
        Stop::One(error)
    }
}

impl From<SetErrorKind> for Stop {
    fn from(kind: SetErrorKind) -> Stop {
        Stop::One(kind.into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::All(error.into())
    }
}

/// The submission's id, its message, and what the client did not say itself.
async fn create(
    context: &Context,
    account: &Account,
    identities: &[Identity],
    wanted: &Value,
) -> Result<(String, MessageId, Value), Stop> {
    let members =
        wanted.as_object().ok_or_else(|| SetError::invalid("emailId", "it is no object"))?;
    let known = ["identityId", "emailId", "envelope"];
    let strangers: Vec<String> =
        members.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
    if !strangers.is_empty() {
        let why = "these are the server's to set, or do not exist";
        return Err(SetError::new(SetErrorKind::InvalidProperties(strangers), why).into());
    }
    let identity = identity_of(context, identities, members)?;
    let (located, content, blob) = message_of(context, account, members).await?;
    if content.size_octets > context.limits.max_size_message {
        return Err(SetErrorKind::TooLarge.into());
    }
    let octets = spool(&context.store, &content).await?;
    let Wanted { envelope, send_at } = envelope_of(context, members, &octets).await?;
    check(context, &envelope).await?;
    let latest =
        context.now.saturating_add(jiff::SignedDuration::from_secs(DELAYED_SEND_SECS as i64));
    if send_at.is_some_and(|at| latest.is_ok_and(|latest| at > latest)) {
        let why = format!("a message is held back for {DELAYED_SEND_SECS} s at most");
        return Err(SetError::invalid("envelope", why).into());
    }
    let held = send_at.filter(|at| *at > context.now);
    let what = match held {
        Some(_) => Handing::Later(blob),
        None => Handing::Done(hand_over(context, &envelope, octets).await?),
    };
    let new = NewSubmission {
        account: account.id,
        identity: identity.id,
        message: located.message,
        thread: located.thread,
        envelope,
        send_at: held.unwrap_or(context.now),
        what,
    };
    let id = context.store.add_submission(new).await.map_err(|error| match error {
        SubmissionError::Store(error) => Stop::from(error),
        other => Stop::One(SetError::new(SetErrorKind::OverQuota, other.to_string())),
    })?;
    let all = context.store.submissions(account.id).await?;
    let made = all.iter().find(|one| one.id == id);
    let mut shown = match made {
        Some(made) => object(&context.store, made).await?,
        None => json!({"id": id::text(id)}),
    };
    if let Some(shown) = shown.as_object_mut() {
        shown.retain(|name, value| members.get(name) != Some(value));
    }
    Ok((id::text(id), located.message, shown))
}

fn identity_of<'i>(
    context: &Context,
    identities: &'i [Identity],
    members: &Map<String, Value>,
) -> Result<&'i Identity, SetError> {
    let text = members.get("identityId").and_then(Value::as_str);
    let wanted: Option<IdentityId> =
        text.and_then(|text| context.resolve_id(text)).and_then(|text| id::read(&text));
    let found = identities.iter().find(|one| Some(one.id) == wanted);
    found.ok_or_else(|| SetError::invalid("identityId", "there is no such identity"))
}

async fn message_of(
    context: &Context,
    account: &Account,
    members: &Map<String, Value>,
) -> Result<(Located, Content, StagedBlob), Stop> {
    let none = || SetError::invalid("emailId", "there is no such Email");
    let text = members.get("emailId").and_then(Value::as_str);
    let wanted: Option<MessageId> =
        text.and_then(|text| context.resolve_id(text)).and_then(|text| id::read(&text));
    let wanted = wanted.ok_or_else(none)?;
    let readable = account.mailboxes.readable();
    let located = context.store.locate(account.id, &[wanted], &readable, false).await?;
    let located = located.messages.into_iter().next().ok_or_else(none)?;
    let content = context.store.content_of(account.id, wanted).await?;
    let (content, blob) = content.ok_or_else(none)?;
    Ok((located, content, blob))
}

/// A message's octets where they can be read whole without being in memory.
pub(super) async fn spool(store: &Store, content: &Content) -> Result<Spool, StoreError> {
    let mut spool = store.spool();
    while spool.len() < content.size_octets {
        let piece = content.read(spool.len(), PIECE_OCTETS).await?;
        if piece.is_empty() {
            return Err(StoreError::Damaged("a message is shorter than it is said to be".into()));
        }
        spool.write(&piece)?;
    }
    spool.finish()
}

async fn envelope_of(
    context: &Context,
    members: &Map<String, Value>,
    octets: &Spool,
) -> Result<Wanted, Stop> {
    if let Some(value) = members.get("envelope").filter(|value| !value.is_null()) {
        return Ok(envelope::read(value, context.now)?);
    }
    let own = &context.caller.account;
    let message = Message::parse(octets.as_bytes());
    // Which of the addresses in From and Sender are the account's is known only by asking.
    let mut theirs = Vec::new();
    for name in ["Sender", "From"] {
        for item in message.addresses(name).iter().take(20) {
            if let Some(address) = item.address()
                && context.store.may_send_as(own.id, &address).await?
            {
                theirs.push(address);
            }
        }
    }
    let envelope = envelope::of_message(&message, &own.address, |one| theirs.contains(one));
    Ok(Wanted { envelope, send_at: None })
}

async fn check(context: &Context, envelope: &Envelope) -> Result<(), Stop> {
    let most = context.limits.max_recipients;
    match envelope.recipients.len() {
        0 => return Err(SetErrorKind::NoRecipients.into()),
        count if count > most => return Err(SetErrorKind::TooManyRecipients(most).into()),
        _ => {}
    }
    if let Some(address) = envelope.reverse_path.address()
        && !context.store.may_send_as(context.caller.account.id, address).await?
    {
        return Err(SetErrorKind::ForbiddenMailFrom.into());
    }
    Ok(())
}

async fn hand_over(
    context: &Context,
    envelope: &Envelope,
    octets: Spool,
) -> Result<waxwing_message::JourneyId, Stop> {
    let account = &context.caller.account;
    let mail = Outgoing {
        account: account.id,
        login: account.address.clone(),
        envelope: envelope.clone(),
        octets,
    };
    context.outside.send(mail).await.map_err(|refused| match refused {
        Refused::Later(why) => {
            tracing::warn!(why, "a submission was put off");
            Stop::All(MethodError::ServerUnavailable)
        }
        Refused::Recipients(addresses) => {
            let all = addresses.iter().map(ToString::to_string).collect();
            SetErrorKind::InvalidRecipients(all).into()
        }
        Refused::Author(why) => SetError::new(SetErrorKind::ForbiddenFrom, why).into(),
        Refused::Never(why) => SetError::new(SetErrorKind::ForbiddenToSend, why).into(),
    })
}

/// RFC 8621 §7.5: nothing but `undoStatus` changes, and that only to `canceled`.
async fn update(
    context: &Context,
    account: &Account,
    id: SubmissionId,
    state: Option<SubmissionState>,
    patch: &Value,
) -> Result<Result<(), SetError>, MethodError> {
    let Some(members) = patch.as_object() else {
        return Ok(Err(SetErrorKind::InvalidPatch.into()));
    };
    let other: Vec<String> =
        members.keys().filter(|name| name.as_str() != "undoStatus").cloned().collect();
    if !other.is_empty() {
        return Ok(Err(SetErrorKind::InvalidProperties(other).into()));
    }
    match (members.get("undoStatus").and_then(Value::as_str), members.is_empty()) {
        (_, true) => return Ok(Ok(())),
        (Some("canceled"), _) => {}
        (Some(same), _) if state.is_some_and(|state| undo_status(state) == same) => {
            return Ok(Ok(()));
        }
        _ => return Ok(Err(SetError::invalid("undoStatus", "it can become canceled only"))),
    }
    Ok(match context.store.cancel_submission(account.id, id).await {
        Ok(()) => Ok(()),
        Err(SubmissionError::Store(error)) => return Err(error.into()),
        Err(SubmissionError::TooLate) => Err(SetErrorKind::CannotUnsend.into()),
        Err(_) => Err(SetErrorKind::NotFound.into()),
    })
}

/// What is to become of the messages of submissions that went well.
struct AfterSuccess {
    update: Map<String, Value>,
    destroy: Vec<String>,
}

impl AfterSuccess {
    fn read(more: &Map<String, Value>) -> Result<AfterSuccess, MethodError> {
        let update = match more.get("onSuccessUpdateEmail") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(members)) => members.clone(),
            Some(_) => return Err(MethodError::invalid("onSuccessUpdateEmail is an object")),
        };
        let wrong = || MethodError::invalid("onSuccessDestroyEmail is a list of ids");
        let destroy = match more.get("onSuccessDestroyEmail") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(ids)) => {
                let text = |id: &Value| id.as_str().map(str::to_owned);
                ids.iter().map(text).collect::<Option<_>>().ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        Ok(AfterSuccess { update, destroy })
    }

    /// One Email/set, whose response follows (RFC 8621 §7.5).
    async fn carry_out(
        self,
        context: &Context,
        account: &Account,
        went_well: &[(String, MessageId)],
    ) -> Vec<(&'static str, Value)> {
        if self.update.is_empty() && self.destroy.is_empty() {
            return Vec::new();
        }
        let message = |name: &str| {
            let found = went_well.iter().find(|(known, _)| known == name);
            found.map(|(_, message)| id::text(*message))
        };
        let update: Map<String, Value> = self
            .update
            .into_iter()
            .filter_map(|(name, patch)| Some((message(&name)?, patch)))
            .collect();
        let destroy: Vec<String> = self.destroy.iter().filter_map(|name| message(name)).collect();
        if update.is_empty() && destroy.is_empty() {
            return Vec::new();
        }
        let arguments = json!({"accountId": account.text(), "update": update, "destroy": destroy});
        let (Some(set), Value::Object(arguments)) = (find("Email/set"), arguments) else {
            return Vec::new();
        };
        match (set.run)(context, arguments).await {
            Ok(answer) => vec![("Email/set", answer.arguments)],
            Err(error) => vec![("error", error.arguments())],
        }
    }
}
