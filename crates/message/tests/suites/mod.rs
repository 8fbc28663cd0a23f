//! Where the outside test data lies: the folder named by `WAXWING_SUITES`, else `../shared/suites`
//! beside the workspace. The data is other projects' and is not part of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of one suite, or `None`, said aloud, when it is not there.
pub fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WAXWING_SUITES")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"));
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no suite at {}; set WAXWING_SUITES to where it is", folder.display());
    None
}

/// An archive of a suite, unpacked below the target directory; `None`, said aloud, without it.
#[allow(dead_code)] // Not every test file unpacks.
pub fn unpacked(suite: &str, archive: &str) -> Option<PathBuf> {
    let archive = folder(suite)?.join(archive);
    let name = archive.file_name()?.to_str()?.trim_end_matches(".tar.xz").to_owned();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&target).expect("the target directory is ours");
    let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&target).status();
    match status {
        Ok(status) if status.success() => Some(target),
        other => {
            eprintln!("SKIPPED: tar cannot unpack {}: {other:?}", archive.display());
            None
        }
    }
}

/// Every file below `folder` with one of the endings, in order.
#[allow(dead_code)] // Not every test file walks.
pub fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable suite") {
            let path = entry.expect("a readable suite").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|e| path.to_string_lossy().ends_with(e)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
