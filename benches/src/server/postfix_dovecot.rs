//! Debian's Postfix and Dovecot as Dovecot's documentation joins them: Postfix accepts into its
//! queue and delivers over LMTP; Dovecot keeps Maildir and speaks IMAP.
//!
//! Both with Debian's shipped settings (`/usr/share/postfix/main.cf.debian`, `master.cf.dist`,
//! Dovecot's built-in defaults) but for: folders, ports and the list of recipients; no chroot,
//! since its files are filled by Debian's service script only; no TLS, which is not used here;
//! Maildir instead of mbox, which suits Dovecot better. Each difference makes them faster or
//! changes nothing.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::{DOMAIN, PASSWORD, accounts};

const MAIN_CF: &str = "/usr/share/postfix/main.cf.debian";
const MASTER_CF: &str = "/usr/share/postfix/master.cf.dist";

/// Writes the configuration of both.
pub fn prepare(folder: &Path, smtp: SocketAddr, imap: SocketAddr) -> Result<()> {
    ensure!(is_root(), "Postfix and Dovecot start as root only: run as root");
    for needed in [MAIN_CF, MASTER_CF, "/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp"] {
        ensure!(Path::new(needed).exists(), "{needed} is missing: run scripts/install bench");
    }
    for made in ["postfix", "queue", "postfix-data", "dovecot", "mail"] {
        fs::create_dir(folder.join(made))?;
    }
    chown("postfix", &folder.join("postfix-data"))?;
    chown("mail", &folder.join("mail"))?;
    fs::write(folder.join("postfix/main.cf"), main_cf(folder)?)?;
    fs::write(folder.join("postfix/master.cf"), master_cf(smtp)?)?;
    let recipients = accounts().iter().map(|a| format!("{} present\n", a.address)).collect();
    fs::write::<_, String>(folder.join("postfix/recipients"), recipients)?;
    fs::write(folder.join("dovecot.conf"), dovecot_conf(folder, imap))?;
    // Makes the queue's folders, in one of which Dovecot then puts its socket.
    let checked = postfix(folder, "check").output()?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

/// Postfix's master and Dovecot's, both in the foreground.
pub fn commands(folder: &Path) -> Vec<StdCommand> {
    let mut postfix = postfix(folder, "start-fg");
    let mut dovecot = StdCommand::new("dovecot");
    dovecot.arg("-F").arg("-c").arg(folder.join("dovecot.conf"));
    for command in [&mut postfix, &mut dovecot] {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    vec![postfix, dovecot]
}

pub async fn stop(folder: &Path) -> Result<()> {
    let mut stop = Command::from(postfix(folder, "stop"));
    super::run(&mut stop).await?;
    let pid = fs::read_to_string(folder.join("dovecot/run/master.pid"))?;
    super::terminate(pid.trim().parse().context("Dovecot's master.pid")?).await
}

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|of_this_process| of_this_process.uid() == 0)
}

fn postfix(folder: &Path, action: &str) -> StdCommand {
    let mut command = StdCommand::new("postfix");
    command.arg("-c").arg(folder.join("postfix")).arg(action);
    command
}

fn main_cf(folder: &Path) -> Result<String> {
    let mut text = fs::read_to_string(MAIN_CF)?;
    let folder = folder.display();
    write!(
        text,
        "\n# What Debian's installation adds for a host on the Internet.\n\
         smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination\n\
         mynetworks = 127.0.0.0/8\n\
         mailbox_size_limit = 0\n\
         recipient_delimiter = +\n\
         # Where the bench has put it.\n\
         myhostname = mx.{DOMAIN}\n\
         mydestination =\n\
         alias_maps =\n\
         alias_database =\n\
         inet_interfaces = 127.0.0.1\n\
         queue_directory = {folder}/queue\n\
         data_directory = {folder}/postfix-data\n\
         # Delivery as https://doc.dovecot.org/ shows it.\n\
         virtual_mailbox_domains = {DOMAIN}\n\
         virtual_mailbox_maps = texthash:{folder}/postfix/recipients\n\
         virtual_transport = lmtp:unix:private/dovecot-lmtp\n"
    )?;
    Ok(text)
}

/// Debian's services without chroot, and SMTP on our port.
fn master_cf(smtp: SocketAddr) -> Result<String> {
    let mut out = String::new();
    for line in fs::read_to_string(MASTER_CF)?.lines() {
        let mut fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = smtp.to_string();
        if fields.len() >= 8 && !line.starts_with([' ', '\t', '#']) {
            fields[4] = "n";
            if fields[..2] == ["smtp", "inet"] {
                fields[0] = &port;
            }
            writeln!(out, "{}", fields.join(" "))?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    Ok(out)
}

fn dovecot_conf(folder: &Path, imap: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "protocols = imap lmtp\n\
         instance_name = waxwing-bench\n\
         base_dir = {folder}/dovecot/run\n\
         state_dir = {folder}/dovecot/state\n\
         listen = {}\n\
         ssl = no\n\
         disable_plaintext_auth = no\n\
         mail_location = maildir:~/Maildir\n\
         first_valid_uid = 1\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  \
           args = uid=mail gid=mail home={folder}/mail/%n allow_all_users=yes\n}}\n\
         namespace inbox {{\n  inbox = yes\n}}\n\
         service imap-login {{\n  \
           inet_listener imap {{\n    port = {}\n  }}\n  \
           inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service lmtp {{\n  \
           unix_listener {folder}/queue/private/dovecot-lmtp {{\n    \
             mode = 0600\n    user = postfix\n    group = postfix\n  }}\n}}\n",
        imap.ip(),
        imap.port()
    )
}

pub fn chown(user: &str, folder: &Path) -> Result<()> {
    let done = StdCommand::new("chown").arg(format!("{user}:")).arg(PathBuf::from(folder)).status();
    ensure!(done.is_ok_and(|status| status.success()), "chown {user} {}", folder.display());
    Ok(())
}
