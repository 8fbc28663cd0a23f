//! The commands. Each is a file; each prints for people, or with `--json` for programs.
//!
//! Commands act on the store directly, so they work whether the server runs or not; a running
//! server notices what they did.

mod access;
mod account;
mod acl;
mod alias;
mod check;
mod domain;
mod evidence;
mod export;
mod filter;
mod import;
mod journey;
mod keys;
mod message;
mod names;
mod password;
mod print;
mod progress;
mod queue;
mod report;
mod send;
mod setup;
mod sieve;
mod submit;
mod totp;
mod r#try;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use waxwing_store::Store;

use crate::config::{self, Config};
use crate::serve;

/// The whole road of an email, in one program.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "WAXWING_CONFIG", default_value = config::DEFAULT_PATH, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: receive, send and serve mail until stopped.
    Serve,
    /// Watch two whole domains exchange mail on this computer: no root, no network.
    Try(r#try::Try),
    /// Make the configuration and the first account for a domain, and print its DNS records.
    Setup(setup::Setup),
    /// A mail domain's DNS as the world sees it: what is, what should be, and the record to paste.
    ///
    /// Nothing but the DNS is asked, and the web server of an MTA-STS policy. Exits 0 when nothing must be
    /// mended (✗), else 1.
    Check(Box<check::Check>),
    /// Everything that can be found out about a saved message.
    ///
    /// Names are looked up as they are now. Exits 0 when a reader who does not know the sender would get
    /// it into the mailbox, else 1.
    Verify(Box<verify::Verify>),
    /// The domains this server takes mail for.
    #[command(subcommand)]
    Domain(domain::Domain),
    /// People's accounts.
    #[command(subcommand)]
    User(account::User),
    /// Who may read and change whose mailboxes.
    #[command(subcommand)]
    Acl(acl::Acl),
    /// People's own rules for arriving mail.
    #[command(subcommand)]
    Sieve(sieve::Sieve),
    /// Addresses that lead to others.
    #[command(subcommand)]
    Alias(alias::Alias),
    /// Mail that waits to be sent.
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Send a message from this machine.
    Send(Box<send::Send>),
    /// What happened to a message, step by step.
    Journey(journey::Journey),
    /// Messages in mailboxes.
    #[command(subcommand)]
    Message(message::Message),
    /// Bring mail from elsewhere into an account: mbox files, a Maildir, another IMAP server.
    ///
    /// May be stopped and run again at any time: each message comes once. Exits 0 when everything that was
    /// there is here, else 1.
    Import(Box<import::Import>),
    /// Write an account's mail into files that other programs read: mbox or Maildir.
    Export(Box<export::Export>),
    /// What the spam filter knows, and teaching it.
    #[command(subcommand)]
    Filter(filter::Filter),
    /// The reports between mail domains: who sends under our names, and how TLS to us goes.
    #[command(subcommand)]
    Report(report::Report),
}

/// What every command is given.
pub struct Context {
    /// The configuration file's path.
    pub path: PathBuf,
    /// Whether to print JSON.
    pub json: bool,
}

impl Context {
    fn config(&self) -> Result<Config> {
        Ok(Config::load(&self.path)?)
    }

    /// The configuration, when there is one: a file that was named must be there, the usual one need
    /// not.
    fn config_if_any(&self) -> Result<Option<Config>> {
        let usual = self.path == std::path::Path::new(config::DEFAULT_PATH);
        if usual && !self.path.exists() { Ok(None) } else { self.config().map(Some) }
    }

    async fn store(&self) -> Result<Store> {
        let config = self.config()?;
        serve::process::prepare_data_folder(&config)?;
        let url = config.database_url();
        Store::open(config.store_settings("cli"))
            .await
            .with_context(|| format!("cannot open the store {}", without_password(&url)))
    }
}

/// A database URL as it may be shown.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

/// Runs the command; errors go to stderr, with what led to them.
pub fn main(arguments: Arguments) -> ExitCode {
    let context = Context { path: arguments.config, json: arguments.json };
    match run(&context, arguments.command) {
        Ok(code) => code,
        Err(error) => {
            if context.json {
                print::json(&serde_json::json!({ "error": format!("{error:#}") }));
            }
            eprintln!("waxwing: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(context: &Context, command: Command) -> Result<ExitCode> {
    serve::tls::provider();
    let workers = match &command {
        Command::Serve => std::thread::available_parallelism().map_or(2, usize::from),
        _ => 2,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        match command {
            Command::Serve => serve::run(context.config()?, &context.path, context.json).await?,
            Command::Try(command) => return command.run(context).await,
            Command::Check(command) => return command.run(context).await,
            Command::Verify(command) => return command.run(context).await,
            Command::Import(command) => return command.run(context).await,
            Command::Export(command) => return command.run(context).await,
            Command::Setup(command) => command.run(context).await?,
            Command::Domain(command) => command.run(context).await?,
            Command::User(command) => command.run(context).await?,
            Command::Acl(command) => command.run(context).await?,
            Command::Sieve(command) => command.run(context).await?,
            Command::Alias(command) => command.run(context).await?,
            Command::Queue(command) => command.run(context).await?,
            Command::Send(command) => command.run(context).await?,
            Command::Journey(command) => command.run(context).await?,
            Command::Message(command) => command.run(context).await?,
            Command::Filter(command) => command.run(context).await?,
            Command::Report(command) => command.run(context).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn database_passwords_are_not_shown() {
        assert_eq!(without_password("postgres://bob:secret@db/wax"), "postgres://bob@db/wax");
        assert_eq!(without_password("sqlite:/a/b"), "sqlite:/a/b");
    }
}
