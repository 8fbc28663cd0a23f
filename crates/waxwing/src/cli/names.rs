//! Where `check` and `verify` look names up: name servers, or zone files in their place.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use waxwing_dns::{
    Answer, DnssecMode, FakeZone, LookupError, NameServers, RecordData, RecordType, Resolve,
    Resolver, ResolverOptions, Zone,
};

use crate::config::Config;
use crate::serve::road;

/// Whom to ask.
#[derive(Args, Debug, Default)]
pub struct NameSource {
    /// Ask this name server (ADDRESS or ADDRESS:PORT) instead of the configured ones or the system's.
    #[arg(long, value_name = "SERVER", value_parser = server)]
    dns: Vec<SocketAddr>,
    /// Ask no name server: take the answers from this zone file. Its name is the zone's (example.org.zone), or
    /// write example.org=FILE. What stands in no zone does not exist.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dns", "dnssec"])]
    zone: Vec<String>,
    /// Check DNSSEC signatures here; the name server must pass them on.
    #[arg(long)]
    dnssec: bool,
}

/// Answers from name servers or from files.
pub enum Names {
    /// Name servers.
    Live(Box<Resolver>),
    /// Zone files.
    Zones(FakeZone),
}

impl NameSource {
    /// A resolver as the arguments say, else as the configuration says, else the system's.
    pub fn open(&self, config: Option<&Config>) -> Result<Names> {
        if !self.zone.is_empty() {
            let zones = FakeZone::new();
            for argument in &self.zone {
                zones.insert(read_zone(argument)?);
            }
            return Ok(Names::Zones(zones));
        }
        if let Some(config) = config.filter(|_| self.dns.is_empty() && !self.dnssec) {
            return Ok(Names::Live(Box::new(road::resolver(config)?)));
        }
        let configured = config.map(|config| config.dns.servers.clone()).unwrap_or_default();
        let servers = match (self.dns.is_empty(), configured.is_empty()) {
            (false, _) => NameServers::These(self.dns.clone()),
            (true, false) => NameServers::These(configured),
            (true, true) => NameServers::System,
        };
        let dnssec = if self.dnssec { DnssecMode::Validate } else { DnssecMode::Off };
        let options = ResolverOptions { dnssec, ..ResolverOptions::default() };
        let resolver = Resolver::new(servers, options).context("cannot look up names")?;
        Ok(Names::Live(Box::new(resolver)))
    }
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("{text:?} is no address such as 192.0.2.53 or [2001:db8::53]:5353"))
}

/// `example.org=FILE`, or a file called `example.org` or `example.org.zone`.
fn read_zone(argument: &str) -> Result<Zone> {
    if let Some((apex, file)) = argument.split_once('=') {
        return zone_of(apex, Path::new(file));
    }
    let file = PathBuf::from(argument);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let apex = name.strip_suffix(".zone").unwrap_or(&name);
    let read = zone_of(apex, &file);
    read.map_err(|error| match error.to_string().contains("is not in the zone") {
        true => error.context(format!(
            "the file's name makes it the zone {apex}; if it is another's, write ZONE={argument}"
        )),
        false => error,
    })
}

fn zone_of(apex: &str, file: &Path) -> Result<Zone> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the zone file {}", file.display()))?;
    match Zone::parse(apex, &text) {
        Ok(zone) => Ok(zone),
        Err(error) if error.line == 0 => {
            bail!("{}: {}: write NAME={}", file.display(), error.problem, file.display())
        }
        Err(error) => bail!("{}:{}: {}", file.display(), error.line, error.problem),
    }
}

impl Resolve for Names {
    async fn query(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> Result<Answer<RecordData>, LookupError> {
        match self {
            Names::Live(resolver) => resolver.query(name, record_type).await,
            Names::Zones(zones) => zones.query(name, record_type).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_port_53_unless_said() {
        assert_eq!(server("192.0.2.53"), Ok("192.0.2.53:53".parse().unwrap()));
        assert_eq!(server("[::1]:5353"), Ok("[::1]:5353".parse().unwrap()));
        assert_eq!(server("::1"), Ok("[::1]:53".parse().unwrap()));
        assert!(server("ns.example.org").unwrap_err().contains("192.0.2.53"));
    }

    #[test]
    fn a_zone_file_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("example.org.zone");
        std::fs::write(&file, "@ MX 10 mail\n").unwrap();
        let path = file.to_str().unwrap();
        assert_eq!(read_zone(path).unwrap().apex(), "example.org");
        assert_eq!(read_zone(&format!("other.test={path}")).unwrap().apex(), "other.test");
        std::fs::write(&file, "@ MX 10 mail\n@ MX ten mail\n").unwrap();
        let error = format!("{:#}", read_zone(path).unwrap_err());
        assert!(error.contains("example.org.zone:2"), "{error}");
        std::fs::write(&file, "other.test. MX 10 mail\n").unwrap();
        let error = format!("{:#}", read_zone(path).unwrap_err());
        assert!(error.contains("other.test is not in the zone example.org"), "{error}");
        assert!(error.contains(&format!("write ZONE={path}")), "{error}");
    }
}
