//! Delivery status notifications: `multipart/report` (RFC 3462, RFC 3464).
