//! Signals of the process.

use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use chainring_runtime::signal::{ctrl_c, signal, terminate};
use chainring_runtime::time::timeout;
use chainring_runtime::{Runtime, cores, spawn, yield_now};
use futures::{FutureExt, StreamExt};

fn raise(kind: i32) {
    // SAFETY: a signal to this thread, whose handler has run when the call returns; it is installed by the caller.
    assert_eq!(unsafe { libc::raise(kind) }, 0);
}

#[test]
fn a_signal_ends_the_sleep_of_the_core_and_wakes_whoever_waits() {
    Runtime::new().unwrap().block_on(async {
        let mut hup = signal(libc::SIGHUP).unwrap();
        for _ in 0..10 {
            let thread = thread::spawn(|| {
                thread::sleep(Duration::from_millis(1));
                raise(libc::SIGHUP);
            });
            timeout(Duration::from_secs(10), hup.recv()).await.expect("the signal was lost");
            thread.join().unwrap();
        }
    });
}

#[test]
fn signals_between_two_looks_count_as_one_and_none_is_forgotten() {
    Runtime::new().unwrap().block_on(async {
        let mut usr = signal(libc::SIGUSR1).unwrap();
        raise(libc::SIGUSR1);
        raise(libc::SIGUSR1);
        assert_eq!(usr.next().await, Some(()));
        assert!(usr.recv().now_or_never().is_none());
        // A future that was dropped while it waited takes nothing with it.
        raise(libc::SIGUSR1);
        assert!(usr.recv().now_or_never().is_some());
    });
}

#[test]
fn a_process_that_is_told_to_terminate_can_end_by_itself() {
    Runtime::new().unwrap().block_on(async {
        let waiting = spawn(async { terminate().await });
        yield_now().await;
        raise(libc::SIGTERM);
        timeout(Duration::from_secs(10), waiting).await.expect("not heard").unwrap().unwrap();
    });
}

#[test]
fn every_core_hears_ctrl_c() {
    let barrier = Barrier::new(2);
    let barrier = &barrier;
    cores(NonZeroUsize::new(2).unwrap())
        .run(|core| async move {
            let waiting = spawn(async { ctrl_c().await });
            yield_now().await;
            // Both listen.
            barrier.wait();
            if core.index() == 0 {
                raise(libc::SIGINT);
            }
            timeout(Duration::from_secs(10), waiting).await.expect("not heard").unwrap().unwrap();
        })
        .unwrap();
}

#[test]
fn what_cannot_be_handled_is_refused() {
    Runtime::new().unwrap().block_on(async {
        for kind in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1, 65] {
            assert_eq!(signal(kind).unwrap_err().kind(), std::io::ErrorKind::InvalidInput, "{kind}");
        }
    });
}
