//! The process itself: its user, its folders, how many files it may open.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::User;
use tracing::warn;

use crate::config::Config;

/// Files that are open beside connections: the database, its readers, spools, outbound connections.
const RESERVED_FILES: u64 = 256;

/// Raises the limit of open files as far as it may be raised; gives what it is now.
pub fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1_024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// Memory in pages of ordinary size. The allocator asks for huge ones, of which an idle server that
/// has touched a few octets keeps two megabytes each; a kernel that knows no such wish is no loss.
pub fn keep_pages_small() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// As many connections as were asked for, or as there can be files.
pub fn connections_within(files: u64, wanted: usize) -> usize {
    // Some connections have a spool beside their socket.
    let possible =
        usize::try_from(files.saturating_sub(RESERVED_FILES) / 4 * 3).unwrap_or(usize::MAX).max(16);
    if possible < wanted {
        warn!(
            "only {possible} connections at once, not {wanted}: the system allows {files} open files (LimitNOFILE of the service)"
        );
    }
    possible.min(wanted)
}

/// Makes the data folder and the folders in it, readable by us alone.
pub fn prepare_data_folder(config: &Config) -> Result<()> {
    for folder in ["spool", "tls"] {
        let folder = config.data.join(folder);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(())
}

fn find_user(name: &str) -> Result<User> {
    User::from_name(name)
        .ok()
        .flatten()
        .with_context(|| format!("there is no user {name:?}: make one with `useradd --system {name}`, or change `user` in the configuration"))
}

/// Gives what belongs to root, `levels` deep, to the user. Links are not followed.
fn hand_over(path: &Path, user: &User, levels: u32) -> std::io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    if found.uid() == 0 && !found.is_symlink() {
        std::os::unix::fs::lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    if found.is_dir() && levels > 0 {
        for entry in std::fs::read_dir(path)? {
            hand_over(&entry?.path(), user, levels - 1)?;
        }
    }
    Ok(())
}

/// Ports below 1024 need root; reading strangers' mail does not. What root has made in the data
/// folder becomes the user's.
pub fn become_user(config: &Config) -> Result<()> {
    let Some(name) = &config.user else { return Ok(()) };
    let user = find_user(name)?;
    if user.uid == nix::unistd::geteuid() {
        return Ok(());
    }
    hand_over(&config.data, &user, 2)
        .with_context(|| format!("cannot hand {} over to {name}", config.data.display()))?;
    privdrop::PrivDrop::default().user(name).apply().with_context(|| {
        format!("cannot become the user {name:?}: the server must be started by root for that")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        assert_eq!(connections_within(1_024, 10_000), 576);
        assert_eq!(connections_within(1 << 20, 10_000), 10_000);
        assert_eq!(connections_within(0, 10_000), 16);
    }

    #[test]
    fn what_root_made_is_handed_over() {
        if !nix::unistd::geteuid().is_root() {
            // Only root can give files away: there is nothing to try.
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let text = format!(
            "hostname='mx.example.org'\ndata={:?}\n[tls]\nself-signed=true\n",
            data.display().to_string()
        );
        let config = Config::parse(&text, Path::new("x")).unwrap();
        prepare_data_folder(&config).unwrap();
        let nobody = find_user("nobody").unwrap();
        hand_over(&data, &nobody, 2).unwrap();
        for path in [data.clone(), data.join("spool"), data.join("tls")] {
            assert_eq!(std::fs::metadata(path).unwrap().uid(), nobody.uid.as_raw());
        }
    }
}
