//! Times as they are stored: whole microseconds since 1970.

use jiff::Timestamp;

use crate::StoreError;

/// What is stored. Parts of a microsecond are lost.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// What was stored.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| StoreError::Damaged(format!("{micros} is not a time")))
}

/// A stored count or size, which is never negative.
pub(crate) fn count(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("{value} is not a count")))
}

/// A stored count that fits 32 bits: UIDs, messages of a mailbox.
pub(crate) fn count32(value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Damaged(format!("{value} is out of range")))
}
