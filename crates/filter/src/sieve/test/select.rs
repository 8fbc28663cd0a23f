//! Which fields a test looks at: `:index` and `:last` (RFC 5260 §6), `:mime` and its options (RFC 5703 §4).

use waxwing_message::parse::content;

use super::header_text;
use crate::sieve::Fault;
use crate::sieve::check::{Bound, Checker, Tag, Takes};
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

/// `:index`.
pub(super) const INDEX: &[Tag] =
    &[Tag::new("index", Takes::Number, "index"), Tag::new("last", Takes::Nothing, "index")];

/// `:mime`, `:anychild`.
pub(super) const MIME: &[Tag] =
    &[Tag::new("mime", Takes::Nothing, "mime"), Tag::new("anychild", Takes::Nothing, "mime")];

/// What of a structured field.
pub(super) const ASPECT: &[Tag] = &[
    Tag { name: "type", takes: Takes::Nothing, extension: "mime", group: "aspect" },
    Tag { name: "subtype", takes: Takes::Nothing, extension: "mime", group: "aspect" },
    Tag { name: "contenttype", takes: Takes::Nothing, extension: "mime", group: "aspect" },
    Tag { name: "param", takes: Takes::Strings, extension: "mime", group: "aspect" },
];

/// A choice of fields.
pub(super) struct Selection {
    index: Option<u64>,
    last: bool,
    mime: bool,
    any_child: bool,
    aspect: Aspect,
}

enum Aspect {
    Whole,
    Type,
    Subtype,
    ContentType,
    Params(Vec<Text>),
}

impl Selection {
    pub fn new(bound: &Bound<'_>, checker: &Checker<'_>) -> Result<Selection, Fault> {
        let index = bound.number_of("index");
        if let (Some(at), None) = (bound.place("last"), index) {
            return Err(at.fault("\":last\" stands with \":index\" only: add it, or remove this"));
        }
        if index == Some(0) {
            return Err(bound.at.fault("\":index\" counts from 1"));
        }
        let mime = bound.flag("mime");
        let aspect = match bound.of_group("aspect") {
            None => Aspect::Whole,
            Some((tag, at)) if !mime => {
                return Err(at.fault(format!("\":{tag}\" stands with \":mime\" only: add it")));
            }
            Some(("type", _)) => Aspect::Type,
            Some(("subtype", _)) => Aspect::Subtype,
            Some(("contenttype", _)) => Aspect::ContentType,
            Some(_) => Aspect::Params(bound.texts_of("param", checker)?.unwrap_or_default()),
        };
        if let (Some(at), false) = (bound.place("anychild"), mime) {
            return Err(at.fault("\":anychild\" stands with \":mime\" only: add it"));
        }
        Ok(Selection {
            index,
            last: bound.flag("last"),
            mime,
            any_child: bound.flag("anychild"),
            aspect,
        })
    }

    /// The parts whose headers are looked at.
    pub fn parts(&self, run: &Run<'_>) -> std::ops::Range<usize> {
        // RFC 5703 §4: without `:mime` it is the message's own header, in a loop too.
        let part = if self.mime { run.part() } else { 0 };
        match self.any_child {
            true => part..run.mail.parts()[part].end,
            false => part..part + 1,
        }
    }

    /// The raw values of the fields of these names, in the order of the names.
    pub fn values(&self, names: &[String], run: &mut Run<'_>) -> Result<Vec<Vec<u8>>, Halt> {
        let parts = self.parts(run);
        let mut values: Vec<Vec<u8>> = Vec::new();
        for part in parts {
            let fields = run.mail.fields(part);
            let looked_at = fields.len() * names.len();
            for name in names {
                let named = fields
                    .iter()
                    .filter(|(field, _)| field.eq_ignore_ascii_case(name.trim().as_bytes()));
                values.extend(named.map(|(_, value)| value.to_vec()));
            }
            run.charge_octets((looked_at + 2) * 512)?;
        }
        run.charge_octets(values.iter().map(Vec::len).sum())?;
        let Some(index) = self.index else { return Ok(values) };
        let index = index.min(usize::MAX as u64) as usize;
        let chosen = match self.last {
            true => values.len().checked_sub(index),
            false => Some(index - 1),
        };
        let chosen = chosen.and_then(|i| values.get_mut(i)).map(std::mem::take);
        Ok(chosen.into_iter().collect())
    }

    /// What a test sees of a field.
    pub fn texts(&self, value: &[u8], run: &mut Run<'_>) -> Result<Vec<String>, Halt> {
        let media_type = || content::media_type(value);
        Ok(match &self.aspect {
            Aspect::Whole => vec![header_text(value)],
            // RFC 5703 §4.1: of Content-Disposition the type is its one word, the subtype empty.
            Aspect::Type => match media_type() {
                Some((main, _)) => vec![main.into_owned()],
                None => vec![content::first_word(value).into_owned()],
            },
            Aspect::Subtype => match media_type() {
                Some((_, sub)) => vec![sub.into_owned()],
                None => vec![String::new()],
            },
            Aspect::ContentType => match media_type() {
                Some((main, sub)) => vec![format!("{main}/{sub}")],
                None => vec![content::first_word(value).into_owned()],
            },
            Aspect::Params(names) => {
                let params = content::params(value);
                let mut texts = Vec::new();
                for name in names {
                    let name = name.expand(run)?;
                    let named = params.iter().filter(|(n, _)| n.eq_ignore_ascii_case(&name));
                    texts.extend(named.map(|(_, value)| value.clone()));
                }
                texts
            }
        })
    }
}

/// Expands a list of strings.
pub(super) fn expand_all(texts: &[Text], run: &mut Run<'_>) -> Result<Vec<String>, Halt> {
    texts.iter().map(|text| text.expand(run)).collect()
}
