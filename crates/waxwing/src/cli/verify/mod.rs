//! `waxwing verify`: everything that can be found out about a saved message, and what a reader who
//! does not know the sender would have got.
//!
//! ```text
//! file ─▶ saved (mbox line, line ends) ─▶ origin (client, reverse-path) ─▶ delivery::examine_saved ─▶ show
//! ```
//!
//! The same checks as for mail that arrives, by the same code: signatures, ARC, SPF, DMARC, the client,
//! From, and the verdict; and the tree of parts. Names are looked up now, so that a key which has been
//! taken back since does not verify; give zone files to ask the DNS of another day.

mod mime;
mod origin;
mod saved;
mod show;

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use waxwing_delivery::{Client, Examined, Policy, Saved, SystemClock, examine_saved};
use waxwing_message::journey::Verdict;
use waxwing_message::{Message, ReversePath};

use super::names::NameSource;
use super::{Context, print};
use crate::serve::road;
use origin::Origin;
use saved::Repairs;

/// Octets of a file at most.
const FILE_OCTETS_MAX: u64 = 1 << 28;
/// RFC 7208 §7.3: the receiver's name when there is none.
const UNKNOWN: &str = "unknown";

/// Examines a saved message. Exits 0 when it would be accepted into the mailbox, else 1.
#[derive(Args)]
pub struct Verify {
    /// The message, or - for standard input. Of an mbox, the first message.
    file: PathBuf,
    /// The address of the client that brought it. By default what the topmost trustworthy Received field
    /// says.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// What the client called itself.
    #[arg(long, value_name = "NAME", requires = "ip")]
    helo: Option<String>,
    /// MAIL FROM; "" for the null reverse-path. By default what Return-Path says.
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    from: Option<ReversePath>,
    /// Show each question to the DNS and its answer.
    #[arg(short = 'v', long)]
    lookups: bool,
    #[command(flatten)]
    names: NameSource,
}

fn reverse_path(text: &str) -> Result<ReversePath, String> {
    origin::reverse_path(text).ok_or_else(|| format!("{text:?} is no mail address"))
}

/// A message and all that came of it.
struct Report<'a> {
    file: &'a Path,
    message: &'a Message<'a>,
    repairs: Repairs,
    origin: Option<Origin>,
    examined: Examined,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Result<ExitCode> {
        let config = context.config_if_any()?;
        let names = self.names.open(config.as_ref())?;
        let policy = match &config {
            Some(config) => road::policy(config)?,
            None => Policy::new(UNKNOWN),
        };
        let file = self.read()?;
        let (raw, repairs) = saved::message(&file);
        if raw.is_empty() {
            bail!("{} holds no message", self.shown().display());
        }
        let message = Message::parse(&raw);
        let origin = self.origin(&message);
        let literal = origin.as_ref().map(|origin| match origin.ip {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        });
        let client = origin.as_ref().zip(literal.as_ref()).map(|(origin, literal)| Client {
            ip: origin.ip,
            helo: origin.helo.as_ref().unwrap_or(literal),
            reverse_path: origin.reverse_path.as_ref().unwrap_or(&ReversePath::Null),
        });
        let examining = Saved { raw: &raw, client };
        let examined = examine_saved(&names, &SystemClock, &policy, examining).await;
        let accepted = examined.judgement.verdict == Verdict::Accept;
        let report = Report { file: self.shown(), message: &message, repairs, origin, examined };
        match context.json {
            true => print::json(&report.as_json()),
            false => show::print(&report, self.lookups),
        }
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn shown(&self) -> &Path {
        if self.file == Path::new("-") { Path::new("standard input") } else { &self.file }
    }

    fn read(&self) -> Result<Vec<u8>> {
        let shown = self.shown().display();
        let mut octets = Vec::new();
        let read = match self.file == Path::new("-") {
            true => std::io::stdin().lock().take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets),
            false => std::fs::File::open(&self.file)
                .and_then(|file| file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets)),
        };
        read.with_context(|| format!("cannot read {shown}"))?;
        if octets.len() as u64 > FILE_OCTETS_MAX {
            bail!(
                "{shown} is larger than any message: {} MB are read at most",
                FILE_OCTETS_MAX >> 20
            );
        }
        Ok(octets)
    }

    /// What was given, else what the message's trace fields say.
    fn origin(&self, message: &Message<'_>) -> Option<Origin> {
        let mut origin = match self.ip {
            Some(ip) => Origin {
                ip: ip.to_canonical(),
                helo: self.helo.clone(),
                reverse_path: origin::return_path(message.root()),
                field: None,
                by: String::new(),
            },
            None => origin::of_message(message.root())?,
        };
        if let Some(from) = &self.from {
            origin.reverse_path = Some(from.clone());
        }
        Some(origin)
    }
}

impl Report<'_> {
    fn as_json(&self) -> Value {
        let judgement = &self.examined.judgement;
        let client = self.origin.as_ref().map(|origin| {
            json!({
                "ip": origin.ip,
                "helo": origin.helo,
                "reverse_path": origin.reverse_path.as_ref().map(ToString::to_string),
                "received_field": origin.field,
                "by": origin.field.map(|_| &origin.by),
            })
        });
        json!({
            "file": self.file.display().to_string(),
            "size_octets": self.message.raw.len(),
            "repairs": self.repairs.words(),
            "from": self.message.header("From").map(|field| field.text()),
            "subject": self.message.subject(),
            "message_id": self.message.message_id(),
            "client": client,
            "findings": self.examined.findings,
            "authentication_results": self.examined.results.to_payload(),
            "mime": mime::as_json(self.message),
            "verdict": judgement.verdict,
            "weight": judgement.weight,
            "reasons": judgement.reasons,
            "overridden": judgement.overridden,
        })
    }
}
