//! A PostgreSQL of the test's own: `initdb` in a folder, a socket instead of a port, never root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Daemon, run, tool};
use crate::waiting::until;

/// The user that Debian's package makes; the server refuses to run as root.
const USER: &str = "postgres";

/// A server, running unless it was killed.
pub struct Postgres {
    daemon: Option<Daemon>,
    folder: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Postgres {
        // Not below the workspace: another user must reach it.
        let folder = tempfile::Builder::new().prefix("waxwing-pg").tempdir().expect("a folder");
        let root = crate::is_root();
        if root {
            own(folder.path(), USER);
        }
        let mut initdb = as_user(root, &postgres_tool("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--username=postgres", "--pgdata"]).arg(folder.path().join("data"));
        run(initdb, b"", Duration::from_secs(60)).ok();
        let mut postgres = Postgres { daemon: None, folder };
        postgres.run();
        postgres
    }

    /// Starts it (again); it answers when this returns.
    pub fn run(&mut self) {
        let folder = self.folder.path();
        let configure = |command: &mut Command| {
            command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
            for setting in ["listen_addresses=", "max_connections=200", "shared_buffers=64MB"] {
                command.arg("-c").arg(setting);
            }
        };
        let user = crate::is_root().then_some(USER);
        let log = folder.join("postgres.log");
        let program = postgres_tool("postgres");
        self.daemon = Some(Daemon::start("postgres", &program, configure, &log, user, None));
        until(Duration::from_secs(60), "PostgreSQL to answer", || {
            self.psql("postgres", "select 1").code == 0
        });
    }

    /// Ends it at once, as a crash would: every session breaks, and the next start recovers
    /// (SIGQUIT, PostgreSQL's "immediate shutdown"; after SIGKILL its children would linger).
    pub fn crash(&mut self) {
        let mut daemon = self.daemon.take().expect("running");
        daemon.signal("QUIT");
        daemon.wait(Duration::from_secs(60));
    }

    /// Makes an empty database and gives the URL by which Waxwing opens it.
    pub fn database(&self, name: &str) -> String {
        self.psql("postgres", &format!("create database {name}")).ok();
        format!("postgres:///{name}?host={}&user=postgres", self.folder.path().display())
    }

    /// Runs one statement.
    pub fn psql(&self, database: &str, statement: &str) -> crate::process::Ran {
        let mut command = Command::new(postgres_tool("psql"));
        command.args(["-X", "-q", "-t", "-A", "-U", "postgres", "-d", database]);
        command.arg("-h").arg(self.folder.path()).arg("-c").arg(statement);
        run(command, b"", Duration::from_secs(30))
    }
}

fn postgres_tool(name: &str) -> PathBuf {
    let packaged = Path::new("/usr/lib/postgresql/15/bin").join(name);
    if packaged.is_file() { packaged } else { tool(name, "postgresql-15") }
}

fn as_user(root: bool, program: &Path) -> Command {
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new(tool("setpriv", "util-linux"));
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command.current_dir("/");
    command
}

/// Gives a folder to a user.
pub fn own(path: &Path, user: &str) {
    let mut chown = Command::new("chown");
    chown.arg(format!("{user}:")).arg(path);
    run(chown, b"", Duration::from_secs(10)).ok();
}
