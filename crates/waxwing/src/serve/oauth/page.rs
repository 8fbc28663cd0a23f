//! The pages on which people log in and consent: HTML without scripts, readable on a telephone.

use std::fmt::Write as _;

use super::consent::Consent;
use crate::serve::web_text::escape_markup as escape;

/// What a consent page shows.
pub struct Page<'a> {
    /// Ours.
    pub host: &'a str,
    /// What is asked.
    pub consent: &'a Consent<'a>,
    /// What is to be typed.
    pub ask: Ask<'a>,
    /// Proves that the form is ours.
    pub form_token: &'a str,
    /// What went wrong the last time.
    pub problem: Option<&'a str>,
    /// For the style.
    pub nonce: &'a str,
}

/// What is to be typed.
#[derive(Clone, Copy)]
pub enum Ask<'a> {
    /// Address and password.
    Password {
        /// What is filled in already.
        address: &'a str,
    },
    /// A code, where the password was right.
    Code {
        /// Whose.
        address: &'a str,
        /// Says that it was.
        ticket: &'a str,
    },
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d5dbe3;--page:#f3f5f8;\
--card:#fff;--accent:#1f5fa8;--bad:#a3262a}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#9aa6b6;--line:#3a4452;--page:#12161c;\
--card:#1b2129;--accent:#5b9be0;--bad:#f08a8d}}\
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif;display:grid;min-height:100vh;place-items:center;padding:16px}\
main{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:28px;\
width:100%;max-width:420px}\
h1{font-size:1.25rem;line-height:1.3;margin:0 0 12px}p{margin:0 0 12px}ul{margin:0 0 16px;padding-left:20px}\
small,.soft{color:var(--soft);font-size:.875rem}label{display:block;font-weight:600;margin:12px 0 4px}\
input{width:100%;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);\
border-radius:8px;padding:10px 12px}input:focus-visible,button:focus-visible{outline:2px solid var(--accent);\
outline-offset:2px}.bad{color:var(--bad);border-left:3px solid var(--bad);padding-left:10px}\
.row{display:flex;gap:12px;margin:20px 0 12px}button{flex:1;font:inherit;font-weight:600;min-height:44px;\
border-radius:8px;border:1px solid var(--line);background:transparent;color:inherit;cursor:pointer}\
button.main{background:var(--accent);border-color:var(--accent);color:#fff}\
@media(prefers-color-scheme:dark){button.main{color:#0d1117}}strong{overflow-wrap:anywhere}";

/// Log in and consent, in one form.
pub fn consent(page: &Page<'_>) -> String {
    let consent = page.consent;
    let mut body = String::new();
    let _ = write!(
        body,
        "<h1>Give <strong>{}</strong> access to your mail?</h1><p>It asks to:</p><ul>",
        escape(consent.client)
    );
    for name in consent.scopes.names() {
        let _ = write!(body, "<li>{}</li>", what_for(name));
    }
    body.push_str("</ul>");
    if let Some(warning) = &consent.warning {
        let _ = write!(body, "<p><strong>{}</strong></p>", escape(warning));
    }
    tell(&mut body, page.problem);
    let _ = write!(body, "<form method=\"post\" action=\"{}\">", consent.action);
    let scope = consent.scopes.names().join(" ");
    let own = [("scope", scope.as_str()), ("form_token", page.form_token)];
    for &(name, value) in consent.hidden.iter().chain(&own) {
        hidden(&mut body, name, value);
    }
    match page.ask {
        Ask::Password { address } => ask_for_password(&mut body, address),
        Ask::Code { address, ticket } => ask_for_code(&mut body, address, ticket),
    }
    body.push_str(
        "<div class=\"row\"><button class=\"main\" name=\"answer\" value=\"allow\">Allow</button>\
         <button name=\"answer\" value=\"deny\">Deny</button></div></form>\
         <p class=\"soft\">The program chose its name itself.",
    );
    if !consent.leads.is_empty() {
        let leads = escape(&consent.leads);
        let _ = write!(body, " After this you are sent to <strong>{leads}</strong>.");
    }
    body.push_str(" Allow only what you have just begun yourself; your password stays here.</p>");
    whole(page.host, page.nonce, &body)
}

/// Where the code of a program elsewhere is typed.
pub fn user_code(
    host: &str,
    nonce: &str,
    form_token: &str,
    code: &str,
    problem: Option<&str>,
) -> String {
    let mut body = String::from("<h1>Give a program access to your mail</h1>");
    tell(&mut body, problem);
    body.push_str("<form method=\"post\" action=\"/oauth/device\">");
    hidden(&mut body, "form_token", form_token);
    let _ = write!(
        body,
        "<label for=\"user_code\">The code that it shows you</label>\
         <input id=\"user_code\" name=\"user_code\" type=\"text\" value=\"{}\" autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\" placeholder=\"XXXX-XXXX\">\
         <div class=\"row\"><button class=\"main\">Continue</button></div></form>\
         <p class=\"soft\">Type only a code of a program that you have just begun to set up \
         yourself.</p>",
        escape(code)
    );
    whole(host, nonce, &body)
}

/// It is over, and the browser is not sent on.
pub fn done(host: &str, nonce: &str, text: &str) -> String {
    whole(host, nonce, &format!("<h1>{}</h1>", escape(text)))
}

fn tell(body: &mut String, problem: Option<&str>) {
    if let Some(problem) = problem {
        let _ = write!(body, "<p class=\"bad\" role=\"alert\">{}</p>", escape(problem));
    }
}

fn hidden(body: &mut String, name: &str, value: &str) {
    let _ = write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
}

fn ask_for_password(body: &mut String, address: &str) {
    let _ = write!(
        body,
        "<label for=\"address\">Your address</label>\
         <input id=\"address\" name=\"address\" type=\"text\" inputmode=\"email\" value=\"{}\" \
         autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\">\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\">",
        escape(address)
    );
}

fn ask_for_code(body: &mut String, address: &str, ticket: &str) {
    hidden(body, "address", address);
    hidden(body, "ticket", ticket);
    body.push_str(
        "<label for=\"code\">Code from your authenticator</label>\
         <input id=\"code\" name=\"code\" type=\"text\" inputmode=\"numeric\" \
         autocomplete=\"one-time-code\" autocapitalize=\"none\" spellcheck=\"false\" autofocus>\
         <p class=\"soft\">Or one of your recovery codes.</p>",
    );
}

/// A request that leads nowhere: the browser is not sent on.
pub fn problem(host: &str, nonce: &str, text: &str) -> String {
    let body = format!(
        "<h1>This request is not valid</h1><p>{}</p><p class=\"soft\">Nothing was given to anybody. \
         Go back to the program that sent you here, and begin again.</p>",
        escape(text)
    );
    whole(host, nonce, &body)
}

/// The program was given nothing, and the browser is sent on only if the person wants it.
pub fn turned_away(host: &str, nonce: &str, why: &str, site: &str, onward: &str) -> String {
    let body = format!(
        "<h1>{}</h1><p>It can be told so at its own site, if you know that one. You do not have to go \
         there.</p><p><a href=\"{}\" rel=\"noreferrer\">Go on to <strong>{}</strong></a></p>",
        escape(why),
        escape(onward),
        escape(site)
    );
    whole(host, nonce, &body)
}

fn whole(host: &str, nonce: &str, body: &str) -> String {
    let host = escape(host);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>Log in – {host}</title>\
         <style nonce=\"{nonce}\">{STYLE}</style></head><body><main>{body}\
         <small>{host}</small></main></body></html>"
    )
}

fn what_for(scope: &str) -> &'static str {
    match scope {
        "imap" => "read, change and delete your mail",
        "pop3" => "fetch and delete your mail",
        "smtp" => "send mail in your name",
        _ => "change the rules for your arriving mail",
    }
}
