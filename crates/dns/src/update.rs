//! Changing a zone at its primary server: DNS UPDATE (RFC 2136), signed by a shared key (TSIG,
//! RFC 8945, HMAC-SHA-256).
//!
//! One message adds or removes the texts at one name. It goes over TCP, since a DKIM record with its
//! signature is near what UDP carries. Only an answer that the same key signed counts as done;
//! whatever else comes is an error, and nobody may rely on the change then.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, ResponseCode, update_message};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, Record, RecordSet, RecordType as WireType, TSigner};
use hickory_proto::serialize::binary::{BinDecodable as _, BinEncodable as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::record::{RecordData, is_at_or_below};
use crate::resolve::{LookupError, Resolve};
use crate::wire;

/// Connecting, sending and the answer together.
const PATIENCE: Duration = Duration::from_secs(15);
/// How far the clocks may differ (RFC 8945 §10 recommends 300 seconds).
const FUDGE_SECS: u16 = 300;
/// Octets of one string of a TXT record (RFC 1035 §3.3.14).
const STRING_OCTETS: usize = 255;
/// The shortest secret that is taken: RFC 8945 §8 wants it as long as the digest, and 16 octets are
/// what old tools made.
const SECRET_OCTETS_AT_LEAST: usize = 16;

/// What is to become of the texts at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This one is added to those that are there.
    Add {
        /// At or below the zone's.
        name: String,
        /// How long others may keep it.
        ttl_secs: u32,
        /// The text.
        text: String,
    },
    /// All of them go.
    Remove {
        /// At or below the zone's.
        name: String,
    },
}

impl Change {
    /// Whose texts.
    pub fn name(&self) -> &str {
        match self {
            Change::Add { name, .. } | Change::Remove { name } => name,
        }
    }
}

/// Why a zone was not changed, or nobody can say whether it was. Everything here may be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The server does not answer, or not in DNS.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Who.
        server: SocketAddr,
        /// In words.
        why: String,
    },
    /// The server says no. The operator must act, there or here.
    #[error("{server} refuses: {why}")]
    Refused {
        /// Who.
        server: SocketAddr,
        /// In words, with what to look at.
        why: String,
    },
    /// The answer is not signed by our key: somebody else may have given it.
    #[error("the answer of {server} is not signed by the key: {why}")]
    Unproven {
        /// Who.
        server: SocketAddr,
        /// In words.
        why: String,
    },
    /// The name is none, or not in the zone.
    #[error("{0}")]
    Name(String),
}

/// Changes zones.
pub trait ChangeZone: Send + Sync {
    /// Changes one zone. On return the primary server has it; others follow in their time.
    fn change<'a>(
        &'a self,
        zone: &'a str,
        change: &'a Change,
    ) -> BoxFuture<'a, Result<(), UpdateError>>;
}

/// A primary server, and the key that it lets us change zones with.
pub struct UpdateServer {
    address: SocketAddr,
    signer: TSigner,
}

/// Why a key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a name as DNS has them.
    #[error("{0:?} is no name of a key")]
    Name(String),
    /// Too short to be a secret.
    #[error("the secret has {0} octets; it must have at least {SECRET_OCTETS_AT_LEAST}")]
    Short(usize),
    /// hickory does not take it.
    #[error("{0}")]
    Hickory(String),
}

impl UpdateServer {
    /// A server and the key that it knows by this name; `secret` are its octets.
    pub fn new(
        address: SocketAddr,
        key_name: &str,
        secret: &[u8],
    ) -> Result<UpdateServer, KeyError> {
        let name = crate::record::canonical_name(key_name).and_then(|name| wire::wire_name(&name));
        let name = name.ok_or_else(|| KeyError::Name(key_name.to_owned()))?;
        if secret.len() < SECRET_OCTETS_AT_LEAST {
            return Err(KeyError::Short(secret.len()));
        }
        let signer = TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name, FUDGE_SECS)
            .map_err(|error| KeyError::Hickory(error.to_string()))?;
        Ok(UpdateServer { address, signer })
    }

    async fn ask(&self, zone: &str, change: &Change) -> Result<(), UpdateError> {
        let mut message = message(zone, change)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wrong = |error: &dyn std::fmt::Display| UpdateError::Name(error.to_string());
        let verifier = message.finalize(&self.signer, now.as_secs()).map_err(|e| wrong(&e))?;
        let mut verifier = verifier.expect("a signed question has a verifier");
        let octets = message.to_bytes().map_err(|error| wrong(&error))?;
        let server = self.address;
        let unreachable = |why: String| UpdateError::Unreachable { server, why };
        let answer = tokio::time::timeout(PATIENCE, exchange(server, &octets))
            .await
            .map_err(|_| unreachable(format!("no answer within {} seconds", PATIENCE.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))?;
        match verifier.verify(&answer) {
            Ok(answer) if answer.id != message.id => {
                let why = "it answers another question".to_owned();
                Err(UpdateError::Unproven { server, why })
            }
            Ok(answer) => self.judge(answer.response_code),
            // A server that does not know the key, or whose clock differs, cannot sign what it says
            // (RFC 8945 §5.3.2). Whether it is true or not, nothing was done.
            Err(error) => match Message::from_bytes(&answer) {
                Ok(answer) if answer.id == message.id && answer.response_code != NO_ERROR => {
                    self.judge(answer.response_code)
                }
                _ => Err(UpdateError::Unproven { server, why: error.to_string() }),
            },
        }
    }

    fn judge(&self, code: ResponseCode) -> Result<(), UpdateError> {
        let key = self.signer.signer_name().to_ascii();
        let key = key.trim_end_matches('.');
        let why = match code {
            ResponseCode::NoError => return Ok(()),
            ResponseCode::Refused => {
                format!("it does not let the key {key} change this name (REFUSED)")
            }
            ResponseCode::NotAuth => format!(
                "it does not know the key {key}, its secret differs, the clocks differ by minutes, or the zone is not its own (NOTAUTH)"
            ),
            ResponseCode::NotZone => "the name is not in the zone (NOTZONE)".to_owned(),
            ResponseCode::NotImp => "it takes no updates (NOTIMP)".to_owned(),
            ResponseCode::ServFail => {
                "it failed (SERVFAIL): its log says why; often the zone's file cannot be written"
                    .to_owned()
            }
            other => format!("{other}"),
        };
        Err(UpdateError::Refused { server: self.address, why })
    }
}

const NO_ERROR: ResponseCode = ResponseCode::NoError;

impl ChangeZone for UpdateServer {
    fn change<'a>(
        &'a self,
        zone: &'a str,
        change: &'a Change,
    ) -> BoxFuture<'a, Result<(), UpdateError>> {
        Box::pin(self.ask(zone, change))
    }
}

fn message(zone: &str, change: &Change) -> Result<Message, UpdateError> {
    let name = change.name();
    if !is_at_or_below(name, zone) {
        return Err(UpdateError::Name(format!("{name} is not in the zone {zone}")));
    }
    let wire = |name: &str| -> Result<Name, UpdateError> {
        let none = || UpdateError::Name(format!("{name} is no name"));
        wire::wire_name(name).ok_or_else(none)
    };
    let (owner, apex) = (wire(name)?, wire(zone)?);
    Ok(match change {
        // RFC 2136 §2.5.1.
        Change::Add { ttl_secs, text, .. } => {
            let strings = text.as_bytes().chunks(STRING_OCTETS).map(<[u8]>::to_vec).collect();
            let data = wire::wire_data(&RecordData::Txt(strings)).expect("texts hold no names");
            let mut set = RecordSet::with_ttl(owner, WireType::TXT, *ttl_secs);
            set.add_rdata(data);
            update_message::append(set, apex, false, false)
        }
        // RFC 2136 §2.5.2.
        Change::Remove { .. } => {
            let record = Record::update0(owner, 0, WireType::TXT).into_record_of_rdata();
            update_message::delete_rrset(record, apex, false)
        }
    })
}

/// One question over TCP and its answer (RFC 1035 §4.2.2).
async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The zone that a name stands in, as its servers say: the nearest name at or above it that has a SOA
/// record of its own.
pub async fn zone_of(resolver: &impl Resolve, name: &str) -> Result<String, LookupError> {
    let mut at = name;
    loop {
        match resolver.soa(at).await {
            Ok(answer) if answer.aliases.is_empty() => return Ok(at.to_owned()),
            Ok(_) => {}
            Err(error) if error.is_absent() => match at.contains('.') {
                true => {}
                false => return Err(error),
            },
            Err(error) => return Err(error),
        }
        at = at.split_once('.').map_or(".", |(_, above)| above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeZone, Zone};

    #[tokio::test]
    async fn the_zone_is_the_nearest_with_a_soa() {
        let zones =
            FakeZone::parse("example.org", "a.b TXT x\nc CNAME other\nother TXT x\n").unwrap();
        zones.insert(Zone::parse("sub.example.org", "@ TXT x\n").unwrap());
        for (name, zone) in [
            ("s._domainkey.example.org", "example.org"),
            ("s._domainkey.sub.example.org", "sub.example.org"),
            ("a.b.example.org", "example.org"),
            ("c.example.org", "example.org"),
            ("example.org", "example.org"),
        ] {
            assert_eq!(zone_of(&zones, name).await.as_deref(), Ok(zone));
        }
        assert!(zone_of(&zones, "nowhere.test").await.unwrap_err().is_absent());
        zones.time_out("example.org");
        assert!(zone_of(&zones, "s.example.org").await.unwrap_err().is_temporary());
    }

    #[test]
    fn a_name_outside_the_zone_and_a_bad_key_are_said() {
        let change = Change::Remove { name: "s._domainkey.other.org".to_owned() };
        let error = message("example.org", &change).unwrap_err();
        assert!(error.to_string().contains("not in the zone"), "{error}");
        let at = "127.0.0.1:53".parse().unwrap();
        assert_eq!(UpdateServer::new(at, "k", &[0; 15]).err(), Some(KeyError::Short(15)));
        assert!(matches!(UpdateServer::new(at, "a b", &[0; 32]), Err(KeyError::Name(_))));
        assert!(UpdateServer::new(at, "Waxwing.", &[0; 32]).is_ok());
    }
}
