//! From configuration to the settings of delivery and of SMTP sessions.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use waxwing_delivery::keys::{KeySettings, Keys};
use waxwing_delivery::outbound::Sts;
use waxwing_delivery::reports::{PostReport, Reporter, tls};
use waxwing_delivery::{
    Acceptor, Courier, Dice, Hosts, Judging, Policy, Relay, Runner, Schedule, Signers, SystemClock,
    TlsRules,
};
use waxwing_dns::{DnssecMode, NameServers, Resolver, ResolverOptions};
use waxwing_filter::spam::SpamPolicy;
use waxwing_filter::spam::evidence::ListKind;
use waxwing_filter::spam::verdict::{Blocklist, Override, Treatment};
use waxwing_smtp::ServerSettings;
use waxwing_smtp::client::{Credentials, TlsPolicy};
use waxwing_smtp::server::StartTls;
use waxwing_store::Store;
use zeroize::Zeroizing;

use super::connect::{self, Network};
use super::https::Https;
use super::sts;
use crate::config::{self, Config, Dnssec, HostPort, Smarthost};

/// Submission servers that speak TLS from the first octet (RFC 8314 §7.3).
const SUBMISSIONS_PORT: u16 = 465;

/// Where messages are taken in.
pub type Reception = Acceptor<Arc<Resolver>, SystemClock>;
/// What sends and reads the reports between mail domains.
pub type Reporting = Reporter<Arc<Resolver>, SystemClock>;

/// Delivery with real clocks, real dice and a real network.
pub struct Road {
    /// Where messages are taken in.
    pub reception: Arc<Reception>,
    /// The DNS, with its cache.
    pub resolver: Arc<Resolver>,
    runner: Arc<Runner<Arc<Resolver>, Network, SystemClock>>,
    reporter: Reporting,
    tls_recorder: tls::Recorder,
    sts: Option<Arc<Sts>>,
    keys: Keys<Arc<Resolver>, SystemClock>,
    policy: Arc<Policy>,
    store: Store,
}

impl Road {
    /// Everything that delivery needs, as configured.
    pub fn new(
        config: &Config,
        policy: Policy,
        settings: KeySettings,
        store: &Store,
    ) -> Result<Road> {
        let policy = Arc::new(policy);
        let dice = Arc::new(Dice::new());
        let resolver = Arc::new(resolver(config)?);
        let (sink, tls_recorder) = tls::sink(store);
        let mut tls = tls_rules(config, &resolver, store)?;
        if policy.reports.send {
            tls.sink = Arc::new(sink);
        }
        let sts = tls.sts.clone();
        let (store, resolver_of_keys) = (store.clone(), resolver.clone());
        let keys =
            Keys { store: store.clone(), resolver: resolver_of_keys, clock: SystemClock, settings };
        let courier = Courier {
            store: store.clone(),
            tls,
            resolver: resolver.clone(),
            net: Network::new(config.outbound.extra_roots.as_deref())?,
            clock: Arc::new(SystemClock),
            hosts: Hosts::new(&policy),
            policy: policy.clone(),
            dice: dice.clone(),
            signers: Signers::default(),
        };
        let reception = Arc::new(Acceptor::new(
            store.clone(),
            policy.clone(),
            SystemClock,
            dice.clone(),
            resolver.clone(),
        ));
        let runner = Runner::new(courier);
        let post = poster(config, &resolver)?;
        let (of_reports, clock) = (store.clone(), SystemClock);
        let reporter =
            Reporter::new(of_reports, policy.clone(), clock, dice, resolver.clone(), post);
        Ok(Road { reception, resolver, runner, reporter, tls_recorder, sts, keys, policy, store })
    }

    /// Works through the queue until told to stop.
    pub async fn run_queue(mut self, mut stop: watch::Receiver<bool>) {
        let told = async move {
            // An error means that the program itself is ending.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        // What is learned and reported can wait: it ends with the queue.
        tokio::select! {
            () = self.runner.run(told) => {}
            () = waxwing_delivery::learn::run(&self.store, &self.policy, &SystemClock) => {}
            () = self.reporter.run() => {}
            () = self.tls_recorder.run(&SystemClock) => {}
            () = self.keys.run() => {}
            () = keep_policies_fresh(self.sts.as_deref(), &self.resolver) => {}
        }
        self.tls_recorder.flush().await;
    }
}

async fn keep_policies_fresh(sts: Option<&Sts>, resolver: &Arc<Resolver>) {
    match sts {
        Some(sts) => sts.keep_fresh(resolver, &SystemClock).await,
        None => std::future::pending().await,
    }
}

/// How other domains' policies about TLS are found: DANE always, MTA-STS unless it is turned off.
fn tls_rules(config: &Config, resolver: &Arc<Resolver>, store: &Store) -> Result<TlsRules> {
    let outbound = &config.outbound;
    if !outbound.mta_sts {
        return Ok(TlsRules::dane_only());
    }
    let connector = connect::tls_connector(outbound.extra_roots.as_deref())?;
    let fetcher = sts::Fetcher::new(resolver.clone(), connector, outbound.mta_sts_port);
    let sts = Sts::new(Arc::new(fetcher), store.clone());
    Ok(TlsRules { sts: Some(Arc::new(sts)), ..TlsRules::dane_only() })
}

/// Where messages are taken in, for commands that send without running the queue.
pub fn reception(config: &Config, store: &Store) -> Result<Reception> {
    let (policy, resolver) = (Arc::new(policy(config)?), Arc::new(resolver(config)?));
    Ok(Acceptor::new(store.clone(), policy, SystemClock, Arc::new(Dice::new()), resolver))
}

/// What sends reports, for commands.
pub fn reporting(config: &Config, store: &Store) -> Result<Reporting> {
    let (policy, resolver) = (Arc::new(policy(config)?), Arc::new(resolver(config)?));
    let (post, dice) = (poster(config, &resolver)?, Arc::new(Dice::new()));
    Ok(Reporter::new(store.clone(), policy, SystemClock, dice, resolver, post))
}

/// What posts TLS reports to web servers: to public addresses alone, since strangers name them.
fn poster(config: &Config, resolver: &Arc<Resolver>) -> Result<Arc<dyn PostReport>> {
    let connector = connect::tls_connector(config.outbound.extra_roots.as_deref())?;
    let reach = connect::is_public;
    Ok(Arc::new(Https { resolver: resolver.clone(), connector, reach }))
}

/// How mail from other servers is taken.
pub fn mx_settings(config: &Config) -> ServerSettings {
    with_limits(config, ServerSettings::mx(config.hostname.as_str()))
}

/// How mail from people is taken.
pub fn submission_settings(config: &Config) -> ServerSettings {
    let mut settings = with_limits(config, ServerSettings::submission(config.hostname.as_str()));
    settings.tokens = config.oauth.is_some();
    if config.tls.allow_plaintext_login {
        settings.starttls = StartTls::Offered;
        settings.plaintext_auth = true;
    }
    settings
}

/// How mail from an MTA on this machine is taken.
pub fn lmtp_settings(config: &Config) -> ServerSettings {
    with_limits(config, ServerSettings::lmtp(config.hostname.as_str()))
}

fn with_limits(config: &Config, mut settings: ServerSettings) -> ServerSettings {
    settings.max_message_octets = config.limits.message_size.0;
    settings.max_recipients = u32::try_from(config.limits.recipients).unwrap_or(u32::MAX);
    settings
}

/// How names are looked up.
pub fn resolver(config: &Config) -> Result<Resolver> {
    let servers = match config.dns.servers.as_slice() {
        [] => NameServers::System,
        these => NameServers::These(these.to_vec()),
    };
    let dnssec = match config.dns.dnssec {
        Dnssec::Off => DnssecMode::Off,
        Dnssec::TrustResolver => DnssecMode::TrustAd,
        Dnssec::Validate => DnssecMode::Validate,
    };
    Resolver::new(servers, ResolverOptions { dnssec, ..Default::default() })
        .context("cannot look up names")
}

/// How mail is routed, sent and given up.
pub fn policy(config: &Config) -> Result<Policy> {
    let outbound = &config.outbound;
    let mut policy = Policy::new(config.hostname.as_str());
    policy.other_host_names = config.tls.names.iter().map(ToString::to_string).collect();
    policy.smtp_port = outbound.port;
    match outbound.source {
        Some(IpAddr::V4(ip)) => policy.source_v4 = Some(ip),
        Some(IpAddr::V6(ip)) => policy.source_v6 = Some(ip),
        None => {}
    }
    policy.own_addresses = config
        .listen
        .smtp
        .iter()
        .map(|a| a.ip())
        .filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
        .collect();
    policy.smarthost = outbound.smarthost.as_ref().map(smarthost).transpose()?;
    policy.routes =
        outbound.routes.iter().map(|(domain, to)| (domain.to_string(), relay(to))).collect();
    policy.reports = waxwing_delivery::Reporting {
        send: config.reports.send,
        failures: config.reports.failures,
        from: config.reports.from.clone(),
        organization: config.reports.organization.clone(),
    };
    policy.schedule = Schedule {
        waits: outbound.retry.iter().map(|span| span.0).collect(),
        ..Schedule::default()
    };
    policy.delay_warning_after = outbound.warn_after.0;
    policy.expire_after = outbound.expire_after.0;
    policy.lease_for = outbound.lease.0;
    policy.poll_every = policy.poll_every.min(outbound.lease.0);
    policy.max_deliveries = outbound.connections;
    policy.max_deliveries_per_domain = outbound.connections_per_destination;
    policy.max_connections_per_host = outbound.connections_per_destination;
    policy.sign = outbound.sign;
    policy.judging = judging(&config.judging);
    Ok(policy)
}

/// How mail from other servers is examined and judged.
fn judging(config: &config::Judging) -> Judging {
    let exceptions = [
        (&config.accept, Treatment::Accept),
        (&config.spam, Treatment::SpamFolder),
        (&config.refuse, Treatment::Refuse),
        (&config.ignore_dmarc, Treatment::IgnoreDmarc),
    ];
    let overrides = exceptions.into_iter().flat_map(|(names, what)| {
        names.iter().map(move |who| Override { who: who.clone(), what, even_unproven: false })
    });
    let lists =
        [(&config.ip_blocklists, ListKind::Ip), (&config.domain_blocklists, ListKind::Domain)];
    let blocklists = lists.into_iter().flat_map(|(zones, kind)| {
        zones.iter().map(move |(zone, weight)| Blocklist {
            zone: zone.clone(),
            kind,
            weight: *weight,
        })
    });
    let spam = SpamPolicy {
        spam_at: config.spam_at,
        refuse_at: config.refuse_at,
        greylist: config.greylist,
        greylist_wait_secs: config.greylist_wait.0.as_secs(),
        obey_dmarc_reject: config.obey_dmarc,
        obey_dmarc_quarantine: config.obey_dmarc,
        overrides: overrides.collect(),
        blocklists: blocklists.collect(),
        trusted_sealers: config.trusted_sealers.clone(),
    };
    Judging {
        examine: config.examine,
        spam,
        trusted: config.trusted_networks.iter().map(|n| (n.address, n.prefix)).collect(),
        share_words: config.share_words,
        ..Judging::default()
    }
}

fn relay(to: &HostPort) -> Relay {
    Relay {
        host: to.host.clone(),
        port: to.port,
        tls: TlsPolicy::Opportunistic,
        implicit_tls: false,
        credentials: None,
    }
}

fn smarthost(settings: &Smarthost) -> Result<Relay> {
    let credentials = match (&settings.username, &settings.password_file) {
        (Some(login), Some(file)) => Some(Credentials {
            login: login.clone(),
            password: read_password(file)?,
            plaintext_allowed: false,
        }),
        _ => None,
    };
    let tls = if settings.allow_plaintext { TlsPolicy::Opportunistic } else { TlsPolicy::Required };
    Ok(Relay {
        tls,
        implicit_tls: settings.host.port == SUBMISSIONS_PORT,
        credentials,
        ..relay(&settings.host)
    })
}

fn read_password(file: &Path) -> Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the smarthost's password in {}", file.display()))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("hostname='mx.example.org'\n{text}\n[tls]\nself-signed=true\n");
        Config::parse(&text, Path::new("x")).unwrap()
    }

    #[test]
    fn a_smarthost_demands_tls_unless_told_otherwise() {
        let policy = policy(&config("[outbound]\nsmarthost={host='relay.example:465'}")).unwrap();
        let relay = policy.smarthost.unwrap();
        assert_eq!(relay.tls, TlsPolicy::Required);
        assert!(relay.implicit_tls);
    }

    #[test]
    fn submission_requires_tls_by_default() {
        assert_eq!(submission_settings(&config("")).starttls, StartTls::Required);
        assert!(!submission_settings(&config("")).plaintext_auth);
    }
}
