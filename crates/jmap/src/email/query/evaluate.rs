//! Which messages pass a filter, with as little read as decides: first what rolls and gists know, then what
//! the search index says, then stored summaries, then header fields of the messages themselves. What is not
//! known does not matter where the rest decides (Kleene's three values).

use std::collections::{HashMap, HashSet};

use memchr::memmem;
use waxwing_message::keys::{folded_addresses, folded_text};
use waxwing_message::parse::field::fields;
use waxwing_message::summary::Overview;
use waxwing_store::{Bring, Column, Having, Line, MailboxId, MessageId, ThreadId, Uid};

use super::condition::{Test, Tests};
use super::universe::{Subject, Universe};
use crate::caller::Account;
use crate::context::Context;
use crate::wire::error::MethodError;
use crate::wire::filter::{Filter, Operator};

/// Messages that are read in one go.
const AT_ONCE: usize = 200;
/// A header is read up to here.
const HEADER_OCTETS_MAX: u64 = 256 * 1024;

/// A filter and what was found out for it.
pub struct Evaluation<'f> {
    filter: &'f Tests,
    threads: HashMap<&'f str, HashMap<ThreadId, (bool, bool)>>,
    /// By the test's text: the messages that have it.
    texts: HashMap<(&'f [String], bool), HashSet<MessageId>>,
    /// By the field and term: for each gist the texts that have it.
    having: HashMap<(&'f str, &'f str), Vec<Option<Having>>>,
}

/// Whether a filter has a test of some kind.
pub fn has_test(filter: &Tests, is: impl Fn(&Test) -> bool) -> bool {
    let mut found = false;
    filter.conditions(&mut |test| found |= is(test));
    found
}

/// The mailbox that everything that passes is in, if the filter says so.
pub fn only_mailbox(filter: &Tests) -> Option<Option<MailboxId>> {
    match filter {
        Filter::Condition(Test::InMailbox(mailbox)) => Some(*mailbox),
        Filter::Operator(Operator::And, inner) => inner.iter().find_map(only_mailbox),
        _ => None,
    }
}

/// Where the gist has a field.
pub fn column(field: &str) -> Option<Column> {
    Some(match field {
        "subject" => Column::Subject,
        "from" => Column::From,
        "to" => Column::To,
        "cc" => Column::Cc,
        _ => return None,
    })
}

/// The places in the universe of the messages that pass.
pub async fn passing(
    context: &Context,
    account: &Account,
    universe: &Universe,
    filter: &Tests,
) -> Result<Vec<u32>, MethodError> {
    let mut evaluation = Evaluation {
        filter,
        threads: HashMap::new(),
        texts: HashMap::new(),
        having: HashMap::new(),
    };
    evaluation.prepare(universe);
    let (mut passing, mut open) = evaluation.decided(universe, 0..universe.len() as u32);
    if has_test(filter, |test| matches!(test, Test::Text { .. })) && !open.is_empty() {
        let messages = open.iter().map(|index| universe.subject(*index).message()).collect();
        evaluation.search(context, account, &messages).await?;
        let (more, left) = evaluation.decided(universe, open.into_iter());
        passing.extend(more);
        open = left;
    }
    passing.extend(evaluation.read(context, universe, open).await?);
    passing.sort_unstable();
    Ok(passing)
}

/// What is known of a message beyond its universe.
#[derive(Default)]
struct Known<'k> {
    overview: Option<&'k Overview<&'k [u8]>>,
    header: Option<&'k [u8]>,
}

impl<'f> Evaluation<'f> {
    /// What is looked up once for all messages.
    fn prepare(&mut self, universe: &Universe) {
        let (threads, having) = (&mut self.threads, &mut self.having);
        self.filter.conditions(&mut |test| match test {
            Test::AllInThread(keyword) | Test::SomeInThread(keyword) => {
                threads.entry(keyword).or_insert_with(|| universe.threads_with(keyword));
            }
            Test::Field { name, terms } => {
                let Some(column) = column(name) else { return };
                for term in terms {
                    having.entry((name, term)).or_insert_with(|| {
                        let gists = universe.gists();
                        gists.map(|gist| gist.map(|gist| gist.having(column, term))).collect()
                    });
                }
            }
            _ => {}
        });
    }

    /// Those that pass, and those of which it is not known yet.
    fn decided(
        &self,
        universe: &Universe,
        indexes: impl Iterator<Item = u32>,
    ) -> (Vec<u32>, Vec<u32>) {
        let (mut passing, mut open) = (Vec::new(), Vec::new());
        for index in indexes {
            let subject = universe.subject(index);
            match self.decide(self.filter, &subject, subject.line(), &Known::default()) {
                Some(true) => passing.push(index),
                Some(false) => {}
                None => open.push(index),
            }
        }
        (passing, open)
    }

    fn decide(
        &self,
        filter: &'f Tests,
        subject: &Subject<'_>,
        line: Option<&Line>,
        known: &Known<'_>,
    ) -> Option<bool> {
        let (operator, inner) = match filter {
            Filter::Condition(test) => return self.test(test, subject, line, known),
            Filter::Operator(operator, inner) => (*operator, inner),
        };
        // What decides at once: a test of that value.
        let decisive = operator != Operator::And;
        let mut open = false;
        for one in inner {
            match self.decide(one, subject, line, known) {
                Some(value) if value == decisive => return Some(operator == Operator::Or),
                Some(_) => {}
                None => open = true,
            }
        }
        (!open).then_some(operator != Operator::Or)
    }

    fn test(
        &self,
        test: &'f Test,
        subject: &Subject<'_>,
        line: Option<&Line>,
        known: &Known<'_>,
    ) -> Option<bool> {
        let thread = |keyword: &str| {
            let threads = self.threads.get(keyword)?;
            threads.get(&subject.thread()).copied()
        };
        Some(match test {
            Test::InMailbox(mailbox) => {
                mailbox.is_some_and(|mailbox| subject.mailboxes().any(|own| own == mailbox))
            }
            Test::InOther(others) => subject.mailboxes().any(|own| !others.contains(&own)),
            Test::Before(at) => {
                i128::from(subject.received_secs()) * 1_000_000_000 < at.as_nanosecond()
            }
            Test::After(at) => {
                i128::from(subject.received_secs()) * 1_000_000_000 >= at.as_nanosecond()
            }
            Test::MinSize(octets) => subject.size_octets() >= *octets,
            Test::MaxSize(octets) => subject.size_octets() < *octets,
            Test::Has(keyword) => subject.has(keyword),
            Test::AllInThread(keyword) => thread(keyword)?.0,
            Test::SomeInThread(keyword) => thread(keyword)?.1,
            Test::HasAttachment(wanted) => line?.has_attachment() == *wanted,
            Test::Text { terms, .. } if terms.is_empty() => true,
            Test::Text { terms, headers_too } => {
                self.texts.get(&(terms.as_slice(), *headers_too))?.contains(&subject.message())
            }
            Test::Field { name, terms } => self.field(name, terms, subject, line, known)?,
        })
    }

    fn field(
        &self,
        name: &'f str,
        terms: &'f [String],
        subject: &Subject<'_>,
        line: Option<&Line>,
        known: &Known<'_>,
    ) -> Option<bool> {
        if let (Some(_), Some(line), false) = (column(name), line, terms.is_empty()) {
            let ground = subject.home().0;
            let has = |term: &'f String| {
                Some(self.having.get(&(name, term.as_str()))?.get(ground)?.as_ref()?.has(line))
            };
            return terms.iter().map(has).try_fold(true, |all, has| Some(all && has?));
        }
        let texts = match overview_texts(known.overview?, name) {
            Some(texts) => texts,
            None => {
                let named = fields(known.header?).filter(|field| field.is(name));
                named.map(|field| folded_text(field.value)).collect()
            }
        };
        let has = |term: &String| texts.iter().any(|text| contains(text, term));
        Some(!texts.is_empty() && terms.iter().all(has))
    }

    /// Asks the search index for each text.
    async fn search(
        &mut self,
        context: &Context,
        account: &Account,
        messages: &HashSet<MessageId>,
    ) -> Result<(), MethodError> {
        let mut asked: Vec<(&'f [String], bool)> = Vec::new();
        self.filter.conditions(&mut |test| {
            if let Test::Text { terms, headers_too } = test {
                asked.push((terms, *headers_too));
            }
        });
        for (terms, headers_too) in asked {
            if self.texts.contains_key(&(terms, headers_too)) {
                continue;
            }
            let mut found = messages.clone();
            for term in terms {
                let store = &context.store;
                let some = store.search_messages(account.id, &found, term, headers_too).await?;
                found = some.ok_or_else(|| {
                    let why = "a text that is looked for has a letter or a digit in it";
                    MethodError::UnsupportedFilter(why.to_owned())
                })?;
            }
            self.texts.insert((terms, headers_too), found);
        }
        Ok(())
    }

    /// Reads summaries, and headers where these do not do.
    async fn read(
        &self,
        context: &Context,
        universe: &Universe,
        open: Vec<u32>,
    ) -> Result<Vec<u32>, MethodError> {
        let mut passing = Vec::new();
        let mut by_mailbox: HashMap<MailboxId, Vec<(Uid, u32)>> = HashMap::new();
        for index in open {
            let (_, mailbox, uid) = universe.subject(index).home();
            by_mailbox.entry(mailbox).or_default().push((uid, index));
        }
        let needs_header = has_test(
            self.filter,
            |test| matches!(test, Test::Field { name, .. } if overview_texts::<Vec<u8>>(&Overview::default(), name).is_none()),
        );
        let what = if needs_header { Bring::Both } else { Bring::Summaries };
        for (mailbox, mut asked) in by_mailbox {
            asked.sort_unstable();
            for some in asked.chunks(AT_ONCE) {
                let uids: Vec<Uid> = some.iter().map(|(uid, _)| *uid).collect();
                for brought in context.store.bring(mailbox, &uids, what).await? {
                    let Some(summary) = &brought.summary else { continue };
                    let Ok(at) = some.binary_search_by_key(&brought.uid, |(uid, _)| *uid) else {
                        continue;
                    };
                    let header = match &brought.content {
                        Some(content) => {
                            let octets = match summary.read()?.parts.first() {
                                Some(root) => root.header.octets.min(HEADER_OCTETS_MAX),
                                None => 0,
                            };
                            Some(content.read(0, octets).await?)
                        }
                        None => None,
                    };
                    let overview = summary.overview()?;
                    let known = Known { overview: Some(&overview), header: header.as_deref() };
                    let subject = universe.subject(some[at].1);
                    let passes = self.decide(self.filter, &subject, subject.line(), &known);
                    if passes == Some(true) {
                        passing.push(some[at].1);
                    }
                }
            }
        }
        Ok(passing)
    }
}

/// The texts of a field that summaries have, in lower case; `None`: they do not have it.
fn overview_texts<T: AsRef<[u8]>>(overview: &Overview<T>, field: &str) -> Option<Vec<String>> {
    let addresses = |list: &[_]| folded_addresses(list).into_iter().collect();
    let raw = match field {
        "subject" => &overview.subject,
        "message-id" => &overview.message_id,
        "in-reply-to" => &overview.in_reply_to,
        "references" => &overview.references,
        "date" => &overview.date,
        "from" => return Some(addresses(&overview.from)),
        "sender" => return Some(addresses(&overview.sender)),
        "reply-to" => return Some(addresses(&overview.reply_to)),
        "to" => return Some(addresses(&overview.to)),
        "cc" => return Some(addresses(&overview.cc)),
        "bcc" => return Some(addresses(&overview.bcc)),
        _ => return None,
    };
    Some(raw.as_ref().map(|raw| folded_text(raw.as_ref())).into_iter().collect())
}

fn contains(text: &str, term: &str) -> bool {
    memmem::find(text.as_bytes(), term.as_bytes()).is_some()
}
