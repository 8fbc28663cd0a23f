//! A real Postfix as a foreign domain: its own configuration, queue and mailboxes in a folder, in
//! the foreground, never the machine's own.
//!
//! It takes mail for `foreign.test` into Maildirs, and sends what is for others where its transport
//! table says. It listens on an address of the test's own, with STARTTLS and a certificate of the
//! test's authority. It needs root, as Postfix always does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::postgres::own;
use crate::process::{Daemon, run, tool};
use crate::tls::Pair;
use crate::waiting::{eventually, until};
use crate::wire::Wire;

/// The domain it is for.
pub const DOMAIN: &str = "foreign.test";
/// The user that mailboxes belong to.
const MAIL_USER: &str = "nobody";

/// What to start.
pub struct Setup<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate.
    pub pair: &'a Pair,
    /// Roots it trusts.
    pub roots: &'a Path,
    /// Users of `foreign.test`.
    pub users: &'a [&'a str],
    /// Domain to transport, such as `("wax.test", "smtp:[127.1.2.3]:2525")`.
    pub transports: &'a [(&'a str, String)],
    /// More of main.cf.
    pub extra: &'a str,
}

/// A running Postfix.
pub struct Postfix {
    daemon: Daemon,
    folder: TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Postfix {
    /// Starts one; it answers when this returns.
    pub fn start(setup: Setup<'_>) -> Postfix {
        let postfix = tool("postfix", "postfix");
        assert!(crate::is_root(), "Postfix can only be started by root: run these tests as root");
        let folder = tempfile::Builder::new().prefix("waxwing-postfix").tempdir().expect("folder");
        let path = folder.path();
        // Its own daemons, which are not root, pass through here.
        let mut chmod = Command::new("chmod");
        chmod.arg("755").arg(path);
        run(chmod, b"", Duration::from_secs(10)).ok();
        for (name, user) in [("data", "postfix"), ("mail", MAIL_USER)] {
            std::fs::create_dir(path.join(name)).expect("new");
            own(&path.join(name), user);
        }
        std::fs::create_dir(path.join("queue")).expect("new");
        std::fs::write(path.join("main.cf"), main_cf(path, &setup)).expect("written");
        std::fs::write(path.join("master.cf"), master_cf(setup.address)).expect("written");

        // Makes the folders of the queue. (`start-fg` would put a shell between us and the master.)
        let mut check = Command::new(postfix);
        check.arg("-c").arg(path).arg("check");
        run(check, b"", Duration::from_secs(30)).ok();
        let log = path.join("postfix.log");
        let configure = |command: &mut Command| {
            command.env("MAIL_CONFIG", path).arg("-c").arg(path).arg("-s");
        };
        let master = Path::new("/usr/lib/postfix/sbin/master");
        let mut daemon = Daemon::start("postfix", master, configure, &log, None, None);
        until(Duration::from_secs(60), "Postfix to answer", || {
            assert!(daemon.is_running(), "Postfix ended: its configuration is wrong");
            Wire::connect(setup.address).and_then(|mut wire| wire.line()).is_ok()
        });
        Postfix { daemon, address: setup.address, folder }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Waits for a line of the log that contains all these words.
    #[track_caller]
    pub fn wait_for_log(&self, words: &[&str], within: Duration) -> String {
        eventually(within, &format!("Postfix to log {words:?}"), || {
            let log = self.log();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)))?;
            Some(line.to_owned())
        })
    }

    /// The messages in a user's Maildir, with CRLF line ends, oldest first.
    pub fn mailbox(&self, user: &str) -> Vec<Vec<u8>> {
        let folder = self.folder.path().join("mail").join(user).join("new");
        let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| entry.expect("readable").path()).collect(),
            Err(_) => return Vec::new(),
        };
        files.sort();
        files.iter().map(|file| with_crlf(&std::fs::read(file).expect("readable"))).collect()
    }

    /// Waits for so many messages there.
    #[track_caller]
    pub fn wait_for_mail(&self, user: &str, count: usize, within: Duration) -> Vec<Vec<u8>> {
        eventually(within, &format!("{count} messages for {user}@{DOMAIN}"), || {
            let all = self.mailbox(user);
            (all.len() >= count).then_some(all)
        })
    }

    /// Changes a setting while it runs.
    pub fn set(&self, name: &str, value: &str) {
        let mut command = Command::new(tool("postconf", "postfix"));
        command.arg("-c").arg(self.folder.path()).arg(format!("{name} = {value}"));
        run(command, b"", Duration::from_secs(30)).ok();
        self.daemon.signal("HUP");
    }

    /// How many messages wait in its queue.
    pub fn queue_length(&self) -> usize {
        let mut command = Command::new(tool("postqueue", "postfix"));
        command.arg("-c").arg(self.folder.path()).arg("-j");
        run(command, b"", Duration::from_secs(30)).out().lines().count()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Its children end with the master, which ends at SIGTERM.
        if self.daemon.is_running() {
            self.daemon.signal("TERM");
            let began = std::time::Instant::now();
            while self.daemon.is_running() && began.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn main_cf(path: &Path, setup: &Setup<'_>) -> String {
    let folder = path.display();
    let mut mailboxes = String::new();
    for user in setup.users {
        let _ = write!(mailboxes, " {{{user}@{DOMAIN}={user}/}}");
    }
    let mut transports = String::new();
    for (domain, transport) in setup.transports {
        let _ = write!(transports, " {{{domain}={transport}}}");
    }
    let (certificate, key) = (setup.pair.certificate.display(), setup.pair.key.display());
    let roots = setup.roots.display();
    let extra = setup.extra;
    // `inline:{}` with nothing in it is an error.
    let transport_maps = match transports.as_str() {
        "" => String::new(),
        some => format!("inline:{{{some} }}"),
    };
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
myhostname = mail.{DOMAIN}
mydomain = {DOMAIN}
myorigin = {DOMAIN}
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
smtputf8_enable = yes
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{{mailboxes} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
transport_maps = {transport_maps}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
smtp_tls_security_level = may
smtp_tls_CAfile = {roots}
smtp_tls_loglevel = 1
tls_preempt_cipherlist = no
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
smtp_connection_cache_on_demand = no
default_process_limit = 20
{extra}
"
    )
}

/// Services as Debian's master.cf has them, without chroot and local delivery.
/// Columns: name, type, private, unprivileged, chroot, wake-up, limit, command.
const SERVICES: &str = "
pickup   unix       n - n 60    1 pickup
cleanup  unix       n - n -     0 cleanup
qmgr     unix       n - n 300   1 qmgr
tlsmgr   unix       - - n 1000? 1 tlsmgr
rewrite  unix       - - n -     - trivial-rewrite
bounce   unix       - - n -     0 bounce
defer    unix       - - n -     0 bounce
trace    unix       - - n -     0 bounce
verify   unix       - - n -     1 verify
flush    unix       n - n 1000? 0 flush
proxymap unix       - - n -     - proxymap
smtp     unix       - - n -     - smtp
relay    unix       - - n -     - smtp
lmtp     unix       - - n -     - lmtp
showq    unix       n - n -     - showq
error    unix       - - n -     - error
retry    unix       - - n -     - error
discard  unix       - - n -     - discard
virtual  unix       - n n -     - virtual
anvil    unix       - - n -     1 anvil
scache   unix       - - n -     1 scache
postlog  unix-dgram n - n -     1 postlogd
";

fn master_cf(address: SocketAddr) -> String {
    format!("{address} inet n - n - - smtpd{SERVICES}")
}

fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 40);
    for &octet in text {
        if octet == b'\n' {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}
