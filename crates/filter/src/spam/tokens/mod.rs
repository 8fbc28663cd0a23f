//! A message cut into what the statistics count.
//!
//! | token | from |
//! |---|---|
//! | `word`, `two words` | text, and HTML as it is read; folded: compatibility forms, case, accents |
//! | `subject:word` | Subject |
//! | `from:example.org`, `from:ann@example.org`, `from-local:ann`, `from-name:word` | From |
//! | `reply-to:…`, `sender:…`, `to:…`, `cc:…` and their `-local:` | the other fields of addresses |
//! | `message-id:example.org`, `message-id:form A9a`, `boundary:form A9` | what a program makes up, and its form |
//! | `url:example.org`, `path:word` | links in text and HTML |
//! | `field:list-id`, `list:…`, `mailer:word` | names of fields, List-Id, X-Mailer and User-Agent |
//! | `x-priority:high` | words of all other fields that the author's side wrote |
//! | `trace:…` | oddities in Received; never names or addresses, which belong to reputation |
//! | `mime:…`, `charset:…`, `file:exe` | the structure |
//! | `html:hidden`, `html:another-host` | what HTML does beside its words |
//! | `capitals:word`, `subject:capitals:word` | a word in capitals, beside the word itself |
//! | `marks:!!!`, `marks:$9`, `marks:9%` | runs of marks in text and Subject |
//! | `look:…` | shouting, letters s p a c e d out, mixed scripts, invisible characters |
//!
//! A token stands in the list once, however often it occurs. Order is fixed: header, structure,
//! links, then words as they come; the first [`MAX_TOKENS`] count. Bounds: [`MAX_TEXT_OCTETS`] of
//! text in all parts together, [`MAX_PART_OCTETS`] of one part, [`MAX_TOKEN_CHARS`] of one token;
//! time is linear in the size of the message's header and of the text that is read.
//!
//! Words are runs of letters and digits. Scripts without spaces (Chinese, Japanese, Thai and their
//! neighbours) give pairs of characters.
//!
//! | module | its tokens |
//! |---|---|
//! | `header` | of the fields |
//! | `content` | of the structure, of HTML and of links |
//! | `text` | of words and marks |

mod content;
mod header;
mod text;

use std::collections::HashSet;

use waxwing_message::Message;

pub use content::{MAX_PART_OCTETS, MAX_TEXT_OCTETS};

/// Tokens of one message.
pub const MAX_TOKENS: usize = 2_000;
/// Characters of one token; longer words are counted by their length alone.
pub const MAX_TOKEN_CHARS: usize = 64;

/// One thing that the statistics count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// For people.
    pub text: String,
    /// What the store is keyed by: the first octets of BLAKE3 of the text.
    pub key: [u8; 8],
}

impl Token {
    /// The token of a text.
    pub fn new(text: String) -> Token {
        let key = key(&text);
        Token { text, key }
    }

    /// Whether it is a word of the text, or two; all others have a kind before a colon.
    pub fn is_of_the_text(&self) -> bool {
        !self.text.contains(':')
    }
}

fn key(text: &str) -> [u8; 8] {
    let hash = blake3::hash(text.as_bytes());
    let mut key = [0; 8];
    key.copy_from_slice(&hash.as_bytes()[..8]);
    key
}

/// Cuts a message into tokens, each once, in a fixed order.
pub fn tokens(message: &Message<'_>) -> Vec<Token> {
    let mut bag = Bag::default();
    header::header(message, &mut bag);
    content::structure(message, &mut bag);
    let texts = content::Texts::of(message);
    for page in &texts.pages {
        content::shape(page, texts.octets, &mut bag);
    }
    content::urls(&texts, &mut bag);
    for text in &texts.plain {
        text::marks(text, "", &mut bag);
        text::words(text, "", &mut bag);
    }
    bag.tokens
}

/// Tokens as they are gathered.
#[derive(Default)]
struct Bag {
    tokens: Vec<Token>,
    seen: HashSet<[u8; 8]>,
    /// The token that is being put together: most have been seen, and need no memory of their own.
    text: String,
}

impl Bag {
    fn full(&self) -> bool {
        self.tokens.len() >= MAX_TOKENS
    }

    fn add(&mut self, text: &str) {
        self.join(&[text]);
    }

    fn add_in(&mut self, prefix: &str, text: &str) {
        if !text.is_empty() {
            self.join(&[prefix, text]);
        }
    }

    /// Adds the token that these make together.
    fn join(&mut self, parts: &[&str]) {
        if self.full() {
            return;
        }
        self.text.clear();
        self.text.extend(parts.iter().copied());
        if self.text.len() > MAX_TOKEN_CHARS
            && let Some((end, _)) = self.text.char_indices().nth(MAX_TOKEN_CHARS)
        {
            self.text.truncate(end);
        }
        let key = key(&self.text);
        if !self.text.is_empty() && self.seen.insert(key) {
            self.tokens.push(Token { text: self.text.clone(), key });
        }
    }
}

/// A domain, its last two labels and its top.
fn domain_tokens(prefix: &str, domain: &str, bag: &mut Bag) {
    let domain = cut(domain, MAX_TOKEN_CHARS - 12);
    bag.add_in(prefix, domain);
    let mut dots = domain.rmatch_indices('.').map(|(at, _)| at);
    if let Some(last) = dots.next() {
        bag.add_in(prefix, &domain[last..]);
    }
    if let Some(before) = dots.next() {
        bag.add_in(prefix, &domain[before + 1..]);
    }
    if domain.starts_with("xn--") || domain.contains(".xn--") {
        bag.add_in(prefix, "punycode");
    }
}

/// The beginning of a text, at most `octets`, at a character.
fn cut(text: &str, octets: usize) -> &str {
    &text[..text.floor_char_boundary(octets)]
}

/// How a made-up name looks: `H` for six hexadecimal digits or more, `9`, `A` and `a` for a run of
/// digits and letters; other characters stand for themselves. Programs that send spam have their own.
fn form(made_up: &str) -> String {
    let mut form = String::new();
    let mut rest = cut(made_up, 200);
    while let Some(first) = rest.chars().next() {
        let run = |is: fn(&char) -> bool| rest.chars().take_while(is).map(char::len_utf8).sum();
        let hex: usize = run(char::is_ascii_hexdigit);
        let (sign, octets) = match first {
            _ if hex >= 6 => ('H', hex),
            '0'..='9' => ('9', run(char::is_ascii_digit)),
            'A'..='Z' => ('A', run(char::is_ascii_uppercase)),
            'a'..='z' => ('a', run(char::is_ascii_lowercase)),
            other => (other, other.len_utf8()),
        };
        form.push(sign);
        rest = &rest[octets..];
    }
    cut(&form, 40).to_owned()
}
