//! What a server can do, read from its reply to EHLO (RFC 5321 §4.1.1.1).

use waxwing_sasl::Mechanism;

use crate::reply::Reply;

/// What the server announced in its reply to EHLO, the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// EHLO was understood (else HELO was used).
    pub esmtp: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: offered, and its limit if it is not 0.
    pub size: Option<Option<u64>>,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 3461. Without it the caller reports `relayed` itself (RFC 3461 §5.2.2).
    pub dsn: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3030.
    pub binary_mime: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 4954: mechanisms we know.
    pub auth: Vec<Mechanism>,
    /// RFC 9422 RCPTMAX.
    pub max_recipients: Option<u32>,
    /// RFC 9422 MAILMAX.
    pub max_messages: Option<u32>,
}

impl Capabilities {
    /// Reads a positive reply to EHLO or LHLO. What is not understood is ignored.
    pub(super) fn parse(reply: &Reply) -> Capabilities {
        let mut capabilities = Capabilities { esmtp: true, ..Capabilities::default() };
        for line in reply.text.split('\n').skip(1) {
            capabilities.take(line);
        }
        capabilities
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { return };
        let keyword = first.to_ascii_uppercase();
        match keyword.as_str() {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => {
                // RFC 1870 §3: 0 and nothing mean that no limit is known.
                let limit = words.next().and_then(|word| word.parse().ok());
                self.size = Some(limit.filter(|&limit: &u64| limit > 0));
            }
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "STARTTLS" => self.starttls = true,
            "REQUIRETLS" => self.require_tls = true,
            "AUTH" => self.take_mechanisms(words),
            "LIMITS" => words.for_each(|word| self.take_limit(word)),
            // `AUTH=LOGIN`, a form from before the RFC that some servers still add.
            _ if keyword.starts_with("AUTH=") => {
                self.take_mechanisms(std::iter::once(&first[5..]).chain(words));
            }
            _ => {}
        }
    }

    fn take_mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for mechanism in words.filter_map(Mechanism::parse) {
            if !self.auth.contains(&mechanism) {
                self.auth.push(mechanism);
            }
        }
    }

    /// RFC 9422 §4: `RCPTMAX=100`. Six digits at most, and 0 says nothing.
    fn take_limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let Some(value) = value.parse().ok().filter(|&value: &u32| value > 0) else { return };
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.max_recipients = Some(value),
            "MAILMAX" => self.max_messages = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_reply_to_ehlo() {
        let reply = Reply::bare(
            250,
            "mx.example hello\nSIZE 1000\npipelining\n8BITMIME\nX-ODD =\n\nLIMITS RCPTMAX=20 MAILMAX=0",
        );
        let expected = Capabilities {
            esmtp: true,
            size: Some(Some(1000)),
            pipelining: true,
            eight_bit_mime: true,
            max_recipients: Some(20),
            ..Capabilities::default()
        };
        assert_eq!(Capabilities::parse(&reply), expected);
    }

    #[test]
    fn a_size_without_number_is_no_limit() {
        for (text, size) in [("x\nSIZE", None), ("x\nSIZE 0", None), ("x\nSIZE 7", Some(7))] {
            assert_eq!(Capabilities::parse(&Reply::bare(250, text)).size, Some(size));
        }
    }
}
