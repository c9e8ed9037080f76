//! Closures on threads of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use chainring_runtime::{Builder, Runtime, spawn_blocking};
use futures::future::join_all;

#[test]
fn a_blocking_closure_gives_its_result_while_the_core_goes_on() {
    Runtime::new().unwrap().block_on(async {
        let (sender, receiver) = mpsc::channel::<u32>();
        let work = spawn_blocking(move || receiver.recv().unwrap() + 1);
        chainring_runtime::op::nop::nop().await.unwrap();
        sender.send(41).unwrap();
        assert_eq!(work.await.unwrap(), 42);
    });
}

#[test]
fn a_panic_in_a_blocking_closure_reaches_the_handle() {
    Runtime::new().unwrap().block_on(async {
        let error = spawn_blocking(|| panic!("blocked")).await.unwrap_err();
        assert_eq!(error.to_string(), "the task panicked: blocked");
        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
    });
}

#[test]
fn no_more_threads_than_the_limit_are_used_and_idle_ones_again() {
    let runtime = Builder::new().blocking_threads(3).build().unwrap();
    runtime.block_on(async {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..30).map(|_| {
            let (running, most) = (running.clone(), most.clone());
            spawn_blocking(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(1));
                running.fetch_sub(1, Ordering::SeqCst);
                thread::current().id()
            })
        });
        let ids: std::collections::HashSet<_> =
            join_all(work).await.into_iter().map(|id| id.unwrap()).collect();
        assert!(ids.len() <= 3 && most.load(Ordering::SeqCst) <= 3, "{ids:?}");
        let again = spawn_blocking(|| thread::current().id()).await.unwrap();
        assert!(ids.contains(&again));
    });
}

#[test]
fn a_closure_that_has_not_begun_can_be_aborted_and_one_that_has_cannot() {
    let runtime = Builder::new().blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let barrier = Arc::new(Barrier::new(2));
        let began = barrier.clone();
        let (sender, receiver) = mpsc::channel::<()>();
        let first = spawn_blocking(move || {
            began.wait();
            receiver.recv().unwrap();
            7
        });
        barrier.wait();
        let second = spawn_blocking(|| unreachable!("it was aborted"));
        let (first_aborter, second_aborter) = (first.abort_handle(), second.abort_handle());
        thread::spawn(move || {
            first_aborter.abort();
            second_aborter.abort();
        })
        .join()
        .unwrap();
        assert!(second.is_finished());
        assert!(second.await.unwrap_err().is_cancelled());
        assert!(!first.is_finished());
        sender.send(()).unwrap();
        assert_eq!(first.await.unwrap(), 7);
    });
}

#[test]
fn the_end_of_the_runtime_waits_for_no_closure_and_drops_those_that_have_not_begun() {
    let runtime = Builder::new().blocking_threads(1).build().unwrap();
    let (sender, receiver) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel();
    let queued = Arc::new(());
    let (first, second) = runtime.block_on(async {
        let barrier = Arc::new(Barrier::new(2));
        let began = barrier.clone();
        let first = spawn_blocking(move || {
            began.wait();
            let released = receiver.recv_timeout(Duration::from_secs(20)).is_ok();
            done.send(released).unwrap();
        });
        barrier.wait();
        let held = queued.clone();
        (first, spawn_blocking(move || drop(held)))
    });
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(Arc::strong_count(&queued), 1);
    assert!(futures::executor::block_on(second).unwrap_err().is_cancelled());
    // What runs, runs to its end, and whoever kept the handle gets its result.
    sender.send(()).unwrap();
    futures::executor::block_on(first).unwrap();
    assert!(is_done.recv().unwrap());
}
