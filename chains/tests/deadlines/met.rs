//! What comes before the deadline does: the end of the block or of the frame, a result, an error.

use std::io::Write;

use chainring_chains::{Chain, Flow};
use chainring_runtime::{time, yield_now};

use super::{MS, SECOND, alone, deadline, held_back, start};
use crate::common::one::{Notes, chain, mark, note};
use crate::common::{held, soon};

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
            held_back(&runtime, "recv", || far.write_all(b"abc").expect("send")).await;
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
        held_back(&runtime, "recv", || drop(far)).await;
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
