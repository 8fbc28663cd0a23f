//! `body` (RFC 5173).
//!
//! | tag | looks at |
//! |---|---|
//! | `:raw` | the body as it stands |
//! | `:content` | parts of the types that are named, decoded; of a multipart what stands around its parts, of a message its header |
//! | `:text` | all text a person could read; also when no tag is given |

use waxwing_message::parse::{charset, html};

use super::select::expand_all;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Tag, Takes, Test};
use crate::sieve::mail::Mail;
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

const TAGS: &[Tag] = &[
    Tag { name: "raw", takes: Takes::Nothing, extension: "body", group: "transform" },
    Tag { name: "text", takes: Takes::Nothing, extension: "body", group: "transform" },
    Tag { name: "content", takes: Takes::Strings, extension: "body", group: "transform" },
];

/// Text of HTML is read up to this many octets.
const MAX_HTML_OCTETS: usize = 4 << 20;

enum Transform {
    Raw,
    Text,
    Content(Vec<Text>),
}

struct Body {
    transform: Transform,
    keys: Keys,
}

/// `body`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS, TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let transform = match bound.of_group("transform") {
        Some(("raw", _)) => Transform::Raw,
        Some(("content", _)) => {
            Transform::Content(bound.texts_of("content", checker)?.unwrap_or_default())
        }
        _ => Transform::Text,
    };
    let mut keys = matcher.keys(&mut bound, "what to look for", checker)?;
    keys.sets_variables = false;
    bound.done()?;
    Ok(Box::new(Body { transform, keys }))
}

impl Test for Body {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        // Decoding looks at every octet.
        run.charge_octets(run.mail.octets())?;
        let values = match &self.transform {
            Transform::Raw => vec![charset::guess(run.mail.raw_body(0)).into_owned()],
            Transform::Text => readable(&run.mail),
            Transform::Content(types) => {
                let types = expand_all(types, run)?;
                let mut values = Vec::new();
                for part in 0..run.mail.parts().len() {
                    run.charge(1)?;
                    let Part { media_type, subtype, .. } = &run.mail.parts()[part];
                    if types.iter().any(|wanted| is_of(wanted, media_type, subtype)) {
                        values.extend(content(&run.mail, part));
                    }
                }
                values
            }
        };
        self.keys.any(&values, run)
    }
}

use crate::sieve::mail::Part;

/// RFC 5173 §5.2: `""` is any type, `text` any text, `text/html` that only; what has not that form, none.
fn is_of(wanted: &str, media_type: &str, subtype: &str) -> bool {
    let mut words = wanted.split('/');
    match (words.next(), words.next(), words.next()) {
        (Some(""), None, _) => true,
        (Some(main), None, _) => main.eq_ignore_ascii_case(media_type),
        (Some(main), Some(sub), None) => {
            main.eq_ignore_ascii_case(media_type) && sub.eq_ignore_ascii_case(subtype)
        }
        _ => false,
    }
}

/// What a part itself holds: not what its parts hold.
fn content(mail: &Mail<'_>, part: usize) -> Vec<String> {
    let Part { leaf, message, .. } = &mail.parts()[part];
    if *leaf {
        return vec![mail.text(part)];
    }
    if *message {
        return vec![charset::guess(mail.raw_header(part + 1)).into_owned()];
    }
    let (before, after) = mail.around_parts(part);
    vec![charset::guess(before).into_owned(), charset::guess(after).into_owned()]
}

/// RFC 5173 §5.3.
fn readable(mail: &Mail<'_>) -> Vec<String> {
    (0..mail.parts().len())
        .filter(|part| {
            let Part { leaf, media_type, .. } = &mail.parts()[*part];
            *leaf && media_type == "text"
        })
        .map(|part| {
            let text = mail.text(part);
            match mail.parts()[part].subtype.as_str() {
                "html" => html::to_text(&text, MAX_HTML_OCTETS),
                _ => text,
            }
        })
        .collect()
}
