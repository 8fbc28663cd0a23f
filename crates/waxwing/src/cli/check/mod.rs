//! `waxwing check`: a mail domain as the world sees it, in plain words: what is, what should be, and
//! the record to paste.
//!
//! ```text
//! domain ─▶ mx ─┬─ spf, dkim, dmarc, transport, services ─┐   gather: asks the DNS, facts
//!               └─ dane, reverse, blocklists of its hosts ─┴─▶ judge: pure, facts → section of remarks
//! ```
//!
//! | file | subject |
//! |---|---|
//! | `mx` | where mail goes |
//! | `spf`, `dkim`, `dmarc` | whose mail it is |
//! | `transport`, `mta_sts`, `dane` | TLS on the way: MTA-STS, TLS-RPT, TLSA |
//! | `reverse`, `blocklists` | the addresses of its hosts |
//! | `services` | what mail clients find |
//! | `pages` | whether they set themselves up |
//! | `own` | what this server is to the domain |
//! | `section`, `show` | remarks and remedies, and how they are printed |
//!
//! Nothing but the DNS is asked, and the host of a policy that is announced for its file: no
//! connection is made to any mail host of the domain, and none at all with `--zone`. It works for any
//! domain and without a configuration; with one, a domain of ours is held against what this server
//! is and signs with.

mod blocklists;
mod dane;
mod dkim;
mod dmarc;
mod hosts;
mod mta_sts;
mod mx;
mod own;
mod pages;
mod reverse;
mod section;
mod services;
mod show;
mod spf;
#[cfg(test)]
mod testing;
mod transport;

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use waxwing_delivery::outbound::FetchPolicy;
use waxwing_dns::Resolve;
use waxwing_filter::spam::evidence::ListKind;
use waxwing_store::Store;

use super::names::{NameSource, Names};
use super::{Context, print};
use crate::config::{Config, HostName};
use crate::serve::connect::tls_connector;
use crate::serve::keys;
use crate::serve::road;
use crate::serve::sts::Fetcher;
use blocklists::List;
use own::Own;
use section::{Level, Section, count};

/// Checks a mail domain's DNS. Exits 0 when nothing must be mended, else 1.
#[derive(Args)]
pub struct Check {
    /// Such as example.org; one of ours or anybody's.
    domain: HostName,
    /// A DKIM selector to look at (s= in a DKIM-Signature). Ours are known.
    #[arg(long, value_name = "NAME")]
    selector: Vec<String>,
    /// An address that mail of the domain leaves from. By default this server's, for a domain of ours.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// A blocklist of addresses to ask, beside the configured ones.
    #[arg(long, value_name = "ZONE")]
    blocklist: Vec<HostName>,
    /// A blocklist of domains to ask.
    #[arg(long, value_name = "ZONE")]
    domain_blocklist: Vec<HostName>,
    #[command(flatten)]
    names: NameSource,
}

/// What is looked at beside the domain itself.
struct Scope {
    own: Own,
    /// Addresses that SPF should let pass.
    addresses: Vec<IpAddr>,
    selectors: Vec<String>,
    lists: Vec<List>,
    /// How the policy file is fetched; `None` leaves it alone.
    policies: Option<Box<dyn FetchPolicy>>,
}

impl Check {
    pub async fn run(self, context: &Context) -> Result<ExitCode> {
        let config = context.config_if_any()?;
        let names = Arc::new(self.names.open(config.as_ref())?);
        let (own, note) = self.own(context, config.as_ref(), &names).await;
        let scope = Scope {
            addresses: match (self.ip.is_empty(), own.has_domain && own.smarthost.is_none()) {
                (false, _) => self.ip.clone(),
                (true, true) => own.addresses.clone(),
                (true, false) => Vec::new(),
            },
            selectors: self.selector.clone(),
            lists: self.lists(config.as_ref())?,
            policies: policies(config.as_ref(), &names)?,
            own,
        };
        let domain = self.domain.as_str();
        let sections = examine(&names, domain, &scope, Timestamp::now()).await;
        let faults = count(&sections, Level::Fault);
        if context.json {
            print::json(&json!({
                "domain": domain,
                "ours": scope.own.has_domain,
                "ok": faults == 0,
                "faults": faults,
                "warnings": count(&sections, Level::Warning),
                "sections": sections.iter().map(Section::as_json).collect::<Vec<_>>(),
                "note": note,
            }));
        } else {
            show::print(domain, &scope.own, &sections, note.as_deref());
        }
        Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What this server is to the domain, and a note when that could not be found out.
    async fn own(
        &self,
        context: &Context,
        config: Option<&Config>,
        names: &impl Resolve,
    ) -> (Own, Option<String>) {
        let Some(config) = config else { return (Own::default(), None) };
        let mut own = Own::configured(names, config).await;
        if !self.ip.is_empty() {
            own.addresses = self.ip.clone();
        }
        // Looking must not make a store where there is none.
        let url = config.database_url();
        if url.strip_prefix("sqlite:").is_some_and(|file| !std::path::Path::new(file).exists()) {
            return (own, None);
        }
        let learnt = match context.store().await {
            Ok(store) => self.learn(&mut own, config, &store).await,
            Err(error) => Err(error),
        };
        let note =
            learnt.err().map(|error| format!("whether the domain is ours is not known: {error:#}"));
        (own, note)
    }

    async fn learn(&self, own: &mut Own, config: &Config, store: &Store) -> Result<()> {
        let settings = keys::settings(config)?;
        Ok(own.learn(store, self.domain.as_str(), &settings, Timestamp::now()).await?)
    }

    fn lists(&self, config: Option<&Config>) -> Result<Vec<List>> {
        let mut lists = Vec::new();
        if let Some(config) = config {
            let configured = road::policy(config)?.judging.spam.blocklists.into_iter();
            lists.extend(configured.map(|list| List { zone: list.zone, kind: list.kind }));
        }
        let of = |zones: &[HostName], kind| -> Vec<List> {
            zones.iter().map(|zone| List { zone: zone.to_string(), kind }).collect()
        };
        lists.extend(of(&self.blocklist, ListKind::Ip));
        lists.extend(of(&self.domain_blocklist, ListKind::Domain));
        Ok(lists)
    }
}

/// Fetches policy files as delivery does; not where zone files stand in for the DNS.
fn policies(config: Option<&Config>, names: &Arc<Names>) -> Result<Option<Box<dyn FetchPolicy>>> {
    if let Names::Zones(_) = **names {
        return Ok(None);
    }
    let outbound = config.map(|config| config.outbound.clone()).unwrap_or_default();
    let connector = tls_connector(outbound.extra_roots.as_deref())?;
    Ok(Some(Box::new(Fetcher::new(names.clone(), connector, outbound.mta_sts_port))))
}

/// Asks everything and judges it.
async fn examine(
    resolver: &impl Resolve,
    domain: &str,
    scope: &Scope,
    now: Timestamp,
) -> Vec<Section> {
    let own = &scope.own;
    let mx = mx::Facts::gather(resolver, domain).await;
    let null_mx = mx.is_null();
    let hosts: Vec<String> = mx.hosts.iter().map(|(_, host)| host.name.clone()).collect();
    let addresses = addresses(&mx, scope);
    let ips: Vec<IpAddr> = addresses.iter().map(|(_, ip)| *ip).collect();
    let (spf, dkim, dmarc, transport, dane, reverse, listed, services, pages) = tokio::join!(
        spf::Facts::gather(resolver, domain, &scope.addresses, own, null_mx, now),
        dkim::Facts::gather(resolver, domain, own, &scope.selectors),
        dmarc::Facts::gather(resolver, domain, null_mx),
        transport::Facts::gather(resolver, domain, scope.policies.as_deref()),
        dane::Facts::gather(resolver, &hosts),
        reverse::gather(resolver, &addresses),
        blocklists::gather(resolver, &scope.lists, domain, &ips),
        services::gather(resolver, domain),
        pages::gather(resolver, domain, own),
    );
    let mut sections = vec![mx::judge(&mx, own), spf::judge(&spf, own)];
    if !(null_mx && dkim.selectors.is_empty()) {
        sections.push(dkim::judge(&dkim, own));
    }
    sections.push(dmarc::judge(&dmarc));
    if !hosts.is_empty() {
        sections.extend([transport::judge(&transport, &hosts, own), dane::judge(&dane)]);
    }
    if !addresses.is_empty() {
        sections.push(reverse::judge(&reverse, own));
    }
    sections.push(blocklists::judge(&scope.lists, &listed));
    if !hosts.is_empty() {
        sections.push(services::judge(&services, domain, own));
    }
    if let (Some(found), Some(ours)) = (&pages, own.pages.as_ref().filter(|_| own.has_domain)) {
        sections.push(pages::judge(found, ours, domain, own));
    }
    sections
}

/// The addresses of the mail hosts, and those that mail leaves from, once each.
fn addresses(mx: &mx::Facts, scope: &Scope) -> Vec<(String, IpAddr)> {
    let mut all: Vec<(String, IpAddr)> =
        mx.addresses().into_iter().map(|(host, ip)| (host.to_owned(), ip)).collect();
    for ip in &scope.addresses {
        if all.iter().all(|(_, known)| known != ip) {
            let host = scope.own.names.first().cloned();
            all.push((host.unwrap_or_else(|| mx.domain.clone()), *ip));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::testing::{named, zones};
    use super::*;
    use waxwing_dns::{FakeZone, Zone};

    fn scope(own: Own) -> Scope {
        let (selectors, lists, policies) = (Vec::new(), Vec::new(), None);
        Scope { addresses: own.addresses.clone(), own, selectors, lists, policies }
    }

    async fn look(zone: &FakeZone, scope: &Scope) -> Vec<Section> {
        examine(zone, "example.org", scope, Timestamp::UNIX_EPOCH).await
    }

    /// Every record that is given mends what it is given for: from nothing to a sound domain.
    #[tokio::test]
    async fn pasting_what_is_given_mends_the_domain() {
        let mut own = Own::of("mail.example.org", &["192.0.2.7"]);
        own.keys.push(own::Key {
            selector: "a2026".into(),
            record: "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".into(),
            state: waxwing_store::SigningKeyState::Signing,
            trouble: None,
        });
        let scope = scope(own);
        let mut zone = Zone::parse("example.org", "mail A 192.0.2.7\n").unwrap();
        let mut reverse = Zone::new("2.0.192.in-addr.arpa").unwrap();
        for round in 0.. {
            let fake = FakeZone::new().with(zone.clone()).with(reverse.clone());
            let sections = look(&fake, &scope).await;
            let remarks = sections.iter().flat_map(|section| &section.remarks);
            let wrong = remarks.filter(|r| r.level >= Level::Warning && r.what != "dmarc-watching");
            let wrong: Vec<_> = wrong.collect();
            if round == 2 {
                // What takes more than a record.
                let left: Vec<&str> = wrong.iter().map(|remark| remark.what).collect();
                assert_eq!(left, ["mta-sts-missing"], "{wrong:#?}");
                return;
            }
            for record in wrong.iter().filter_map(|r| r.remedy.as_ref()).flat_map(|r| &r.records) {
                let into = if record.name.ends_with("arpa") { &mut reverse } else { &mut zone };
                // As it would be pasted.
                let line = Zone::parse(into.apex(), &record.line()).unwrap();
                for (name, set) in line
                    .record_sets()
                    .filter(|(_, set)| set.records[0].record_type() != waxwing_dns::RecordType::Soa)
                {
                    into.add(name, set.ttl_secs, set.records[0].clone()).unwrap();
                }
            }
        }
    }

    #[tokio::test]
    async fn a_domain_without_mail_is_not_asked_for_what_mail_needs() {
        let zone = zones(&[
            (
                "example.org",
                "@ MX 0 .\n@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject; rua=mailto:d@other.test\"\n",
            ),
            ("other.test", "@ MX 10 mx\nexample.org._report._dmarc TXT \"v=DMARC1\"\n"),
        ]);
        let sections = look(&zone, &scope(Own::default())).await;
        let subjects: Vec<&str> = sections.iter().map(|section| section.subject).collect();
        assert_eq!(subjects, ["mx", "spf", "dmarc", "blocklists"]);
        assert_eq!(count(&sections, Level::Fault) + count(&sections, Level::Warning), 0);
    }

    #[tokio::test]
    async fn a_silent_dns_is_a_fault_and_no_absence() {
        let zone = zones(&[("example.org", "@ MX 10 mail\nmail A 192.0.2.7\n")]);
        for name in ["example.org", "_dmarc.example.org", "_mta-sts.example.org"] {
            zone.time_out(name);
        }
        let sections = look(&zone, &scope(Own::default())).await;
        for subject in ["mx", "spf", "dmarc"] {
            let section = sections.iter().find(|section| section.subject == subject).unwrap();
            let remark = named(section, "dns-failed");
            assert_eq!((remark.level, &remark.remedy), (Level::Fault, &None), "{section:?}");
        }
    }
}
