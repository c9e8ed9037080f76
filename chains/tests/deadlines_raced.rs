//! Deadlines in a hurry: under traffic, just before and just after what they bound, and many of them. None strikes a block
//! that was left, and none of the requests to cancel that belong to it reaches what the frame does afterwards.
//!
//! `CHAINRING_LONG=1` runs ten times as many.

mod common;

use std::cell::Cell;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::TcpStream as Client;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Init, Lowering, Program, Reg, Socket};
use chainring_runtime::time::{self, sleep};
use chainring_runtime::{Builder, Capability, Runtime, yield_now};
use common::one::{Notes, chain, note};
use common::{pair, scaled, soon, watchdog};

const FRAMES: usize = 32;

struct Storm {
    program: Program<Notes>,
    sock: Socket,
    gate: Socket,
    time: Reg,
}

/// Segments of four members on one socket until the deadline, and a receive on another one afterwards.
fn storm(lowering: Lowering) -> Storm {
    let (program, (sock, gate, time)) = chain(|c: &mut Chain<Notes>| {
        c.lowering(lowering);
        let (sock, gate, time, errno) = (c.socket(), c.socket(), c.param(), c.reg());
        let (data, byte) = (c.buffer(64), c.buffer(1));
        c.attempt(|c| {
            c.within(time, |c| {
                c.repeat(|c| {
                    c.recv_exact(sock, data.range(..24));
                    c.recv_exact(sock, data.range(24..));
                    c.send_all(sock, data.range(..40));
                    c.send_all(sock, data.range(40..));
                });
            });
        })
        .on_error(errno, |c| {
            note(c, errno);
            c.recv_exact(gate, byte.all());
        });
        (sock, gate, time)
    });
    Storm { program, sock, gate, time }
}

/// Keeps every socket supplied with bytes in pieces of random size, and takes whatever comes back.
fn traffic(peers: &mut [Client], stop: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(1);
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

fn deadlines_under_traffic(builder: &Builder, lowering: Lowering, times: usize) {
    let _watchdog = watchdog(Duration::from_secs(120));
    let runtime = builder.build().expect("a ring");
    let Storm { program, sock, gate, time } = storm(lowering);
    let (streams, mut peers): (Vec<_>, Vec<_>) = (0..FRAMES).map(|_| pair()).unzip();
    let (stop, cancelled) = (AtomicBool::new(false), Rc::new(Cell::new(0)));
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(&mut peers, &stop));
        let kept = runtime.block_on(async {
            let spawner = program.start(FRAMES as u32).expect("it starts");
            let tasks: Vec<_> = (streams.into_iter().enumerate())
                .map(|(i, mut stream)| {
                    let (spawner, mut random) = (spawner.clone(), fastrand::Rng::with_seed(i as u64));
                    let cancelled = cancelled.clone();
                    chainring_runtime::spawn(async move {
                        let (mut near, mut far) = pair();
                        for _ in 0..times {
                            let time_is_up = random.u64(1..3_000_000);
                            let handle = spawner.spawn(Notes::new(), |frame: &mut Init<'_, '_>| {
                                frame.socket(sock, stream).socket(gate, near).set(time, time_is_up);
                            });
                            let handle = handle.expect("there is room");
                            let is_cancelled = random.u8(..4) == 0;
                            if is_cancelled {
                                // Before, at, or after its deadline.
                                sleep(Duration::from_nanos(random.u64(time_is_up / 2..2 * time_is_up))).await;
                                handle.cancel();
                            } else {
                                sleep(Duration::from_nanos(time_is_up) + Duration::from_millis(1)).await;
                                far.write_all(b"!").expect("send");
                            }
                            let mut exit = soon("the frame to end", handle).await;
                            match exit.result {
                                Err(error) if is_cancelled => {
                                    assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
                                    cancelled.set(cancelled.get() + 1);
                                }
                                result => result.expect("the handler is left alone"),
                            }
                            assert!(is_cancelled || exit.session == [libc::ETIMEDOUT as u64]);
                            stream = exit.sockets.take(sock).expect("the socket comes back");
                            near = exit.sockets.take(gate).expect("the other one, too");
                        }
                        stream
                    })
                })
                .collect();
            // Until the traffic ends, which takes a peer that is gone for an error.
            let mut kept = Vec::new();
            for task in tasks {
                kept.push(task.await.expect("no frame fails"));
            }
            let counters = spawner.counters();
            assert_eq!(counters.cancelled, cancelled.get());
            assert!(counters.deadlines + counters.cancelled >= (FRAMES * times) as u64, "{counters:?}");
            assert!(cancelled.get() > 0 && counters.deadlines > cancelled.get(), "{counters:?}");
            kept
        });
        stop.store(true, Ordering::Relaxed);
        traffic.join().expect("the traffic goes on");
        drop(kept);
    });
    assert_eq!(runtime.metrics().timers, 0);
}

#[test]
fn deadlines_under_traffic_strike_once_and_harm_nothing_behind_them() {
    let times = scaled(100, 1000);
    deadlines_under_traffic(&Builder::new(), Lowering::Chosen, times);
    deadlines_under_traffic(&Builder::new(), Lowering::Single, times / 4);
    deadlines_under_traffic(&Builder::new().mask(Capability::SkipSuccess), Lowering::Chosen, times / 4);
}

#[test]
fn answers_that_come_at_about_the_deadline_are_received_once() {
    let _watchdog = watchdog(Duration::from_secs(120));
    let runtime = Runtime::new().expect("a ring");
    let times = scaled(10_000, 100_000) / FRAMES;
    let (program, (sock, turns)) = chain(|c: &mut Chain<Notes>| {
        let (sock, turns, turn, late, errno) = (c.socket(), c.param(), c.reg(), c.reg(), c.reg());
        let (request, answer) = (c.buffer(8), c.buffer(8));
        c.set(turn, 0);
        c.set(late, 0);
        c.repeat(|c| {
            c.when(turn.eq(turns), |c| c.leave());
            c.set(turn, turn + 1);
            c.store(request, 0, chainring_chains::Order::Be64, turn);
            c.send_all(sock, request.all());
            c.attempt(|c| {
                c.within(Duration::from_millis(1), |c| {
                    c.recv_exact(sock, answer.all());
                });
            })
            .on_error(errno, |c| {
                c.ensure(errno.eq(libc::ETIMEDOUT as u64), libc::EPROTO);
                c.set(late, late + 1);
                c.recv_exact(sock, answer.all());
            });
            c.ensure(answer.be64(0).eq(turn), libc::EPROTO);
        });
        note(c, late);
        (sock, turns)
    });
    let (streams, peers): (Vec<_>, Vec<_>) = (0..FRAMES).map(|_| pair()).unzip();
    let answers = || {
        std::thread::scope(|scope| {
            for (i, mut peer) in peers.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(i as u64);
                    let mut request = [0; 8];
                    while peer.read_exact(&mut request).is_ok() {
                        std::thread::sleep(Duration::from_micros(random.u64(500..1500)));
                        peer.write_all(&request).expect("send");
                    }
                });
            }
        });
    };
    let mut handles = Vec::new();
    runtime.block_on(async {
        let spawner = program.start(FRAMES as u32).expect("it starts");
        for stream in streams {
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.socket(sock, stream).set(turns, times as u64);
            });
            handles.push(handle.expect("there is room"));
        }
    });
    let ends = std::thread::scope(|scope| {
        let answers = scope.spawn(answers);
        let ends = runtime.block_on(futures::future::join_all(handles.into_iter().map(|handle| async {
            let exit = handle.await;
            exit.result.expect("every answer is received, once");
            exit.session[0]
        })));
        runtime.block_on(yield_now());
        answers.join().expect("the peers see the end");
        ends
    });
    let late: u64 = ends.iter().sum();
    assert!(late > 0, "none was late: nothing was tested");
}

#[test]
fn a_block_is_left_a_moment_before_its_deadline_and_nothing_strays() {
    let _watchdog = watchdog(Duration::from_secs(120));
    let runtime = Builder::new().hold_clock(true).build().expect("a ring");
    let (program, (sock, pause, turns)) = chain(|c: &mut Chain<Notes>| {
        let (sock, pause, turns, turn) = (c.socket(), c.param(), c.param(), c.reg());
        let (errno, late, byte) = (c.reg(), c.reg(), c.buffer(1));
        c.set(turn, 0);
        c.set(late, 0);
        c.set(errno, 0);
        c.repeat(|c| {
            c.when(turn.eq(turns), |c| c.leave());
            c.set(turn, turn + 1);
            c.attempt(|c| {
                c.within(1000, |c| c.sleep(pause));
            })
            .on_error(errno, |c| c.set(late, late + 1));
            // In flight when the deadline would have been due.
            c.recv_exact(sock, byte.all());
        });
        note(c, late);
        (sock, pause, turns)
    });
    let times = scaled(3_400, 34_000) as u64;
    for (nanoseconds, are_late) in [(999, 0), (1000, 0), (1001, times)] {
        let (near, mut far) = pair();
        runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.socket(sock, near).set(pause, nanoseconds).set(turns, times);
            });
            let handle = handle.expect("there is room");
            for _ in 0..times {
                time::advance(Duration::from_nanos(2000)).await;
                far.write_all(b".").expect("send");
                yield_now().await;
            }
            let exit = soon("the frame to end", handle).await;
            exit.result.expect("the receive is outside of the block");
            assert_eq!(exit.session, [are_late], "a pause of {nanoseconds} ns in a block of 1000");
            assert_eq!(runtime.metrics().timers, 0);
        });
    }
}

#[test]
fn a_hundred_thousand_deadlines_cost_no_submission() {
    let _watchdog = watchdog(Duration::from_secs(120));
    let runtime = Builder::new().hold_clock(true).build().expect("a ring");
    let (frames, turns) = (scaled(10_000, 100_000) as u64, 10);
    let (program, ()) = chain(|c: &mut Chain<()>| {
        let (turn, errno) = (c.reg(), c.reg());
        c.set(turn, 0);
        c.repeat(|c| {
            // Set and reset, and then one that strikes.
            c.within(Duration::from_secs(5), |c| c.set(turn, turn + 1));
            c.when(turn.eq(turns), |c| c.leave());
        });
        c.attempt(|c| c.within(Duration::from_secs(5), |c| c.sleep(Duration::from_secs(60))))
            .on_error(errno, |_| {});
    });
    runtime.block_on(async {
        let spawner = program.start(frames as u32).expect("it starts");
        yield_now().await;
        let before = runtime.metrics();
        let handles: Vec<_> =
            (0..frames).map(|_| spawner.spawn((), |_| {}).expect("there is room")).collect();
        time::advance(Duration::from_secs(1)).await;
        assert_eq!(runtime.metrics().timers, 2 * frames, "a deadline and a sleep each");
        time::advance(Duration::from_secs(10)).await;
        for handle in handles {
            handle.await.result.expect("it is handled");
        }
        let after = runtime.metrics();
        assert_eq!(after.submitted, before.submitted);
        assert_eq!((after.timers, after.timers_fired), (0, frames));
        assert_eq!(spawner.counters().deadlines, frames);
    });
}
