//! From JMAP onto the road: the same door as for mail that comes by submission (RFC 6409), and the same rules.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;
use waxwing_delivery::{Entrance, Incoming, Refusal};
use waxwing_jmap::submission::handing::hand_over_due;
use waxwing_jmap::{Outgoing, Outside, Refused};
use waxwing_message::JourneyId;
use waxwing_message::journey::Source;
use waxwing_store::Store;

use crate::serve::road::Reception;

/// How often it is looked what is due to be sent, whatever anybody said.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// What stands in Received; RFC 3848's registry has no word for JMAP.
const PROTOCOL: &str = "JMAP";

/// Where messages are handed over.
pub struct Sending {
    /// The door.
    pub reception: Arc<Reception>,
}

impl Outside for Sending {
    fn send(&self, mail: Outgoing) -> BoxFuture<'_, Result<JourneyId, Refused>> {
        async move {
            let entrance = Entrance::Submission { account: mail.account };
            let mut unknown = Vec::new();
            for recipient in &mail.envelope.recipients {
                match self.reception.check_recipient(entrance, recipient, None).await {
                    Ok(()) => {}
                    Err(refusal) if refusal.is_temporary() => return Err(refused(&refusal)),
                    Err(_) => unknown.push(recipient.address.clone()),
                }
            }
            if !unknown.is_empty() {
                return Err(Refused::Recipients(unknown));
            }
            let source = Source { ip: None, helo: None, tls: None, login: Some(mail.login) };
            let incoming = Incoming {
                entrance,
                source,
                protocol: PROTOCOL.to_owned(),
                envelope: mail.envelope,
                spool: mail.octets,
                verifier: None,
            };
            let accepted = self.reception.accept(incoming).await;
            accepted.map(|accepted| accepted.journey).map_err(|refusal| refused(&refusal))
        }
        .boxed()
    }
}

fn refused(refusal: &Refusal) -> Refused {
    let reply = &refusal.reply;
    let text = format!("{} {}", reply.code, reply.text);
    match reply.code {
        _ if refusal.is_temporary() => Refused::Later(text),
        // What the door says of an author who is another's.
        550 => Refused::Author(text),
        _ => Refused::Never(text),
    }
}

/// Hands over what was to be sent later, until told to stop.
pub async fn run(store: Store, reception: Arc<Reception>, mut stop: watch::Receiver<bool>) {
    let sending = Sending { reception };
    // New submissions ring the bell of the queue.
    let mut bell = store.watch_queue();
    loop {
        let next = match hand_over_due(&store, &sending, Timestamp::now()).await {
            Ok(_) => store.next_submission().await,
            Err(error) => Err(error),
        };
        let wait = match next {
            Ok(None) => LOOK_AT_LEAST_EVERY,
            Ok(Some(at)) => {
                let wait = Duration::try_from(at.duration_since(Timestamp::now()));
                wait.unwrap_or_default().clamp(Duration::from_millis(50), LOOK_AT_LEAST_EVERY)
            }
            Err(error) => {
                warn!(%error, "what was to be sent later could not be looked at");
                Duration::from_secs(10)
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(wait, bell.changed()) => {}
            // An error means that the program itself is ending.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
