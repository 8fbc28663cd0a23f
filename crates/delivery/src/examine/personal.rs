//! What one reader's account knows of a sender and of the words of a message.

use waxwing_filter::spam::absurd::{FromFacts, examine_from};
use waxwing_filter::spam::reputation::History;
use waxwing_filter::spam::words::{Corpus, Counts};
use waxwing_filter::spam::{
    Authenticity, Known, Token, WordsOutcome, judge_reputation, judge_words, tokens,
};
use waxwing_message::Message;
use waxwing_message::journey::Finding;
use waxwing_store::{
    AccountId, Acquaintance, HamSpam, SenderIdentity, SenderKind, SenderRecord, Store, StoreError,
};

use super::{CONTENT_OCTETS, Evidence, Examination};

/// Addresses written to that authors' names are compared with.
const CONTACTS_MAX: usize = 200;

/// What a message says, for all its readers: parsed, and cut into words, when that is first wanted.
pub(crate) struct Content<'a> {
    raw: &'a [u8],
    message: Option<Message<'a>>,
    words: Option<Vec<Token>>,
}

impl<'a> Content<'a> {
    pub fn new(raw: &'a [u8]) -> Content<'a> {
        let raw = &raw[..raw.len().min(CONTENT_OCTETS)];
        Content { raw, message: None, words: None }
    }

    fn message(&mut self) -> &Message<'a> {
        self.message.get_or_insert_with(|| Message::parse(self.raw))
    }

    fn words(&mut self) -> &[Token] {
        if self.words.is_none() {
            self.words = Some(tokens(self.message()));
        }
        self.words.as_deref().unwrap_or_default()
    }
}

impl Examination {
    /// The evidence as it is for one reader.
    pub async fn for_reader(
        &self,
        store: &Store,
        account: AccountId,
        content: &mut Content<'_>,
        now: jiff::Timestamp,
    ) -> Result<Evidence, StoreError> {
        // Whether anything ever came from there is asked whatever is proven.
        let mut asked = self.identities.clone();
        let author = self
            .author
            .as_ref()
            .map(|name| SenderIdentity { kind: SenderKind::Address, name: name.clone() });
        let proven = author.as_ref().is_some_and(|author| asked.contains(author));
        asked.extend(author.filter(|_| !proven));
        let Acquaintance { records, written_to, has_learned } =
            store.acquaintance(account, asked.clone(), CONTACTS_MAX).await?;

        let mut evidence = self.evidence.clone();
        evidence.from.extend(likeness_to_contacts(written_to, content));
        let known = known(asked.into_iter().zip(records), now);
        let reputation = judge_reputation(&known, &Authenticity::from(&evidence));
        // Words only when the sender says nothing: most mail is from people who are known.
        if has_learned && reputation.leaning().is_none() {
            evidence.words = words(store, account, content).await?;
        }
        evidence.reputation = Some(reputation);
        Ok(evidence)
    }
}

/// What the counts of a message's identities say.
fn known(
    counted: impl Iterator<Item = (SenderIdentity, SenderRecord)>,
    now: jiff::Timestamp,
) -> Known {
    let mut known = Known { first_contact: true, ..Known::default() };
    for (identity, record) in counted {
        let history =
            History { ham: record.ham, spam: record.spam, last: record.last_at }.faded(now);
        match identity.kind {
            SenderKind::Address => {
                known.written_to = record.written > 0;
                known.first_contact = record == SenderRecord::default();
                known.sender = history;
            }
            SenderKind::Domain => known.domain = history,
            SenderKind::OrganizationalDomain => known.org_domain = history,
            SenderKind::DkimDomain => known.dkim_domains.push((identity.name, history)),
            SenderKind::SpfDomain => known.spf_domain = history,
            SenderKind::Ip => known.ip = history,
            SenderKind::Network => known.network = history,
        }
    }
    known
}

/// Authors that look like somebody the reader writes to.
fn likeness_to_contacts(contacts: Vec<String>, content: &mut Content<'_>) -> Vec<Finding> {
    if contacts.is_empty() {
        return Vec::new();
    }
    let contacts: Vec<_> = contacts.into_iter().map(|at| (String::new(), at)).collect();
    let facts = FromFacts { contacts: &contacts, ..FromFacts::default() };
    let mut found = examine_from(content.message(), &facts);
    found.retain(|one| one.result == "like-contact" || one.result == "name-of-contact");
    found
}

async fn words(
    store: &Store,
    account: AccountId,
    content: &mut Content<'_>,
) -> Result<Option<WordsOutcome>, StoreError> {
    let words = content.words();
    let keys = words.iter().map(word_key).collect();
    let counts = store.word_counts(account, keys).await?;
    if counts.own_corpus == HamSpam::default() && counts.shared_corpus == HamSpam::default() {
        return Ok(None);
    }
    let of = |known: &std::collections::HashMap<i64, HamSpam>, token: &Token| {
        let HamSpam { ham, spam } = known.get(&word_key(token)).copied().unwrap_or_default();
        Counts { ham, spam }
    };
    let corpus = |HamSpam { ham, spam }: HamSpam| Corpus { ham, spam };
    Ok(Some(judge_words(
        words,
        |token| (of(&counts.own, token), of(&counts.shared, token)),
        corpus(counts.own_corpus),
        corpus(counts.shared_corpus),
    )))
}

/// What the store knows a word by.
pub(crate) fn word_key(token: &Token) -> i64 {
    i64::from_be_bytes(token.key)
}
