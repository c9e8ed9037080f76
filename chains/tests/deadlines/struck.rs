//! Where a deadline strikes, what is counted and handled then, and of several which.

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::Chain;
use chainring_runtime::{time, yield_now};

use super::{MS, SECOND, alone, deadline, start};
use crate::common::one::{Notes, chain, mark, note};
use crate::common::{held, pair, soon};

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
