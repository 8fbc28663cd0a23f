//! Clients that wait: what each costs, and how soon it hears.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::letters::Letters;
use super::servers::Server;
use super::session::Session;
use crate::measure::median;

/// Deliveries for the measure of latency, and the time between two.
const DELIVERIES: u32 = 500;
const EVERY: Duration = Duration::from_millis(20);
/// Logins at once while connections are opened.
const AT_ONCE: usize = 16;

/// What idle connections cost.
#[derive(Debug, Default, Serialize)]
pub struct Memory {
    pub connections: usize,
    /// Resident, of all processes, by which it grew for each. Shared pages are divided.
    pub octets_each: f64,
}

/// From the final dot of a delivery to the news of it.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    pub deliveries: usize,
    pub median_ms: f64,
    pub p99_ms: f64,
}

/// Opens TLS connections that IDLE in INBOX, and looks at the server before and after.
pub async fn memory(server: &Server, connections: usize) -> Result<Memory> {
    // What the first sessions need is not counted for each.
    let connector = connector();
    let first = waiting(server, &connector).await?;
    server.rest().await;
    let before = server.memory().pss;
    let mut open = Vec::with_capacity(connections);
    while open.len() < connections {
        let some = AT_ONCE.min(connections - open.len());
        let opening = (0..some).map(|_| waiting(server, &connector));
        open.extend(all(opening).await?);
    }
    server.rest().await;
    let after = server.memory().pss;
    drop((first, open));
    let octets_each = after.saturating_sub(before) as f64 / connections as f64;
    Ok(Memory { connections, octets_each })
}

async fn all<T: 'static>(
    futures: impl Iterator<Item = impl Future<Output = Result<T>>>,
) -> Result<Vec<T>> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        let mut at = 0;
        while at < pending.len() {
            match pending[at].as_mut().poll(context) {
                std::task::Poll::Ready(result) => {
                    drop(pending.swap_remove(at));
                    done.push(result);
                }
                std::task::Poll::Pending => at += 1,
            }
        }
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().collect()
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn waiting(server: &Server, connector: &TlsConnector) -> Result<Session<Tls>> {
    let tcp = TcpStream::connect(server.imaps).await?;
    let name = ServerName::try_from("mx.bench.test")?;
    let tls = connector.connect(name, tcp).await.context("TLS")?;
    let mut session = Session::over(tls, &server.account()).await?;
    session.command("SELECT INBOX").await?;
    session.idle().await?;
    Ok(session.rest())
}

/// Delivers letters at a steady pace, and hears of each in another session.
pub async fn latency(server: &Server, letters: &Letters) -> Result<Latency> {
    let mut listener = Session::login(server.imap, &server.account()).await?;
    let opened = listener.command("SELECT INBOX").await?;
    let exists = opened.text.lines().find_map(exists_of).context("no EXISTS")?;
    listener.idle().await?;
    let mut sender = Lmtp::connect(server, &server.account().address).await?;
    let (mut dots, mut news) = (Vec::new(), Vec::new());
    let sending = async {
        for number in 0..DELIVERIES {
            let started = Instant::now();
            sender.deliver(&letters.letter(1_000_000 + number)).await?;
            dots.push(sender.dot);
            tokio::time::sleep(EVERY.saturating_sub(started.elapsed())).await;
        }
        anyhow::Ok(())
    };
    let hearing = async {
        let mut text = String::new();
        while news.len() < DELIVERIES as usize {
            text.push_str(&String::from_utf8_lossy(listener.heard().await?));
            let heard = text.lines().filter_map(exists_of).max().unwrap_or(exists) - exists;
            news.resize(news.len().max(heard as usize), Instant::now());
            // The last line may go on.
            text.drain(..text.rfind('\n').map_or(0, |at| at + 1));
        }
        anyhow::Ok(())
    };
    tokio::try_join!(sending, hearing)?;
    let millis = |(dot, heard): (&Instant, &Instant)| {
        heard.saturating_duration_since(*dot).as_secs_f64() * 1000.0
    };
    let mut times: Vec<f64> = dots.iter().zip(&news).map(millis).collect();
    times.sort_by(f64::total_cmp);
    let p99_ms = times[times.len() * 99 / 100];
    Ok(Latency { deliveries: times.len(), median_ms: median(&times), p99_ms })
}

fn exists_of(line: &str) -> Option<u32> {
    line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok()
}

/// A sender by LMTP (RFC 2033).
struct Lmtp {
    stream: BufStream<TcpStream>,
    to: String,
    /// When the end of the last letter had been written.
    dot: Instant,
}

impl Lmtp {
    async fn connect(server: &Server, to: &str) -> Result<Lmtp> {
        let tcp = TcpStream::connect(server.lmtp).await?;
        tcp.set_nodelay(true)?;
        let (stream, dot) = (BufStream::new(tcp), Instant::now());
        let mut sender = Lmtp { stream, to: to.to_owned(), dot };
        sender.expect('2').await?;
        sender.say("LHLO bench.test\r\n", '2').await?;
        Ok(sender)
    }

    async fn deliver(&mut self, letter: &[u8]) -> Result<()> {
        self.say("MAIL FROM:<sender@sender.test>\r\n", '2').await?;
        let to = format!("RCPT TO:<{}>\r\n", self.to);
        self.say(&to, '2').await?;
        self.say("DATA\r\n", '3').await?;
        self.stream.write_all(letter).await?;
        self.stream.write_all(b".\r\n").await?;
        self.stream.flush().await?;
        self.dot = Instant::now();
        self.expect('2').await
    }

    async fn say(&mut self, line: &str, expected: char) -> Result<()> {
        self.stream.write_all(line.as_bytes()).await?;
        self.stream.flush().await?;
        self.expect(expected).await
    }

    async fn expect(&mut self, expected: char) -> Result<()> {
        loop {
            let mut line = String::new();
            ensure!(self.stream.read_line(&mut line).await? > 0, "LMTP ended");
            ensure!(line.starts_with(expected), "LMTP: {}", line.trim());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

fn connector() -> TlsConnector {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// The bench made the certificates itself.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
