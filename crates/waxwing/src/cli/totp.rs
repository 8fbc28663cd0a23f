//! `waxwing user totp`: a code beside the password, from an authenticator (RFC 6238).

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use jiff::Timestamp;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use waxwing_message::Address;
use waxwing_oauth::encode;
use waxwing_store::{Store, TotpError};
use zeroize::Zeroizing;

use super::domain::done;
use super::{Context, access, print};

/// Codes that may be typed before it is given up.
const TRIES: usize = 5;

/// Second step commands.
#[derive(Subcommand)]
pub enum Totp {
    /// Ask for a code beside the password. Shows what the authenticator needs, then wants one code.
    Enable {
        /// Whose.
        address: Address,
    },
    /// Ask for the password alone again.
    Disable {
        /// Whose.
        address: Address,
    },
    /// Make new recovery codes, and print them this once; the old ones are good for nothing.
    RecoveryCodes {
        /// Whose.
        address: Address,
    },
}

impl Totp {
    pub async fn run(self, store: &Store, context: &Context) -> Result<()> {
        match self {
            Totp::Enable { address } => enable(store, context, &address).await?,
            Totp::Disable { address } => {
                store.disable_totp(&address).await?;
                let text = format!("{address} logs in with the password alone again.");
                done(context, &text);
            }
            Totp::RecoveryCodes { address } => {
                let codes = store.renew_recovery_codes(&address).await?;
                show_codes(context, &address, &codes);
            }
        }
        Ok(())
    }
}

async fn enable(store: &Store, context: &Context, address: &Address) -> Result<()> {
    let account = access::account(store, address).await?;
    if store.totp(account.id).await?.is_some() {
        return Err(TotpError::On(address.to_string()).into());
    }
    let new = store.begin_totp(address);
    let secret = new.secret();
    let uri = uri(address, &secret);
    if context.json {
        print::json(&json!({ "account": address, "uri": *uri, "secret": *secret }));
    } else {
        println!(
            "Scan this with an authenticator, or type the secret in. It is shown this once.\n"
        );
        println!("{}", *picture(&uri)?);
        println!("{}\nsecret: {}\n", *uri, *secret);
    }
    for _ in 0..TRIES {
        eprint!("Code that it shows: ");
        std::io::stderr().flush().ok();
        let mut code = String::new();
        if std::io::stdin().lock().read_line(&mut code).context("reading the code")? == 0 {
            break;
        }
        match store.enable_totp(&new, code.trim(), Timestamp::now()).await {
            Ok(codes) => {
                if !context.json {
                    println!(
                        "{address} logs in with a code from now on. Mail programs need app passwords or \
                         access by web page; those that used the password are logged out.\n"
                    );
                }
                show_codes(context, address, &codes);
                return Ok(());
            }
            Err(error @ TotpError::WrongCode) => eprintln!("{error}"),
            Err(error) => return Err(error.into()),
        }
    }
    bail!("nothing was changed: no right code came, and {address} logs in as before")
}

/// What all authenticators read. They show the account under its domain.
fn uri(address: &Address, secret: &str) -> Zeroizing<String> {
    let (issuer, account) = (encode(address.domain()), encode(&address.to_string()));
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6\
         &period=30"
    ))
}

/// A QR code, black on white where that can be said, with the margin that readers need.
fn picture(uri: &str) -> Result<Zeroizing<String>> {
    let code = QrCode::new(uri).context("the address is too long for a QR code")?;
    let lines = Zeroizing::new(code.render::<Dense1x2>().build());
    if !std::io::stdout().is_terminal() {
        return Ok(lines);
    }
    let coloured = lines.lines().map(|line| format!("\u{1b}[30;107m{line}\u{1b}[0m\n"));
    Ok(Zeroizing::new(coloured.collect()))
}

fn show_codes(context: &Context, address: &Address, codes: &[Zeroizing<String>]) {
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    if context.json {
        print::json(&json!({ "account": address, "recovery_codes": codes }));
        return;
    }
    println!("Recovery codes, each good for once instead of a code, shown this once:\n");
    for pair in codes.chunks(2) {
        println!("  {}", pair.join("   "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped() {
        let address = Address::parse("a+b@wing.test").unwrap();
        let uri = uri(&address, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            *uri,
            "otpauth://totp/wing.test:a%2Bb%40wing.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=wing.test&algorithm=SHA1&digits=6&period=30"
        );
        assert!(picture(&uri).unwrap().lines().count() > 15);
    }
}
