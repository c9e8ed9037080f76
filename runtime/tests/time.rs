//! Timers, deadlines, intervals, and the clock that a test can hold.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainring_runtime::time::{self, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use chainring_runtime::{Builder, Runtime, spawn, yield_now};
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt, future};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn held() -> Runtime {
    Builder::new().hold_clock(true).build().unwrap()
}

#[test]
fn a_sleep_is_never_early_and_not_much_late() {
    Runtime::new().unwrap().block_on(async {
        for ms in [0u32, 1, 3, 20] {
            let start = Instant::now();
            sleep(ms * MS).await;
            let took = start.elapsed();
            assert!(took >= ms * MS, "{took:?} for {ms} ms");
            assert!(took < ms * MS + 500 * MS, "{took:?} for {ms} ms");
        }
    });
}

#[test]
fn timers_cost_no_submission() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        sleep(MS).await;
        let _ = timeout(MS, future::pending::<()>()).await;
        interval(MS).take(3).collect::<Vec<_>>().await;
    });
    // The bell is the one thing that an idle core submits.
    assert_eq!(runtime.metrics().submitted, 1);
    assert_eq!(runtime.metrics().timers, 0);
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    held().block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for ms in [50u32, 7, 20_000, 8, 7, 1] {
            let order = order.clone();
            drop(spawn(async move {
                sleep(ms * MS).await;
                order.borrow_mut().push(ms);
            }));
        }
        time::advance(30 * 1000 * MS).await;
        assert_eq!(*order.borrow(), [1, 7, 7, 8, 50, 20_000]);
    });
}

#[test]
fn a_held_clock_stands_until_it_is_advanced_and_is_exact() {
    held().block_on(async {
        let start = time::now();
        let done = Rc::new(Cell::new(false));
        let sleeper = spawn({
            let done = done.clone();
            async move {
                sleep(HOUR).await;
                done.set(true);
                time::now()
            }
        });
        std::thread::sleep(2 * MS);
        assert_eq!(time::now(), start);
        time::advance(HOUR - Duration::from_nanos(1)).await;
        assert!(!done.get());
        time::advance(Duration::from_nanos(1)).await;
        assert!(done.get());
        assert_eq!(sleeper.await.unwrap() - start, HOUR);
    });
}

#[test]
fn timers_started_before_the_clock_was_held_or_released_keep_their_deadlines() {
    Runtime::new().unwrap().block_on(async {
        let far = spawn(sleep(HOUR));
        let near = spawn(sleep(5 * MS));
        yield_now().await;
        time::hold();
        time::advance(HOUR).await;
        assert!(far.is_finished() && near.is_finished());
        let short = spawn(sleep(3 * MS));
        yield_now().await;
        time::release();
        let start = Instant::now();
        short.await.unwrap();
        assert!(start.elapsed() >= 2 * MS);
    });
}

#[test]
fn time_advances_through_timers_that_start_timers() {
    held().block_on(async {
        let count = Rc::new(Cell::new(0));
        let counter = count.clone();
        let task = spawn(async move {
            loop {
                sleep(10 * MS).await;
                counter.set(counter.get() + 1);
            }
        });
        time::advance(Duration::from_secs(1)).await;
        assert_eq!(count.get(), 100);
        task.abort();
    });
}

#[test]
fn a_timeout_ends_what_takes_too_long_and_lets_through_what_is_ready() {
    held().block_on(async {
        let late = spawn(timeout(HOUR, future::pending::<()>()));
        time::advance(HOUR).await;
        let elapsed = late.await.unwrap().unwrap_err();
        assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        assert_eq!(time::timeout_at(time::now() - MS, future::ready(8)).await, Ok(8));
    });
}

#[test]
fn a_dropped_sleep_is_gone_and_its_waker_with_it() {
    let runtime = held();
    runtime.block_on(async {
        let marker = Rc::new(());
        let task = spawn({
            let marker = marker.clone();
            async move {
                let _marker = marker;
                let never = sleep(HOUR);
                let soon = sleep(MS);
                match select(never, soon).await {
                    Either::Left(_) => unreachable!(),
                    Either::Right(_) => {}
                }
            }
        });
        yield_now().await;
        assert_eq!(runtime.metrics().timers, 2);
        time::advance(MS).await;
        task.await.unwrap();
        assert_eq!(runtime.metrics().timers, 0);
        assert_eq!(Rc::strong_count(&marker), 1);
    });
}

#[test]
fn a_sleep_that_moves_to_another_task_wakes_that_one() {
    held().block_on(async {
        let mut sleep = Box::pin(sleep(HOUR));
        assert!(futures::poll!(&mut sleep).is_pending());
        let task = spawn(sleep);
        time::advance(HOUR).await;
        assert!(task.is_finished());
    });
}

#[test]
fn a_sleep_can_be_reset_also_after_it_has_ended() {
    held().block_on(async {
        let start = time::now();
        let mut nap = sleep(HOUR);
        assert!((&mut nap).now_or_never().is_none());
        nap.reset(start + MS);
        time::advance(MS).await;
        assert!((&mut nap).now_or_never().is_some());
        nap.reset(start + HOUR);
        assert!((&mut nap).now_or_never().is_none());
        assert_eq!(nap.deadline(), start + HOUR);
    });
}

/// The moments of the first ticks of an interval of 10 ms, of which the second is looked for only after 35.
fn late_ticks(behavior: MissedTickBehavior) -> Vec<u128> {
    held().block_on(async {
        let start = time::now();
        let mut ticks = interval(10 * MS);
        ticks.set_missed_tick_behavior(behavior);
        ticks.tick().await;
        time::advance(35 * MS).await;
        let seen = Rc::new(RefCell::new(Vec::new()));
        let task = spawn({
            let seen = seen.clone();
            async move {
                loop {
                    ticks.tick().await;
                    seen.borrow_mut().push((time::now() - start).as_millis());
                }
            }
        });
        time::advance(40 * MS).await;
        task.abort();
        seen.take()
    })
}

#[test]
fn missed_ticks_burst_delay_or_are_skipped() {
    assert_eq!(late_ticks(MissedTickBehavior::Burst), [35, 35, 35, 40, 50, 60, 70]);
    assert_eq!(late_ticks(MissedTickBehavior::Delay), [35, 45, 55, 65, 75]);
    assert_eq!(late_ticks(MissedTickBehavior::Skip), [35, 40, 50, 60, 70]);
}

#[test]
fn durations_beyond_all_time_are_waited_for() {
    Runtime::new().unwrap().block_on(async {
        let forever = sleep(Duration::MAX);
        let result = timeout(2 * MS, forever).await;
        assert!(result.is_err());
        for missed in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
            let mut rarely = interval(Duration::MAX);
            rarely.set_missed_tick_behavior(missed);
            rarely.tick().await;
            assert!(timeout(2 * MS, rarely.tick()).await.is_err());
            rarely.reset();
        }
    });
}

#[test]
fn a_task_that_sleeps_for_nothing_does_not_starve_the_others() {
    Runtime::new().unwrap().block_on(async {
        let spinner = spawn(async {
            let past = Instant::now();
            loop {
                sleep_until(past).await;
            }
        });
        sleep(2 * MS).await;
        spinner.abort();
        assert!(spinner.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_million_timers_come_and_go_and_a_hundred_thousand_fire() {
    let runtime = held();
    runtime.block_on(async {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for i in 0..1_000_000u64 {
            let mut nap = sleep(Duration::from_micros(1 + i % 10_000_000));
            assert!(nap.poll_unpin(&mut cx).is_pending());
        }
        assert_eq!(runtime.metrics().timers, 0);

        let fired = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..100_000u32)
            .map(|i| {
                let fired = fired.clone();
                spawn(async move {
                    let due = time::now() + (1 + i % 1000) * MS;
                    sleep_until(due).await;
                    assert_eq!(time::now(), due, "fired at another tick than its own");
                    fired.set(fired.get() + 1);
                })
            })
            .collect();
        time::advance(Duration::from_secs(1)).await;
        assert_eq!(fired.get(), 100_000);
        future::join_all(tasks).await.into_iter().for_each(|joined| joined.unwrap());
    });
    assert!(runtime.metrics().submitted <= 1);
}
