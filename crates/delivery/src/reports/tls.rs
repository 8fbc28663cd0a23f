//! How TLS to other servers went, counted for the daily reports (RFC 8460).
//!
//! The courier must not wait for the store: it drops outcomes into a channel ([`Sink`]), and
//! [`Recorder`] counts them in the store, many at a time. When the channel is full, an outcome is
//! forgotten; when the program is killed, those of the last seconds are.

use std::time::Duration;

use tokio::sync::mpsc;
use waxwing_mailauth::report::tls::{ResultType, TlsObservation};
use waxwing_store::{Observation, ReportKind, Store, StoreError};

use crate::clock::Clock;
use crate::outbound::{TlsOutcome, TlsResult, TlsSink};

/// Outcomes that may wait.
const WAITING_MAX: usize = 10_000;
/// Outcomes counted in one transaction.
const BATCH: usize = 500;
/// How long more are waited for: one transaction for all.
const GATHER: Duration = Duration::from_secs(2);

/// Takes outcomes without waiting.
pub struct Sink(mpsc::Sender<Observation>);

/// Counts them.
pub struct Recorder {
    store: Store,
    waiting: mpsc::Receiver<Observation>,
}

/// A sink, and what empties it into the store.
pub fn sink(store: &Store) -> (Sink, Recorder) {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    (Sink(sender), Recorder { store: store.clone(), waiting })
}

impl TlsSink for Sink {
    fn record(&self, outcome: TlsOutcome) {
        let observation = tls_observation(outcome);
        if self.0.try_send(observation).is_err() {
            tracing::debug!("too much waits to be counted: one TLS outcome is forgotten");
        }
    }
}

impl Recorder {
    /// Counts for ever.
    pub async fn run<C: Clock>(&mut self, clock: &C) {
        let mut batch = Vec::new();
        while self.waiting.recv_many(&mut batch, BATCH).await > 0 {
            clock.sleep(GATHER).await;
            while batch.len() < BATCH {
                let Ok(more) = self.waiting.try_recv() else { break };
                batch.push(more);
            }
            self.count(&mut batch).await;
        }
        // Nobody tells us anything (any more).
        std::future::pending().await
    }

    /// Counts what waits now.
    pub async fn flush(&mut self) {
        let mut batch = Vec::new();
        while let Ok(observation) = self.waiting.try_recv() {
            batch.push(observation);
        }
        self.count(&mut batch).await;
    }

    async fn count(&self, batch: &mut Vec<Observation>) {
        let counted: Result<(), StoreError> = self.store.observe(std::mem::take(batch)).await;
        if let Err(error) = counted {
            tracing::warn!(%error, "how TLS went could not be counted");
        }
    }
}

/// An outcome as the store counts it. Of sessions that went well only the policy is reported, so that
/// they are one row a policy.
pub fn tls_observation(outcome: TlsOutcome) -> Observation {
    let failure = failure(outcome.result);
    let failed = failure.is_some();
    let domain = outcome.policy_domain.trim_end_matches('.').to_ascii_lowercase();
    let what = TlsObservation {
        policy_domain: domain.clone(),
        policy_type: outcome.policy_type,
        policy_strings: outcome.policy_strings,
        mx_hosts: outcome.mx_patterns,
        sending_mta_ip: outcome.sending_ip.filter(|_| failed),
        receiving_mx_hostname: outcome.mx_host.filter(|_| failed),
        receiving_mx_helo: None,
        receiving_ip: outcome.receiving_ip.filter(|_| failed),
        failure,
        reason: Some(outcome.reason).filter(|reason| failed && !reason.is_empty()),
    };
    let what = serde_json::to_string(&what).expect("an observation is plain data");
    Observation { kind: ReportKind::Tls, domain, at: outcome.at, what }
}

fn failure(result: TlsResult) -> Option<ResultType> {
    Some(match result {
        TlsResult::Success => return None,
        TlsResult::StarttlsNotSupported => ResultType::StarttlsNotSupported,
        TlsResult::CertificateHostMismatch => ResultType::CertificateHostMismatch,
        TlsResult::CertificateExpired => ResultType::CertificateExpired,
        TlsResult::CertificateNotTrusted => ResultType::CertificateNotTrusted,
        TlsResult::ValidationFailure => ResultType::ValidationFailure,
        TlsResult::TlsaInvalid => ResultType::TlsaInvalid,
        TlsResult::DnssecInvalid => ResultType::DnssecInvalid,
        TlsResult::DaneRequired => ResultType::DaneRequired,
        TlsResult::StsPolicyFetchError => ResultType::StsPolicyFetchError,
        TlsResult::StsPolicyInvalid => ResultType::StsPolicyInvalid,
        TlsResult::StsWebpkiInvalid => ResultType::StsWebpkiInvalid,
    })
}
