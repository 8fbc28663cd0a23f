//! The configuration: one short TOML file, whose errors point at the line.
//!
//! Everything has a default but `hostname`. What can change while running (domains, accounts,
//! aliases) is not here: it lives in the store and is managed by the command line.
//!
//! ```toml
//! hostname = "mail.example.org"
//! data = "/var/lib/waxwing"
//!
//! [tls]
//! acme = { email = "postmaster@example.org" }
//! ```
//!
//! Only this crate reads configuration and environment; the others are handed plain settings.

mod report;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use report::ConfigError;
pub use values::{HostName, HostPort, Network, Octets, RouteDomain, Span};

/// Where the file is looked for when neither `--config` nor `WAXWING_CONFIG` names one.
pub const DEFAULT_PATH: &str = "/etc/waxwing/waxwing.toml";

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The name this server says in its greeting and EHLO; must resolve to it, and back.
    pub hostname: HostName,
    /// Folder for the database, spool and certificates.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// `sqlite:/path` or `postgres://…`; by default SQLite in the data folder.
    pub database: Option<String>,
    /// Where message contents are kept instead of in the database: an object store URL.
    pub blobs: Option<Blobs>,
    /// The system user to become once the ports are bound.
    pub user: Option<String>,
    /// Addresses to listen on.
    #[serde(default)]
    pub listen: Listen,
    /// The certificate.
    #[serde(default)]
    pub tls: Tls,
    /// How names are looked up.
    #[serde(default)]
    pub dns: Dns,
    /// How mail leaves.
    #[serde(default)]
    pub outbound: Outbound,
    /// How the keys that sign are replaced.
    #[serde(default)]
    pub keys: Keys,
    /// How mail from other servers is judged.
    #[serde(default)]
    pub judging: Judging,
    /// Reports to other domains.
    #[serde(default)]
    pub reports: Reports,
    /// What is accepted.
    #[serde(default)]
    pub limits: Limits,
    /// The MTA-STS policy of our own domains (RFC 8461); shown when this section is there.
    pub mta_sts: Option<MtaSts>,
    /// Telling programs how to set up an account; done when this section is there.
    pub autoconfig: Option<Autoconfig>,
    /// Access tokens for mail programs (RFC 6749); given out when this section is there.
    pub oauth: Option<OAuth>,
    /// JMAP (RFC 8620); spoken when this section is there.
    pub jmap: Option<Jmap>,
    /// What IMAP says of this server.
    #[serde(default)]
    pub imap: Imap,
}

/// `[imap]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Imap {
    /// For everybody who logs in (RFC 5464 §6.2.1, `/shared/comment`).
    pub comment: Option<String>,
    /// Whom to turn to, as a URI (RFC 5464 §6.2.1, `/shared/admin`); by default the postmaster of each
    /// account's domain.
    pub admin: Option<String>,
    /// The most messages that one command may be about (RFC 9738); at least 1,000. By default there is
    /// no such limit.
    pub message_limit: Option<u32>,
}

/// `[oauth]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OAuth {
    /// Where programs and browsers find us: `https://` and a host, perhaps with a port; by default
    /// `hostname`.
    pub issuer: Option<String>,
}

/// `[jmap]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Jmap {
    /// Where programs and browsers find us: `https://` and a host, perhaps with a port; by default the
    /// host that they ask for.
    pub url: Option<String>,
}

/// In `comment` of `[imap]`.
const COMMENT_OCTETS_MAX: usize = 1_000;

/// RFC 3986 §3: a scheme, and something of printable ASCII.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let letter = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    let scheme =
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(letter);
    scheme && !rest.is_empty() && rest.bytes().all(|octet| octet.is_ascii_graphic())
}

fn default_data() -> PathBuf {
    PathBuf::from("/var/lib/waxwing")
}

/// `[blobs]`: an S3-compatible store, or a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blobs {
    /// `s3://bucket/prefix` or `file:///folder`.
    pub url: String,
    /// Options of that store, such as `endpoint` and `region`. Keys may also come from the
    /// environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`).
    #[serde(default)]
    pub options: std::collections::BTreeMap<String, String>,
}

/// `[listen]`: each a list of `address:port`; an empty list turns the service off.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Listen {
    /// Mail from other servers.
    pub smtp: Vec<SocketAddr>,
    /// Mail from our users, STARTTLS (RFC 6409).
    pub submission: Vec<SocketAddr>,
    /// Mail from our users, TLS from the first byte (RFC 8314).
    pub submissions: Vec<SocketAddr>,
    /// IMAP with STARTTLS.
    pub imap: Vec<SocketAddr>,
    /// IMAP over TLS.
    pub imaps: Vec<SocketAddr>,
    /// POP3 with STLS.
    pub pop3: Vec<SocketAddr>,
    /// POP3 over TLS.
    pub pop3s: Vec<SocketAddr>,
    /// ManageSieve with STARTTLS (RFC 5804).
    pub sieve: Vec<SocketAddr>,
    /// LMTP (RFC 2033), for another MTA on this machine; loopback addresses only.
    pub lmtp: Vec<SocketAddr>,
    /// HTTP, to answer ACME's challenges (RFC 8555 §8.3). Only with ACME; then port 80 by default.
    pub http: Option<Vec<SocketAddr>>,
    /// HTTPS, for our MTA-STS policy, how accounts are set up, the login pages, and JMAP. With `[mta-sts]`,
    /// `[autoconfig]`, `[oauth]` or `[jmap]` port 443 by default.
    pub https: Option<Vec<SocketAddr>>,
}

impl Default for Listen {
    fn default() -> Listen {
        let any = |port| vec![SocketAddr::new(IpAddr::from([0u16; 8]), port)];
        Listen {
            smtp: any(25),
            submission: any(587),
            submissions: any(465),
            imap: any(143),
            imaps: any(993),
            pop3: any(110),
            pop3s: any(995),
            sieve: any(4190),
            lmtp: Vec::new(),
            http: None,
            https: None,
        }
    }
}

/// `[tls]`: one of a pair of files, ACME, or (for trying out) a self-signed certificate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub key: Option<PathBuf>,
    /// Fetch and renew certificates by ACME (RFC 8555).
    pub acme: Option<Acme>,
    /// Make a certificate of our own; nobody else trusts it.
    #[serde(default)]
    pub self_signed: bool,
    /// More names for the certificate, beside `hostname`.
    #[serde(default)]
    pub names: Vec<HostName>,
    /// Allow passwords on connections without TLS. Only for loopback and tests.
    #[serde(default)]
    pub allow_plaintext_login: bool,
}

/// `acme = { email = "…" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Acme {
    /// Where the authority writes when something is wrong.
    pub email: String,
    /// The directory URL; Let's Encrypt by default.
    #[serde(default = "default_directory")]
    pub directory: String,
    /// PEM file with the root that signs the directory's own HTTPS, for private authorities.
    pub root: Option<PathBuf>,
}

fn default_directory() -> String {
    "https://acme-v02.api.letsencrypt.org/directory".to_owned()
}

/// `[dns]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dns {
    /// Name servers to ask; by default those of the system.
    #[serde(default)]
    pub servers: Vec<SocketAddr>,
    /// Who checks DNSSEC signatures.
    #[serde(default)]
    pub dnssec: Dnssec,
}

/// Who checks DNSSEC signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dnssec {
    /// Nobody: every answer counts as unsigned.
    #[default]
    Off,
    /// The resolver named in `servers`, on this machine: its AD bit is believed.
    TrustResolver,
    /// We do.
    Validate,
}

/// `[outbound]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Outbound {
    /// Port of other domains' mail exchangers: 25 everywhere but in a test network.
    pub port: u16,
    /// Send from this address.
    pub source: Option<IpAddr>,
    /// Hand everything to this server instead of looking up mail exchangers.
    pub smarthost: Option<Smarthost>,
    /// Domain to `host:port`, instead of looking it up; `.example.org` is all below that domain.
    pub routes: std::collections::BTreeMap<RouteDomain, HostPort>,
    /// Pauses after each failed attempt; the last one repeats.
    pub retry: Vec<Span>,
    /// When the sender is told that it takes long.
    pub warn_after: Span,
    /// When we give up.
    pub expire_after: Span,
    /// How long what a node was sending when it died waits until another node, or the same one
    /// started again, takes it up.
    pub lease: Span,
    /// Connections in all, and to one destination.
    pub connections: usize,
    /// Connections to one destination.
    pub connections_per_destination: usize,
    /// PEM file with extra roots for the certificates of servers we connect to.
    pub extra_roots: Option<PathBuf>,
    /// Sign what leaves with the keys of its domain (RFC 6376).
    pub sign: bool,
    /// Keep to the MTA-STS policies of other domains (RFC 8461).
    pub mta_sts: bool,
    /// Port of other domains' policy hosts: 443 everywhere but in a test network.
    pub mta_sts_port: u16,
}

impl Default for Outbound {
    fn default() -> Outbound {
        let minutes = |m: u64| Span::from_secs(m * 60);
        Outbound {
            port: 25,
            source: None,
            smarthost: None,
            routes: Default::default(),
            retry: [5, 15, 30, 60, 120, 240].map(minutes).to_vec(),
            warn_after: minutes(4 * 60),
            expire_after: minutes(5 * 24 * 60),
            lease: minutes(1),
            connections: 64,
            connections_per_destination: 4,
            extra_roots: None,
            sign: true,
            mta_sts: true,
            mta_sts_port: 443,
        }
    }
}

/// `[keys]`: how the keys that sign our domains' mail are replaced.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Keys {
    /// Keys that have signed for so long are due.
    pub rotate_every: Span,
    /// The primary name server that lets us change our domains' records; with it keys are replaced
    /// without an operator.
    pub update: Option<Update>,
    /// The primary servers of some domains, in place of that one.
    pub update_for: std::collections::BTreeMap<HostName, Update>,
}

impl Default for Keys {
    fn default() -> Keys {
        let rotate_every = Span(waxwing_delivery::keys::ROTATE_AFTER);
        Keys { rotate_every, update: None, update_for: Default::default() }
    }
}

/// `update = { server = "…", key = "…", secret-file = "…" }`: DNS UPDATE (RFC 2136) with TSIG (RFC 8945).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Update {
    /// The primary server.
    pub server: SocketAddr,
    /// The key's name there; its algorithm is hmac-sha256.
    pub key: String,
    /// File that holds its secret, in base64.
    pub secret_file: PathBuf,
    /// The zone; found by its SOA record when it is not set.
    pub zone: Option<HostName>,
}

/// `[mta-sts]`: what other servers are told of TLS to our domains.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MtaSts {
    /// What they are to do when TLS to us does not hold.
    pub mode: MtaStsMode,
    /// The hosts that our domains' MX records name; by default `hostname`.
    #[serde(default)]
    pub mx: Vec<HostName>,
    /// How long they keep it.
    #[serde(default = "default_max_age")]
    pub max_age: Span,
}

/// `[autoconfig]`: what programs are told that know an address only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Autoconfig {
    /// What people see the account called; by default their domain.
    pub name: Option<String>,
}

/// RFC 8461 §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MtaStsMode {
    /// Send nothing.
    Enforce,
    /// Send, and report.
    Testing,
    /// Forget the policy: for some time before the section is taken away.
    None,
}

/// RFC 8461 §3.2 expects weeks.
fn default_max_age() -> Span {
    Span::from_secs(14 * 24 * 3_600)
}

/// `smarthost = { host = "relay.example:587", … }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Smarthost {
    /// `name:port`; port 465 speaks TLS from the first byte, others STARTTLS.
    pub host: HostPort,
    /// Log in as.
    pub username: Option<String>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Go on without TLS where it is not offered (never with a password).
    #[serde(default)]
    pub allow_plaintext: bool,
}

/// `[reports]`: what other domains are told of mail under their names, and of TLS to them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Reports {
    /// Whether they are told anything.
    pub send: bool,
    /// Whether they are told of single messages that failed, too (RFC 9991).
    pub failures: bool,
    /// In From of the reports; the postmaster of this server's domain by default.
    pub from: Option<waxwing_message::Address>,
    /// Who reports, as the reports say; the domain of `from` by default.
    pub organization: Option<String>,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports { send: true, failures: false, from: None, organization: None }
    }
}

/// `[judging]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Judging {
    /// Examine mail from other servers: SPF, DKIM, DMARC, ARC, names, blocklists, words.
    pub examine: bool,
    /// Points that put a message into the spam folder.
    pub spam_at: i32,
    /// Points that refuse a message; never when it is not set.
    pub refuse_at: Option<i32>,
    /// Ask new senders over doubtful connections to come again.
    pub greylist: bool,
    /// How long they are to wait.
    pub greylist_wait: Span,
    /// Do as the author's domain asks with mail that fails DMARC.
    pub obey_dmarc: bool,
    /// Networks of servers of our own that pass mail on; what comes from there is not examined.
    pub trusted_networks: Vec<Network>,
    /// Domains whose ARC seals are believed.
    pub trusted_sealers: Vec<String>,
    /// Lists that are asked about addresses of clients.
    pub ip_blocklists: std::collections::BTreeMap<String, i32>,
    /// Lists that are asked about domains of authors.
    pub domain_blocklists: std::collections::BTreeMap<String, i32>,
    /// Addresses and domains whose proven mail is always accepted.
    pub accept: Vec<String>,
    /// Addresses and domains whose mail always goes to the spam folder.
    pub spam: Vec<String>,
    /// Addresses and domains whose mail is always refused.
    pub refuse: Vec<String>,
    /// Domains whose wish for mail that fails DMARC is not obeyed.
    pub ignore_dmarc: Vec<String>,
    /// What readers teach helps the other accounts too.
    pub share_words: bool,
}

impl Default for Judging {
    fn default() -> Judging {
        Judging {
            examine: true,
            spam_at: 50,
            refuse_at: None,
            greylist: false,
            greylist_wait: Span::from_secs(300),
            obey_dmarc: true,
            trusted_networks: Vec::new(),
            trusted_sealers: Vec::new(),
            ip_blocklists: Default::default(),
            domain_blocklists: Default::default(),
            accept: Vec::new(),
            spam: Vec::new(),
            refuse: Vec::new(),
            ignore_dmarc: Vec::new(),
            share_words: true,
        }
    }
}

/// `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// The largest message.
    pub message_size: Octets,
    /// Recipients of one message (RFC 5321 §4.5.3.1.8 asks for at least 100).
    pub recipients: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// How long a journey is kept after it ended.
    pub keep_journeys: Span,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_size: Octets(50 << 20),
            recipients: 1_000,
            connections: 10_000,
            connections_per_address: 100,
            keep_journeys: Span::from_secs(90 * 24 * 3_600),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Config::parse(&text, path)
    }

    /// Checks a configuration given as text; `path` is named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let mut config: Config =
            toml::from_str(text).map_err(|error| report::from_toml(text, path, &error))?;
        if config.tls.acme.is_some() && config.listen.http.is_none() {
            config.listen.http = Some(vec![SocketAddr::new(IpAddr::from([0u16; 8]), 80)]);
        }
        let pages =
            config.mta_sts.is_some() || config.autoconfig.is_some() || config.oauth.is_some();
        let pages = pages || config.jmap.is_some();
        if pages && config.listen.https.is_none() {
            config.listen.https = Some(vec![SocketAddr::new(IpAddr::from([0u16; 8]), 443)]);
        }
        config.check().map_err(|wrong| report::from_check(text, path, wrong))?;
        Ok(config)
    }

    /// Where the Session object of JMAP is (RFC 8620 §2.2); `None`: JMAP is not spoken.
    pub fn jmap_session(&self) -> Option<String> {
        let own = || format!("https://{}", self.hostname);
        let url = self.jmap.as_ref()?.url.clone().unwrap_or_else(own);
        Some(format!("{}/.well-known/jmap", url.trim_end_matches('/')))
    }

    /// Host and port of that, for the DNS (RFC 8620 §2.2).
    pub fn jmap_host(&self) -> Option<(String, u16)> {
        let session = self.jmap_session()?;
        let authority = session.strip_prefix("https://")?.split('/').next()?;
        Some(match authority.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().ok()?),
            None => (authority.to_owned(), 443),
        })
    }

    /// Who gives out access tokens (RFC 8414 §2): `https://` and a host, without a slash behind it. `None`:
    /// nobody does.
    pub fn issuer(&self) -> Option<String> {
        let settings = self.oauth.as_ref()?;
        let own = || format!("https://{}", self.hostname);
        let issuer = settings.issuer.clone().unwrap_or_else(own);
        Some(issuer.trim_end_matches('/').to_owned())
    }

    /// What no single value shows: combinations that cannot work.
    fn check(&self) -> Result<(), report::Wrong> {
        let tls = &self.tls;
        if tls.certificate.is_some() != tls.key.is_some() {
            return Err(report::Wrong::at(
                "tls",
                "certificate and key belong together: give both or neither",
            ));
        }
        let ways = usize::from(tls.certificate.is_some())
            + usize::from(tls.acme.is_some())
            + usize::from(tls.self_signed);
        if ways > 1 {
            return Err(report::Wrong::at(
                "tls",
                "choose one of: certificate and key, acme, self-signed",
            ));
        }
        if ways == 0 && self.needs_tls() {
            return Err(report::Wrong::at(
                "tls",
                "no certificate: add `acme = { email = \"you@your.domain\" }`, or `certificate` and `key` files, or `self-signed = true` to try things out",
            ));
        }
        if tls.acme.is_some() && self.listen.http.iter().flatten().next().is_none() {
            return Err(report::Wrong::at(
                "listen",
                "acme needs an http address (port 80) to answer its challenges",
            ));
        }
        if let Some(addr) = self.listen.lmtp.iter().find(|addr| !addr.ip().is_loopback()) {
            return Err(report::Wrong::at(
                "lmtp",
                format!(
                    "{addr} is reachable by others, and LMTP trusts whoever connects: use a loopback address"
                ),
            ));
        }
        // RFC 8414 §2: no query, no fragment; here no path either, since others are told of it too.
        let is_origin = |issuer: &str| {
            let host = issuer.strip_prefix("https://").unwrap_or_default();
            let host = host.trim_end_matches('/');
            !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '"'])
        };
        if self.oauth.as_ref().and_then(|o| o.issuer.as_deref()).is_some_and(|i| !is_origin(i)) {
            return Err(report::Wrong::at("issuer", "write https:// and a host, nothing more"));
        }
        if self.jmap.as_ref().and_then(|j| j.url.as_deref()).is_some_and(|url| !is_origin(url)) {
            return Err(report::Wrong::at("url", "write https:// and a host, nothing more"));
        }
        if self
            .imap
            .comment
            .as_ref()
            .is_some_and(|text| !(1..=COMMENT_OCTETS_MAX).contains(&text.len()))
        {
            return Err(report::Wrong::at("comment", "write something, of at most 1,000 octets"));
        }
        if self.imap.admin.as_deref().is_some_and(|uri| !is_uri(uri)) {
            let why = "write a URI, such as mailto:help@example.org or https://help.example.org/";
            return Err(report::Wrong::at("admin", why));
        }
        let least = waxwing_imap::LEAST_MESSAGE_LIMIT;
        if self.imap.message_limit.is_some_and(|limit| limit < least) {
            return Err(report::Wrong::at("message-limit", "write 1000 or more"));
        }
        if self.outbound.retry.is_empty() {
            return Err(report::Wrong::at("retry", "give at least one pause, such as [\"5m\"]"));
        }
        if self
            .outbound
            .smarthost
            .as_ref()
            .is_some_and(|s| s.username.is_some() != s.password_file.is_some())
        {
            return Err(report::Wrong::at(
                "smarthost",
                "username and password-file belong together",
            ));
        }
        if self
            .outbound
            .smarthost
            .as_ref()
            .is_some_and(|s| s.username.is_some() && s.allow_plaintext)
        {
            return Err(report::Wrong::at(
                "smarthost",
                "allow-plaintext would send the password in the clear",
            ));
        }
        Ok(())
    }

    fn needs_tls(&self) -> bool {
        let listen = &self.listen;
        [
            &listen.smtp,
            &listen.submission,
            &listen.submissions,
            &listen.imap,
            &listen.imaps,
            &listen.pop3,
            &listen.pop3s,
            &listen.sieve,
        ]
        .into_iter()
        .chain(&listen.https)
        .any(|list| !list.is_empty())
    }

    /// The database URL, with its default.
    pub fn database_url(&self) -> String {
        match &self.database {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", self.data.join("waxwing.db").display()),
        }
    }

    /// The settings by which the store is opened; `role` tells processes on one machine apart.
    pub fn store_settings(&self, role: &str) -> waxwing_store::OpenSettings {
        waxwing_store::OpenSettings {
            database_url: self.database_url(),
            blobs: self.blobs.as_ref().map(|b| {
                (b.url.clone(), b.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            }),
            spool_folder: self.data.join("spool"),
            node: format!(
                "{}/{role}/{}/{:08x}",
                self.hostname,
                std::process::id(),
                rand::random::<u32>()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text, Path::new("waxwing.toml")).unwrap_err().to_string()
    }

    #[test]
    fn the_shortest_useful_file() {
        let config = Config::parse(
            "hostname = 'mail.example.org'\n[tls]\nself-signed = true\n",
            Path::new("x"),
        )
        .unwrap();
        assert_eq!(config.database_url(), "sqlite:/var/lib/waxwing/waxwing.db");
        assert_eq!(config.listen.smtp, ["[::]:25".parse().unwrap()]);
        assert_eq!(config.limits.message_size.0, 50 << 20);
    }

    #[test]
    fn what_imap_says_of_the_server_is_checked() {
        let with = |more: &str| {
            let text =
                format!("hostname = 'a.example'\n[tls]\nself-signed = true\n[imap]\n{more}\n");
            Config::parse(&text, Path::new("waxwing.toml")).map_err(|error| error.to_string())
        };
        let imap = with("comment = 'Ä'\nadmin = 'tel:+1-201-555-0123'").unwrap().imap;
        assert_eq!(imap.comment.as_deref(), Some("Ä"));
        assert_eq!(imap.admin.as_deref(), Some("tel:+1-201-555-0123"));
        let long = format!("comment = '{}'", "x".repeat(1_001));
        for wrong in [
            "message-limit = 999",
            "admin = 'help@example.org'",
            "admin = 'mailto:'",
            "admin = ':x'",
            "admin = '1a:x'",
            "admin = 'https://a b/'",
            "comment = ''",
            long.as_str(),
        ] {
            let error = with(wrong).unwrap_err();
            assert!(error.contains("waxwing.toml:5"), "{wrong}: {error}");
        }
    }

    #[test]
    fn jmap_brings_https_with_it_and_says_where_it_is() {
        let with = |more: &str| {
            let text = format!("hostname = 'a.example'\n[tls]\nself-signed = true\n{more}\n");
            Config::parse(&text, Path::new("x")).map_err(|error| error.to_string())
        };
        let config = with("[jmap]").unwrap();
        assert_eq!(config.jmap_session().unwrap(), "https://a.example/.well-known/jmap");
        assert_eq!(config.jmap_host(), Some(("a.example".to_owned(), 443)));
        assert_eq!(config.listen.https.unwrap(), ["[::]:443".parse().unwrap()]);
        let config = with("[jmap]\nurl = 'https://b.example:8443/'").unwrap();
        assert_eq!(config.jmap_session().unwrap(), "https://b.example:8443/.well-known/jmap");
        assert_eq!(config.jmap_host(), Some(("b.example".to_owned(), 8443)));
        assert!(with("[jmap]\nurl = 'http://b.example'").is_err());
        assert_eq!(with("").unwrap().jmap_host(), None);
    }

    #[test]
    fn mta_sts_brings_https_with_it() {
        let with = |more: &str| {
            let text =
                format!("hostname = 'mail.example.org'\n{more}\n[tls]\nself-signed = true\n");
            Config::parse(&text, Path::new("x")).unwrap()
        };
        assert_eq!(with("").listen.https, None);
        let config = with("[mta-sts]\nmode = 'enforce'");
        assert_eq!(config.listen.https.unwrap(), ["[::]:443".parse().unwrap()]);
        let text =
            error("hostname = 'a.example'\n[tls]\nself-signed = true\n[mta-sts]\nmode = 'on'\n");
        assert!(text.contains("waxwing.toml:5"), "{text}");
    }

    #[test]
    fn autoconfig_brings_https_with_it() {
        let text = "hostname = 'a.example'\n[autoconfig]\n[tls]\nself-signed = true\n";
        let config = Config::parse(text, Path::new("x")).unwrap();
        assert_eq!(config.listen.https.unwrap(), ["[::]:443".parse().unwrap()]);
    }

    #[test]
    fn tokens_bring_https_with_them() {
        let text = "hostname = 'mail.example.org'\n[tls]\nself-signed = true\n[oauth]\n";
        let config = Config::parse(text, Path::new("x")).unwrap();
        assert_eq!(config.listen.https.unwrap(), ["[::]:443".parse().unwrap()]);
        for wrong in ["http://a.example", "https://", "https://a.example/path", "a.example"] {
            let text = error(&format!("{text}issuer = '{wrong}'\n"));
            assert!(text.contains("waxwing.toml:5"), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_pointed_at() {
        let text = error(
            "hostname = 'mail.example.org'\n[tls]\nself-signed = true\n[listen]\nsmpt = ['[::]:25']\n",
        );
        assert!(text.contains("waxwing.toml:5"), "{text}");
        assert!(text.contains("smpt"), "{text}");
    }

    #[test]
    fn a_bad_value_is_pointed_at_and_explained() {
        let text = error(
            "hostname = 'mail.example.org'\n[tls]\nself-signed = true\n[outbound]\nwarn-after = 'soon'\n",
        );
        assert!(text.contains("waxwing.toml:5"), "{text}");
        assert!(text.contains("90s, 5m, 4h or 5d"), "{text}");
    }

    #[test]
    fn missing_tls_says_what_to_add() {
        let text = error("hostname = 'mail.example.org'\n");
        assert!(text.contains("acme = "), "{text}");
    }

    #[test]
    fn port_80_is_opened_for_acme_alone() {
        let parse = |tls: &str| {
            Config::parse(&format!("hostname='a.example'\n[tls]\n{tls}\n"), Path::new("x")).unwrap()
        };
        assert_eq!(parse("self-signed=true").listen.http, None);
        assert_eq!(
            parse("acme={email='a@a.example'}").listen.http,
            Some(vec!["[::]:80".parse().unwrap()])
        );
    }

    #[test]
    fn routes_may_name_everything_below_a_domain() {
        let text = "hostname='a.example'\n[tls]\nself-signed=true\n[outbound.routes]\n'.b.example'='127.0.0.1:25'\n";
        let config = Config::parse(text, Path::new("x")).unwrap();
        assert_eq!(config.outbound.routes.keys().next().unwrap().to_string(), ".b.example");
    }

    #[test]
    fn lmtp_must_not_be_public() {
        let text =
            error("hostname='a.example'\n[tls]\nself-signed=true\n[listen]\nlmtp=['0.0.0.0:24']\n");
        assert!(text.contains("loopback"), "{text}");
        assert!(text.contains("waxwing.toml:5"), "{text}");
    }

    #[test]
    fn a_plaintext_smarthost_password_is_refused() {
        let text = error(
            "hostname='a.example'\n[tls]\nself-signed=true\n[outbound]\nsmarthost={host='r.example:587',username='u',password-file='/p',allow-plaintext=true}\n",
        );
        assert!(text.contains("in the clear"), "{text}");
    }
}
