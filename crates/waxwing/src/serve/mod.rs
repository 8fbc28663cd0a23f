//! `waxwing serve`: everything running together, from the first port bound to the last lease given
//! back.
//!
//! ```text
//! ports bound → privileges dropped → store opened → certificate chosen → listeners, queue runner,
//! store's background work, ACME → "listening" → … → SIGTERM: no new connections, sessions told,
//! queue runner finishes what it began → store closed
//! ```

mod access;
pub mod acme;
pub mod autoconfig;
pub mod connect;
mod http;
mod https;
mod jmap;
pub mod keys;
pub mod listen;
mod oauth;
pub mod process;
pub mod road;
mod router;
mod sieve;
mod smtp;
pub mod sts;
#[cfg(test)]
pub mod testing;
pub mod tls;
mod web_text;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};
use waxwing_store::Store;

use crate::config::Config;
use listen::{Gate, Port, Service};
use router::Router;

/// How long open sessions and deliveries may take to end when we are told to stop.
/// Longer than delivery's own grace, so that what a remote has taken is settled.
const FAREWELL: Duration = Duration::from_secs(35);
/// How often old journeys are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// How long a sender that was greylisted need not wait again: more than a month, since some write once
/// in a month.
const GREYLISTED_FOR: Duration = Duration::from_secs(36 * 24 * 3_600);
/// How often certificate files are looked at for a change.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(60);

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config, config_path: &Path, json: bool) -> Result<()> {
    process::keep_pages_small();
    start_log();
    // Before anybody is told that we listen: from then on signals are ours.
    let signals = Signals::listen()?;
    let files = process::raise_file_limit();
    let ports = listen::bind_all(&config.listen)?;
    process::prepare_data_folder(&config)?;
    // What root alone may read is read before root is given up.
    let certificates = certificates(&config)?;
    let (policy, key_settings) = (road::policy(&config)?, keys::settings(&config)?);
    process::become_user(&config)?;
    let store = open_store(&config).await?;
    let tokens = acme::Tokens::default();
    let acceptor = TlsAcceptor::from(certificates.server_config()?);

    let (stop, stopped) = watch::channel(false);
    let road = road::Road::new(&config, policy, key_settings, &store)?;
    let mut tasks = JoinSet::new();
    let listening = announce(&ports);
    let connections = process::connections_within(files, config.limits.connections);
    let gate = Gate::new(connections, config.limits.connections_per_address);
    let desks = Desks::new(&config, &store, &road.reception, &acceptor, &tokens, &stopped);
    for port in ports {
        tasks.spawn(attend(port, desks.clone(), gate.clone(), stopped.clone()));
    }
    let more = page_hosts(&config, &road.resolver, &store);
    // Also where JMAP is not spoken any more: what was promised is sent.
    tasks.spawn(jmap::sending::run(store.clone(), road.reception.clone(), stopped.clone()));
    let until = stopped.clone();
    tasks.spawn(async move { road.run_queue(until).await });
    let (background, until) = (store.clone(), stopped.clone());
    tasks.spawn(async move { background.run_background(until).await });
    let (journeys, until) = (store.clone(), stopped.clone());
    tasks.spawn(forget_old(journeys, config.limits.keep_journeys.0, until));
    let Signals { terminate, interrupt, hang_up } = signals;
    let keeper =
        tokio::spawn(keep_certificates(config.clone(), certificates, tokens, more, hang_up));

    say_listening(&listening, json).await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    info!(hostname = %config.hostname, config = %config_path.display(), "ready");
    let died = tokio::select! {
        () = wait_for_end(terminate, interrupt) => None,
        // None of them ends before it is told to: one that does has failed.
        ended = tasks.join_next() => Some(ended),
    };

    info!("stopping: open sessions are told, deliveries in progress are finished");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let _ = stop.send(true);
    keeper.abort();
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        warn!(
            "some sessions did not end in time and were cut off; nothing that was acknowledged is lost"
        );
    }
    tasks.shutdown().await;
    store.close().await;
    match died {
        None => Ok(()),
        Some(how) => bail!(
            "a part of the server ended by itself ({how:?}): it stops, so that it is started again whole"
        ),
    }
}

/// Forgets once an hour what was kept for long enough: journeys, and who was asked to come again.
async fn forget_old(store: Store, keep: Duration, mut stop: watch::Receiver<bool>) {
    loop {
        let now = jiff::Timestamp::now();
        let before = |span| {
            let span = jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX);
            now.saturating_sub(span).unwrap_or(jiff::Timestamp::MIN)
        };
        if let Err(error) = store.forget_journeys(before(keep)).await {
            warn!("old journeys were not forgotten: {error}");
        }
        if let Err(error) = store.forget_greylisted(before(GREYLISTED_FOR)).await {
            warn!("the greylist was not cleared: {error}");
        }
        tokio::select! {
            () = tokio::time::sleep(FORGET_EVERY) => {}
            _ = stop.changed() => return,
        }
    }
}

/// The log goes to stderr; `RUST_LOG` chooses how much. Colours only for people.
fn start_log() {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

async fn open_store(config: &Config) -> Result<Store> {
    Store::open(config.store_settings("serve")).await.with_context(|| {
        format!("cannot open the store {}", crate::cli::without_password(&config.database_url()))
    })
}

/// The names in our certificate.
fn certificate_names(config: &Config) -> Vec<String> {
    std::iter::once(&config.hostname).chain(&config.tls.names).map(ToString::to_string).collect()
}

/// The names in our certificate beside these: of our MTA-STS policy (RFC 8461 §3.3), and those under
/// which programs ask how to set up an account.
fn page_hosts(
    config: &Config,
    resolver: &Arc<waxwing_dns::Resolver>,
    store: &Store,
) -> Option<acme::MoreNames> {
    let mut prefixes = Vec::new();
    if config.mta_sts.is_some() {
        prefixes.push("mta-sts");
    }
    if config.autoconfig.is_some() {
        prefixes.extend(autoconfig::HOSTS);
    }
    if prefixes.is_empty() {
        return None;
    }
    let (resolver, store, hostname) =
        (resolver.clone(), store.clone(), config.hostname.to_string());
    Some(Box::new(move || {
        let (resolver, store, hostname) = (resolver.clone(), store.clone(), hostname.clone());
        let prefixes = prefixes.clone();
        Box::pin(
            async move { sts::names_that_lead_here(&resolver, &store, &hostname, &prefixes).await },
        )
    }))
}

/// What to begin with.
fn certificates(config: &Config) -> Result<Arc<tls::Certificates>> {
    let names = certificate_names(config);
    let key = match (&config.tls.certificate, &config.tls.key, &config.tls.acme) {
        (Some(certificate), Some(key), _) => tls::from_files(certificate, key)?,
        (_, _, Some(settings)) => {
            let keeper = acme::Keeper::new(
                &config.data,
                settings.clone(),
                names.clone(),
                acme::Tokens::default(),
            );
            match keeper.stored(jiff::Timestamp::now().as_second()) {
                Some(stored) => stored,
                None => tls::self_signed(&config.data.join("tls"), &names)?,
            }
        }
        _ => tls::self_signed(&config.data.join("tls"), &names)?,
    };
    Ok(tls::Certificates::new(key))
}

/// Keeps the certificate fresh: by ACME, or by looking at its files on SIGHUP and now and then.
async fn keep_certificates(
    config: Config,
    certificates: Arc<tls::Certificates>,
    tokens: acme::Tokens,
    more: Option<acme::MoreNames>,
    mut hang_up: Signal,
) {
    if let Some(settings) = config.tls.acme.clone() {
        let keeper = acme::Keeper::new(&config.data, settings, certificate_names(&config), tokens);
        return keeper.and(more).run(certificates).await;
    }
    let (Some(certificate), Some(key)) = (config.tls.certificate, config.tls.key) else {
        // Nothing to reload, but SIGHUP must not end the server.
        loop {
            hang_up.recv().await;
        }
    };
    let changed = || {
        let time = |path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        (time(&certificate), time(&key))
    };
    let mut seen = changed();
    loop {
        let asked = tokio::select! {
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(CERTIFICATE_LOOK) => false,
        };
        let now = changed();
        if !asked && now == seen {
            continue;
        }
        seen = now;
        match tls::from_files(&certificate, &key) {
            Ok(fresh) => {
                certificates.replace(fresh);
                info!("the certificate was read again; new connections use it");
            }
            Err(error) => {
                warn!("the certificate was not replaced, the old one stays in use: {error:#}")
            }
        }
    }
}

/// Everything that serves connections, by service.
#[derive(Clone)]
struct Desks {
    mx: Arc<smtp::Desk>,
    submission: Arc<smtp::Desk>,
    lmtp: Arc<smtp::Desk>,
    access: Arc<access::Desk>,
    sieve: Arc<sieve::Desk>,
    http: Arc<http::Desk>,
}

impl Desks {
    fn new(
        config: &Config,
        store: &Store,
        reception: &Arc<road::Reception>,
        acceptor: &TlsAcceptor,
        tokens: &acme::Tokens,
        stopped: &watch::Receiver<bool>,
    ) -> Desks {
        let desk = |settings| {
            Arc::new(smtp::Desk::new(settings, reception.clone(), store.clone(), acceptor.clone()))
        };
        let rooms = Router::default()
            .with(Some(tokens.clone()))
            .with(sts::Hosted::new(config, store))
            .with(autoconfig::Pages::new(config, store))
            .with(oauth::OAuth::new(config, store))
            .with_hall(jmap::Jmap::new(config, store, reception, stopped));
        Desks {
            mx: desk(road::mx_settings(config)),
            submission: desk(road::submission_settings(config)),
            lmtp: desk(road::lmtp_settings(config)),
            access: Arc::new(access::Desk::new(config, store.clone(), acceptor.clone())),
            sieve: Arc::new(sieve::Desk::new(config, store.clone(), acceptor.clone())),
            http: Arc::new(http::Desk::new(acceptor.clone(), rooms)),
        }
    }
}

/// Takes connections at one port until told to stop, then waits for those it has.
async fn attend(port: Port, desks: Desks, gate: Arc<Gate>, mut stop: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listen::accept(&port.listener) => accepted,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            _ = stop.changed() => break,
        };
        let Some(place) = gate.enter(peer.ip()) else {
            info!(%peer, service = ?port.service, "refused: too many connections");
            let mut stream = stream;
            let busy = port.service.busy();
            sessions.spawn(async move {
                let _ = tokio::time::timeout(Duration::from_secs(5), stream.write_all(busy)).await;
            });
            continue;
        };
        let (desks, service, stop) = (desks.clone(), port.service, stop.clone());
        sessions.spawn(async move {
            let _place = place;
            serve_one(service, stream, peer, desks, stop).await;
        });
    }
    drop(port.listener);
    while sessions.join_next().await.is_some() {}
}

async fn serve_one(
    service: Service,
    stream: tokio::net::TcpStream,
    peer: std::net::SocketAddr,
    desks: Desks,
    stop: watch::Receiver<bool>,
) {
    // Boxed: a connection that waits is to be as large as its own protocol's session, not as the
    // largest of all.
    let session: Pin<Box<dyn Future<Output = ()> + Send + '_>> = match service {
        Service::Smtp => Box::pin(desks.mx.serve(stream, peer, false, stop)),
        Service::Lmtp => Box::pin(desks.lmtp.serve(stream, peer, false, stop)),
        Service::Submission | Service::Submissions => {
            Box::pin(desks.submission.serve(stream, peer, service.implicit_tls(), stop))
        }
        Service::Imap | Service::Imaps => {
            Box::pin(desks.access.imap(stream, peer, service.implicit_tls(), stop))
        }
        Service::Pop3 | Service::Pop3s => {
            Box::pin(desks.access.pop3(stream, peer, service.implicit_tls(), stop))
        }
        Service::Sieve => Box::pin(desks.sieve.serve(stream, peer, stop)),
        Service::Http | Service::Https => {
            Box::pin(desks.http.serve(stream, peer.ip(), service.implicit_tls(), stop))
        }
    };
    session.await;
}

/// Service to the addresses it listens on.
fn announce(ports: &[Port]) -> BTreeMap<Service, Vec<String>> {
    let mut listening: BTreeMap<Service, Vec<String>> = BTreeMap::new();
    for port in ports {
        listening.entry(port.service).or_default().push(port.address.to_string());
    }
    listening
}

/// One line on stdout, once every port is bound: for people and for whoever started us.
async fn say_listening(listening: &BTreeMap<Service, Vec<String>>, json: bool) -> Result<()> {
    let line = if json {
        serde_json::json!({ "listening": listening }).to_string()
    } else {
        let words: Vec<String> = listening
            .iter()
            .map(|(s, a)| format!("{} {}", format!("{s:?}").to_lowercase(), a.join(" ")))
            .collect();
        format!("listening: {}", words.join(", "))
    };
    let mut out = tokio::io::stdout();
    out.write_all(line.as_bytes()).await?;
    out.write_all(b"\n").await?;
    out.flush().await?;
    Ok(())
}

/// The signals that concern us. As long as one is listened for, it does not end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let listen = |kind, name| signal(kind).with_context(|| format!("cannot listen for {name}"));
        Ok(Signals {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hang_up: listen(SignalKind::hangup(), "SIGHUP")?,
        })
    }
}

async fn wait_for_end(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
