//! Processes that a test starts: servers that live until they are dropped, and programs that run
//! to their end.
//!
//! Two promises. Nothing outlives the test: a daemon is killed when its owner is dropped, and, by
//! way of `setpriv --pdeathsig`, when the whole test process dies. Nothing is silent: when a test
//! panics, what its daemons wrote is printed.
//!
//! The kernel ties `pdeathsig` to the *thread* that started a process, so one thread that never
//! ends starts them all.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use crate::waiting::eventually;

/// How much of a log is printed when a test fails.
const LOG_TAIL_OCTETS: usize = 24_000;

/// Finds a program, or fails saying which Debian package brings it.
pub fn tool(name: &str, package: &str) -> PathBuf {
    let folders = std::env::var("PATH").unwrap_or_default();
    let found = folders
        .split(':')
        .chain(["/usr/sbin", "/usr/bin", "/usr/lib/postgresql/15/bin"])
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed: run `scripts/install journeys`, or `apt-get install {package}`")
    })
}

type Spawn = (Command, Sender<std::io::Result<Child>>);

/// The thread that starts every daemon.
static SPAWNER: LazyLock<Mutex<Sender<Spawn>>> = LazyLock::new(|| {
    let (requests, received) = channel::<Spawn>();
    std::thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for (mut command, reply) in received {
                let _ = reply.send(command.spawn());
            }
        })
        .expect("a thread can be started");
    Mutex::new(requests)
});

fn spawn(command: Command) -> std::io::Result<Child> {
    let (reply, answer) = channel();
    let requests = SPAWNER.lock().expect("nobody panics while sending").clone();
    requests.send((command, reply)).expect("the spawner never ends");
    answer.recv().expect("the spawner always answers")
}

/// A server in its own process, killed on drop.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program` with standard error (and output, unless `stdout` is given) going to `log`.
    pub fn start(
        name: &str,
        program: &Path,
        configure: impl FnOnce(&mut Command),
        log: &Path,
        as_user: Option<&str>,
        stdout: Option<Stdio>,
    ) -> Daemon {
        let mut command = Command::new(tool("setpriv", "util-linux"));
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = as_user {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.arg("--").arg(program);
        configure(&mut command);
        let log_file = File::options().create(true).append(true).open(log);
        let log_file = log_file.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let output = log_file.try_clone().expect("a descriptor");
        command.stdin(Stdio::null()).stderr(log_file).stdout(stdout.unwrap_or(output.into()));
        let child = spawn(command).unwrap_or_else(|error| panic!("{name} cannot start: {error}"));
        Daemon { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The pipe to its standard output, when one was asked for.
    pub fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("started with a pipe, taken once")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by name, such as `HUP`.
    pub fn signal(&self, signal: &str) {
        let line = format!("kill -s {signal} {}", self.pid());
        let status = Command::new("/bin/sh").arg("-c").arg(line).status().expect("sh runs");
        assert!(status.success(), "{}: no such process {}", self.name, self.pid());
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and gives how it did.
    pub fn stop(&mut self, within: Duration) -> ExitStatus {
        self.signal("TERM");
        self.wait(within)
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(within, &format!("{name} to end"), || self.child.try_wait().expect("own child"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let mut from = log.len().saturating_sub(LOG_TAIL_OCTETS);
            while !log.is_char_boundary(from) {
                from += 1;
            }
            eprintln!("---- log of {} ----\n{}\n---- end ----", self.name, &log[from..]);
        }
        self.kill();
    }
}

/// What a program that ran to its end left.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Fails unless it exited 0.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    /// Fails unless it exited with another code than 0 (and was not killed).
    #[track_caller]
    pub fn fails(self) -> Ran {
        assert!(self.code > 0, "expected an error: {self}");
        self
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Both outputs as text.
    pub fn text(&self) -> String {
        self.out() + &String::from_utf8_lossy(&self.stderr)
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`{}` exited {} after {:?}", self.line, self.code, self.took)?;
        writeln!(f, "stdout: {}", self.out())?;
        write!(f, "stderr: {}", String::from_utf8_lossy(&self.stderr))
    }
}

/// Runs a program to its end, with `input` on standard input. Kills it after `within`.
#[track_caller]
pub fn run(mut command: Command, input: &[u8], within: Duration) -> Ran {
    let line = shown(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{line}`: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let (mut stdout, mut stderr) =
        (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program may end without reading everything.
            let _ = stdin.write_all(input);
        });
        let out = scope.spawn(move || read_all(&mut stdout));
        let err = scope.spawn(move || read_all(&mut stderr));
        let status = loop {
            match child.try_wait().expect("own child") {
                Some(status) => break status,
                None if began.elapsed() > within => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let (out, err) = (out.join().unwrap(), err.join().unwrap());
                    panic!(
                        "`{line}` did not end within {within:?}\nstdout: {}\nstderr: {}",
                        String::from_utf8_lossy(&out),
                        String::from_utf8_lossy(&err)
                    );
                }
                None => std::thread::sleep(Duration::from_millis(3)),
            }
        };
        let took = began.elapsed();
        Ran {
            line,
            code: status.code().unwrap_or(-1),
            stdout: out.join().expect("reading does not panic"),
            stderr: err.join().expect("reading does not panic"),
            took,
        }
    })
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = from.read_to_end(&mut all);
    all
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}
