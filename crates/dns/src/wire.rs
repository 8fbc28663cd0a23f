//! Between our records and hickory's wire types.

use hickory_proto::rr::{Name, RData, RecordType as WireType, rdata};

use crate::record::{Mx, RecordData, RecordType, Soa, Srv, Tlsa, canonical_name};

pub(crate) fn wire_type(record_type: RecordType) -> WireType {
    match record_type {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Mx => WireType::MX,
        RecordType::Txt => WireType::TXT,
        RecordType::Ptr => WireType::PTR,
        RecordType::Cname => WireType::CNAME,
        RecordType::Tlsa => WireType::TLSA,
        RecordType::Srv => WireType::SRV,
        RecordType::Ns => WireType::NS,
        RecordType::Soa => WireType::SOA,
    }
}

pub(crate) fn record_type(wire: WireType) -> Option<RecordType> {
    RecordType::ALL.into_iter().find(|&ours| wire_type(ours) == wire)
}

/// A name in our form as a wire name; `None` when it is none.
pub(crate) fn wire_name(name: &str) -> Option<Name> {
    if name == "." {
        return Some(Name::root());
    }
    let mut wire = Name::new();
    for label in name.split('.') {
        wire = wire.append_label(label.as_bytes()).ok()?;
    }
    wire.set_fqdn(true);
    Some(wire)
}

/// A wire name in our form; `None` when its labels hold octets that our form cannot carry (dots,
/// spaces, controls, 8-bit): no mail host is called so.
pub(crate) fn our_name(wire: &Name) -> Option<String> {
    let mut name = String::with_capacity(wire.len());
    for label in wire.iter() {
        if label.contains(&b'.') {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(std::str::from_utf8(label).ok()?);
    }
    canonical_name(if name.is_empty() { "." } else { &name })
}

pub(crate) fn wire_data(data: &RecordData) -> Option<RData> {
    Some(match data {
        RecordData::A(ip) => RData::A((*ip).into()),
        RecordData::Aaaa(ip) => RData::AAAA((*ip).into()),
        RecordData::Mx(mx) => RData::MX(rdata::MX::new(mx.preference, wire_name(&mx.exchange)?)),
        RecordData::Txt(strings) => {
            RData::TXT(rdata::TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
        RecordData::Ptr(name) => RData::PTR(rdata::PTR(wire_name(name)?)),
        RecordData::Cname(name) => RData::CNAME(rdata::CNAME(wire_name(name)?)),
        RecordData::Ns(name) => RData::NS(rdata::NS(wire_name(name)?)),
        RecordData::Tlsa(tlsa) => RData::TLSA(rdata::TLSA::new(
            tlsa.usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.data.clone(),
        )),
        RecordData::Srv(srv) => {
            RData::SRV(rdata::SRV::new(srv.priority, srv.weight, srv.port, wire_name(&srv.target)?))
        }
        RecordData::Soa(soa) => RData::SOA(rdata::SOA::new(
            wire_name(&soa.primary)?,
            wire_name(&soa.mailbox)?,
            soa.serial,
            i32::try_from(soa.refresh_secs).unwrap_or(i32::MAX),
            i32::try_from(soa.retry_secs).unwrap_or(i32::MAX),
            i32::try_from(soa.expire_secs).unwrap_or(i32::MAX),
            soa.minimum_secs,
        )),
    })
}

/// `None` for other types and for names that our form cannot carry.
pub(crate) fn our_data(data: &RData) -> Option<RecordData> {
    let seconds = |value: i32| u32::try_from(value).unwrap_or(0);
    Some(match data {
        RData::A(a) => RecordData::A(a.0),
        RData::AAAA(aaaa) => RecordData::Aaaa(aaaa.0),
        RData::MX(mx) => {
            RecordData::Mx(Mx { preference: mx.preference, exchange: our_name(&mx.exchange)? })
        }
        RData::TXT(txt) => {
            RecordData::Txt(txt.txt_data.iter().map(|string| string.to_vec()).collect())
        }
        RData::PTR(name) => RecordData::Ptr(our_name(&name.0)?),
        RData::CNAME(name) => RecordData::Cname(our_name(&name.0)?),
        RData::NS(name) => RecordData::Ns(our_name(&name.0)?),
        RData::TLSA(tlsa) => RecordData::Tlsa(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        RData::SRV(srv) => RecordData::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: our_name(&srv.target)?,
        }),
        RData::SOA(soa) => RecordData::Soa(Soa {
            primary: our_name(&soa.mname)?,
            mailbox: our_name(&soa.rname)?,
            serial: soa.serial,
            refresh_secs: seconds(soa.refresh),
            retry_secs: seconds(soa.retry),
            expire_secs: seconds(soa.expire),
            minimum_secs: soa.minimum,
        }),
        _ => return None,
    })
}
