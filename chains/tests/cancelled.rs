//! A hundred thousand segments cancelled under traffic, at moments that a seeded generator picks: none survives, none
//! completes twice, and whoever was not cancelled does not notice.
//!
//! `CHAINRING_LONG=1` runs a million.

mod common;

use std::cell::Cell;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::TcpStream as Client;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Program, Socket, Spawner};
use chainring_net::TcpStream;
use chainring_runtime::time::sleep;
use chainring_runtime::{Builder, Capability, spawn, yield_now};
use common::{pair, run_beside, scaled, soon, watchdog};

/// Sockets that are given to one frame after the other.
const SOCKETS: usize = 64;
/// Connections that run beside them in frames of the same program.
const NEIGHBOURS: usize = 8;

/// Two receives and two sends a turn: a segment of four members, most of the time waiting in one of the first two.
fn echo() -> (Program<Session>, Socket) {
    let mut c = Chain::new("echo in parts");
    let (sock, data) = (c.socket(), c.buffer(64));
    c.repeat(|c| {
        c.recv_exact(sock, data.range(..24)).or_finish();
        c.recv_exact(sock, data.range(24..));
        c.send_all(sock, data.range(..40));
        c.send_all(sock, data.range(40..));
    });
    (c.build().expect("the chain is right"), sock)
}

/// Knows its number, and counts how many of its kind have come to an end.
struct Session {
    number: usize,
    ended: Rc<Cell<usize>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.ended.set(self.ended.get() + 1);
    }
}

/// Spawns frames on one socket and cancels each, `times` times over. Gives the socket back.
async fn cancel_again_and_again(
    spawner: Spawner<Session>,
    socket: Socket,
    mut stream: TcpStream,
    times: usize,
    ended: Rc<Cell<usize>>,
    mut random: fastrand::Rng,
) -> TcpStream {
    for number in 0..times {
        let session = Session { number, ended: ended.clone() };
        let spawned = spawner.spawn(session, |frame| {
            frame.socket(socket, stream);
        });
        let handle = spawned.expect("there is room");
        // Between before it has started and in the midst of the traffic.
        for _ in 0..random.u8(..4) {
            yield_now().await;
        }
        if random.u8(..4) == 0 {
            sleep(Duration::from_micros(random.u64(..1000))).await;
        }
        handle.cancel();
        if random.u8(..8) == 0 {
            // Twice, or after it has ended, is as good as once.
            yield_now().await;
            handle.cancel();
        }
        let mut exit = soon("a cancelled frame to end", handle).await;
        assert_eq!(exit.session.number, number, "the exit is another frame's");
        let error = exit.result.expect_err("it never ends by itself");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        stream = exit.sockets.take(socket).expect("the socket comes back");
    }
    stream
}

/// Keeps every socket supplied with bytes in pieces of random size, and takes whatever comes back.
fn traffic(peers: &mut [Client], stop: &AtomicBool, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut sink, piece) = ([0; 4096], [b'.'; 64]);
    peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("nonblocking"));
    while !stop.load(Ordering::Relaxed) {
        for peer in peers.iter_mut() {
            let results = [peer.write(&piece[..random.usize(1..64)]), peer.read(&mut sink)];
            for error in results.into_iter().filter_map(Result::err) {
                assert_eq!(error.kind(), IoErrorKind::WouldBlock, "{error}");
            }
        }
    }
}

/// Exchanges messages over the sockets of frames that nobody cancels.
fn neighbours(clients: &mut [Client], stop: &AtomicBool, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut exchanged = 0;
    while !stop.load(Ordering::Relaxed) {
        for client in clients.iter_mut() {
            let message: [u8; 64] = std::array::from_fn(|_| random.u8(..));
            client.write_all(&message[..10]).expect("send");
            client.write_all(&message[10..]).expect("send");
            let mut answer = [0; 64];
            client.read_exact(&mut answer).expect("receive");
            assert!(answer == message, "the answer is not the message");
            exchanged += 1;
        }
    }
    exchanged
}

fn storm(builder: &Builder, segments: usize) {
    let runtime = builder.build().expect("a ring");
    let (program, socket) = echo();
    let ended = Rc::new(Cell::new(0));
    let (streams, mut peers): (Vec<_>, Vec<_>) = (0..SOCKETS).map(|_| pair()).unzip();
    let (near, mut clients): (Vec<_>, Vec<_>) = (0..NEIGHBOURS).map(|_| pair()).unzip();
    let times = segments.div_ceil(SOCKETS);
    let stop = AtomicBool::new(false);

    let spawner = runtime.block_on(async { program.start(1000).expect("it starts") });
    let beside: Vec<_> = runtime.block_on(async {
        near.into_iter()
            .map(|stream| {
                let session = Session { number: usize::MAX, ended: ended.clone() };
                spawner
                    .spawn(session, |frame| {
                        frame.socket(socket, stream);
                    })
                    .expect("there is room")
            })
            .collect()
    });
    let mut kept = Vec::new();
    let exchanged = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(&mut peers, &stop, 1));
        let neighbours = scope.spawn(|| neighbours(&mut clients, &stop, 2));
        runtime.block_on(async {
            let tasks: Vec<_> = (streams.into_iter().enumerate())
                .map(|(i, stream)| {
                    let random = fastrand::Rng::with_seed(100 + i as u64);
                    spawn(cancel_again_and_again(
                        spawner.clone(),
                        socket,
                        stream,
                        times,
                        ended.clone(),
                        random,
                    ))
                })
                .collect();
            let _stop = Stop(&stop);
            // Kept open until the traffic has ended.
            for task in tasks {
                kept.push(task.await.expect("no panic"));
            }
        });
        traffic.join().expect("no panic");
        // The neighbours' last exchange needs the core.
        run_beside(&runtime, || neighbours.join().expect("a neighbour was disturbed"))
    });
    assert!(exchanged > NEIGHBOURS, "the neighbours got on: {exchanged} messages");
    assert_eq!(ended.get(), times * SOCKETS, "every session has ended once");
    let submitted = runtime.metrics().submitted;
    assert!(
        submitted > 3 * segments as u64,
        "most were in flight when they were cancelled: {submitted} entries"
    );
    assert!(spawner.counters().segments > segments as u64 / 20, "{:?}", spawner.counters());
    assert_eq!(spawner.counters().cancelled, (times * SOCKETS) as u64);

    drop(clients);
    runtime.block_on(async {
        for handle in beside {
            soon("a neighbour to end", handle).await.result.expect("its stream ends well");
        }
    });
    assert_eq!((spawner.live(), ended.get()), (0, times * SOCKETS + NEIGHBOURS));
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}

struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_thousand_segments_are_cancelled_under_traffic() {
    let _watchdog = watchdog(Duration::from_secs(scaled(300, 3000) as u64));
    storm(&Builder::new(), scaled(100_000, 1_000_000));
}

#[test]
fn segments_are_cancelled_where_every_member_reports() {
    let _watchdog = watchdog(Duration::from_secs(300));
    storm(&Builder::new().mask(Capability::SkipSuccess), scaled(10_000, 100_000));
}

#[test]
fn segments_are_cancelled_in_a_ring_that_is_always_full() {
    let _watchdog = watchdog(Duration::from_secs(300));
    storm(&Builder::new().submission_entries(4), scaled(10_000, 100_000));
}
