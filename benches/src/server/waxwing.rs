//! Waxwing as it is shipped: the release build with its defaults, but for ports, a self-signed
//! certificate and plaintext login on loopback.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdout, Command};

use waxwing_dns::{AuthoritativeServer, Zone, Zones};

use super::{Account, DOMAIN, accounts};

/// Writes the configuration and makes the domain and its accounts.
pub async fn prepare(
    program: &Path,
    folder: &Path,
    smtp: SocketAddr,
    imap: SocketAddr,
    database: Option<&str>,
) -> Result<()> {
    ensure!(program.exists(), "{}: build it with `cargo build --release`", program.display());
    let data = folder.join("data");
    fs::create_dir(&data)?;
    let dns = serve_names().await.context("the DNS")?;
    let database = database.map(|url| format!("database = \"{url}\"\n")).unwrap_or_default();
    fs::write(
        config(folder),
        format!(
            "hostname = \"mx.{DOMAIN}\"\n\
             data = \"{}\"\n\
             {database}\
             [listen]\n\
             smtp = [\"{smtp}\"]\n\
             imap = [\"{imap}\"]\n\
             submission = []\nsubmissions = []\nimaps = []\n\
             pop3 = []\npop3s = []\nsieve = []\nlmtp = []\nhttp = []\n\
             [tls]\n\
             self-signed = true\n\
             allow-plaintext-login = true\n\
             [dns]\n\
             servers = [\"{dns}\"]\n",
            data.display()
        ),
    )?;
    manage(program, folder, &["domain", "add", DOMAIN], "").await?;
    for Account { address, password } in accounts() {
        manage(program, folder, &["user", "add", &address, "--password-stdin"], &password).await?;
    }
    Ok(())
}

/// A DNS server on loopback that knows the sender, for as long as this program runs: every message is
/// examined, and what that costs is not to hang on whatever resolver the machine has.
async fn serve_names() -> Result<SocketAddr> {
    let mut zones = Zones::default();
    for (apex, text) in [("test", NAMES), ("arpa", ADDRESSES)] {
        zones.insert(Zone::parse(apex, text)?);
    }
    let server = AuthoritativeServer::bind((Ipv4Addr::LOCALHOST, 0).into(), zones).await?;
    let address = server.local_addr()?;
    tokio::spawn(server.run());
    Ok(address)
}

const NAMES: &str = "\
sender TXT \"v=spf1 ip4:127.0.0.1 -all\"
relay.sender A 127.0.0.1
";
const ADDRESSES: &str = "1.0.0.127.in-addr PTR relay.sender.test.\n";

/// `waxwing serve`, logging to a file in the folder.
pub fn command(program: &Path, folder: &Path) -> StdCommand {
    let mut command = StdCommand::new(program);
    command.arg("serve").arg("--config").arg(config(folder)).stdin(Stdio::null());
    let log = fs::File::create(folder.join("waxwing.log")).map_or(Stdio::null(), Stdio::from);
    command.stdout(Stdio::piped()).stderr(log);
    command
}

/// When it said that it listens.
pub async fn listening(stdout: ChildStdout) -> Result<Instant> {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if line.starts_with("listening") {
            return Ok(Instant::now());
        }
    }
    anyhow::bail!("waxwing ended before it listened; its log is waxwing.log in its folder")
}

pub async fn manage(program: &Path, folder: &Path, words: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(words).arg("--config").arg(config(folder));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{:?}", command.as_std()))?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(format!("{input}\n").as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "waxwing {}: {said}", words.join(" "));
    Ok(())
}

pub fn config(folder: &Path) -> PathBuf {
    folder.join("waxwing.toml")
}
