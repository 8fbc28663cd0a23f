//! What a session asks of its driver.

use std::fmt;

use waxwing_message::{Envelope, Recipient};
use waxwing_sasl::Mechanism;
use zeroize::Zeroizing;

#[cfg(doc)]
use super::ServerSession;
use crate::reply::Reply;

/// What the driver says to a question: `Ok` is the usual positive reply, `Err` is sent as it is. A
/// reply of `421` also ends the session.
pub type Verdict = Result<(), Reply>;

/// What the driver is to do now.
pub enum Action<'a> {
    /// Write all output, then do the TLS handshake on the connection, then call
    /// [`ServerSession::tls_established`]; on failure close. Octets that arrived with the plain
    /// connection are gone already: nothing is carried over (RFC 3207 §4.2).
    StartTls,
    /// The client wants to log in. Call [`ServerSession::answer_authenticate`] with fresh random
    /// octets, or with a refusal (too many attempts from there, say).
    Authenticate {
        /// As chosen by the client among those offered.
        mechanism: Mechanism,
    },
    /// Check name and password, then call [`ServerSession::answer_password`].
    CheckPassword {
        /// Login name as given.
        login: String,
        /// The password, in clear.
        password: Zeroizing<String>,
    },
    /// Check an access token, then call [`ServerSession::answer_token`].
    CheckToken {
        /// The login name, if one was given.
        login: Option<String>,
        /// As it was given out.
        token: Zeroizing<String>,
    },
    /// Look up SCRAM keys (invented ones for an unknown login), then call
    /// [`ServerSession::answer_keys`].
    NeedKeys {
        /// Login name as given.
        login: String,
    },
    /// The client has proven that it knows what a pair of keys was made of: does that let it in? Call
    /// [`ServerSession::answer_proof`].
    CheckProof {
        /// Login name as given.
        login: String,
        /// The place of that pair in [`ScramKeys::pairs`](waxwing_sasl::ScramKeys::pairs).
        pair: usize,
    },
    /// A login succeeded or failed: for the log and for counting. Nothing to answer.
    LoginEnded {
        /// The name, when it came to that.
        login: Option<String>,
        /// Why not, for the log; the client hears the same in every case.
        outcome: Result<(), &'static str>,
    },
    /// MAIL FROM: may this sender? Call [`ServerSession::answer_sender`].
    CheckSender {
        /// No recipients yet.
        envelope: &'a Envelope,
        /// SIZE=, already within the limit.
        size_octets: Option<u64>,
    },
    /// RCPT TO: is there such a recipient, and may this client send there? Call
    /// [`ServerSession::answer_recipient`]. Repetitions are not asked again.
    CheckRecipient {
        /// With the recipients accepted so far.
        envelope: &'a Envelope,
        /// The one in question.
        recipient: &'a Recipient,
        /// SIZE= of MAIL, for a mailbox that has not so much room (RFC 1870 §6.1 (2)).
        size_octets: Option<u64>,
    },
    /// DATA, or the first BDAT, with at least one recipient: make ready to spool and call
    /// [`ServerSession::answer_data`].
    BeginData {
        /// Complete.
        envelope: &'a Envelope,
    },
    /// Message octets, in order, transparency already undone. Nothing to answer; if they cannot be
    /// kept, call [`ServerSession::fail_data`].
    Data(&'a [u8]),
    /// Forget what was spooled: the client broke the rules, was over the size limit or said RSET.
    /// Nothing to answer.
    DiscardData,
    /// The message is whole. Make it durable, then call [`ServerSession::answer_message`] (or
    /// [`ServerSession::answer_message_each`] in LMTP).
    DataComplete {
        /// Who to whom. The session has forgotten it.
        envelope: Box<Envelope>,
        /// Octets handed over.
        octets: u64,
    },
    /// Write all output, then close the connection. Nothing follows.
    Close,
}

/// What is asked and of whom; passwords and message octets stay out of logs.
impl fmt::Debug for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::StartTls => f.write_str("StartTls"),
            Action::Authenticate { mechanism } => write!(f, "Authenticate({mechanism:?})"),
            Action::CheckPassword { login, .. } => write!(f, "CheckPassword({login:?})"),
            Action::CheckToken { login, .. } => write!(f, "CheckToken({login:?})"),
            Action::NeedKeys { login } => write!(f, "NeedKeys({login:?})"),
            Action::CheckProof { login, pair } => write!(f, "CheckProof({login:?}, {pair})"),
            Action::LoginEnded { login, outcome } => {
                write!(f, "LoginEnded({login:?}, {outcome:?})")
            }
            Action::CheckSender { envelope, .. } => {
                write!(f, "CheckSender({})", envelope.reverse_path)
            }
            Action::CheckRecipient { recipient, .. } => {
                write!(f, "CheckRecipient({})", recipient.address)
            }
            Action::BeginData { .. } => f.write_str("BeginData"),
            Action::Data(octets) => write!(f, "Data({} octets)", octets.len()),
            Action::DiscardData => f.write_str("DiscardData"),
            Action::DataComplete { octets, .. } => write!(f, "DataComplete({octets} octets)"),
            Action::Close => f.write_str("Close"),
        }
    }
}
