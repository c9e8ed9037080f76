//! Serving at its limits: fewer frames than clients, no descriptors left, a server that is dropped. Nobody is dropped,
//! and all get their turn.

mod common;

use std::cell::Cell;
use std::future::IntoFuture;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream as Client};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Barrier;
use std::time::Duration;

use chainring_chains::{Chain, Program};
use chainring_runtime::Runtime;
use common::{beside, connect, listener, run_beside, until, watchdog};
use futures::FutureExt;

fn echo<S: 'static>() -> Program<S> {
    let mut c = Chain::new("echo");
    let (sock, data) = (c.accepted(), c.buffer(8));
    c.repeat(|c| {
        c.recv_exact(sock, data.all()).or_finish();
        c.send_all(sock, data.all());
    });
    c.build().expect("the chain is right")
}

fn exchange(client: &mut Client, n: u64) {
    client.write_all(&n.to_be_bytes()).expect("send");
    let mut answer = [0; 8];
    client.read_exact(&mut answer).expect("receive");
    assert_eq!(answer, n.to_be_bytes());
}

/// Notes how many of its kind are alive, and how many there have been at most.
struct Counted(Rc<(Cell<u32>, Cell<u32>)>);

impl Counted {
    fn new(counts: &Rc<(Cell<u32>, Cell<u32>)>) -> Counted {
        counts.0.set(counts.0.get() + 1);
        counts.1.set(counts.1.get().max(counts.0.get()));
        Counted(counts.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// Serves `clients`, all of which connect and speak at once, with `limit` frames. Gives how many were used.
fn in_turn(limit: u32, clients: usize) -> u32 {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let (counts, ended) = (Rc::new((Cell::new(0), Cell::new(0))), Rc::new(Cell::new(0)));
    let server = echo()
        .serve(listener, {
            let counts = counts.clone();
            move |_| Counted::new(&counts)
        })
        .connections(limit)
        .on_exit({
            let ended = ended.clone();
            move |session, result| {
                drop(session);
                result.expect("no connection is broken off");
                ended.set(ended.get() + 1);
            }
        });
    // All are connected before the first one speaks: as many frames as there are have a client then.
    let connected = Barrier::new(clients);
    let connected = &connected;
    beside(&runtime, server, || {
        std::thread::scope(|scope| {
            for i in 0..clients {
                scope.spawn(move || {
                    let mut client = connect(address);
                    connected.wait();
                    for n in 0..5 {
                        exchange(&mut client, (i * 100 + n) as u64);
                    }
                });
            }
        });
    });
    until(&runtime, "every connection has ended", || ended.get() == clients);
    counts.1.get()
}

#[test]
fn fifty_clients_are_served_in_turn_by_four_frames() {
    for _ in 0..10 {
        assert_eq!(in_turn(4, 50), 4, "frames that were used at a time");
    }
}

#[test]
fn a_single_frame_serves_one_after_the_other() {
    assert_eq!(in_turn(1, 20), 1);
    assert_eq!(in_turn(2, 20), 2);
}

#[test]
fn a_hundred_frames_are_filled_and_emptied() {
    // Accepting pauses a little before the last one is taken.
    let most = in_turn(100, 300);
    assert!((94..=100).contains(&most), "{most} frames were used at a time");
}

#[test]
fn a_server_that_is_dropped_accepts_no_more_and_its_connections_go_on() {
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let mut client = beside(&runtime, echo().serve(listener, |_| ()), || {
        let mut client = connect(address);
        exchange(&mut client, 1);
        client
    });
    run_beside(&runtime, || {
        // The listener is closed when the kernel has cancelled the accept, which takes some turns.
        let refused = (2..2000).find_map(|turn| {
            exchange(&mut client, turn);
            Client::connect(address).err()
        });
        let refused = refused.expect("nobody listens any more");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        exchange(&mut client, 3);
    });
}

#[test]
#[should_panic(expected = "chain no socket is served, and has no `accepted()` socket")]
fn a_chain_without_an_accepted_socket_is_not_served() {
    let mut c = Chain::<()>::new("no socket");
    c.finish();
    let program = c.build().expect("the chain is right");
    let (listener, _) = listener();
    let _ = Runtime::new().expect("a ring").block_on(program.serve(listener, |_| ()).into_future());
}

/// Says to the copy of this program that it is the server.
const SERVER: &str = "CHAINRING_TEST_SERVER";
/// Descriptors that the server has for connections.
const SPARE: u64 = 10;

/// A server with hardly any descriptors, until its standard input ends.
fn short_of_descriptors() {
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let (ended, end) = futures::channel::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ended = ended;
        std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input");
    });
    // The lowest number that is vacant, and a few more.
    let next = std::fs::File::open("/dev/null").expect("a descriptor");
    let limit = std::os::fd::AsRawFd::as_raw_fd(&next) as u64 + SPARE;
    drop(next);
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: a local variable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    println!("\nlistening {address}");
    runtime.block_on(async {
        let mut server = std::pin::pin!(echo().serve(listener, |_| ()).into_future().fuse());
        futures::select_biased! {
            result = server => panic!("the server has ended: {result:?}"),
            _ = end.fuse() => {}
        }
    });
}

#[test]
fn a_server_without_descriptors_waits_and_goes_on() {
    if std::env::var_os(SERVER).is_some() {
        return short_of_descriptors();
    }
    let _watchdog = watchdog(Duration::from_secs(60));
    let name = "a_server_without_descriptors_waits_and_goes_on";
    let mut server = Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture"])
        .env(SERVER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second process");
    // Kept to the end: whoever writes to a pipe that nobody reads fails.
    let mut output = BufReader::new(server.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let address: SocketAddr = output
        .find_map(|line| line.strip_prefix("listening ")?.parse().ok())
        .expect("the server says where it listens");

    let mut clients: Vec<_> = (0..4 * SPARE).map(|_| connect(address)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.write_all(&(n as u64).to_be_bytes()).expect("send");
    }
    // All are still connected, so no more can be served than there are descriptors: the others wait.
    std::thread::sleep(Duration::from_millis(200));
    let has_answer = |client: &Client| {
        client.set_nonblocking(true).expect("nonblocking");
        let answered = client.peek(&mut [0; 8]).is_ok();
        client.set_nonblocking(false).expect("blocking");
        answered
    };
    let served = clients.iter().filter(|client| has_answer(client)).count() as u64;
    assert!(served <= SPARE, "{served} clients were served by {SPARE} descriptors: nothing was tested");
    // Whoever has been served makes room for those who wait.
    for (n, mut client) in clients.into_iter().enumerate() {
        let mut answer = [0; 8];
        client.read_exact(&mut answer).expect("nobody is dropped");
        assert_eq!(answer, (n as u64).to_be_bytes());
    }
    // And afterwards all is as before.
    exchange(&mut connect(address), 7);
    drop(server.stdin.take());
    assert!(server.wait().expect("the server ends").success());
}

/// Says to the copy of this program that it has no memory.
const POOR: &str = "CHAINRING_TEST_POOR";

#[test]
fn a_server_without_memory_for_its_first_frames_says_so() {
    if std::env::var_os(POOR).is_some() {
        let limit = libc::rlimit { rlim_cur: 512 << 20, rlim_max: 512 << 20 };
        // SAFETY: a local variable.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) }, 0);
        let mut c = Chain::<()>::new("large");
        let (sock, data) = (c.accepted(), c.buffer(1 << 30));
        c.recv_exact(sock, data.all());
        let program = c.build().expect("the chain is right");
        let (listener, _) = listener();
        let runtime = Runtime::new().expect("a ring");
        let ended = runtime.block_on(program.serve(listener, |_| ()).connections(8).into_future());
        assert_eq!(ended.expect_err("there is no memory").raw_os_error(), Some(libc::ENOMEM));
        return;
    }
    // A sanitizer's own memory does not fit the limit.
    if std::env::var_os("CHAINRING_SANITIZED").is_some() {
        return;
    }
    let _watchdog = watchdog(Duration::from_secs(60));
    let name = "a_server_without_memory_for_its_first_frames_says_so";
    let poor = Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture"])
        .env(POOR, "1")
        .output()
        .expect("a second process");
    assert!(poor.status.success(), "{}", String::from_utf8_lossy(&poor.stderr));
}
