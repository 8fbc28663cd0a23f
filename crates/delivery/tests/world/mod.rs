//! A world in memory for tests of delivery: a zone, a network of mail servers on pipes, a clock that
//! stands still, and the real store on SQLite.
//!
//! TLS is played: both ends agree that the pipe is secure, or the network says that the handshake
//! fails. What is tested is who demands it and what follows, not cryptography.
#![allow(dead_code)]

pub mod peers;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::DuplexStream;
use waxwing_delivery::outbound::{Hosts, TlsResult};
use waxwing_delivery::{
    Accepted, Acceptor, BoxStream, Clock, Connect, Courier, Dice, Entrance, Incoming, Policy,
    Refusal, Runner, Secured, Signers, TlsFailure, TlsRules, Verify, VirtualClock,
};
use waxwing_dns::{FakeZone, Zone};
use waxwing_message::journey::{Event, Source, Step, TlsUsed};
use waxwing_message::{Address, Envelope, JourneyId, Recipient, ReversePath};
use waxwing_store::{AccountId, NewAccount, OpenSettings, Spool, Store};

pub type TestRunner = Runner<Arc<FakeZone>, Arc<Net>, VirtualClock>;

/// What answers at an address.
pub type Peer = Arc<dyn Fn(DuplexStream, Arc<VirtualClock>) + Send + Sync>;

/// How a handshake with a host of that name ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PlayedTls {
    Verified,
    /// Encrypted, but the certificate does not fit.
    Unverified,
    /// Encrypted, with a certificate that TLSA records name and no public root signed.
    Dane,
    Fails,
}

/// The network.
pub struct Net {
    peers: Mutex<HashMap<SocketAddr, Peer>>,
    black_holes: Mutex<Vec<SocketAddr>>,
    tls: Mutex<HashMap<String, PlayedTls>>,
    clock: Arc<VirtualClock>,
    /// Every connection that was opened.
    pub connected: Mutex<Vec<SocketAddr>>,
    /// Every handshake, and what was demanded.
    pub handshakes: Mutex<Vec<(String, Verify)>>,
}

impl Net {
    pub fn serve(&self, address: &str, peer: Peer) {
        self.peers.lock().unwrap().insert(at(address), peer);
    }
    pub fn go_away(&self, address: &str) {
        self.peers.lock().unwrap().remove(&at(address));
    }
    /// Connecting there never ends.
    pub fn black_hole(&self, address: &str) {
        self.black_holes.lock().unwrap().push(at(address));
    }
    pub fn tls(&self, host: &str, tls: PlayedTls) {
        self.tls.lock().unwrap().insert(host.to_owned(), tls);
    }
    pub fn connections(&self) -> usize {
        self.connected.lock().unwrap().len()
    }
}

pub fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 25)
}

impl Connect for Net {
    async fn connect(&self, to: SocketAddr, _from: Option<IpAddr>) -> io::Result<BoxStream> {
        if self.black_holes.lock().unwrap().contains(&to) {
            std::future::pending::<()>().await;
        }
        let peer = self.peers.lock().unwrap().get(&to).cloned();
        let peer = peer.ok_or(io::ErrorKind::ConnectionRefused)?;
        self.connected.lock().unwrap().push(to);
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        peer(theirs, self.clock.clone());
        Ok(Box::new(ours))
    }

    async fn secure(
        &self,
        stream: BoxStream,
        server_name: &str,
        verify: Verify,
    ) -> Result<Secured, TlsFailure> {
        self.handshakes.lock().unwrap().push((server_name.to_owned(), verify.clone()));
        let tls = self.tls.lock().unwrap().get(server_name).copied();
        let peer_verified = match (tls.unwrap_or(PlayedTls::Unverified), verify) {
            (PlayedTls::Fails, _) => return Err("bad record MAC".to_owned().into()),
            (PlayedTls::Unverified | PlayedTls::Dane, Verify::Require) => return Err(misfit()),
            (PlayedTls::Unverified | PlayedTls::Verified, Verify::Dane(_)) => {
                let reason = "no record fits".to_owned();
                return Err(TlsFailure { result: TlsResult::CertificateNotTrusted, reason });
            }
            (PlayedTls::Dane, Verify::Dane(_)) => true,
            (tls, _) => tls == PlayedTls::Verified,
        };
        let doubt = (!peer_verified).then(misfit);
        let (version, cipher) = ("TLSv1.3".to_owned(), "TLS13_AES_256_GCM_SHA384".to_owned());
        let used = TlsUsed { version, cipher, peer_verified };
        Ok(Secured { stream, used, session: waxwing_smtp::Tls::default(), doubt })
    }
}

fn misfit() -> TlsFailure {
    let reason = "the certificate does not fit the name".to_owned();
    TlsFailure { result: TlsResult::CertificateHostMismatch, reason }
}

/// Everything at once: our server is `mx.wax.test` with the domain `wax.test`.
pub struct World {
    pub store: Store,
    pub clock: Arc<VirtualClock>,
    pub net: Arc<Net>,
    pub zone: Arc<FakeZone>,
    pub acceptor: Acceptor<Arc<FakeZone>, Arc<VirtualClock>>,
    pub runner: Arc<TestRunner>,
    pub alice: AccountId,
    policy: Arc<Policy>,
    folder: tempfile::TempDir,
}

/// What everybody else's DNS says.
const ELSEWHERE: &str = "
client   A 192.0.2.200
wing     MX 10 mx.wing
mx.wing  A 192.0.2.1
two      MX 10 mx1.two
two      MX 20 mx2.two
mx1.two  A 192.0.2.11
mx2.two  A 192.0.2.12
null     MX 0 .
loop     MX 10 own.loop
own.loop A 192.0.2.99
";

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(choose: impl FnOnce(&mut Policy)) -> World {
        World::under(|_| TlsRules::dane_only(), choose).await
    }

    pub async fn under(
        tls: impl FnOnce(&Store) -> TlsRules,
        choose: impl FnOnce(&mut Policy),
    ) -> World {
        let folder = tempfile::tempdir().unwrap();
        let settings = OpenSettings {
            database_url: format!("sqlite:{}", folder.path().join("wax.db").display()),
            blobs: None,
            spool_folder: folder.path().to_owned(),
            node: "test".to_owned(),
        };
        let store = Store::open(settings).await.unwrap();
        store.create_domain("wax.test").await.unwrap();
        let clock = Arc::new(VirtualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        let net = Arc::new(Net {
            peers: Mutex::default(),
            black_holes: Mutex::default(),
            tls: Mutex::default(),
            clock: clock.clone(),
            connected: Mutex::default(),
            handshakes: Mutex::default(),
        });
        let zone = FakeZone::parse("example", ELSEWHERE).unwrap();
        zone.insert(Zone::parse("wax.test", "@ MX 10 mx\nmx A 192.0.2.99\n").unwrap());
        let zone = Arc::new(zone);
        let mut policy = Policy::new("mx.wax.test");
        policy.own_addresses = vec!["192.0.2.99".parse().unwrap()];
        // What is found out about senders is tested by itself.
        policy.judging.examine = false;
        policy.schedule.jitter_percent = 0;
        policy.lease_for = 4 * PEERS_ANSWER_WITHIN;
        choose(&mut policy);
        let policy = Arc::new(policy);
        let dice = Arc::new(Dice::seeded(1));
        let acceptor =
            Acceptor::new(store.clone(), policy.clone(), clock.clone(), dice.clone(), zone.clone());
        let tls = tls(&store);
        let runner = Runner::new(Courier {
            store: store.clone(),
            resolver: zone.clone(),
            net: net.clone(),
            clock: clock.clone(),
            policy: policy.clone(),
            dice,
            hosts: Hosts::new(&policy),
            signers: Signers::default(),
            tls,
        });
        let alice = account(&store, "alice@wax.test").await;
        World { store, clock, net, zone, acceptor, runner, alice, policy, folder }
    }

    /// What sends mail in another process on the same database, or in this one started again.
    pub async fn another_runner(&self, tls: impl FnOnce(&Store) -> TlsRules) -> Arc<TestRunner> {
        let store = self.second_store().await;
        Runner::new(Courier {
            tls: tls(&store),
            store,
            resolver: self.zone.clone(),
            net: self.net.clone(),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            dice: Arc::new(Dice::seeded(2)),
            hosts: Hosts::new(&self.policy),
            signers: Signers::default(),
        })
    }

    /// Another handle on the same database, as another process has it.
    pub async fn second_store(&self) -> Store {
        let settings = OpenSettings {
            database_url: format!("sqlite:{}", self.folder.path().join("wax.db").display()),
            blobs: None,
            spool_folder: self.folder.path().to_owned(),
            node: "second".to_owned(),
        };
        Store::open(settings).await.unwrap()
    }

    /// The database itself, to be broken.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("wax.db")).unwrap()
    }

    /// Changes something behind the store's back.
    pub fn execute(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap();
    }

    pub async fn account(&self, address: &str) -> AccountId {
        account(&self.store, address).await
    }

    pub async fn alias(&self, address_: &str, target: &str) {
        self.store.create_alias(&address(address_), &address(target)).await.unwrap();
    }

    /// Alice submits a message.
    pub async fn submit(&self, envelope: Envelope, text: &str) -> Result<Accepted, Refusal> {
        let entrance = Entrance::Submission { account: self.alice };
        self.take(entrance, envelope, text.as_bytes()).await
    }

    /// Another server hands a message over.
    pub async fn receive(&self, envelope: Envelope, text: &str) -> Result<Accepted, Refusal> {
        self.take(Entrance::Mx, envelope, text.as_bytes()).await
    }

    pub async fn take(
        &self,
        entrance: Entrance,
        envelope: Envelope,
        octets: &[u8],
    ) -> Result<Accepted, Refusal> {
        self.acceptor.accept(incoming(entrance, envelope, octets)).await
    }

    /// Submits a short message from Alice to these.
    pub async fn send(&self, to: &[&str]) -> Accepted {
        self.submit(from_alice(to), LETTER).await.unwrap()
    }

    /// Attempts what is due now; gives how many groups.
    pub async fn run(&self) -> usize {
        self.runner.run_due().await.unwrap()
    }

    /// Goes to the next due moment and attempts; false when the queue is empty.
    pub async fn run_next(&self) -> bool {
        let Some(due) = self.store.next_due().await.unwrap() else { return false };
        self.clock.advance_to(due);
        self.run().await > 0
    }

    /// Until the queue is empty, day after day. Panics when it never is.
    pub async fn run_to_the_end(&self) {
        for _ in 0..500 {
            if !self.run_next().await {
                return;
            }
        }
        panic!("the queue does not come to an end");
    }

    pub async fn events(&self, journey: JourneyId) -> Vec<Step> {
        let journey = self.store.journey(journey).await.unwrap().expect("the journey is kept");
        journey.events.into_iter().map(|Event { step, .. }| step).collect()
    }

    pub async fn queue_len(&self) -> usize {
        self.store.queue(None, 10_000).await.unwrap().len()
    }

    /// The messages in a mailbox, oldest first.
    pub async fn mailbox(&self, account: AccountId, name: &str) -> Vec<String> {
        let mailbox = self.store.mailbox_by_name(account, name).await.unwrap().expect("a mailbox");
        let (entries, _) = self.store.entries(mailbox.id).await.unwrap();
        let mut messages = Vec::new();
        for entry in entries {
            let content = self.store.content(mailbox.id, entry.uid).await.unwrap().unwrap();
            messages.push(String::from_utf8(content.read_all().await.unwrap()).unwrap());
        }
        messages
    }

    pub async fn inbox(&self, account: AccountId) -> Vec<String> {
        self.mailbox(account, "INBOX").await
    }

    /// Lets time pass as long as somebody waits for a peer, until the work is done.
    ///
    /// Peers live in this thread: after some turns, one that has not answered is silent. Nobody who
    /// waits for the store sleeps for less than [`PEERS_ANSWER_WITHIN`], so the clock stands still
    /// meanwhile.
    pub async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = self.clock.somebody_sleeps(PEERS_ANSWER_WITHIN) => {}
            }
            for _ in 0..200 {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::task::yield_now() => {}
                }
            }
            if let Some(left) = self.clock.earliest(PEERS_ANSWER_WITHIN) {
                self.clock.advance(left);
            }
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Longer than any timeout towards a peer, shorter than what passes before a lease is renewed.
pub const PEERS_ANSWER_WITHIN: Duration = Duration::from_secs(3600);

pub const LETTER: &str =
    "From: alice@wax.test\r\nTo: bob@wing.example\r\nSubject: hello\r\n\r\nHello, Bob.\r\n";

pub async fn account(store: &Store, at: &str) -> AccountId {
    let new = NewAccount {
        address: &address(at),
        display_name: "",
        password: "correct horse battery staple",
        quota_octets: None,
    };
    store.create_account(new).await.unwrap().id
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn from(sender: &str, to: &[&str]) -> Envelope {
    let sender = match sender {
        "" => ReversePath::Null,
        sender => ReversePath::Address(address(sender)),
    };
    Envelope::plain(sender, to.iter().map(|to| address(to)).collect())
}

pub fn from_alice(to: &[&str]) -> Envelope {
    from("alice@wax.test", to)
}

pub fn recipient(text: &str) -> Recipient {
    Recipient::plain(address(text))
}

pub fn incoming(entrance: Entrance, envelope: Envelope, octets: &[u8]) -> Incoming {
    let login = match entrance {
        Entrance::Submission { .. } => Some(address("alice@wax.test")),
        _ => None,
    };
    Incoming {
        entrance,
        source: Source {
            ip: Some("192.0.2.200".parse().unwrap()),
            helo: Some("client.example".to_owned()),
            tls: None,
            login,
        },
        protocol: "ESMTP".to_owned(),
        envelope,
        spool: Spool::from_bytes(octets.to_vec()),
        verifier: None,
    }
}

/// Steps by kind, for a first look.
pub fn kinds(steps: &[Step]) -> Vec<&'static str> {
    steps
        .iter()
        .map(|step| match step {
            Step::Accepted { .. } => "accepted",
            Step::Expanded { .. } => "expanded",
            Step::Sorted { .. } => "sorted",
            Step::Deposited { .. } => "deposited",
            Step::Queued { .. } => "queued",
            Step::Routed { .. } => "routed",
            Step::Attempted { .. } => "attempted",
            Step::Deferred { .. } => "deferred",
            Step::DelayWarned { .. } => "delay warned",
            Step::Bounced { .. } => "bounced",
            Step::SuccessReported { .. } => "success reported",
            Step::Operator { .. } => "operator",
            Step::Examined { .. } => "examined",
            Step::Judged { .. } => "judged",
            Step::Refused { .. } => "refused",
            Step::ReportRead { .. } => "report read",
            Step::ReportNotRead { .. } => "report not read",
        })
        .collect()
}

/// Counts by kind.
pub fn tally(steps: &[Step]) -> BTreeMap<&'static str, usize> {
    let mut tally = BTreeMap::new();
    for kind in kinds(steps) {
        *tally.entry(kind).or_default() += 1;
    }
    tally
}
