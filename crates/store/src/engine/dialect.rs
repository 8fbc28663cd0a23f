//! The one DML text in the words of each engine, rewritten once per statement.
//!
//! | written | SQLite | PostgreSQL |
//! |---|---|---|
//! | `?3` | `?3` | `$3` |
//! | `x IN LIST(?2)` | `x IN (SELECT value FROM json_each(?2))` | `x = ANY($2)` |
//! | `x NOT IN LIST(?2)` | `x NOT IN (SELECT value FROM json_each(?2))` | `x <> ALL($2)` |
//! | `/*postgres: FOR UPDATE*/` | a comment | `FOR UPDATE` |
//!
//! Statements hold no string literal or comment with a `?` in it: values are parameters.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

/// The statement for SQLite.
pub(crate) fn sqlite(sql: &'static str) -> &'static str {
    static KNOWN: Cache = LazyLock::new(Default::default);
    cached(&KNOWN, sql, |sql| {
        each_list(sql, |out, not, number| {
            out.push_str(if not { "NOT IN " } else { "IN " });
            out.push_str("(SELECT value FROM json_each(?");
            out.push_str(number);
            out.push_str("))");
        })
    })
}

/// The statement for PostgreSQL.
pub(crate) fn postgres(sql: &'static str) -> &'static str {
    static KNOWN: Cache = LazyLock::new(Default::default);
    cached(&KNOWN, sql, |sql| {
        let lists = each_list(sql, |out, not, number| {
            out.push_str(if not { "<> ALL(?" } else { "= ANY(?" });
            out.push_str(number);
            out.push(')');
        });
        let mut out = String::with_capacity(lists.len());
        let mut rest = lists.as_str();
        while let Some((before, after)) = rest.split_once("/*postgres:") {
            out.push_str(before);
            let (inside, after) = after.split_once("*/").unwrap_or((after, ""));
            out.push_str(inside);
            rest = after;
        }
        out.push_str(rest);
        out.replace('?', "$")
    })
}

/// Keyed by where the text stands: statements are constants.
type Cache = LazyLock<RwLock<HashMap<(usize, usize), &'static str>>>;

/// Statements are as many as the source has, so what is kept here for ever is bounded.
fn cached(cache: &Cache, sql: &'static str, rewrite: impl Fn(&str) -> String) -> &'static str {
    let key = (sql.as_ptr() as usize, sql.len());
    if let Some(known) = cache.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known;
    }
    let rewritten = rewrite(sql);
    let text = if rewritten == sql { sql } else { Box::leak(rewritten.into_boxed_str()) };
    cache.write().unwrap_or_else(PoisonError::into_inner).insert(key, text);
    text
}

/// Rewrites each `[NOT ]IN LIST(?N)`; `write` gets whether NOT stood there, and N.
fn each_list(sql: &str, write: impl Fn(&mut String, bool, &str)) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("IN LIST(?") {
        let not = before.ends_with("NOT ");
        out.push_str(before.strip_suffix("NOT ").unwrap_or(before));
        let (number, after) = after.split_once(')').unwrap_or((after, ""));
        write(&mut out, not, number);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT a FROM t WHERE b = ?1 AND c IN LIST(?2) AND d NOT IN LIST(?10) LIMIT ?3 /*postgres:FOR UPDATE*/";

    #[test]
    fn sqlite_reads_lists_from_json_and_keeps_the_rest() {
        assert_eq!(
            sqlite(SQL),
            "SELECT a FROM t WHERE b = ?1 AND c IN (SELECT value FROM json_each(?2)) AND d NOT IN \
             (SELECT value FROM json_each(?10)) LIMIT ?3 /*postgres:FOR UPDATE*/"
        );
    }

    #[test]
    fn postgres_takes_arrays_and_its_own_words() {
        assert_eq!(
            postgres(SQL),
            "SELECT a FROM t WHERE b = $1 AND c = ANY($2) AND d <> ALL($10) LIMIT $3 FOR UPDATE"
        );
    }
}
