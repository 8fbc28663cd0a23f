//! Our resolver asks our server over real sockets on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use waxwing_dns::{
    AuthoritativeServer, Dnssec, DnssecMode, LookupError, NameServers, RecordData, RecordType,
    Resolve, Resolver, ResolverOptions, SharedZones, Temporary, Zone, Zones,
};

const WAX: &str = "
@     SOA ns hostmaster 1 7200 900 1209600 30
@     MX 10 mail
@     MX 20 backup
mail  60 A 127.0.0.1
mail  AAAA ::1
www   20 CNAME mail
far   CNAME mail.wing.test.
out   CNAME mail.elsewhere.example.
lost  CNAME nobody
loop1 CNAME loop2
loop2 CNAME loop1
@     TXT \"v=spf1 mx \" \"-all\"
_25._tcp.mail TLSA 3 1 1 00ff10
_submission._tcp SRV 0 1 587 mail
";

const WING: &str = "
@    MX 10 mail
mail A 127.0.0.2
2.0.0.127 PTR mail
";

fn zones() -> Zones {
    let mut wax = Zone::parse("wax.test", WAX).unwrap();
    // More than a UDP answer holds, whatever its size.
    for i in 0..120 {
        let text = format!("{i} {}", "x".repeat(90)).into_bytes();
        wax.add("big.wax.test", 60, RecordData::Txt(vec![text])).unwrap();
    }
    let reverse = Zone::parse("0.0.127.in-addr.arpa", "2 PTR mail.wing.test.\n").unwrap();
    [wax, Zone::parse("wing.test", WING).unwrap(), reverse].into_iter().collect()
}

async fn serve(zones: Zones) -> (SocketAddr, SharedZones) {
    let server = AuthoritativeServer::bind((Ipv4Addr::LOCALHOST, 0).into(), zones).await.unwrap();
    let (address, zones) = (server.local_addr().unwrap(), server.zones());
    tokio::spawn(server.run());
    (address, zones)
}

fn resolver(address: SocketAddr, options: ResolverOptions) -> Resolver {
    Resolver::new(NameServers::These(vec![address]), options).unwrap()
}

async fn pair() -> Resolver {
    resolver(serve(zones()).await.0, ResolverOptions::default())
}

#[tokio::test]
async fn every_record_type_arrives_as_it_was_written() {
    let dns = pair().await;
    let mx = dns.mx("Wax.Test.").await.unwrap();
    let hosts: Vec<_> = mx.records.iter().map(|mx| (mx.preference, &*mx.exchange)).collect();
    assert_eq!(hosts, [(10, "mail.wax.test"), (20, "backup.wax.test")]);
    assert_eq!((mx.dnssec, mx.ttl), (Dnssec::Indeterminate, Duration::from_secs(300)));
    assert_eq!(dns.a("mail.wax.test").await.unwrap().records, [Ipv4Addr::LOCALHOST]);
    assert_eq!(dns.aaaa("mail.wax.test").await.unwrap().records, [std::net::Ipv6Addr::LOCALHOST]);
    assert_eq!(dns.txt("wax.test").await.unwrap().records, [b"v=spf1 mx -all".to_vec()]);
    let tlsa = &dns.tlsa("_25._tcp.mail.wax.test").await.unwrap().records[0];
    assert_eq!((tlsa.usage, tlsa.selector, tlsa.matching), (3, 1, 1));
    assert_eq!(tlsa.data, [0x00, 0xff, 0x10]);
    let srv = &dns.srv("_submission._tcp.wax.test").await.unwrap().records[0];
    assert_eq!((srv.port, &*srv.target), (587, "mail.wax.test"));
    assert_eq!(dns.soa("wax.test").await.unwrap().records[0].primary, "ns.wax.test");
    assert_eq!(dns.cname("www.wax.test").await.unwrap().records, ["mail.wax.test"]);
    let ptr = dns.ptr("127.0.0.2".parse().unwrap()).await.unwrap();
    assert_eq!(ptr.records, ["mail.wing.test"]);
}

#[tokio::test]
async fn aliases_are_reported_and_count_for_the_ttl() {
    let dns = pair().await;
    let www = dns.a("www.wax.test").await.unwrap();
    assert_eq!((&*www.name, www.ttl), ("mail.wax.test", Duration::from_secs(20)));
    assert_eq!(www.aliases.len(), 1);
    let far = dns.a("far.wax.test").await.unwrap();
    assert_eq!(far.records, ["127.0.0.2".parse::<Ipv4Addr>().unwrap()]);
    // An alias to a name that does not exist: so says RFC 6604 §3.
    assert!(matches!(dns.a("lost.wax.test").await, Err(LookupError::NxDomain { .. })));
    assert!(matches!(dns.mx("www.wax.test").await, Err(LookupError::NoData { .. })));
    // Its target's zone is not served here, and nobody else can be asked.
    assert_eq!(
        dns.a("out.wax.test").await.unwrap_err(),
        LookupError::Temporary(Temporary::Refused)
    );
    assert!(dns.a("loop1.wax.test").await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn absence_has_two_kinds_and_a_ttl() {
    let dns = pair().await;
    let (dnssec, ttl) = (Dnssec::Indeterminate, Duration::from_secs(30));
    assert_eq!(dns.a("nobody.wax.test").await.unwrap_err(), LookupError::NxDomain { dnssec, ttl });
    assert_eq!(dns.srv("mail.wax.test").await.unwrap_err(), LookupError::NoData { dnssec, ttl });
    // An empty non-terminal.
    assert_eq!(dns.a("_tcp.wax.test").await.unwrap_err(), LookupError::NoData { dnssec, ttl });
}

#[tokio::test]
async fn names_in_no_zone_are_refused_and_special_ones_never_asked() {
    let dns = pair().await;
    assert_eq!(dns.a("example.org").await.unwrap_err(), LookupError::Temporary(Temporary::Refused));
    assert_eq!(dns.a("localhost").await.unwrap().records, [Ipv4Addr::LOCALHOST]);
    assert!(matches!(dns.mx("x.invalid").await, Err(LookupError::NxDomain { .. })));
    assert_eq!(dns.a("no..name").await.unwrap_err(), LookupError::BadName);
}

#[tokio::test]
async fn large_answers_come_over_tcp() {
    let dns = pair().await;
    assert_eq!(dns.txt("big.wax.test").await.unwrap().records.len(), 120);
    let (address, _) = serve(zones()).await;
    let options = ResolverOptions { max_records: 100, ..ResolverOptions::default() };
    let error = resolver(address, options).txt("big.wax.test").await.unwrap_err();
    assert!(matches!(error, LookupError::Malformed(_)), "{error:?}");
}

#[tokio::test]
async fn answers_and_absence_are_kept_and_can_be_forgotten() {
    let (address, zones) = serve(zones()).await;
    let dns = resolver(address, ResolverOptions::default());
    assert!(dns.a("mail.wax.test").await.is_ok());
    assert!(dns.a("new.wax.test").await.is_err());
    zones.update(|zones| {
        zones.insert(Zone::parse("wax.test", "new A 127.0.0.1\n").unwrap());
    });
    assert!(dns.a("mail.wax.test").await.is_ok(), "kept");
    assert!(dns.a("new.wax.test").await.is_err(), "kept");
    dns.clear_cache();
    assert!(dns.a("mail.wax.test").await.is_err());
    assert!(dns.a("new.wax.test").await.is_ok());
}

#[tokio::test]
async fn a_full_cache_stays_within_its_bound_and_right() {
    let (address, _) = serve(zones()).await;
    let options = ResolverOptions { cache_entries: 4, ..ResolverOptions::default() };
    let dns = resolver(address, options);
    for _ in 0..3 {
        for kind in RecordType::ALL {
            let _ = dns.query("mail.wax.test", kind).await;
        }
        assert_eq!(dns.a("mail.wax.test").await.unwrap().records, [Ipv4Addr::LOCALHOST]);
    }
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_port_is_temporary() {
    // Bound, never read.
    let silent = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let options = ResolverOptions {
        timeout: Duration::from_millis(50),
        retries: 0,
        deadline: Duration::from_millis(500),
        ..ResolverOptions::default()
    };
    let dns = resolver(silent.local_addr().unwrap(), options.clone());
    assert_eq!(dns.a("wax.test").await.unwrap_err(), LookupError::Temporary(Temporary::Timeout));
    let closed = silent.local_addr().unwrap();
    drop(silent);
    assert!(resolver(closed, options).a("wax.test").await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn an_unsigned_world_is_bogus_to_a_resolver_that_validates() {
    // The root's keys are built in, and this server can show no signature: believing it would
    // undo DNSSEC, so the answer must be an error that defers.
    let (address, _) = serve(zones()).await;
    let options = ResolverOptions { dnssec: DnssecMode::Validate, ..ResolverOptions::default() };
    let error = resolver(address, options).a("mail.wax.test").await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    // With nothing but the AD bit to go by, unset means insecure.
    let options = ResolverOptions { dnssec: DnssecMode::TrustAd, ..ResolverOptions::default() };
    let answer = resolver(address, options).a("mail.wax.test").await.unwrap();
    assert_eq!(answer.dnssec, Dnssec::Insecure);
}

#[tokio::test]
async fn garbage_over_udp_and_tcp_leaves_the_server_answering() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (address, _) = serve(zones()).await;
    let udp = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for packet in [&b""[..], b"x", &[0; 12], &[0xff; 12], &[0xff; 600], &[0xc0; 100]] {
        udp.send_to(packet, address).await.unwrap();
    }
    let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    tcp.write_all(&[0xff; 64]).await.unwrap();
    // It asks for more octets than a question may have: the server closes.
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    let dns = resolver(address, ResolverOptions::default());
    assert!(dns.mx("wax.test").await.is_ok());
}

#[tokio::test]
async fn the_ad_bit_counts_only_where_it_is_to_be_trusted() {
    use waxwing_dns::answer::{Transport, answer};
    // A validating resolver on this machine: it sets AD in every answer.
    let udp = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let (zones, mut buffer) = (zones(), [0; 4096]);
        while let Ok((octets, peer)) = udp.recv_from(&mut buffer).await {
            let mut reply = answer(&zones, &buffer[..octets], Transport::Udp).unwrap();
            reply[3] |= 0x20;
            udp.send_to(&reply, peer).await.unwrap();
        }
    });
    let status = async |dnssec| {
        let options = ResolverOptions { dnssec, ..ResolverOptions::default() };
        resolver(address, options).a("www.wax.test").await.unwrap()
    };
    let trusted = status(DnssecMode::TrustAd).await;
    assert!(trusted.dnssec.is_secure() && trusted.aliases[0].dnssec.is_secure());
    assert_eq!(status(DnssecMode::Off).await.dnssec, Dnssec::Indeterminate);
}
