//! The servers whose mailboxes are read: Waxwing as it is shipped, and Debian's Dovecot with Maildir
//! and with mdbox. Each takes deliveries by LMTP over TCP.
//!
//! Of Dovecot's settings these differ from the defaults: folders and ports; `mail_fsync = never`;
//! limits that would refuse the idle connections; and plaintext login on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::process::Child;

use super::letters::Letters;
use super::session::Session;
use crate::machine::{self, Memory};
use crate::server::{self, Account, DOMAIN, PASSWORD, accounts, postfix_dovecot, waxwing};

/// Messages of one APPEND.
const BATCH: u32 = 200;
/// A server counts as idle when it uses no processor time for so long,
const QUIET: Duration = Duration::from_millis(100);
/// and again, so often in a row: work in the background rests now and then.
const QUIETS: u32 = 15;
/// The index of 100,000 messages may take a while.
const RESTLESS: Duration = Duration::from_secs(600);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Waxwing on SQLite, its default.
    Waxwing,
    /// Dovecot with Maildir, its default here.
    Maildir,
    /// Dovecot with mdbox.
    Mdbox,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Waxwing, Kind::Maildir, Kind::Mdbox];

    pub fn label(self) -> &'static str {
        match self {
            Kind::Waxwing => "Waxwing",
            Kind::Maildir => "Dovecot Maildir",
            Kind::Mdbox => "Dovecot mdbox",
        }
    }
}

/// A server that runs.
pub struct Server {
    pub imap: SocketAddr,
    pub imaps: SocketAddr,
    pub lmtp: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Server {
    pub async fn start(
        kind: Kind,
        program: &Path,
        under: &Path,
        connections: usize,
    ) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("waxwing-bench-").tempdir_in(under)?;
        server::enterable(folder.path())?;
        let ports = [server::free_port()?, server::free_port()?, server::free_port()?];
        let mut command = match kind {
            Kind::Waxwing => prepare_waxwing(program, folder.path(), ports, connections).await?,
            Kind::Maildir | Kind::Mdbox => {
                prepare_dovecot(kind, folder.path(), ports, connections)?
            }
        };
        command.stdout(Stdio::null());
        let child = server::spawn(command)?;
        let [imap, imaps, lmtp] = ports;
        let ready = async { tokio::try_join!(server::connected(imap), server::connected(lmtp)) };
        tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .with_context(|| format!("{} did not start listening", kind.label()))??;
        Ok(Server { imap, imaps, lmtp, child, folder })
    }

    /// Whose mailbox it is.
    pub fn account(&self) -> Account {
        accounts().swap_remove(0)
    }

    /// Puts the letters into INBOX; gives how long that took.
    pub async fn fill(&self, letters: &Letters, messages: u32) -> Result<f64> {
        let mut session = Session::login(self.imap, &self.account()).await?;
        let mut took = Duration::ZERO;
        for first in (0..messages).step_by(BATCH as usize) {
            let last = (first + BATCH).min(messages);
            let batch: Vec<Vec<u8>> = (first..last).map(|n| letters.letter(n)).collect();
            took += session.append("INBOX", &batch).await?.took;
        }
        self.rest().await;
        Ok(took.as_secs_f64())
    }

    /// Waits until it has nothing left to do, such as indexing.
    pub async fn rest(&self) {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < QUIETS && began.elapsed() < RESTLESS {
            let before = machine::cpu_of(&self.roots());
            tokio::time::sleep(QUIET).await;
            quiet = if machine::cpu_of(&self.roots()) == before { quiet + 1 } else { 0 };
        }
    }

    /// Memory of all its processes.
    pub fn memory(&self) -> Memory {
        machine::memory_of(&self.roots())
    }

    fn roots(&self) -> Vec<u32> {
        self.child.id().into_iter().collect()
    }

    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            server::terminate(pid).await?;
        }
        let gone = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        gone.context("a server does not stop")??;
        self.folder.close().context("deleting the bench folder")
    }
}

async fn prepare_waxwing(
    program: &Path,
    folder: &Path,
    [imap, imaps, lmtp]: [SocketAddr; 3],
    connections: usize,
) -> Result<StdCommand> {
    let data = folder.join("data");
    fs::create_dir(&data)?;
    let connections = connections + 100;
    fs::write(
        waxwing::config(folder),
        format!(
            "hostname = \"mx.{DOMAIN}\"\ndata = \"{}\"\n\
             [listen]\n\
             imap = [\"{imap}\"]\nimaps = [\"{imaps}\"]\nlmtp = [\"{lmtp}\"]\n\
             smtp = []\nsubmission = []\nsubmissions = []\n\
             pop3 = []\npop3s = []\nsieve = []\nhttp = []\n\
             [tls]\nself-signed = true\nallow-plaintext-login = true\n\
             [limits]\nconnections-per-address = {connections}\n",
            data.display()
        ),
    )?;
    waxwing::manage(program, folder, &["domain", "add", DOMAIN], "").await?;
    let Account { address, password } = accounts().swap_remove(0);
    let add = ["user", "add", &address, "--password-stdin"];
    waxwing::manage(program, folder, &add, &password).await?;
    Ok(waxwing::command(program, folder))
}

fn prepare_dovecot(
    kind: Kind,
    folder: &Path,
    [imap, imaps, lmtp]: [SocketAddr; 3],
    connections: usize,
) -> Result<StdCommand> {
    ensure!(postfix_dovecot::is_root(), "Dovecot starts as root only: run as root");
    for needed in ["/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp"] {
        ensure!(Path::new(needed).exists(), "{needed} is missing: run scripts/install bench");
    }
    for made in ["dovecot", "mail"] {
        fs::create_dir(folder.join(made))?;
    }
    postfix_dovecot::chown("mail", &folder.join("mail"))?;
    let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let made = StdCommand::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=mx.bench.test", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()?;
    ensure!(made.success(), "openssl cannot make a certificate");
    let location = match kind {
        Kind::Mdbox => "mdbox:~/mdbox",
        _ => "maildir:~/Maildir",
    };
    let (folder_, most) = (folder.display(), connections + 100);
    let text = format!(
        "protocols = imap lmtp\n\
         instance_name = waxwing-bench\n\
         base_dir = {folder_}/dovecot/run\n\
         state_dir = {folder_}/dovecot/state\n\
         listen = 127.0.0.1\n\
         ssl = yes\nssl_cert = <{}\nssl_key = <{}\n\
         disable_plaintext_auth = no\n\
         mail_location = {location}\n\
         mail_fsync = never\n\
         mail_max_userip_connections = {most}\n\
         default_client_limit = {limit}\n\
         first_valid_uid = 1\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  \
           args = uid=mail gid=mail home={folder_}/mail/%n allow_all_users=yes\n}}\n\
         namespace inbox {{\n  inbox = yes\n}}\n\
         service imap {{\n  process_limit = {most}\n}}\n\
         service imap-login {{\n  process_limit = {most}\n  \
           inet_listener imap {{\n    port = {}\n  }}\n  \
           inet_listener imaps {{\n    port = {}\n    ssl = yes\n  }}\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    port = {}\n  }}\n}}\n",
        certificate.display(),
        key.display(),
        imap.port(),
        imaps.port(),
        lmtp.port(),
        limit = most * 3,
    );
    fs::write(folder.join("dovecot.conf"), text)?;
    let mut command = StdCommand::new("dovecot");
    command.arg("-F").arg("-c").arg(folder.join("dovecot.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}
