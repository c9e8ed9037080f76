//! Futures that are dropped before they are done, or late.

use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::task::Poll;

use chainring_chains::{Chain, ChainError, ErrorKind, Exit, Flow, Program};
use chainring_runtime::{time, yield_now};

use super::{MS, noting};
use crate::common::one::{Notes, chain, mark, note};
use crate::common::{held, soon};

/// Counts how many of its kind are gone.
struct Gone(Rc<Cell<u32>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
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
