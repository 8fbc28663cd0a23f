//! Every transcript in `transcripts/` is followed line by line, under a virtual clock.
//!
//! | line | meaning |
//! |---|---|
//! | `C: text` | the client sends this and CRLF, without waiting |
//! | `C> text` | the client sends this and nothing else |
//! | `S: text` | the server's next line is this; with `…` at the end, it begins so |
//! | `@ directive` | something happens, or is true: see `fake/mod.rs` |
//! | `# text` | says what the transcript is about |

mod fake;

use std::path::Path;

#[tokio::test(start_paused = true)]
async fn every_transcript_is_followed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "the transcripts are missing");
    let mut failures = Vec::new();
    for path in paths {
        let transcript = std::fs::read_to_string(&path).unwrap();
        let followed = tokio::spawn(async move { fake::follow(&transcript).await }).await;
        if followed.is_err() {
            failures.push(path.file_name().unwrap().to_owned());
        }
    }
    assert!(failures.is_empty(), "{failures:?} (see above)");
}
