//! Blocks with a deadline: when it strikes, where, and what is left of it afterwards. On a clock that the test moves.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{Chain, ChainError, ChainHandle, ErrorKind, Flow, Init, Program, Socket, Spawner};
use chainring_runtime::{Builder, Runtime, time, yield_now};
use common::one::{Notes, chain, mark, note};
use common::{Watchdog, pair, soon, watchdog};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn held() -> (Watchdog, Runtime) {
    (watchdog(60 * SECOND), Builder::new().hold_clock(true).build().expect("a ring"))
}

fn deadline<T>(result: Result<T, ChainError>) -> u32 {
    let error = result.err().expect("its time is up");
    assert!(matches!(error.kind(), ErrorKind::Deadline), "{error}");
    error.step()
}

/// A frame of a program with one socket, started, and what starts it.
fn start<S: 'static>(program: &Program<S>, session: S, sock: Socket) -> (Spawner<S>, ChainHandle<S>, Client) {
    let (near, far) = pair();
    let spawner = program.start(1).expect("it starts");
    let handle = spawner.spawn(session, |frame| {
        frame.socket(sock, near);
    });
    (spawner, handle.expect("there is room"), far)
}

/// Runs a frame without sockets to its end, with as much time as it wants. Says how much that was.
fn alone(
    program: &Program<Notes>,
    init: impl FnOnce(&mut Init<'_, '_>),
) -> (Notes, Result<(), ChainError>, Duration) {
    let (_watchdog, runtime) = held();
    runtime.block_on(async {
        let (spawner, began) = (program.start(1).expect("it starts"), time::now());
        let handle = spawner.spawn(Notes::new(), init).expect("there is room");
        let mut handle = Box::pin(handle);
        let exit = loop {
            time::advance(MS).await;
            if let std::task::Poll::Ready(exit) = futures::poll!(&mut handle) {
                break exit;
            }
        };
        assert_eq!(runtime.metrics().timers, 0, "an alarm has outlived its frame");
        (exit.session, exit.result, time::now() - began)
    })
}

#[test]
fn a_peer_that_sends_a_byte_a_second_fails_at_the_deadline_of_the_whole() {
    let (_watchdog, runtime) = held();
    let (program, (sock, body)) = chain(|c: &mut Chain<()>| {
        let (sock, len, head, body) = (c.socket(), c.reg(), c.buffer(4), c.buffer(64));
        c.within(10 * SECOND, |c| {
            c.recv_exact(sock, head.all());
            c.set(len, head.be32(0));
            c.recv_exact(sock, body.to(len));
        });
        (sock, 4)
    });
    runtime.block_on(async {
        let (_spawner, handle, mut far) = start(&program, (), sock);
        time::advance(Duration::ZERO).await;
        // No single step takes long: it is the block that does.
        for byte in [0, 0, 0, 64].into_iter().chain(4..10) {
            far.write_all(&[byte]).expect("send");
            time::advance(SECOND - MS).await;
            assert!(!handle.is_finished(), "after {byte} bytes");
            time::advance(MS).await;
        }
        assert_eq!(deadline(soon("the deadline", handle).await.result), body);
        assert_eq!(runtime.metrics().timers, 0);
    });
}

#[test]
fn what_was_transferred_when_the_deadline_struck_is_counted() {
    let (_watchdog, runtime) = held();
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, n, m, errno) = (c.socket(), c.reg(), c.reg(), c.reg());
        let (head, gap, body) = (c.buffer(100), c.buffer(1), c.buffer(16 << 20));
        c.store(head, 0, chainring_chains::Order::U8, 7);
        c.store(gap, 0, chainring_chains::Order::U8, 8);
        c.store(body, 0, chainring_chains::Order::U8, 9);
        c.set(m, body.capacity());
        c.set(n, 5);
        c.attempt(|c| {
            c.within(SECOND, |c| {
                c.recv_exact(sock, head.all()).into(n);
            });
        })
        .on_error(errno, |c| note(c, n));
        c.attempt(|c| {
            c.within(SECOND, |c| {
                // Two members, of which the peer takes the first and a part of the second.
                c.send_all(sock, [head.all(), body.to(m)]).into(n);
            });
        })
        .on_error(errno, |c| {
            note(c, n);
            note(c, errno);
        });
        sock
    });
    let notes = runtime.block_on(async {
        let (spawner, handle, mut far) = start(&program, Notes::new(), sock);
        far.write_all(b"abc").expect("send");
        time::advance(SECOND).await;
        time::advance(SECOND).await;
        let exit = soon("the frame to end", handle).await;
        exit.result.expect("both are handled");
        drop(exit.sockets);
        yield_now().await;
        assert_eq!(spawner.counters().deadlines, 2);
        (exit.session, far)
    });
    drop(runtime);
    let (notes, mut far) = notes;
    let mut received = Vec::new();
    // Some of what was sent was never asked for by the frame, so the connection is reset behind it.
    let _ = far.read_to_end(&mut received);
    assert_eq!(notes[0], 3, "of the head");
    assert_eq!(notes[2], libc::ETIMEDOUT as u64);
    assert!(notes[1] > 100 && notes[1] < 16 << 20, "{} bytes", notes[1]);
    assert_eq!(received.len() as u64, notes[1]);
}

#[test]
fn a_handler_around_the_block_runs_without_its_deadline() {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let errno = c.reg();
        c.attempt(|c| c.within(5 * MS, |c| c.sleep(SECOND))).on_error(errno, |c| {
            note(c, errno);
            c.sleep(50 * MS);
            mark(c, 1);
        });
        mark(c, 2);
    });
    let (notes, result, took) = alone(&program, |_| {});
    result.expect("it is handled");
    assert_eq!(notes, [libc::ETIMEDOUT as u64, 1, 2]);
    assert_eq!(took, 55 * MS);
}

#[test]
fn a_loop_inside_that_handles_its_errors_ends_with_the_deadline() {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let errno = c.reg();
        c.set(errno, 0);
        c.within(5 * MS, |c| {
            c.repeat(|c| {
                c.attempt(|c| {
                    c.sleep(2 * MS);
                    c.ensure(errno.eq(1), libc::EAGAIN);
                })
                .on_error(errno, |c| note(c, errno));
            });
        });
    });
    let (notes, result, took) = alone(&program, |_| {});
    assert_eq!(notes, [libc::EAGAIN as u64; 2]);
    assert_eq!((deadline(result), took), (5, 5 * MS), "in its third sleep");
}

/// Two blocks, one in the other. Notes how they are left.
fn nested(outer: Duration, inner: Duration) -> (Notes, Duration) {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let errno = c.reg();
        c.attempt(|c| {
            c.within(outer, |c| {
                c.attempt(|c| c.within(inner, |c| c.sleep(SECOND))).on_error(errno, |c| {
                    mark(c, 1);
                    c.sleep(SECOND);
                });
                mark(c, 2);
            });
        })
        .on_error(errno, |c| mark(c, 3));
    });
    let (notes, result, took) = alone(&program, |_| {});
    result.expect("it is handled");
    (notes, took)
}

#[test]
fn of_nested_deadlines_the_earlier_one_comes_first_and_each_is_its_own() {
    // The handler of the inner one is bounded by the outer one.
    assert_eq!(nested(9 * MS, 5 * MS), (vec![1, 3], 9 * MS));
    // The outer one leads past it.
    assert_eq!(nested(5 * MS, 9 * MS), (vec![3], 5 * MS));
    assert_eq!(nested(5 * MS, 5 * MS), (vec![3], 5 * MS));
}

#[test]
fn every_turn_of_a_loop_has_its_own_time() {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let (i, errno) = (c.reg(), c.reg());
        c.set(i, 0);
        c.repeat(|c| {
            c.set(i, i + 1);
            c.when(i.gt(5), |c| c.leave());
            c.attempt(|c| {
                c.within(10 * MS, |c| {
                    c.when(i.eq(3), |c| c.again());
                    c.sleep(i * 3_000_000);
                    note(c, i);
                });
            })
            .on_error(errno, |c| {
                c.set(errno, i + 10);
                note(c, errno);
            });
        });
    });
    let (notes, result, took) = alone(&program, |_| {});
    result.expect("it leaves the loop");
    assert_eq!(notes, [1, 2, 14, 15]);
    assert_eq!(took, (3 + 6 + 10 + 10) * MS);
}

#[test]
fn a_loop_without_io_is_bounded() {
    let (_watchdog, runtime) = held();
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let (i, errno) = (c.reg(), c.reg());
        c.set(i, 0);
        c.attempt(|c| c.within(5 * MS, |c| c.repeat(|c| c.set(i, i + 1))))
            .on_error(errno, |c| note(c, errno));
    });
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |_| {}).expect("there is room");
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!handle.is_finished());
        time::advance(5 * MS).await;
        let exit = soon("the deadline", handle).await;
        exit.result.expect("it is handled");
        assert_eq!(exit.session, [libc::ETIMEDOUT as u64]);
    });
}

#[test]
fn the_time_may_be_in_a_register_and_none_is_up_at_once() {
    let (program, (sock, time)) = chain(|c: &mut Chain<Notes>| {
        let (sock, time, data) = (c.socket(), c.param(), c.buffer(1));
        c.within(time, |_| {});
        mark(c, 1);
        c.within(time + 1_000_000, |c| mark(c, 2));
        c.within(time, |c| {
            c.recv_exact(sock, data.all());
        });
        (sock, time)
    });
    for (after, marks) in [(Duration::ZERO, 6), (7 * MS, 6)] {
        let (near, _far) = pair();
        let (notes, result, took) = alone(&program, |frame| {
            frame.socket(sock, near).set(time, after.as_nanos() as u64);
        });
        assert_eq!((deadline(result), notes, took), (marks, vec![1, 2], after.max(MS)));
    }
}

#[test]
fn a_block_that_is_left_takes_its_deadline_with_it() {
    // Each of these ways leaves it before its time; what comes then takes longer than that.
    type Steps = fn(&mut Chain<Notes>);
    let ways: [Steps; 6] = [
        |c| c.within(5 * MS, |c| mark(c, 0)),
        |c| c.repeat(|c| c.within(5 * MS, |c| c.within(4 * MS, |c| c.leave()))),
        |c| {
            let i = c.reg();
            c.set(i, 0);
            c.repeat(|c| {
                c.when(i.eq(1), |c| c.leave());
                c.within(5 * MS, |c| {
                    c.set(i, 1);
                    c.again();
                });
            });
        },
        |c| {
            let errno = c.reg();
            c.attempt(|c| {
                c.within(5 * MS, |c| {
                    c.set(errno, 0);
                    c.ensure(errno.eq(1), libc::EPROTO);
                });
            })
            .on_error(errno, |_| {});
        },
        |c| {
            let errno = c.reg();
            c.attempt(|c| c.within(5 * MS, |c| c.call((), |_, ()| Flow::fail("no")))).on_error(errno, |_| {});
        },
        |c| c.within(5 * MS, |c| c.within(5 * MS, |c| c.within(5 * MS, |c| c.sleep(MS)))),
    ];
    for (way, steps) in ways.into_iter().enumerate() {
        let (program, ()) = chain(|c| {
            steps(c);
            c.sleep(20 * MS);
            mark(c, 7);
        });
        let (notes, result, took) = alone(&program, |_| {});
        result.unwrap_or_else(|error| panic!("way {way}: {error}"));
        assert_eq!(notes.last(), Some(&7), "way {way}");
        assert!(took >= 20 * MS && took <= 21 * MS, "way {way}");
    }
}

#[test]
fn a_frame_that_ends_inside_of_the_block_leaves_no_alarm() {
    let ends: [fn(&mut Chain<Notes>); 4] = [
        |c| c.finish(),
        |c| c.call((), |_, ()| Flow::Finish),
        |c| c.call((), |_, ()| Flow::fail("no")),
        |c| c.call((), |_, ()| panic!("a panic of the test")),
    ];
    for end in ends {
        // `alone` looks for timers that are left.
        let (program, ()) = chain(|c| c.within(SECOND, |c| c.within(SECOND, end)));
        let (_, _, took) = alone(&program, |_| {});
        assert_eq!(took, MS);
    }
}

#[test]
fn a_result_that_comes_first_stands_and_the_next_step_is_late() {
    let (_watchdog, runtime) = held();
    for last in [true, false] {
        let (program, sock) = chain(|c: &mut Chain<Notes>| {
            let (sock, data, n, errno) = (c.socket(), c.buffer(4), c.reg(), c.reg());
            c.set(n, 0);
            c.attempt(|c| {
                c.within(SECOND, |c| {
                    c.recv(sock, data.all()).into(n);
                    if !last {
                        mark(c, 1);
                    }
                });
                mark(c, 2);
            })
            .on_error(errno, |c| mark(c, 3));
            note(c, n);
            c.sleep(2 * SECOND);
            sock
        });
        runtime.block_on(async {
            let (_spawner, handle, mut far) = start(&program, Notes::new(), sock);
            runtime.handle().injector().delay("recv", 3000, 1);
            time::advance(Duration::ZERO).await;
            far.write_all(b"abc").expect("send");
            // It has arrived, and is held back until the deadline has struck.
            while runtime.handle().injector().held() == 0 {
                yield_now().await;
            }
            time::advance(SECOND).await;
            assert_eq!(runtime.handle().injector().held(), 1, "the deadline was to strike first");
            while runtime.handle().injector().held() > 0 {
                yield_now().await;
            }
            time::advance(2 * SECOND).await;
            let exit = soon("the frame to end", handle).await;
            exit.result.expect("it is handled");
            assert_eq!(exit.session, if last { [2, 3] } else { [3, 3] });
        });
    }
}

#[test]
fn an_error_that_comes_first_stands() {
    let (_watchdog, runtime) = held();
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, data, inner, outer) = (c.socket(), c.buffer(4), c.reg(), c.reg());
        c.attempt(|c| {
            c.within(SECOND, |c| {
                c.attempt(|c| {
                    c.recv_exact(sock, data.all());
                })
                .on_error(inner, |c| note(c, inner));
            });
        })
        .on_error(outer, |c| note(c, outer));
        sock
    });
    runtime.block_on(async {
        let (_spawner, handle, far) = start(&program, Notes::new(), sock);
        runtime.handle().injector().delay("recv", 3000, 1);
        time::advance(Duration::ZERO).await;
        drop(far);
        while runtime.handle().injector().held() == 0 {
            yield_now().await;
        }
        time::advance(SECOND).await;
        assert_eq!(runtime.handle().injector().held(), 1, "the deadline was to strike first");
        let exit = soon("the frame to end", handle).await;
        exit.result.expect("it is handled");
        // Its own handler is told of it, but stands under the deadline too.
        assert_eq!(exit.session, [libc::ETIMEDOUT as u64]);
    });
}

#[test]
fn a_frame_that_finds_no_room_in_the_queue_is_bounded_too() {
    let (_watchdog, runtime) = held();
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, data) = (c.socket(), c.buffer(4));
        c.within(SECOND, |c| {
            c.recv_exact(sock, data.to(2));
            c.recv_exact(sock, data.range(2..));
        });
        sock
    });
    runtime.block_on(async {
        let (spawner, handle, _far) = start(&program, Notes::new(), sock);
        runtime.handle().injector().fill_queue(u32::MAX);
        time::advance(SECOND).await;
        for _ in 0..3 {
            yield_now().await;
        }
        runtime.handle().injector().clear();
        assert!(spawner.counters().parked > 1, "{:?}", spawner.counters());
        assert_eq!(deadline(soon("the deadline", handle).await.result), 2);
    });
}

#[test]
fn a_frame_that_is_cancelled_at_its_deadline_is_cancelled() {
    let (_watchdog, runtime) = held();
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, data, errno) = (c.socket(), c.buffer(4), c.reg());
        c.attempt(|c| {
            c.within(SECOND, |c| {
                c.recv_exact(sock, data.all());
            });
        })
        .on_error(errno, |c| c.sleep(SECOND));
        sock
    });
    runtime.block_on(async {
        for first in [true, false] {
            let (_spawner, handle, _far) = start(&program, Notes::new(), sock);
            time::advance(Duration::ZERO).await;
            if first {
                handle.cancel();
                time::advance(SECOND).await;
            } else {
                // The deadline leads to the handler, where the cancel meets it.
                time::advance(SECOND).await;
                handle.cancel();
            }
            let exit = soon("the frame to end", handle).await;
            let error = exit.result.expect_err("it is cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            yield_now().await;
            assert_eq!(runtime.metrics().timers, 0);
        }
    });
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_a_block_ends_its_frames() {
    let (_watchdog, runtime) = held();
    let ended = std::rc::Rc::new(Cell::new(0));
    struct Session(std::rc::Rc<Cell<u32>>);
    impl Drop for Session {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let (program, sock) = chain(|c: &mut Chain<Session>| {
        let (sock, data, receives) = (c.socket(), c.buffer(4), c.param());
        c.within(SECOND, |c| {
            c.within(SECOND, |c| {
                c.when(receives.eq(1), |c| {
                    c.recv_exact(sock, data.all());
                });
                c.sleep(SECOND);
            });
        });
        (sock, receives)
    });
    let (near, _far) = pair();
    runtime.block_on(async {
        let spawner = program.start(2).expect("it starts");
        let (sock, receives) = sock;
        drop(spawner.spawn(Session(ended.clone()), |frame| {
            frame.socket(sock, near).set(receives, 1);
        }));
        drop(spawner.spawn(Session(ended.clone()), |_| {}));
        time::advance(SECOND / 2).await;
        assert_eq!((ended.get(), runtime.metrics().timers), (0, 5));
    });
    drop(runtime);
    assert_eq!(ended.get(), 2);
}

#[test]
fn a_block_whose_time_or_ways_out_are_wrong_is_refused() {
    let build = |steps: fn(&mut Chain<Notes>)| {
        let mut c = Chain::new("test");
        steps(&mut c);
        c.build().map(drop).expect_err("it is refused").to_string()
    };
    let unwritten = |c: &mut Chain<Notes>| {
        let time = c.reg();
        c.within(time, |c| c.set(time, 1));
    };
    assert_eq!(build(unwritten), "chain test, step 1 (within): register r0 is read before it is written");
    let foreign = |c: &mut Chain<Notes>| {
        let time = Chain::<Notes>::new("another").param();
        c.within(time + 1, |c| c.sleep(1));
    };
    assert_eq!(build(foreign), "chain test, step 1 (within): a handle was made by another builder");
    let outside = |c: &mut Chain<Notes>| c.within(MS, |c| c.again());
    assert_eq!(build(outside), "chain test, step 2 (again): it must stand inside of a repeat");
    let behind = |c: &mut Chain<Notes>| {
        c.repeat(|c| {
            c.within(MS, |c| {
                c.again();
                c.sleep(1);
            });
        });
    };
    assert_eq!(build(behind), "chain test, step 4 (sleep): the step can never be reached");
    // Its deadline may strike before the register is written, and lead to where it is read.
    let handled = |c: &mut Chain<Notes>| {
        let (n, errno) = (c.reg(), c.reg());
        c.attempt(|c| {
            c.within(MS, |c| {
                c.attempt(|c| c.sleep(1)).on_error(errno, |_| {});
                c.set(n, 1);
            });
        })
        .on_error(errno, |c| note(c, n));
    };
    assert_eq!(build(handled), "chain test, step 6 (call): register r0 is read before it is written");
}

#[test]
fn explain_says_where_a_deadline_starts_and_ends() {
    let mut c = Chain::<()>::new("bounded");
    let (sock, data, errno, hello) = (c.accepted(), c.buffer(8), c.reg(), c.constant(b"hello"));
    c.send_all(sock, hello.all());
    c.attempt(|c| {
        c.within(1500 * MS, |c| {
            c.recv_exact(sock, data.to(4));
            c.recv_exact(sock, data.range(4..));
        });
    })
    .on_error(errno, |c| {
        c.send_all(sock, data.all());
    });
    c.send_all(sock, hello.all());
    let program = c.build();
    // What the handler sends may not have come.
    let error = program.expect_err("it is refused").to_string();
    assert_eq!(error, "chain bounded, step 6 (send_all): buffer b0 is read before it is written");

    let mut c = Chain::<()>::new("bounded");
    let (sock, data, errno, hello) = (c.accepted(), c.buffer(8), c.reg(), c.constant(b"hello"));
    c.send_all(sock, hello.all());
    c.attempt(|c| {
        c.within(1500 * MS, |c| {
            c.recv_exact(sock, data.to(4));
            c.recv_exact(sock, data.range(4..));
        });
    })
    .on_error(errno, |c| {
        c.send_all(sock, hello.all());
    });
    c.send_all(sock, hello.all());
    let program = c.build().expect("the chain is right");
    let text = program.explain().to_string();
    for line in [
        "    ends because a deadline starts, and with it a segment\n    then within 1.5s #3; segment 1",
        "    recv_exact #4    s0 -> b0[0..4]                   link skip waitall within #3",
        "    recv_exact #5    s0 -> b0[4..8]                   waitall within #3",
        "    ends because its deadline ends\n    then its deadline ends #3; segment",
    ] {
        assert!(text.contains(line), "{line}\nin {text}");
    }
    let dot = program.explain().dot();
    assert!(
        dot.contains("segment1 -> segment3 [style=dashed]")
            || dot.contains("segment1 -> segment2 [style=dashed]"),
        "{dot}"
    );
}
