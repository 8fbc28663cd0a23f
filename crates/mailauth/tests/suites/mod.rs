//! Where the outside test data lies: the folder named by `WAXWING_SUITES`, else `../shared/suites`
//! beside the workspace. The data is other projects' and is not part of this repository.

use std::path::{Path, PathBuf};

/// The folder of one suite.
pub fn folder(name: &str) -> PathBuf {
    let root = std::env::var_os("WAXWING_SUITES")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"));
    let folder = root.join(name);
    assert!(folder.is_dir(), "no suite at {}; set WAXWING_SUITES to where it is", folder.display());
    folder
}
