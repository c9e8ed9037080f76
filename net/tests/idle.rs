//! What a connection costs while nothing happens on it: resident memory of a server with many of them, the clients
//! being processes of their own.
//!
//! 1,000 connections; with `CHAINRING_LONG=1` 10,000. With `CHAINRING_SANITIZED`, which `.ci/sanitize` sets, the figure is
//! printed and not judged: most of it is then the sanitizer's shadow memory and quarantine.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use chainring_net::TcpListener;
use chainring_runtime::buf::{BufferPool, PoolOptions};
use chainring_runtime::{spawn, spawn_blocking};
use common::{any_port, run};
use futures::StreamExt;

/// Connections of one client process.
const EACH: usize = 2500;

#[test]
fn idle_connections_cost_less_than_two_kibibytes_with_a_pool() {
    let wanted = if std::env::var_os("CHAINRING_LONG").is_some() { 10_000 } else { 1000 };
    let most = usize::try_from(raise_limit()).unwrap_or(usize::MAX).saturating_sub(200);
    if most < wanted {
        println!("only {most} connections: more descriptors are not allowed");
    }
    let connections = wanted.min(most);
    let per_connection = run(async || measure(connections).await);
    if std::env::var_os("CHAINRING_SANITIZED").is_none() {
        assert!(per_connection < 2048, "{per_connection} bytes a connection");
    }
}

async fn measure(connections: usize) -> usize {
    let listener = TcpListener::bind(any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    let pool = PoolOptions::new().buffer_size(4096).ready(64).build().unwrap();
    // What the first connections allocate for good is not the matter.
    let mut first = Clients::start(address, 64);
    accept(&listener, 64, &pool).await;
    first = spawn_blocking(move || first.talk()).await.unwrap();

    let before = resident();
    let counts = (0..connections).step_by(EACH).map(|done| EACH.min(connections - done));
    let mut clients: Vec<_> = counts.map(|count| Clients::start(address, count)).collect();
    accept(&listener, connections, &pool).await;
    let idle = (resident() - before) / connections;
    println!("{connections} idle connections, awaited on a pool: {idle} resident bytes each");
    for group in &mut clients {
        let taken = std::mem::replace(group, Clients::none());
        *group = spawn_blocking(move || taken.talk()).await.unwrap();
    }
    let after = (resident() - before) / connections;
    println!("after each has been answered once: {after}; {:?}", pool.usage());
    drop((clients, first));
    idle.max(after)
}

/// Takes so many connections, each with a task that echoes.
async fn accept(listener: &TcpListener, connections: usize, pool: &BufferPool) {
    let mut incoming = listener.incoming().take(connections);
    while let Some(stream) = incoming.next().await {
        let (stream, pool) = (stream.unwrap(), pool.clone());
        drop(spawn(async move {
            loop {
                match stream.read_pooled(&pool).await {
                    Ok(bytes) if bytes.is_empty() => return,
                    Ok(bytes) => {
                        if stream.write_all(bytes).await.0.is_err() {
                            return;
                        }
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => pool.available().await,
                    Err(_) => return,
                }
            }
        }));
    }
    // Let the tasks begin to wait.
    for _ in 0..connections.div_ceil(16) {
        chainring_runtime::yield_now().await;
    }
}

/// The resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Allows this process, and its children, as many descriptors as it may have.
fn raise_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a pointer to a local structure.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    limit.rlim_cur
}

/// A process with many connections; it ends when this is dropped.
struct Clients(Option<(Child, ChildStdin, BufReader<ChildStdout>)>);

impl Clients {
    fn none() -> Clients {
        Clients(None)
    }

    fn start(address: SocketAddr, connections: usize) -> Clients {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "clients_in_a_process_of_their_own", "--nocapture"])
            .env("CHAINRING_CLIENTS", format!("{address} {connections}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Clients(Some((child, stdin, BufReader::new(stdout))))
    }

    /// Has every connection be answered once.
    fn talk(mut self) -> Clients {
        let (_, stdin, stdout) = self.0.as_mut().unwrap();
        writeln!(stdin, "talk").unwrap();
        let mut lines = stdout.lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "answered"), "the clients gave up");
        self
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        if let Some((mut child, stdin, _)) = self.0.take() {
            drop(stdin);
            let _ = child.wait();
        }
    }
}

/// Not a test of its own: what [`Clients::start`] runs.
#[test]
fn clients_in_a_process_of_their_own() {
    let Ok(order) = std::env::var("CHAINRING_CLIENTS") else { return };
    let (address, connections) = order.split_once(' ').unwrap();
    let connections: usize = connections.parse().unwrap();
    let mut streams: Vec<_> = (0..connections).map(|_| TcpStream::connect(address).unwrap()).collect();
    for line in std::io::stdin().lines() {
        assert_eq!(line.unwrap(), "talk");
        for stream in &mut streams {
            stream.write_all(b"ping").unwrap();
        }
        for stream in &mut streams {
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"ping");
        }
        println!("\nanswered");
    }
}
