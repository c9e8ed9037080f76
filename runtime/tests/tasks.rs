//! Tasks: what becomes of results, panics, aborts and handles.

// Handles are carried out of `block_on` on purpose.
#![allow(clippy::async_yields_async)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use chainring_runtime::op::nop::nop;
use chainring_runtime::time::sleep;
use chainring_runtime::{JoinHandle, Runtime, consume_budget, spawn, yield_now};

fn run<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(future)
}

/// Says when it is dropped.
struct Bomb(Rc<Cell<u32>>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[test]
fn a_result_reaches_the_handle() {
    assert_eq!(run(async { spawn(async { String::from("done") }).await.unwrap() }), "done");
}

#[test]
fn a_panic_reaches_the_handle_and_nobody_else() {
    run(async {
        let bad = spawn(async { panic!("by design") });
        let good = spawn(async {
            nop().await.unwrap();
            5
        });
        let error = bad.await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.to_string(), "the task panicked: by design");
        assert_eq!(*error.into_panic().downcast_ref::<&str>().unwrap(), "by design");
        assert_eq!(good.await.unwrap(), 5);
    });
}

#[test]
fn a_detached_task_runs_on_and_its_output_is_dropped() {
    run(async {
        let dropped = Rc::new(Cell::new(0));
        let bomb = Bomb(dropped.clone());
        drop(spawn(async move {
            nop().await.unwrap();
            bomb
        }));
        while dropped.get() == 0 {
            yield_now().await;
        }
    });
}

#[test]
fn an_output_that_nobody_takes_is_dropped_with_its_handle_even_after_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let bomb = Bomb(dropped.clone());
    let handle = runtime.block_on(async {
        let handle = spawn(async { bomb });
        yield_now().await;
        handle
    });
    drop(runtime);
    assert!(handle.is_finished());
    assert_eq!(dropped.get(), 0);
    drop(handle);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn an_aborted_task_drops_its_future_and_says_so() {
    run(async {
        let dropped = Rc::new(Cell::new(0));
        let bomb = Bomb(dropped.clone());
        let task = spawn(async move {
            let _bomb = bomb;
            sleep(Duration::from_secs(3600)).await;
        });
        yield_now().await;
        task.abort();
        assert!(!task.is_finished(), "abort only enqueues");
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(dropped.get(), 1);
    });
}

#[test]
fn aborting_a_task_that_is_done_changes_nothing() {
    run(async {
        let task = spawn(async { 1 });
        yield_now().await;
        yield_now().await;
        assert!(task.is_finished());
        task.abort();
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn a_task_aborts_itself_and_ends_at_its_next_await() {
    run(async {
        let steps = Rc::new(Cell::new(0));
        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let task = spawn({
            let (steps, own) = (steps.clone(), own.clone());
            async move {
                own.borrow().as_ref().unwrap().abort();
                steps.set(1);
                yield_now().await;
                steps.set(2);
            }
        });
        let aborter = task.abort_handle();
        *own.borrow_mut() = Some(task);
        while !aborter.is_finished() {
            yield_now().await;
        }
        assert_eq!(steps.get(), 1);
        let task = own.borrow_mut().take().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_task_drops_its_own_handle() {
    run(async {
        let own: Rc<RefCell<Option<JoinHandle<Bomb>>>> = Rc::default();
        let dropped = Rc::new(Cell::new(0));
        let task = spawn({
            let (own, bomb) = (own.clone(), Bomb(dropped.clone()));
            async move {
                let handle = own.borrow_mut().take();
                drop(handle);
                yield_now().await;
                bomb
            }
        });
        *own.borrow_mut() = Some(task);
        while dropped.get() == 0 {
            yield_now().await;
        }
    });
}

#[test]
fn a_task_that_awaits_itself_can_still_be_aborted() {
    run(async {
        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let task = spawn({
            let own = own.clone();
            async move {
                let handle = own.borrow_mut().take().unwrap();
                let _ = handle.await;
            }
        });
        let aborter = task.abort_handle();
        *own.borrow_mut() = Some(task);
        yield_now().await;
        aborter.abort();
        while !aborter.is_finished() {
            yield_now().await;
        }
    });
}

#[test]
fn destructors_that_panic_are_contained() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        // In the future, while it is aborted: told to whoever waits.
        let task = spawn(async {
            let _bad = PanicsOnDrop;
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_panic());
        // In the output of a task that nobody waits for.
        drop(spawn(async { PanicsOnDrop }));
        yield_now().await;
        // In a task that the end of the runtime drops.
        drop(spawn(async {
            let _bad = PanicsOnDrop;
            pending::<()>().await;
        }));
        yield_now().await;
        assert_eq!(spawn(async { 9 }).await.unwrap(), 9);
    });
}

#[test]
fn the_end_of_the_runtime_cancels_tasks_and_those_that_they_start_while_they_are_dropped() {
    struct SpawnsOnDrop(u32, Rc<Cell<u32>>);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            if self.0 > 0 {
                let next = SpawnsOnDrop(self.0 - 1, self.1.clone());
                drop(spawn(async move {
                    let _next = next;
                    pending::<()>().await;
                }));
            }
        }
    }
    let runtime = Runtime::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let task = runtime.block_on(async {
        let first = SpawnsOnDrop(3, count.clone());
        let task = spawn(async move {
            let _first = first;
            pending::<()>().await;
        });
        yield_now().await;
        task
    });
    drop(runtime);
    assert_eq!(count.get(), 4);
    assert!(futures::executor::block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn tasks_stay_between_two_block_ons() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.block_on(async { spawn(async { nop().await.map(|()| 3).unwrap() }) });
    assert_eq!(runtime.metrics().tasks, 1);
    assert_eq!(runtime.block_on(task).unwrap(), 3);
    let early = runtime.handle().spawn(async { 4 });
    assert_eq!(runtime.block_on(early).unwrap(), 4);
    assert_eq!(runtime.metrics().tasks, 0);
}

#[test]
fn block_on_inside_of_itself_is_refused() {
    let runtime = Runtime::new().unwrap();
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async { runtime.block_on(async {}) });
    }));
    assert!(refused.is_err());
    // And nothing is broken by it.
    assert_eq!(runtime.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
}

#[test]
fn a_runtime_is_dropped_inside_of_another() {
    let outer = Runtime::new().unwrap();
    let inner = Runtime::new().unwrap();
    inner.block_on(async { drop(spawn(sleep(Duration::from_secs(3600)))) });
    outer.block_on(async {
        drop(inner);
        spawn(async { nop().await.unwrap() }).await.unwrap();
    });
}

#[test]
fn a_task_that_never_pends_does_not_starve_the_ring() {
    run(async {
        let spinner = spawn(async {
            loop {
                consume_budget().await;
            }
        });
        let yielder = spawn(async {
            loop {
                yield_now().await;
            }
        });
        for _ in 0..100 {
            nop().await.unwrap();
        }
        sleep(Duration::from_millis(1)).await;
        spinner.abort();
        yielder.abort();
    });
}

#[test]
fn a_task_that_wakes_itself_while_it_is_polled_is_polled_again() {
    let polls = run(async {
        let mut polls = 0;
        spawn(poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            let clone = cx.waker().clone();
            clone.wake();
            if polls == 10 { Poll::Ready(polls) } else { Poll::Pending }
        }))
        .await
        .unwrap()
    });
    assert_eq!(polls, 10);
}

#[test]
fn spawning_and_joining_ten_thousand_tasks_leaves_none() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..10_000u32).map(|i| spawn(async move { i })).collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), i as u32);
        }
    });
    assert_eq!(runtime.metrics().tasks, 0);
    assert_eq!(runtime.metrics().spawned, 10_000);
}
