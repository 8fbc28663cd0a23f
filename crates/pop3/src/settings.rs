//! What the operator decides, and what is known of a connection's TLS.

use std::time::Duration;

use waxwing_sasl::ChannelBinding;

/// What the operator decides; the same for every session of a listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Named in the greeting.
    pub host_name: String,
    /// The caller can do the TLS handshake after STLS.
    pub starttls_offered: bool,
    /// Passwords may cross a connection without TLS. For tests and closed networks.
    pub plaintext_allowed: bool,
    /// Access tokens are given out here: OAUTHBEARER and XOAUTH2 are offered under TLS.
    pub tokens: bool,
    /// Without a command for so long, the session ends and deletes nothing. RFC 1939 §3: at least
    /// ten minutes.
    pub idle_timeout: Duration,
    /// So long a client may take to log in, all in all.
    pub login_timeout: Duration,
    /// A wrong password is answered only after this pause.
    pub failed_login_delay: Duration,
    /// So many wrong passwords end the session.
    pub max_failed_logins: u32,
    /// So many lines that are no command, one after another, end the session.
    pub max_bad_commands: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            host_name: "localhost".to_owned(),
            starttls_offered: true,
            plaintext_allowed: false,
            tokens: false,
            idle_timeout: Duration::from_secs(10 * 60),
            login_timeout: Duration::from_secs(10 * 60),
            failed_login_delay: Duration::from_secs(2),
            max_failed_logins: 3,
            max_bad_commands: 20,
        }
    }
}

/// What is known of a connection that TLS protects.
#[derive(Debug, Clone, Default)]
pub struct TlsFacts {
    /// Absent where the TLS library could not export it; SCRAM-SHA-256-PLUS is then not offered.
    pub channel_binding: Option<ChannelBinding>,
}
