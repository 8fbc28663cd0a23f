//! A network of a test's own: loopback and nothing else, where every port is free and names lead where
//! the test wants. For programs that ask for the usual ports.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::is_root;
use crate::process::{Ran, run, tool};

/// A network namespace, until dropped.
pub struct Namespace {
    name: String,
    files: PathBuf,
}

impl Namespace {
    /// Makes one in which these names lead to 127.0.0.1, and no other name leads anywhere.
    pub fn new(names: &[&str]) -> Namespace {
        assert!(is_root(), "a network namespace takes root: run as root");
        let name = format!("waxwing-test-{}", crate::mail::unique().replace('.', "-"));
        // `ip netns exec` puts the files of this folder in the place of those in /etc.
        let files = PathBuf::from("/etc/netns").join(&name);
        fs::create_dir_all(&files).unwrap();
        let hosts: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
        fs::write(files.join("hosts"), format!("127.0.0.1 localhost\n{hosts}")).unwrap();
        fs::write(files.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        let namespace = Namespace { name, files };
        ip(&["netns", "add", &namespace.name]).ok();
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"]).ok();
        namespace
    }

    /// What a command line begins with that runs here.
    pub fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// A program that runs here.
    pub fn command(&self, program: &str, package: &str) -> Command {
        let mut command = Command::new(tool("ip", "iproute2"));
        command.args(&self.prefix()[1..]).arg(tool(program, package));
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_dir_all(&self.files);
        let _ = fs::remove_dir("/etc/netns");
    }
}

fn ip(arguments: &[&str]) -> Ran {
    let mut command = Command::new(tool("ip", "iproute2"));
    command.args(arguments);
    run(command, b"", crate::waiting::SOON)
}
