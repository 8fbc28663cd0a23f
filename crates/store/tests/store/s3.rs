//! Blobs in a store that speaks S3: against a small one of our own, which knows the requests
//! that are made and keeps everything in memory. It checks no signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(blobs_live_in_s3);

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    /// By upload, then by part.
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Requests still to be answered with 503.
    failing: u32,
}

async fn serve() -> (String, Arc<Mutex<Bucket>>) {
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let served = bucket.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let bucket = served.clone();
            tokio::spawn(async move { while_open(stream, &bucket).await });
        }
    });
    (endpoint, bucket)
}

async fn while_open(stream: TcpStream, bucket: &Mutex<Bucket>) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if read.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            lines.iter().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        read.read_exact(&mut body).await.ok()?;
        let mut words = lines[0].split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (status, head, body) =
            bucket.lock().unwrap().answer(method, target, header("range").as_deref(), body);
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"e\"\r\n\
             Last-Modified: Fri, 21 Nov 2025 10:00:00 GMT\r\n{head}\r\n",
            body.len()
        );
        write.write_all(answer.as_bytes()).await.ok()?;
        write.write_all(&body).await.ok()?;
    }
}

impl Bucket {
    fn answer(
        &mut self,
        method: &str,
        target: &str,
        range: Option<&str>,
        body: Vec<u8>,
    ) -> (&'static str, String, Vec<u8>) {
        let none = String::new;
        if self.failing > 0 {
            self.failing -= 1;
            return ("503 Slow Down", none(), Vec::new());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let name = path.trim_start_matches("/mail").trim_start_matches('/').to_owned();
        let param = |key: &str| {
            let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
        };
        match (method, param("uploadId")) {
            ("POST", None) if param("delete").is_some() => {
                let xml = String::from_utf8_lossy(&body).into_owned();
                let keys = xml.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
                let deleted = keys.map(|(key, _)| {
                    self.objects.remove(key);
                    format!("<Deleted><Key>{key}</Key></Deleted>")
                });
                let xml = format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>());
                ("200 OK", none(), xml.into())
            }
            ("POST", None) => {
                self.uploads.insert(name.clone(), BTreeMap::new());
                let xml = "<InitiateMultipartUploadResult><UploadId>u</UploadId>\
                    </InitiateMultipartUploadResult>";
                ("200 OK", none(), xml.into())
            }
            ("PUT", Some(_)) => {
                let part = param("partNumber").and_then(|n| n.parse().ok()).unwrap_or(0);
                self.uploads.entry(name).or_default().insert(part, body);
                ("200 OK", none(), Vec::new())
            }
            ("POST", Some(_)) => {
                let parts = self.uploads.remove(&name).unwrap_or_default();
                let sizes: Vec<usize> = parts.values().map(Vec::len).collect();
                // S3 refuses small parts before the last.
                if sizes.iter().rev().skip(1).any(|size| *size < 5 << 20) {
                    return ("400 Bad Request", none(), b"EntityTooSmall".to_vec());
                }
                self.objects.insert(name, parts.into_values().flatten().collect());
                let xml = "<CompleteMultipartUploadResult><ETag>e</ETag>\
                    </CompleteMultipartUploadResult>";
                ("200 OK", none(), xml.into())
            }
            ("PUT", None) => {
                self.objects.insert(name, body);
                ("200 OK", none(), Vec::new())
            }
            ("GET", _) if param("list-type").is_some() => {
                ("200 OK", none(), self.list(&param("prefix").unwrap_or_default()))
            }
            ("GET", _) => self.get(&name, range),
            _ => ("405 Method Not Allowed", none(), Vec::new()),
        }
    }

    fn list(&self, prefix: &str) -> Vec<u8> {
        let prefix = prefix.replace("%2F", "/");
        let found = self.objects.iter().filter(|(name, _)| name.starts_with(&prefix));
        let items = found.map(|(name, octets)| {
            format!(
                "<Contents><Key>{name}</Key><Size>{}</Size><ETag>e</ETag>\
                 <LastModified>2025-11-21T10:00:00.000Z</LastModified></Contents>",
                octets.len()
            )
        });
        format!("<ListBucketResult>{}</ListBucketResult>", items.collect::<String>()).into()
    }

    fn get(&self, name: &str, range: Option<&str>) -> (&'static str, String, Vec<u8>) {
        let Some(octets) = self.objects.get(name) else {
            return ("404 Not Found", String::new(), Vec::new());
        };
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((from, to)) = range else {
            return ("200 OK", String::new(), octets.clone());
        };
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(octets.len(), |to: usize| (to + 1).min(octets.len()));
        let head = format!("Content-Range: bytes {from}-{}/{}\r\n", to - 1, octets.len());
        ("206 Partial Content", head, octets[from..to].to_vec())
    }
}

async fn blobs_live_in_s3(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let (endpoint, bucket) = serve().await;
    let options = [
        ("aws_endpoint", endpoint.as_str()),
        ("aws_allow_http", "true"),
        ("aws_region", "nowhere"),
        ("aws_access_key_id", "a"),
        ("aws_secret_access_key", "b"),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let open = async |options| {
        let folder = world.folder.path().into();
        let blobs = Some(("s3://mail/waxwing/one".to_owned(), options));
        Store::open_with(OpenSettings { blobs, ..settings(&world.url, folder, "s3") }, CHEAP).await
    };
    let wrong = open(vec![("aws_nonsense".to_owned(), "x".to_owned())]).await;
    assert!(matches!(wrong, Err(OpenError::Url { .. })));
    let store = open(options).await.unwrap();

    // A short one (tried again when S3 is busy), and one of several parts.
    bucket.lock().unwrap().failing = 2;
    let short = mail("short", "x");
    let mut long = vec![0; 13_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut long);
    for octets in [&short, &long] {
        let blob = store.stage_bytes(octets.clone()).await.unwrap();
        store.append(inbox, vec![of_blob(blob)]).await.unwrap();
    }
    let names: Vec<String> = bucket.lock().unwrap().objects.keys().cloned().collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.starts_with("waxwing/one/")), "{names:?}");
    let content = store.content(inbox, Uid(1)).await.unwrap().unwrap();
    assert_eq!(content.read_all().await.unwrap(), short);
    let content = store.content(inbox, Uid(2)).await.unwrap().unwrap();
    assert!(content.read_all().await.unwrap() == long);
    assert_eq!(content.read(6_000_000, 9).await.unwrap(), long[6_000_000..6_000_009]);

    // Objects that no row names, and rows that nobody needs, go.
    store.stage_bytes(b"orphan".to_vec()).await.unwrap();
    assert_eq!(store.sweep_objects(now()).await.unwrap(), 1);
    store.expunge(inbox, &[Uid(2)]).await.unwrap();
    let later = now() + std::time::Duration::from_secs(86_400);
    assert_eq!(store.sweep_blobs(later).await.unwrap(), 1);
    assert_eq!(bucket.lock().unwrap().objects.len(), 1);
    world.check_invariants().await;

    // Lost objects are damage, and said so.
    bucket.lock().unwrap().objects.clear();
    let content = store.content(inbox, Uid(1)).await.unwrap().unwrap();
    assert!(matches!(content.read_all().await, Err(StoreError::Damaged(_))));
}
