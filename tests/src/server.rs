//! One `waxwing serve`: its configuration, its process, and the command line at its side.
//!
//! Ports are the same for every server; each has an address of its own (see [`crate::net`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

use crate::imap::{Fetched, Imap};
use crate::process::{Daemon, Ran, run};
use crate::smtp::Smtp;
use crate::waiting::eventually;

/// Where every server of a test world takes mail from others.
pub const SMTP: u16 = 2525;
/// How long a program may take that should answer at once.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// The built program: `WAXWING_BIN`, or the workspace's debug build.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("WAXWING_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/waxwing"),
        PathBuf::from,
    );
    assert!(path.is_file(), "{} is missing: run `cargo build --bin waxwing`", path.display());
    path
}

/// What a server's configuration says. Start from [`Setup::new`] and change what the test is about.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its mail domain; the host name is `mx.DOMAIN`.
    pub domain: String,
    /// Its address.
    pub ip: IpAddr,
    /// The data folder.
    pub data: PathBuf,
    /// A database URL; SQLite in the data folder without one.
    pub database: Option<String>,
    /// Service to port; a service that is not here is off.
    pub listen: BTreeMap<&'static str, u16>,
    /// Lines of the top of the file.
    pub top: Vec<String>,
    /// Lines of `[tls]`.
    pub tls: Vec<String>,
    /// Lines of `[dns]`.
    pub dns: Vec<String>,
    /// Lines of `[outbound]`.
    pub outbound: Vec<String>,
    /// Lines of `[limits]`.
    pub limits: Vec<String>,
    /// Program and arguments that the server is started by, such as `ip netns exec NAME`.
    pub within: Vec<String>,
}

impl Setup {
    /// Every service on, self-signed, passwords allowed without TLS, quick retries, nobody to ask
    /// about names.
    pub fn new(domain: &str, ip: IpAddr, data: &Path) -> Setup {
        let listen = BTreeMap::from([
            ("smtp", SMTP),
            ("submission", 2587),
            ("submissions", 2465),
            ("imap", 2143),
            ("imaps", 2993),
            ("pop3", 2110),
            ("pop3s", 2995),
            ("lmtp", 2424),
            ("sieve", 4190),
        ]);
        Setup {
            domain: domain.to_owned(),
            ip,
            data: data.to_owned(),
            database: None,
            listen,
            top: Vec::new(),
            tls: vec!["self-signed = true".to_owned(), "allow-plaintext-login = true".to_owned()],
            // Nobody answers there: a test that needs names says who knows them.
            dns: vec!["servers = [\"127.0.0.1:9\"]".to_owned()],
            outbound: vec![
                format!("port = {SMTP}"),
                "retry = [\"1s\"]".to_owned(),
                "lease = \"5s\"".to_owned(),
            ],
            limits: vec!["connections-per-address = 1000".to_owned()],
            within: Vec::new(),
        }
    }

    /// Shows this certificate instead of a self-signed one.
    pub fn certificate(&mut self, pair: &crate::tls::Pair) {
        self.tls = vec![
            format!("certificate = {:?}", pair.certificate),
            format!("key = {:?}", pair.key),
            "allow-plaintext-login = true".to_owned(),
        ];
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text = format!("hostname = \"mx.{}\"\ndata = {:?}\n", self.domain, self.data);
        if let Some(url) = &self.database {
            let _ = writeln!(text, "database = \"{url}\"");
        }
        for line in &self.top {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("[listen]\n");
        let services = [
            "smtp",
            "submission",
            "submissions",
            "imap",
            "imaps",
            "pop3",
            "pop3s",
            "sieve",
            "lmtp",
            "http",
        ];
        // Absent unless wanted: its default depends on other sections.
        let https = self.listen.contains_key("https").then_some("https");
        for service in services.into_iter().chain(https) {
            let list = match self.listen.get(service) {
                Some(&port) => format!("[\"{}\"]", SocketAddr::new(self.ip, port)),
                None => "[]".to_owned(),
            };
            let _ = writeln!(text, "{service} = {list}");
        }
        let tables = [
            ("tls", &self.tls),
            ("dns", &self.dns),
            ("outbound", &self.outbound),
            ("limits", &self.limits),
        ];
        for (table, lines) in tables {
            let _ = writeln!(text, "[{table}]\n{}", lines.join("\n"));
        }
        text
    }
}

/// A server, running or not; ended when dropped.
pub struct Server {
    /// What it was made from.
    pub setup: Setup,
    config: PathBuf,
    log: PathBuf,
    daemon: Option<Daemon>,
    listening: Value,
}

impl Server {
    /// Writes the configuration, adds the domain to the store, and does not start yet.
    pub fn prepare(setup: Setup) -> Server {
        std::fs::create_dir_all(&setup.data).expect("the data folder can be made");
        let config = setup.data.join("waxwing.toml");
        std::fs::write(&config, setup.text()).expect("the configuration can be written");
        let log = setup.data.join("serve.log");
        let server = Server { setup, config, log, daemon: None, listening: Value::Null };
        let domain = server.setup.domain.clone();
        server.cli(&["domain", "add", &domain]).ok();
        server
    }

    /// Another node on the same store: the same domain is already there.
    pub fn second_node(setup: Setup) -> Server {
        std::fs::create_dir_all(&setup.data).expect("the data folder can be made");
        let config = setup.data.join("waxwing.toml");
        std::fs::write(&config, setup.text()).expect("the configuration can be written");
        let log = setup.data.join("serve.log");
        Server { setup, config, log, daemon: None, listening: Value::Null }
    }

    /// Prepares and starts.
    pub fn start(setup: Setup) -> Server {
        let mut server = Server::prepare(setup);
        server.run();
        server
    }

    /// Starts the process; every port is bound when this returns.
    pub fn run(&mut self) {
        self.try_run().unwrap_or_else(|log| panic!("serve ended before listening:\n{log}"));
    }

    /// Starts the process; gives its log when it ends instead of listening.
    pub fn try_run(&mut self) -> Result<(), String> {
        assert!(self.daemon.is_none(), "already running");
        let mut program = binary();
        let within = self.setup.within.clone();
        let configure = |command: &mut Command| {
            if let [_, arguments @ ..] = within.as_slice() {
                command.args(arguments).arg(binary());
            }
            command.args(["serve", "--json", "--config"]).arg(&self.config);
            command.env("RUST_BACKTRACE", "1");
        };
        let name = format!("waxwing serve ({})", self.setup.domain);
        if let Some(first) = self.setup.within.first() {
            program = crate::process::tool(first, "iproute2");
        }
        let mut daemon =
            Daemon::start(&name, &program, configure, &self.log, None, Some(Stdio::piped()));
        let (lines, read) = channel();
        let stdout = BufReader::new(daemon.take_stdout());
        // Goes on reading so that the server never waits for us.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        loop {
            match read.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    let json: Value = serde_json::from_str(&line).unwrap_or_default();
                    if !json["listening"].is_null() {
                        self.listening = json["listening"].clone();
                        self.daemon = Some(daemon);
                        return Ok(());
                    }
                }
                Err(_) => return Err(daemon.log()),
            }
        }
    }

    /// The process.
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("running")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.daemon.take().expect("running").kill();
    }

    /// Ends it politely and checks that it agreed.
    pub fn stop(&mut self) {
        let status = self.daemon().stop(Duration::from_secs(60));
        assert!(status.success(), "after SIGTERM: {status}\n{}", self.daemon().log());
        self.daemon = None;
    }

    /// Everything that all its processes have logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The `listening` object of the first line of output.
    pub fn listening(&self) -> &Value {
        &self.listening
    }

    /// Where a service listens.
    pub fn at(&self, service: &str) -> SocketAddr {
        let address = self.listening[service][0].as_str();
        let address = address.unwrap_or_else(|| panic!("{service} is off: {}", self.listening));
        address.parse().expect("an address")
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Runs a command of the program to its end.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Ran {
        self.cli_with(arguments, b"")
    }

    /// The same with standard input.
    #[track_caller]
    pub fn cli_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(&self.config);
        run(command, input, COMMAND_TIMEOUT)
    }

    /// Runs a command with `--json` and gives what it printed.
    #[track_caller]
    pub fn cli_json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        self.cli(&all).ok().json()
    }

    /// Adds an account whose password is [`password`] of its local part.
    pub fn add_user(&self, local: &str) -> String {
        let address = format!("{local}@{}", self.setup.domain);
        self.cli_with(&["user", "add", &address, "--password-stdin"], password(local).as_bytes())
            .ok();
        address
    }

    /// An SMTP session on the port for other servers, after EHLO.
    #[track_caller]
    pub fn smtp(&self) -> Smtp {
        Smtp::greeted(self.at("smtp")).expect("smtp answers")
    }

    /// An SMTP session on the submission port, logged in.
    #[track_caller]
    pub fn submission(&self, local: &str) -> Smtp {
        let mut smtp = Smtp::greeted(self.at("submission")).expect("submission answers");
        let address = format!("{local}@{}", self.setup.domain);
        smtp.login(&address, &password(local)).expect("AUTH is answered").expect(235, "2.7.0");
        smtp
    }

    /// Somebody's INBOX.
    #[track_caller]
    pub fn inbox(&self, local: &str) -> Imap {
        let address = format!("{local}@{}", self.setup.domain);
        Imap::inbox(self.at("imap"), &address, &password(local)).expect("imap answers")
    }

    /// Waits until somebody's INBOX holds so many messages, and gives them.
    #[track_caller]
    pub fn wait_for_mail(&self, local: &str, count: usize, within: Duration) -> Vec<Fetched> {
        let what = format!("{count} messages for {local}@{}", self.setup.domain);
        eventually(within, &what, || {
            let all = self.inbox(local).fetch_all().expect("INBOX can be read");
            (all.len() >= count).then_some(all)
        })
    }

    /// What the queue holds, as `queue list --json` says.
    #[track_caller]
    pub fn queue(&self) -> Vec<Value> {
        let json = self.cli_json(&["queue", "list"]);
        let list = json.as_array().or_else(|| json["entries"].as_array());
        list.unwrap_or_else(|| panic!("not a list: {json}")).clone()
    }

    /// A journey, as JSON.
    #[track_caller]
    pub fn journey(&self, id: &str) -> Value {
        self.cli_json(&["journey", id])
    }

    /// Waits until a journey has a step of this kind, and gives that step.
    #[track_caller]
    pub fn wait_for_step(&self, id: &str, step: &str, within: Duration) -> Value {
        eventually(within, &format!("step {step} of {id}"), || {
            steps(&self.journey(id)).into_iter().find(|event| event["step"] == step)
        })
    }
}

/// The events of a journey.
pub fn steps(journey: &Value) -> Vec<Value> {
    journey["events"].as_array().unwrap_or_else(|| panic!("no events: {journey}")).clone()
}

/// The password of the account `local`.
pub fn password(local: &str) -> String {
    format!("the secret of {local}")
}
