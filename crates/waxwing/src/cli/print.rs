//! Printing: tables for people, JSON for programs.

use std::io::IsTerminal as _;

use comfy_table::{Cell, CellAlignment, Table, presets};
use jiff::Timestamp;

/// One JSON value, on lines of its own.
pub fn json(value: &serde_json::Value) {
    println!("{value:#}");
}

/// A table with a header and no lines; columns named in `right` are aligned to the right.
pub fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase())));
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let edges = (if index == 0 { 0 } else { 1 }, 1);
        column.set_padding(edges);
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{}", table.trim_fmt());
}

/// Text as it may be shown: what strangers wrote must not steer the terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What failed, each with its reason, for `--json`.
pub fn failures_json(failed: &[(String, String)]) -> Vec<serde_json::Value> {
    let one =
        |(what, why): &(String, String)| serde_json::json!({ "message": what, "reason": why });
    failed.iter().map(one).collect()
}

/// What failed, each with its reason, a line or more each.
pub fn failures(failed: &[(String, String)]) {
    for (what, why) in failed {
        println!("{}", marked('✗', &format!("{what}: {why}")));
    }
}

/// Columns that lines of prose fill.
const WIDTH: usize = 96;

/// A remark with its mark (`✓`, `·`, `!`, `✗`) at the margin, cleaned and wrapped.
pub fn marked(mark: char, text: &str) -> String {
    format!("  {} {}", coloured(mark), wrapped(text, 4).trim_start())
}

/// The mark in its colour, on a terminal that wants colours (<https://no-color.org>).
fn coloured(mark: char) -> String {
    let wanted = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let colour = match mark {
        '✓' => 32,
        '!' => 33,
        '✗' => 31,
        _ => 2,
    };
    if wanted { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_string() }
}

/// Cleaned text as lines of at most [`WIDTH`] columns behind a margin; only a word longer than that is
/// longer.
pub fn wrapped(text: &str, margin: usize) -> String {
    let margin = " ".repeat(margin);
    let (mut out, mut line) = (String::new(), margin.clone());
    let mut columns = margin.len();
    for word in clean(text).split_whitespace() {
        let width = word.chars().count();
        let blank = usize::from(columns > margin.len());
        if blank == 1 && columns + 1 + width > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line.clone_from(&margin);
            columns = margin.len();
        } else if blank == 1 {
            line.push(' ');
            columns += 1;
        }
        line.push_str(word);
        columns += width;
    }
    out + &line
}

/// `2026-11-22 14:03:09 UTC`.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `in 4 min`, `3 h ago`, `now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let secs = at.as_second() - now.as_second();
    let length = match secs.unsigned_abs() {
        0 => return "now".to_owned(),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    };
    if secs > 0 { format!("in {length}") } else { format!("{length} ago") }
}

/// `12 messages`, `1 message`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_behind_their_margin() {
        let text = wrapped(&"word ".repeat(40), 4);
        assert!(text.lines().all(|line| line.starts_with("    word") && line.len() <= WIDTH));
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(wrapped(&"x".repeat(200), 2), format!("  {}", "x".repeat(200)));
        assert_eq!(wrapped("", 2), "  ");
    }

    #[test]
    fn strangers_do_not_steer_the_terminal() {
        assert_eq!(clean("\u{1b}[31mred\u{9b}0m\n"), "\u{fffd}[31mred\u{fffd}0m\u{fffd}");
    }

    #[test]
    fn relative_times() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |secs: i64| relative(Timestamp::from_second(1_000_000 + secs).unwrap(), now);
        assert_eq!(at(0), "now");
        assert_eq!(at(90), "in 90 s");
        assert_eq!(at(-7_200), "2 h ago");
        assert_eq!(at(200_000), "in 2 days");
    }
}
