//! `waxwing send`: a message from this machine, for scripts and for trying things out.
//!
//! By default the message is handed to this machine's own server, through its store, as `sendmail`
//! does: whoever may run the command may send. With `--server` it is submitted to any server, with
//! a login.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::json;
use tokio::net::lookup_host;
use waxwing_delivery::accept::{Entrance, Incoming};
use waxwing_message::compose::{Attachment, Draft, Mailbox};
use waxwing_message::journey::Source;
use waxwing_message::{Address, Envelope, JourneyId, ReversePath};
use waxwing_store::{Resolution, Spool};

use super::{Context, print, submit};
use crate::config::HostPort;
use crate::serve::road;

/// Composes and sends a message.
#[derive(Args)]
pub struct Send {
    /// The sender: an address of this server (or of the login, with --server).
    #[arg(long)]
    from: Address,
    /// The sender's name.
    #[arg(long, default_value = "")]
    name: String,
    /// A recipient; repeat for more.
    #[arg(long, required = true)]
    to: Vec<Address>,
    /// A recipient of a copy; repeat for more.
    #[arg(long)]
    cc: Vec<Address>,
    /// A recipient that the others do not see; repeat for more.
    #[arg(long)]
    bcc: Vec<Address>,
    /// The subject.
    #[arg(long, default_value = "")]
    subject: String,
    /// The text, or `-` for standard input.
    #[arg(long, default_value = "-")]
    body: String,
    /// An HTML version of the text.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A file to attach; repeat for more.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Submit to this server instead, such as mail.example.org:587.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<HostPort>,
    /// Log in there as; the sender by default.
    #[arg(long, requires = "server")]
    login: Option<String>,
    /// The file that holds the password.
    #[arg(long, requires = "server", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A PEM file with the server's root, when it is no public one.
    #[arg(long, requires = "server", value_name = "FILE")]
    roots: Option<PathBuf>,
}

impl Send {
    pub async fn run(self, context: &Context) -> Result<()> {
        let octets = self.compose()?;
        let recipients: Vec<Address> =
            self.to.iter().chain(&self.cc).chain(&self.bcc).cloned().collect();
        let mut envelope = Envelope::plain(ReversePath::Address(self.from.clone()), recipients);
        envelope.body = waxwing_message::BodyKind::EightBitMime;
        envelope.smtputf8 = self.from.needs_smtputf8()
            || envelope.recipients.iter().any(|r| r.address.needs_smtputf8());
        let journey = match &self.server {
            Some(server) => self.submit(server, envelope, octets).await?,
            None => Some(hand_over(context, envelope, octets).await?),
        };
        match (context.json, journey) {
            (true, journey) => print::json(&json!({ "journey": journey })),
            (false, Some(journey)) => {
                println!("Accepted as {journey}. Follow it with: waxwing journey {journey}")
            }
            (false, None) => println!("The server took it."),
        }
        Ok(())
    }

    fn compose(&self) -> Result<Vec<u8>> {
        let mut rng = rand::rng();
        let unique: u128 = rng.random();
        let mut draft = Draft::new()
            .from(Mailbox::named(&self.name, self.from.clone()))
            .subject(&self.subject)
            .date(Timestamp::now())
            .message_id(format!("{unique:032x}@{}", self.from.domain()))
            .text(self.text()?);
        for to in &self.to {
            draft = draft.to(to.clone());
        }
        for cc in &self.cc {
            draft = draft.cc(cc.clone());
        }
        if let Some(path) = &self.html {
            draft = draft.html(
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            );
        }
        for path in &self.attach {
            draft = draft.attach(attachment(path)?);
        }
        Ok(draft.to_bytes(rng.random()))
    }

    fn text(&self) -> Result<String> {
        if self.body != "-" {
            return Ok(self.body.clone());
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("reading the text from standard input")?;
        Ok(text)
    }

    async fn submit(
        &self,
        server: &HostPort,
        envelope: Envelope,
        octets: Vec<u8>,
    ) -> Result<Option<JourneyId>> {
        let address = lookup_host((server.host.as_str(), server.port))
            .await
            .with_context(|| format!("cannot find {}", server.host))?
            .next()
            .with_context(|| format!("{} has no address", server.host))?;
        let login = match &self.password_file {
            Some(file) => {
                let password = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let name = self.login.clone().unwrap_or_else(|| self.from.to_string());
                Some((name, password.trim_end_matches(['\r', '\n']).to_owned()))
            }
            None => None,
        };
        let server = submit::Server {
            host: server.host.clone(),
            address,
            source: None,
            implicit_tls: server.port == 465,
            roots: self.roots.clone(),
            login,
        };
        let reply = submit::submit(&server, envelope, octets).await?;
        Ok(submit::journey_in(&reply))
    }
}

fn attachment(path: &Path) -> Result<Attachment> {
    let octets = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let media_type = "application/octet-stream".to_owned();
    Ok(Attachment { media_type, file_name: Some(name), content_id: None, content: octets })
}

/// Hands the message to this machine's server, through its store.
async fn hand_over(context: &Context, envelope: Envelope, octets: Vec<u8>) -> Result<JourneyId> {
    let store = context.store().await?;
    let config = context.config()?;
    if let Some(sender) = envelope.reverse_path.address()
        && store.resolve(sender).await? == Resolution::NotLocal
    {
        bail!("{sender} is not at a domain of this server: `waxwing domain list` names them");
    }
    let reception = road::reception(&config, &store)?;
    let size_octets = Some(octets.len() as u64);
    for recipient in &envelope.recipients {
        let checked = reception.check_recipient(Entrance::Local, recipient, size_octets).await;
        checked.with_context(|| recipient.address.to_string())?;
    }
    let source = Source { ip: None, helo: None, tls: None, login: None };
    let spool = Spool::from_bytes(octets);
    let incoming = Incoming {
        entrance: Entrance::Local,
        source,
        protocol: "local".to_owned(),
        envelope,
        spool,
        verifier: None,
    };
    Ok(reception.accept(incoming).await?.journey)
}
