//! What a killed process, a full disk and a lost server leave behind: everything that was
//! acknowledged, and nothing half.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use waxwing_message::JourneyId;
use waxwing_store::*;

use crate::world::*;

crate::on_both!(a_killed_process_keeps_what_it_acknowledged);

/// Set for the child: the URL of the database.
const CHILD: &str = "WAXWING_STORE_CRASH_CHILD";

async fn a_killed_process_keeps_what_it_acknowledged(world: World) {
    world.account("bob@wing.test").await;
    world.account("carol@wing.test").await;
    let mut acknowledged: HashSet<JourneyId> = HashSet::new();
    for round in 0..3usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::flood_until_killed", "--nocapture", "--ignored"])
            .env(CHILD, &world.url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed in full flight, after another number of messages each time.
        let mut left = 150 + 97 * round;
        for line in lines {
            let Ok(line) = line else { break };
            let Some(id) = line.strip_prefix("accepted ") else { continue };
            // The last line may be cut short by the kill.
            let Ok(id) = id.parse() else { continue };
            acknowledged.insert(id);
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());

    let store = world.second().await;
    for id in &acknowledged {
        let journey = store.journey(*id).await.unwrap().expect("what was acknowledged is there");
        assert_eq!(journey.events.len(), 3, "one acceptance, two deposits");
    }
    // Nothing half: as many entries in both mailboxes as there are journeys, each with its content.
    let journeys = world.count("SELECT COUNT(*) FROM journeys").await;
    assert!(journeys >= acknowledged.len() as i64);
    for at in ["bob@wing.test", "carol@wing.test"] {
        let account = store.account_by_address(&address(at)).await.unwrap().unwrap();
        let inbox = store.mailbox_by_name(account.id, "INBOX").await.unwrap().unwrap();
        let (entries, _) = store.entries(inbox.id).await.unwrap();
        assert_eq!(entries.len() as i64, journeys);
        let mut seen = HashSet::new();
        for entry in entries {
            let id = store.journey_of(inbox.id, entry.uid).await.unwrap().unwrap();
            assert!(seen.insert(id), "once per recipient");
            let content = store.content(inbox.id, entry.uid).await.unwrap().unwrap();
            let octets = content.read_all().await.unwrap();
            assert!(octets.windows(32).any(|window| window == id.to_string().as_bytes()));
        }
    }
    world.check_invariants().await;
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above"]
async fn flood_until_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let store = Store::open_with(settings(&url, "/tmp".into(), "child"), CHEAP).await.unwrap();
    let mut accounts = Vec::new();
    for at in ["bob@wing.test", "carol@wing.test"] {
        accounts.push(store.account_by_address(&address(at)).await.unwrap().unwrap());
    }
    let tasks = (0..8).map(|task| {
        let (store, accounts) = (store.clone(), accounts.clone());
        tokio::spawn(async move {
            loop {
                let new = acceptance();
                let journey = new.journey;
                // Some are large, so that staging is interrupted too.
                let filler = "x".repeat(if task == 0 { 2_500_000 } else { 300 });
                let octets = mail("flood", &format!("{journey} {filler}"));
                let mut deposits = Vec::new();
                for account in &accounts {
                    deposits.push(deposit(&store, account, &octets).await);
                }
                store.accept(Acceptance { deposits, ..new }).await.unwrap();
                let line = format!("accepted {journey}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    futures_util::future::join_all(tasks).await;
}

/// A disk that is full: a tmpfs of its own, for which one must be root.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("not tested: mounting a small tmpfs needs root");
        return;
    }
    let unmount = Unmount(folder.path().to_owned());
    let url = format!("sqlite:{}", folder.path().join("mail.db").display());
    let store = Store::open_with(settings(&url, folder.path().into(), "n"), CHEAP).await.unwrap();
    store.create_domain("wing.test").await.unwrap();
    let bob = address("bob@wing.test");
    let new = NewAccount { address: &bob, display_name: "", password: "x", quota_octets: None };
    let bob = store.create_account(new).await.unwrap();
    let inbox = store.mailbox_by_name(bob.id, "INBOX").await.unwrap().unwrap().id;

    let mut kept = Vec::new();
    let full = loop {
        let mut octets = vec![0; 40_000];
        blake3::Hasher::new().update(&[kept.len() as u8]).finalize_xof().fill(&mut octets);
        let deposits = vec![deposit(&store, &bob, &octets).await];
        match store.accept(Acceptance { deposits, ..acceptance() }).await {
            Ok(()) => kept.push(octets),
            Err(error) => break error,
        }
        assert!(kept.len() < 1_000, "4 MB are full at some time");
    };
    assert!(matches!(full, AcceptError::Store(StoreError::NoSpace(_))), "{full}");
    // The spool says so too.
    let mut spool = store.spool();
    let spooled = (0..9).try_for_each(|_| spool.write(&[7; 800_000]));
    assert!(matches!(spooled, Err(StoreError::NoSpace(_))), "{spooled:?}");
    drop(spool);
    // All that was acknowledged is there, and reading works.
    let (entries, _) = store.entries(inbox).await.unwrap();
    assert_eq!(entries.len(), kept.len());
    for (entry, octets) in entries.iter().zip(&kept) {
        let content = store.content(inbox, entry.uid).await.unwrap().unwrap();
        assert!(content.read_all().await.unwrap() == *octets);
    }
    // With room again, it goes on.
    let grown = Command::new("mount").args(["-o", "remount,size=16m"]).arg(folder.path()).status();
    assert!(grown.unwrap().success());
    let deposits = vec![deposit(&store, &bob, &mail("room", "again")).await];
    store.accept(Acceptance { deposits, ..acceptance() }).await.unwrap();
    assert_eq!(store.entries(inbox).await.unwrap().0.len(), kept.len() + 1);
    store.close().await;
    drop(unmount);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// PostgreSQL goes away in full flight and comes back: everything acknowledged is there, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_made_again() {
    let world = World::postgres().await;
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tasks = (0..6).map(|_| {
        let (store, bob, stop) = (world.store.clone(), bob.clone(), stop.clone());
        tokio::spawn(async move {
            let mut accepted = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let deposits = vec![deposit(&store, &bob, &mail("cut", "x")).await];
                // A retry after a lost answer is harmless, so every one succeeds.
                store.accept(Acceptance { deposits, ..acceptance() }).await.unwrap();
                store.entries(inbox).await.unwrap();
                accepted += 1;
            }
            accepted
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let killer = crate::server::connect(&world.url).await;
    let mut cut = 0i64;
    while cut < 12 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let row = killer
            .query_one(
                "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
                &[],
            )
            .await
            .unwrap();
        cut += row.get::<_, i64>(0);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.unwrap();
    }
    assert_eq!(world.store.entries(inbox).await.unwrap().0.len(), accepted);
    world.check_invariants().await;
}
