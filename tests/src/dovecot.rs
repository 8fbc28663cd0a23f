//! Debian's Dovecot, private to a test: IMAP with STARTTLS and TLS on an address of the test, Maildir
//! below a folder, any login with one password.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::is_root;
use crate::process::{Daemon, Ran, run, tool};
use crate::tls::Pair;
use crate::waiting::until;

/// Of every login.
pub const PASSWORD: &str = "the-secret-of-dovecot";

/// A running server.
pub struct Dovecot {
    /// IMAP, STARTTLS.
    pub imap: SocketAddr,
    /// IMAP over TLS.
    pub imaps: SocketAddr,
    folder: PathBuf,
    _daemon: Daemon,
}

impl Dovecot {
    /// Starts one with its files in a folder that does not exist yet. `more` is added to its
    /// configuration.
    pub fn start(
        folder: &Path,
        imap: SocketAddr,
        imaps: SocketAddr,
        pair: &Pair,
        more: &str,
    ) -> Dovecot {
        assert!(is_root(), "Dovecot starts as root only: run as root");
        fs::create_dir_all(folder.join("mail")).unwrap();
        let chown = Command::new("chown").arg("mail:").arg(folder.join("mail")).status().unwrap();
        assert!(chown.success());
        let (path, certificate, key) =
            (folder.display(), pair.certificate.display(), pair.key.display());
        let config = format!(
            "protocols = imap\nbase_dir = {path}/run\nstate_dir = {path}/state\n\
             listen = {}\ndisable_plaintext_auth = no\nssl = yes\nssl_cert = <{certificate}\nssl_key = <{key}\n\
             log_path = {path}/dovecot.log\nmail_location = maildir:~/Maildir\nfirst_valid_uid = 1\n\
             passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
             userdb {{\n  driver = static\n  args = uid=mail gid=mail home={path}/mail/%n allow_all_users=yes\n}}\n\
             namespace inbox {{\n  inbox = yes\n  mailbox Sent {{\n    special_use = \\Sent\n    auto = create\n  }}\n\
             mailbox \"Deleted Items\" {{\n    special_use = \\Trash\n    auto = create\n  }}\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    port = {}\n  }}\n  \
             inet_listener imaps {{\n    port = {}\n  }}\n}}\n{more}",
            imap.ip(),
            imap.port(),
            imaps.port(),
        );
        fs::write(folder.join("dovecot.conf"), config).unwrap();
        let log = folder.join("out.log");
        let configure = |command: &mut Command| {
            command.arg("-F").arg("-c").arg(folder.join("dovecot.conf")).env("TZ", "UTC");
        };
        let program = tool("dovecot", "dovecot-imapd");
        let daemon = Daemon::start("dovecot", &program, configure, &log, None, None);
        let server = Dovecot { imap, imaps, folder: folder.to_owned(), _daemon: daemon };
        until(Duration::from_secs(30), "Dovecot to answer", || {
            std::net::TcpStream::connect(imap).is_ok()
        });
        server
    }

    /// The Maildir of a login.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.folder.join("mail").join(user).join("Maildir")
    }

    /// Runs `doveadm` for a login.
    pub fn doveadm(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(tool("doveadm", "dovecot-core"));
        command.arg("-c").arg(self.folder.join("dovecot.conf")).args(arguments);
        run(command, input, Duration::from_secs(60)).ok()
    }

    /// Puts a message into a mailbox of a login.
    pub fn save(&self, user: &str, mailbox: &str, message: &[u8]) {
        self.doveadm(&["save", "-u", user, "-m", mailbox], message);
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its master passes this on to its children; the daemon's own drop is the end of it.
        if let Ok(pid) = fs::read_to_string(self.folder.join("run/master.pid")) {
            let _ = Command::new("kill").arg(pid.trim()).status();
            let gone = || !Path::new("/proc").join(pid.trim()).join("fd").exists();
            let began = std::time::Instant::now();
            while !gone() && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
