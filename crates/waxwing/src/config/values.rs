//! Values with units: durations, sizes, host names. Each explains itself when it is wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A length of time written `90s`, `5m`, `4h` or `5d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Span {
        Span(Duration::from_secs(secs))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Span, String> {
        let wrong = || format!("{text:?} is not a length of time: write 90s, 5m, 4h or 5d");
        let unit_secs = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let count: u64 = text[..text.len() - 1].trim().parse().map_err(|_| wrong())?;
        count
            .checked_mul(unit_secs)
            .filter(|&s| s > 0 && s < 1 << 32)
            .map(Span::from_secs)
            .ok_or_else(wrong)
    }
}

/// A network such as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Bits of the address that count.
    pub prefix: u8,
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Network, String> {
        let wrong = || format!("{text:?} is not a network: write 10.0.0.0/8 or 2001:db8::/32");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.as_str(), None),
        };
        let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > longest { Err(wrong()) } else { Ok(Network { address, prefix }) }
    }
}

/// A number of octets: an integer, or text such as `50 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub struct Octets(pub u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl TryFrom<NumberOrText> for Octets {
    type Error = String;
    fn try_from(value: NumberOrText) -> Result<Octets, String> {
        match value {
            NumberOrText::Number(octets) => Ok(Octets(octets)),
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

impl FromStr for Octets {
    type Err = String;
    fn from_str(text: &str) -> Result<Octets, String> {
        let wrong = || format!("{text:?} is not a size: write 800 KB, 50 MB or 2 GB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let shift = match text[digits..].trim().to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "KB" | "KIB" | "K" => 10,
            "MB" | "MIB" | "M" => 20,
            "GB" | "GIB" | "G" => 30,
            "TB" | "TIB" | "T" => 40,
            _ => return Err(wrong()),
        };
        count.checked_mul(1 << shift).filter(|&n| n < 1 << 62).map(Octets).ok_or_else(wrong)
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        match n {
            0..1_024 => write!(f, "{n} B"),
            1_024..1_048_576 => write!(f, "{:.1} KB", n as f64 / 1_024.0),
            1_048_576..1_073_741_824 => write!(f, "{:.1} MB", n as f64 / 1_048_576.0),
            _ => write!(f, "{:.1} GB", n as f64 / 1_073_741_824.0),
        }
    }
}

/// A fully qualified host or domain name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = String;
    fn try_from(text: String) -> Result<HostName, String> {
        text.parse()
    }
}

impl FromStr for HostName {
    type Err = String;
    fn from_str(text: &str) -> Result<HostName, String> {
        // An address's domain has the same form, so the same check serves.
        match waxwing_message::Address::new("x", text) {
            Ok(address) if !text.starts_with('[') => Ok(HostName(address.domain().to_owned())),
            _ => Err(format!("{text:?} is not a host name such as mail.example.org")),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A domain, or with a leading dot all domains below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteDomain(String);

impl TryFrom<String> for RouteDomain {
    type Error = String;
    fn try_from(text: String) -> Result<RouteDomain, String> {
        let (dot, name) = match text.strip_prefix('.') {
            Some(name) => (".", name),
            None => ("", text.as_str()),
        };
        let name: HostName = name.parse()?;
        Ok(RouteDomain(format!("{dot}{name}")))
    }
}

impl fmt::Display for RouteDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl TryFrom<String> for HostPort {
    type Error = String;
    fn try_from(text: String) -> Result<HostPort, String> {
        text.parse()
    }
}

impl FromStr for HostPort {
    type Err = String;
    fn from_str(text: &str) -> Result<HostPort, String> {
        let wrong = || format!("{text:?} is not host:port, such as relay.example.org:587");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let is_ip = bare.parse::<std::net::IpAddr>().is_ok();
        let host =
            if is_ip { bare.to_owned() } else { host.parse::<HostName>().map_err(|_| wrong())?.0 };
        Ok(HostPort { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(Span::try_from("4h".to_owned()).unwrap().0.as_secs(), 14_400);
        for wrong in ["", "4", "h", "-1s", "0s", "99999999999999999999d"] {
            assert!(Span::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!("50 MB".parse::<Octets>().unwrap().0, 50 << 20);
        assert_eq!("7".parse::<Octets>().unwrap().0, 7);
        assert!("5 XB".parse::<Octets>().is_err());
        assert!("99999999999 TB".parse::<Octets>().is_err());
    }

    #[test]
    fn host_ports() {
        assert_eq!(
            "[::1]:25".parse::<HostPort>().unwrap(),
            HostPort { host: "::1".into(), port: 25 }
        );
        assert!("example.org".parse::<HostPort>().is_err());
    }
}
