//! XML as it is written here: text is escaped, nothing else is needed.

use crate::serve::web_text::escape_markup;

/// Text between tags.
pub fn text(text: &str) -> String {
    // XML 1.0 §2.2 has no other control characters.
    let has = |c: &char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    let text: String = text.chars().map(|c| if has(&c) { c } else { '\u{fffd}' }).collect();
    escape_markup(&text)
}

/// `<name>text</name>` and a line end.
pub fn element(name: &str, content: &str) -> String {
    format!("<{name}>{}</{name}>\n", text(content))
}
