//! Clients that others wrote, over TCP on loopback: Python's imaplib and curl. Where they are not
//! installed, the tests say so and pass.

mod support;

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
