//! Signing keys replaced by themselves: under virtual time with a primary server that does as it is
//! told, and through BIND.

mod world;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use waxwing_delivery::VirtualClock;
use waxwing_delivery::keys::{Advanced, KeySettings, Keys, Via, ensure, record_name};
use waxwing_dns::{
    Change, ChangeZone, FakeZone, NameServers, Resolve, Resolver, ResolverOptions, UpdateError,
    UpdateServer, Zone,
};
use waxwing_store::{SigningKeyState, StoredSigningKey};
use world::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DOMAIN: &str = "wax.test";

/// A primary server, and how it behaves.
struct Primary {
    zone: Arc<FakeZone>,
    records: Mutex<BTreeMap<String, String>>,
    refuses: Mutex<bool>,
    /// It takes changes, and the servers that are asked do not follow.
    hides: Mutex<bool>,
}

impl Primary {
    fn publish(&self) {
        if *self.hides.lock().unwrap() {
            return;
        }
        let mut text = "$TTL 60\n@ MX 10 mx\n".to_owned();
        for (name, record) in &*self.records.lock().unwrap() {
            let strings = record.as_bytes().chunks(200).map(String::from_utf8_lossy);
            let strings: Vec<String> = strings.map(|part| format!("\"{part}\"")).collect();
            text += &format!("{name}. TXT {}\n", strings.join(" "));
        }
        self.zone.insert(Zone::parse(DOMAIN, &text).unwrap());
    }

    fn set(&self, field: &Mutex<bool>, value: bool) {
        *field.lock().unwrap() = value;
        self.publish();
    }

    fn names(&self) -> usize {
        self.records.lock().unwrap().len()
    }
}

impl ChangeZone for Primary {
    fn change<'a>(
        &'a self,
        zone: &'a str,
        change: &'a Change,
    ) -> BoxFuture<'a, Result<(), UpdateError>> {
        assert_eq!(zone, DOMAIN);
        if *self.refuses.lock().unwrap() {
            let server = "192.0.2.53:53".parse().unwrap();
            let why = "it does not like us (REFUSED)".to_owned();
            return Box::pin(async move { Err(UpdateError::Refused { server, why }) });
        }
        let mut records = self.records.lock().unwrap();
        match change {
            Change::Add { name, text, .. } => records.insert(name.clone(), text.clone()),
            Change::Remove { name } => records.remove(name),
        };
        drop(records);
        self.publish();
        Box::pin(async { Ok(()) })
    }
}

struct Scene {
    world: World,
    primary: Arc<Primary>,
    keys: Keys<Arc<FakeZone>, Arc<VirtualClock>>,
}

impl Scene {
    /// With keys that sign, and whose records are in the DNS.
    async fn new() -> Scene {
        let scene = Scene::bare(true).await;
        ensure(&scene.world.store, DOMAIN, scene.world.now()).await.unwrap();
        scene.tend().await;
        scene.pass(HOUR).await;
        assert_eq!(scene.primary.names(), 2);
        scene
    }

    async fn bare(may_update: bool) -> Scene {
        let world = World::new().await;
        let primary = Arc::new(Primary {
            zone: world.zone.clone(),
            records: Mutex::default(),
            refuses: Mutex::default(),
            hides: Mutex::default(),
        });
        let via = may_update.then(|| Via { server: primary.clone(), zone: None });
        let keys = Keys {
            store: world.store.clone(),
            resolver: world.zone.clone(),
            clock: world.clock.clone(),
            settings: KeySettings { via, ..KeySettings::default() },
        };
        Scene { world, primary, keys }
    }

    async fn tend(&self) {
        self.keys.tend().await.unwrap();
    }

    /// Lets so much time pass, and looks after the keys.
    async fn pass(&self, span: Duration) {
        self.world.clock.advance(span);
        self.tend().await;
    }

    async fn all(&self) -> Vec<StoredSigningKey> {
        self.world.store.signing_keys(Some(DOMAIN)).await.unwrap()
    }

    async fn of(&self, state: SigningKeyState) -> Vec<StoredSigningKey> {
        self.all().await.into_iter().filter(|key| key.state == state).collect()
    }

    async fn counts(&self) -> [usize; 3] {
        use SigningKeyState::{Published, Retired, Signing};
        let all = self.all().await;
        [Published, Signing, Retired]
            .map(|state| all.iter().filter(|key| key.state == state).count())
    }

    /// Every key that signs can be looked up.
    async fn signatures_hold(&self) {
        for key in self.of(SigningKeyState::Signing).await {
            let answer = self.world.zone.txt(&record_name(&key)).await.unwrap();
            assert_eq!(answer.records, [key.record.as_bytes()]);
        }
    }

    /// To the moment when the keys are due, with new ones made.
    async fn due(&self) {
        self.pass(180 * DAY).await;
        assert_eq!(self.counts().await, [2, 2, 0]);
    }
}

#[tokio::test]
async fn a_rotation_goes_by_itself_and_signatures_always_hold() {
    let scene = Scene::new().await;
    let first: Vec<String> = scene.all().await.into_iter().map(|key| key.selector).collect();
    let mut seen = vec![scene.counts().await];
    // Twice around, at every sixth hour.
    for _ in 0..4 * 380 {
        scene.pass(6 * HOUR).await;
        scene.signatures_hold().await;
        let counts = scene.counts().await;
        if seen.last() != Some(&counts) {
            seen.push(counts);
        }
    }
    let round = [[2, 2, 0], [0, 2, 2], [0, 2, 0]];
    assert_eq!(seen, [&[[0, 2, 0]][..], &round, &round].concat());
    assert_eq!(scene.primary.names(), 2, "old records are withdrawn");
    assert!(scene.all().await.iter().all(|key| !first.contains(&key.selector)));
}

#[tokio::test]
async fn new_keys_sign_only_after_the_dns_has_shown_them_for_a_while() {
    let scene = Scene::new().await;
    scene.due().await;
    scene.pass(HOUR / 2).await;
    scene.pass(HOUR / 2).await;
    assert_eq!(scene.counts().await, [2, 2, 0], "shown for half an hour");
    scene.pass(HOUR / 2).await;
    assert_eq!(scene.counts().await, [0, 2, 2]);
    // The old ones stay for a week, for mail on its way.
    scene.pass(6 * DAY).await;
    assert_eq!((scene.counts().await, scene.primary.names()), ([0, 2, 2], 4));
    scene.pass(DAY).await;
    assert_eq!((scene.counts().await, scene.primary.names()), ([0, 2, 0], 2));
}

#[tokio::test]
async fn retired_keys_stay_for_as_long_as_mail_may_wait() {
    let mut scene = Scene::new().await;
    scene.keys.settings.expire_after = 10 * DAY;
    scene.due().await;
    scene.pass(HOUR).await;
    scene.pass(HOUR).await;
    assert_eq!(scene.counts().await, [0, 2, 2]);
    scene.pass(11 * DAY).await;
    assert_eq!(scene.counts().await, [0, 2, 2]);
    scene.pass(DAY).await;
    assert_eq!(scene.counts().await, [0, 2, 0]);
}

#[tokio::test]
async fn a_server_that_refuses_leaves_the_old_keys_signing_and_is_named() {
    let scene = Scene::new().await;
    scene.primary.set(&scene.primary.refuses, true);
    scene.due().await;
    for _ in 0..30 {
        scene.pass(DAY).await;
        scene.signatures_hold().await;
    }
    assert_eq!(scene.counts().await, [2, 2, 0]);
    for key in scene.of(SigningKeyState::Published).await {
        assert!(key.trouble.contains("192.0.2.53:53 refuses"), "{}", key.trouble);
        assert_eq!(key.shown_at, None);
    }
    // Mended, it goes on by itself.
    scene.primary.set(&scene.primary.refuses, false);
    for _ in 0..3 {
        scene.pass(HOUR).await;
    }
    assert_eq!(scene.counts().await, [0, 2, 2]);
    assert!(scene.all().await.iter().all(|key| key.trouble.is_empty()));
    // And it may refuse to take the old ones away.
    scene.primary.set(&scene.primary.refuses, true);
    scene.pass(8 * DAY).await;
    assert_eq!(scene.counts().await, [0, 2, 2]);
    let retired = scene.of(SigningKeyState::Retired).await;
    assert!(retired.iter().all(|key| key.trouble.contains("refuses")));
    scene.primary.set(&scene.primary.refuses, false);
    scene.pass(HOUR).await;
    assert_eq!((scene.counts().await, scene.primary.names()), ([0, 2, 0], 2));
}

#[tokio::test]
async fn what_the_dns_does_not_show_never_signs() {
    let scene = Scene::new().await;
    scene.due().await;
    let fresh = record_name(&scene.of(SigningKeyState::Published).await[0]);
    // Seen, then away again, then not to be looked up.
    scene.pass(HOUR / 2).await;
    scene.primary.records.lock().unwrap().remove(&fresh);
    scene.primary.publish();
    *scene.primary.refuses.lock().unwrap() = true;
    scene.pass(DAY).await;
    assert_eq!(scene.counts().await, [2, 2, 0]);
    *scene.primary.refuses.lock().unwrap() = false;
    scene.world.zone.time_out(&fresh);
    scene.pass(DAY).await;
    assert_eq!(scene.counts().await, [2, 2, 0]);
    let key = &scene.of(SigningKeyState::Published).await[0];
    assert!(key.trouble.contains("cannot be looked up"), "{}", key.trouble);
    // Somebody else's record at the name is left to the operator.
    scene.world.zone.mend(&fresh);
    scene.primary.records.lock().unwrap().insert(fresh.clone(), "v=DKIM1; p=".to_owned());
    scene.primary.publish();
    scene.pass(DAY).await;
    assert_eq!(scene.counts().await, [2, 2, 0]);
    let key = &scene.of(SigningKeyState::Published).await[0];
    assert!(key.trouble.contains("another record"), "{}", key.trouble);
    scene.primary.records.lock().unwrap().remove(&fresh);
    scene.primary.publish();
    for _ in 0..3 {
        scene.pass(HOUR).await;
    }
    assert_eq!(scene.counts().await, [0, 2, 2]);
}

#[tokio::test]
async fn a_change_that_nobody_sees_changes_nothing() {
    let scene = Scene::new().await;
    scene.primary.set(&scene.primary.hides, true);
    scene.due().await;
    scene.pass(10 * DAY).await;
    assert_eq!((scene.counts().await, scene.primary.names()), ([2, 2, 0], 4));
    scene.signatures_hold().await;
    scene.primary.set(&scene.primary.hides, false);
    scene.pass(HOUR).await;
    assert_eq!(scene.counts().await, [2, 2, 0]);
    scene.pass(HOUR).await;
    assert_eq!(scene.counts().await, [0, 2, 2]);
}

#[tokio::test]
async fn of_two_nodes_one_makes_the_keys() {
    let scene = Scene::new().await;
    let other = Keys {
        store: scene.world.second_store().await,
        resolver: scene.world.zone.clone(),
        clock: scene.world.clock.clone(),
        settings: scene.keys.settings.clone(),
    };
    scene.world.clock.advance(180 * DAY);
    let (one, two) = tokio::join!(scene.keys.tend(), other.tend());
    one.and(two).unwrap();
    assert_eq!((scene.counts().await, scene.primary.names()), ([2, 2, 0], 4));
}

#[tokio::test]
async fn without_an_update_server_an_operator_takes_each_step() {
    let scene = Scene::bare(false).await;
    let first = ensure(&scene.world.store, DOMAIN, scene.world.now()).await.unwrap();
    let publish = |keys: &[StoredSigningKey]| {
        let mut records = scene.primary.records.lock().unwrap();
        records.extend(keys.iter().map(|key| (record_name(key), key.record.clone())));
        drop(records);
        scene.primary.publish();
    };
    publish(&first);
    scene.pass(200 * DAY).await;
    assert_eq!(scene.counts().await, [0, 2, 0], "nothing goes by itself");
    let now = scene.world.now();
    assert!(scene.all().await.iter().all(|key| scene.keys.settings.is_due(key, now)));
    let Advanced::Made(made) = scene.keys.advance(DOMAIN, false).await.unwrap() else { panic!() };
    let Advanced::NotShown(missing) = scene.keys.advance(DOMAIN, false).await.unwrap() else {
        panic!()
    };
    assert_eq!((made.len(), missing.len()), (2, 2));
    publish(&made);
    let Advanced::Switched { signing, retired } = scene.keys.advance(DOMAIN, false).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((signing.len(), retired.len()), (2, 2));
    scene.world.clock.advance(8 * DAY);
    let Advanced::Removed { keys, withdrawn } = scene.keys.advance(DOMAIN, false).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((keys.len(), withdrawn), (2, false));
}

// ---- BIND ----

const SECRET: &[u8; 32] = b"thirty-two octets of a secret...";
const SECRET_BASE64: &str = "dGhpcnR5LXR3byBvY3RldHMgb2YgYSBzZWNyZXQuLi4=";

/// BIND's `named` with the zone wax.test, which the key `waxwing` may change texts in; ended when
/// dropped.
struct Named {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Named {
    fn start() -> Named {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().display();
        let config = format!(
            "key \"waxwing\" {{ algorithm hmac-sha256; secret \"{SECRET_BASE64}\"; }};\n\
             key \"guest\" {{ algorithm hmac-sha256; secret \"{SECRET_BASE64}\"; }};\n\
             options {{ directory \"{path}\"; pid-file \"{path}/pid\"; \
             session-keyfile \"{path}/session\"; listen-on port {port} {{ 127.0.0.1; }}; \
             listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; }};\n\
             controls {{ }};\n\
             zone \"wax.test\" {{ type primary; file \"{path}/zone\"; \
             update-policy {{ grant waxwing zonesub TXT; }}; }};\n"
        );
        let zone = "$TTL 0\n@ SOA ns root 1 1 1 1 0\n@ NS ns\nns A 127.0.0.1\n";
        std::fs::write(folder.path().join("conf"), config).unwrap();
        std::fs::write(folder.path().join("zone"), zone).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new("/usr/sbin/named")
            .arg("-g")
            .arg("-c")
            .arg(folder.path().join("conf"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("BIND is installed by scripts/install unit");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Named { process, address, _folder: folder }
    }

    /// As it sees the zone now.
    fn resolver(&self) -> Resolver {
        Resolver::new(NameServers::These(vec![self.address]), ResolverOptions::default()).unwrap()
    }

    /// Until it answers.
    async fn ready(self) -> Named {
        let began = std::time::Instant::now();
        while self.resolver().soa(DOMAIN).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "named does not answer");
            tokio::task::yield_now().await;
        }
        self
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn bind_takes_every_step_of_a_rotation() {
    let named = Named::start().ready().await;
    let world = World::new().await;
    let server = UpdateServer::new(named.address, "waxwing", SECRET).unwrap();
    let settings = KeySettings {
        via: Some(Via { server: Arc::new(server), zone: None }),
        ..KeySettings::default()
    };
    let tend = async || {
        let (store, clock) = (world.store.clone(), world.clock.clone());
        let keys = Keys { store, clock, resolver: named.resolver(), settings: settings.clone() };
        keys.tend().await.unwrap();
        let mut keys = world.store.signing_keys(Some(DOMAIN)).await.unwrap();
        let troubles: Vec<_> = keys.iter().filter(|key| !key.trouble.is_empty()).collect();
        assert!(troubles.is_empty(), "{}", troubles[0].trouble);
        keys.sort_by_key(|key| key.state);
        keys
    };
    let shown = async |key: &StoredSigningKey| match named.resolver().txt(&record_name(key)).await {
        Ok(answer) => {
            assert_eq!(answer.records, [key.record.as_bytes()]);
            true
        }
        Err(error) => {
            assert!(error.is_absent(), "{error}");
            false
        }
    };
    ensure(&world.store, DOMAIN, world.now()).await.unwrap();
    let first = tend().await;
    for key in &first {
        assert!(shown(key).await, "the first keys are added");
    }
    world.clock.advance(180 * DAY);
    let all = tend().await;
    assert_eq!(all.len(), 4);
    for key in &all {
        assert!(shown(key).await, "{}", key.selector);
    }
    for _ in 0..2 {
        tend().await;
        world.clock.advance(HOUR);
    }
    let all = tend().await;
    let states: Vec<_> = all.iter().map(|key| key.state).collect();
    use SigningKeyState::{Retired, Signing};
    assert_eq!(states, [Signing, Signing, Retired, Retired]);
    world.clock.advance(8 * DAY);
    let left = tend().await;
    assert_eq!(left.len(), 2);
    for key in &first {
        assert!(!shown(key).await, "{} is withdrawn", key.selector);
    }
    for key in &left {
        assert!(shown(key).await);
    }
}

#[tokio::test]
async fn bind_refuses_what_it_should_and_the_reason_is_told() {
    let named = Named::start().ready().await;
    let change = |name: &str| Change::Add {
        name: name.to_owned(),
        ttl_secs: 60,
        text: "v=DKIM1; p=".to_owned(),
    };
    let ours = change("s._domainkey.wax.test");
    for (key, secret, zone, words) in [
        ("waxwing", b"another secret of thirty-two oct", DOMAIN, "its secret differs"),
        ("nobody", SECRET, DOMAIN, "does not know the key nobody"),
        ("guest", SECRET, DOMAIN, "does not let the key guest"),
        ("waxwing", SECRET, "test", "NOTAUTH"),
    ] {
        let server = UpdateServer::new(named.address, key, secret).unwrap();
        let error = server.change(zone, &ours).await.unwrap_err();
        assert!(matches!(&error, UpdateError::Refused { .. }), "{key}: {error}");
        assert!(error.to_string().contains(words), "{key}: {error}");
    }
    assert!(named.resolver().txt("s._domainkey.wax.test").await.unwrap_err().is_absent());
    let nobody = UpdateServer::new("127.0.0.1:1".parse().unwrap(), "waxwing", SECRET).unwrap();
    let error = nobody.change(DOMAIN, &ours).await.unwrap_err();
    assert!(matches!(error, UpdateError::Unreachable { .. }), "{error}");
    let server = UpdateServer::new(named.address, "waxwing", SECRET).unwrap();
    server.change(DOMAIN, &ours).await.unwrap();
    assert_eq!(
        named.resolver().txt("s._domainkey.wax.test").await.unwrap().records,
        [b"v=DKIM1; p="]
    );
}
