//! What the tests of chains share: a core beside its clients, peers that misbehave, and a look at the process.

#![allow(dead_code, reason = "every test file has its own copy of this module and uses a part of it")]

pub(crate) mod both;
pub(crate) mod framed;
pub(crate) mod one;
pub(crate) mod refused;
pub(crate) mod several;

use std::future::{Future, IntoFuture};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as Client};
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::{Builder, Runtime, time};
use futures::channel::oneshot;
use futures::future::{Either, select};

/// No single wait of a client or of a core takes longer, or the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The long runs are asked for with `CHAINRING_LONG=1`: the full numbers, instead of those that fit a debug build.
pub(crate) fn scaled(normal: usize, long: usize) -> usize {
    if std::env::var_os("CHAINRING_LONG").is_some_and(|value| value == "1") { long } else { normal }
}

/// Ends the process if the test that holds it takes too long: a wait that never ends is a failure with a name, and
/// not a job that somebody has to kill.
pub(crate) struct Watchdog {
    done: Option<std::sync::mpsc::Sender<()>>,
}

pub(crate) fn watchdog(limit: Duration) -> Watchdog {
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs: it was to end within {limit:?}");
            std::process::abort();
        }
    });
    Watchdog { done: Some(done) }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.take();
    }
}

/// A core whose clock the test moves, and an end for a test that hangs.
pub(crate) fn held() -> (Watchdog, Runtime) {
    (watchdog(Duration::from_secs(60)), Builder::new().hold_clock(true).build().expect("a ring"))
}

/// A listener on a port of its own.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("bind");
    let address = listener.local_addr().expect("local address");
    (listener, address)
}

/// A client's connection: blocking, but not for ever.
pub(crate) fn connect(address: SocketAddr) -> Client {
    patient(Client::connect(address).expect("connect"))
}

pub(crate) fn patient(client: Client) -> Client {
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    client.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    client.set_nodelay(true).expect("nodelay");
    client
}

/// Both ends of a connection: one for a frame, one for the test.
pub(crate) fn pair() -> (TcpStream, Client) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let client = connect(listener.local_addr().expect("local address"));
    let (accepted, _) = listener.accept().expect("accept");
    accepted.set_nodelay(true).expect("nodelay");
    (TcpStream::from_std(accepted), client)
}

/// Closes a connection with a reset instead of an end of the stream.
pub(crate) fn reset(client: Client) {
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(client);
}

/// Runs `server` on this thread's core for as long as `clients` run on another thread, and gives what they give.
pub(crate) fn beside<T: Send>(
    runtime: &Runtime,
    server: impl IntoFuture<Output = io::Result<()>>,
    clients: impl FnOnce() -> T + Send,
) -> T {
    let (done, ended) = oneshot::channel::<()>();
    thread::scope(|scope| {
        let clients = scope.spawn(move || {
            // Dropped in any case, by a panic too: the core then stops.
            let _done = done;
            clients()
        });
        runtime.block_on(async {
            let server = pin!(server.into_future());
            match select(server, ended).await {
                Either::Left((ended, _)) => panic!("the server has ended: {ended:?}"),
                Either::Right(_) => {}
            }
        });
        clients.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs the core, with what is spawned on it, for as long as `clients` run on another thread.
pub(crate) fn run_beside<T: Send>(runtime: &Runtime, clients: impl FnOnce() -> T + Send) -> T {
    beside(runtime, std::future::pending(), clients)
}

/// Runs the core until `condition` holds.
pub(crate) fn until(runtime: &Runtime, what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    runtime.block_on(async {
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Awaits `future`, but not for ever.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match select(pin!(future), pin!(time::sleep(PATIENCE))).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("waited in vain for {what}"),
    }
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    // One of them is that of the directory, while it is read.
    std::fs::read_dir("/proc/self/fd").expect("/proc").count() - 1
}

/// Worker threads that io_uring has started in this process (`iou-wrk-*`): what a dangling link would need.
pub(crate) fn workers() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("iou-wrk")).collect()
}
