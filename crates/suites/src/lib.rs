//! Where published test suites lie: other projects' messages, keys and cases, which are no part of this
//! repository. Tests read them from the folder that `WAXWING_SUITES` names, or from `../shared/suites`
//! beside the checkout.
//!
//! A fresh machine has neither, and `make test` passes there all the same: a test of a suite that is
//! absent says so on standard error, whatever the test runner captures, and is left out. Whoever names
//! a folder means it: a suite that is not in there is an error.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "WAXWING_SUITES";

/// A suite, or a folder or file of one, such as `dkim/dkimpy`; `None`, said aloud, where there is none.
///
/// # Panics
///
/// If `WAXWING_SUITES` names a folder that does not have it.
pub fn find(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites");
    let meant = named.is_some();
    let path = named.unwrap_or_else(beside).join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(!meant, "{VARIABLE} names a folder that has no {name}: {}", path.display());
    // Not `eprintln`, which test runners keep to themselves.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let said = format!("LEFT OUT: {test}: no suite {name}; set {VARIABLE} to where it is\n");
    let _ = std::io::stderr().write_all(said.as_bytes());
    None
}

/// Whether a suite is there; otherwise says so, like [`find`].
pub fn has(name: &str) -> bool {
    find(name).is_some()
}

/// A suite, or a folder or file of one, after [`has`] said that it is there.
///
/// # Panics
///
/// If it is not.
pub fn path(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("there is no suite {name}"))
}

/// An archive (`.tar.xz`) of a suite, unpacked into a folder of its own below `target`; `None`, said aloud,
/// where there is none.
///
/// # Panics
///
/// If it cannot be unpacked.
pub fn unpacked(archive: &str, target: impl AsRef<Path>) -> Option<PathBuf> {
    let archive = find(archive)?;
    let name = archive.file_name()?.to_str()?.trim_end_matches(".tar.xz");
    let folder = target.as_ref().join(name);
    std::fs::create_dir_all(&folder).expect("the target directory is ours");
    let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&folder).status();
    let done = status.is_ok_and(|status| status.success());
    assert!(done, "tar cannot unpack {}", archive.display());
    Some(folder)
}

/// Every file below a folder whose name ends in one of these, in order.
///
/// # Panics
///
/// If a folder cannot be read.
pub fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable suite") {
            let path = entry.expect("a readable suite").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|end| path.to_string_lossy().ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
