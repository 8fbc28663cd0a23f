//! The servers under measure: prepared in a folder of their own, launched, stopped.
//!
//! [`Prepared`] is a folder with configuration and sixteen accounts, which can be launched many
//! times; [`Running`] is its processes with their ports open. Everything is on loopback and high
//! ports, and nothing of an installed mail service's own is read or written.

pub mod postfix_dovecot;
mod postgres;
pub mod waxwing;

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::machine::{self, Memory};

/// Mailboxes that messages are spread over in turn.
pub const ACCOUNTS: usize = 16;
/// The domain of the accounts.
pub const DOMAIN: &str = "bench.test";
pub const PASSWORD: &str = "a-bench-password";

/// A start or stop that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT_PAUSE: Duration = Duration::from_micros(500);

/// The system calls that make data durable.
pub const SYNC_CALLS: &str = "fsync,fdatasync,sync_file_range,msync,sync,syncfs";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Waxwing on SQLite, its default.
    Waxwing,
    /// Waxwing on a PostgreSQL of its own, with that one's defaults.
    WaxwingPostgres,
    /// Debian's Postfix, delivering over LMTP to Debian's Dovecot.
    PostfixDovecot,
}

impl Kind {
    pub fn label(self) -> &'static str {
        match self {
            Kind::Waxwing => "Waxwing",
            Kind::WaxwingPostgres => "Waxwing+PostgreSQL",
            Kind::PostfixDovecot => "Postfix+Dovecot",
        }
    }
}

/// Where servers are put and found.
pub struct Places {
    /// Folders are made below this one.
    pub under: PathBuf,
    /// The `waxwing` program.
    pub waxwing: PathBuf,
}

/// Whom mail is sent to and who reads it.
#[derive(Debug, Clone)]
pub struct Account {
    pub address: String,
    pub password: String,
}

/// The same accounts on every server.
pub fn accounts() -> Vec<Account> {
    let account =
        |at| Account { address: format!("reader{at:02}@{DOMAIN}"), password: PASSWORD.to_owned() };
    (0..ACCOUNTS).map(account).collect()
}

/// A folder with configuration and accounts, and what must run beside the server.
pub struct Prepared {
    pub kind: Kind,
    smtp: SocketAddr,
    imap: SocketAddr,
    beside: Option<postgres::Cluster>,
    program: PathBuf,
    folder: TempDir,
}

/// A server whose ports are open.
pub struct Running {
    pub smtp: SocketAddr,
    pub imap: SocketAddr,
    /// From the start of the process until it said `listening` (Waxwing only).
    pub said_listening: Option<Duration>,
    /// From the start of the processes until a connection to SMTP and one to IMAP were accepted.
    pub connected: Duration,
    kind: Kind,
    folder: PathBuf,
    children: Vec<Child>,
    roots: Vec<u32>,
}

impl Prepared {
    pub async fn new(kind: Kind, places: &Places) -> Result<Prepared> {
        let folder = tempfile::Builder::new().prefix("waxwing-bench-").tempdir_in(&places.under)?;
        enterable(folder.path())?;
        let mut prepared = Prepared {
            kind,
            smtp: free_port()?,
            imap: free_port()?,
            beside: None,
            program: places.waxwing.clone(),
            folder,
        };
        prepared.fill().await.with_context(|| format!("preparing {}", kind.label()))?;
        Ok(prepared)
    }

    async fn fill(&mut self) -> Result<()> {
        let (folder, smtp, imap) = (self.folder.path(), self.smtp, self.imap);
        match self.kind {
            Kind::PostfixDovecot => postfix_dovecot::prepare(folder, smtp, imap),
            Kind::Waxwing => waxwing::prepare(&self.program, folder, smtp, imap, None).await,
            Kind::WaxwingPostgres => {
                let cluster = postgres::Cluster::start(folder).await?;
                let url = cluster.url();
                self.beside = Some(cluster);
                waxwing::prepare(&self.program, folder, smtp, imap, Some(&url)).await
            }
        }
    }

    /// Starts the server. With `trace`, under strace, which writes each durable call to files
    /// that begin with that path.
    pub async fn launch(&self, trace: Option<&Path>) -> Result<Running> {
        let commands = match self.kind {
            Kind::PostfixDovecot => postfix_dovecot::commands(self.folder.path()),
            _ => vec![waxwing::command(&self.program, self.folder.path())],
        };
        let started = Instant::now();
        let mut children = Vec::new();
        for (at, command) in commands.into_iter().enumerate() {
            let command = match trace {
                Some(prefix) => traced(&command, &prefix.with_extension(at.to_string())),
                None => command,
            };
            children.push(spawn(command)?);
        }
        let stdout = children[0].stdout.take();
        let said = async {
            match (self.kind, stdout) {
                (Kind::PostfixDovecot, _) | (_, None) => Ok(None),
                (_, Some(stdout)) => waxwing::listening(stdout).await.map(Some),
            }
        };
        let ready = async { tokio::try_join!(said, connected(self.smtp), connected(self.imap)) };
        let (said, smtp, imap) = tokio::time::timeout(PATIENCE, ready)
            .await
            .with_context(|| format!("{} did not start listening", self.kind.label()))??;
        let mut roots: Vec<u32> = children.iter().filter_map(Child::id).collect();
        roots.extend(self.beside.as_ref().and_then(postgres::Cluster::pid));
        Ok(Running {
            smtp: self.smtp,
            imap: self.imap,
            said_listening: said.map(|at| at - started),
            connected: smtp.max(imap) - started,
            kind: self.kind,
            folder: self.folder.path().to_owned(),
            children,
            roots,
        })
    }

    /// Stops what runs beside the server, and deletes the folder.
    pub async fn discard(mut self) -> Result<()> {
        if let Some(cluster) = self.beside.take() {
            cluster.stop().await?;
        }
        self.folder.close().context("deleting the bench folder")
    }
}

impl Running {
    /// Processor time of all its processes so far.
    pub fn cpu(&self) -> Duration {
        machine::cpu_of(&self.roots)
    }

    /// Memory of all its processes.
    pub fn memory(&self) -> Memory {
        machine::memory_of(&self.roots)
    }

    /// How many processes it consists of.
    pub fn processes(&self) -> usize {
        machine::count_of(&self.roots)
    }

    /// Ends it as its operator would, and waits until it is gone.
    pub async fn stop(mut self) -> Result<()> {
        match self.kind {
            Kind::PostfixDovecot => postfix_dovecot::stop(&self.folder).await?,
            _ => {
                let pid = self.children[0].id().context("it has ended already")?;
                // Under strace, the server is strace's child.
                terminate(machine::first_child(pid).unwrap_or(pid)).await?;
            }
        }
        for child in &mut self.children {
            let gone = tokio::time::timeout(PATIENCE, child.wait()).await;
            gone.with_context(|| format!("{} does not stop", self.kind.label()))??;
        }
        Ok(())
    }
}

/// Postfix, Dovecot and PostgreSQL become users of their own, who must find their way in.
pub fn enterable(folder: &Path) -> Result<()> {
    Ok(std::fs::set_permissions(folder, Permissions::from_mode(0o755))?)
}

/// SIGTERM.
pub async fn terminate(pid: u32) -> Result<()> {
    run(Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &pid.to_string()])).await
}

/// Runs to the end; failure is an error with what it said.
async fn run(command: &mut Command) -> Result<()> {
    let output = command.output().await.with_context(|| format!("{:?}", command.as_std()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{:?}: {}: {}", command.as_std(), output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}

pub fn spawn(command: std::process::Command) -> Result<Child> {
    let program = format!("{:?}", command.get_program());
    Command::from(command).kill_on_drop(true).spawn().with_context(|| format!("starting {program}"))
}

/// The same command under strace, which by seccomp stops the program at no other call.
fn traced(command: &std::process::Command, prefix: &Path) -> std::process::Command {
    let mut strace = std::process::Command::new("strace");
    strace
        .args(["-ff", "--seccomp-bpf", "-qq", "-ttt", "-T", "-e", "signal=none"])
        .args(["-e", &format!("trace={SYNC_CALLS}"), "-o"])
        .arg(prefix)
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    strace
}

pub async fn connected(to: SocketAddr) -> Result<Instant> {
    while TcpStream::connect(to).await.is_err() {
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
    Ok(Instant::now())
}

pub fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
