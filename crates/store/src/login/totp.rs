//! The second step of logging in at a page: codes of an authenticator (RFC 6238), and recovery codes for
//! who has lost it.
//!
//! ```text
//! begin_totp ──▶ NewTotp: the secret ── a right code ──▶ enable_totp ──▶ ten recovery codes
//! login_by_page ── right password ──▶ CodeWanted(ticket) ── code ──▶ login_by_code ──▶ Admitted
//! ```
//!
//! With it on, the password alone opens no program: these get app passwords or consents, and sessions that
//! stand on the password end. Nothing is kept before a code has shown that the secret has arrived, and the
//! secret never leaves the store again.
//!
//! Nobody is half logged in: a [`Ticket`] says that the password was right a moment ago, and any node can
//! check it. Codes are guessed at as passwords are, and wait as these do (RFC 4226 §7.3); each wrong code
//! counts, the same one too, since what it is compared with changes.

use jiff::Timestamp;
use totp_rs::{Builder, Totp};
use waxwing_message::Address;
use zeroize::Zeroizing;

use super::audit::Outcome;
use super::letters::{invent, plain};
use super::visitor::{Admitted, Proof, Visitor};
use super::{Attempt, LoginError, Seen, account_of_key};
use crate::accounts::{account_by_id_in, login_key, login_key_of};
use crate::engine::{Repeat, Tx, params};
use crate::instant::{count, micros, timestamp};
use crate::{Account, AccountError, AccountId, Store, StoreError, passwords};

/// RFC 4226 §4 R6: as long as HMAC-SHA-1 has octets.
const SECRET_OCTETS: usize = 20;
/// RFC 6238 §5.2, and what all authenticators take for granted.
const STEP_SECS: u64 = 30;
const DIGITS: u8 = 6;
/// Steps before and after now whose codes are taken (RFC 6238 §5.2).
const SKEW: u16 = 1;
const RECOVERY_CODES: usize = 10;
/// Of five letters: 75 random bits.
const RECOVERY_GROUPS: usize = 3;
/// How long a person may look for the code.
const TICKET_SECS: i64 = 300;

/// Codes that are to be switched on, once one has shown that they work.
pub struct NewTotp {
    address: Address,
    secret: Zeroizing<[u8; SECRET_OCTETS]>,
}

impl NewTotp {
    /// For authenticators: base32 (RFC 4648 §6). Codes are of HMAC-SHA-1, six digits and 30 seconds, which
    /// all of them take for granted.
    pub fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(totp_rs::Secret::from(*self.secret).to_base32())
    }
}

/// How it stands with an account's second step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotpState {
    /// When it was switched on.
    pub since: Timestamp,
    /// Recovery codes that are left.
    pub recovery_codes: u64,
}

/// Why an operation on the second step was refused.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    /// It must be switched off before it can begin anew.
    #[error("{0} logs in with a code already: disable that first")]
    On(String),
    /// There is nothing to change.
    #[error("{0} logs in without a code")]
    Off(String),
    /// Nothing was switched on.
    #[error(
        "that code is wrong, so nothing was changed: does the clock of what shows it go right, and was \
         it the newest one?"
    )]
    WrongCode,
    /// No such account, or the store could not do its work.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<StoreError> for TotpError {
    fn from(error: StoreError) -> Self {
        TotpError::Account(error.into())
    }
}

/// How far somebody has come at a page.
pub enum PageLogin {
    /// All the way.
    Admitted(Admitted),
    /// The password is right, and a code is wanted: [`Store::login_by_code`].
    CodeWanted {
        /// To be shown with the code.
        ticket: Ticket,
        /// The code before was wrong.
        wrong: bool,
    },
}

/// Says that the password was right; good for five minutes, and of no use without a code. Not a secret of
/// its owner's, but to be kept from others.
pub struct Ticket(Zeroizing<String>);

impl Ticket {
    /// From a page's form.
    pub fn from_text(text: &str) -> Ticket {
        Ticket(Zeroizing::new(text.to_owned()))
    }

    /// ASCII, at most 120 octets.
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

impl Store {
    /// Draws a secret for that account. Nothing is kept: [`Store::enable_totp`] does that.
    pub fn begin_totp(&self, address: &Address) -> NewTotp {
        NewTotp { address: address.clone(), secret: Zeroizing::new(rand::random()) }
    }

    /// Switches the second step on, when the code shows that the secret has arrived. Gives recovery
    /// codes, never to be seen again. Sessions that stand on the main password end.
    pub async fn enable_totp(
        &self,
        new: &NewTotp,
        code: &str,
        now: Timestamp,
    ) -> Result<Vec<Zeroizing<String>>, TotpError> {
        let step = matching_step(&*new.secret, code, now).ok_or(TotpError::WrongCode)?;
        let (codes, digests) = self.draw_codes(&new.address).await?;
        let asked = (new.address.clone(), new.secret.clone(), step, digests, micros(now));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (address, secret, step, digests, now)| {
                Box::pin(enable_in(tx, address, &secret[..], *step, digests, *now))
            })
            .await?;
        Ok(codes)
    }

    /// Switches it off, and forgets the recovery codes: the password alone opens everything again.
    pub async fn disable_totp(&self, address: &Address) -> Result<(), TotpError> {
        let engine = &self.inner.engine;
        engine
            .write(address.clone(), Repeat::Never, |tx, address| Box::pin(disable_in(tx, address)))
            .await
    }

    /// Ten new recovery codes, never to be seen again; those before are good for nothing.
    pub async fn renew_recovery_codes(
        &self,
        address: &Address,
    ) -> Result<Vec<Zeroizing<String>>, TotpError> {
        let (codes, digests) = self.draw_codes(address).await?;
        let engine = &self.inner.engine;
        engine
            .write((address.clone(), digests), Repeat::Never, |tx, (address, digests)| {
                Box::pin(renew_in(tx, address, digests))
            })
            .await?;
        Ok(codes)
    }

    /// `None`: the password is enough.
    pub async fn totp(&self, account: AccountId) -> Result<Option<TotpState>, StoreError> {
        const SQL: &str = "SELECT since, (SELECT COUNT(*) FROM recovery_codes r \
            WHERE r.account = totp.account) FROM totp WHERE account = ?1";
        let engine = &self.inner.engine;
        engine
            .read_brief(account.0, |tx, account| {
                Box::pin(async move {
                    let read = |row: &crate::engine::Row<'_>| {
                        let (since, left) = (timestamp(row.int(0)?)?, count(row.int(1)?)?);
                        Ok(TotpState { since, recovery_codes: left })
                    };
                    tx.row(SQL, params![*account], read).await
                })
            })
            .await
    }

    /// The first step at a page: address and main password. Argon2id runs off the async threads, and as
    /// long for unknown names.
    pub async fn login_by_page(
        &self,
        visitor: &Visitor,
        login: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<PageLogin, LoginError> {
        let attempt = self.attempt(visitor, "login", login_key(login), Some(password)).await?;
        match self.see_owner(login, password).await {
            Ok(Owner::Half { account, version }) => {
                self.unfinished(&attempt, &account, Outcome::CodeAsked);
                attempt.guess.take_back();
                let ticket = self.ticket(account.id, version, now);
                Ok(PageLogin::CodeWanted { ticket, wrong: false })
            }
            Ok(Owner::Whole(seen)) => self.decide(attempt, Ok(seen)).map(PageLogin::Admitted),
            Err(error) => self.decide(attempt, Err(error)).map(PageLogin::Admitted),
        }
    }

    async fn see_owner(&self, login: &str, password: &str) -> Result<Owner, StoreError> {
        let Some((account, credentials)) = self.find(login).await? else {
            self.inner.passwords.verify(None, password).await?;
            return Ok(Owner::Whole(Seen::Nobody));
        };
        let verdict = self.check_main(&account, &credentials, password).await?;
        Ok(match verdict {
            Ok(_) if credentials.second_step => {
                Owner::Half { account, version: credentials.version }
            }
            verdict => Owner::Whole(Seen::Somebody { account, client: None, verdict }),
        })
    }

    /// For the log and the account's owner.
    fn unfinished(&self, attempt: &Attempt, account: &Account, outcome: Outcome) {
        let Visitor { protocol, address, tls } = attempt.visitor;
        tracing::info!(account = %account.address, protocol = protocol.name(), %address, tls,
            mechanism = attempt.mechanism, outcome = outcome.name(), "login not finished");
        self.note(attempt, account, None, outcome);
    }

    /// The second step: a code of the authenticator, or a recovery code. A ticket that is good no longer
    /// is [`LoginError::Rejected`], and the first step has to be done again.
    pub async fn login_by_code(
        &self,
        visitor: &Visitor,
        ticket: Ticket,
        code: &str,
        now: Timestamp,
    ) -> Result<PageLogin, LoginError> {
        let (account, version) = self.read_ticket(&ticket, now).ok_or(LoginError::Rejected)?;
        let engine = &self.inner.engine;
        let found = engine
            .read_brief(account, |tx, account| Box::pin(account_by_id_in(tx, *account)))
            .await?;
        let Some(account) = found else { return Err(LoginError::Rejected) };
        let recovery = plain(code, RECOVERY_GROUPS);
        let mechanism = if recovery.is_some() { "recovery-code" } else { "totp" };
        let key = login_key_of(&account.address);
        let attempt = self.attempt(visitor, mechanism, key, None).await?;
        let shown = match recovery {
            Some(letters) => Shown::Recovery(self.digest_of(RECOVERY, account.id, &letters)),
            None => Shown::Code(Zeroizing::new(code.to_owned())),
        };
        let asked = (account.id, version, shown, now);
        let right = engine
            .write(asked, Repeat::Never, |tx, (account, version, shown, now)| {
                Box::pin(check_in(tx, *account, *version, shown, *now))
            })
            .await;
        let seen = match right {
            Ok(Some(false)) => {
                self.unfinished(&attempt, &account, Outcome::WrongCode);
                drop(attempt); // it counts
                return Ok(PageLogin::CodeWanted { ticket, wrong: true });
            }
            Ok(None) => {
                attempt.guess.take_back();
                return Err(LoginError::Rejected);
            }
            Ok(Some(true)) => {
                let verdict = match account.disabled {
                    true => Err(LoginError::Disabled),
                    false => Ok(Proof::Password { version }),
                };
                Ok(Seen::Somebody { account, client: None, verdict })
            }
            Err(error) => Err(error),
        };
        self.decide(attempt, seen).map(PageLogin::Admitted)
    }

    async fn draw_codes(
        &self,
        address: &Address,
    ) -> Result<(Vec<Zeroizing<String>>, Vec<[u8; 32]>), TotpError> {
        let account = self.account_by_address(address).await?;
        let account = account.ok_or_else(|| AccountError::NotFound(address.to_string()))?.id;
        let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| invent(RECOVERY_GROUPS)).collect();
        let letters = codes.iter().filter_map(|code| plain(code, RECOVERY_GROUPS));
        let digests = letters.map(|letters| self.digest_of(RECOVERY, account, &letters)).collect();
        Ok((codes, digests))
    }

    fn ticket(&self, account: AccountId, version: i64, now: Timestamp) -> Ticket {
        let until = now.as_second() + TICKET_SECS;
        let seal = self.seal(account, version, until).to_hex();
        Ticket(Zeroizing::new(format!("{}.{version}.{until}.{seal}", account.0)))
    }

    /// Whose it is, and of which of their passwords.
    fn read_ticket(&self, ticket: &Ticket, now: Timestamp) -> Option<(AccountId, i64)> {
        let mut parts = ticket.0.splitn(4, '.');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (account, version, until) = (AccountId(number()?), number()?, number()?);
        let seal = blake3::Hash::from_hex(parts.next()?).ok()?;
        // Compared in constant time.
        let ours = self.seal(account, version, until) == seal;
        (ours && now.as_second() < until).then_some((account, version))
    }

    fn seal(&self, account: AccountId, version: i64, until: i64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.inner.secret_key);
        hasher.update(b"login ticket\0");
        for number in [account.0, version, until] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finalize()
    }
}

const RECOVERY: &str = "recovery code";

/// What address and password come to at a page.
enum Owner {
    Whole(Seen),
    /// They are right, and a code is wanted.
    Half {
        account: Account,
        version: i64,
    },
}

/// What was typed as the second step.
enum Shown {
    Code(Zeroizing<String>),
    /// Its digest.
    Recovery([u8; 32]),
}

/// The step whose code this is, if it is one of those that are taken now.
fn matching_step(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    let digits: Zeroizing<String> =
        Zeroizing::new(code.chars().filter(|letter| !letter.is_whitespace()).collect());
    if digits.len() != usize::from(DIGITS) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let now = u64::try_from(now.as_second()).ok()?;
    i64::try_from(totp(secret).check(&digits, now)?).ok()
}

fn totp(secret: &[u8]) -> Totp {
    Builder::new()
        .with_secret(secret.to_vec())
        .with_digits(DIGITS)
        .with_step_duration(STEP_SECS)
        .with_skew(SKEW)
        .build_noncompliant()
}

async fn enable_in(
    tx: &Tx,
    address: &Address,
    secret: &[u8],
    step: i64,
    digests: &[[u8; 32]],
    now: i64,
) -> Result<(), TotpError> {
    const ADD: &str = "INSERT INTO totp (account, secret, last_step, since) \
        VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account) DO NOTHING";
    let account = account_in(tx, address).await?;
    if tx.run(ADD, params![account.0, secret, step, now]).await? == 0 {
        return Err(TotpError::On(address.to_string()));
    }
    replace_codes(tx, account, digests).await?;
    // What stands on the password alone ends.
    passwords::next_version(tx, account).await?;
    tx.touch(account);
    Ok(())
}

async fn disable_in(tx: &Tx, address: &Address) -> Result<(), TotpError> {
    const REMOVE: &str = "DELETE FROM totp WHERE account = ?1";
    let account = account_in(tx, address).await?;
    if tx.run(REMOVE, params![account.0]).await? == 0 {
        return Err(TotpError::Off(address.to_string()));
    }
    replace_codes(tx, account, &[]).await?;
    Ok(())
}

async fn renew_in(tx: &Tx, address: &Address, digests: &[[u8; 32]]) -> Result<(), TotpError> {
    const ON: &str = "SELECT last_step FROM totp WHERE account = ?1 /*postgres: FOR UPDATE*/";
    let account = account_in(tx, address).await?;
    if tx.row(ON, params![account.0], |row| row.int(0)).await?.is_none() {
        return Err(TotpError::Off(address.to_string()));
    }
    replace_codes(tx, account, digests).await?;
    Ok(())
}

async fn account_in(tx: &Tx, address: &Address) -> Result<AccountId, TotpError> {
    let account = account_of_key(tx, &login_key_of(address)).await?;
    Ok(account.ok_or_else(|| AccountError::NotFound(address.to_string()))?)
}

async fn replace_codes(
    tx: &Tx,
    account: AccountId,
    digests: &[[u8; 32]],
) -> Result<(), StoreError> {
    const FORGET: &str = "DELETE FROM recovery_codes WHERE account = ?1";
    const ADD: &str = "INSERT INTO recovery_codes (account, digest) VALUES (?1, ?2)";
    tx.run(FORGET, params![account.0]).await?;
    for digest in digests {
        tx.run(ADD, params![account.0, digest]).await?;
    }
    Ok(())
}

/// Whether it is right; then it is used up. `None`: the ticket's password is no longer the account's, or
/// no code is wanted any more.
async fn check_in(
    tx: &Tx,
    account: AccountId,
    version: i64,
    shown: &Shown,
    now: Timestamp,
) -> Result<Option<bool>, StoreError> {
    const TOTP: &str = "SELECT t.secret, t.last_step FROM totp t \
        JOIN credentials c ON c.account = t.account \
        WHERE t.account = ?1 AND c.version = ?2 /*postgres: FOR UPDATE OF t*/";
    const TAKEN: &str = "UPDATE totp SET last_step = ?2 WHERE account = ?1";
    const USED: &str = "DELETE FROM recovery_codes WHERE account = ?1 AND digest = ?2";
    let read =
        |row: &crate::engine::Row<'_>| Ok((Zeroizing::new(row.bytes(0)?.to_vec()), row.int(1)?));
    let Some((secret, last)) = tx.row(TOTP, params![account.0, version], read).await? else {
        return Ok(None);
    };
    match shown {
        Shown::Code(code) => match matching_step(&secret, code, now) {
            // RFC 6238 §5.2: never the same one twice, and none from before it.
            Some(step) if step > last => {
                tx.run(TAKEN, params![account.0, step]).await?;
                Ok(Some(true))
            }
            _ => Ok(Some(false)),
        },
        Shown::Recovery(digest) => Ok(Some(tx.run(USED, params![account.0, digest]).await? == 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    /// RFC 6238 appendix B, the last six digits of each.
    #[test]
    fn the_examples_of_rfc_6238() {
        let secret = b"12345678901234567890";
        for (secs, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(matching_step(secret, code, at(secs)), Some(secs / 30), "{secs}");
            assert_eq!(matching_step(secret, code, at(secs + 30)), Some(secs / 30), "{secs}");
            assert_eq!(matching_step(secret, code, at(secs - 30)), Some(secs / 30), "{secs}");
            assert_eq!(matching_step(secret, code, at(secs + 60)), None, "{secs}");
            assert_eq!(matching_step(secret, code, at(secs - 60)), None, "{secs}");
        }
        assert_eq!(matching_step(secret, " 287 082 ", at(59)), Some(1));
        for wrong in ["", "28708", "2870822", "28708a", "+87082", "２８７０８２", "287083"] {
            assert_eq!(matching_step(secret, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn authenticators_are_told_the_secret() {
        let address = Address::parse("bob@wing.test").unwrap();
        let new = NewTotp { address, secret: Zeroizing::new(*b"12345678901234567890") };
        assert_eq!(*new.secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
