//! What each mechanism asks, and when it matches (RFC 7208 §5).

use std::net::IpAddr;

use waxwing_dns::record::is_at_or_below;
use waxwing_dns::{LookupError, RecordType, Resolve};

use super::verdict::{How, Match, Stop};
use super::{Evaluation, NAMES_MAX};
use crate::spf::record::{Mechanism, Prefixes, Term, network_holds};

/// Addresses of the client's family at a name.
pub(super) enum Addresses {
    /// None at all.
    Void,
    Others,
    Client,
}

fn matched(term: &Term<'_>, how: How) -> Match {
    Match {
        qualifier: term.qualifier,
        term: term.text.to_owned(),
        how,
        via: Vec::new(),
        explanation: None,
    }
}

impl<R: Resolve> Evaluation<'_, R> {
    /// Whether a term that does not ask the DNS matches, and how.
    pub(super) fn knows(&self, term: &Term<'_>) -> Option<Match> {
        let holds = |network, prefix| network_holds(network, prefix, self.ip);
        let how = match term.mechanism {
            Mechanism::All => How::All,
            Mechanism::Ip4(network, prefix) if holds(network.into(), prefix) => How::InNetwork,
            Mechanism::Ip6(network, prefix) if holds(network.into(), prefix) => How::InNetwork,
            _ => return None,
        };
        Some(matched(term, how))
    }

    /// Whether a term that asks the DNS matches, and how.
    pub(super) async fn asks(
        &mut self,
        term: &Term<'_>,
        domain: &str,
    ) -> Result<Option<Match>, Stop> {
        self.count_dns_term(domain)?;
        let how = match term.mechanism {
            Mechanism::All | Mechanism::Ip4(..) | Mechanism::Ip6(..) => return Ok(self.knows(term)),
            Mechanism::Include(target) => return self.include(term, &target, domain).await,
            Mechanism::A(target, prefixes) => match self.target(target, domain).await {
                Some(name) => self.match_a(&name, prefixes).await?,
                None => None,
            },
            Mechanism::Mx(target, prefixes) => match self.target(target, domain).await {
                Some(name) => self.match_mx(&name, prefixes).await?,
                None => None,
            },
            Mechanism::Ptr(target) => match self.target(target, domain).await {
                Some(name) => self.match_ptr(&name).await?,
                None => None,
            },
            Mechanism::Exists(target) => match self.expand(&target, domain).await {
                Some(name) => self.match_exists(&name).await?,
                None => None,
            },
        };
        Ok(how.map(|how| matched(term, how)))
    }

    /// §5.3.
    async fn match_a(&mut self, name: &str, prefixes: Prefixes) -> Result<Option<How>, Stop> {
        match self.addresses(name, prefixes).await? {
            Addresses::Client => Ok(Some(How::AddressOf(name.to_owned()))),
            Addresses::Others => Ok(None),
            Addresses::Void => self.count_void(name).map(|()| None),
        }
    }

    /// §5.4. The domain's own addresses are never taken for an exchanger's.
    async fn match_mx(&mut self, name: &str, prefixes: Prefixes) -> Result<Option<How>, Stop> {
        let exchangers = match self.resolver.mx(name).await {
            Ok(answer) => answer.records,
            Err(error) if error.is_temporary() => {
                return Err(Stop::temporary(name, RecordType::Mx, &error));
            }
            Err(error) => return self.count_absent(name, &error).map(|()| None),
        };
        if exchangers.len() > NAMES_MAX {
            return Err(Stop::permanent(format!(
                "{name} has more than {NAMES_MAX} mail exchangers"
            )));
        }
        for mx in exchangers {
            // A null MX (RFC 7505) names the root.
            if matches!(mx.exchange.as_str(), "" | ".") {
                continue;
            }
            if let Addresses::Client = self.addresses(&mx.exchange, prefixes).await? {
                return Ok(Some(How::ExchangerOf { host: mx.exchange, domain: name.to_owned() }));
            }
        }
        Ok(None)
    }

    /// §5.5.
    async fn match_ptr(&mut self, target: &str) -> Result<Option<How>, Stop> {
        let target = target.to_ascii_lowercase();
        if self.ask_client_names().await {
            self.count_void("the client's address")?;
        }
        for at in 0..self.client_names.as_ref().map_or(0, Vec::len) {
            if let Some(name) = self.validated(at, |name| is_at_or_below(name, &target)).await {
                return Ok(Some(How::Named(name)));
            }
        }
        Ok(None)
    }

    /// §5.7: always the A record, also for clients that come by IPv6.
    async fn match_exists(&mut self, name: &str) -> Result<Option<How>, Stop> {
        match self.resolver.a(name).await {
            Ok(_) => Ok(Some(How::Exists(name.to_owned()))),
            Err(error) if error.is_temporary() => Err(Stop::temporary(name, RecordType::A, &error)),
            Err(error) => self.count_absent(name, &error).map(|()| None),
        }
    }

    /// Asks for the addresses of the client's family.
    pub(super) async fn addresses(
        &self,
        name: &str,
        prefixes: Prefixes,
    ) -> Result<Addresses, Stop> {
        let holds = |network: IpAddr, prefix| network_holds(network, prefix, self.ip);
        let (record_type, answer) = match self.ip {
            IpAddr::V4(_) => {
                let answer = self.resolver.a(name).await;
                let any =
                    |ips: Vec<_>| ips.into_iter().any(|ip| holds(IpAddr::V4(ip), prefixes.v4));
                (RecordType::A, answer.map(|answer| any(answer.records)))
            }
            IpAddr::V6(_) => {
                let answer = self.resolver.aaaa(name).await;
                let any =
                    |ips: Vec<_>| ips.into_iter().any(|ip| holds(IpAddr::V6(ip), prefixes.v6));
                (RecordType::Aaaa, answer.map(|answer| any(answer.records)))
            }
        };
        match answer {
            Ok(true) => Ok(Addresses::Client),
            Ok(false) => Ok(Addresses::Others),
            Err(error) if error.is_temporary() => Err(Stop::temporary(name, record_type, &error)),
            // What cannot be asked is not a lookup that found nothing.
            Err(LookupError::BadName) => Ok(Addresses::Others),
            Err(_) => Ok(Addresses::Void),
        }
    }
}
