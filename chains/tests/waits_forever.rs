//! Frames that wake each other for ever, and futures that cancel the frame that waits for them.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, ErrorKind, Event, Flow, Group, Init};
use chainring_runtime::{Runtime, time, yield_now};
use common::one::chain;
use common::{pair, soon, watchdog};

#[test]
fn frames_that_wake_each_other_for_ever_starve_nobody() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (events, group) = ([Event::new("ping"), Event::new("pong")], Group::new("all"));
    let players: Vec<_> = (0..2)
        .map(|own: usize| {
            chain(|c: &mut Chain<()>| {
                c.repeat(|c| {
                    c.notify(&events[1 - own]);
                    c.serial(&group, |_| {});
                    c.wait(&events[own]);
                });
            })
            .0
        })
        .collect();
    let (echo, sock) = chain(|c: &mut Chain<()>| {
        let (sock, data) = (c.socket(), c.buffer(1));
        c.repeat(|c| {
            c.recv_exact(sock, data.all()).or_finish();
            c.serial(&group, |_| {});
            c.send_all(sock, data.all());
        });
        sock
    });
    Runtime::new().expect("a ring").block_on(async {
        let start = |program: &chainring_chains::Program<()>| {
            program.start(1).expect("it starts").spawn((), |_| {}).expect("there is room")
        };
        let frames: Vec<_> = players.iter().map(start).collect();
        let (near, mut far) = pair();
        far.set_nonblocking(true).expect("nonblocking");
        let init = |frame: &mut Init<'_, '_>| {
            frame.socket(sock, near);
        };
        let echo = echo.start(1).expect("it starts").spawn((), init).expect("there is room");
        for byte in 0..20 {
            soon("a timer", time::sleep(Duration::from_millis(1))).await;
            far.write_all(&[byte]).expect("send");
            let mut answer = [0];
            let answered = async {
                while far.read(&mut answer).is_err() {
                    yield_now().await;
                }
            };
            soon("an answer", answered).await;
            assert_eq!(answer, [byte]);
        }
        assert!(frames.iter().all(|frame| !frame.is_finished()), "they still play");
        for frame in frames {
            frame.cancel();
            let error = soon("a player", frame).await.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        }
        drop(far);
        soon("the echo", echo).await.result.expect("nothing fails");
        assert_eq!(group.waiting(), 0);
    });
}

/// The frame's own handle, and how often what it waits for was dropped.
#[derive(Clone, Default)]
struct Own {
    handle: Rc<RefCell<Option<ChainHandle<Own>>>>,
    dropped: Rc<Cell<u32>>,
}

impl Own {
    fn cancel(&self) {
        self.handle.borrow().as_ref().expect("it is there").cancel();
    }
}

/// Counts, and cancels the frame once more.
struct Last(Own);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.dropped.set(self.0.dropped.get() + 1);
        self.0.cancel();
    }
}

/// What a future does in its first poll.
fn first_poll(own: Own, ready: bool) -> impl Future<Output = Last> {
    let mut last = Some(Last(own));
    poll_fn(move |_| {
        let own = last.as_ref().expect("polled once").0.clone();
        own.cancel();
        if ready { last.take().map_or(Poll::Pending, Poll::Ready) } else { Poll::Pending }
    })
}

#[test]
fn a_future_that_cancels_its_own_frame_is_dropped_once_and_nothing_behind_it_runs() {
    let _watchdog = watchdog(Duration::from_secs(60));
    for ready in [false, true] {
        let event = Event::new("after it");
        let (program, ()) = chain(|c: &mut Chain<Own>| {
            let fetch = move |own: &mut Own, ()| first_poll(own.clone(), ready);
            c.call_async((), fetch, (), |_, (), last| {
                drop(last);
                Flow::Next
            });
            c.notify(&event);
        });
        let runtime = Runtime::new().expect("a ring");
        runtime.block_on(async {
            let own = Own::default();
            let spawner = program.start(1).expect("it starts");
            let frame = spawner.spawn(own.clone(), |_| {}).expect("there is room");
            own.handle.replace(Some(frame));
            let ended = async {
                while spawner.live() > 0 {
                    yield_now().await;
                }
            };
            soon("the frame", ended).await;
            let frame = own.handle.take().expect("it is there");
            let error = soon("its end", frame).await.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            assert_eq!((own.dropped.get(), event.count()), (1, 0));
            yield_now().await;
            assert_eq!(runtime.metrics().tasks, 0);
        });
        assert_eq!(runtime.metrics().caught_panics, 0);
    }
}
