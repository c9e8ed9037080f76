//! Deadlines that pass while a step's last operation is about to succeed: the step is done as a whole, and what strikes
//! strikes behind it.

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Socket};
use chainring_runtime::{Runtime, time, yield_now};

use super::{SECOND, held_back};
use crate::common::one::{Notes, chain, mark, note};
use crate::common::{held, pair, soon, watchdog};

/// Runs an attempt of these steps under a deadline, which passes while a recv that has brought `abcd` is held back. Gives what
/// the steps behind it note, the handler (3) and what follows the block (2) included.
fn late(
    opcode: &str,
    steps: impl FnOnce(&mut Chain<Notes>, Socket),
    behind: impl FnOnce(&mut Chain<Notes>),
) -> Notes {
    let (_watchdog, runtime) = held();
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, errno) = (c.socket(), c.reg());
        c.attempt(|c| {
            c.within(SECOND, |c| steps(c, sock));
            mark(c, 2);
        })
        .on_error(errno, |c| mark(c, 3));
        behind(c);
        sock
    });
    runtime.block_on(async {
        let (near, mut far) = pair();
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let handle = handle.expect("there is room");
        held_back(&runtime, opcode, || far.write_all(b"abcd").expect("send")).await;
        time::advance(SECOND).await;
        let exit = soon("the frame to end", handle).await;
        exit.result.expect("it is handled");
        exit.session
    })
}

#[test]
fn an_exact_transfer_counts_what_it_has_received() {
    for last in [true, false] {
        let cell = std::cell::Cell::new(None);
        let notes = late(
            "recv",
            |c, sock| {
                let (count, data) = (c.param(), c.buffer(4));
                cell.set(Some(count));
                c.recv_exact(sock, data.all()).into(count);
                if !last {
                    mark(c, 1);
                }
            },
            |c| note(c, cell.get().expect("made above")),
        );
        assert_eq!(notes, if last { [2, 4] } else { [3, 4] });
    }
}

#[test]
fn a_stream_buffer_knows_of_the_bytes_that_it_was_filled_with() {
    for last in [true, false] {
        let cell = std::cell::Cell::new(None);
        let notes = late(
            "recv",
            |c, sock| {
                let stream = c.stream(64);
                cell.set(Some(stream));
                c.fill(sock, stream);
                if !last {
                    mark(c, 1);
                }
            },
            |c| {
                let (stream, n) = (cell.get().expect("made above"), c.reg());
                c.set(n, stream.len());
                note(c, n);
            },
        );
        assert_eq!(notes, if last { [2, 4] } else { [3, 4] });
    }
}

#[test]
fn a_deadline_ends_the_wait_for_a_pooled_buffer_that_a_refused_receive_begins() {
    let (_watchdog, runtime) = held();
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, message, late) = (c.socket(), c.pooled(8), c.param());
        c.pool_limit(1);
        c.when(late.eq(0), |c| {
            c.recv_exact(sock, message.all());
            c.sleep(100 * SECOND);
            c.send_all(sock, message.all());
        })
        .otherwise(|c| {
            c.within(SECOND, |c| {
                c.recv_exact(sock, message.all());
            })
        });
        (sock, late)
    });
    let (sock, is_late) = sock;
    runtime.block_on(async {
        let spawner = program.start(2).expect("it starts");
        let (near, mut holding) = pair();
        let holder = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let _holder = holder.expect("there is room");
        time::advance(Duration::ZERO).await;
        holding.write_all(b"12345678").expect("send");
        for _ in 0..3 {
            time::advance(Duration::from_millis(1)).await;
            std::thread::sleep(Duration::from_millis(5));
            yield_now().await;
        }
        let (near, mut far) = pair();
        let waiter = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near).set(is_late, 1);
        });
        let waiter = waiter.expect("there is room");
        // There are bytes and no buffer: refused, which nobody hears of before the deadline has passed.
        held_back(&runtime, "recv", || far.write_all(b"12345678").expect("send")).await;
        time::advance(SECOND).await;
        let exit = soon("the frame to end", waiter).await;
        let error = exit.result.expect_err("nothing came in time");
        assert!(matches!(error.kind(), ErrorKind::Deadline), "{error}");
    });
}

#[test]
fn a_buffer_that_comes_back_as_the_deadline_passes_is_the_next_ones() {
    const SHORT: Duration = Duration::from_millis(200);
    let _watchdog = watchdog(60 * SECOND);
    // On the real clock: the loop must meet both with one look.
    let runtime = Runtime::new().expect("a ring");
    let (program, (sock, gate, role)) = chain(|c: &mut Chain<Notes>| {
        let (sock, gate, message, byte) = (c.socket(), c.socket(), c.pooled(8), c.buffer(1));
        let (role, errno, n, late) = (c.param(), c.reg(), c.reg(), c.constant(b"late"));
        c.pool_limit(1);
        c.when(role.eq(0), |c| {
            c.recv_exact(sock, message.all());
            c.recv_exact(gate, byte.all());
            c.set(n, message.be32(0));
            c.finish();
        });
        c.when(role.eq(1), |c| {
            c.attempt(|c| {
                c.within(SHORT, |c| {
                    c.recv_exact(sock, message.all());
                })
            })
            .on_error(errno, |c| {
                c.send_all(sock, late.all());
                c.recv_exact(gate, byte.all());
            });
        });
        c.when(role.eq(2), |c| {
            c.recv_exact(sock, message.all());
            c.send_all(sock, message.all());
        });
        (sock, gate, role)
    });
    runtime.block_on(async {
        let spawner = program.start(3).expect("it starts");
        // Each has the buffer, or waits for it, before the next one comes.
        let mut frames = Vec::new();
        for number in 0..3 {
            let ((near, mut far), (shut, opens)) = (pair(), pair());
            far.write_all(b"12345678").expect("send");
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.socket(sock, near).socket(gate, shut).set(role, number);
            });
            time::sleep(SHORT / 20).await;
            frames.push((handle.expect("there is room"), far, opens));
        }
        frames[0].2.write_all(b"!").expect("send");
        std::thread::sleep(SHORT);
        let (holder, ..) = &mut frames[0];
        soon("the holder to end", holder).await.result.expect("it gives the buffer back");
        let (next, far, _) = &mut frames[2];
        soon("the next to have had it", next).await.result.expect("it has sent");
        far.read_exact(&mut [0; 8]).expect("its answer");
        let (late, far, opens) = &mut frames[1];
        opens.write_all(b"!").expect("send");
        soon("the late one to end", late).await.result.expect("it is handled");
        far.read_exact(&mut [0; 4]).expect("it has said so");
    });
}
