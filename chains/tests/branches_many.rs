//! Many frames with branches on one core, cancelled at random moments under traffic: each ends as it must, nothing of it
//! stays behind, and those that nobody cancels do not notice.
//!
//! `CHAINRING_LONG=1` runs a hundred times as many.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Program, Socket, Spawner};
use chainring_net::TcpStream;
use chainring_runtime::time::sleep;
use chainring_runtime::{Builder, Capability, Runtime, spawn, yield_now};
use common::one::{Notes, alone};
use common::{descriptors, pair, scaled, soon, watchdog};

/// Frames at a time, of which each has three connections.
const FRAMES: usize = 16;

/// Turn after turn: a record from each of three connections, and when two have come, one is sent back on each.
fn turns() -> (Program<Notes>, [Socket; 3]) {
    let mut c = Chain::new("turns");
    let (sockets, data) = ([c.socket(), c.socket(), c.socket()], c.buffer(24));
    c.repeat(|c| {
        c.attempt(|c| {
            c.within(Duration::from_millis(2), |c| {
                c.quorum(2, |b| {
                    for (i, socket) in (0..).zip(sockets) {
                        b.branch(|c| {
                            c.recv(socket, data.range(8 * i..8 * i + 8));
                            c.sleep(1);
                            c.recv(socket, data.range(8 * i..8 * i + 8));
                        });
                    }
                });
            });
        });
        c.all(|b| {
            for socket in sockets {
                b.branch(|c| {
                    let text = c.constant(b"eight...");
                    c.send_all(socket, text.to(3));
                    c.send_all(socket, text.range(3..));
                });
            }
        });
    });
    (c.build().expect("the chain is right"), sockets)
}

/// Spawns frames on three connections and cancels each, `times` times over.
async fn cancel_again_and_again(
    spawner: Spawner<Notes>,
    sockets: [Socket; 3],
    mut streams: [TcpStream; 3],
    times: usize,
    cancelled: Rc<Cell<usize>>,
    mut random: fastrand::Rng,
) {
    for _ in 0..times {
        let spawned = spawner.spawn(Notes::new(), |frame| {
            for (socket, stream) in sockets.into_iter().zip(streams) {
                frame.socket(socket, stream);
            }
        });
        let handle = spawned.expect("there is room");
        for _ in 0..random.u8(..6) {
            yield_now().await;
        }
        if random.u8(..3) == 0 {
            sleep(Duration::from_micros(random.u64(..3000))).await;
        }
        handle.cancel();
        let mut exit = soon("a cancelled frame to end", handle).await;
        let error = exit.result.expect_err("it never ends by itself");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        cancelled.set(cancelled.get() + 1);
        streams = sockets.map(|socket| exit.sockets.take(socket).expect("the socket comes back"));
    }
}

/// Keeps every socket supplied with bytes in pieces of random size, and takes whatever comes back.
fn traffic(peers: &mut [Client], stop: &AtomicBool, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut sink, piece) = ([0; 4096], [b'.'; 16]);
    peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("nonblocking"));
    while !stop.load(Ordering::Relaxed) {
        for peer in peers.iter_mut() {
            // Some keep silent for a while.
            if random.u8(..3) > 0 {
                let _ = peer.write(&piece[..random.usize(1..16)]);
            }
            let _ = peer.read(&mut sink);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn frames_with_branches_are_cancelled_at_random_moments() {
    let _alone = alone();
    let _watchdog = watchdog(Duration::from_secs(120));
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let times = scaled(60, 6000);
    for masked in [false, true] {
        let builder = Builder::new();
        let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
        let runtime = builder.build().expect("a ring");
        let (program, sockets) = turns();
        let cancelled = Rc::new(Cell::new(0));
        let stop = AtomicBool::new(false);
        let (near, mut far): (Vec<_>, Vec<_>) = (0..3 * FRAMES).map(|_| pair()).unzip();
        let mut near = near.into_iter();
        let spawner = runtime.block_on(async {
            let spawner = program.start(FRAMES as u32).expect("it starts");
            for i in 0..FRAMES {
                let streams = [(); 3].map(|()| near.next().expect("three each"));
                let random = fastrand::Rng::with_seed(i as u64);
                let (spawner, cancelled) = (spawner.clone(), cancelled.clone());
                drop(spawn(cancel_again_and_again(spawner, sockets, streams, times, cancelled, random)));
            }
            spawner
        });
        std::thread::scope(|scope| {
            scope.spawn(|| traffic(&mut far, &stop, 7));
            common::until(&runtime, "all frames have been cancelled", || cancelled.get() == times * FRAMES);
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(spawner.live(), 0);
        drop(spawner);
        assert_eq!(runtime.metrics().strays, 0);
        assert_eq!(runtime.metrics().lost, 0);
    }
    assert_eq!(descriptors(), before, "open descriptors");
}
