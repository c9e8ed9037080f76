//! Wakers in foreign hands: other threads, other executors, after the end.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chainring_runtime::op::nop::nop;
use chainring_runtime::time::sleep;
use chainring_runtime::{Runtime, spawn, yield_now};
use futures::FutureExt;

/// What a task and the threads that wake it share.
struct Gate {
    /// How often each of the wakers has come around.
    posted: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

#[test]
fn eight_threads_wake_a_thousand_tasks_a_thousand_times_and_none_is_lost() {
    // Each task waits until everything that was posted to it has been seen; a lost wake-up hangs the test.
    let (threads, tasks, rounds) = (8, 1000, 1000);
    let gates: Arc<Vec<Gate>> =
        Arc::new((0..tasks).map(|_| Gate { posted: AtomicU32::new(0), waker: Mutex::new(None) }).collect());
    let barrier = Arc::new(Barrier::new(threads + 1));
    let wakers: Vec<_> = (0..threads)
        .map(|_| {
            let (gates, barrier) = (gates.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                for _ in 0..rounds {
                    for gate in &*gates {
                        gate.posted.fetch_add(1, Ordering::Release);
                        // By value and by reference, in turn.
                        let waker = gate.waker.lock().unwrap().clone();
                        if let Some(waker) = waker {
                            waker.wake();
                        }
                    }
                }
            })
        })
        .collect();
    let all = threads as u32 * rounds;
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let waiting: Vec<_> = (0..tasks)
            .map(|i| {
                let gates = gates.clone();
                spawn(poll_fn(move |cx| {
                    let gate = &gates[i];
                    *gate.waker.lock().unwrap() = Some(cx.waker().clone());
                    if gate.posted.load(Ordering::Acquire) == all { Poll::Ready(()) } else { Poll::Pending }
                }))
            })
            .collect();
        yield_now().await;
        barrier.wait();
        for task in waiting {
            task.await.unwrap();
        }
    });
    for waker in wakers {
        waker.join().unwrap();
    }
}

#[test]
fn a_sleeping_core_is_woken_by_another_thread_at_once() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..50 {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            let sent = Instant::now();
            sender.send(()).unwrap();
            sent
        });
        runtime.block_on(receiver).unwrap();
        let woken = Instant::now();
        let late = woken.saturating_duration_since(thread.join().unwrap());
        assert!(late < Duration::from_millis(500), "{late:?}");
    }
    assert!(runtime.metrics().bells > 0);
}

#[test]
fn wakers_are_cloned_woken_and_dropped_on_another_thread_while_the_task_runs() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                while let Ok(waker) = receiver.recv() {
                    let clones: Vec<_> = (0..4).map(|_| waker.clone()).collect();
                    waker.wake_by_ref();
                    drop(waker);
                    clones.into_iter().for_each(Waker::wake);
                }
                stop.store(true, Ordering::SeqCst);
            }
        });
        for _ in 0..20 {
            let sender = sender.clone();
            let mut polls = 0;
            spawn(poll_fn(move |cx| {
                polls += 1;
                sender.send(cx.waker().clone()).unwrap();
                if polls == 100 { Poll::Ready(()) } else { Poll::Pending }
            }))
            .await
            .unwrap();
        }
        drop(sender);
        thread.join().unwrap();
    });
}

#[test]
fn a_waker_is_used_and_dropped_on_another_thread_after_the_runtime_is_gone() {
    let runtime = Runtime::new().unwrap();
    let (sender, receiver) = mpsc::channel::<Waker>();
    runtime.block_on(async {
        let sender2 = sender.clone();
        drop(spawn(poll_fn(move |cx| {
            sender2.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        })));
        // The waker of the main future as well.
        let mut first = true;
        poll_fn(|cx| {
            sender.send(cx.waker().clone()).unwrap();
            if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
        })
        .now_or_never();
        yield_now().await;
    });
    drop(runtime);
    drop(sender);
    thread::spawn(move || {
        let mut count = 0;
        for waker in receiver {
            waker.wake_by_ref();
            let clone = waker.clone();
            drop(waker);
            clone.wake();
            count += 1;
        }
        assert_eq!(count, 2);
    })
    .join()
    .unwrap();
}

#[test]
fn wakers_are_used_by_another_thread_while_the_runtime_ends() {
    for _ in 0..50 {
        let runtime = Runtime::new().unwrap();
        let (sender, receiver) = mpsc::channel::<Waker>();
        let thread = thread::spawn(move || {
            let wakers: Vec<_> = receiver.into_iter().collect();
            for _ in 0..20 {
                wakers.iter().for_each(Waker::wake_by_ref);
            }
        });
        runtime.block_on(async {
            for _ in 0..20 {
                let sender = sender.clone();
                drop(spawn(poll_fn(move |cx| {
                    let _ = sender.send(cx.waker().clone());
                    Poll::<()>::Pending
                })));
            }
            yield_now().await;
        });
        drop(sender);
        drop(runtime);
        thread.join().unwrap();
    }
}

/// A waker that panics when it is used.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

#[test]
fn a_waker_that_panics_harms_nobody_else() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let waker = Waker::from(Arc::new(PanickingWaker));
        let mut cx = Context::from_waker(&waker);
        // In the middle of a batch of completions, of timers, and at the end of a task.
        let mut before = nop();
        let mut bad = nop();
        let mut after = nop();
        assert!(futures::poll!(&mut before).is_pending());
        assert!(bad.poll_unpin(&mut cx).is_pending());
        assert!(futures::poll!(&mut after).is_pending());
        before.await.unwrap();
        after.await.unwrap();
        assert!(bad.poll_unpin(&mut cx).is_ready());

        let mut bad = sleep(Duration::from_millis(1));
        assert!(bad.poll_unpin(&mut cx).is_pending());
        sleep(Duration::from_millis(2)).await;
        assert!(bad.poll_unpin(&mut cx).is_ready());

        let mut bad = spawn(async { 4 });
        assert!(bad.poll_unpin(&mut cx).is_pending());
        assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
        assert!(bad.poll_unpin(&mut cx).is_ready());
    });
    assert_eq!(runtime.metrics().caught_panics, 3);
}

#[test]
fn a_thread_rings_while_wakers_panic_and_is_still_heard() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..20 {
            let waker = Waker::from(Arc::new(PanickingWaker));
            let mut bad = nop();
            assert!(bad.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            let (sender, receiver) = futures::channel::oneshot::channel();
            let thread = thread::spawn(move || sender.send(()).unwrap());
            receiver.await.unwrap();
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_handle_is_awaited_by_another_executor_on_the_thread() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(async { 11 });
    runtime.block_on(yield_now());
    runtime.block_on(yield_now());
    assert_eq!(futures::executor::block_on(task).unwrap(), 11);
}
