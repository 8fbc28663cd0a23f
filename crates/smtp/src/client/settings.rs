//! How to speak to one server: name, TLS, login, timeouts.

use std::time::Duration;

use zeroize::Zeroizing;

/// What the caller demands of TLS on a connection that begins in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsPolicy {
    /// Do not use STARTTLS.
    Off,
    /// Use STARTTLS when offered; go on in clear when it is not, or is refused.
    Opportunistic,
    /// Without TLS nothing is sent: RFC 3207, RFC 7672, RFC 8461, smarthosts.
    Required,
}

/// Name and password for AUTH.
#[derive(Clone)]
pub struct Credentials {
    /// Login name.
    pub login: String,
    /// In clear.
    pub password: Zeroizing<String>,
    /// PLAIN and LOGIN may be used without TLS. Only for loopback and tests.
    pub plaintext_allowed: bool,
}

/// How long the server may take: RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// The greeting: 5 minutes.
    pub greeting: Duration,
    /// HELO, EHLO, STARTTLS, AUTH, RSET: 5 minutes, as MAIL.
    pub command: Duration,
    /// MAIL: 5 minutes.
    pub mail: Duration,
    /// RCPT: 5 minutes.
    pub recipient: Duration,
    /// `354` after DATA: 2 minutes.
    pub data_start: Duration,
    /// Until a block of message octets is taken by the network: 3 minutes.
    pub data_block: Duration,
    /// The reply after the end of the message: 10 minutes.
    pub data_end: Duration,
    /// The reply to QUIT, which changes nothing any more.
    pub quit: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        ClientTimeouts {
            greeting: minutes(5),
            command: minutes(5),
            mail: minutes(5),
            recipient: minutes(5),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
            quit: Duration::from_secs(10),
        }
    }
}

/// How to speak to one server.
#[derive(Clone)]
pub struct ClientSettings {
    /// Our name for EHLO.
    pub hello_name: String,
    /// LHLO and one reply per recipient (RFC 2033).
    pub lmtp: bool,
    /// TLS.
    pub tls: TlsPolicy,
    /// Log in; without success nothing is sent.
    pub credentials: Option<Credentials>,
    /// How long the server may take.
    pub timeouts: ClientTimeouts,
}

impl ClientSettings {
    /// For an MX: opportunistic TLS, no login.
    pub fn mx(hello_name: impl Into<String>) -> ClientSettings {
        ClientSettings {
            hello_name: hello_name.into(),
            lmtp: false,
            tls: TlsPolicy::Opportunistic,
            credentials: None,
            timeouts: ClientTimeouts::default(),
        }
    }

    /// For a smarthost: TLS is required when we log in.
    pub fn smarthost(
        hello_name: impl Into<String>,
        credentials: Option<Credentials>,
    ) -> ClientSettings {
        let tls = match credentials {
            Some(_) => TlsPolicy::Required,
            None => TlsPolicy::Opportunistic,
        };
        ClientSettings { tls, credentials, ..ClientSettings::mx(hello_name) }
    }

    /// For an LMTP server.
    pub fn lmtp(hello_name: impl Into<String>) -> ClientSettings {
        ClientSettings { lmtp: true, tls: TlsPolicy::Off, ..ClientSettings::mx(hello_name) }
    }
}
