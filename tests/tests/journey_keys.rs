//! Keys that replace themselves, from the configuration to a name server that is not ours.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use waxwing_journeys::process::{Daemon, tool};
use waxwing_journeys::server::Server;
use waxwing_journeys::waiting::{SOON, until};
use waxwing_journeys::wire::Wire;
use waxwing_journeys::world::Ground;

const SECRET: &str = "dGhpcnR5LXR3byBvY3RldHMgb2YgYSBzZWNyZXQuLi4=";

/// BIND, with the zone wax.test, whose texts the key `waxwing` may change.
fn named(folder: &Path, address: SocketAddr) -> Daemon {
    let named = tool("named", "bind9");
    let path = folder.display();
    let (ip, port) = (address.ip(), address.port());
    let config = format!(
        "key \"waxwing\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
         options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session\"; \
         listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; \
         dnssec-validation no; notify no; }};\n\
         controls {{ }};\n\
         zone \"wax.test\" {{ type primary; file \"{path}/zone\"; \
         update-policy {{ grant waxwing subdomain _domainkey.wax.test. TXT; }}; }};\n"
    );
    let zone =
        format!("$TTL 0\n@ SOA ns root 1 1 1 1 0\n@ NS ns\nns A {ip}\n@ MX 10 mx\nmx A {ip}\n");
    std::fs::write(folder.join("conf"), config).unwrap();
    std::fs::write(folder.join("zone"), zone).unwrap();
    let arguments = |command: &mut Command| {
        command.arg("-g").arg("-c").arg(folder.join("conf"));
    };
    let daemon = Daemon::start("named", &named, arguments, &folder.join("log"), None, None);
    until(SOON, "BIND to listen", || Wire::connect(address).is_ok());
    daemon
}

/// A server whose names come from BIND, and which may change them with this secret.
fn server(ground: &Ground, secret: &str) -> (Server, Daemon, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    // BIND listens at addresses that an interface has; of loopback's that is one.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = free.expect("a free port");
    let named = named(folder.path(), address);
    let file = folder.path().join("secret");
    std::fs::write(&file, secret).unwrap();
    let mut setup = ground.setup("wax.test", 1);
    setup.dns = vec![format!("servers = [\"{address}\"]")];
    setup.top.push(format!(
        "keys = {{ update = {{ server = \"{address}\", key = \"waxwing\", secret-file = {file:?} }} }}"
    ));
    (Server::start(setup), named, folder)
}

#[test]
fn the_first_keys_are_published_by_the_server_itself() {
    let ground = Ground::new();
    let (server, _named, _folder) = server(&ground, SECRET);
    until(SOON, "the records", || {
        let json = server.cli(&["check", "wax.test", "--json"]).json();
        let dkim = &json["sections"][2];
        assert_eq!(dkim["subject"], "dkim", "{json:#}");
        let findings = dkim["findings"].as_array().unwrap();
        findings.iter().filter(|one| one["what"] == "dkim-key").count() == 2
    });
    let keys = server.cli_json(&["domain", "keys", "wax.test"]);
    assert!(keys.as_array().unwrap().iter().all(|key| key["trouble"].is_null()), "{keys:#}");
    // The next ones too, when an operator wants them now.
    let made = server.cli_json(&["domain", "rotate-keys", "wax.test"]);
    assert_eq!(made["made"].as_array().map(Vec::len), Some(2), "{made:#}");
    let switched = server.cli_json(&["domain", "rotate-keys", "wax.test"]);
    assert_eq!(switched["signing"].as_array().map(Vec::len), Some(2), "{switched:#}");
}

#[test]
fn a_secret_that_is_not_the_servers_is_named_and_changes_nothing() {
    let ground = Ground::new();
    let (server, _named, _folder) = server(&ground, "YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5LXR3byBvY3Q=");
    until(SOON, "a warning", || server.log().contains("its secret differs"));
    assert!(!server.log().contains("YW5vdGhlciBz"), "secrets stay out of the log");
    let words = server.cli(&["domain", "keys", "wax.test"]).ok().out();
    assert!(words.contains("refuses: it does not know the key waxwing"), "{words}");
}
