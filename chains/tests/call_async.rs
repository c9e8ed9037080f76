//! Futures as steps, chains that are awaited by tasks, and tasks that are woken by chains.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::io::{Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use chainring_chains::{
    Chain, ChainError, ErrorKind, Exit, Flow, Lowering, Program, Spawner, outbox, read, reg, value, write,
};
use chainring_runtime::{Builder, Runtime, spawn, time, yield_now};
use common::one::{Notes, chain, mark, note, run};
use common::{Watchdog, pair, soon, watchdog};
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};

const MS: Duration = Duration::from_millis(1);

fn held() -> (Watchdog, Runtime) {
    (watchdog(Duration::from_secs(60)), Builder::new().hold_clock(true).build().expect("a ring"))
}

/// Counts how many of its kind are gone.
struct Gone(Rc<Cell<u32>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Adds a step that waits for a future and notes its output.
fn noting<Fut: Future<Output = u64> + 'static>(
    c: &mut Chain<Notes>,
    fetch: impl Fn() -> Fut + Send + Sync + 'static,
) {
    let store = |notes: &mut Notes, (), output| {
        notes.push(output);
        Flow::Next
    };
    c.call_async((), move |_, ()| fetch(), (), store);
}

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

/// Panics when it is dropped, if it is armed.
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            panic!("in a drop");
        }
    }
}

/// Ready at once, and panics when it is dropped.
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        drop(Bomb(true));
    }
}

impl Future for Explosive {
    type Output = Bomb;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Bomb> {
        Poll::Ready(Bomb(false))
    }
}

#[test]
fn a_panic_in_any_part_fails_the_frame_alone() {
    type Part = fn(&mut Chain<Notes>);
    let parts: [(Part, &str); 6] = [
        (
            |c| {
                c.call_async(
                    (),
                    |_, ()| -> std::future::Ready<()> { panic!("in fetch") },
                    (),
                    |_, (), ()| Flow::Next,
                )
            },
            "in fetch",
        ),
        (
            |c| c.call_async((), |_, ()| async { panic!("in the future") }, (), |_, (), ()| Flow::Next),
            "in the future",
        ),
        (
            |c| {
                let later = || async {
                    time::sleep(MS).await;
                    panic!("later")
                };
                c.call_async((), move |_, ()| later(), (), |_, (), ()| Flow::Next);
            },
            "later",
        ),
        (|c| c.call_async((), |_, ()| Explosive, (), |_, (), _| Flow::Next), "in a drop"),
        (|c| c.call_async((), |_, ()| ready(()), (), |_, (), ()| panic!("in store")), "in store"),
        (
            |c| {
                c.call_async(
                    (),
                    |_, ()| ready(Bomb(true)),
                    (),
                    |_, (), bomb| {
                        drop(bomb);
                        Flow::Next
                    },
                )
            },
            "in a drop",
        ),
    ];
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    for (part, text) in parts {
        let (program, panics) = chain(|c: &mut Chain<Notes>| {
            let (panics, errno) = (c.param(), c.reg());
            c.attempt(|c| {
                c.when(panics.eq(1), part);
            })
            .on_error(errno, |c| mark(c, 9));
            noting(c, || async {
                time::sleep(2 * MS).await;
                3
            });
            panics
        });
        runtime.block_on(async {
            let spawner = program.start(2).expect("it starts");
            let start = |panic| {
                spawner
                    .spawn(Notes::new(), |frame| {
                        frame.set(panics, panic);
                    })
                    .expect("there is room")
            };
            let (concerned, neighbour) = (start(1), start(0));
            let exit = soon("the frame to end", concerned).await;
            let error = exit.result.expect_err("it panics");
            assert!(matches!(error.kind(), ErrorKind::Panic(message) if message == text), "{error}");
            assert_eq!((error.step(), error.name()), (3, "call_async"));
            assert_eq!(exit.session, []);
            assert_eq!(soon("the other", neighbour).await.session, [3]);
            yield_now().await;
            assert_eq!(runtime.metrics().tasks, 0);
        });
    }
    assert_eq!(runtime.metrics().caught_panics, 0, "none came as far as the core");
}

/// A frame that waits for a future that never ends, and notes when that is dropped.
fn endless(bounded: bool) -> Program<Rc<Cell<u32>>> {
    let (program, ()) = chain(|c: &mut Chain<Rc<Cell<u32>>>| {
        let wait = |c: &mut Chain<Rc<Cell<u32>>>| {
            let fetch = |gone: &mut Rc<Cell<u32>>, ()| {
                let gone = Gone(gone.clone());
                async move {
                    let _gone = gone;
                    pending::<()>().await;
                }
            };
            c.call_async((), fetch, (), |_, (), ()| Flow::Next);
        };
        if bounded {
            c.within(5 * MS, wait);
        } else {
            wait(c);
        }
    });
    program
}

fn ended(exit: &Exit<Rc<Cell<u32>>>) -> &ChainError {
    assert_eq!(exit.session.get(), 1, "the future is dropped before the frame has ended");
    let error = exit.result.as_ref().expect_err("it never ends by itself");
    assert_eq!(error.name(), "call_async");
    error
}

#[test]
fn cancelling_drops_the_future() {
    let (_watchdog, runtime) = held();
    let program = endless(false);
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        for turns in 0..5 {
            let gone = Rc::new(Cell::new(0));
            let handle = spawner.spawn(gone.clone(), |_| {}).expect("there is room");
            for _ in 0..turns {
                yield_now().await;
            }
            handle.cancel();
            let exit = soon("the frame to end", handle).await;
            let error = exit.result.as_ref().expect_err("it is cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            // One that has not come so far has made none.
            assert!(turns == 0 || gone.get() == 1, "after {turns} turns");
            yield_now().await;
            yield_now().await;
            assert_eq!(runtime.metrics().tasks, 0);
        }
    });
}

#[test]
fn a_deadline_drops_the_future() {
    let (_watchdog, runtime) = held();
    let program = endless(true);
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Rc::new(Cell::new(0)), |_| {}).expect("there is room");
        time::advance(4 * MS).await;
        assert!(!handle.is_finished());
        time::advance(MS).await;
        let exit = soon("the frame to end", handle).await;
        assert!(matches!(ended(&exit).kind(), ErrorKind::Deadline), "{:?}", exit.result);
        yield_now().await;
        assert_eq!((runtime.metrics().tasks, runtime.metrics().timers), (0, 0));
    });
}

#[test]
fn the_end_of_the_runtime_drops_the_future() {
    let (_watchdog, runtime) = held();
    let program = endless(false);
    let gone = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        drop(spawner.spawn(gone.clone(), |_| {}));
        time::advance(MS).await;
    });
    drop(runtime);
    assert_eq!((gone.get(), Rc::strong_count(&gone)), (1, 1));
}

#[test]
fn a_future_that_is_over_does_not_wake_what_the_frame_does_next() {
    let (_watchdog, runtime) = held();
    let (program, ()) = chain(|c: &mut Chain<Notes>| {
        let errno = c.reg();
        c.attempt(|c| {
            c.within(5 * MS, |c| {
                noting(c, || async {
                    time::sleep(6 * MS).await;
                    1
                });
            });
        })
        .on_error(errno, |c| {
            note(c, errno);
            c.sleep(10 * MS);
        });
        // Nor does one that is done when its deadline strikes, and is then stored.
        noting(c, || ready(2));
        c.sleep(10 * MS);
        mark(c, 3);
    });
    runtime.block_on(async {
        let began = time::now();
        let spawner = program.start(1).expect("it starts");
        let mut handle = spawner.spawn(Notes::new(), |_| {}).expect("there is room");
        let exit = loop {
            time::advance(MS).await;
            if let Poll::Ready(exit) = futures::poll!(&mut handle) {
                break exit;
            }
        };
        exit.result.expect("it is handled");
        assert_eq!(exit.session, [libc::ETIMEDOUT as u64, 2, 3]);
        assert_eq!(time::now() - began, 25 * MS);
    });
}

#[test]
fn an_output_that_comes_with_the_deadline_is_stored_and_the_next_step_is_late() {
    let (_watchdog, runtime) = held();
    for last in [true, false] {
        let (program, ()) = chain(|c: &mut Chain<Notes>| {
            let errno = c.reg();
            c.attempt(|c| {
                c.within(5 * MS, |c| {
                    noting(c, || async {
                        time::sleep(5 * MS).await;
                        1
                    });
                    if !last {
                        mark(c, 2);
                    }
                });
            })
            .on_error(errno, |c| note(c, errno));
        });
        runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(Notes::new(), |_| {}).expect("there is room");
            time::advance(5 * MS).await;
            let exit = soon("the frame to end", handle).await;
            exit.result.expect("it is handled");
            let expected = if last { vec![1] } else { vec![1, libc::ETIMEDOUT as u64] };
            assert_eq!(exit.session, expected);
        });
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

#[test]
fn chains_are_awaited_by_tasks_and_by_the_futures_of_chains() {
    let (_watchdog, runtime) = held();
    // A chain that starts as many of its kind as its depth allows, one in the other.
    type Shared<T> = Rc<RefCell<Option<T>>>;
    #[derive(Clone)]
    struct Nest(Shared<Spawner<(Nest, u64)>>);
    let (program, depth) = chain(|c: &mut Chain<(Nest, u64)>| {
        let depth = c.param();
        c.sleep(MS);
        c.when(depth.gt(0), |c| {
            c.call_async(
                (value(depth),),
                move |(nest, _), (depth_now,)| {
                    let spawner = nest.0.borrow().clone().expect("it was put there");
                    let inner = spawner.spawn((nest.clone(), 0), |frame| {
                        frame.set(depth, depth_now - 1);
                    });
                    let inner = inner.expect("there is room");
                    async move { inner.await.session.1 }
                },
                (),
                |(_, count), (), inner| {
                    *count = inner + 1;
                    Flow::Next
                },
            );
        });
        depth
    });
    runtime.block_on(async {
        let nest = Nest(Rc::default());
        let spawner = program.start(10).expect("it starts");
        nest.0.replace(Some(spawner.clone()));
        let handle = spawner.spawn((nest.clone(), 0), |frame| {
            frame.set(depth, 7);
        });
        let task = spawn(async { handle.expect("there is room").await.session.1 });
        time::advance(20 * MS).await;
        assert_eq!(task.await.expect("it is not aborted"), 7);
        nest.0.take();
    });
}

#[test]
fn tasks_are_woken_by_chains() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    struct Session {
        numbers: mpsc::Sender<u64>,
        done: Option<oneshot::Sender<&'static str>>,
    }
    let (program, ()) = chain(|c: &mut Chain<Session>| {
        let (turn, sent) = (c.reg(), c.reg());
        c.set(turn, 0);
        c.repeat(|c| {
            // What does not fit now is tried again: the frame parks meanwhile, and the task runs.
            c.call((value(turn), reg(sent)), |session, (turn, sent)| {
                *sent = u64::from(session.numbers.try_send(turn).is_ok());
                Flow::Next
            });
            c.when(sent.eq(0), |c| {
                c.sleep(100_000);
                c.again();
            });
            c.set(turn, turn + 1);
            c.when(turn.eq(1000), |c| c.leave());
        });
        c.call((), |session, ()| {
            session.done.take().expect("once").send("done").expect("somebody listens");
            Flow::Next
        });
    });
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let ((numbers, received), (done, end)) = (mpsc::channel(10), oneshot::channel());
        let task = spawn(received.collect::<Vec<u64>>());
        let handle = spawner.spawn(Session { numbers, done: Some(done) }, |_| {}).expect("there is room");
        assert_eq!(soon("the end", end).await, Ok("done"));
        handle.await.result.expect("it ends");
        assert_eq!(task.await.expect("it is not aborted"), (0..1000).collect::<Vec<_>>());
    });
}
