//! The harness of the journey tests: what happens between processes, over real sockets, with the
//! mail programs that people use.
//!
//! | module | what it gives |
//! |---|---|
//! | [`process`] | servers that die with the test, programs that run to their end |
//! | [`waiting`] | waiting for a condition, with a deadline |
//! | [`net`], [`namespace`] | loopback addresses of a test's own; a whole network of its own |
//! | [`tls`] | a certificate authority of a test's own |
//! | [`server`] | `waxwing serve` and the command line at its side |
//! | [`world`] | `wax.test` and `wing.test` with DNS between them |
//! | [`postgres`], [`postfix`], [`dovecot`] | the real ones, private to a test |
//! | [`wire`], [`smtp`], [`imap`] | clients that say exactly what a test wants said |
//! | [`flood`] | many messages, and an account of what became of each |
//! | [`mail`] | messages to send |
//!
//! The tests, one file a topic, are in `tests/`; `clients/` has scripts for Python's own mail
//! modules. What a test needs and this machine lacks fails it, naming `scripts/install journeys`.

pub mod dovecot;
pub mod flood;
pub mod imap;
pub mod mail;
pub mod namespace;
pub mod net;
pub mod postfix;
pub mod postgres;
pub mod process;
pub mod server;
pub mod smtp;
pub mod tls;
pub mod waiting;
pub mod wire;
pub mod world;

/// Whether this process is root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Base64 (RFC 4648 §4).
pub fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in octets.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_as_in_rfc_4648_section_10() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(super::base64(plain.as_bytes()), encoded);
        }
    }
}
