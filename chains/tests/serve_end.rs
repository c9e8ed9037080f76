//! The end of a server: told to stop, drained, dropped; with and without connections, in the midst of a burst of them.

mod common;

use std::cell::{Cell, RefCell};
use std::future::IntoFuture;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Client};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chainring_chains::{Chain, ErrorKind, Program, Serve, ServeControl};
use chainring_runtime::{Runtime, spawn, time, yield_now};
use common::{Watchdog, connect, listener, soon, watchdog};
use futures::FutureExt;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

fn runtime() -> (Watchdog, Runtime) {
    (watchdog(LONG), Runtime::new().expect("a ring"))
}

fn echo() -> Program<()> {
    let mut c = Chain::new("echo");
    let (sock, data) = (c.accepted(), c.buffer(8));
    c.repeat(|c| {
        c.recv_exact(sock, data.all()).or_finish();
        c.send_all(sock, data.all());
    });
    c.build().expect("the chain is right")
}

/// A server, what stops it, and how its connections have ended so far: by themselves, or cancelled.
struct Served {
    server: Serve<()>,
    control: ServeControl,
    address: SocketAddr,
    ends: Rc<(Cell<u32>, Cell<u32>)>,
}

fn served() -> Served {
    let (listener, address) = listener();
    let ends = Rc::new((Cell::new(0), Cell::new(0)));
    let server = echo().serve(listener, |_| ()).on_exit({
        let ends = ends.clone();
        move |(), result| match result {
            Ok(()) => ends.0.set(ends.0.get() + 1),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
                ends.1.set(ends.1.get() + 1);
            }
        }
    });
    let control = server.control();
    Served { server, control, address, ends }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        // Also under a clock that is held.
        let blocking = chainring_runtime::spawn_blocking(|| std::thread::sleep(MS));
        blocking.await.expect("it only sleeps");
    }
}

/// Connections that have a frame each.
async fn connections(served: &ServeControl, address: SocketAddr, count: u32) -> Vec<Client> {
    let clients = (0..count).map(|_| connect(address)).collect();
    until("all have frames", || served.connections() == count).await;
    clients
}

/// Neither answers nor takes anybody: the connection is refused, or broken off.
fn is_turned_away(address: SocketAddr) -> bool {
    Client::connect(address).is_err_and(|error| error.kind() == IoErrorKind::ConnectionRefused)
}

async fn exchanges(mut client: Client) -> Client {
    let exchange = move || {
        client.write_all(b"12345678").expect("send");
        let mut answer = [0; 8];
        client.read_exact(&mut answer).expect("receive");
        assert_eq!(&answer, b"12345678");
        client
    };
    chainring_runtime::spawn_blocking(exchange).await.expect("it is answered")
}

#[test]
fn a_server_that_stops_accepting_serves_its_connections_to_their_end() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, ends } = served();
        let server = spawn(server.into_future());
        let mut clients = connections(&control, address, 3).await;
        control.stop_accepting();
        control.stop_accepting();
        until("nobody listens", || is_turned_away(address)).await;
        let client = exchanges(clients.pop().expect("one of them")).await;
        assert!(!server.is_finished() && control.connections() == 3);
        drop((client, clients));
        soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
        assert_eq!((ends.0.get(), ends.1.get()), (3, 0));
        control.stop_accepting();
        assert_eq!(control.drain(Duration::ZERO).await, 0);
    });
}

#[test]
fn a_server_without_connections_is_drained_at_once() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, .. } = served();
        let server = spawn(server.into_future());
        yield_now().await;
        assert_eq!(soon("the drain", control.drain(LONG)).await, 0);
        assert!(is_turned_away(address));
        soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
    });
}

#[test]
fn a_server_that_is_stopped_before_it_is_awaited_serves_nobody() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, .. } = served();
        let mut client = connect(address);
        assert_eq!(soon("the drain", control.drain(LONG)).await, 0);
        soon("the server to end", server.into_future()).await.expect("it was stopped");
        until("nobody listens", || is_turned_away(address)).await;
        assert!(matches!(client.read(&mut [0]), Err(error) if error.kind() == IoErrorKind::ConnectionReset));

        // Nor does one that is dropped keep anybody waiting.
        let Served { server, control, .. } = served();
        drop(server);
        assert_eq!(soon("the drain", control.drain(LONG)).await, 0);
    });
}

#[test]
fn draining_waits_for_those_who_end_and_cancels_those_who_do_not() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        time::hold();
        let Served { server, control, address, ends } = served();
        let server = spawn(server.into_future());
        let mut clients = connections(&control, address, 5).await;
        let leaving = clients.split_off(3);
        let drain = spawn({
            let control = control.clone();
            async move { control.drain(200 * MS).await }
        });
        time::advance(199 * MS).await;
        assert!(!drain.is_finished());
        drop(leaving);
        until("two have left", || control.connections() == 3).await;
        assert!(!drain.is_finished(), "three are still there");
        time::advance(MS).await;
        assert_eq!(soon("the drain", drain).await.expect("it is not aborted"), 3);
        // When it is over, everybody has been told.
        assert_eq!((ends.0.get(), ends.1.get(), control.connections()), (2, 3, 0));
        soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
        for mut client in clients {
            assert!(matches!(client.read(&mut [0]), Ok(0)), "it is closed");
        }
    });
}

#[test]
fn drained_twice_the_shorter_limit_counts_and_both_wait() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, .. } = served();
        let server = spawn(server.into_future());
        let _clients = connections(&control, address, 4).await;
        let both = futures::future::join(control.drain(LONG), control.drain(10 * MS));
        assert_eq!(soon("both", both).await, (4, 4));
        soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
    });
}

#[test]
fn a_drain_that_is_dropped_midway_cancels_nobody() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        time::hold();
        let Served { server, control, address, ends } = served();
        let server = spawn(server.into_future());
        let clients = connections(&control, address, 2).await;
        let dropped = spawn({
            let control = control.clone();
            async move { time::timeout(20 * MS, control.drain(40 * MS)).await.is_err() }
        });
        time::advance(20 * MS).await;
        assert!(dropped.await.expect("it is not aborted"));
        time::advance(60 * MS).await;
        assert_eq!((control.connections(), ends.1.get()), (2, 0));
        assert!(is_turned_away(address), "but accepting stays stopped");
        drop(clients);
        soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
        assert_eq!(ends.0.get(), 2);
    });
}

#[test]
fn connections_outlive_a_server_that_is_dropped_and_can_still_be_drained() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, ends } = served();
        let server = spawn(server.into_future());
        let mut clients = connections(&control, address, 3).await;
        server.abort();
        assert!(server.await.expect_err("it is aborted").is_cancelled());
        let _client = exchanges(clients.pop().expect("one of them")).await;
        assert_eq!(soon("the drain", control.drain(10 * MS)).await, 3);
        assert_eq!(ends.1.get(), 3);
    });
}

#[test]
fn a_server_that_nobody_polls_can_be_drained() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, .. } = served();
        let mut server = pin!(server.into_future());
        let clients = (0..3).map(|_| connect(address)).collect::<Vec<_>>();
        while control.connections() < 3 {
            assert!(futures::poll!(&mut server).is_pending());
            time::sleep(MS).await;
        }
        // From here on it is stuck.
        assert_eq!(soon("the drain", control.drain(10 * MS)).await, 3);
        soon("the server to end", server).await.expect("it was stopped");
        drop(clients);
    });
}

/// Clients that connect all the time, send a message and wait for the answer, until they are turned away.
fn burst(address: SocketAddr, answered: &AtomicU32, waiting: bool) {
    loop {
        let Ok(mut client) = Client::connect(address) else { return };
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut answer = [0; 8];
        if client.write_all(b"12345678").is_err() || client.read_exact(&mut answer).is_err() {
            // In the queue of a listener that was closed, or cancelled.
            continue;
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if waiting {
            let _ = client.read(&mut answer);
        }
    }
}

#[test]
fn a_burst_of_connections_is_met_by_the_end_of_the_server() {
    for (limit, waiting, frames) in
        [(LONG, false, 1000), (MS, true, 1000), (MS, true, 8), (Duration::ZERO, false, 4)]
    {
        let (_watchdog, runtime) = runtime();
        let Served { server, control, address, ends } = served();
        let server = server.connections(frames);
        let (answered, counts) = (AtomicU32::new(0), RefCell::new(None));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| burst(address, &answered, waiting));
            }
            runtime.block_on(async {
                let server = spawn(server.into_future());
                let enough = if waiting { 4 } else { 100 };
                until("there is a burst", || answered.load(Ordering::Relaxed) >= enough).await;
                let cancelled = soon("the drain", control.drain(limit)).await;
                assert_eq!(control.connections(), 0);
                soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
                assert_eq!(ends.1.get(), cancelled);
                counts.replace(Some(ends.0.get() + ends.1.get()));
            });
            // Its listener is closed with it, or the clients would never end.
            runtime.block_on(async { until("nobody listens", || is_turned_away(address)).await });
        });
        let ended = counts.take().expect("it was drained");
        assert!(ended >= answered.load(Ordering::Relaxed), "more were answered than there were connections");
        let operations = runtime.metrics().operations;
        assert_eq!(operations, 0, "nothing is left in flight");
    }
}

#[test]
fn a_panic_in_the_maker_of_sessions_ends_the_server_and_not_its_drain() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let (listener, address) = listener();
        let made = Cell::new(0);
        let server = echo().serve(listener, move |_| {
            made.set(made.get() + 1);
            assert!(made.get() < 3, "a panic of the test");
        });
        let control = server.control();
        let server = spawn(server.into_future());
        let _clients: Vec<_> = (0..3).map(|_| connect(address)).collect();
        assert!(soon("the server to end", server).await.expect_err("it panics").is_panic());
        assert_eq!(control.connections(), 2);
        assert_eq!(soon("the drain", control.drain(MS)).await, 2);
    });
}

#[test]
fn the_future_of_a_server_may_be_polled_by_another_task_at_any_time() {
    let (_watchdog, runtime) = runtime();
    runtime.block_on(async {
        let Served { server, control, address, .. } = served();
        let mut server = Box::pin(server.into_future().fuse());
        let client = connect(address);
        for _ in 0..5 {
            // In a task of its own each time.
            server = spawn(async move {
                assert!(futures::poll!(&mut server).is_pending());
                time::sleep(MS).await;
                assert!(futures::poll!(&mut server).is_pending());
                server
            })
            .await
            .expect("it is not aborted");
        }
        let server = spawn(server);
        drop(exchanges(client).await);
        assert_eq!(soon("the drain", control.drain(LONG)).await, 0);
        soon("the server to end", server).await.expect("it is not aborted").expect("it was stopped");
    });
}
