//! What the operator decides; passed in, never read from anywhere here.

use std::time::Duration;

use waxwing_sasl::ChannelBinding;

/// Shared by all sessions of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For the greeting.
    pub host_name: String,
    /// Logging in is allowed without TLS. Otherwise LOGINDISABLED is announced (RFC 9051 §6.2.3).
    pub plaintext_login: bool,
    /// Access tokens are given out here: OAUTHBEARER and XOAUTH2 are offered under TLS.
    pub tokens: bool,
    /// STARTTLS is possible on connections that are not encrypted.
    pub starttls: bool,
    /// The largest message that APPEND takes (RFC 7889 APPENDLIMIT).
    pub max_message_octets: u64,
    /// The most messages that one command may be about, announced and kept (RFC 9738); at least
    /// [`crate::LEAST_MESSAGE_LIMIT`]. `None`: as many as there are.
    pub message_limit: Option<u32>,
    /// From the greeting to the login.
    pub login_timeout: Duration,
    /// Silence after the login; at least 30 minutes (RFC 9051 §5.4).
    pub idle_timeout: Duration,
    /// A client that takes nothing for so long is gone.
    pub write_timeout: Duration,
    /// Wrong logins in one connection.
    pub max_wrong_logins: u32,
    /// Before the answer to a wrong login; doubled with each.
    pub wrong_login_delay: Duration,
    /// Commands in a row that are not understood.
    pub max_bad_commands: u32,
    /// What everybody who logs in may know of this server (RFC 5464 §6.2.1, `/shared/comment`).
    pub comment: Option<String>,
    /// Where the same mail is by JMAP (RFC 9698): the URL of its Session object. `None`: nowhere.
    pub jmap_session: Option<String>,
    /// Whom to turn to, as a URI (`/shared/admin`); `None`: the postmaster of the account's domain.
    pub admin: Option<String>,
}

impl Settings {
    /// Sensible ones.
    pub fn new(host_name: impl Into<String>) -> Settings {
        Settings {
            host_name: host_name.into(),
            plaintext_login: false,
            tokens: false,
            starttls: true,
            max_message_octets: 50 * 1024 * 1024,
            message_limit: None,
            login_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(30 * 60 + 30),
            write_timeout: Duration::from_secs(300),
            max_wrong_logins: 3,
            wrong_login_delay: Duration::from_secs(1),
            max_bad_commands: 10,
            comment: None,
            jmap_session: None,
            admin: None,
        }
    }
}

/// What is known of the TLS connection under a session.
#[derive(Clone, Default)]
pub struct TlsFacts {
    /// For SCRAM-SHA-256-PLUS (RFC 9266 `tls-exporter`); `None` before TLS 1.3.
    pub channel_binding: Option<ChannelBinding>,
}
