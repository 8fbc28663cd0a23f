//! What names may be, and how they are compared.

use unicode_normalization::UnicodeNormalization as _;
use waxwing_message::Address;

use crate::{AccountError, StoreError};

/// Octets in a display name.
const DISPLAY_NAME_OCTETS_MAX: usize = 1_000;

/// Lower case, A-labels. Address literals are not domains that anybody can own.
pub(super) fn domain_name(name: &str) -> Result<String, AccountError> {
    let address = Address::new("postmaster", name)
        .ok()
        .filter(|address| !address.domain().starts_with('['))
        .ok_or_else(|| AccountError::Invalid(format!("{name:?} is not a domain name")))?;
    Ok(address.domain().to_owned())
}

/// What addresses are compared by.
pub(super) fn key(address: &Address) -> String {
    key_of(address.local_part(), address.domain())
}

/// What accounts are found by.
pub(crate) fn login_key_of(address: &Address) -> String {
    key(address)
}

/// The same for whatever was given as a name.
pub(crate) fn login_key(login: &str) -> String {
    Address::parse(login).map_or_else(|_| login.to_lowercase(), |address| key(&address))
}

pub(super) fn key_of(local_part: &str, domain: &str) -> String {
    let local_part: String = local_part.nfc().collect();
    format!("{}@{domain}", local_part.to_lowercase())
}

pub(super) fn display_name(name: &str) -> Result<String, AccountError> {
    let name = name.trim();
    if name.len() > DISPLAY_NAME_OCTETS_MAX || name.chars().any(char::is_control) {
        return Err(AccountError::Invalid(
            "a display name is one line of at most 1,000 octets".into(),
        ));
    }
    Ok(name.to_owned())
}

pub(super) fn quota(octets: Option<u64>) -> Result<Option<i64>, AccountError> {
    octets
        .map(i64::try_from)
        .transpose()
        .map_err(|_| AccountError::Invalid("that quota is larger than any disk".into()))
}

pub(super) fn stored_address(text: &str) -> Result<Address, StoreError> {
    Address::parse(text).map_err(|e| StoreError::Damaged(format!("address {text:?}: {e}")))
}
