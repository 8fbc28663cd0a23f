//! Microsoft's autodiscover, as Outlook asks for IMAP, POP3 and SMTP: the XML of [MS-OXDSCLI], and the
//! JSON that says where that is ([MS-OXDISCO], version 2).

use hyper::StatusCode;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::json;
use waxwing_message::Address;

use super::xml::element;
use super::{Announced, Page, Protocol};

/// Where the XML is asked for, in any case.
pub const PATH: &str = "/autodiscover/autodiscover.xml";
/// Where the JSON is.
pub const JSON_PATH: &str = "/autodiscover/autodiscover.json";

/// The only answer that we have; ActiveSync asks for another.
const OUTLOOK: &str =
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const RESPONSE: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
/// Elements of a request that are looked at.
const EVENTS_MAX: usize = 200;

/// Why a request is not answered with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no such request.
    Malformed,
    /// It wants another kind of answer.
    OtherSchema,
    /// The address is of another domain.
    NotOurs,
}

/// The address that a request asks about.
pub fn read(body: &[u8]) -> Result<Address, Refusal> {
    let malformed = |_| Refusal::Malformed;
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
    let mut reader = Reader::from_str(text);
    let (mut within, mut address, mut schema) = (Vec::new(), String::new(), String::new());
    for _ in 0..EVENTS_MAX {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => within = start.local_name().as_ref().to_vec(),
            Event::Text(piece) => {
                let piece = piece.decode().map_err(|_| Refusal::Malformed)?;
                match within.as_slice() {
                    b"EMailAddress" => address.push_str(&piece),
                    b"AcceptableResponseSchema" => schema.push_str(&piece),
                    _ => {}
                }
            }
            Event::GeneralRef(entity) if within == b"EMailAddress" => {
                // `&` and `'` may stand in an address; other entities may not.
                match &*entity {
                    b"amp" => address.push('&'),
                    b"apos" => address.push('\''),
                    _ => return Err(Refusal::Malformed),
                }
            }
            Event::End(_) => within.clear(),
            // Nobody who asks for settings needs a document type.
            Event::DocType(_) => return Err(Refusal::Malformed),
            Event::Eof => {
                let schema = schema.trim();
                if !schema.is_empty() && schema != OUTLOOK {
                    return Err(Refusal::OtherSchema);
                }
                return Address::parse(address.trim()).map_err(|_| Refusal::Malformed);
            }
            _ => {}
        }
    }
    Err(Refusal::Malformed)
}

/// The settings for an address.
pub fn write(announced: &Announced, address: &Address, name: &str) -> String {
    let address = address.to_string();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{RESPONSE}\">\n\
         <Response xmlns=\"{OUTLOOK}\">\n<User>\n{}</User>\n<Account>\n\
         <AccountType>email</AccountType>\n<Action>settings</Action>\n{}",
        element("DisplayName", name),
        element("ServiceHome", &format!("https://{}/", announced.host)),
    );
    for (protocol, kind) in
        [(Protocol::Imap, "IMAP"), (Protocol::Pop3, "POP3"), (Protocol::Smtp, "SMTP")]
    {
        // Outlook takes the first of each kind.
        let Some(service) = announced.of_protocol(protocol).next() else { continue };
        out.push_str("<Protocol>\n");
        out.push_str(&element("Type", kind));
        out.push_str(&element("Server", &announced.host));
        out.push_str(&element("Port", &service.port.to_string()));
        out.push_str("<DomainRequired>off</DomainRequired>\n");
        out.push_str(&element("LoginName", &address));
        out.push_str("<SPA>off</SPA>\n<SSL>on</SSL>\n");
        out.push_str(&element("Encryption", if service.implicit_tls { "SSL" } else { "TLS" }));
        out.push_str("<AuthRequired>on</AuthRequired>\n");
        if protocol == Protocol::Smtp {
            out.push_str("<UsePOPAuth>off</UsePOPAuth>\n<SMTPLast>off</SMTPLast>\n");
        }
        out.push_str("</Protocol>\n");
    }
    out.push_str("</Account>\n</Response>\n</Autodiscover>\n");
    out
}

/// An answer without settings, with Microsoft's number for the reason.
pub fn refuse(refusal: Refusal) -> String {
    let (code, message) = match refusal {
        Refusal::Malformed => (600, "Invalid Request"),
        Refusal::OtherSchema => (601, "Requested schema version not supported"),
        Refusal::NotOurs => (500, "The email address cannot be found."),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{RESPONSE}\">\n<Response>\n\
         <Error Time=\"00:00:00.0000000\" Id=\"0\">\n{}{}<DebugData />\n</Error>\n</Response>\n\
         </Autodiscover>\n",
        element("ErrorCode", &code.to_string()),
        element("Message", message),
    )
}

/// Where the XML is, as version 2 asks; other protocols are not spoken here.
pub fn json(host: &str, protocol: &str) -> Page {
    let known = protocol.eq_ignore_ascii_case("AutodiscoverV1");
    let body = match known {
        true => json!({ "Protocol": "AutodiscoverV1", "Url": format!("https://{host}{PATH}") }),
        false => json!({
            "ErrorCode": "ProtocolNotSupported",
            "ErrorMessage": "This server speaks IMAP, POP3 and SMTP: ask for the protocol AutodiscoverV1.",
        }),
    };
    let mut page = Page::ok("application/json", body.to_string());
    if !known {
        page.status = StatusCode::BAD_REQUEST;
    }
    page
}

/// The same over HTTPS, by the name that is in the certificate.
pub fn elsewhere(host: &str) -> Page {
    let mut page = Page::status(StatusCode::FOUND, "over HTTPS");
    page.header = Some(("location", format!("https://{host}{PATH}")));
    page
}
