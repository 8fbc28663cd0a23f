//! What an authoritative server says to one packet. No socket here: octets in, octets out.
//!
//! | the packet | the answer |
//! |---|---|
//! | shorter than a header, or itself a response | silence (two servers must not talk for ever) |
//! | cannot be read, or has not exactly one question | FORMERR |
//! | another operation than QUERY | NOTIMP |
//! | EDNS version above 0 | BADVERS (RFC 6891 §6.1.3) |
//! | class other than IN, zone transfer, a name in no zone | REFUSED |
//! | ANY | the first record set of the name (RFC 8482 §4.1) |
//! | aliases without end | SERVFAIL |
//! | anything else | as [`crate::zone`] says, authoritative, SOA with every absence (RFC 2308 §3) |
//!
//! An answer that does not fit is sent empty with TC, so that the client comes back over TCP. There
//! is no recursion, DNSSEC signing, transfer or update.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType as WireType};

use crate::record::{RecordType, Soa};
use crate::wire;
use crate::zone::{End, Found, Zone, Zones};

/// Octets of a UDP answer at most, whatever the client offers: no fragments (RFC 9715 §3.1).
pub const MAX_UDP_OCTETS: usize = 1232;
/// Octets of a UDP answer to a client without EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP_OCTETS: usize = 512;
/// What the length before a TCP message can say.
const MAX_TCP_OCTETS: usize = u16::MAX as usize;

/// How the packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Answers are short.
    Udp,
    /// Answers have up to 65,535 octets.
    Tcp,
}

/// The answer to one packet, or `None` for silence.
pub fn answer(zones: &Zones, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let header = packet.get(..12)?;
    if header[2] & 0x80 != 0 {
        return None;
    }
    let Ok(request) = Message::from_vec(packet) else {
        let id = u16::from_be_bytes([header[0], header[1]]);
        return Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok();
    };
    let response = respond(zones, &request);
    let limit = match (transport, &request.edns) {
        (Transport::Tcp, _) => MAX_TCP_OCTETS,
        (Transport::Udp, None) => PLAIN_UDP_OCTETS,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.max_payload()).clamp(PLAIN_UDP_OCTETS, MAX_UDP_OCTETS)
        }
    };
    match response.to_vec() {
        Ok(octets) if octets.len() <= limit => Some(octets),
        _ => response.truncate().to_vec().ok().filter(|octets| octets.len() <= limit),
    }
}

fn respond(zones: &Zones, request: &Message) -> Message {
    let mut response = Message::new(request.id, MessageType::Response, request.op_code);
    response.metadata.recursion_desired = request.recursion_desired;
    response.metadata.checking_disabled = request.checking_disabled;
    response.add_queries(request.queries.iter().take(1).cloned());
    if let Some(edns) = &request.edns {
        let mut ours = Edns::new();
        ours.set_max_payload(MAX_UDP_OCTETS as u16);
        response.set_edns(ours);
        if edns.version() > 0 {
            response.metadata.response_code = ResponseCode::BADVERS;
            return response;
        }
    }
    response.metadata.response_code = match (request.op_code, request.queries.as_slice()) {
        (OpCode::Query, [question]) if question.query_class != DNSClass::IN => {
            ResponseCode::Refused
        }
        (OpCode::Query, [question]) => {
            resolve(zones, &question.name, question.query_type, &mut response)
        }
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    response
}

/// Fills in the sections for one question.
fn resolve(
    zones: &Zones,
    asked: &hickory_proto::rr::Name,
    kind: WireType,
    response: &mut Message,
) -> ResponseCode {
    if matches!(kind, WireType::AXFR | WireType::IXFR) {
        return ResponseCode::Refused;
    }
    // Names that our zones cannot hold exist nowhere in them.
    let Some(name) = wire::our_name(asked) else {
        return absent_for_odd_name(zones, asked, response);
    };
    let found = match kind {
        WireType::ANY => find_any(zones, &name),
        kind => zones.find(&name, wire::record_type(kind)),
    };
    for alias in &found.aliases {
        let target = wire::wire_name(&alias.target).map(hickory_proto::rr::rdata::CNAME);
        push(&mut response.answers, &alias.owner, alias.ttl_secs, target.map(RData::CNAME));
    }
    response.metadata.authoritative = true;
    match found.end {
        End::Records(set) => {
            for data in &set.records {
                push(&mut response.answers, &found.name, set.ttl_secs, wire::wire_data(data));
            }
            ResponseCode::NoError
        }
        End::NoData(zone) => {
            push_soa(response, zone);
            ResponseCode::NoError
        }
        End::NxDomain(zone) => {
            push_soa(response, zone);
            ResponseCode::NXDomain
        }
        // The alias is ours, its target is not: the client asks on elsewhere.
        End::NotOurs if !found.aliases.is_empty() => ResponseCode::NoError,
        End::NotOurs => {
            response.metadata.authoritative = false;
            ResponseCode::Refused
        }
        End::AliasLoop => {
            response.answers.clear();
            response.metadata.authoritative = false;
            ResponseCode::ServFail
        }
    }
}

/// The first record set of a name, since ANY promises no more (RFC 8482 §4.1).
fn find_any<'z>(zones: &'z Zones, name: &str) -> Found<'z> {
    let of_type = RecordType::ALL.into_iter().map(|kind| zones.find(name, kind));
    let mut whole = of_type.filter(|f| f.aliases.is_empty() && matches!(f.end, End::Records(_)));
    whole.next().unwrap_or_else(|| zones.find(name, None))
}

/// A name with octets that no zone here holds: NXDOMAIN below a zone of ours, else refused.
fn absent_for_odd_name(
    zones: &Zones,
    asked: &hickory_proto::rr::Name,
    response: &mut Message,
) -> ResponseCode {
    let mut ancestor = asked.clone();
    while !ancestor.is_root() {
        ancestor = ancestor.base_name();
        if let Some(zone) = wire::our_name(&ancestor).and_then(|name| zones.zone_of(&name)) {
            response.metadata.authoritative = true;
            push_soa(response, zone);
            return ResponseCode::NXDomain;
        }
    }
    ResponseCode::Refused
}

fn push(section: &mut Vec<Record>, owner: &str, ttl_secs: u32, data: Option<RData>) {
    // Zones hold only names that have a wire form.
    if let (Some(owner), Some(data)) = (wire::wire_name(owner), data) {
        section.push(Record::from_rdata(owner, ttl_secs, data));
    }
}

/// RFC 2308 §3: with the lesser of the SOA's own TTL and its minimum.
fn push_soa(response: &mut Message, zone: &Zone) {
    let (soa, ttl_secs): (&Soa, u32) = zone.soa();
    let data = crate::record::RecordData::Soa(soa.clone());
    let ttl_secs = ttl_secs.min(soa.minimum_secs);
    push(&mut response.authorities, zone.apex(), ttl_secs, wire::wire_data(&data));
}
