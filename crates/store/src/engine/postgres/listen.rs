//! LISTEN and NOTIFY: what nodes tell each other.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_postgres::{AsyncMessage, NoTls};

use super::client::store_error;
use super::{CONNECTION_TIMEOUT, Shared};
use crate::engine::Touched;
use crate::{AccountId, StoreError};

/// How often the connection that listens is asked whether it is alive.
const LIVENESS_EVERY: Duration = Duration::from_secs(30);
/// The channel of NOTIFY.
pub(super) const CHANNEL: &str = "waxwing_changes";
/// NOTIFY carries less than 8,000 octets: beyond so many accounts it says "all".
const NOTIFY_ACCOUNTS_MAX: usize = 300;

impl Shared {
    pub(super) async fn listen_once(&self) -> Result<(), StoreError> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(store_error)?;
                self.hear(client, connection).await
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(store_error)?;
                self.hear(client, connection).await
            }
        }
    }

    async fn hear<S, T>(
        &self,
        client: tokio_postgres::Client,
        mut connection: tokio_postgres::Connection<S, T>,
    ) -> Result<(), StoreError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        let listen = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(store_error)?;
            // From here on everything is heard; before, something may have been missed.
            self.hub.wake_all();
            loop {
                tokio::time::sleep(LIVENESS_EVERY).await;
                let alive = client.batch_execute("SELECT 1");
                match tokio::time::timeout(CONNECTION_TIMEOUT, alive).await {
                    Ok(alive) => alive.map_err(store_error)?,
                    Err(_) => {
                        let silent = "the connection that listens is silent";
                        return Err(StoreError::Unavailable(silent.into()));
                    }
                }
            }
        };
        let hear = async {
            let mut messages = pin!(messages);
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(note) = message.map_err(store_error)? {
                    self.heard(note.payload());
                }
            }
            Ok(())
        };
        let (listen, hear) = (pin!(listen), pin!(hear));
        futures_util::future::select(listen, hear).await.factor_first().0
    }

    fn heard(&self, payload: &str) {
        match understood(payload) {
            Some((node, _)) if node == self.node => {}
            Some((_, Some(touched))) => self.hub.wake(&touched),
            Some((_, None)) | None => self.hub.wake_all(),
        }
    }
}

/// `node;queue;accounts`: queue is `q` or empty; accounts parted by commas, or `*` for all.
pub(super) fn announcement(node: &str, touched: &Touched) -> String {
    let accounts = if touched.accounts.len() > NOTIFY_ACCOUNTS_MAX {
        "*".to_owned()
    } else {
        let numbers: Vec<String> = touched.accounts.iter().map(|id| id.0.to_string()).collect();
        numbers.join(",")
    };
    format!("{node};{};{accounts}", if touched.queue { "q" } else { "" })
}

/// Reads an announcement: the node, and what was touched unless that is "all".
pub(super) fn understood(payload: &str) -> Option<(&str, Option<Touched>)> {
    let mut parts = payload.split(';');
    let (node, queue, accounts) = (parts.next()?, parts.next()?, parts.next()?);
    if accounts == "*" {
        return Some((node, None));
    }
    let numbers = accounts.split(',').filter(|number| !number.is_empty());
    let accounts = numbers.map(|n| n.parse().map(AccountId)).collect::<Result<_, _>>().ok()?;
    Some((node, Some(Touched { accounts, queue: queue == "q" })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_understood() {
        let touched = Touched { accounts: vec![AccountId(3), AccountId(40)], queue: true };
        let text = announcement("n1", &touched);
        assert_eq!(understood(&text), Some(("n1", Some(touched))));
        let many = Touched { accounts: (0..1_000).map(AccountId).collect(), queue: false };
        let text = announcement("n1", &many);
        assert!(text.len() < 8_000);
        assert_eq!(understood(&text), Some(("n1", None)));
        assert_eq!(understood("?"), None);
    }
}
