//! Frames that are cancelled, and runtimes that end, in the middle of a block.

use std::cell::Cell;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind};
use chainring_runtime::{time, yield_now};

use super::{SECOND, start};
use crate::common::one::{Notes, chain};
use crate::common::{held, pair, soon};

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
