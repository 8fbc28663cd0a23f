//! The world of `waxwing try`: its DNS, its two servers, and what to tell a visitor.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use waxwing_dns::{AuthoritativeServer, Zone, Zones};
use waxwing_message::{Address, Envelope, JourneyId};
use waxwing_store::{NewAccount, OpenSettings, Store};

use crate::cli::{keys, submit};
use crate::serve::tls;

/// Added to the well-known port numbers; the next is tried when one of them is taken.
const BASES: [u16; 5] = [2_000, 12_000, 22_000, 32_000, 42_000];
/// Well-known ports, in the order of [`Ports`].
const SERVICES: [(&str, u16); 8] = [
    ("smtp", 25),
    ("submission", 587),
    ("submissions", 465),
    ("imap", 143),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
    ("sieve", 4190),
];
const DNS_PORT: u16 = 53;
/// Everybody's password: the world is for play and listens on loopback alone.
const PASSWORD: &str = "waxwing-try";
/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// One of the two servers.
pub struct Server {
    pub hostname: String,
    pub person: Address,
    pub name: String,
    pub password: &'static str,
    pub ip: IpAddr,
    base: u16,
    folder: PathBuf,
    /// A second handle on its store, to read journeys.
    pub store: Store,
    child: Child,
}

/// All of it.
pub struct World {
    pub wax: Server,
    pub wing: Server,
    /// Forwards what comes for its friends.
    pub mill: Server,
    pub dns: SocketAddr,
    dns_task: tokio::task::JoinHandle<()>,
    folder: PathBuf,
    temporary: bool,
}

/// What is known of a server before it runs.
struct Plan {
    domain: &'static str,
    ip: IpAddr,
    person: &'static str,
    name: &'static str,
}

fn plans() -> [Plan; 3] {
    [
        Plan { domain: "wax.test", ip: [127, 0, 0, 1].into(), person: "alice", name: "Alice" },
        Plan { domain: "wing.test", ip: [127, 0, 0, 2].into(), person: "bob", name: "Bob" },
        Plan { domain: "mill.test", ip: [127, 0, 0, 3].into(), person: "carol", name: "Carol" },
    ]
}

impl World {
    /// Starts everything; on failure nothing stays behind.
    pub async fn start(folder: Option<&Path>) -> Result<World> {
        let temporary = folder.is_none();
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => std::env::temp_dir().join(format!("waxwing-try-{}", std::process::id())),
        };
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let started = World::start_in(&folder, temporary).await;
        if started.is_err() && temporary {
            let _ = std::fs::remove_dir_all(&folder);
        }
        started
    }

    async fn start_in(folder: &Path, temporary: bool) -> Result<World> {
        let (base, dns) = claim_base().await?;
        let roots = make_certificates(folder)?;
        let mut stores = Vec::new();
        for plan in plans() {
            stores.push(furnish(&plan, folder).await?);
        }
        let address = SocketAddr::new([127, 0, 0, 1].into(), base + DNS_PORT);
        let zones = zones(&stores).await?;
        dns.zones().update(|shared| *shared = zones);
        let (dns, dns_task) = (address, tokio::spawn(async move { dns.run().await }));
        let mut servers = Vec::new();
        for (plan, store) in plans().into_iter().zip(stores) {
            servers.push(Server::start(plan, store, base, dns, folder, &roots).await?);
        }
        let Ok([wax, wing, mill]) = <[Server; 3]>::try_from(servers) else {
            bail!("the world has three servers");
        };
        Ok(World { wax, wing, mill, dns, dns_task, folder: folder.to_owned(), temporary })
    }

    pub fn servers(&self) -> [&Server; 3] {
        [&self.wax, &self.wing, &self.mill]
    }

    /// Says what was started.
    pub fn describe(&self) {
        for server in self.servers() {
            println!(
                "  {}  listens on {} (SMTP {})",
                server.hostname,
                server.ip,
                server.port("smtp")
            );
        }
        println!("  DNS           {}: MX, A, TXT (SPF, DKIM, DMARC) and PTR of all\n", self.dns);
    }

    /// How to visit with a mail client.
    pub fn invite(&self) {
        println!("The world stays up until you press Ctrl-C. Visit it with any mail client:\n");
        println!(
            "  {:<16} {:<16} {:<16}",
            "",
            self.wax.person.to_string(),
            self.wing.person.to_string()
        );
        let row = |what: &str, value: &dyn Fn(&Server) -> String| {
            println!("  {what:<16} {:<16} {:<16}", value(&self.wax), value(&self.wing));
        };
        row("login", &|s| s.person.to_string());
        row("password", &|s| s.password.to_owned());
        row("server", &|s| s.ip.to_string());
        row("IMAP", &|s| format!("{} (TLS {})", s.port("imap"), s.port("imaps")));
        row("POP3", &|s| format!("{} (TLS {})", s.port("pop3"), s.port("pop3s")));
        row("submission", &|s| format!("{} (TLS {})", s.port("submission"), s.port("submissions")));
        println!("\nTheir certificates are self-signed: the client will ask. For example:\n");
        println!(
            "  curl -k --ssl-reqd --user {}:{} imap://{}:{}/INBOX -X 'FETCH 1:* (ENVELOPE)'",
            self.wing.person,
            self.wing.password,
            self.wing.ip,
            self.wing.port("imap")
        );
        println!(
            "  waxwing journey --config {}\n",
            self.wing.folder.join("waxwing.toml").display()
        );
    }

    pub fn as_json(&self) -> Value {
        self.servers().iter().map(|server| server.as_json()).collect()
    }

    /// Waits until one of the servers ends; gives its name.
    pub async fn wait_for_a_death(&mut self) -> String {
        tokio::select! {
            _ = self.wax.child.wait() => self.wax.hostname.clone(),
            _ = self.wing.child.wait() => self.wing.hostname.clone(),
            _ = self.mill.child.wait() => self.mill.hostname.clone(),
        }
    }

    /// Ends the servers and removes what was temporary.
    pub async fn stop(mut self) {
        for server in [&mut self.wax, &mut self.wing, &mut self.mill] {
            server.stop().await;
        }
        self.dns_task.abort();
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

impl Server {
    async fn start(
        plan: Plan,
        store: Store,
        base: u16,
        dns: SocketAddr,
        folder: &Path,
        roots: &Path,
    ) -> Result<Server> {
        let folder = folder.join(plan.domain);
        let hostname = format!("mx.{}", plan.domain);
        let config = folder.join("waxwing.toml");
        std::fs::write(&config, config_text(&hostname, &plan, base, dns, &folder, roots))?;
        let person = Address::new(plan.person, plan.domain)?;
        let child = spawn(&config).await.with_context(|| format!("starting {hostname}"))?;
        let name = plan.name.to_owned();
        Ok(Server {
            hostname,
            person,
            name,
            password: PASSWORD,
            ip: plan.ip,
            base,
            folder,
            store,
            child,
        })
    }

    /// A port by its service's name in the configuration.
    pub fn port(&self, service: &str) -> u16 {
        let well_known =
            SERVICES.iter().find(|(name, _)| *name == service).map_or(0, |(_, port)| *port);
        self.base + well_known
    }

    /// The PEM file that holds this server's certificate, which is its own root.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("tls/self-signed.pem")
    }

    /// Hands a message in by submission: STARTTLS, login, MAIL, RCPT, DATA.
    pub async fn submit(&self, envelope: Envelope, octets: Vec<u8>) -> Result<JourneyId> {
        let server = submit::Server {
            host: self.hostname.clone(),
            address: SocketAddr::new(self.ip, self.port("submission")),
            source: None,
            implicit_tls: false,
            roots: Some(self.certificate()),
            login: Some((self.person.to_string(), self.password.to_owned())),
        };
        let reply = submit::submit(&server, envelope, octets).await?;
        submit::journey_in(&reply).with_context(|| format!("the reply {reply:?} names no journey"))
    }

    fn as_json(&self) -> Value {
        let ports: serde_json::Map<String, Value> =
            SERVICES.iter().map(|(name, _)| ((*name).to_owned(), json!(self.port(name)))).collect();
        json!({
            "hostname": self.hostname,
            "ip": self.ip,
            "ports": ports,
            "login": self.person,
            "password": self.password,
            "config": self.folder.join("waxwing.toml"),
        })
    }

    async fn stop(&mut self) {
        let pid = self
            .child
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The store of a server before it runs: its domain with signing keys, its person, and, at the mill,
/// an address that leads on.
async fn furnish(plan: &Plan, folder: &Path) -> Result<Store> {
    let store = open(&folder.join(plan.domain), &format!("mx.{}", plan.domain)).await?;
    let person = Address::new(plan.person, plan.domain)?;
    if store.account_by_address(&person).await?.is_none() {
        if store.domain(plan.domain).await?.is_none() {
            store.create_domain(plan.domain).await?;
        }
        let new = NewAccount {
            address: &person,
            display_name: plan.name,
            password: PASSWORD,
            quota_octets: None,
        };
        store.create_account(new).await?;
        store.create_alias(&Address::new("postmaster", plan.domain)?, &person).await?;
        if plan.domain == "mill.test" {
            let friends = Address::new("friends", plan.domain)?;
            store.create_alias(&friends, &Address::new("bob", "wing.test")?).await?;
        }
    }
    keys::ensure(&store, plan.domain).await?;
    Ok(store)
}

async fn open(folder: &Path, hostname: &str) -> Result<Store> {
    let settings = OpenSettings {
        database_url: format!("sqlite:{}", folder.join("waxwing.db").display()),
        blobs: None,
        spool_folder: folder.join("spool"),
        node: format!("{hostname}/try/{}", std::process::id()),
    };
    std::fs::create_dir_all(&settings.spool_folder)?;
    Store::open(settings).await.context("opening the store")
}

fn config_text(
    hostname: &str,
    plan: &Plan,
    base: u16,
    dns: SocketAddr,
    folder: &Path,
    roots: &Path,
) -> String {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!(
        "hostname = {}\ndata = {}\n\n[tls]\nself-signed = true\n\n[dns]\nservers = [\"{dns}\"]\n\n[outbound]\nport = {}\nsource = \"{}\"\nretry = [\"2s\", \"10s\"]\nextra-roots = {}\n\n[listen]\nhttp = []\n",
        quote(hostname),
        quote(&folder.display().to_string()),
        base + 25,
        plan.ip,
        quote(&roots.display().to_string()),
    );
    for (service, port) in SERVICES {
        text.push_str(&format!("{service} = [\"{}\"]\n", SocketAddr::new(plan.ip, base + port)));
    }
    text
}

/// Makes both certificates beforehand, and a file with both, so that each server can check the
/// other's.
fn make_certificates(folder: &Path) -> Result<PathBuf> {
    let roots = folder.join("roots.pem");
    let mut pem = Vec::new();
    for plan in plans() {
        let kept = folder.join(plan.domain).join("tls");
        std::fs::create_dir_all(&kept)?;
        tls::self_signed(&kept, &[format!("mx.{}", plan.domain)])?;
        pem.extend(std::fs::read(kept.join("self-signed.pem"))?);
    }
    std::fs::write(&roots, pem)?;
    Ok(roots)
}

/// The first base at which every port is free on every address, with the DNS port taken: another
/// world that begins at the same time takes another.
async fn claim_base() -> Result<(u16, AuthoritativeServer)> {
    let free = |base: u16| {
        let ports = SERVICES.iter().map(|(_, port)| *port);
        let mut all =
            ports.flat_map(|port| plans().map(|plan| SocketAddr::new(plan.ip, base + port)));
        all.all(|address| std::net::TcpListener::bind(address).is_ok())
    };
    for base in BASES.into_iter().filter(|&base| free(base)) {
        let address = SocketAddr::new([127, 0, 0, 1].into(), base + DNS_PORT);
        if let Ok(dns) = AuthoritativeServer::bind(address, Zones::default()).await {
            return Ok((base, dns));
        }
    }
    bail!("no free ports on 127.0.0.1 to 127.0.0.3: is another `waxwing try` running?")
}

/// What the DNS of the world says.
async fn zones(stores: &[Store]) -> Result<Zones> {
    let mut zones = Zones::default();
    let mut reverse = String::new();
    let mut insert = |apex: &str, text: &str| -> Result<()> {
        let zone = Zone::parse(apex, text)
            .map_err(|error| anyhow::anyhow!("the zone of {apex}: {error}"))?;
        zones.insert(zone);
        Ok(())
    };
    for (plan, store) in plans().iter().zip(stores) {
        let mut text = format!(
            "@ 300 MX 10 mx\n@ 300 TXT \"v=spf1 mx -all\"\n\
             _dmarc 300 TXT \"v=DMARC1; p=reject\"\n\
             mx 300 A {ip}\nmx 300 TXT \"v=spf1 a -all\"\n",
            ip = plan.ip
        );
        for key in store.signing_keys(Some(plan.domain)).await? {
            let value = keys::zone_value(&key.record);
            text.push_str(&format!("{}._domainkey 300 TXT {value}\n", key.selector));
        }
        insert(plan.domain, &text)?;
        if let IpAddr::V4(ip) = plan.ip {
            reverse.push_str(&format!("{} 300 PTR mx.{}.\n", ip.octets()[3], plan.domain));
        }
    }
    insert("0.0.127.in-addr.arpa", &reverse)?;
    // Above our domains, as above all there is somebody who says that there is nothing.
    insert("test", "@ 300 TXT \"a small world\"\n")?;
    insert("localdomain", "@ 300 TXT \"nothing\"\n")?;
    // Where the forger says to be from: a domain that is there and says nothing.
    insert("nowhere.test", "@ 300 A 127.0.0.66\n")?;
    Ok(zones)
}

/// Starts a server process and waits until it listens.
async fn spawn(config: &Path) -> Result<Child> {
    let program = std::env::current_exe().context("where is this program?")?;
    let mut child = Command::new(program)
        .args(["serve", "--json", "--config"])
        .arg(config)
        .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()?;
    let stdout = child.stdout.take().context("a piped stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let first = tokio::time::timeout(START, lines.next_line()).await;
    match first {
        Ok(Ok(Some(line))) if line.contains("listening") => Ok(child),
        _ => {
            let _ = child.kill().await;
            bail!("it did not start; its log is above")
        }
    }
}
