//! How far long work is: a bar on a terminal, a line now and then otherwise; nothing on stdout, which
//! is for the outcome.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// Without a terminal a line comes so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counted by whoever does the work, in any unit: messages, or octets of a file.
#[derive(Debug, Default)]
pub struct Meter {
    total: AtomicU64,
    done: AtomicU64,
}

impl Meter {
    /// So much more is to be done.
    pub fn expect(&self, more: u64) {
        self.total.fetch_add(more, Ordering::Relaxed);
    }

    /// So much more is done.
    pub fn advance(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }
}

/// What is seen of a meter.
pub struct Progress {
    meter: Arc<Meter>,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    verb: &'static str,
    quiet: bool,
}

impl Progress {
    /// `verb` is what is done with messages, such as `imported`. `quiet`: no lines, for programs.
    pub fn new(meter: Arc<Meter>, verb: &'static str, quiet: bool) -> Progress {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} to go");
        let bar = (std::io::stderr().is_terminal() && !quiet).then(|| {
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let now = Instant::now();
        Progress { meter, bar, began: now, last_line: now, verb, quiet }
    }

    /// Shows that so many messages are through; `place` is where the work is.
    pub fn show(&mut self, messages: u64, place: &str) {
        let (done, total) =
            (self.meter.done.load(Ordering::Relaxed), self.meter.total.load(Ordering::Relaxed));
        let rate = messages as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let what = format!("{} {} ({rate:.0}/s), {place}", HumanCount(messages), self.verb);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done.min(total));
                bar.set_message(super::print::clean(&what));
            }
            None if !self.quiet && self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                let percent = (done.min(total) * 100).checked_div(total).unwrap_or(0);
                eprintln!("{percent} %: {}", super::print::clean(&what));
            }
            None => {}
        }
    }

    /// Takes the bar away. Gives how long it all took.
    pub fn finish(self) -> Duration {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.began.elapsed()
    }
}
