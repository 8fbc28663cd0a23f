//! VacationResponse (RFC 8621 §8): one object for each account. It is no Sieve script and touches none: whoever is
//! away is answered for beside whatever their own script does.

mod get;
mod set;

use serde_json::{Value, json};
use waxwing_store::Absence;

use crate::dispatch::{Method, methods};
use crate::wire::date;

/// RFC 8621 §8: the only id.
const ID: &str = "singleton";

pub(crate) const METHODS: &[Method] = methods! {
    "VacationResponse/get" Vacation get::run,
    "VacationResponse/set" Vacation set::run,
};

fn object(absence: &Absence) -> Value {
    json!({
        "id": ID,
        "isEnabled": absence.is_enabled,
        "fromDate": absence.from_at.map(date::utc),
        "toDate": absence.to_at.map(date::utc),
        "subject": absence.answer.subject,
        "textBody": absence.answer.text,
        "htmlBody": absence.answer.html,
    })
}
