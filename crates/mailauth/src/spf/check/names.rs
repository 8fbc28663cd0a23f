//! The names that terms are about: macros expanded, and the validated names of the client (RFC 7208
//! §5.5, §7.3), which are asked for once and only when something needs them.

use std::borrow::Cow;

use waxwing_dns::Resolve;
use waxwing_dns::record::is_at_or_below;

use super::mechanisms::Addresses;
use super::{Evaluation, NAMES_MAX};
use crate::spf::macros::{self, Values};
use crate::spf::record::{DomainSpec, Prefixes};

/// A name from the client's PTR records.
pub(super) struct ClientName {
    name: String,
    /// Whether it has the client's address; `None` until it was asked.
    validated: Option<bool>,
}

impl<R: Resolve> Evaluation<'_, R> {
    /// Fetches the client's names once; true when it was asked just now and there are none. An error
    /// is the same as no name (§5.5).
    pub(super) async fn ask_client_names(&mut self) -> bool {
        if self.client_names.is_some() {
            return false;
        }
        let names = match self.resolver.ptr(self.ip).await {
            Ok(answer) => answer.records,
            Err(_) => Vec::new(),
        };
        let names: Vec<ClientName> = names
            .into_iter()
            .take(NAMES_MAX)
            .map(|name| ClientName { name: name.to_ascii_lowercase(), validated: None })
            .collect();
        let none = names.is_empty();
        self.client_names = Some(names);
        none
    }

    /// The client's name at a position, when it is wanted and has the client's address.
    pub(super) async fn validated(
        &mut self,
        at: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let known = self.client_names.as_ref()?.get(at)?;
        if !wanted(&known.name) {
            return None;
        }
        let (name, validated) = (known.name.clone(), known.validated);
        let validated = match validated {
            Some(validated) => validated,
            // §5.5: a name whose lookup fails is skipped.
            None => {
                matches!(self.addresses(&name, Prefixes::WHOLE).await, Ok(Addresses::Client))
            }
        };
        if let Some(known) = self.client_names.as_mut().and_then(|names| names.get_mut(at)) {
            known.validated = Some(validated);
        }
        validated.then_some(name)
    }

    /// `%{p}` (§7.3): the domain itself, else a name below it, else any, else `unknown`.
    async fn client_name(&mut self, domain: &str) -> String {
        self.ask_client_names().await;
        let count = self.client_names.as_ref().map_or(0, Vec::len);
        let domain = domain.to_ascii_lowercase();
        let preferences: [&(dyn Fn(&str) -> bool + Sync); 3] =
            [&|name| name == domain, &|name| is_at_or_below(name, &domain), &|_| true];
        for wanted in preferences {
            for at in 0..count {
                if let Some(name) = self.validated(at, wanted).await {
                    return name;
                }
            }
        }
        "unknown".to_owned()
    }

    /// The name that a mechanism is about: its own, else that of the record (§4.8).
    pub(super) async fn target<'t>(
        &mut self,
        spec: Option<DomainSpec<'t>>,
        domain: &'t str,
    ) -> Option<Cow<'t, str>> {
        match spec {
            Some(spec) => self.expand(&spec, domain).await,
            None => Some(Cow::Borrowed(domain)),
        }
    }

    /// `None` when there can be no such name.
    pub(super) async fn expand<'t>(
        &mut self,
        spec: &DomainSpec<'t>,
        domain: &str,
    ) -> Option<Cow<'t, str>> {
        let client_name = self.client_name_for(spec.as_str(), domain).await;
        macros::expand_domain(spec.as_str(), &self.values(domain, &client_name))
    }

    /// Empty when the text does not need it.
    pub(super) async fn client_name_for(&mut self, text: &str, domain: &str) -> String {
        match macros::needs_client_name(text) {
            true => self.client_name(domain).await,
            false => String::new(),
        }
    }

    pub(super) fn values<'v>(&'v self, domain: &'v str, client_name: &'v str) -> Values<'v> {
        Values {
            ip: self.ip,
            local_part: self.local_part,
            sender_domain: self.sender_domain,
            domain,
            helo: &self.helo,
            client_name,
            receiver: self.request.receiver,
            now: self.request.now,
        }
    }
}
