//! Telling the client that long work goes on (RFC 9585): `* OK [INPROGRESS ("a1" 400 90000)] …`.

use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{Connection, Lost};

/// RFC 9585 §4: about so often.
const EVERY: Duration = Duration::from_secs(10);

/// One command's.
pub struct Progress<'t> {
    tag: &'t str,
    goal: u32,
    told_at: Instant,
}

impl Progress<'_> {
    /// The work begins.
    pub fn new(tag: &str, goal: u32) -> Progress<'_> {
        Progress { tag, goal, told_at: Instant::now() }
    }

    /// So much is done: said at once, if it is time to say something.
    pub async fn tell(&mut self, connection: &mut Connection<'_>, done: u32) -> Result<(), Lost> {
        if self.told_at.elapsed() < EVERY || done >= self.goal {
            return Ok(());
        }
        self.told_at = Instant::now();
        let out = &mut connection.out;
        out.raw("* OK [INPROGRESS (").string(self.tag.as_bytes()).raw(" ").number(done);
        out.raw(" ").number(self.goal).raw(")] Still at it\r\n");
        connection.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::sync::watch;

    #[tokio::test(start_paused = true)]
    async fn now_and_then() {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let (_stop, stopped) = watch::channel(false);
        let mut connection = Connection::new(&mut near, stopped, Duration::from_secs(1));
        let mut progress = Progress::new("a\"1", 100);
        for done in [10, 20, 30] {
            progress.tell(&mut connection, done).await.unwrap();
            tokio::time::advance(Duration::from_secs(6)).await;
        }
        progress.tell(&mut connection, 100).await.unwrap(); // the tagged response says it
        drop(connection);
        drop(near);
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "* OK [INPROGRESS (\"a\\\"1\" 30 100)] Still at it\r\n");
    }
}
