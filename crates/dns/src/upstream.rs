//! Whom the resolver asks: name servers that are given, or those of a `resolv.conf`, as that file is
//! now. Networks change under a running program (DHCP, a VPN, a resolver that moves), so the file is
//! looked at again before questions leave, every few seconds at most. A file that cannot be read, or
//! names nobody, changes nothing: the last name servers that were named are asked on.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::FirstAnswer;
use hickory_resolver::net::{DnsHandle, NetError, RetryDnsHandle};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::Instant;

use crate::resolver::{DnssecMode, ResolverError, ResolverOptions};

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameServers {
    /// Those of `/etc/resolv.conf`, as it is at the time.
    System,
    /// Those of another file in its format, as it is at the time.
    File(PathBuf),
    /// These, in this order.
    These(Vec<SocketAddr>),
}

/// The file of [`NameServers::System`].
const SYSTEM: &str = "/etc/resolv.conf";
/// How long a file may have changed before that is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

type Pool = RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>;

enum Handle {
    Plain(Pool),
    Validating(Box<DnssecDnsHandle<Pool>>),
}

impl Handle {
    fn new(
        servers: Vec<NameServerConfig>,
        options: &ResolverOptions,
    ) -> Result<Handle, ResolverError> {
        let validate = options.dnssec == DnssecMode::Validate;
        let mut wire = ResolverOpts::default();
        wire.timeout = options.timeout;
        wire.attempts = options.retries;
        wire.edns0 = true;
        wire.validate = validate;
        wire.use_hosts_file = ResolveHosts::Never;
        wire.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        wire.num_concurrent_reqs = 1;
        let tls = TlsConfig::new().map_err(|error| ResolverError::Hickory(error.to_string()))?;
        let context = Arc::new(PoolContext::new(wire, tls));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        let pool = RetryDnsHandle::new(pool, options.retries);
        if !validate {
            return Ok(Handle::Plain(pool));
        }
        let anchors = trust_anchors(options.trust_anchors.as_deref())?;
        Ok(Handle::Validating(Box::new(DnssecDnsHandle::with_trust_anchor(pool, anchors))))
    }
}

/// The name servers of the moment, ready to be asked.
pub(crate) struct Upstream {
    file: Option<PathBuf>,
    current: Mutex<Current>,
}

struct Current {
    handle: Arc<Handle>,
    named: Vec<IpAddr>,
    /// The file as it was when last looked at.
    mark: Option<Mark>,
    looked_at: Instant,
}

/// What changes when a file is written or put in another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size_octets: u64,
    changed: (i64, i64),
}

impl Mark {
    fn of(file: &Path) -> Option<Mark> {
        let seen = std::fs::metadata(file).ok()?;
        let changed = (seen.ctime(), seen.ctime_nsec());
        Some(Mark { inode: seen.ino(), size_octets: seen.len(), changed })
    }
}

impl Upstream {
    /// Opens no socket before the first question.
    pub fn new(asked: NameServers, options: &ResolverOptions) -> Result<Upstream, ResolverError> {
        let (file, these) = match asked {
            NameServers::System => (Some(PathBuf::from(SYSTEM)), Vec::new()),
            NameServers::File(file) => (Some(file), Vec::new()),
            NameServers::These(these) => (None, these),
        };
        let mark = file.as_deref().and_then(Mark::of);
        let servers: Vec<_> = match &file {
            Some(file) => read(file)?,
            None => these.into_iter().map(name_server).collect(),
        };
        if servers.is_empty() {
            return Err(ResolverError::NoNameServers);
        }
        let named = addresses(&servers);
        let handle = Arc::new(Handle::new(servers, options)?);
        let current = Current { handle, named, mark, looked_at: Instant::now() };
        Ok(Upstream { file, current: Mutex::new(current) })
    }

    /// One question to them.
    pub async fn ask(
        &self,
        query: Query,
        options: DnsRequestOptions,
        settings: &ResolverOptions,
    ) -> Result<DnsResponse, NetError> {
        match &*self.current(settings, Instant::now()) {
            Handle::Plain(pool) => pool.lookup(query, options).first_answer().await,
            Handle::Validating(pool) => pool.lookup(query, options).first_answer().await,
        }
    }

    fn current(&self, settings: &ResolverOptions, now: Instant) -> Arc<Handle> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file
            && now.duration_since(current.looked_at) >= LOOK_EVERY
        {
            current.looked_at = now;
            current.look_again(file, settings);
        }
        current.handle.clone()
    }
}

impl Current {
    fn look_again(&mut self, file: &Path, settings: &ResolverOptions) {
        let mark = Mark::of(file);
        if mark == self.mark {
            return;
        }
        self.mark = mark;
        let changed = match read(file) {
            Ok(servers) if addresses(&servers) == self.named => return,
            Ok(servers) => {
                let named = addresses(&servers);
                Handle::new(servers, settings).map(|handle| (named, handle))
            }
            Err(error) => Err(error),
        };
        match changed {
            Ok((named, handle)) => {
                tracing::info!(file = %file.display(), ?named, "other name servers from now on");
                (self.named, self.handle) = (named, Arc::new(handle));
            }
            Err(error) => {
                let file = file.display();
                tracing::warn!(%file, %error, "the last name servers are asked on");
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<NameServerConfig>, ResolverError> {
    let wrong = |why: String| ResolverError::System(format!("{}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let (config, _) = hickory_resolver::system_conf::parse_resolv_conf(text)
        .map_err(|error| wrong(error.to_string()))?;
    let servers = config.name_servers().to_vec();
    if servers.is_empty() { Err(wrong("none are named".to_owned())) } else { Ok(servers) }
}

fn addresses(servers: &[NameServerConfig]) -> Vec<IpAddr> {
    servers.iter().map(|server| server.ip).collect()
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

fn trust_anchors(file: Option<&Path>) -> Result<Arc<TrustAnchors>, ResolverError> {
    let Some(file) = file else { return Ok(Arc::new(TrustAnchors::default())) };
    let wrong = |why: String| ResolverError::TrustAnchors(file.to_owned(), why);
    let anchors = TrustAnchors::from_file(file).map_err(|error| wrong(error.to_string()))?;
    // Without any, everything would be taken for unsigned or false.
    if anchors.is_empty() { Err(wrong("there are none".to_owned())) } else { Ok(Arc::new(anchors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_changes_is_read_again_and_one_that_is_broken_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        std::fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        let options = ResolverOptions::default();
        let upstream = Upstream::new(NameServers::File(file.clone()), &options).unwrap();
        let mut now = Instant::now();
        let mut asked_after = |secs| {
            now += Duration::from_secs(secs);
            upstream.current(&options, now);
            let named = upstream.current.lock().unwrap().named.clone();
            named.iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        std::fs::write(&file, "search x.test\nnameserver 192.0.2.22\nnameserver ::1\n").unwrap();
        assert_eq!(asked_after(1), ["192.0.2.1"]);
        assert_eq!(asked_after(5), ["192.0.2.22", "::1"]);
        std::fs::write(&file, "# being written\n").unwrap();
        assert_eq!(asked_after(5), ["192.0.2.22", "::1"]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(asked_after(5), ["192.0.2.22", "::1"]);
        std::fs::write(&file, "nameserver 192.0.2.3\n").unwrap();
        assert_eq!(asked_after(5), ["192.0.2.3"]);
    }

    #[tokio::test]
    async fn nobody_to_ask_is_said_at_once() {
        let options = ResolverOptions::default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let refused =
            |servers| Upstream::new(servers, &options).err().expect("refused").to_string();
        assert!(refused(NameServers::File(file.clone())).contains("resolv.conf"));
        std::fs::write(&file, "search x.test\n").unwrap();
        assert!(refused(NameServers::File(file)).contains("no nameservers"));
        assert_eq!(refused(NameServers::These(Vec::new())), "no name servers were given");
    }
}
