use super::*;
use crate::serve::testing::folder_store;

async fn pages(more: &str) -> (tempfile::TempDir, Pages) {
    let (folder, store) = folder_store().await;
    store.create_domain("wax.test").await.unwrap();
    let text = format!(
        "hostname='mx.wax.test'\n[autoconfig]\nname='Wax & <Sons>'\n[tls]\nself-signed=true\n{more}"
    );
    let config = Config::parse(&text, std::path::Path::new("x")).unwrap();
    let pages = Pages::new(&config, &store).unwrap();
    (folder, pages)
}

async fn ask(pages: &Pages, method: &str, url: &str, body: &str, secure: bool) -> Option<Page> {
    let uri: hyper::Uri = url.parse().unwrap();
    let mut asked = Asked::test(method.parse().unwrap(), &uri.to_string(), secure);
    asked.path = uri.path().to_owned();
    asked.query = uri.query().unwrap_or_default().to_owned();
    asked.host = uri.host().map(str::to_owned);
    asked.body = body.to_owned().into();
    pages.page(&asked).await
}

async fn get(pages: &Pages, url: &str) -> Option<String> {
    ask(pages, "GET", url, "", true).await.map(|page| page.body)
}

fn request(address: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>"
    )
}

const AUTODISCOVER: &str = "https://autodiscover.wax.test/Autodiscover/Autodiscover.XML";

#[tokio::test]
async fn thunderbird_is_told_of_our_domains_only() {
    let (_folder, pages) = pages("").await;
    for url in [
        "https://autoconfig.wax.test/mail/config-v1.1.xml",
        "https://autoconfig.wax.test/mail/config-v1.1.xml?emailaddress=alice%40wax.test",
        "https://wax.test/.well-known/autoconfig/mail/config-v1.1.xml",
        "https://mx.wax.test/mail/config-v1.1.xml?emailaddress=nobody@WAX.test",
    ] {
        let file = get(&pages, url).await.unwrap_or_else(|| panic!("{url}"));
        assert!(file.contains("<domain>wax.test</domain>"), "{file}");
        assert!(file.contains("<displayName>Wax &amp; &lt;Sons&gt;</displayName>"), "{file}");
        let first = file.find("<port>993</port>").unwrap();
        assert!(first < file.find("<port>143</port>").unwrap(), "{file}");
    }
    for url in [
        "https://autoconfig.wing.test/mail/config-v1.1.xml",
        "https://autoconfig.wax.test/mail/config-v1.1.xml?emailaddress=bob@wing.test",
        "https://mx.wax.test/mail/config-v1.1.xml",
        "https://autoconfig.wax.test/mail/",
        "https://autoconfig.wax.test/mail/config-v1.1.xml?emailaddress=%zz@x",
    ] {
        let found = get(&pages, url).await;
        assert!(found.is_none() || url.contains("%zz"), "{url}: {found:?}");
    }
}

#[tokio::test]
async fn only_what_is_listened_on_is_told() {
    let (_folder, few) =
        pages("[listen]\npop3=[]\npop3s=[]\nimap=['127.0.0.1:143']\nsubmission=[]\n").await;
    let ports: Vec<u16> = few.announced.services.iter().map(|service| service.port).collect();
    assert_eq!(ports, [993, 465, 4190]);
    let (_folder, local) =
        pages("[listen]\nhttps=['127.0.0.1:443']\nimap=['127.0.0.1:1143']\n").await;
    assert!(local.announced.services.iter().any(|service| service.port == 1143));
}

#[tokio::test]
async fn outlook_is_answered_alike_for_every_address_of_a_domain() {
    let (_folder, pages) = pages("").await;
    let known = ask(&pages, "POST", AUTODISCOVER, &request("alice@wax.test"), true).await.unwrap();
    for part in [
        "<Type>IMAP</Type>",
        "<Port>993</Port>",
        "<LoginName>alice@wax.test</LoginName>",
        "<Type>SMTP</Type>",
        "<Port>465</Port>",
        "<Encryption>SSL</Encryption>",
    ] {
        assert!(known.body.contains(part), "{part}: {}", known.body);
    }
    let odd =
        ask(&pages, "POST", AUTODISCOVER, &request("o&apos;hara&amp;co@wax.test"), true).await;
    let odd = odd.unwrap().body;
    assert!(odd.contains("<LoginName>o&#39;hara&amp;co@wax.test</LoginName>"), "{odd}");
    let other = ask(&pages, "POST", AUTODISCOVER, &request("bob@wing.test"), true).await.unwrap();
    assert!(other.body.contains("<ErrorCode>500</ErrorCode>"), "{}", other.body);
    let sync = request("alice@wax.test")
        .replace("outlook/responseschema/2006a", "mobilesync/responseschema/2006");
    let sync = ask(&pages, "POST", AUTODISCOVER, &sync, true).await.unwrap();
    assert!(sync.body.contains("<ErrorCode>601</ErrorCode>"), "{}", sync.body);
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Autodiscover><EMailAddress>&b;</EMailAddress></Autodiscover>";
    for malformed in
        ["", "x", "<a>", "<EMailAddress>x</EMailAddress>", "<a></b>", bomb, &"<a>".repeat(1000)]
    {
        let page = ask(&pages, "POST", AUTODISCOVER, malformed, true).await.unwrap();
        assert!(page.body.contains("<ErrorCode>600</ErrorCode>"), "{malformed}: {}", page.body);
    }
    assert_eq!(ask(&pages, "GET", AUTODISCOVER, "", true).await.unwrap().status, 405);
    let sent_on = ask(&pages, "GET", AUTODISCOVER, "", false).await.unwrap();
    assert_eq!(sent_on.status, 302);
    assert_eq!(sent_on.header.unwrap().1, "https://mx.wax.test/autodiscover/autodiscover.xml");
    let elsewhere = "https://autodiscover.wing.test/autodiscover/autodiscover.xml";
    assert_eq!(ask(&pages, "GET", elsewhere, "", false).await.unwrap().status, 404);
}

#[tokio::test]
async fn outlook_finds_the_xml_by_json() {
    let (_folder, pages) = pages("").await;
    let url = "https://mx.wax.test/autodiscover/autodiscover.json/v1.0/x@wax.test?Protocol=AutodiscoverV1";
    let page = get(&pages, url).await.unwrap();
    assert!(page.contains("https://mx.wax.test/autodiscover/autodiscover.xml"), "{page}");
    let url =
        "https://mx.wax.test/autodiscover/autodiscover.json?Email=x@wax.test&Protocol=ActiveSync";
    let page = ask(&pages, "GET", url, "", true).await.unwrap();
    assert_eq!(page.status, 400);
    assert!(page.body.contains("ProtocolNotSupported"), "{}", page.body);
}

#[tokio::test]
async fn apple_devices_get_a_profile_that_stays_the_same() {
    let (_folder, pages) = pages("").await;
    let url = "https://mx.wax.test/mobileconfig/profile?email=alice%40wax.test";
    let profile = get(&pages, url).await.unwrap();
    assert_eq!(Some(&profile), get(&pages, url).await.as_ref());
    assert!(profile.contains("<string>alice@wax.test</string>"), "{profile}");
    assert!(!profile.to_lowercase().contains("<key>incomingpassword"), "{profile}");
    for bad in ["bob%40wing.test", "x", "", "%3Cx%3E%40wax.test"] {
        let url = format!("https://mx.wax.test/mobileconfig/profile?email={bad}");
        let page = ask(&pages, "GET", &url, "", true).await.unwrap();
        assert!(page.status == 404 || !page.body.contains("<x>"), "{bad}: {}", page.body);
    }
    assert!(get(&pages, "https://mx.wax.test/mobileconfig").await.unwrap().contains("<form"));
}

#[tokio::test]
async fn the_digest_in_the_dns_is_that_of_the_file() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let (_folder, pages) = pages("[listen]\nimaps=['[::]:1993']\n").await;
    let url = "https://ua-auto-config.wax.test/.well-known/user-agent-configuration.json";
    let file = get(&pages, url).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(json["protocols"]["smtp"]["host"], "mx.wax.test");
    assert!(json["protocols"]["imap"].is_null(), "not on its usual port: {json}");
    let record = pacc_record(&pages.announced, "Wax & <Sons>");
    let digest = record.strip_prefix("v=UAAC1; a=sha256; d=").unwrap();
    let digest = base64::engine::general_purpose::STANDARD.decode(digest).unwrap();
    assert_eq!(digest, sha2::Sha256::digest(&file).to_vec());
    assert!(
        get(&pages, "https://ua-auto-config.wing.test/.well-known/user-agent-configuration.json")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn who_gives_out_tokens_is_named_as_its_metadata_names_it() {
    let url = "https://ua-auto-config.wax.test/.well-known/user-agent-configuration.json";
    for (more, issuer) in [
        ("", None),
        ("[oauth]\n", Some("https://mx.wax.test")),
        ("[oauth]\nissuer='https://login.wax.test/'\n", Some("https://login.wax.test")),
    ] {
        let (_folder, pages) = pages(more).await;
        let file: serde_json::Value =
            serde_json::from_str(&get(&pages, url).await.unwrap()).unwrap();
        let said = &file["authentication"]["oauth-public"]["issuer"];
        assert_eq!(said.as_str(), issuer, "{more}: {file}");
        assert_eq!(file["authentication"]["password"], true);
    }
}

#[tokio::test]
async fn in_clear_only_mozillas_page_is_shown() {
    let (_folder, pages) = pages("").await;
    let clear = async |url: &str| ask(&pages, "GET", url, "", false).await.is_some();
    assert!(clear("http://autoconfig.wax.test/mail/config-v1.1.xml").await);
    for url in [
        "http://mx.wax.test/mobileconfig",
        "http://mx.wax.test/mobileconfig/profile?email=a@wax.test",
        "http://mx.wax.test/autodiscover/autodiscover.json?Protocol=AutodiscoverV1",
        "http://ua-auto-config.wax.test/.well-known/user-agent-configuration.json",
    ] {
        assert!(!clear(url).await, "{url}");
    }
}
