//! Passwords on the command line: from standard input, never from an argument that others see.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use rand::RngExt as _;
use zeroize::Zeroizing;

/// Letters that are not mistaken for others when copied by hand.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How the password is given.
#[derive(Args, Clone, Copy)]
pub struct PasswordSource {
    /// Read the password from standard input (one line). Without this, one is made and printed.
    #[arg(long)]
    password_stdin: bool,
}

/// A password and whether we made it, so that it must be shown.
pub struct Password {
    /// In clear.
    pub text: String,
    /// Made here.
    pub generated: bool,
}

impl PasswordSource {
    /// Reads or makes it.
    pub fn take(self) -> Result<Password> {
        if !self.password_stdin {
            return Ok(Password { text: generate(), generated: true });
        }
        if std::io::stdin().is_terminal() {
            eprintln!("Password (it will be seen as you type; end with Enter):");
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("reading the password")?;
        let text = line.trim_end_matches(['\r', '\n']).to_owned();
        if text.chars().count() < 8 {
            bail!("the password is too short: use at least 8 characters, better a sentence");
        }
        Ok(Password { text, generated: false })
    }
}

/// The environment variable that may hold the password of another server.
const IMPORT_PASSWORD: &str = "WAXWING_IMPORT_PASSWORD";

/// The password of a login at another server: from the file, the environment, or whoever sits there; from
/// standard input where nobody does.
pub fn of_another_server(
    file: Option<&Path>,
    login: &str,
    host: &str,
) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if let Some(path) = file {
        let read = std::fs::read_to_string(path);
        *text = read.with_context(|| format!("cannot read the password in {}", path.display()))?;
    } else if let Ok(found) = std::env::var(IMPORT_PASSWORD) {
        *text = found;
    } else {
        let stdin = std::io::stdin();
        let _unseen = stdin.is_terminal().then(|| {
            let unseen = Unseen::begin();
            eprint!("Password of {login} at {host}: ");
            unseen
        });
        stdin.lock().read_line(&mut text).context("reading the password")?;
    }
    let trimmed = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if trimmed.is_empty() {
        bail!(
            "there is no password: give it when asked, by --password-file or by {IMPORT_PASSWORD}"
        );
    }
    Ok(trimmed)
}

/// While it lives, what is typed at the terminal is not seen.
struct Unseen(Option<Termios>);

impl Unseen {
    fn begin() -> Unseen {
        let stdin = std::io::stdin();
        let Ok(before) = termios::tcgetattr(&stdin) else { return Unseen(None) };
        let mut without = before.clone();
        without.local_flags.remove(LocalFlags::ECHO);
        let _ = termios::tcsetattr(&stdin, SetArg::TCSANOW, &without);
        Unseen(Some(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
            eprintln!();
        }
    }
}

/// `xxxx-xxxx-xxxx-xxxx`: 80 random bits.
pub fn generate() -> String {
    let mut rng = rand::rng();
    let group = |rng: &mut rand::rngs::ThreadRng| -> String {
        (0..4).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
    };
    [(); 4].map(|()| group(&mut rng)).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_differ_and_have_80_bits() {
        assert_eq!(LETTERS.len(), 32);
        let (a, b) = (generate(), generate());
        assert_ne!(a, b);
        assert_eq!(a.len(), 19);
    }
}
