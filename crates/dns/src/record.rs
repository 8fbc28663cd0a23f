//! Record types, their data, and names in the one form used here: ASCII, lower case, no final dot.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The record types that mail needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordType {
    /// IPv4 address (RFC 1035 §3.4.1).
    A,
    /// IPv6 address (RFC 3596).
    Aaaa,
    /// Mail exchanger (RFC 1035 §3.3.9).
    Mx,
    /// Text (RFC 1035 §3.3.14).
    Txt,
    /// Pointer (RFC 1035 §3.3.12).
    Ptr,
    /// Alias (RFC 1035 §3.3.1).
    Cname,
    /// TLS association (RFC 6698).
    Tlsa,
    /// Service (RFC 2782).
    Srv,
    /// Name server (RFC 1035 §3.3.11).
    Ns,
    /// Start of authority (RFC 1035 §3.3.13).
    Soa,
}

impl RecordType {
    /// Every type known here.
    pub const ALL: [RecordType; 10] = [
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Mx,
        RecordType::Txt,
        RecordType::Ptr,
        RecordType::Cname,
        RecordType::Tlsa,
        RecordType::Srv,
        RecordType::Ns,
        RecordType::Soa,
    ];

    /// As in zone files: `AAAA`.
    pub fn name(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Mx => "MX",
            RecordType::Txt => "TXT",
            RecordType::Ptr => "PTR",
            RecordType::Cname => "CNAME",
            RecordType::Tlsa => "TLSA",
            RecordType::Srv => "SRV",
            RecordType::Ns => "NS",
            RecordType::Soa => "SOA",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Any case.
impl FromStr for RecordType {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        RecordType::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// A mail exchanger. A null MX (RFC 7505) is preference 0 with the root `.` as its exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// Host name.
    pub exchange: String,
}

/// A TLS association (RFC 6698 §2.1). Numbers stand as they came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tlsa {
    /// Certificate usage: 2 DANE-TA, 3 DANE-EE.
    pub usage: u8,
    /// 0 the certificate, 1 its public key.
    pub selector: u8,
    /// 0 in full, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The association data.
    pub data: Vec<u8>,
}

/// A service (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host name; `.` means that the service is not offered.
    pub target: String,
}

/// Start of authority.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Soa {
    /// Primary name server.
    pub primary: String,
    /// The responsible mailbox, as a name.
    pub mailbox: String,
    /// Serial number.
    pub serial: u32,
    /// Seconds.
    pub refresh_secs: u32,
    /// Seconds.
    pub retry_secs: u32,
    /// Seconds.
    pub expire_secs: u32,
    /// TTL of negative answers (RFC 2308 §4).
    pub minimum_secs: u32,
}

/// The data of one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordData {
    /// A.
    A(Ipv4Addr),
    /// AAAA.
    Aaaa(Ipv6Addr),
    /// MX.
    Mx(Mx),
    /// TXT: its strings, each at most 255 octets.
    Txt(Vec<Vec<u8>>),
    /// PTR.
    Ptr(String),
    /// CNAME.
    Cname(String),
    /// TLSA.
    Tlsa(Tlsa),
    /// SRV.
    Srv(Srv),
    /// NS.
    Ns(String),
    /// SOA.
    Soa(Soa),
}

impl RecordData {
    /// Its type.
    pub fn record_type(&self) -> RecordType {
        match self {
            RecordData::A(_) => RecordType::A,
            RecordData::Aaaa(_) => RecordType::Aaaa,
            RecordData::Mx(_) => RecordType::Mx,
            RecordData::Txt(_) => RecordType::Txt,
            RecordData::Ptr(_) => RecordType::Ptr,
            RecordData::Cname(_) => RecordType::Cname,
            RecordData::Tlsa(_) => RecordType::Tlsa,
            RecordData::Srv(_) => RecordType::Srv,
            RecordData::Ns(_) => RecordType::Ns,
            RecordData::Soa(_) => RecordType::Soa,
        }
    }
}

/// The longest name in its text form without escapes: RFC 1035 §2.3.4 allows 255 octets on the wire,
/// which are the text's characters, one length octet and the root.
pub const MAX_NAME_OCTETS: usize = 253;

/// A name in the form used here, or `None` when it cannot be a name in the DNS: an empty or too long
/// label, too long as a whole, white space or control characters, or anything but ASCII.
pub fn canonical_name(name: &str) -> Option<String> {
    if name == "." {
        return Some(name.to_owned());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    if name.len() > MAX_NAME_OCTETS || !name.split('.').all(label_ok) {
        return None;
    }
    Some(name.to_ascii_lowercase())
}

/// Whether `name` is `ancestor` or stands below it. Both in the form used here.
pub fn is_at_or_below(name: &str, ancestor: &str) -> bool {
    ancestor == "."
        || name == ancestor
        || name.strip_suffix(ancestor).is_some_and(|rest| rest.ends_with('.'))
}

/// The name that holds an address's PTR records (RFC 1035 §3.5, RFC 3596 §2.5).
pub fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let mut name = String::with_capacity(72);
            for octet in ip.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_follow_the_rfcs() {
        // RFC 1035 §3.5's and RFC 3596 §2.5's own examples.
        assert_eq!(reverse_name([10, 2, 0, 52].into()), "52.0.2.10.in-addr.arpa");
        assert_eq!(
            reverse_name("4321:0:1:2:3:4:567:89ab".parse().unwrap()),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
    }

    #[test]
    fn names_are_checked_and_folded() {
        assert_eq!(canonical_name("Mail.Example.ORG.").as_deref(), Some("mail.example.org"));
        assert_eq!(canonical_name("_25._tcp.mx").as_deref(), Some("_25._tcp.mx"));
        assert_eq!(canonical_name(".").as_deref(), Some("."));
        for bad in ["", "..", "a..b", ".a", "a b", "a\\b", "münchen", &"a".repeat(64)] {
            assert_eq!(canonical_name(bad), None, "{bad}");
        }
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert!(canonical_name(&longest).is_some());
        assert_eq!(canonical_name(&(longest + "e")), None);
    }

    #[test]
    fn below_means_at_a_label_boundary() {
        assert!(is_at_or_below("mail.wax.test", "wax.test"));
        assert!(is_at_or_below("wax.test", "wax.test"));
        assert!(is_at_or_below("wax.test", "."));
        assert!(!is_at_or_below("beeswax.test", "wax.test"));
    }
}
