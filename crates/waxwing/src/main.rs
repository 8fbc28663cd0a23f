//! `waxwing`: the whole road of an email in one program.
//!
//! | room | what is in it |
//! |---|---|
//! | `config` | the configuration file |
//! | `cli` | the commands, and how they print |
//! | `serve` | listeners, TLS, and the drivers that join sockets to the sessions of the protocol crates |

mod cli;
mod config;
mod serve;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main(cli::Arguments::parse())
}
