//! What can be wrong: with a request (RFC 8620 §3.6.1), with one method (§3.6.2, and those of the
//! standard methods in §5), with one object of a `/set` (§5.3, and RFC 8621 §2.5, §4.6, §4.8, §7.5).

use serde_json::{Map, Value, json};
use waxwing_store::StoreError;

/// The whole request is refused: no method ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It asks for a capability that is not here.
    #[error("there is no capability {0}")]
    UnknownCapability(String),
    /// It is no I-JSON.
    #[error("this is no I-JSON: {0}")]
    NotJson(String),
    /// It is, but no Request.
    #[error("this is no JMAP request: {0}")]
    NotRequest(String),
    /// It is beyond the limit of that name in the core capability.
    #[error("this is more than {0} allows")]
    Limit(&'static str),
}

impl RequestError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        400
    }

    /// Problem details (RFC 7807).
    pub fn problem(&self) -> Value {
        let kind = match self {
            RequestError::UnknownCapability(_) => "unknownCapability",
            RequestError::NotJson(_) => "notJSON",
            RequestError::NotRequest(_) => "notRequest",
            RequestError::Limit(_) => "limit",
        };
        let mut problem = json!({
            "type": format!("urn:ietf:params:jmap:error:{kind}"),
            "status": self.status(),
            "detail": self.to_string(),
        });
        if let RequestError::Limit(limit) = self {
            problem["limit"] = Value::from(*limit);
        }
        problem
    }
}

/// One method did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// `serverUnavailable`: try again.
    #[error("the store is not answering; the same request may work later")]
    ServerUnavailable,
    /// `serverFail`: the operator must act.
    #[error("{0}")]
    ServerFail(String),
    /// `serverPartialFail`: something was changed; the client must read anew.
    #[error("a part of it was done")]
    ServerPartialFail,
    /// `unknownMethod`.
    #[error("there is no such method")]
    UnknownMethod,
    /// `invalidArguments`.
    #[error("{0}")]
    InvalidArguments(String),
    /// `invalidResultReference`.
    #[error("{0}")]
    InvalidResultReference(String),
    /// `forbidden`.
    #[error("{0}")]
    Forbidden(String),
    /// `accountNotFound`.
    #[error("there is no such account")]
    AccountNotFound,
    /// `accountNotSupportedByMethod`.
    #[error("that account has nothing of this kind")]
    AccountNotSupportedByMethod,
    /// `accountReadOnly`.
    #[error("that account can only be read")]
    AccountReadOnly,
    /// `fromAccountNotFound`.
    #[error("there is no such account to copy from")]
    FromAccountNotFound,
    /// `fromAccountNotSupportedByMethod`.
    #[error("the account to copy from has nothing of this kind")]
    FromAccountNotSupportedByMethod,
    /// `requestTooLarge`: more objects than a method takes.
    #[error("that is more than {0} objects")]
    RequestTooLarge(usize),
    /// `cannotCalculateChanges`: the client must read anew.
    #[error("what changed since then is not known any more")]
    CannotCalculateChanges,
    /// `tooManyChanges`: there are more than `maxChanges`.
    #[error("there are more changes than that")]
    TooManyChanges,
    /// `stateMismatch`.
    #[error("the state is another by now")]
    StateMismatch,
    /// `anchorNotFound`.
    #[error("the anchor is not among the results")]
    AnchorNotFound,
    /// `unsupportedSort`.
    #[error("{0}")]
    UnsupportedSort(String),
    /// `unsupportedFilter`.
    #[error("{0}")]
    UnsupportedFilter(String),
}

impl MethodError {
    /// `type` of the error response.
    pub fn kind(&self) -> &'static str {
        match self {
            MethodError::ServerUnavailable => "serverUnavailable",
            MethodError::ServerFail(_) => "serverFail",
            MethodError::ServerPartialFail => "serverPartialFail",
            MethodError::UnknownMethod => "unknownMethod",
            MethodError::InvalidArguments(_) => "invalidArguments",
            MethodError::InvalidResultReference(_) => "invalidResultReference",
            MethodError::Forbidden(_) => "forbidden",
            MethodError::AccountNotFound => "accountNotFound",
            MethodError::AccountNotSupportedByMethod => "accountNotSupportedByMethod",
            MethodError::AccountReadOnly => "accountReadOnly",
            MethodError::FromAccountNotFound => "fromAccountNotFound",
            MethodError::FromAccountNotSupportedByMethod => "fromAccountNotSupportedByMethod",
            MethodError::RequestTooLarge(_) => "requestTooLarge",
            MethodError::CannotCalculateChanges => "cannotCalculateChanges",
            MethodError::TooManyChanges => "tooManyChanges",
            MethodError::StateMismatch => "stateMismatch",
            MethodError::AnchorNotFound => "anchorNotFound",
            MethodError::UnsupportedSort(_) => "unsupportedSort",
            MethodError::UnsupportedFilter(_) => "unsupportedFilter",
        }
    }

    /// The arguments of the error response.
    pub fn arguments(&self) -> Value {
        json!({ "type": self.kind(), "description": self.to_string() })
    }

    /// `invalidArguments`, and why.
    pub fn invalid(why: impl Into<String>) -> MethodError {
        MethodError::InvalidArguments(why.into())
    }
}

/// The log hears what a client need not.
impl From<StoreError> for MethodError {
    fn from(error: StoreError) -> MethodError {
        tracing::warn!(%error, "a JMAP method failed");
        match error {
            StoreError::Damaged(_) => MethodError::ServerFail(
                "something stored is damaged; the operator finds it in the log".to_owned(),
            ),
            StoreError::Unavailable(_) | StoreError::NoSpace(_) => MethodError::ServerUnavailable,
        }
    }
}

/// Why one object was not created, updated or destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetErrorKind {
    /// It is against the caller's rights.
    Forbidden,
    /// The account is full.
    OverQuota,
    /// The object would be too large.
    TooLarge,
    /// Too many of late.
    RateLimit,
    /// There is none of that id.
    NotFound,
    /// The PatchObject does not fit the object.
    InvalidPatch,
    /// It is also to be destroyed by this method.
    WillDestroy,
    /// These properties are not possible, or not together.
    InvalidProperties(Vec<String>),
    /// There is one, and it stays.
    Singleton,
    /// There is one already, with this id.
    AlreadyExists(String),
    /// RFC 8621 §2.5: destroy what is below it first.
    MailboxHasChild,
    /// RFC 8621 §2.5: it is not empty.
    MailboxHasEmail,
    /// RFC 8621 §4.6: there are no blobs of these ids.
    BlobNotFound(Vec<String>),
    /// RFC 8621 §4.6.
    TooManyKeywords,
    /// RFC 8621 §4.6.
    TooManyMailboxes,
    /// RFC 8621 §4.8 and §7.5: the octets are no message, or not one to be sent; which properties.
    InvalidEmail(Vec<String>),
    /// RFC 8621 §7.5: so many are allowed.
    TooManyRecipients(usize),
    /// RFC 8621 §7.5.
    NoRecipients,
    /// RFC 8621 §7.5: these are no addresses.
    InvalidRecipients(Vec<String>),
    /// RFC 8621 §7.5: the reverse-path is not the account's.
    ForbiddenMailFrom,
    /// RFC 8621 §6.3 and §7.5: the author is not the account's.
    ForbiddenFrom,
    /// RFC 8621 §7.5: the account may not send.
    ForbiddenToSend,
    /// RFC 8621 §7.5: it is too late.
    CannotUnsend,
}

/// One object of a `/set` that was left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetError {
    /// What is wrong.
    pub kind: SetErrorKind,
    /// For whoever develops the client.
    pub description: Option<String>,
}

impl From<SetErrorKind> for SetError {
    fn from(kind: SetErrorKind) -> SetError {
        SetError { kind, description: None }
    }
}

impl SetError {
    /// With words.
    pub fn new(kind: SetErrorKind, description: impl Into<String>) -> SetError {
        SetError { kind, description: Some(description.into()) }
    }

    /// `invalidProperties` of one property, and why.
    pub fn invalid(property: &str, why: impl Into<String>) -> SetError {
        SetError::new(SetErrorKind::InvalidProperties(vec![property.to_owned()]), why)
    }

    /// As it stands in `notCreated`, `notUpdated` and `notDestroyed`.
    pub fn value(&self) -> Value {
        use SetErrorKind::*;
        let (kind, more) = match &self.kind {
            Forbidden => ("forbidden", None),
            OverQuota => ("overQuota", None),
            TooLarge => ("tooLarge", None),
            RateLimit => ("rateLimit", None),
            NotFound => ("notFound", None),
            InvalidPatch => ("invalidPatch", None),
            WillDestroy => ("willDestroy", None),
            InvalidProperties(names) => ("invalidProperties", Some(("properties", json!(names)))),
            Singleton => ("singleton", None),
            AlreadyExists(id) => ("alreadyExists", Some(("existingId", json!(id)))),
            MailboxHasChild => ("mailboxHasChild", None),
            MailboxHasEmail => ("mailboxHasEmail", None),
            BlobNotFound(ids) => ("blobNotFound", Some(("notFound", json!(ids)))),
            TooManyKeywords => ("tooManyKeywords", None),
            TooManyMailboxes => ("tooManyMailboxes", None),
            InvalidEmail(names) => ("invalidEmail", Some(("properties", json!(names)))),
            TooManyRecipients(most) => ("tooManyRecipients", Some(("maxRecipients", json!(most)))),
            NoRecipients => ("noRecipients", None),
            InvalidRecipients(all) => {
                ("invalidRecipients", Some(("invalidRecipients", json!(all))))
            }
            ForbiddenMailFrom => ("forbiddenMailFrom", None),
            ForbiddenFrom => ("forbiddenFrom", None),
            ForbiddenToSend => ("forbiddenToSend", None),
            CannotUnsend => ("cannotUnsend", None),
        };
        let mut members = Map::new();
        members.insert("type".to_owned(), Value::from(kind));
        if let Some(description) = &self.description {
            members.insert("description".to_owned(), Value::from(description.as_str()));
        }
        if let Some((name, value)) = more {
            members.insert(name.to_owned(), value);
        }
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_limit() {
        // RFC 8620 §3.6.1, the example.
        let problem = RequestError::Limit("maxSizeRequest").problem();
        assert_eq!(problem["type"], "urn:ietf:params:jmap:error:limit");
        assert_eq!(problem["limit"], "maxSizeRequest");
        assert_eq!(problem["status"], 400);
    }

    #[test]
    fn set_errors_carry_what_belongs_to_them() {
        let error = SetError::invalid("name", "it is empty");
        let expected = json!({"type": "invalidProperties", "description": "it is empty", "properties": ["name"]});
        assert_eq!(error.value(), expected);
        assert_eq!(SetError::from(SetErrorKind::NotFound).value(), json!({"type": "notFound"}));
    }
}
