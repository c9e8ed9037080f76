//! Tasks without a ring: everything here runs under Miri as well (`cargo +nightly miri test --lib task::`).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::{Entered, JoinHandle, Scheduler};
use crate::exec::Remote;
use crate::exec::remote::Message;

/// A scheduler, and what a core does with it.
struct Bench {
    scheduler: Box<Scheduler>,
    remote: Arc<Remote>,
}

impl Bench {
    fn new() -> Self {
        let remote = Arc::new(Remote::new().unwrap());
        Bench { scheduler: Box::new(Scheduler::new(remote.clone())), remote }
    }

    fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let task = self.scheduler.insert(future);
        self.scheduler.start(&task);
        JoinHandle::of_task(task)
    }

    fn enter(&self) -> Entered {
        // SAFETY: the scheduler is boxed, and outlives every guard in these tests.
        unsafe { Entered::new(&self.scheduler) }
    }

    /// Runs until nothing is ready, and says whether anything was.
    fn run(&self) -> bool {
        let mut any = false;
        loop {
            while let Some(message) = self.remote.pop() {
                if let Message::Wake(task) = message {
                    self.scheduler.take_remote(task);
                }
            }
            if !self.scheduler.run_one() {
                return any;
            }
            any = true;
        }
    }

    fn end(self) {
        while self.scheduler.cancel_all() {}
        self.remote.shut();
    }
}

fn poll<T>(handle: &mut JoinHandle<T>) -> Poll<Result<T, super::JoinError>> {
    std::pin::Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()))
}

/// Pending until it was polled `n` times; gives its wakers away.
fn wakes(n: u32, sender: mpsc::Sender<Waker>) -> impl Future<Output = u32> {
    let mut polls = 0;
    poll_fn(move |cx| {
        polls += 1;
        let _ = sender.send(cx.waker().clone());
        if polls >= n { Poll::Ready(polls) } else { Poll::Pending }
    })
}

#[test]
fn a_task_runs_to_its_end_and_hands_over_its_output() {
    let bench = Bench::new();
    let entered = bench.enter();
    let mut task = bench.spawn(async { Box::new(5) });
    assert!(poll(&mut task).is_pending());
    assert!(bench.run());
    assert!(matches!(poll(&mut task), Poll::Ready(Ok(five)) if *five == 5));
    drop(entered);
    bench.end();
}

#[test]
fn threads_clone_wake_and_drop_wakers_while_the_core_polls_and_finishes() {
    let rounds = if cfg!(miri) { 5 } else { 200 };
    for _ in 0..rounds {
        let bench = Bench::new();
        let entered = bench.enter();
        let (sender, wakers) = mpsc::channel();
        let mut task = bench.spawn(wakes(10, sender));
        let waker_thread = thread::spawn(move || {
            for waker in wakers {
                let clone = waker.clone();
                clone.wake_by_ref();
                waker.wake();
                drop(clone);
            }
        });
        while !task.is_finished() {
            if !bench.run() {
                thread::yield_now();
            }
        }
        assert!(matches!(poll(&mut task), Poll::Ready(Ok(10))));
        waker_thread.join().unwrap();
        drop(entered);
        bench.end();
    }
}

#[test]
fn an_abort_from_a_thread_meets_a_task_at_any_moment() {
    let ended = Arc::new(AtomicU32::new(0));
    let rounds = if cfg!(miri) { 10 } else { 500 };
    for _ in 0..rounds {
        let bench = Bench::new();
        let entered = bench.enter();
        let (sender, _wakers) = mpsc::channel();
        let mut task = bench.spawn(async move {
            let polls = wakes(2, sender);
            polls.await
        });
        let (aborter, ended) = (task.abort_handle(), ended.clone());
        let thread = thread::spawn(move || {
            aborter.abort();
            while !aborter.is_finished() {
                thread::yield_now();
            }
            ended.fetch_add(1, Ordering::SeqCst);
        });
        while !task.is_finished() {
            bench.run();
        }
        assert!(matches!(poll(&mut task), Poll::Ready(Err(error)) if error.is_cancelled()));
        thread.join().unwrap();
        drop(entered);
        bench.end();
    }
    assert_eq!(ended.load(Ordering::SeqCst), rounds);
}

#[test]
fn a_waker_outlives_everything_and_is_dropped_on_another_thread() {
    let bench = Bench::new();
    let (sender, wakers) = mpsc::channel();
    let task = {
        let _entered = bench.enter();
        let task = bench.spawn(wakes(2, sender));
        bench.run();
        task
    };
    drop(task);
    bench.end();
    thread::spawn(move || {
        for waker in wakers {
            waker.wake_by_ref();
            drop(waker.clone());
            waker.wake();
        }
    })
    .join()
    .unwrap();
}

#[test]
fn an_output_is_dropped_once_wherever_its_handle_goes() {
    struct Counts(Rc<Cell<u32>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let bench = Bench::new();
    let entered = bench.enter();
    let make = || {
        let counts = Counts(drops.clone());
        bench.spawn(async { counts })
    };
    // Taken; dropped with the handle after the end; detached before it; cancelled.
    let mut taken = make();
    let kept = make();
    drop(make());
    bench.run();
    assert_eq!(drops.get(), 1);
    assert!(matches!(poll(&mut taken), Poll::Ready(Ok(_))));
    drop(taken);
    assert_eq!(drops.get(), 2);
    drop(make());
    let cancelled = make();
    drop(entered);
    bench.end();
    assert_eq!(drops.get(), 4);
    drop(kept);
    drop(cancelled);
    assert_eq!(drops.get(), 5);
}

#[test]
fn a_task_that_is_done_while_it_is_in_the_queue_is_let_go_later() {
    let bench = Bench::new();
    let entered = bench.enter();
    let mut task = bench.spawn(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(())
    }));
    assert!(bench.scheduler.run_one());
    assert!(task.is_finished());
    assert_eq!((bench.scheduler.tasks(), bench.scheduler.has_ready()), (0, true));
    assert!(matches!(poll(&mut task), Poll::Ready(Ok(()))));
    drop(task);
    assert!(bench.scheduler.run_one());
    assert!(!bench.scheduler.run_one());
    drop(entered);
    bench.end();
}
