//! What a future is made from, what comes of it, and what it is stored into.

use std::future::ready;
use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::{Chain, Exit, Flow, Lowering, outbox, read, reg, value, write};
use chainring_runtime::{Runtime, time};

use super::{MS, noting};
use crate::common::one::{Notes, chain, mark, note, run};
use crate::common::{held, pair, soon, watchdog};

#[test]
fn a_future_takes_what_it_needs_and_its_output_is_sent() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    for lowering in [Lowering::Chosen, Lowering::Single] {
        let (program, sock) = chain(|c: &mut Chain<u32>| {
            c.lowering(lowering);
            let (sock, word, turn, reply) = (c.socket(), c.buffer(4), c.reg(), c.outbox());
            c.set(turn, 0);
            c.repeat(|c| {
                c.recv_exact(sock, word.all()).or_finish();
                c.call_async(
                    (read(word.all()), reg(turn)),
                    |fetched, (word, turn)| {
                        (*fetched, *turn) = (*fetched + 1, *turn + 1);
                        let word = String::from_utf8_lossy(word).into_owned();
                        async move {
                            time::sleep(MS).await;
                            word.to_uppercase()
                        }
                    },
                    (outbox(reply), value(turn)),
                    |_, (reply, turn), shouted: String| {
                        reply.copy(shouted.as_bytes());
                        reply.copy(&[turn as u8]);
                        Flow::Next
                    },
                );
                c.send_outbox(sock, reply);
            });
            sock
        });
        let (near, mut far) = pair();
        runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(0, |frame| {
                frame.socket(sock, near);
            });
            let client = chainring_runtime::spawn_blocking(move || {
                for (word, answer) in [(b"abcd", b"ABCD\x01"), (b"xYz!", b"XYZ!\x02")] {
                    far.write_all(word).expect("send");
                    let mut received = [0; 5];
                    far.read_exact(&mut received).expect("receive");
                    assert_eq!(&received, answer);
                }
            });
            client.await.expect("the client is content");
            let Exit { session, result, .. } = soon("the end", handle.expect("there is room")).await;
            result.expect("it finishes");
            assert_eq!(session, 2);
        });
    }
}

#[test]
fn futures_that_are_ready_at_once_neither_deadlock_nor_pile_up() {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let turn = c.reg();
        c.set(turn, 0);
        c.repeat(|c| {
            c.call_async(
                (value(turn),),
                |_, (turn,)| ready(turn + 1),
                (reg(turn),),
                |_, (turn,), next| {
                    *turn = next;
                    Flow::Next
                },
            );
            c.when(turn.eq(10_000), |c| c.leave());
        });
        note(c, turn);
    });
    let ended = run(&program, Notes::new(), |_| {});
    assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[10_000][..]));
}

#[test]
fn the_core_goes_on_while_a_frame_waits_for_its_future() {
    let (_watchdog, runtime) = held();
    let (program, waits) = chain(|c: &mut Chain<Notes>| {
        let waits = c.param();
        c.when(waits.eq(1), |c| {
            noting(c, || async {
                time::sleep(50 * MS).await;
                1
            })
        });
        c.sleep(10 * MS);
        mark(c, 2);
        waits
    });
    runtime.block_on(async {
        let spawner = program.start(2).expect("it starts");
        let start = |waits_for| {
            spawner
                .spawn(Notes::new(), |frame| {
                    frame.set(waits, waits_for);
                })
                .expect("there is room")
        };
        let (slow, quick) = (start(1), start(0));
        time::advance(10 * MS).await;
        assert!(quick.is_finished() && !slow.is_finished());
        time::advance(50 * MS).await;
        assert_eq!(slow.await.session, [1, 2]);
        assert_eq!(quick.await.session, [2]);
        assert_eq!((runtime.metrics().tasks, runtime.metrics().timers), (0, 0));
    });
}

#[test]
fn what_storing_says_is_done() {
    for (flow, marks, error) in [
        ((|| Flow::Next) as fn() -> Flow, vec![1], ""),
        (|| Flow::Finish, vec![], ""),
        (|| Flow::fail("no such thing"), vec![], "chain test, step 1 (call_async): no such thing"),
    ] {
        let (program, ()) = chain(|c: &mut Chain<Notes>| {
            c.call_async((), |_, ()| ready(()), (), move |_, (), ()| flow());
            mark(c, 1);
        });
        let ended = run(&program, Notes::new(), |_| {});
        assert_eq!((ended.text(), ended.session), (error.to_owned(), marks));
    }
}

#[test]
fn spans_that_do_not_fit_are_errors_of_the_step() {
    for fails_first in [true, false] {
        let (program, ()) = chain(|c: &mut Chain<Notes>| {
            let (n, m, errno, data) = (c.reg(), c.reg(), c.reg(), c.buffer(4));
            c.set(n, if fails_first { 5 } else { 4 });
            c.set(m, 5);
            c.store(data, 0, chainring_chains::Order::U8, 1);
            c.attempt(|c| {
                c.call_async(
                    (read(data.to(n)),),
                    |_, _| ready(()),
                    (write(data.to(m)),),
                    |_, _, ()| Flow::Next,
                );
            })
            .on_error(errno, |c| note(c, errno));
        });
        let ended = run(&program, Notes::new(), |_| {});
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[libc::EMSGSIZE as u64][..]));
    }
}

#[test]
fn explain_shows_both_parts() {
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let (sock, data) = (c.socket(), c.buffer(4));
        c.recv_exact(sock, data.all());
        c.call_async((read(data.all()),), |_, _| ready(()), (write(data.all()),), |_, _, ()| Flow::Next);
        c.send_all(sock, data.all());
    });
    let text = program.explain().to_string();
    assert!(text.contains("then call_async #2; store #2; segment 1"), "{text}");
}

#[test]
fn what_a_future_is_made_from_and_stored_into_is_checked() {
    let build = |steps: fn(&mut Chain<Notes>)| {
        let mut c = Chain::new("test");
        steps(&mut c);
        c.build().map(drop).expect_err("it is refused").to_string()
    };
    let unwritten = |c: &mut Chain<Notes>| {
        let data = c.buffer(4);
        c.call_async((read(data.all()),), |_, _| ready(()), (), |_, (), ()| Flow::Next);
    };
    assert_eq!(build(unwritten), "chain test, step 1 (call_async): buffer b0 is read before it is written");
    let twice = |c: &mut Chain<Notes>| {
        let data = c.buffer(4);
        let both = (write(data.to(3)), write(data.range(2..)));
        c.call_async((), |_, ()| ready(()), both, |_, _, ()| Flow::Next);
    };
    assert_eq!(
        build(twice),
        "chain test, step 1 (call_async): it borrows the same bytes or register twice, once to write"
    );
    let foreign = |c: &mut Chain<Notes>| {
        let data = Chain::<Notes>::new("another").buffer(4);
        c.call_async((), |_, ()| ready(()), (write(data.all()),), |_, _, ()| Flow::Next);
    };
    assert_eq!(build(foreign), "chain test, step 1 (call_async): a handle was made by another builder");
}
