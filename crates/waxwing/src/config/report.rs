//! Configuration errors that point at the line.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Why a configuration cannot be used.
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file was read and is wrong; the text shows the line.
    Wrong(String),
}

/// A wrong combination, to be pointed at by the key that is to be changed.
pub struct Wrong {
    key: &'static str,
    why: String,
}

impl Wrong {
    pub fn at(key: &'static str, why: impl Into<String>) -> Wrong {
        Wrong { key, why: why.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, error }
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                write!(
                    f,
                    "there is no configuration at {}\n  make one with `waxwing setup YOUR.DOMAIN`, or name another file with --config",
                    path.display()
                )
            }
            ConfigError::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            ConfigError::Wrong(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

pub fn from_toml(text: &str, path: &Path, error: &toml::de::Error) -> ConfigError {
    draw(text, path, "the configuration is wrong", error.span().unwrap_or(0..0), error.message())
}

pub fn from_check(text: &str, path: &Path, wrong: Wrong) -> ConfigError {
    draw(text, path, "the configuration cannot work", find_key(text, wrong.key), &wrong.why)
}

/// Where `key = …` or `[key]` stands; the first line when it does not.
fn find_key(text: &str, key: &str) -> Range<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let start = offset + (line.len() - trimmed.len());
        let name = trimmed.trim_start_matches('[');
        let rest = name.strip_prefix(key).unwrap_or("x");
        if rest.trim_start().starts_with(['=', ']']) {
            return start..start + trimmed.trim_end().len();
        }
        offset += line.len();
    }
    0..text.lines().next().map_or(0, str::len)
}

fn draw(text: &str, path: &Path, title: &str, span: Range<usize>, why: &str) -> ConfigError {
    let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
    let name = path.display().to_string();
    let snippet =
        Snippet::source(text).path(&name).annotation(AnnotationKind::Primary.span(span).label(why));
    let report = [Level::ERROR.primary_title(title).element(snippet)];
    ConfigError::Wrong(format!("{name}:{line}: {why}\n{}", Renderer::plain().render(&report)))
}
