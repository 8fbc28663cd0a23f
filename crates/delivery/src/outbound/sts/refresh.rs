//! Policies in use are renewed ahead of their end, whether or not mail goes there (RFC 8461 §3.3,
//! §10.2): whoever can hold up fetches must do so for the whole `max_age` before a domain is
//! unprotected, and meanwhile the log says so every few hours.
//!
//! Every node does it; what one has fetched is fresh for the others. A policy that was not used for
//! long is left to run out, so that work does not grow with every domain ever written to.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use waxwing_dns::Resolve;
use waxwing_mailauth::policy::mta_sts::Mode;
use waxwing_store::{StoreError, StoredStsPolicy};

use super::{KeptPolicy, RENEWED_AFTER, Sts, Trouble, record};
use crate::clock::{Clock, later};

/// How often there is a look for policies to be renewed.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How long a renewal that failed is not tried again (but when there is mail for the domain).
const FAILED_RENEWAL_FOR: Duration = Duration::from_secs(6 * 3600);
/// A policy that no mail was sent under for so long is not renewed.
const UNUSED_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Read from the store at a time.
const PAGE: usize = 100;

impl Sts {
    /// Renews for ever, and forgets what has run out.
    pub async fn keep_fresh(&self, resolver: &impl Resolve, clock: &impl Clock) {
        loop {
            if let Err(error) = self.refresh(resolver, clock.now()).await {
                tracing::warn!(%error, "the MTA-STS policies of other domains were not renewed");
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Renews what is due now, and forgets what has run out.
    pub async fn refresh(&self, resolver: &impl Resolve, now: Timestamp) -> Result<(), StoreError> {
        self.store.forget_sts_policies(now).await?;
        let day = SignedDuration::try_from(RENEWED_AFTER).expect("a day fits");
        let fetched_before = now.saturating_sub(day).unwrap_or(Timestamp::MIN);
        let used_since = now.saturating_sub(UNUSED_FOR).unwrap_or(Timestamp::MIN);
        let mut after = String::new();
        loop {
            let page =
                self.store.sts_policies_to_renew(fetched_before, used_since, &after, PAGE).await?;
            for stored in &page {
                self.refresh_one(resolver, stored, now).await?;
            }
            match page.last() {
                Some(last) => after = last.domain.clone(),
                None => return Ok(()),
            }
        }
    }

    async fn refresh_one(
        &self,
        resolver: &impl Resolve,
        stored: &StoredStsPolicy,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let domain = &stored.domain;
        let Some(kept) = KeptPolicy::from_stored(stored, now) else { return Ok(()) };
        // A domain that takes its policy away first says `none`; that one may run out.
        if kept.policy.mode == Mode::None || self.failed_lately(domain, now) {
            return Ok(());
        }
        let trouble = match record(resolver, domain).await {
            Ok(Some(record)) => self.renew(domain, &record.id, stored.used_at, now).await?.err(),
            // Without a record there is nothing to fetch; the kept one holds until its end.
            Ok(None) => None,
            Err(trouble) => {
                self.remember(domain, &trouble, now);
                Some(trouble)
            }
        };
        if let Some(Trouble { reason, .. }) = trouble {
            // RFC 8461 §3.3: the operator is to hear of it.
            tracing::warn!(
                domain,
                "the MTA-STS policy of {domain} could not be renewed ({reason}); the one kept is enforced until {}, and mail to {domain} is not protected after that",
                kept.ends_at(),
            );
        }
        Ok(())
    }

    fn failed_lately(&self, domain: &str, now: Timestamp) -> bool {
        let state = self.lock();
        let failed_at = state.failures.get(domain).map(|(failed_at, _)| *failed_at);
        failed_at.is_some_and(|at| now < later(at, FAILED_RENEWAL_FOR))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{World, away};
    use super::*;

    const DAY: u64 = 24;

    impl World {
        async fn refresh(&self) {
            self.sts.refresh(&self.zone, self.now).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_policy_outlives_its_max_age_without_mail() {
        let mut world = World::new(Some("1")).await;
        world.find().await;
        for day in 1..=20 {
            world.later(DAY + 1);
            world.refresh().await;
            world.refresh().await;
            assert_eq!(world.fetches(), 1 + day, "once a day");
        }
        // The file is away now: mail still goes under the policy, though it was fetched for a week only.
        world.answer(away());
        assert_eq!(world.find().await, (Some(Mode::Enforce), None));
    }

    #[tokio::test]
    async fn a_renewal_that_fails_leaves_the_policy_and_is_tried_again_later() {
        let mut world = World::new(Some("1")).await;
        world.find().await;
        world.answer(away());
        world.later(DAY + 1);
        for _ in 0..4 {
            world.refresh().await;
            world.later(1);
        }
        assert_eq!(world.fetches(), 2);
        world.later(2);
        world.refresh().await;
        assert_eq!(world.fetches(), 3, "six hours later");
        assert_eq!(world.find().await.0, Some(Mode::Enforce));
        world.later(6 * DAY);
        world.refresh().await;
        assert_eq!(world.find().await.0, None, "it has run out, and is forgotten");
        assert_eq!(world.sts.store.sts_policy("wing.example").await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_nobody_uses_runs_out() {
        let mut world = World::new(Some("1")).await;
        world.find().await;
        let mut days = 0;
        while world.sts.store.sts_policy("wing.example").await.unwrap().is_some() {
            world.later(DAY + 1);
            world.refresh().await;
            days += 1;
            assert!(days < 200, "renewed for ever");
        }
        assert!(days > 90, "{days}");
    }

    #[tokio::test]
    async fn without_a_record_or_with_mode_none_nothing_is_fetched() {
        let mut world = World::new(Some("1")).await;
        world.find().await;
        world.publish(None);
        world.later(DAY + 1);
        world.refresh().await;
        assert_eq!(world.fetches(), 1);
        world.answer(Ok(super::super::tests::file("none")));
        world.publish(Some("2"));
        world.find().await;
        assert_eq!(world.fetches(), 2);
        world.later(DAY + 1);
        world.refresh().await;
        assert_eq!(world.fetches(), 2);
    }
}
