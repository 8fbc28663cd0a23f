//! Two whole servers and the DNS between them: `wax.test` (host 1 of the test's subnet) and
//! `wing.test` (host 2), each with a data folder of its own, certificates of the test's authority,
//! and MX lookup through an authoritative server that runs in the test's process.
//!
//! | account | at |
//! |---|---|
//! | alice, amy | wax.test |
//! | bob, ben | wing.test |

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use waxwing_dns::Zone;
use waxwing_dns::server::{AuthoritativeServer, SharedZones};
use waxwing_dns::zone::Zones;

use crate::net::Subnet;
use crate::server::{Server, Setup};
use crate::tls::Authority;

/// Where names are asked for, on host 53.
const DNS_PORT: u16 = 5353;

/// A DNS server in this process, until dropped.
pub struct Names {
    zones: SharedZones,
    /// Where it answers.
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Names {
    /// Serves nothing yet.
    pub fn serve(address: SocketAddr) -> Names {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(AuthoritativeServer::bind(address, Zones::default()));
        let server = server.unwrap_or_else(|error| panic!("DNS on {address}: {error}"));
        let zones = server.zones();
        runtime.spawn(server.run());
        Names { zones, address, _runtime: runtime }
    }

    /// Puts a zone in place, given as master file text.
    pub fn zone(&self, apex: &str, text: &str) {
        let zone = Zone::parse(apex, text).unwrap_or_else(|error| panic!("{apex}: {error}"));
        self.zones.update(|zones| zones.insert(zone));
    }

    /// A zone whose mail goes to `mx` there, at this address.
    pub fn mail_domain(&self, domain: &str, address: SocketAddr) {
        let ip = address.ip();
        let text = format!("$TTL 1\n@ MX 10 mx\nmx A {ip}\n@ TXT \"v=spf1 mx -all\"\n");
        self.zone(domain, &text);
    }
}

/// The ground that servers stand on: addresses, a folder, an authority, names.
pub struct Ground {
    /// Addresses.
    pub net: Subnet,
    /// Names.
    pub names: Names,
    /// Certificates.
    pub authority: Authority,
    /// Files.
    pub folder: TempDir,
}

impl Ground {
    /// New ground.
    pub fn new() -> Ground {
        let net = Subnet::claim();
        let folder = tempfile::Builder::new().prefix("waxwing-test").tempdir().expect("a folder");
        // Postfix and PostgreSQL, who are not root, read certificates here.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("our own folder");
        let authority = Authority::new(folder.path());
        let names = Names::serve(net.at(53, DNS_PORT));
        Ground { net, names, authority, folder }
    }

    /// The setup of a server for a domain on host `n`, with its MX record in place.
    pub fn setup(&self, domain: &str, n: u8) -> Setup {
        let ip = self.net.host(n);
        let mut setup = Setup::new(domain, ip, &self.folder.path().join(format!("{domain}-{n}")));
        self.names.mail_domain(domain, self.net.at(n, crate::server::SMTP));
        let pair = self.authority.issue(&format!("mx.{domain}"), &[ip]);
        setup.certificate(&pair);
        setup.dns = vec![format!("servers = [\"{}\"]", self.names.address)];
        setup.outbound.push(format!("extra-roots = {:?}", self.authority.root));
        setup
    }

    /// Puts the keys of a server's domain into the DNS, as its operator would.
    pub fn publish_keys(&self, server: &Server) {
        let domain = &server.setup.domain;
        let keys = server.cli_json(&["domain", "keys", domain]);
        for key in keys.as_array().expect("a list of keys") {
            let record = key["record"].as_str().expect("a record");
            let strings = record.as_bytes().chunks(200).map(String::from_utf8_lossy);
            let strings: Vec<String> = strings.map(|part| format!("\"{part}\"")).collect();
            let name = key["record_name"].as_str().expect("a name");
            self.names.zone(name, &format!("$TTL 1\n@ TXT {}\n", strings.join(" ")));
        }
    }
}

impl Default for Ground {
    fn default() -> Ground {
        Ground::new()
    }
}

/// Both servers, running.
pub struct World {
    /// wax.test
    pub wax: Server,
    /// wing.test
    pub wing: Server,
    /// What they stand on; dropped last.
    pub ground: Ground,
}

impl World {
    /// Starts both.
    pub fn start() -> World {
        World::with(|_, _| {})
    }

    /// Starts both after a change to their setups (wax first).
    pub fn with(change: impl FnOnce(&mut Setup, &mut Setup)) -> World {
        let ground = Ground::new();
        let mut wax = ground.setup("wax.test", 1);
        let mut wing = ground.setup("wing.test", 2);
        change(&mut wax, &mut wing);
        let (mut wax, mut wing) = (Server::prepare(wax), Server::prepare(wing));
        for (server, users) in [(&wax, ["alice", "amy"]), (&wing, ["bob", "ben"])] {
            for user in users {
                server.add_user(user);
            }
        }
        for server in [&wax, &wing] {
            ground.publish_keys(server);
        }
        wax.run();
        wing.run();
        World { wax, wing, ground }
    }
}

/// Time for a message to get from one server to another.
pub const ON_THE_ROAD: Duration = Duration::from_secs(30);
