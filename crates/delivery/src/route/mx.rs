//! Mail exchangers: RFC 5321 §5.1, RFC 7505.

use rand::Rng;
use rand::seq::SliceRandom;
use waxwing_dns::{Answer, LookupError, Mx, Resolve};

use super::{Host, MAX_HOSTS, Route, RouteError, RouteKind, exchanger};
use crate::policy::Policy;

pub(super) async fn find(
    resolver: &impl Resolve,
    policy: &Policy,
    domain: &str,
    rng: &mut (impl Rng + Send),
) -> Result<Route, RouteError> {
    match resolver.mx(domain).await {
        Ok(answer) => from_records(policy, domain, answer, rng),
        Err(LookupError::NoData { dnssec, .. }) => {
            if policy.is_own_name(domain) {
                return Err(RouteError::Loop(domain.to_owned()));
            }
            let hosts = vec![exchanger(policy, domain.to_owned(), 0)];
            let next_hop = vec![domain.to_owned()];
            Ok(Route { hosts, by: RouteKind::ImplicitMx, dnssec, next_hop })
        }
        Err(LookupError::NxDomain { .. } | LookupError::BadName) => {
            Err(RouteError::NoSuchDomain(domain.to_owned()))
        }
        Err(error) => Err(RouteError::Dns { name: domain.to_owned(), error }),
    }
}

fn from_records(
    policy: &Policy,
    domain: &str,
    answer: Answer<Mx>,
    rng: &mut (impl Rng + Send),
) -> Result<Route, RouteError> {
    // RFC 7505 §3: a null MX stands alone. Beside others the root is only a host that is none.
    if answer.records.len() == 1 && answer.records[0].exchange == "." {
        return Err(RouteError::NullMx(domain.to_owned()));
    }
    let mut records = answer.records;
    records.retain(|mx| mx.exchange != ".");
    if records.is_empty() {
        return Err(RouteError::Unusable(domain.to_owned()));
    }
    let hosts = in_order(records, rng);
    let ours = hosts.iter().filter(|mx| policy.is_own_name(&mx.exchange));
    // RFC 5321 §5.1: where our own name stands, it and all that is not better are left out.
    let cut = ours.map(|mx| mx.preference).min();
    let hosts: Vec<Host> = hosts
        .into_iter()
        .filter(|mx| cut.is_none_or(|cut| mx.preference < cut))
        .take(MAX_HOSTS)
        .map(|mx| exchanger(policy, mx.exchange, mx.preference))
        .collect();
    if hosts.is_empty() {
        return Err(RouteError::Loop(domain.to_owned()));
    }
    let mut next_hop = vec![domain.to_owned()];
    if answer.name != domain {
        next_hop.push(answer.name);
    }
    Ok(Route { hosts, by: RouteKind::Mx, dnssec: answer.dnssec, next_hop })
}

/// By preference, equals in random order (RFC 5321 §5.1), each host once at its best preference.
fn in_order(mut records: Vec<Mx>, rng: &mut (impl Rng + Send)) -> Vec<Mx> {
    records.shuffle(rng);
    // Stable: the shuffle remains among equals.
    records.sort_by_key(|mx| mx.preference);
    let mut hosts: Vec<Mx> = Vec::with_capacity(records.len().min(MAX_HOSTS));
    for mx in records {
        if !hosts.iter().any(|known| known.exchange == mx.exchange) {
            hosts.push(mx);
        }
    }
    hosts
}
