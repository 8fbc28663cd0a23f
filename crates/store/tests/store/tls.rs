//! PostgreSQL over TLS: the certificate is checked, whatever `sslmode` is called.

use std::process::Command;

use waxwing_store::*;

use crate::server::Server;
use crate::world::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_to_a_known_server_or_not_at_all() {
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key, wrong) = (path("server.pem"), path("server.key"), path("wrong.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&wrong, other.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, only_owner).unwrap();
    // As root the server runs as somebody else, whose the key must be.
    let _ = Command::new("chown")
        .arg("postgres")
        .arg(&key)
        .stderr(std::process::Stdio::null())
        .status();

    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let _server = Server::start(&[
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        &format!("port={port}"),
        "-c",
        "ssl=on",
        "-c",
        &format!("ssl_cert_file={certificate}"),
        "-c",
        &format!("ssl_key_file={key}"),
    ]);
    let open = async |options: &str| {
        let url = format!("postgres://postgres@localhost:{port}/postgres?{options}");
        Store::open_with(settings(&url, folder.path().into(), "n"), CHEAP).await
    };
    let store = open(&format!("sslmode=verify-full&sslrootcert={certificate}")).await.unwrap();
    store.create_domain("wing.test").await.unwrap();
    // Our own connections, and only they, are encrypted.
    let url = format!("postgres://postgres@localhost:{port}/postgres");
    let client = crate::server::connect(&url).await;
    let row = client
        .query_one(
            "SELECT COUNT(*) FILTER (WHERE s.ssl), COUNT(*) FROM pg_stat_ssl s \
             JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'waxwing'",
            &[],
        )
        .await
        .unwrap();
    let (encrypted, all): (i64, i64) = (row.get(0), row.get(1));
    assert!(all > 0 && encrypted == all, "{encrypted} of {all}");

    // Someone else's certificate, and public authorities only: refused.
    for options in [&format!("sslmode=require&sslrootcert={wrong}"), "sslmode=require"] {
        let refused = open(options).await;
        assert!(matches!(refused, Err(OpenError::Store(_))), "{options}");
    }
    let missing = open("sslmode=require&sslrootcert=/nowhere.pem").await;
    assert!(matches!(missing, Err(OpenError::Url { .. })));
    open("sslmode=disable").await.unwrap();
}
