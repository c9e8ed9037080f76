//! Several cores, and what they send each other.

use std::cell::RefCell;
use std::future::pending;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chainring_runtime::op::nop::nop;
use chainring_runtime::time::{sleep, timeout};
use chainring_runtime::{
    Builder, CancellationToken, Capability, CoreHandle, Cores, Handle, cores, spawn, spawn_blocking,
};
use futures::future::join_all;

fn two() -> Cores {
    cores(NonZeroUsize::new(2).unwrap())
}

/// Runs `first` on core 0, while the others stay until it is done.
fn with_company<F: Future<Output = ()>>(cores: Cores, first: impl Fn(CoreHandle) -> F + Sync) {
    let stop = CancellationToken::new();
    cores
        .run(|core| {
            let (stop, first) = (stop.clone(), &first);
            async move {
                if core.index() == 0 {
                    let _stop = stop.drop_guard();
                    first(core).await;
                } else {
                    stop.cancelled().await;
                }
            }
        })
        .unwrap();
}

#[test]
fn each_core_runs_one_future_made_on_its_own_pinned_thread() {
    let results = cores(NonZeroUsize::new(2).unwrap())
        .run(|core| async move {
            nop().await.unwrap();
            // Not Send, and need not be.
            let local = Rc::new(core.index());
            // SAFETY: a call without arguments.
            let cpu = unsafe { libc::sched_getcpu() };
            (*local, core.count(), cpu, thread::current().name().map(str::to_owned))
        })
        .unwrap();
    let cpus = thread::available_parallelism().unwrap().get();
    assert_eq!(results.len(), 2);
    for (index, (number, count, _, name)) in results.iter().enumerate() {
        assert_eq!((*number, *count), (index, 2));
        assert_eq!(name.as_deref(), Some(format!("chainring-{index}").as_str()));
    }
    if cpus >= 2 {
        assert_ne!(results[0].2, results[1].2);
    }
}

#[test]
fn what_blocks_is_not_kept_to_the_cpu_of_a_pinned_core() {
    let whole = thread::available_parallelism().unwrap();
    let cpus = || thread::available_parallelism().unwrap();
    let seen = two().run(|_| async move { (cpus(), spawn_blocking(cpus).await.unwrap()) }).unwrap();
    for (core, blocking) in seen {
        assert_eq!(blocking, whole);
        assert!(whole.get() < 2 || core.get() == 1, "the core runs on {core} CPUs");
    }
}

#[test]
fn a_future_is_made_and_run_on_another_core_and_its_result_comes_back() {
    with_company(two(), |core| async move {
        let here = thread::current().id();
        let there = core.core(1).spawn(move || {
            let local = Rc::new(RefCell::new(0));
            async move {
                for _ in 0..3 {
                    nop().await.unwrap();
                    *local.borrow_mut() += 1;
                }
                (*local.borrow(), thread::current().id())
            }
        });
        let (count, id) = there.await.unwrap();
        assert_eq!(count, 3);
        assert_ne!(id, here);
        // To itself as well.
        assert_eq!(core.spawn(|| async { thread::current().id() }).await.unwrap(), here);
    });
}

#[test]
fn a_panic_on_another_core_reaches_the_handle_and_an_abort_the_task() {
    with_company(two(), |core| async move {
        let other = core.core(1);
        assert!(other.spawn(|| async { panic!("far away") }).await.unwrap_err().is_panic());
        let no_future = || -> std::future::Ready<()> { panic!("before there is a future") };
        assert!(other.spawn(no_future).await.unwrap_err().is_panic());
        let endless = other.spawn(pending::<()>);
        // Whether it has begun by now or not.
        endless.abort();
        assert!(endless.await.unwrap_err().is_cancelled());
        let endless = other.spawn(pending::<()>);
        sleep(Duration::from_millis(2)).await;
        endless.abort();
        assert!(endless.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn what_is_sent_to_a_core_that_has_ended_is_cancelled() {
    two()
        .run(|core| async move {
            if core.index() == 1 {
                return;
            }
            let other = core.core(1);
            // It ends at some point; from then on, and for what it had not finished, the answer is the same.
            while other.spawn(|| async {}).await.is_ok() {}
            assert!(other.spawn(|| async {}).await.unwrap_err().is_cancelled());
        })
        .unwrap();
}

#[test]
fn a_core_that_cannot_be_built_keeps_nobody_waiting() {
    let built = AtomicUsize::new(0);
    let result = two()
        // More than the kernel gives; it clamps the size, so ask for something it refuses.
        .builder(Builder::new().sqpoll(Duration::from_millis(1), Some(1_000_000)))
        .run(|_| async { built.fetch_add(1, Ordering::SeqCst) });
    assert!(result.is_err());
    assert_eq!(built.load(Ordering::SeqCst), 0);
}

fn a_hundred_thousand_messages(builder: Builder) {
    let sum = AtomicU64::new(0);
    let bells = Mutex::new(Vec::new());
    let sum = &sum;
    let stop = CancellationToken::new();
    two()
        .builder(builder)
        .run(|core| {
            let (stop, bells) = (stop.clone(), &bells);
            async move {
                if core.index() == 1 {
                    stop.cancelled().await;
                    bells.lock().unwrap().push(Handle::current().metrics().bells);
                    return;
                }
                let _stop = stop.drop_guard();
                for batch in 0..100u64 {
                    let sent = (0..1000).map(|i| core.core(1).spawn(move || async move { batch + i }));
                    for value in join_all(sent).await {
                        sum.fetch_add(value.unwrap(), Ordering::Relaxed);
                    }
                    if batch % 10 == 0 {
                        // Time enough for the other to fall asleep.
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            }
        })
        .unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), (0..100u64).map(|b| 1000 * b + 999 * 500).sum());
    assert!(bells.lock().unwrap()[0] > 0);
}

#[test]
fn messages_to_sleeping_and_busy_cores_all_arrive_by_message_ring() {
    a_hundred_thousand_messages(Builder::new());
}

#[test]
fn messages_to_sleeping_and_busy_cores_all_arrive_without_message_ring() {
    a_hundred_thousand_messages(Builder::new().mask(Capability::MessageRing));
}

#[test]
fn a_core_that_sends_and_then_ends_is_heard() {
    let heard = AtomicUsize::new(0);
    let heard = &heard;
    for _ in 0..20 {
        let (sender, receiver) = futures::channel::oneshot::channel::<()>();
        let ends = Mutex::new((Some(sender), Some(receiver)));
        let ends = &ends;
        two()
            .run(|core| async move {
                if core.index() == 0 {
                    sleep(Duration::from_millis(1)).await;
                    // The last thing it does.
                    ends.lock().unwrap().0.take().unwrap().send(()).unwrap();
                } else {
                    let receiver = ends.lock().unwrap().1.take().unwrap();
                    timeout(Duration::from_secs(10), receiver).await.expect("not heard").unwrap();
                    heard.fetch_add(1, Ordering::SeqCst);
                }
            })
            .unwrap();
    }
    assert_eq!(heard.load(Ordering::SeqCst), 20);
}

#[test]
fn a_thread_without_a_ring_sends_to_a_core() {
    let handle = Mutex::new(None::<CoreHandle>);
    thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel::<CoreHandle>();
        let outside = scope.spawn(move || {
            let core = receiver.recv().unwrap();
            let results: Vec<_> = (0..100).map(|i| core.spawn(move || async move { i })).collect();
            results.into_iter().map(|r| futures::executor::block_on(r).unwrap()).sum::<u32>()
        });
        let sender = Mutex::new(Some(sender));
        cores(NonZeroUsize::MIN)
            .run(|core| {
                sender.lock().unwrap().take().unwrap().send(core.clone()).unwrap();
                *handle.lock().unwrap() = Some(core);
                sleep(Duration::from_millis(100))
            })
            .unwrap();
        assert_eq!(outside.join().unwrap(), 4950);
    });
    let gone = handle.lock().unwrap().take().unwrap();
    assert!(futures::executor::block_on(gone.spawn(|| async {})).unwrap_err().is_cancelled());
}

#[test]
fn blocking_threads_are_shared_by_the_cores() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    two()
        .builder(Builder::new().blocking_threads(2))
        .run(|_| async {
            let work = (0..10).map(|_| {
                chainring_runtime::spawn_blocking(|| {
                    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(1));
                    RUNNING.fetch_sub(1, Ordering::SeqCst);
                })
            });
            join_all(work).await;
            spawn(async {}).await.unwrap();
        })
        .unwrap();
    assert!(MOST.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_hundred_messages_of_one_turn_ring_one_bell() {
    with_company(two().linger(Duration::ZERO), |core| async move {
        if !Handle::current().capabilities().message_ring() {
            // Then it is rung at once, and may be heard before the turn is over.
            return;
        }
        let bells = || async { Handle::current().metrics().bells };
        let before = core.core(1).spawn(bells).await.unwrap();
        // Time enough for the other to fall asleep.
        sleep(Duration::from_millis(20)).await;
        let sent: Vec<_> = (0..100).map(|_| core.core(1).spawn(bells)).collect();
        for during in join_all(sent).await {
            assert_eq!(during.unwrap(), before + 1);
        }
    });
}

/// What the calling thread has computed so far.
fn computed() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a local variable, to be written to.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn a_core_lingers_for_messages_and_sleeps_when_they_have_ended() {
    with_company(two().linger(Duration::from_millis(1)), |core| async move {
        let ask = || async {
            let metrics = Handle::current().metrics();
            (metrics.sleeps, metrics.messages, computed())
        };
        let first = core.core(1).spawn(ask).await.unwrap();
        for _ in 0..10_000 {
            core.core(1).spawn(|| async {}).await.unwrap();
        }
        let (sleeps, messages, before) = core.core(1).spawn(ask).await.unwrap();
        assert!(messages - first.1 > 10_000);
        if thread::available_parallelism().unwrap().get() >= 2 {
            // Not each time, though whoever else is on the machine may have the CPU of one of them.
            assert!(sleeps - first.0 < 10_000, "{} sleeps", sleeps - first.0);
        }
        sleep(Duration::from_millis(300)).await;
        let (.., after) = core.core(1).spawn(ask).await.unwrap();
        assert!(after - before < Duration::from_millis(100), "{:?} of idling", after - before);
    });
}

#[test]
fn what_is_aborted_before_it_has_begun_never_begins_and_is_dropped_where_it_was_to_run() {
    struct Dropped(std::sync::mpsc::Sender<thread::ThreadId>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    with_company(two(), |core| async move {
        let there = core.core(1).spawn(|| async { thread::current().id() }).await.unwrap();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy = core.core(1).spawn(move || async move { gone.recv().unwrap() });
        let (sender, receiver) = std::sync::mpsc::channel();
        let dropped = Dropped(sender);
        let aborted = core.core(1).spawn(move || -> std::future::Ready<()> {
            drop(dropped);
            unreachable!("it was aborted")
        });
        aborted.abort();
        assert!(aborted.is_finished());
        go.send(()).unwrap();
        busy.await.unwrap();
        assert!(aborted.await.unwrap_err().is_cancelled());
        core.core(1).spawn(|| async {}).await.unwrap();
        assert_eq!(receiver.recv().unwrap(), there);
    });
}

#[test]
fn a_result_reaches_whoever_awaits_it_with_an_executor_of_their_own() {
    with_company(two(), async |core| {
        let handle = core.core(1).spawn(async || {
            thread::sleep(Duration::from_millis(200));
            5
        });
        // The message goes out with the next turn.
        sleep(Duration::from_millis(1)).await;
        // Its waker is none of this core's, which takes no messages meanwhile.
        assert_eq!(futures::executor::block_on(handle).unwrap(), 5);
    });
}

#[test]
fn a_timer_of_a_core_that_lingers_is_not_late_by_that() {
    with_company(two().linger(Duration::from_secs(1)), async |core| {
        thread::sleep(Duration::from_millis(20));
        // What has come by message makes it linger before it sleeps. It has taken a millisecond for a second.
        let sleeps = core.core(1).spawn(async || {
            let mut longest = Duration::ZERO;
            for _ in 0..5 {
                let begun = std::time::Instant::now();
                sleep(Duration::from_millis(30)).await;
                longest = longest.max(begun.elapsed());
            }
            longest
        });
        let longest = sleeps.await.unwrap();
        assert!(longest < Duration::from_millis(500), "{longest:?}");
    });
}
