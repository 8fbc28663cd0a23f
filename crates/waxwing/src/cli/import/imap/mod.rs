//! Another IMAP server as a source.
//!
//! Mailboxes are opened with EXAMINE, so nothing changes there, and read in the order of their UIDs, some
//! messages at a time with the next ones already asked for. Each mailbox has a mark in the store: the UID
//! up to which all is done. A server that ends the connection is asked again, from there, with longer
//! and longer pauses; a message at which it ends the connection each time is passed over, and named.
//!
//! Messages are named by their sequence numbers: those never move while nothing but FETCH is said (RFC
//! 9051 §7.5.1), and they have no gaps, where UIDs may have millions.

mod mailbox;
mod session;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use waxwing_migrate::names;
use waxwing_store::Role;
use zeroize::Zeroizing;

use super::super::password;
use super::intake::{Arriving, Outlet};
use super::places::Place;
use session::{Fail, Listed, Session};

/// Connections in a row that came to nothing, after which we give up.
const ATTEMPTS: u32 = 6;
/// The longest pause between them.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The server and what is wanted of it.
#[derive(Args)]
pub struct From {
    /// The server: HOST or HOST:PORT.
    host: String,
    /// The login there, often the address.
    #[arg(long, short)]
    login: String,
    /// The file that holds the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<std::path::PathBuf>,
    /// TLS from the first octet (port 993), after STARTTLS (port 143), or none, which only an address of
    /// this machine may have.
    #[arg(long, value_enum, default_value = "implicit")]
    tls: Tls,
    /// Only this mailbox, as the server calls it; may be given several times.
    #[arg(long, value_name = "NAME")]
    mailbox: Vec<String>,
    /// All but this mailbox; may be given several times.
    #[arg(long, value_name = "NAME", conflicts_with = "mailbox")]
    exclude: Vec<String>,
    /// PEM file with more roots for the server's certificate.
    #[arg(long, value_name = "FILE")]
    roots: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tls {
    Implicit,
    Starttls,
    None,
}

/// A server whose login is known to work.
pub struct Server {
    from: From,
    host: String,
    port: u16,
    password: Zeroizing<String>,
    session: Option<Session>,
}

impl From {
    /// Connects and logs in, so that a wrong password is told at once.
    pub async fn open(self) -> Result<Server> {
        let usual = if self.tls == Tls::Implicit { 993 } else { 143 };
        let (host, port) = host_and_port(&self.host, usual)?;
        let secret =
            password::of_another_server(self.password_file.as_deref(), &self.login, &host)?;
        let mut server = Server { from: self, host, port, password: secret, session: None };
        match server.connect().await {
            Ok(session) => server.session = Some(session),
            Err(Fail::Lost(why) | Fail::Refused(why)) => bail!("{}: {why}", server.from.host),
        }
        Ok(server)
    }
}

fn host_and_port(text: &str, usual: u16) -> Result<(String, u16)> {
    let bare = text.trim_start_matches('[');
    if let Some((host, rest)) = bare.split_once(']') {
        let port = rest.strip_prefix(':').map_or(Ok(usual), str::parse);
        return Ok((host.to_owned(), port.with_context(|| format!("{text:?} has no port"))?));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => {
            Ok((host.to_owned(), port.parse().with_context(|| format!("{port:?} is no port"))?))
        }
        _ => Ok((text.to_owned(), usual)),
    }
}

impl Server {
    async fn connect(&self) -> Result<Session, Fail> {
        Session::open(&self.host, self.port, self.from.tls, self.from.roots.as_deref())
            .await?
            .login(&self.from.login, &self.password)
            .await
    }

    /// The session there is, or a new one.
    async fn session(&mut self) -> Result<&mut Session, Fail> {
        if self.session.is_none() {
            self.session = Some(self.connect().await?);
        }
        Ok(self.session.as_mut().expect("set above"))
    }

    /// Reads all the mailboxes that are wanted.
    pub async fn read(mut self, outlet: Outlet) -> Result<()> {
        let listed = self.list().await?;
        let wanted = self.wanted(listed, &outlet).await?;
        for listed in wanted {
            let place = place(&listed);
            mailbox::Reading::new(listed, place).run(&mut self, &outlet).await?;
        }
        if let Some(session) = self.session.take() {
            session.logout().await;
        }
        Ok(())
    }

    async fn list(&mut self) -> Result<Vec<Listed>> {
        let mut patience = Patience::default();
        loop {
            let listed = match self.session().await {
                Ok(session) => session.list().await,
                Err(fail) => Err(fail),
            };
            match listed {
                Ok(listed) => return Ok(listed),
                Err(fail) => self.wait(&mut patience, fail).await?,
            }
        }
    }

    /// After a failure: lets the connection go, and waits. An error when it is no use.
    async fn wait(&mut self, patience: &mut Patience, fail: Fail) -> Result<()> {
        self.session = None;
        let why = match fail {
            Fail::Lost(why) => why,
            Fail::Refused(why) => bail!("{}: {why}", self.from.host),
        };
        patience.attempts += 1;
        if patience.attempts >= ATTEMPTS {
            bail!("{} ended {ATTEMPTS} connections in a row; the last time: {why}", self.from.host);
        }
        let pause = Duration::from_millis(250 << patience.attempts.min(7)).min(PAUSE_MAX);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Those that were named; otherwise all that are not views of others.
    async fn wanted(&self, listed: Vec<Listed>, outlet: &Outlet) -> Result<Vec<Listed>> {
        let is = |name: &str, listed: &Listed| name == listed.name || name == listed.ours;
        for name in self.from.mailbox.iter().chain(&self.from.exclude) {
            if !listed.iter().any(|listed| is(name, listed)) {
                let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
                bail!("{} has no mailbox {name:?}; it has: {}", self.from.host, names.join(", "));
            }
        }
        let mut wanted = Vec::new();
        for listed in listed {
            let view = matches!(listed.role, Some(Role::All | Role::Flagged | Role::Important));
            if !self.from.mailbox.is_empty() {
                if self.from.mailbox.iter().any(|name| is(name, &listed)) {
                    wanted.push(listed);
                }
            } else if view {
                let name = &listed.name;
                let note = format!(
                    "{name} was left out: it shows what is in other mailboxes. `--mailbox {name:?}` imports it."
                );
                outlet.send(Arriving::Note(note)).await?;
            } else if !self.from.exclude.iter().any(|name| is(name, &listed)) {
                wanted.push(listed);
            }
        }
        Ok(wanted)
    }
}

/// How often in a row something came to nothing.
#[derive(Debug, Default)]
struct Patience {
    attempts: u32,
}

/// By its role, else by its name, which may tell one.
fn place(listed: &Listed) -> Place {
    match listed.role.or_else(|| names::role_of_name(&listed.ours)) {
        Some(role) => Place::Role(role, listed.ours.clone()),
        None => Place::Name(listed.ours.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_ports() {
        let read = |text| host_and_port(text, 993).ok();
        assert_eq!(read("imap.example.org"), Some(("imap.example.org".into(), 993)));
        assert_eq!(read("imap.example.org:143"), Some(("imap.example.org".into(), 143)));
        assert_eq!(read("[2001:db8::1]:143"), Some(("2001:db8::1".into(), 143)));
        assert_eq!(read("2001:db8::1"), Some(("2001:db8::1".into(), 993)));
        assert_eq!(read("host:x"), None);
    }
}
