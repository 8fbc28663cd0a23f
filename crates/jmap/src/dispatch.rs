//! The methods by name, and the order in which they run: one after another, each seeing what the one
//! before did (RFC 8620 §3.10).

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use waxwing_store::Scope;

use crate::context::Context;
use crate::wire::error::{MethodError, RequestError};
use crate::wire::reference::{self, COPIED_OCTETS_MAX};
use crate::wire::request::{Invocation, Request, Response};
use crate::{blob, core, email, identity, mailbox, snippet, submission, thread, vacation};

/// What a client must name in `using` to call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// RFC 8620.
    Core,
    /// RFC 8621 §1.3.1.
    Mail,
    /// RFC 8621 §1.3.2.
    Submission,
    /// RFC 8621 §1.3.3.
    Vacation,
}

impl Capability {
    /// All of them.
    pub const ALL: [Capability; 4] =
        [Capability::Core, Capability::Mail, Capability::Submission, Capability::Vacation];

    /// As it stands in `using`.
    pub fn urn(self) -> &'static str {
        match self {
            Capability::Core => "urn:ietf:params:jmap:core",
            Capability::Mail => "urn:ietf:params:jmap:mail",
            Capability::Submission => "urn:ietf:params:jmap:submission",
            Capability::Vacation => "urn:ietf:params:jmap:vacationresponse",
        }
    }

    /// What a credential for programs must have in its scope.
    pub fn scope(self) -> Scope {
        match self {
            Capability::Core | Capability::Mail => Scope::IMAP,
            Capability::Submission => Scope::SUBMISSION,
            Capability::Vacation => Scope::SIEVE,
        }
    }
}

/// What a method gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Of the response of the method's own name.
    pub arguments: Value,
    /// Responses of methods that it called by itself (RFC 8621 §7.5), in order.
    pub also: Vec<(&'static str, Value)>,
}

impl From<Value> for Answer {
    fn from(arguments: Value) -> Answer {
        Answer { arguments, also: Vec::new() }
    }
}

/// A method at work.
pub type Answering<'a> = BoxFuture<'a, Result<Answer, MethodError>>;

/// A method.
pub struct Method {
    /// `Email/get`.
    pub name: &'static str,
    /// Where it belongs.
    pub capability: Capability,
    /// `|context, arguments| Box::pin(get::run(context, arguments))`.
    pub run: for<'a> fn(&'a Context, Map<String, Value>) -> Answering<'a>,
}

/// A table of methods: name, capability, function.
macro_rules! methods {
    ($($name:literal $capability:ident $run:path),* $(,)?) => { &[$($crate::dispatch::Method {
        name: $name,
        capability: $crate::dispatch::Capability::$capability,
        run: |context, arguments| Box::pin($run(context, arguments)),
    }),*] };
}
pub(crate) use methods;

/// By folder.
const METHODS: &[&[Method]] = &[
    core::METHODS,
    blob::METHODS,
    mailbox::METHODS,
    thread::METHODS,
    email::METHODS,
    snippet::METHODS,
    identity::METHODS,
    submission::METHODS,
    vacation::METHODS,
];

/// The method of that name.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().copied().flatten().find(|method| method.name == name)
}

/// Runs a request. `session_state` is the state of the Session object that the caller would get now.
pub async fn respond(
    context: &Context,
    request: Request,
    session_state: String,
) -> Result<Response, RequestError> {
    let capability = |urn: &String| {
        let known = Capability::ALL.into_iter().find(|capability| capability.urn() == urn);
        known.ok_or_else(|| RequestError::UnknownCapability(urn.clone()))
    };
    let using = request.using.iter().map(capability).collect::<Result<Vec<_>, _>>()?;
    let wants_ids = request.created_ids.is_some();
    context.begin_with_created(request.created_ids.unwrap_or_default());
    let mut responses: Vec<(String, Value, String)> = Vec::new();
    let mut left = COPIED_OCTETS_MAX;
    for Invocation { name, arguments, call_id } in request.method_calls {
        match run(context, &using, &name, arguments, &responses, &mut left).await {
            Ok(Answer { arguments, also }) => {
                responses.push((name, arguments, call_id.clone()));
                let more = also.into_iter();
                responses
                    .extend(more.map(|(name, value)| (name.to_owned(), value, call_id.clone())));
            }
            Err(error) => responses.push(("error".to_owned(), error.arguments(), call_id)),
        }
    }
    Ok(Response {
        method_responses: responses,
        created_ids: wants_ids.then(|| context.all_created()),
        session_state,
    })
}

async fn run(
    context: &Context,
    using: &[Capability],
    name: &str,
    arguments: Map<String, Value>,
    responses: &[(String, Value, String)],
    left: &mut usize,
) -> Result<Answer, MethodError> {
    let method = find(name).filter(|method| using.contains(&method.capability));
    let method = method.ok_or(MethodError::UnknownMethod)?;
    if !context.caller.scopes.has(method.capability.scope()) {
        let why = "what you logged in with does not open this".to_owned();
        return Err(MethodError::Forbidden(why));
    }
    let arguments = reference::resolve(arguments, responses, left)?;
    (method.run)(context, arguments).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_is_there_once() {
        let mut names: Vec<_> = METHODS.iter().copied().flatten().map(|m| m.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
