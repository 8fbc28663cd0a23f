//! A client that compresses (RFC 4978), with another's DEFLATE streams at its end.

mod support;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use support::{Client, World, message};

/// The client's two streams.
struct Packed {
    client: Client,
    compress: Compress,
    decompress: Decompress,
    heard: Vec<u8>,
}

impl Packed {
    async fn send(&mut self, text: &[u8]) {
        let mut packed = Vec::with_capacity(text.len() + 1000);
        self.compress.compress_vec(text, &mut packed, FlushCompress::Sync).expect("it compresses");
        self.client.send(packed).await;
    }

    /// All up to and with a line that begins so; what came after it stays for the next time.
    async fn until(&mut self, start: &str) -> String {
        loop {
            let mut ends_at = 0;
            for line in self.heard.split_inclusive(|octet| *octet == b'\n') {
                ends_at += line.len();
                if line.starts_with(start.as_bytes()) && line.ends_with(b"\r\n") {
                    let text = self.heard.drain(..ends_at).collect();
                    return String::from_utf8(text).expect("ASCII");
                }
            }
            let packed = self.client.octets(1).await;
            let mut piece = Vec::with_capacity(64 * 1024);
            self.decompress
                .decompress_vec(&packed, &mut piece, FlushDecompress::Sync)
                .expect("the server compresses");
            self.heard.extend(piece);
        }
    }
}

async fn packed(world: &World) -> Packed {
    let mut client = world.client().await;
    let refused = client.command("COMPRESS GZIP").await;
    assert!(refused[0].contains(" BAD "), "{refused:?}");
    client.ok("COMPRESS DEFLATE").await;
    let compress = Compress::new(Compression::default(), false);
    Packed { client, compress, decompress: Decompress::new(false), heard: Vec::new() }
}

#[tokio::test]
async fn both_directions() {
    let world = World::new().await;
    let mut plain = world.client().await;
    let large = [message("large"), b"0123456789abcdef\r\n".repeat(20_000)].concat();
    plain.append("INBOX", &large).await;
    let mut packed = packed(&world).await;
    packed.send(b"a SELECT INBOX\r\nb FETCH 1 BODY.PEEK[]\r\n").await;
    assert!(packed.until("a ").await.contains("* 1 EXISTS\r\n"));
    let fetched = packed.until("b OK").await;
    assert!(fetched.contains(&String::from_utf8_lossy(&large).into_owned()));
    // A message goes the other way.
    packed.send(format!("c APPEND INBOX {{{}+}}\r\n", large.len()).as_bytes()).await;
    packed.send(&[&large[..], b"\r\nd IDLE\r\n"].concat()).await;
    assert!(packed.until("c ").await.contains("c OK"));
    // News come while it waits.
    plain.append("INBOX", &message("news")).await;
    assert!(packed.until("* 3 EXISTS").await.contains("* 3 EXISTS"));
    packed.send(b"DONE\r\ne COMPRESS DEFLATE\r\nf LOGOUT\r\n").await;
    let end = packed.until("f OK").await;
    assert!(end.contains("d OK") && end.contains("e BAD"), "{end}");
}

/// What is not DEFLATE ends the session, and no more comes of it.
#[tokio::test]
async fn nonsense() {
    let world = World::new().await;
    let mut packed = packed(&world).await;
    packed.client.send([0xff; 64]).await;
    packed.client.server.await.expect("the session does not fail");
}

/// A million zeros are one command that is too long, and not a million octets of memory.
#[tokio::test]
async fn a_bomb() {
    let world = World::new().await;
    let mut packed = packed(&world).await;
    packed.send(&[b'a'; 900_000]).await;
    let end = packed.until("* BYE").await;
    assert!(end.contains("[TOOBIG]"), "{end}");
}
