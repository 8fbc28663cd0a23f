//! Mozilla's configuration file, version 1.1, as Thunderbird, K-9, Evolution and KMail read it
//! (draft-ietf-mailmaint-autoconfig). The login is the whole address.

use super::xml::{element, text};
use super::{Announced, Protocol, Service};

/// Below `autoconfig.DOMAIN`, and below the domain itself.
pub const PATHS: [&str; 2] =
    ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"];

/// The file for a domain.
pub fn write(announced: &Announced, domain: &str, name: &str) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n\
         <emailProvider id=\"{}\">\n",
        text(domain)
    );
    out.push_str(&element("domain", domain));
    out.push_str(&element("displayName", name));
    out.push_str(&element("displayShortName", name));
    for (protocol, tag, kind) in [
        (Protocol::Imap, "incomingServer", "imap"),
        (Protocol::Pop3, "incomingServer", "pop3"),
        (Protocol::Smtp, "outgoingServer", "smtp"),
    ] {
        for service in announced.of_protocol(protocol) {
            out.push_str(&server(announced, service, tag, kind));
        }
    }
    out.push_str("</emailProvider>\n</clientConfig>\n");
    out
}

fn server(announced: &Announced, service: &Service, tag: &str, kind: &str) -> String {
    let mut out = format!("<{tag} type=\"{kind}\">\n");
    out.push_str(&element("hostname", &announced.host));
    out.push_str(&element("port", &service.port.to_string()));
    out.push_str(&element("socketType", if service.implicit_tls { "SSL" } else { "STARTTLS" }));
    out.push_str(&element("authentication", "password-cleartext"));
    out.push_str(&element("username", "%EMAILADDRESS%"));
    out.push_str(&format!("</{tag}>\n"));
    out
}
