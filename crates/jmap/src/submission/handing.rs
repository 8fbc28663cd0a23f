//! Handing over what is due: submissions that were held back.

use jiff::{SignedDuration, Timestamp};
use waxwing_store::{DueSubmission, Store, StoreError, SubmissionOutcome};

use super::set::spool;
use crate::context::{Outgoing, Outside, Refused};

/// When a submission that could not be handed over is tried again.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Hands over everything that is due at `now`; gives how many submissions that were.
pub async fn hand_over_due(
    store: &Store,
    outside: &dyn Outside,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut count = 0;
    while let Some(DueSubmission { submission, content }) = store.due_submission(now).await? {
        count += 1;
        let put_off = || SubmissionOutcome::PutOff(now.saturating_add(AGAIN).unwrap_or(now));
        let outcome = match store.account(submission.account).await? {
            // Whoever may not log in may not send either.
            Some(account) if account.disabled => {
                SubmissionOutcome::Refused("550 5.7.1 this account is disabled".to_owned())
            }
            Some(account) => {
                let mail = Outgoing {
                    account: account.id,
                    login: account.address,
                    envelope: submission.envelope,
                    octets: spool(store, &content).await?,
                };
                match outside.send(mail).await {
                    Ok(journey) => SubmissionOutcome::Taken(journey),
                    Err(Refused::Later(_)) => put_off(),
                    Err(Refused::Recipients(addresses)) => {
                        let names: Vec<String> =
                            addresses.iter().map(ToString::to_string).collect();
                        SubmissionOutcome::Refused(format!(
                            "550 5.1.1 nobody is at {}",
                            names.join(", ")
                        ))
                    }
                    Err(Refused::Author(why) | Refused::Never(why)) => {
                        SubmissionOutcome::Refused(why)
                    }
                }
            }
            None => put_off(),
        };
        store.settle_submission(submission.id, outcome).await?;
    }
    Ok(count)
}
