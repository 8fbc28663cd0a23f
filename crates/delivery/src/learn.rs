//! Learning from what readers judge: lessons that the store notes when a message is moved into or
//! out of the spam folder, or given a keyword that says so.
//!
//! One lesson at a time: the message is read (its beginning, as when it was judged), its words are
//! cut, and words, senders and the lesson's end are one transaction. Of several nodes one learns.
//! Between two lessons there is a rest that is longer than the lesson was: mail goes first.

use std::time::{Duration, Instant};

use waxwing_filter::spam::tokens;
use waxwing_message::Message;
use waxwing_message::journey::Step;
use waxwing_store::{Lesson, SenderIdentity, Store, StoreError};

use crate::clock::Clock;
use crate::examine::{CONTENT_OCTETS, identity_of, word_key};
use crate::policy::Policy;

/// How often there is a look for lessons that nobody told us of.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After news: more may come.
const REST: Duration = Duration::from_secs(1);
/// After one of many lessons, at most.
const REST_MAX: Duration = Duration::from_secs(5);

/// Learns for ever.
pub async fn run<C: Clock>(store: &Store, policy: &Policy, clock: &C) {
    let mut changes = store.watch_all();
    loop {
        let started = Instant::now();
        let wait = match learn_some(store, policy, 1).await {
            Ok(0) => LOOK_EVERY,
            Ok(_) => (started.elapsed() * 3).min(REST_MAX),
            Err(error) => {
                tracing::warn!(%error, "could not learn from what readers judged");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = changes.changed(), if wait == LOOK_EVERY => clock.sleep(REST).await,
            () = clock.sleep(wait) => {}
        }
    }
}

/// Learns what there is to learn now, up to a limit; gives how much that was.
pub async fn learn_some(store: &Store, policy: &Policy, limit: usize) -> Result<usize, StoreError> {
    let lessons = store.lessons(limit).await?;
    for lesson in &lessons {
        learn(store, policy, *lesson).await?;
    }
    Ok(lessons.len())
}

async fn learn(store: &Store, policy: &Policy, lesson: Lesson) -> Result<(), StoreError> {
    let Some(content) = store.message_content(lesson.message).await? else {
        return store.drop_lesson(lesson).await;
    };
    let octets = content.read(0, CONTENT_OCTETS as u64).await?;
    let words = tokens(&Message::parse(&octets)).iter().map(word_key).collect();
    let identities = identities(store, lesson).await?;
    tracing::debug!(message = lesson.message.0, spam = lesson.spam, "learning");
    store.learn(lesson, words, identities, policy.judging.share_words).await
}

/// Who sent it, as was found when it came; nobody when that is not known any more.
async fn identities(store: &Store, lesson: Lesson) -> Result<Vec<SenderIdentity>, StoreError> {
    let Some(id) = store.journey_of_message(lesson.message).await? else { return Ok(Vec::new()) };
    let Some(journey) = store.journey(id).await? else { return Ok(Vec::new()) };
    let found = journey.events.into_iter().find_map(|event| match event.step {
        Step::Examined { identities, .. } => Some(identities),
        _ => None,
    });
    Ok(found.unwrap_or_default().iter().filter_map(identity_of).collect())
}
