//! Delivery.
pub mod clock;
pub mod policy;
pub mod queue;
pub mod route;
