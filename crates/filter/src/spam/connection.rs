//! What the connection tells: HELO, reverse DNS, and what blocklists answer.
//!
//! Pure functions over what the caller looked up. A lookup that failed for now is never held
//! against a client. Results of findings, each with its weight in [`super::verdict`]:
//!
//! | check | result | means |
//! |---|---|---|
//! | HELO | `pass` | a name that leads to the client |
//! | | `ip` | an address without brackets (RFC 5321 §4.1.3 wants them) |
//! | | `literal-mismatch` | an address in brackets that is not the client's |
//! | | `localhost`, `own-name` | claims to be this computer |
//! | | `not-fqdn`, `malformed` | not a full name; not a name at all (RFC 5321 §4.1.1.1) |
//! | | `unresolvable` | a full name that does not exist |
//! | | `elsewhere` | a name that leads to other addresses; common and harmless |
//! | reverse DNS | `pass` | the address has a name that leads back to it |
//! | | `none`, `unconfirmed` | no name; a name that leads elsewhere |
//! | | `generic` | a name as providers give to their customers' lines |
//! | both | `temperror` | the DNS did not answer |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use waxwing_message::journey::{Check, Finding};

/// What came of looking up a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameLookup {
    /// Not asked.
    NotAsked,
    /// Its addresses; none when the name has none or does not exist.
    Addresses(Vec<IpAddr>),
    /// No answer for now.
    Failed,
}

/// What HELO is examined with.
#[derive(Debug, Clone)]
pub struct HeloFacts<'a> {
    /// As the client said it.
    pub name: &'a str,
    /// The client's address.
    pub ip: IpAddr,
    /// The names of this system and the domains it serves.
    pub own_names: &'a [String],
    /// The addresses of the name.
    pub lookup: NameLookup,
}

/// What is odd about HELO, or that nothing is; one finding.
pub fn examine_helo(facts: &HeloFacts<'_>) -> Vec<Finding> {
    let name = facts.name.trim().trim_end_matches('.');
    let (result, reason) = helo(name, facts);
    vec![finding(Check::Helo, result, &shown(name), reason)]
}

fn helo(name: &str, facts: &HeloFacts<'_>) -> (&'static str, String) {
    let ip = facts.ip.to_canonical();
    let shown = shown(name);
    if let Some(literal) = waxwing_message::address::literal_ip(name) {
        return match literal.to_canonical() == ip {
            true => ("pass", format!("The client gave its own address, {shown}")),
            false => ("literal-mismatch", format!("The client at {ip} said that it is {shown}")),
        };
    }
    if name.parse::<IpAddr>().is_ok() {
        return ("ip", format!("The client called itself {shown}, an address without brackets"));
    }
    let local = ["localhost", "localhost.localdomain", "localhost.local"];
    if local.iter().any(|own| name.eq_ignore_ascii_case(own)) && !ip.is_loopback() {
        return ("localhost", format!("The client at {ip} called itself {shown}"));
    }
    if facts.own_names.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return (
            "own-name",
            format!("The client at {ip} called itself {shown}, a name of this system"),
        );
    }
    if !is_name(name) {
        return ("malformed", format!("The client called itself {shown}, which is no host name"));
    }
    if !name.contains('.') {
        return ("not-fqdn", format!("The client called itself {shown}, which is not a full name"));
    }
    match &facts.lookup {
        NameLookup::NotAsked => ("none", format!("The client called itself {shown}")),
        NameLookup::Failed => ("temperror", format!("The DNS did not say what {shown} is")),
        NameLookup::Addresses(found) if found.is_empty() => (
            "unresolvable",
            format!("The client called itself {shown}, a name that has no address"),
        ),
        NameLookup::Addresses(found) if found.iter().any(|one| one.to_canonical() == ip) => {
            ("pass", format!("{shown} is the name of the client"))
        }
        NameLookup::Addresses(_) => {
            ("elsewhere", format!("The client called itself {shown}, which has another address"))
        }
    }
}

/// Letters, digits, hyphens and, as seen in practice, underscores; labels of 1 to 63.
fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// What reverse DNS is examined with.
#[derive(Debug, Clone)]
pub struct ReverseFacts<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// The names of its PTR records; `None` when the DNS did not answer.
    pub names: Option<&'a [String]>,
    /// The first of these names that leads back to the address.
    pub confirmed: Option<&'a str>,
    /// Looking back failed for now.
    pub confirming_failed: bool,
}

/// What is odd about the name of the client's address, or that nothing is; one finding.
pub fn examine_reverse_dns(facts: &ReverseFacts<'_>) -> Vec<Finding> {
    let ip = facts.ip.to_canonical();
    let (result, reason) = match (facts.names, facts.confirmed) {
        (None, _) => ("temperror", format!("The DNS did not say which name {ip} has")),
        (_, Some(name)) if is_generic(name, ip) => {
            let name = shown(name);
            (
                "generic",
                format!("{name} is the kind of name that providers give to their customers' lines"),
            )
        }
        (_, Some(name)) => ("pass", format!("{ip} is {}", shown(name))),
        (Some([]), None) => ("none", format!("The address {ip} has no name")),
        (Some(_), None) if facts.confirming_failed => {
            ("temperror", format!("The DNS did not confirm the name of {ip}"))
        }
        (Some(names), None) => {
            let name = shown(&names[0]);
            ("unconfirmed", format!("{ip} says that it is {name}, but {name} has other addresses"))
        }
    };
    vec![finding(Check::ReverseDns, result, &ip.to_string(), reason)]
}

/// Whether a host name is made from its address or says that the line is a customer's.
pub fn is_generic(name: &str, ip: IpAddr) -> bool {
    const LINES: [&str; 17] = [
        "dyn",
        "dynamic",
        "dynip",
        "dhcp",
        "ppp",
        "pppoe",
        "pool",
        "dsl",
        "adsl",
        "vdsl",
        "xdsl",
        "cable",
        "dialup",
        "dial",
        "broadband",
        "dip",
        "customer",
    ];
    const MAIL: [&str; 9] =
        ["mail", "smtp", "mx", "mta", "relay", "outbound", "mailout", "newsletter", "email"];
    let name = name.to_ascii_lowercase();
    let first = name.split('.').next().unwrap_or_default();
    let is_mail = |word: &str| MAIL.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()));
    if first.split('-').any(is_mail) {
        return false;
    }
    let words: Vec<&str> = name.split(['.', '-', '_']).collect();
    let mut lines = words.iter().map(|word| word.trim_matches(|c: char| c.is_ascii_digit()));
    let digits = name.bytes().any(|b| b.is_ascii_digit());
    holds_address(&name, &words, ip) || digits && lines.any(|word| LINES.contains(&word))
}

/// Whether the octets of the address stand in the name, forward or backward, decimal or hexadecimal.
fn holds_address(name: &str, words: &[&str], ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            let numbers: Vec<u32> =
                name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            let forward = [a, b, c, d].map(u32::from);
            let backward = [d, c, b, a].map(u32::from);
            let three = |all: [u32; 4]| [[all[0], all[1], all[2]], [all[1], all[2], all[3]]];
            let runs = [three(forward), three(backward)].concat();
            let hexadecimal =
                [format!("{a:02x}{b:02x}{c:02x}{d:02x}"), format!("{d:02x}{c:02x}{b:02x}{a:02x}")];
            let padded = format!("{a:03}{b:03}{c:03}{d:03}");
            numbers.windows(3).any(|window| runs.iter().any(|run| run == window))
                || hexadecimal.iter().any(|hex| name.contains(hex.as_str()))
                || name.contains(&padded)
        }
        IpAddr::V6(v6) => {
            let groups = v6.segments().map(|group| format!("{group:x}"));
            let written = |word: &&str| groups[..4].iter().any(|group| group == word);
            words.iter().filter(|word| !word.is_empty()).filter(|word| written(word)).count() >= 3
        }
    }
}

/// The name to ask an address list about an address (RFC 5782 §2.1 and §2.4); `None` for addresses
/// that no list can know: private, loopback, link-local.
pub fn ip_query(ip: IpAddr, list: &str) -> Option<String> {
    match ip.to_canonical() {
        IpAddr::V4(v4)
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() =>
        {
            None
        }
        IpAddr::V4(v4) => Some(v4_query(v4, list)),
        IpAddr::V6(v6)
            if v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local() =>
        {
            None
        }
        IpAddr::V6(v6) => Some(v6_query(v6, list)),
    }
}

fn v4_query(ip: Ipv4Addr, list: &str) -> String {
    let [a, b, c, d] = ip.octets();
    format!("{d}.{c}.{b}.{a}.{list}")
}

fn v6_query(ip: Ipv6Addr, list: &str) -> String {
    let mut name = String::with_capacity(64 + list.len());
    for octet in ip.octets().iter().rev() {
        name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
    }
    name.push_str(list);
    name
}

/// The name to ask a domain list about a domain (RFC 5782 §3); `None` for what is no domain name.
pub fn domain_query(domain: &str, list: &str) -> Option<String> {
    let domain = idna::domain_to_ascii(domain.trim_end_matches('.')).ok()?;
    let is_domain = domain.contains('.') && is_name(&domain) && domain.parse::<IpAddr>().is_err();
    let name = format!("{domain}.{list}");
    (is_domain && name.len() <= 253).then_some(name)
}

/// The names whose answers tell that an address list is alive: the first must be listed, the second
/// must not (RFC 5782 §5).
pub fn liveness_queries(list: &str) -> [String; 2] {
    [v4_query(Ipv4Addr::new(127, 0, 0, 2), list), v4_query(Ipv4Addr::LOCALHOST, list)]
}

/// What the address that a list returns means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListAnswer {
    /// Listed, with this code.
    Listed(Ipv4Addr),
    /// The list's operator answers that the question is at fault: never a listing.
    Refused(&'static str),
    /// Outside 127.0.0.0/8: the list is gone and its domain answers everything (RFC 5782 §2.3).
    Nonsense,
}

/// Reads an answer of a blocklist. Only 127.0.0.0/8 lists; the codes by which operators say
/// that they refuse to answer do not.
pub fn list_answer(answer: Ipv4Addr) -> ListAnswer {
    match answer.octets() {
        [127, 255, 255, 252] => ListAnswer::Refused("the name of the list is misspelt"),
        [127, 255, 255, 254] => ListAnswer::Refused("it does not answer public resolvers"),
        [127, 255, 255, 255] => ListAnswer::Refused("it was asked too often"),
        [127, 255, 255, _] => ListAnswer::Refused("it reports an error"),
        // No list holds 127.0.0.1 (RFC 5782 §5); domain lists use it to refuse.
        [127, 0, 0, 1] => ListAnswer::Refused("it does not answer this resolver"),
        [127, ..] => ListAnswer::Listed(answer),
        _ => ListAnswer::Nonsense,
    }
}

/// The networks that reputation is kept of: IPv4 `/32` and `/24`, IPv6 `/64` and `/48`.
pub fn networks(ip: IpAddr) -> [String; 2] {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            [format!("{v4}/32"), format!("{a}.{b}.{c}.0/24")]
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            let network = |d| Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            [format!("{}/64", network(d)), format!("{}/48", network(0))]
        }
    }
}

fn finding(check: Check, result: &str, about: &str, reason: String) -> Finding {
    Finding {
        check,
        result: result.to_owned(),
        about: about.to_owned(),
        reason,
        lookups: Vec::new(),
    }
}

/// A name from outside, bounded and without control characters.
fn shown(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn helo_result(name: &str, lookup: NameLookup) -> String {
        let own_names = ["mx.here.example".to_owned(), "here.example".to_owned()];
        let facts = HeloFacts { name, ip: ip("192.0.2.7"), own_names: &own_names, lookup };
        examine_helo(&facts).remove(0).result
    }

    #[test]
    fn helo_names() {
        let asked =
            |addresses: &[&str]| NameLookup::Addresses(addresses.iter().map(|a| ip(a)).collect());
        for (name, lookup, result) in [
            ("mail.example.org", asked(&["192.0.2.7"]), "pass"),
            ("mail.example.org.", asked(&["::ffff:192.0.2.7"]), "pass"),
            ("mail.example.org", asked(&["192.0.2.8"]), "elsewhere"),
            ("mail.example.org", asked(&[]), "unresolvable"),
            ("mail.example.org", NameLookup::Failed, "temperror"),
            ("mail.example.org", NameLookup::NotAsked, "none"),
            ("[192.0.2.7]", NameLookup::NotAsked, "pass"),
            ("[192.0.2.8]", NameLookup::NotAsked, "literal-mismatch"),
            ("192.0.2.7", NameLookup::NotAsked, "ip"),
            ("localhost", NameLookup::NotAsked, "localhost"),
            ("MX.here.example", asked(&["192.0.2.7"]), "own-name"),
            ("here.example", NameLookup::NotAsked, "own-name"),
            ("friend", NameLookup::NotAsked, "not-fqdn"),
            ("", NameLookup::NotAsked, "malformed"),
            ("a b.example", NameLookup::NotAsked, "malformed"),
            ("x..example", NameLookup::NotAsked, "malformed"),
        ] {
            assert_eq!(helo_result(name, lookup), result, "{name}");
        }
    }

    #[test]
    fn reverse_dns() {
        let names = ["mail.example.org".to_owned()];
        let result = |names: Option<&[String]>, confirmed: Option<&str>, confirming_failed| {
            let facts = ReverseFacts { ip: ip("192.0.2.7"), names, confirmed, confirming_failed };
            examine_reverse_dns(&facts).remove(0).result
        };
        assert_eq!(result(Some(&names), Some("mail.example.org"), false), "pass");
        assert_eq!(result(Some(&names), Some("192-0-2-7.example.org"), false), "generic");
        assert_eq!(result(Some(&names), None, false), "unconfirmed");
        assert_eq!(result(Some(&names), None, true), "temperror");
        assert_eq!(result(Some(&[]), None, false), "none");
        assert_eq!(result(None, None, false), "temperror");
    }

    #[test]
    fn names_of_lines_and_of_servers() {
        for (name, address, generic) in [
            ("mail.example.org", "192.0.2.7", false),
            ("mail7.example.org", "192.0.2.7", false),
            ("mail-192-0-2-7.esp.example", "192.0.2.7", false),
            ("server2.example.org", "192.0.2.7", false),
            ("p5483a1b2.dip0.t-ipconnect.example", "84.131.161.178", true),
            ("cpe-192-0-2-7.isp.example", "192.0.2.7", true),
            ("7.2.0.192.isp.example", "192.0.2.7", true),
            ("192.0.2.7.static.isp.example", "192.0.2.7", true),
            ("hostc0000207.isp.example", "192.0.2.7", true),
            ("host192000002007.isp.example", "192.0.2.7", true),
            ("adsl-pool12.isp.example", "192.0.2.7", true),
            ("dynamic.example.org", "192.0.2.7", false),
            ("2001-db8-1-2-ab.isp.example", "2001:db8:1:2::ab", true),
            ("mx1.example.org", "2001:db8:1:2::ab", false),
        ] {
            assert_eq!(is_generic(name, ip(address)), generic, "{name}");
        }
    }

    /// The examples of RFC 5782 §2.1, §2.4 and §3.1, and documented answers of list operators.
    #[test]
    fn blocklist_questions_and_answers() {
        let v4 = ip_query(ip("192.0.2.99"), "bad.example.com");
        assert_eq!(v4.as_deref(), Some("99.2.0.192.bad.example.com"));
        let v6 = ip_query(ip("2001:db8:1:2:3:4:567:89ab"), "ugly.example.com");
        let nibbles =
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com";
        assert_eq!(v6.as_deref(), Some(nibbles));
        assert_eq!(
            ip_query(ip("::ffff:192.0.2.99"), "l.example").as_deref(),
            Some("99.2.0.192.l.example")
        );
        assert_eq!(ip_query(ip("10.1.2.3"), "l.example"), None);
        assert_eq!(ip_query(ip("fe80::1"), "l.example"), None);
        let domain = domain_query("Invalid.Example.", "doms.example.net");
        assert_eq!(domain.as_deref(), Some("invalid.example.doms.example.net"));
        assert_eq!(domain_query("192.0.2.1", "doms.example.net"), None);
        assert_eq!(domain_query(&"a.".repeat(130), "doms.example.net"), None);
        assert_eq!(liveness_queries("l.example"), ["2.0.0.127.l.example", "1.0.0.127.l.example"]);
        let answer = |d: [u8; 4]| list_answer(Ipv4Addr::from(d));
        assert_eq!(answer([127, 0, 0, 2]), ListAnswer::Listed(Ipv4Addr::new(127, 0, 0, 2)));
        assert!(matches!(answer([127, 0, 1, 255]), ListAnswer::Listed(_)));
        for last in [252, 253, 254, 255] {
            assert!(matches!(answer([127, 255, 255, last]), ListAnswer::Refused(_)));
        }
        assert!(matches!(answer([127, 0, 0, 1]), ListAnswer::Refused(_)));
        assert_eq!(answer([192, 0, 2, 1]), ListAnswer::Nonsense);
    }

    #[test]
    fn networks_of_addresses() {
        assert_eq!(networks(ip("192.0.2.7")), ["192.0.2.7/32", "192.0.2.0/24"]);
        assert_eq!(networks(ip("2001:db8:1:2:3::4")), ["2001:db8:1:2::/64", "2001:db8:1::/48"]);
    }
}
