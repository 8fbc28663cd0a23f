//! The mechanisms by name, which of them to offer when, and the channel binding.

use zeroize::Zeroize;

/// A mechanism that both sides of this crate speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: name and password in one message, in clear text.
    Plain,
    /// draft-murchison-sasl-login: name, then password, in clear text. For Outlook and old devices.
    Login,
    /// RFC 7677: the password never crosses the wire, and both sides prove that they know it.
    ScramSha256,
    /// The same, bound to the TLS connection, so that nobody can stand in the middle.
    ScramSha256Plus,
    /// RFC 7628: an access token, in clear.
    OAuthBearer,
    /// What came before it, for programs that know no other.
    XOAuth2,
}

impl Mechanism {
    /// Those that take an access token. Offered under TLS alone, where tokens are given out.
    pub const TOKENS: [Mechanism; 2] = [Mechanism::OAuthBearer, Mechanism::XOAuth2];

    /// Every mechanism, strongest first: the order in which to offer them.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// The mechanism of that registered name; any case (RFC 4422 §3.1 has upper case only, but
    /// clients write `plain` too).
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// `PLAIN`, `LOGIN`, `SCRAM-SHA-256`, `SCRAM-SHA-256-PLUS`, `OAUTHBEARER`, `XOAUTH2`.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
        }
    }

    /// Whether the password or token itself crosses the wire.
    pub fn is_clear_text(self) -> bool {
        !matches!(self, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus)
    }

    /// What to offer to those who have a password, strongest first. Without TLS the clear-text ones are left out unless
    /// `plaintext_allowed`; -PLUS needs channel binding data.
    pub fn offered(tls: bool, plaintext_allowed: bool, channel_binding: bool) -> Vec<Mechanism> {
        Mechanism::ALL
            .into_iter()
            .filter(|mechanism| match mechanism {
                Mechanism::ScramSha256Plus => tls && channel_binding,
                Mechanism::ScramSha256 => true,
                Mechanism::Plain | Mechanism::Login => tls || plaintext_allowed,
                Mechanism::OAuthBearer | Mechanism::XOAuth2 => false,
            })
            .collect()
    }

    /// The same with [`Mechanism::TOKENS`], which need TLS in every case.
    pub fn offered_with_tokens(
        tls: bool,
        plaintext_allowed: bool,
        channel_binding: bool,
    ) -> Vec<Mechanism> {
        let mut offered = Mechanism::offered(tls, plaintext_allowed, channel_binding);
        if tls {
            offered.extend(Mechanism::TOKENS);
        }
        offered
    }
}

/// Channel binding data of the TLS connection: `tls-exporter` (RFC 9266), 32 octets.
///
/// RFC 9266 §2: the exporter with label `EXPORTER-Channel-Binding` and a zero-length context. For
/// TLS 1.2 it is only sound with the extended master secret (§4.2); pass no binding otherwise.
#[derive(Clone)]
pub struct ChannelBinding(pub [u8; 32]);

impl ChannelBinding {
    /// The label to hand to the TLS library's keying material exporter.
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-Channel-Binding";
    /// The name of this type of binding in the GS2 header.
    pub const TYPE_NAME: &'static str = "tls-exporter";
}

impl Drop for ChannelBinding {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChannelBinding(tls-exporter)")
    }
}

#[cfg(test)]
mod tests {
    use super::Mechanism::{self, *};

    #[test]
    fn names_are_found_in_any_case() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(mechanism.name()), Some(mechanism));
            assert_eq!(Mechanism::parse(&mechanism.name().to_lowercase()), Some(mechanism));
        }
        assert_eq!(Mechanism::parse("SCRAM-SHA-1"), None);
        assert_eq!(Mechanism::parse(""), None);
    }

    #[test]
    fn clear_text_is_offered_only_where_it_is_safe_or_allowed() {
        assert_eq!(Mechanism::offered(false, false, false), [ScramSha256]);
        assert_eq!(Mechanism::offered(false, true, false), [ScramSha256, Plain, Login]);
        assert_eq!(Mechanism::offered(true, false, false), [ScramSha256, Plain, Login]);
        assert_eq!(
            Mechanism::offered(true, false, true),
            [ScramSha256Plus, ScramSha256, Plain, Login]
        );
        let tokens = Mechanism::offered_with_tokens(true, false, false);
        assert_eq!(tokens, [ScramSha256, Plain, Login, OAuthBearer, XOAuth2]);
        assert_eq!(Mechanism::offered_with_tokens(false, true, false), [ScramSha256, Plain, Login]);
        // Binding data without TLS can only be a mistake of the caller's.
        assert_eq!(Mechanism::offered(false, false, true), [ScramSha256]);
    }
}
