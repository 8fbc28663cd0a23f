//! `waxwing setup`: from nothing to a server that only needs its DNS records.
//!
//! Writes the configuration, makes the data folder and the store, the domain and the first
//! account, and prints the records to add. Running it again changes nothing that exists.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use waxwing_message::Address;
use waxwing_store::{AccountError, NewAccount, StoredSigningKey};

use super::password::PasswordSource;
use super::{Context, keys, print};
use waxwing_mailauth::policy::mta_sts;

use crate::config::{Config, HostName};
use crate::serve::autoconfig::{self, Announced, Protocol};
use crate::serve::connect::is_public;
use crate::serve::tls;

/// Makes a server for a domain.
#[derive(Args)]
pub struct Setup {
    /// The domain of the addresses, such as example.org.
    domain: HostName,
    /// The server's own name. By default mail.DOMAIN.
    #[arg(long)]
    hostname: Option<HostName>,
    /// Where mail is kept.
    #[arg(long, default_value = "/var/lib/waxwing", value_name = "FOLDER")]
    data: PathBuf,
    /// The first account's name; `postmaster` and `abuse` will lead to it (RFC 2142).
    #[arg(long, default_value = "me", value_name = "NAME")]
    account: String,
    /// The server's public addresses, for its DNS records. By default those of this machine.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Use PostgreSQL: postgres://user@host/database.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
}

/// One record to add.
struct Record {
    name: String,
    kind: &'static str,
    value: String,
    why: &'static str,
}

impl Setup {
    pub async fn run(self, context: &Context) -> Result<()> {
        let domain = self.domain.as_str().to_owned();
        let hostname = match &self.hostname {
            Some(name) => name.to_string(),
            None => format!("mail.{domain}"),
        };
        let first = Address::new(&self.account, &domain).context("the account's name")?;
        let wrote = self.write_config(context, &hostname, &domain)?;
        let store = context.store().await?;

        ignore_existing(store.create_domain(&domain).await.map(drop))?;
        let new_account = store.account_by_address(&first).await?.is_none();
        let mut password = None;
        if new_account {
            let chosen = self.password.take()?;
            let new = NewAccount {
                address: &first,
                display_name: "",
                password: &chosen.text,
                quota_octets: None,
            };
            store.create_account(new).await?;
            password = chosen.generated.then_some(chosen.text);
        }
        for role in ["postmaster", "abuse"] {
            let alias = Address::new(role, &domain)?;
            if alias != first {
                ignore_existing(store.create_alias(&alias, &first).await)?;
            }
        }
        let ips = if self.ip.is_empty() { own_addresses() } else { self.ip.clone() };
        let config = Config::load(&context.path)?;
        let mut records = records(&domain, &hostname, &ips);
        records.extend(client_records(&config, &domain));
        records.extend(sts_records(&config, &domain));
        records.extend(trust_records(&keys::ensure(&store, &domain).await?, &domain));
        if context.json {
            let list: Vec<_> = records
                .iter()
                .map(|r| json!({ "name": r.name, "type": r.kind, "value": r.value, "why": r.why }))
                .collect();
            print::json(&json!({
                "config": context.path, "hostname": hostname, "account": first, "password": password, "records": list,
            }));
            return Ok(());
        }
        match wrote {
            true => println!("Wrote {}.", context.path.display()),
            false => println!("Kept {} as it is.", context.path.display()),
        }
        match (&password, new_account) {
            (Some(password), _) => {
                println!("Made the account {first}. Its password, shown this once: {password}")
            }
            (None, true) => println!("Made the account {first}."),
            (None, false) => println!("Kept the account {first}."),
        }
        println!("\nAdd these records to the DNS of {domain}:\n");
        for record in &records {
            println!("  {}. {} {}", record.name, record.kind, record.value);
            println!("      {}", record.why);
        }
        println!(
            "\nAsk whoever runs your line to let the address's reverse name (PTR) be {hostname}.\n\
             Then start the server:  waxwing serve --config {}",
            context.path.display()
        );
        Ok(())
    }

    /// Gives whether it was written; an existing file is kept, if it is for the same host.
    fn write_config(&self, context: &Context, hostname: &str, domain: &str) -> Result<bool> {
        if context.path.exists() {
            let found = Config::load(&context.path)?;
            if found.hostname.as_str() != hostname && self.hostname.is_some() {
                bail!(
                    "{} is for {}: change it there, or choose another file with --config",
                    context.path.display(),
                    found.hostname
                );
            }
            return Ok(false);
        }
        let database = match &self.database {
            Some(url) => format!("database = {}\n", toml_string(url)),
            None => String::new(),
        };
        let text = format!(
            "# The configuration of Waxwing. Domains, accounts and aliases are not here: use `waxwing domain`,\n\
             # `waxwing user` and `waxwing alias`.\n\
             hostname = {}\ndata = {}\n{database}\n\
             # Mail programs set themselves up from the address alone; port 443 must be reachable from outside.\n\
             [autoconfig]\n\n\
             # Programs and pages read and send mail by JMAP.\n\
             [jmap]\n\n\
             [tls]\n\
             # A certificate from Let's Encrypt, renewed by itself; port 80 must be reachable from outside.\n\
             acme = {{ email = {} }}\n\
             # Or your own files:\n\
             # certificate = \"/etc/ssl/mail.pem\"\n\
             # key = \"/etc/ssl/mail.key\"\n",
            toml_string(hostname),
            toml_string(&self.data.display().to_string()),
            toml_string(&format!("postmaster@{domain}")),
        );
        Config::parse(&text, &context.path)
            .context("the values given make no valid configuration")?;
        if let Some(folder) = context.path.parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        // It may hold a database password.
        tls::write_secret(&context.path, text.as_bytes())?;
        Ok(true)
    }
}

fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn ignore_existing(result: Result<(), AccountError>) -> Result<()> {
    match result {
        Ok(()) | Err(AccountError::Exists(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// This machine's addresses that others could reach.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| is_public(*ip)).collect()
}

fn records(domain: &str, hostname: &str, ips: &[IpAddr]) -> Vec<Record> {
    let mut list = Vec::new();
    let mut add =
        |name: String, kind, value: String, why| list.push(Record { name, kind, value, why });
    for ip in ips {
        let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
        add(hostname.into(), kind, ip.to_string(), "where the server is");
    }
    if ips.is_empty() {
        add(hostname.into(), "A", "YOUR.PUBLIC.ADDRESS".into(), "where the server is");
    }
    add(domain.into(), "MX", format!("10 {hostname}."), "mail for the domain goes to this server");
    add(
        domain.into(),
        "TXT",
        "\"v=spf1 mx -all\"".into(),
        "only this server sends for the domain (SPF)",
    );
    add(
        hostname.into(),
        "TXT",
        "\"v=spf1 a -all\"".into(),
        "the same for the server's own name, seen in bounces",
    );
    list
}

/// How mail clients find the server by the address alone: what it listens on (RFC 6186, RFC 8314 §5.1),
/// and with `[autoconfig]` the pages that say the rest.
fn client_records(config: &Config, domain: &str) -> Vec<Record> {
    let announced = Announced::of(config);
    let host = &announced.host;
    let srv = |service: &str, port: u16, why| Record {
        name: format!("{service}._tcp.{domain}"),
        kind: "SRV",
        value: format!("0 1 {port} {host}."),
        why,
    };
    let mut list = Vec::new();
    for service in &announced.services {
        let name = match (service.protocol, service.implicit_tls) {
            (Protocol::Smtp, true) => "_submissions",
            (Protocol::Smtp, false) => "_submission",
            (Protocol::Imap, true) => "_imaps",
            (Protocol::Pop3, true) => "_pop3s",
            // RFC 5804 §1.8.
            (Protocol::ManageSieve, _) => "_sieve",
            // RFC 8314 §3: those with TLS from the first octet are enough.
            (Protocol::Imap | Protocol::Pop3, false) => continue,
        };
        let why = "mail clients find the server by the address alone (RFC 6186, RFC 8314)";
        list.push(srv(name, service.port, why));
    }
    if let Some((host, port)) = config.jmap_host() {
        list.push(Record {
            name: format!("_jmap._tcp.{domain}"),
            kind: "SRV",
            value: format!("0 1 {port} {host}."),
            why: "JMAP clients find the server by the address alone (RFC 8620)",
        });
    }
    let Some(settings) = &config.autoconfig else { return list };
    for (prefix, why) in autoconfig::HOSTS.into_iter().zip([
        "Thunderbird and others set themselves up",
        "Outlook sets itself up",
        "coming programs set themselves up",
    ]) {
        let name = format!("{prefix}.{domain}");
        list.push(Record { name, kind: "CNAME", value: format!("{host}."), why });
    }
    list.push(srv("_autodiscover", 443, "Outlook sets itself up, by the server's own certificate"));
    let shown = settings.name.as_deref().unwrap_or(domain);
    list.push(Record {
        name: format!("_ua-auto-config.{domain}"),
        kind: "TXT",
        value: format!("\"{}\"", autoconfig::pacc_record(&announced, shown)),
        why: "that what coming programs are told is from you; changes with [listen] and [autoconfig]",
    });
    list
}

/// Who vouches for the domain's mail, and what others are to do with what is not vouched for: to
/// begin with nothing but to tell us.
fn trust_records(signing: &[StoredSigningKey], domain: &str) -> Vec<Record> {
    let record = |name, value, why| Record { name, kind: "TXT", value, why };
    let mut list: Vec<Record> = signing
        .iter()
        .map(|key| {
            let why = "the key that signs the domain's mail (DKIM)";
            record(keys::record_name(key), keys::zone_value(&key.record), why)
        })
        .collect();
    list.push(record(
        format!("_dmarc.{domain}"),
        format!("\"v=DMARC1; p=none; rua=mailto:postmaster@{domain}\""),
        "who uses the domain is reported to you (DMARC); go to p=quarantine when the reports are clean",
    ));
    list.push(record(
        format!("_smtp._tls.{domain}"),
        format!("\"v=TLSRPTv1; rua=mailto:postmaster@{domain}\""),
        "trouble with encryption on the way to you is reported (TLS-RPT)",
    ));
    list
}

/// What goes with the MTA-STS policy that we show (RFC 8461 §3.1); nothing when we show none.
fn sts_records(config: &Config, domain: &str) -> Vec<Record> {
    let Some(policy) = crate::serve::sts::policy(config) else { return Vec::new() };
    let record = |name, kind, value, why| Record { name, kind, value, why };
    vec![
        record(
            mta_sts::policy_host(domain),
            "CNAME",
            format!("{}.", config.hostname),
            "where other servers read that mail to you must be encrypted (MTA-STS)",
        ),
        record(
            mta_sts::record_name(domain),
            "TXT",
            format!("\"{}\"", policy.record()),
            "that there is such a policy; changes with it",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mta_sts_policy_brings_its_records() {
        let config = |more: &str| {
            let text = format!("hostname='mx.example.org'\n{more}\n[tls]\nself-signed=true\n");
            Config::parse(&text, std::path::Path::new("x")).unwrap()
        };
        assert!(sts_records(&config(""), "example.org").is_empty());
        let list = sts_records(&config("[mta-sts]\nmode='testing'"), "example.org");
        assert_eq!((&*list[0].name, &*list[0].value), ("mta-sts.example.org", "mx.example.org."));
        assert_eq!(list[1].name, "_mta-sts.example.org");
        let text = list[1].value.trim_matches('"');
        assert!(mta_sts::Record::parse(text.as_bytes()).is_ok(), "{text}");
    }

    #[test]
    fn clients_are_told_of_what_is_there() {
        let shown = |more: &str| -> Vec<String> {
            let text = format!("hostname='mail.example.org'\n{more}\n[tls]\nself-signed=true\n");
            let config = Config::parse(&text, std::path::Path::new("x")).unwrap();
            let list = client_records(&config, "example.org");
            list.iter().map(|r| format!("{} {} {}", r.name, r.kind, r.value)).collect()
        };
        let plain = shown("");
        assert_eq!(plain.len(), 5, "{plain:?}");
        assert!(
            plain.contains(&"_imaps._tcp.example.org SRV 0 1 993 mail.example.org.".to_owned())
        );
        let more = shown("[autoconfig]\n[listen]\npop3s=[]\nimaps=['[::]:1993']");
        assert!(!more.iter().any(|record| record.starts_with("_pop3s")), "{more:?}");
        for record in [
            "_imaps._tcp.example.org SRV 0 1 1993 mail.example.org.",
            "autoconfig.example.org CNAME mail.example.org.",
            "_autodiscover._tcp.example.org SRV 0 1 443 mail.example.org.",
        ] {
            assert!(more.contains(&record.to_owned()), "{record}: {more:?}");
        }
        assert!(
            more.last()
                .unwrap()
                .starts_with("_ua-auto-config.example.org TXT \"v=UAAC1; a=sha256; d=")
        );
    }

    #[test]
    fn records_name_every_address() {
        let list = records(
            "example.org",
            "mail.example.org",
            &["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        );
        let shown: Vec<String> =
            list.iter().map(|r| format!("{} {} {}", r.name, r.kind, r.value)).collect();
        assert!(shown.contains(&"mail.example.org AAAA 2001:db8::7".to_owned()));
        assert!(shown.contains(&"example.org MX 10 mail.example.org.".to_owned()));
    }
}
