//! GETQUOTA and GETQUOTAROOT (RFC 9208): an account is one quota root, named `""`, if it has a quota
//! at all. The operator sets quotas, not the client: there is no SETQUOTA. How full another's account
//! is is that other's business: a shared mailbox is said to have no root.

use waxwing_store::Account;

use crate::access::{self, Act};
use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::out::Out;

/// GETQUOTA.
pub async fn of_root(connection: &mut Connection<'_>, session: &Session, root: &[u8]) -> Done {
    let account = account(session).await?;
    if !root.is_empty() || account.quota_octets.is_none() {
        return Err(Fail::no("NONEXISTENT", "There is no such quota root"));
    }
    write(&mut connection.out, &account);
    Ok(Tagged::ok("That is the quota"))
}

/// GETQUOTAROOT.
pub async fn of_mailbox(connection: &mut Connection<'_>, session: &Session, name: &[u8]) -> Done {
    let account = account(session).await?;
    let place = access::open(session, name, Act::Read).await?;
    let out = &mut connection.out;
    out.raw("* QUOTAROOT ").mailbox(&place.mailbox.name);
    let has_root = account.quota_octets.is_some() && !place.is_shared(account.id);
    if has_root {
        out.raw(" \"\"");
    }
    out.line_end();
    if has_root {
        write(out, &account);
    }
    Ok(Tagged::ok("Those are the quotas"))
}

async fn account(session: &Session) -> Result<Account, Fail> {
    let account = session.store.account(session.account()?).await?;
    account.ok_or_else(|| Fail::no("UNAVAILABLE", "The account is not there"))
}

/// RFC 9208 §5.1: in units of 1024 octets.
fn write(out: &mut Out, account: &Account) {
    if let Some(quota) = account.quota_octets {
        out.raw("* QUOTA \"\" (STORAGE ").number(account.used_octets.div_ceil(1024));
        out.raw(" ").number(quota / 1024).raw(")\r\n");
    }
}
