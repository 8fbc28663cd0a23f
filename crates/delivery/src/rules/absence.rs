//! What a reader who is away has said (RFC 8621 §8), as a script of one `vacation` (RFC 5230): who is answered,
//! how often, and what never is, is the same whichever way it was said. The reader's own script stays as it is and
//! runs first; the answer goes only with mail that it keeps somewhere, and not beside an answer of its own.

use waxwing_filter::sieve::{self, Action, Keep, Outcome, Script};
use waxwing_message::compose::entity::base64_lines;
use waxwing_message::parse::html;
use waxwing_store::AbsenceAnswer;

use super::capabilities;

/// In journeys, in place of a script's name.
pub(super) const NAME: &str = "(away)";
/// RFC 5230 §4.7: apart from what the reader's own scripts have answered.
const HANDLE: &str = "absence";
/// Nobody is answered twice within so many days.
const DAYS: u32 = 7;
/// Where there are no words.
const NO_WORDS: &str = "I am away, and will read your message when I am back.";
/// Parts of an answer in text and HTML. Base64 has no such line.
const BOUNDARY: &str = "=_away";
/// Characters of plain text that are made of HTML.
const TEXT_MAX: usize = 100_000;

/// The implicit keep, as if there were an empty script.
pub(super) fn just_kept() -> Outcome {
    Outcome { keep: Some(Keep::default()), ..Outcome::default() }
}

/// Whether what became of a message leaves room for an answer.
pub(super) fn fits(outcome: &Outcome) -> bool {
    let is_kept = outcome.keep.is_some()
        || outcome
            .actions
            .iter()
            .any(|action| matches!(action, Action::Keep(_) | Action::FileInto(_)));
    let answers = outcome
        .actions
        .iter()
        .any(|action| matches!(action, Action::Vacation(_) | Action::Reject(_)));
    is_kept && !answers
}

/// Adds the answer, if there is one.
pub(super) fn join(outcome: &mut Outcome, away: Outcome) {
    let answers = away.actions.into_iter().filter(|action| matches!(action, Action::Vacation(_)));
    outcome.actions.extend(answers);
    outcome.trace.extend(away.trace);
}

/// The script.
pub(super) fn script(answer: &AbsenceAnswer) -> Script {
    let text = source(answer);
    sieve::compile(text.as_bytes(), &capabilities()).unwrap_or_else(|faults| {
        // Only strings are the reader's, and they are quoted.
        tracing::error!(%faults, "what somebody who is away has said is not understood");
        let plain = source(&AbsenceAnswer::default());
        sieve::compile(plain.as_bytes(), &capabilities()).expect("a script of ours compiles")
    })
}

fn source(answer: &AbsenceAnswer) -> String {
    let mut script = format!("require \"vacation\";\nvacation :days {DAYS} :handle \"{HANDLE}\"");
    if let Some(subject) = answer.subject.as_deref().filter(|subject| !subject.is_empty()) {
        let line: String = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        script.push_str(&format!(" :subject {}", quoted(&line)));
    }
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    match (filled(&answer.text), filled(&answer.html)) {
        (text, None) => {
            let text = text.unwrap_or_else(|| NO_WORDS.to_owned());
            script.push_str(&format!(" {}", quoted(&text)));
        }
        (text, Some(html)) => {
            let text = text.unwrap_or_else(|| html::to_text(&html, TEXT_MAX));
            script.push_str(&format!(" :mime {}", quoted(&both(&text, &html))));
        }
    }
    script.push_str(";\n");
    script
}

/// RFC 5228 §2.4.2. NUL cannot stand in a script.
fn quoted(text: &str) -> String {
    let plain = text.replace('\0', "").replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{plain}\"")
}

/// A MIME entity of plain text and HTML.
fn both(text: &str, html: &str) -> String {
    let part = |subtype: &str, text: &str| {
        let encoded = base64_lines(text.as_bytes());
        let encoded = String::from_utf8_lossy(&encoded);
        format!(
            "--{BOUNDARY}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
        )
    };
    format!(
        "Content-Type: multipart/alternative; boundary=\"{BOUNDARY}\"\r\n\r\n{}{}--{BOUNDARY}--\r\n",
        part("plain", text),
        part("html", html)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_somebody_says_is_a_script() {
        for words in ["back on Monday", "\"quoted\" \\ and\r\n.\r\ndots", "\0", "", "${x} é"] {
            for (text, html) in
                [(Some(words), None), (None, Some(words)), (Some(words), Some(words))]
            {
                let answer = AbsenceAnswer {
                    subject: Some(words.to_owned()),
                    text: text.map(str::to_owned),
                    html: html.map(str::to_owned),
                };
                let source = source(&answer);
                assert!(sieve::compile(source.as_bytes(), &capabilities()).is_ok(), "{source}");
            }
        }
    }

    #[test]
    fn an_answer_goes_with_what_is_kept() {
        assert!(fits(&just_kept()));
        let of = |actions| Outcome { actions, ..Outcome::default() };
        assert!(!fits(&of(vec![Action::Discard])));
        assert!(fits(&of(vec![Action::Keep(Keep::default())])));
    }
}
