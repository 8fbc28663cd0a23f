//! What a listener's sessions have in common: name, role, limits, extensions, timeouts.

use std::time::Duration;

/// What the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes mail from other servers: RFC 5321, port 25.
    Mx,
    /// Takes mail from people who have logged in: RFC 6409, ports 587 and 465.
    Submission,
    /// Takes mail from a local mail server, with one reply per recipient: RFC 2033.
    Lmtp,
}

/// Whether STARTTLS is offered (on a connection that is not TLS already).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Not offered.
    Off,
    /// Offered.
    Offered,
    /// Offered, and AUTH and MAIL are refused with `530 5.7.0` before it.
    Required,
}

/// The service extensions that can be switched off. EHLO never announces what is off here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3030; needs `chunking` and `eight_bit_mime`.
    pub binary_mime: bool,
    /// RFC 8689; announced under TLS only.
    pub require_tls: bool,
    /// RFC 9422.
    pub limits: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Extensions {
            pipelining: true,
            size: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            chunking: true,
            binary_mime: true,
            require_tls: true,
            limits: true,
        }
    }
}

/// How long the client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// For a whole command line: RFC 5321 §4.5.3.2.7, 5 minutes.
    pub command: Duration,
    /// Between two blocks of message octets.
    pub data_block: Duration,
    /// For a whole message, so that one octet a minute does not hold a connection for ever.
    pub message: Duration,
}

impl Default for ServerTimeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        ServerTimeouts { command: minutes(5), data_block: minutes(5), message: minutes(60) }
    }
}

/// What a listener's sessions have in common.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Our name, in the greeting and in EHLO.
    pub host_name: String,
    /// What the server is for.
    pub role: Role,
    /// STARTTLS.
    pub starttls: StartTls,
    /// AUTH is offered.
    pub auth: bool,
    /// Access tokens are given out here: OAUTHBEARER and XOAUTH2 are offered under TLS.
    pub tokens: bool,
    /// PLAIN and LOGIN are offered without TLS. Only for loopback and tests.
    pub plaintext_auth: bool,
    /// The largest message, announced by SIZE (RFC 1870).
    pub max_message_octets: u64,
    /// Recipients of one message: RFC 5321 §4.5.3.1.8 wants at least 100.
    pub max_recipients: u32,
    /// Messages in one session.
    pub max_messages: u32,
    /// Refused commands before `421 4.7.0`.
    pub max_errors: u32,
    /// Refused recipients before `421 4.7.0`, so that addresses cannot be guessed for long.
    pub max_refused_recipients: u32,
    /// Commands that lead to no message (NOOP, RSET, VRFY, EHLO …) since the last
    /// message before `421 4.7.0`.
    pub max_idle_commands: u32,
    /// What EHLO announces.
    pub extensions: Extensions,
    /// How long the client may take.
    pub timeouts: ServerTimeouts,
}

impl ServerSettings {
    /// Takes mail from other servers; offers STARTTLS and no AUTH.
    pub fn mx(host_name: impl Into<String>) -> ServerSettings {
        ServerSettings {
            host_name: host_name.into(),
            role: Role::Mx,
            starttls: StartTls::Offered,
            auth: false,
            tokens: false,
            plaintext_auth: false,
            max_message_octets: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_messages: 1000,
            max_errors: 20,
            max_refused_recipients: 200,
            max_idle_commands: 100,
            extensions: Extensions::default(),
            timeouts: ServerTimeouts::default(),
        }
    }

    /// Takes mail from people: TLS and AUTH are required.
    pub fn submission(host_name: impl Into<String>) -> ServerSettings {
        ServerSettings {
            role: Role::Submission,
            starttls: StartTls::Required,
            auth: true,
            ..ServerSettings::mx(host_name)
        }
    }

    /// Takes mail from a local mail server.
    pub fn lmtp(host_name: impl Into<String>) -> ServerSettings {
        ServerSettings {
            role: Role::Lmtp,
            starttls: StartTls::Off,
            ..ServerSettings::mx(host_name)
        }
    }
}
