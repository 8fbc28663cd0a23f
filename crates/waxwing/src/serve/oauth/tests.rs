use super::*;
use crate::serve::testing::folder_store;
use http_body_util::BodyExt as _;
use std::path::Path;
use waxwing_message::Address;
use waxwing_store::NewAccount;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The pages, with one account.
async fn pages() -> (tempfile::TempDir, OAuth) {
    let (folder, store) = folder_store().await;
    store.create_domain("wax.test").await.unwrap();
    let address = Address::parse("alice@wax.test").unwrap();
    let new =
        NewAccount { address: &address, display_name: "", password: "secret", quota_octets: None };
    store.create_account(new).await.unwrap();
    let text = "hostname='mx.wax.test'\n[oauth]\n[tls]\nself-signed=true\n";
    let config = Config::parse(text, Path::new("x")).unwrap();
    let pages = OAuth::new(&config, &store).unwrap();
    (folder, pages)
}

/// The status, where the browser is sent, and the text.
async fn ask(pages: &OAuth, method: Method, path: &str, body: &str) -> (u16, String, String) {
    send(pages, method, path, body, None).await
}

async fn send(
    pages: &OAuth,
    method: Method,
    path: &str,
    body: &str,
    cookie: Option<&str>,
) -> (u16, String, String) {
    let mut asked = Asked::test(method, path, true);
    asked.body = body.to_owned().into();
    if let Some(cookie) = cookie {
        asked.headers.insert(hyper::header::COOKIE, cookie.parse().unwrap());
    }
    let answer = pages.reply(&asked).await.expect("a page of ours");
    let (parts, body) = answer.into_parts();
    let location = parts.headers.get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let text = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    (parts.status.as_u16(), location.unwrap_or_default(), text)
}

async fn register(pages: &OAuth, uri: &str) -> String {
    let body = json!({ "client_name": "Mailer", "redirect_uris": [uri] }).to_string();
    let (status, _, text) = ask(pages, Method::POST, "/oauth/register", &body).await;
    assert_eq!(status, 201, "{text}");
    let made: Value = serde_json::from_str(&text).unwrap();
    made["client_id"].as_str().unwrap().to_owned()
}

fn request(client: &str, uri: &str, more: &str) -> String {
    let uri = waxwing_oauth::encode(uri);
    format!("response_type=code&client_id={client}&redirect_uri={uri}&state=s%22%3E&{more}")
}

fn with_challenge() -> String {
    format!("code_challenge={CHALLENGE}&code_challenge_method=S256")
}

#[test]
fn unknown_scopes_are_left_out() {
    assert_eq!(scopes(None), Some(Scope::MAIL));
    assert_eq!(scopes(Some("imap offline_access sieve")), Some(Scope::IMAP.and(Scope::SIEVE)));
    assert_eq!(scopes(Some("root")), None);
}

/// RFC 9700 §4.11.2: anybody registers a site of theirs, and sends people a link to ours.
#[tokio::test]
async fn no_link_to_us_leads_to_a_site_of_strangers_by_itself() {
    let (_folder, pages) = pages().await;
    for (uri, at_once) in [
        ("https://evil.example/phish?x=1", false),
        ("http://127.0.0.1/back", true),
        ("com.example.app:/back", true),
    ] {
        let client = register(&pages, uri).await;
        let broken = request(&client, uri, "code_challenge_method=plain");
        let denied = request(&client, uri, &format!("{}&answer=deny", with_challenge()));
        let denied = format!("{denied}&form_token=t");
        let cookie = Some("__Host-waxwing-form=t");
        for (what, (status, location, text)) in [
            ("asked", ask(&pages, Method::GET, &format!("/oauth/authorize?{broken}"), "").await),
            ("sent", ask(&pages, Method::POST, "/oauth/authorize", &broken).await),
            ("denied", send(&pages, Method::POST, "/oauth/authorize", &denied, cookie).await),
        ] {
            let error = if what == "denied" { "access_denied" } else { "invalid_request" };
            let expected = format!("error={error}&iss=https%3A%2F%2Fmx.wax.test&state=s%22%3E");
            if at_once {
                assert_eq!(status, 303, "{what} {uri}");
                assert!(location.starts_with(uri) && location.ends_with(&expected), "{location}");
                continue;
            }
            assert_eq!((status, location.as_str()), (if what == "denied" { 200 } else { 400 }, ""));
            let link = format!("href=\"{uri}&{expected}\"").replace('&', "&amp;");
            assert!(text.contains(&link), "{what}: {text}");
            assert!(text.contains("Go on to <strong>https://evil.example</strong>"), "{text}");
        }
    }
}

/// RFC 7009 §2.1.
#[tokio::test]
async fn a_program_revokes_its_own_tokens_only() {
    let (_folder, pages) = pages().await;
    let uri = "http://127.0.0.1/back";
    let (client, other) = (register(&pages, uri).await, register(&pages, uri).await);
    // RFC 7636 appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let more =
        format!("{}&address=alice%40wax.test&password=secret&answer=allow", with_challenge());
    let form = request(&client, uri, &format!("{more}&form_token=t"));
    let cookie = Some("__Host-waxwing-form=t");
    let (status, location, text) =
        send(&pages, Method::POST, "/oauth/authorize", &form, cookie).await;
    assert_eq!(status, 303, "{text}");
    let code = location.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
    let form = format!(
        "grant_type=authorization_code&client_id={client}&code={code}&code_verifier={verifier}\
         &redirect_uri={}",
        waxwing_oauth::encode(uri)
    );
    let (status, _, text) = ask(&pages, Method::POST, "/oauth/token", &form).await;
    assert_eq!(status, 200, "{text}");
    let tokens: Value = serde_json::from_str(&text).unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    let revoke = async |client: &str| {
        let form = format!("token={token}{client}");
        ask(&pages, Method::POST, "/oauth/revoke", &form).await
    };
    let account = Address::parse("alice@wax.test").unwrap();
    let account = pages.store.account_by_address(&account).await.unwrap().unwrap().id;
    let consents = async || pages.store.consents(account).await.unwrap().len();
    let (status, _, text) = revoke(&format!("&client_id={other}")).await;
    assert_eq!((status, text.contains("invalid_grant"), consents().await), (400, true, 1));
    assert_eq!((revoke(&format!("&client_id={client}")).await.0, consents().await), (200, 0));
    assert_eq!(revoke(&format!("&client_id={client}")).await.0, 200, "gone is gone");
}
