//! A PostgreSQL server of the tests' own: made by initdb in a temporary folder, reached by a Unix
//! socket only, gone when the test process is gone, however that ends.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Waits for the end of its standard input, which is that of the process that started it.
const SCRIPT: &str = r#"
set -e
bin=$1; shift
folder=$(mktemp -d /tmp/waxwing-postgres.XXXXXX)
"$bin/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
    --pgdata="$folder/data" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; rm -rf "$folder"; exit 1; }
"$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=300 "$@" \
    >>"$folder/log" 2>&1 &
server=$!
for try in $(seq 300); do
    [ -n "$(find "$folder" -name '.s.PGSQL.*' -type s)" ] \
        && grep -q "ready to accept connections" "$folder/log" && break
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
echo "$folder"
cat >/dev/null
kill -INT $server
wait $server || true
rm -rf "$folder"
"#;

/// A running server.
pub struct Server {
    folder: String,
    _script: Child,
}

impl Server {
    /// Starts one. `options` are further arguments of `postgres`.
    pub fn start(options: &[&str]) -> Server {
        let bin = binaries();
        let mut command = if is_root() {
            // PostgreSQL refuses to run as root.
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SCRIPT, "sh"]).arg(bin).args(options);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().expect("sh (and as root setpriv) can be run");
        let mut folder = String::new();
        let stdout = script.stdout.take().expect("piped above");
        BufReader::new(stdout).read_line(&mut folder).expect("the script speaks UTF-8");
        let folder = folder.trim().to_owned();
        assert!(!folder.is_empty(), "PostgreSQL did not start: see above");
        Server { folder, _script: script }
    }

    /// The server that all tests of this process share. It need not survive a power cut.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Server::start(&["-c", "fsync=off", "-c", "deadlock_timeout=100ms"]))
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}", self.folder)
    }

    /// A new, empty database; gives its URL.
    pub async fn create_database(&self) -> String {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let client = self.client("postgres").await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a new database");
        self.url(&name)
    }

    /// A plain connection, to look behind the store's back.
    pub async fn client(&self, database: &str) -> tokio_postgres::Client {
        connect(&self.url(database)).await
    }
}

/// A plain connection.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("the server answers");
    tokio::spawn(connection);
    client
}

fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| *version >= 15)
        .max();
    let Some(version) = newest else {
        panic!("these tests need PostgreSQL 15 or newer: apt-get install -y postgresql-15");
    };
    PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
