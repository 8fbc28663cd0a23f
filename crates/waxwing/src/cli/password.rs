//! Passwords on the command line: from standard input, never from an argument that others see.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rand::RngExt as _;

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
