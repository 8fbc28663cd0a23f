//! Other people's implementations, in Python: `scripts/python-peers` puts them into `target/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs one of the scripts of this folder and gives what it prints. Loud when it cannot.
#[track_caller]
#[allow(dead_code)] // Not every test file runs one alone.
pub fn run(script: &str, arguments: &[&str]) -> String {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = python();
    let output = Command::new(&python)
        .arg(crate_folder.join("tests/peers").join(script))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {errors}");
    String::from_utf8(output.stdout).expect("the script prints UTF-8")
}

/// Their Python, made when it is not there. Loud when it cannot.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made = Command::new(root.join("scripts/python-peers")).output();
    match made {
        Ok(output) if output.status.success() => {
            let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
            target.unwrap_or_else(|| root.join("target")).join("peers/bin/python")
        }
        other => panic!("scripts/python-peers cannot make target/peers: {other:?}"),
    }
}
