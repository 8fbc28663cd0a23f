//! Routing over a zone in memory.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rand::SeedableRng;
use rand::rngs::StdRng;
use waxwing_dns::{FakeZone, Zone};

use super::*;

const ZONE: &str = "
two      MX 20 second
two      MX 10 first
equal    MX 10 a
equal    MX 10 b
equal    MX 10 c
equal    MX 5  best
null     MX 0 .
half     MX 0 .
half     MX 10 first
plain    A 192.0.2.9
us       MX 10 first
us       MX 20 mx.wax.test.
us       MX 20 second
us       MX 30 third
onlyus   MX 10 mx.wax.test.
dangling MX 10 nobody
twice    MX 10 first
twice    MX 20 first
alias    CNAME two
first    A 192.0.2.1
first    AAAA 2001:db8::1
first    AAAA 2001:db8::2
six      AAAA 2001:db8::6
";

fn zone() -> FakeZone {
    FakeZone::parse("example.test", ZONE)
        .unwrap()
        .with(Zone::parse("wax.test", "mx A 127.0.0.1\n").unwrap())
}

fn policy() -> Policy {
    Policy::new("mx.wax.test")
}

async fn route_with(policy: &Policy, zone: &FakeZone, domain: &str) -> Result<Route, RouteError> {
    find(zone, policy, domain, &mut StdRng::seed_from_u64(1)).await
}

async fn route(domain: &str) -> Result<Route, RouteError> {
    route_with(&policy(), &zone(), &format!("{domain}.example.test")).await
}

fn names(route: &Route) -> Vec<&str> {
    route.hosts.iter().map(|host| host.name.strip_suffix(".example.test").unwrap()).collect()
}

async fn error(domain: &str) -> RouteError {
    route(domain).await.err().expect("no route")
}

#[tokio::test]
async fn exchangers_stand_by_preference() {
    let route = route("two").await.unwrap();
    assert_eq!(names(&route), ["first", "second"]);
    assert_eq!((route.by, route.hosts[0].port), (RouteKind::Mx, 25));
}

#[tokio::test]
async fn equal_preferences_are_shuffled() {
    let (zone, policy) = (zone(), policy());
    let mut orders = BTreeSet::new();
    for seed in 0..50 {
        let mut rng = StdRng::seed_from_u64(seed);
        let route = find(&zone, &policy, "equal.example.test", &mut rng).await.unwrap();
        let names: Vec<String> = names(&route).into_iter().map(str::to_owned).collect();
        assert_eq!(names[0], "best");
        orders.insert(names);
    }
    assert_eq!(orders.len(), 6, "every order of three appears");
}

#[tokio::test]
async fn null_mx_takes_no_mail() {
    let error = error("null").await;
    assert!(!error.is_temporary());
    assert_eq!(error.status().to_string(), "5.1.10", "RFC 7505 §4.2");
    assert_eq!(names(&route("half").await.unwrap()), ["first"], "not alone, it is no null MX");
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_exchanger() {
    let route = route("plain").await.unwrap();
    assert_eq!((names(&route), route.by), (vec!["plain"], RouteKind::ImplicitMx));
}

#[tokio::test]
async fn ourselves_and_worse_are_cut_off() {
    assert_eq!(names(&route("us").await.unwrap()), ["first"]);
    let error = error("onlyus").await;
    assert_eq!(error.status().to_string(), "5.4.6");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn a_domain_that_does_not_exist_fails_for_good() {
    let error = error("nobody").await;
    assert!(!error.is_temporary());
    assert_eq!(error.status().to_string(), "5.1.2");
}

#[tokio::test]
async fn what_the_dns_cannot_say_now_is_asked_again_later() {
    let (zone, policy) = (zone(), policy());
    let domain = "two.example.test";
    type Break = fn(&FakeZone, &str);
    let breaks: [Break; 3] = [FakeZone::time_out, FakeZone::servfail, FakeZone::bogus];
    for fail in breaks {
        fail(&zone, domain);
        let error = route_with(&policy, &zone, domain).await.err().unwrap();
        assert!(error.is_temporary(), "{error}");
        assert_eq!(error.status().class, 4);
    }
}

#[tokio::test]
async fn aliases_are_followed_and_hosts_named_once() {
    assert_eq!(names(&route("alias").await.unwrap()), ["first", "second"]);
    assert_eq!(names(&route("twice").await.unwrap()), ["first"]);
}

#[tokio::test]
async fn dnssec_status_is_that_of_the_answer() {
    let (zone, policy) = (zone(), policy());
    assert!(!route_with(&policy, &zone, "two.example.test").await.unwrap().dnssec.is_secure());
    zone.sign("example.test");
    assert!(route_with(&policy, &zone, "two.example.test").await.unwrap().dnssec.is_secure());
}

#[tokio::test]
async fn literals_and_configured_routes_ask_nobody() {
    let zone = zone();
    let mut policy = policy();
    policy.own_addresses = vec!["192.0.2.50".parse().unwrap()];
    let literal = route_with(&policy, &zone, "[192.0.2.7]").await.unwrap();
    assert_eq!((&*literal.hosts[0].name, literal.by), ("192.0.2.7", RouteKind::AddressLiteral));
    let looped = route_with(&policy, &zone, "[192.0.2.50]").await.err().unwrap();
    assert_eq!(looped, RouteError::Loop("[192.0.2.50]".to_owned()));
    let relay = |host: &str| Relay {
        host: host.to_owned(),
        port: 2525,
        tls: TlsPolicy::Required,
        implicit_tls: false,
        credentials: None,
    };
    policy.routes.insert("null.example.test".to_owned(), relay("odd"));
    policy.routes.insert(".inside.test".to_owned(), relay("inner"));
    policy.smarthost = Some(relay("smart"));
    for (domain, host, by) in [
        ("null.example.test", "odd", RouteKind::Configured),
        ("a.b.inside.test", "inner", RouteKind::Configured),
        ("inside.test", "smart", RouteKind::Smarthost),
        ("two.example.test", "smart", RouteKind::Smarthost),
    ] {
        let route = route_with(&policy, &zone, domain).await.unwrap();
        assert_eq!((&*route.hosts[0].name, route.by), (host, by), "{domain}");
        assert_eq!(route.hosts[0].port, 2525);
    }
    assert_eq!(zone.lookups(), 0);
}

async fn addresses_of(zone: &FakeZone, name: &str) -> Result<Vec<IpAddr>, RouteError> {
    let host = exchanger(&policy(), format!("{name}.example.test"), 10);
    let found = addresses(zone, &host, &mut StdRng::seed_from_u64(1)).await?;
    Ok(found.addresses.into_iter().map(|address| address.ip()).collect())
}

#[tokio::test]
async fn both_families_are_tried_by_turns() {
    let found = addresses_of(&zone(), "first").await.unwrap();
    let families: Vec<bool> = found.iter().map(IpAddr::is_ipv6).collect();
    assert_eq!(families, [true, false, true]);
    assert_eq!(
        addresses_of(&zone(), "six").await.unwrap(),
        ["2001:db8::6".parse::<IpAddr>().unwrap()]
    );
}

#[tokio::test]
async fn a_host_without_addresses_is_unusable_and_one_unknown_is_not() {
    let zone = zone();
    let gone = addresses_of(&zone, "nobody").await.unwrap_err();
    assert_eq!((gone.is_temporary(), gone.status().to_string()), (false, "5.4.4".to_owned()));
    // One family absent, the other unknown: it may yet have one.
    zone.fail("six.example.test", waxwing_dns::RecordType::Aaaa, LookupError::Bogus);
    assert!(addresses_of(&zone, "six").await.unwrap_err().is_temporary());
    // One family unknown does not keep the other from being used.
    zone.fail("first.example.test", waxwing_dns::RecordType::Aaaa, LookupError::Bogus);
    assert_eq!(addresses_of(&zone, "first").await.unwrap().len(), 1);
}
