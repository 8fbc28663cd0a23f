//! Delivery.
pub mod accept;
pub mod clock;
pub mod dice;
pub mod outbound;
pub mod policy;
pub mod queue;
pub mod route;
