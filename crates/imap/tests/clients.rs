//! Clients that others wrote, over TCP on loopback: Python's imaplib, curl, mbsync, fetchmail. Where
//! one is not installed, its test says so and passes.

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{LOGIN, PASSWORD, World, message};
use tokio::net::TcpListener;
use tokio::process::Command;
use waxwing_imap::{Session, serve};

/// Serves a world on a port of loopback.
async fn listen(world: &World) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("an address").port();
    let (store, settings) = (world.store.clone(), world.settings.clone());
    let stop = world.stop.subscribe();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut session = Session::new(store.clone(), settings.clone());
            let stop = stop.clone();
            tokio::spawn(async move { serve(&mut stream, &mut session, None, stop).await });
        }
    });
    port
}

/// Runs a program; `None` when it is not installed.
async fn run(program: &str, arguments: &[String]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await;
    let Ok(output) = output else {
        println!("{program} is not installed: nothing was tested with it");
        return None;
    };
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {out}\n{err}");
    Some(out.into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imaplib() {
    let world = World::new().await;
    let port = listen(&world).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients.py");
    run("python3", &[script.into(), port.to_string(), LOGIN.into(), PASSWORD.into()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    let world = World::new().await;
    let port = listen(&world).await;
    world.client().await.append("INBOX", &message("for curl")).await;
    let user = format!("{LOGIN}:{PASSWORD}");
    let base = format!("imap://127.0.0.1:{port}");
    let curl = |path: &str, more: &[&str]| {
        let mut arguments = vec!["-sS".to_owned(), "-u".into(), user.clone()];
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments.push(format!("{base}{path}"));
        arguments
    };
    if let Some(out) = run("curl", &curl("/INBOX;MAILINDEX=1", &[])).await {
        assert_eq!(out.as_bytes(), message("for curl"));
    }
    if let Some(out) = run("curl", &curl("/INBOX?SUBJECT%20curl", &[])).await {
        assert!(out.contains("* SEARCH 1"), "{out}");
    }
    if let Some(out) = run("curl", &curl("/", &["-X", "LIST \"\" *"])).await {
        assert!(out.contains("\"INBOX\""), "{out}");
    }
}

async fn uids(world: &World, mailbox: &str) -> Vec<u32> {
    let found = world.store.mailbox_by_name(world.account, mailbox).await.unwrap().unwrap();
    let (entries, _) = world.store.entries(found.id).await.unwrap();
    entries.iter().map(|entry| entry.uid.0).collect()
}

/// The files of a maildir.
fn maildir(folder: &Path) -> Vec<PathBuf> {
    let read = |name: &str| std::fs::read_dir(folder.join(name)).into_iter().flatten();
    let mut files: Vec<PathBuf> =
        read("new").chain(read("cur")).filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn holding<'f>(files: &'f [PathBuf], text: &str) -> &'f PathBuf {
    let holds = |file: &&PathBuf| std::fs::read_to_string(file).is_ok_and(|t| t.contains(text));
    files.iter().find(holds).expect("a message with that text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mbsync_both_ways() {
    let world = World::new().await;
    let port = listen(&world).await;
    let mut client = world.client().await;
    for n in 1..=3 {
        client.append("INBOX", &message(&format!("number {n}"))).await;
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let at = home.path();
    let config = format!(
        "IMAPAccount w\nHost 127.0.0.1\nPort {port}\nUser {LOGIN}\nPass \"{PASSWORD}\"\n\
         SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount w\n\nMaildirStore near\n\
         Path {0}/mail/\nInbox {0}/mail/INBOX\nSubFolders Verbatim\n\nChannel c\nFar :far:\n\
         Near :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n",
        at.display()
    );
    std::fs::write(at.join("mbsyncrc"), config).unwrap();
    std::fs::create_dir(at.join("mail")).unwrap();
    let arguments = ["-c".into(), at.join("mbsyncrc").display().to_string(), "-a".into()];
    if run("mbsync", &arguments).await.is_none() {
        return;
    }
    let inbox = maildir(&at.join("mail/INBOX"));
    assert_eq!(inbox.len(), 3);
    // Here: one is deleted, one is written, one is flagged. There: one is marked as seen.
    let deleted = holding(&inbox, "number 1");
    std::fs::rename(deleted, at.join("mail/INBOX/cur").join(with_flag(deleted, 'T'))).unwrap();
    let flagged = holding(&inbox, "number 2");
    std::fs::rename(flagged, at.join("mail/INBOX/cur").join(with_flag(flagged, 'F'))).unwrap();
    std::fs::write(at.join("mail/Archive/new/1.2.here"), message("written here")).unwrap();
    client.ok("SELECT INBOX").await;
    client.ok("UID STORE 3 +FLAGS (\\Seen)").await;
    run("mbsync", &arguments).await;
    assert_eq!(uids(&world, "INBOX").await, [2, 3]);
    assert_eq!(uids(&world, "Archive").await, [1]);
    let told = client.ok("NOOP").await;
    assert!(told.contains(&"* 1 EXPUNGE".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.contains("UID 2 FLAGS (\\Flagged")), "{told:?}");
    let inbox = maildir(&at.join("mail/INBOX"));
    assert!(holding(&inbox, "number 3").to_string_lossy().ends_with('S'));
    assert_eq!(inbox.len(), 2);
}

/// The file's name with a flag of maildir (`:2,` and letters).
fn with_flag(file: &Path, flag: char) -> String {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let base = name.split(":2,").next().unwrap_or(&name);
    format!("{base}:2,{flag}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetchmail() {
    let world = World::new().await;
    let port = listen(&world).await;
    let mut client = world.client().await;
    client.append("INBOX", &message("for fetchmail")).await;
    let home = tempfile::tempdir().expect("a temporary folder");
    let at = home.path().display();
    let config = format!(
        "set pidfile \"{at}/pid\"\nset idfile \"{at}/ids\"\npoll 127.0.0.1 proto imap port {port}\n\
         user \"{LOGIN}\" password \"{PASSWORD}\" sslproto \"\" mda \"cat >> {at}/fetched\"\n"
    );
    let file = home.path().join("fetchmailrc");
    std::fs::write(&file, config).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    if run("fetchmail", &["-f".into(), file.display().to_string()]).await.is_none() {
        return;
    }
    let fetched = std::fs::read_to_string(home.path().join("fetched")).expect("a message");
    assert!(fetched.contains("Of for fetchmail."), "{fetched}");
    assert_eq!(uids(&world, "INBOX").await, [0u32; 0]); // it deletes what it has fetched
}

/// mutt wants a terminal: `script` gives it one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutt() {
    let world = World::new().await;
    let port = listen(&world).await;
    let mut client = world.client().await;
    for n in 1..=3 {
        client.append("INBOX", &message(&format!("number {n}"))).await;
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "set imap_user=\"{LOGIN}\"\nset imap_pass=\"{PASSWORD}\"\nset ssl_starttls=no\n\
         set ssl_force_tls=no\nset delete=yes\nset confirmappend=no\nset imap_authenticators=login\n\
         set folder=imap://127.0.0.1:{port}/\nset spoolfile=+INBOX\nset record=\nset quit=yes\n"
    );
    let file = home.path().join("muttrc");
    std::fs::write(&file, config).unwrap();
    let keys = "<first-entry><display-message><exit><first-entry><flag-message><last-entry>\
                <copy-message>=Archive<enter><last-entry><delete-message><sync-mailbox><exit>";
    let command = format!("mutt -n -F {} -e 'push {keys}'", file.display());
    let arguments = ["-qec".into(), format!("TERM=xterm timeout 60 {command}"), "/dev/null".into()];
    let Ok(true) = Command::new("mutt").arg("-v").output().await.map(|out| out.status.success())
    else {
        println!("mutt is not installed: nothing was tested with it");
        return;
    };
    if run("script", &arguments).await.is_none() {
        return;
    }
    assert_eq!(uids(&world, "INBOX").await, [1, 2]);
    assert_eq!(uids(&world, "Archive").await, [1]);
    let found = client.ok("SELECT INBOX").await;
    assert!(found.contains(&"* 2 EXISTS".to_owned()), "{found:?}");
    let flags = client.ok("FETCH 1 FLAGS").await;
    assert!(flags[0].contains("\\Flagged") && flags[0].contains("\\Seen"), "{flags:?}");
}
