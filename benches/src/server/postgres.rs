//! A PostgreSQL cluster of Debian's newest installed version, with initdb's defaults, reached by a
//! socket in its own folder only.

use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// A running cluster.
pub struct Cluster {
    server: Child,
    socket: PathBuf,
}

impl Cluster {
    pub async fn start(folder: &Path) -> Result<Cluster> {
        let programs = programs()?;
        let home = folder.join("postgres");
        let (data, socket) = (home.join("data"), home.join("socket"));
        std::fs::create_dir_all(&socket)?;
        let root = super::postfix_dovecot::is_root();
        if root {
            super::run(Command::new("chown").args(["-R", "postgres:"]).arg(&home)).await?;
        }
        let as_postgres = |program: &str| {
            // PostgreSQL refuses to run as root.
            let mut command = match root {
                true => StdCommand::new("setpriv"),
                false => StdCommand::new(programs.join(program)),
            };
            if root {
                command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
                command.arg(programs.join(program));
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.current_dir(&home);
            command
        };
        let mut initdb = as_postgres("initdb");
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]);
        super::run(&mut Command::from(initdb)).await?;
        let mut server = as_postgres("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(&socket).args(["-c", "listen_addresses="]);
        let cluster = Cluster { server: super::spawn(server)?, socket };
        cluster.until_ready(&programs).await?;
        Ok(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres:///postgres?host={}&user=postgres", self.socket.display())
    }

    pub fn pid(&self) -> Option<u32> {
        self.server.id()
    }

    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.pid() {
            super::terminate(pid).await?;
        }
        tokio::time::timeout(super::PATIENCE, self.server.wait()).await??;
        Ok(())
    }

    async fn until_ready(&self, programs: &Path) -> Result<()> {
        let mut ask = Command::new(programs.join("pg_isready"));
        ask.args(["-U", "postgres", "-h"]).arg(&self.socket);
        let ready = async {
            while super::run(&mut ask).await.is_err() {
                tokio::time::sleep(super::CONNECT_PAUSE).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, ready).await.context("PostgreSQL did not start")
    }
}

fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is missing")?;
    let newest = versions.flatten().max_by_key(|entry| {
        entry.file_name().to_str().and_then(|version| version.parse::<u32>().ok())
    });
    Ok(newest.context("PostgreSQL's server is missing")?.path().join("bin"))
}
