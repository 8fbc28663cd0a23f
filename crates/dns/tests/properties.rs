//! What holds for every zone and every packet.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType as WireType};
use proptest::prelude::*;
use waxwing_dns::answer::{MAX_UDP_OCTETS, Transport, answer};
use waxwing_dns::{Mx, RecordData, Soa, Srv, Tlsa, Zone, Zones};

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z0-9_*!@$;()\"-]{1,12}", 1..4).prop_map(|labels| labels.join("."))
}

fn octets(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn data() -> impl Strategy<Value = RecordData> {
    prop_oneof![
        any::<u32>().prop_map(|ip| RecordData::A(Ipv4Addr::from(ip))),
        any::<u128>().prop_map(|ip| RecordData::Aaaa(Ipv6Addr::from(ip))),
        (any::<u16>(), name())
            .prop_map(|(preference, exchange)| RecordData::Mx(Mx { preference, exchange })),
        prop::collection::vec(octets(255), 1..4).prop_map(RecordData::Txt),
        name().prop_map(RecordData::Ptr),
        name().prop_map(RecordData::Cname),
        name().prop_map(RecordData::Ns),
        (any::<u8>(), any::<u8>(), any::<u8>(), octets(40)).prop_map(
            |(usage, selector, matching, data)| RecordData::Tlsa(Tlsa {
                usage,
                selector,
                matching,
                data
            })
        ),
        (any::<u16>(), any::<u16>(), any::<u16>(), name()).prop_map(
            |(priority, weight, port, target)| RecordData::Srv(Srv {
                priority,
                weight,
                port,
                target
            })
        ),
        (name(), name(), any::<u32>(), any::<u32>()).prop_map(
            |(primary, mailbox, serial, minimum_secs)| RecordData::Soa(Soa {
                primary,
                mailbox,
                serial,
                refresh_secs: 1,
                retry_secs: 2,
                expire_secs: 3,
                minimum_secs,
            })
        ),
    ]
}

fn zone() -> impl Strategy<Value = Zone> {
    let record = (name(), 0..=i32::MAX as u32, data());
    prop::collection::vec(record, 0..12).prop_map(|records| {
        let mut zone = Zone::new("wax.test").unwrap();
        for (name, ttl, data) in records {
            let name = match data {
                RecordData::Soa(_) => "wax.test".to_owned(),
                _ => format!("{name}.wax.test"),
            };
            // A CNAME may meet other data; such records stay out.
            let _ = zone.add(&name, ttl, data);
        }
        zone
    })
}

proptest! {
    #[test]
    fn a_zone_is_read_back_as_it_was_written(zone in zone()) {
        let text = zone.to_string();
        prop_assert_eq!(Zone::parse("wax.test", &text), Ok(zone), "{}", text);
    }

    #[test]
    fn no_text_panics_the_parser(text in "(\\PC|[ \t\n();\"\\\\@$]|TXT|A|MX|CNAME){0,80}") {
        let _ = Zone::parse("wax.test", &text);
    }

    #[test]
    fn no_packet_panics_the_server(packet in octets(200), tcp in any::<bool>()) {
        let zones: Zones = [Zone::parse("wax.test", "@ A 127.0.0.1").unwrap()].into_iter().collect();
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        if let Some(reply) = answer(&zones, &packet, transport) {
            // Whatever came, what goes out is a response with the same id.
            let reply = Message::from_vec(&reply).unwrap();
            prop_assert_eq!(reply.id.to_be_bytes(), [packet[0], packet[1]]);
            prop_assert!(answer(&zones, &reply.to_vec().unwrap(), transport).is_none());
        }
    }

    #[test]
    fn damaged_questions_do_no_harm(flips in prop::collection::vec((0..40_usize, any::<u8>()), 0..6)) {
        let zones: Zones = [Zone::parse("wax.test", "@ A 127.0.0.1").unwrap()].into_iter().collect();
        let mut packet = question("mail.wax.test", WireType::A).to_vec().unwrap();
        for (at, value) in flips {
            let length = packet.len();
            packet[at % length] ^= value;
        }
        if let Some(reply) = answer(&zones, &packet, Transport::Udp) {
            prop_assert!(reply.len() <= MAX_UDP_OCTETS);
            prop_assert!(Message::from_vec(&reply).is_ok());
        }
    }

    #[test]
    fn every_answer_fits_its_transport(zone in zone(), index in any::<prop::sample::Index>()) {
        let names: Vec<String> = zone.record_sets().map(|(name, _)| name.to_owned()).collect();
        let name = index.get(&names).clone();
        let zones: Zones = [zone].into_iter().collect();
        for kind in [WireType::ANY, WireType::TXT, WireType::CNAME, WireType::MX, WireType::CAA] {
            let question = question(&name, kind).to_vec().unwrap();
            let udp = answer(&zones, &question, Transport::Udp).unwrap();
            prop_assert!(udp.len() <= 512, "without EDNS: RFC 1035 §4.2.1");
            let tcp = answer(&zones, &question, Transport::Tcp).unwrap();
            let (udp, tcp) = (Message::from_vec(&udp).unwrap(), Message::from_vec(&tcp).unwrap());
            prop_assert!(!tcp.truncation);
            prop_assert!(udp.truncation || udp.answers == tcp.answers);
            prop_assert!(tcp.response_code == ResponseCode::NoError
                || tcp.response_code == ResponseCode::Refused
                || tcp.response_code == ResponseCode::NXDomain
                || tcp.response_code == ResponseCode::ServFail);
        }
    }
}

fn question(name: &str, kind: WireType) -> Message {
    let mut wire = Name::new();
    for label in name.split('.') {
        wire = wire.append_label(label.as_bytes()).unwrap();
    }
    wire.set_fqdn(true);
    let mut message = Message::query();
    message.add_query(Query::query(wire, kind));
    message
}
