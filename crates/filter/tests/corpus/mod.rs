//! The corpus of ham and spam, and halves of it: to learn from, to be judged.

use std::collections::HashMap;
use std::path::PathBuf;

use waxwing_filter::spam::{Corpus, Counts, Token, WordsOutcome, judge_words, tokens};
use waxwing_message::Message;

/// One message of the corpus.
pub struct Sample {
    /// What people said it is.
    pub spam: bool,
    /// Its file.
    pub name: String,
    /// Its octets.
    #[allow(dead_code)] // The bench measures with them.
    pub raw: Vec<u8>,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

/// The whole corpus; `None` where it is absent.
pub fn load() -> Option<Vec<Sample>> {
    let target = env!("CARGO_TARGET_TMPDIR");
    let folder = waxwing_suites::unpacked("spam/spamassassin-train.tar.xz", target)?;
    let mut samples = Vec::new();
    for (kind, spam) in [("ham", false), ("spam", true)] {
        let entries = std::fs::read_dir(folder.join(kind)).expect("a readable corpus");
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.expect("a readable corpus").path()).collect();
        files.sort();
        for file in files {
            let raw = std::fs::read(&file).expect("a readable corpus");
            let tokens = tokens(&Message::parse(&raw));
            let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
            samples.push(Sample { spam, name, raw, tokens });
        }
    }
    Some(samples)
}

/// What was learned.
#[derive(Default)]
pub struct Learned {
    counts: HashMap<[u8; 8], Counts>,
    corpus: Corpus,
}

impl Learned {
    /// Learns some of the samples.
    pub fn of<'s>(samples: impl Iterator<Item = &'s Sample>) -> Learned {
        let mut learned = Learned::default();
        for sample in samples {
            let Corpus { ham, spam } = &mut learned.corpus;
            *if sample.spam { spam } else { ham } += 1;
            for token in &sample.tokens {
                let counts = learned.counts.entry(token.key).or_default();
                *if sample.spam { &mut counts.spam } else { &mut counts.ham } += 1;
            }
        }
        learned
    }

    /// How many different tokens.
    #[allow(dead_code)] // The bench tells it.
    pub fn tokens(&self) -> usize {
        self.counts.len()
    }

    /// Judges a message that was not learned.
    pub fn judge(&self, tokens: &[Token]) -> WordsOutcome {
        let counts = |token: &Token| {
            (self.counts.get(&token.key).copied().unwrap_or_default(), Counts::default())
        };
        judge_words(tokens, counts, self.corpus, Corpus::default())
    }
}

/// A judged sample.
pub struct Judged<'s> {
    /// Which.
    pub sample: &'s Sample,
    /// How.
    pub outcome: WordsOutcome,
}

/// Learns one half and judges the other, and the other way round, for each seed.
pub fn cross_validate<'s>(samples: &'s [Sample], seeds: &[u64]) -> Vec<Judged<'s>> {
    let mut judged = Vec::new();
    for seed in seeds {
        let half = |sample: &Sample| {
            let mut hash = *seed;
            for octet in sample.name.bytes() {
                hash = (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 63 == 1
        };
        for learn in [false, true] {
            let learned = Learned::of(samples.iter().filter(|sample| half(sample) == learn));
            for sample in samples.iter().filter(|sample| half(sample) != learn) {
                judged.push(Judged { sample, outcome: learned.judge(&sample.tokens) });
            }
        }
    }
    judged
}

/// Of judged samples: spam at or above a probability, and ham at or above it, in per cent.
pub fn rates(judged: &[Judged<'_>], threshold: f64) -> (f64, f64) {
    let rate = |spam: bool| {
        let kind = judged.iter().filter(|one| one.sample.spam == spam);
        let (mut all, mut above) = (0_u32, 0_u32);
        for one in kind {
            all += 1;
            above += u32::from(one.outcome.probability >= threshold);
        }
        100.0 * f64::from(above) / f64::from(all.max(1))
    };
    (rate(true), rate(false))
}
