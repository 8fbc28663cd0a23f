//! Journeys: what happened to each message, kept after the queue row has gone.

use jiff::Timestamp;
use waxwing_message::journey::Event;
use waxwing_message::{JourneyId, ReversePath};

use crate::{Store, StoreError};

#[derive(Debug, Clone)]
pub struct Journey {
    pub id: JourneyId,
    pub started_at: Timestamp,
    pub reverse_path: ReversePath,
    pub message_id: Option<String>,
    pub size_octets: u64,
    /// Rows still in the queue.
    pub pending: u32,
    /// In order; empty in listings.
    pub events: Vec<Event>,
}

impl Store {
    pub async fn journey(&self, id: JourneyId) -> Result<Option<Journey>, StoreError> {
        todo!()
    }
    /// By Message-ID without angle brackets (one Message-ID may have several journeys here).
    pub async fn journeys_by_message_id(
        &self,
        message_id: &str,
    ) -> Result<Vec<Journey>, StoreError> {
        todo!()
    }
    /// The latest, newest first, without their events.
    pub async fn recent_journeys(&self, limit: usize) -> Result<Vec<Journey>, StoreError> {
        todo!()
    }
    /// Adds steps outside of a settlement.
    pub async fn record(&self, id: JourneyId, events: Vec<Event>) -> Result<(), StoreError> {
        todo!()
    }
    /// Forgets journeys that ended before; gives how many.
    pub async fn forget_journeys(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        todo!()
    }
}
