//! A profile for Apple's devices, and the page on which its owner asks for it. It holds no password: the
//! device asks for that.

use hyper::StatusCode;
use waxwing_message::Address;

use super::xml::{element, text};
use super::{Announced, Page, Protocol, Service};

/// Where the address is typed in.
pub const PAGE: &str = "/mobileconfig";
/// Where the profile is.
pub const PROFILE: &str = "/mobileconfig/profile";

/// The page.
pub fn page() -> Page {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Mail on your device</title>\n\
         <h1>Mail on your iPhone, iPad or Mac</h1>\n\
         <p>Type in your address, and install the profile that comes. The password is asked for by the \
         device.</p>\n<form action=\"{PROFILE}\" method=\"get\">\n\
         <label>Address <input type=\"email\" name=\"email\" required autocomplete=\"email\"></label>\n\
         <button>Get the profile</button>\n</form>\n</html>\n"
    );
    let mut page = Page::ok("text/html; charset=utf-8", body);
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'";
    page.header = Some(("content-security-policy", policy.to_owned()));
    page
}

/// The profile of an address.
pub fn profile(announced: &Announced, address: &Address, name: &str) -> Page {
    let first = |protocol| announced.of_protocol(protocol).next();
    let incoming = first(Protocol::Imap).map(|imap| (imap, "EmailTypeIMAP"));
    let incoming = incoming.or_else(|| first(Protocol::Pop3).map(|pop3| (pop3, "EmailTypePOP")));
    let (Some((incoming, kind)), Some(outgoing)) = (incoming, first(Protocol::Smtp)) else {
        return Page::status(
            StatusCode::NOT_FOUND,
            "this server has no service that a device could use",
        );
    };
    let (address, domain) = (address.to_string(), address.domain());
    let identifier = format!("{domain}.waxwing.{}", uuid(&["identifier", &address]));
    let mail = dict(&[
        string("EmailAccountDescription", name),
        string("EmailAccountName", ""),
        string("EmailAccountType", kind),
        string("EmailAddress", &address),
        server("Incoming", announced, incoming, &address),
        server("Outgoing", announced, outgoing, &address),
        boolean("OutgoingPasswordSameAsIncomingPassword", true),
        string("PayloadDescription", &format!("Mail of {address}")),
        string("PayloadDisplayName", name),
        string("PayloadIdentifier", &format!("{identifier}.mail")),
        string("PayloadType", "com.apple.mail.managed"),
        string("PayloadUUID", &uuid(&["mail", &announced.host, &address])),
        integer("PayloadVersion", 1),
    ]);
    let whole = dict(&[
        format!("<key>PayloadContent</key>\n<array>\n{mail}</array>\n"),
        string("PayloadDescription", &format!("Sets up mail for {address}")),
        string("PayloadDisplayName", &format!("{name}: {address}")),
        string("PayloadIdentifier", &identifier),
        string("PayloadOrganization", name),
        boolean("PayloadRemovalDisallowed", false),
        string("PayloadType", "Configuration"),
        string("PayloadUUID", &uuid(&["profile", &announced.host, &address])),
        integer("PayloadVersion", 1),
    ]);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n{whole}</plist>\n"
    );
    let mut page = Page::ok("application/x-apple-aspen-config", body);
    page.header =
        Some(("content-disposition", "attachment; filename=\"mail.mobileconfig\"".to_owned()));
    page
}

fn server(which: &str, announced: &Announced, service: &Service, login: &str) -> String {
    let key = |rest: &str| format!("{which}MailServer{rest}");
    [
        string(&key("Authentication"), "EmailAuthPassword"),
        string(&key("HostName"), &announced.host),
        integer(&key("PortNumber"), service.port),
        boolean(&key("UseSSL"), true),
        string(&key("Username"), login),
    ]
    .concat()
}

fn dict(entries: &[String]) -> String {
    format!("<dict>\n{}</dict>\n", entries.concat())
}

fn string(key: &str, value: &str) -> String {
    element("key", key) + &element("string", value)
}

fn integer(key: &str, value: u16) -> String {
    element("key", key) + &element("integer", &value.to_string())
}

fn boolean(key: &str, value: bool) -> String {
    format!("<key>{}</key>\n<{value}/>\n", text(key))
}

/// The same for the same: a profile that is installed again replaces the first (RFC 9562 §5.8).
fn uuid(parts: &[&str]) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let hex: String = hash.iter().take(16).map(|octet| format!("{octet:02X}")).collect();
    let variant = ["8", "9", "A", "B"][usize::from(hash[8] & 3)];
    format!(
        "{}-{}-8{}-{variant}{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}
