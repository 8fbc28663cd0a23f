//! A connection that speaks in lines, plain or TLS, and knows nothing of what is said on it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// No reply of a healthy server takes longer, even when the machine is busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// While one becomes the other.
    Nothing,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::Nothing => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<Stream>,
}

impl Wire {
    /// Connects.
    pub fn connect(to: SocketAddr) -> io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream: BufReader::new(Stream::Plain(stream)) })
    }

    /// Connects, TLS from the first byte.
    pub fn connect_tls(to: SocketAddr, client: &Arc<ClientConfig>, name: &str) -> io::Result<Wire> {
        let mut wire = Wire::connect(to)?;
        wire.start_tls(client, name)?;
        Ok(wire)
    }

    /// Goes over to TLS and completes the handshake.
    pub fn start_tls(&mut self, client: &Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let left = self.stream.buffer().len();
        assert_eq!(left, 0, "the server spoke in plain text after its last reply");
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(client.clone(), name).map_err(io::Error::other)?;
        let Stream::Plain(plain) = std::mem::replace(self.stream.get_mut(), Stream::Nothing) else {
            return Err(io::Error::other("not a plain connection"));
        };
        let mut tls = StreamOwned::new(session, plain);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        *self.stream.get_mut() = Stream::Tls(Box::new(tls));
        Ok(())
    }

    /// How long reading waits.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(patience))
    }

    /// The certificate that the server showed.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        match self.stream.get_ref() {
            Stream::Tls(tls) => Some(tls.conn.peer_certificates()?.first()?.as_ref().to_vec()),
            _ => None,
        }
    }

    /// Sends octets.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        match self.stream.get_mut() {
            Stream::Plain(stream) => stream.write_all(octets.as_ref()),
            Stream::Tls(stream) => {
                stream.write_all(octets.as_ref())?;
                stream.flush()
            }
            Stream::Nothing => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Closes the sending side.
    pub fn finish(&mut self) -> io::Result<()> {
        self.socket().shutdown(std::net::Shutdown::Write)
    }

    /// Reads a line, without its CRLF. The end of the stream is an error.
    pub fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            let rest = String::from_utf8_lossy(&line).into_owned();
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed: {rest:?}")));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// Reads exactly so many octets.
    pub fn exactly(&mut self, octets: usize) -> io::Result<Vec<u8>> {
        let mut all = vec![0; octets];
        self.stream.read_exact(&mut all)?;
        Ok(all)
    }

    /// Reads until the server closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            // Without close_notify, or reset after the last words: closed all the same.
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                Err(error)
            }
            _ => Ok(all),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self.stream.get_ref() {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
            Stream::Nothing => unreachable!("only inside start_tls"),
        }
    }
}
