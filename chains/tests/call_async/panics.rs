//! Futures, and what belongs to them, that panic.

use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow};
use chainring_runtime::{Runtime, time, yield_now};

use super::{MS, noting};
use crate::common::one::{Notes, chain, mark};
use crate::common::{soon, watchdog};

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
