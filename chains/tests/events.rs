//! Events: every post lets one waiter go on, whoever posts and wherever; none is lost, none is taken twice.

mod common;

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainring_chains::{Chain, ChainHandle, ErrorKind, Event, Flow, Group, Init, Program, Reg, Spawner};
use chainring_runtime::{Runtime, cores, spawn, time, yield_now};
use common::one::{Notes, chain, note, run};
use common::{scaled, soon, watchdog};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Counts what it takes, so many times.
fn taker(event: &Event) -> (Program<Rc<Cell<u64>>>, Reg) {
    chain(|c: &mut Chain<Rc<Cell<u64>>>| {
        let left = c.param();
        c.repeat(|c| {
            c.when(left.eq(0), |c| c.leave());
            c.wait(event);
            c.call((), |taken, ()| {
                taken.set(taken.get() + 1);
                Flow::Next
            });
            c.set(left, left - 1);
        });
        left
    })
}

fn set<'r>(reg: Reg, value: u64) -> impl FnOnce(&mut Init<'_, '_>) + 'r {
    move |frame| {
        frame.set(reg, value);
    }
}

fn takers(
    spawner: &Spawner<Rc<Cell<u64>>>,
    left: Reg,
    taken: &Rc<Cell<u64>>,
    each: u64,
    count: usize,
) -> Vec<ChainHandle<Rc<Cell<u64>>>> {
    let spawn = |_| spawner.spawn(taken.clone(), set(left, each)).expect("there is room");
    (0..count).map(spawn).collect()
}

#[test]
fn posts_are_counted_and_each_is_taken_once() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("counted");
    let (program, left) = taker(&event);
    Runtime::new().expect("a ring").block_on(async {
        let taken = Rc::new(Cell::new(0));
        let spawner = program.start(4).expect("it starts");
        // Before anybody waits, while they wait, from a task.
        (0..3).for_each(|_| event.notify());
        assert_eq!(event.count(), 3);
        let handles = takers(&spawner, left, &taken, 3, 3);
        time::sleep(Duration::from_millis(2)).await;
        assert_eq!((taken.get(), event.count()), (3, 0));
        let poster = event.clone();
        let task = spawn(async move {
            for _ in 0..6 {
                poster.notify();
                yield_now().await;
            }
        });
        for handle in handles {
            soon("a frame", handle).await.result.expect("nothing fails");
        }
        task.await.expect("it ends");
        assert_eq!((taken.get(), event.count()), (9, 0));
    });
}

#[test]
fn those_who_wait_go_on_in_the_order_in_which_they_came_and_nobody_overtakes() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("order");
    let (program, number) = chain(|c: &mut Chain<Rc<std::cell::RefCell<Vec<u64>>>>| {
        let number = c.param();
        c.wait(&event);
        c.call((chainring_chains::value(number),), |seen, (number,)| {
            seen.borrow_mut().push(number);
            Flow::Next
        });
        number
    });
    let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(8).expect("it starts");
        let spawn = |i| spawner.spawn(seen.clone(), set(number, i)).expect("there is room");
        let mut handles: Vec<_> = (0..3).map(spawn).collect();
        yield_now().await;
        yield_now().await;
        let mut task = event.wait();
        assert!(futures::poll!(&mut task).is_pending());
        handles.push(spawn(4));
        yield_now().await;
        yield_now().await;
        (0..5).for_each(|_| event.notify());
        // They are reserved for those who came before.
        let mut late = event.wait();
        assert!(futures::poll!(&mut late).is_pending());
        soon("the task", task).await;
        for handle in handles {
            soon("a frame", handle).await.result.expect("nothing fails");
        }
        event.notify();
        soon("the late one", late).await;
    });
    assert_eq!(*seen.borrow(), [0, 1, 2, 4]);
}

#[test]
fn a_post_for_one_that_is_cancelled_goes_to_the_next() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("passed on");
    let (program, left) = taker(&event);
    Runtime::new().expect("a ring").block_on(async {
        let taken = Rc::new(Cell::new(0));
        let spawner = program.start(4).expect("it starts");
        let mut frames = takers(&spawner, left, &taken, 1, 2);
        yield_now().await;
        yield_now().await;
        let (mut dropped, mut kept) = (event.wait(), event.wait());
        assert!(futures::poll!(&mut dropped).is_pending());
        assert!(futures::poll!(&mut kept).is_pending());
        let mut last = takers(&spawner, left, &taken, 1, 1);
        yield_now().await;
        yield_now().await;
        // Two for the frames, of which one is cancelled; one for the first task, which is dropped.
        (0..3).for_each(|_| event.notify());
        let cancelled = frames.remove(0);
        cancelled.cancel();
        drop(dropped);
        let error = soon("the first", cancelled).await.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
        assert_eq!(error.name(), "wait");
        soon("the second", frames.remove(0)).await.result.expect("nothing fails");
        soon("the task", kept).await;
        soon("the last", last.remove(0)).await.result.expect("nothing fails");
        assert_eq!((taken.get(), event.count()), (2, 0));
        // One that waits in the middle, without a post.
        let mut frames = takers(&spawner, left, &taken, 1, 3);
        yield_now().await;
        yield_now().await;
        let cancelled = frames.remove(1);
        cancelled.cancel();
        soon("it", cancelled).await.result.expect_err("it was cancelled");
        (0..2).for_each(|_| event.notify());
        for frame in frames {
            soon("a frame", frame).await.result.expect("nothing fails");
        }
        assert_eq!(event.count(), 0);
    });
}

/// Posts to another core so many times.
fn poster(event: &Event, core: u64) -> (Program<()>, Reg) {
    chain(|c: &mut Chain<()>| {
        let left = c.param();
        c.repeat(|c| {
            c.when(left.eq(0), |c| c.leave());
            c.notify_on(event, core);
            c.set(left, left - 1);
        });
        left
    })
}

#[test]
fn a_million_messages_between_two_cores_are_taken_once_each() {
    const TAKERS: u64 = 8;
    let each = scaled(10_000, 1_000_000) as u64 / TAKERS;
    let _watchdog = watchdog(Duration::from_secs(300));
    let event = Event::new("messages");
    let (to, from) = (taker(&event), poster(&event, 1));
    let taken = cores(TWO).run(|core| {
        let (event, to, from) = (&event, &to, &from);
        async move {
            if core.index() == 0 {
                let spawner = from.0.start(1).expect("it starts");
                let frame = spawner.spawn((), set(from.1, TAKERS * each)).expect("there is room");
                frame.await.result.expect("nothing fails");
                return 0;
            }
            let taken = Rc::new(Cell::new(0));
            let spawner = to.0.start(TAKERS as u32).expect("it starts");
            // A frame fewer, and a task in its place.
            let frames = takers(&spawner, to.1, &taken, each, TAKERS as usize - 1);
            for _ in 0..each {
                event.wait().await;
                taken.set(taken.get() + 1);
            }
            for frame in frames {
                frame.await.result.expect("nothing fails");
            }
            assert_eq!(event.count(), 0, "none is left");
            // None comes in addition.
            time::sleep(Duration::from_millis(20)).await;
            assert_eq!(event.count(), 0, "none is doubled");
            taken.get()
        }
    });
    assert_eq!(taken.expect("two cores"), [0, TAKERS * each]);
}

#[test]
fn no_wake_up_is_lost_between_two_cores_that_sleep_and_wake_each_other() {
    let rounds = scaled(10_000, 1_000_000) as u64;
    // A round is two wake-ups: on a machine with other things to do a million of them take their time.
    let _watchdog = watchdog(Duration::from_secs(scaled(60, 7200) as u64));
    let events = [Event::new("ping"), Event::new("pong")];
    let programs: Vec<(Program<()>, Reg)> = (0..2)
        .map(|own: usize| {
            chain(|c: &mut Chain<()>| {
                let left = c.param();
                c.repeat(|c| {
                    c.when(left.eq(0), |c| c.leave());
                    if own == 0 {
                        c.notify_on(&events[1], 1);
                    }
                    c.wait(&events[own]);
                    if own == 1 {
                        c.notify_on(&events[0], 0);
                    }
                    c.set(left, left - 1);
                });
                left
            })
        })
        .collect();
    let start = Instant::now();
    let ended = cores(TWO).run(|core| {
        let (program, left) = &programs[core.index()];
        async move {
            let spawner = program.start(1).expect("it starts");
            let frame = spawner.spawn((), set(*left, rounds)).expect("there is room");
            let ended = frame.await.result.is_ok();
            // The other one may still want to post.
            time::sleep(Duration::from_millis(50)).await;
            ended
        }
    });
    assert_eq!(ended.expect("two cores"), [true, true], "after {:?}", start.elapsed());
}

#[test]
fn a_thread_without_a_ring_posts_to_tasks() {
    const POSTS: u64 = 1000;
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("thread");
    let ran = cores(NonZeroUsize::MIN).run(|core| {
        let event = event.clone();
        async move {
            let poster = event.clone();
            let own = core.clone();
            let thread = std::thread::spawn(move || (0..POSTS).all(|_| poster.notify_on(&own)));
            for _ in 0..POSTS {
                event.wait().await;
            }
            assert!(thread.join().expect("no panic"));
            assert_eq!(event.count(), 0);
            core
        }
    });
    let core = ran.expect("a core").remove(0);
    assert!(!event.notify_on(&core), "the core has ended");
}

#[test]
fn a_post_to_a_core_that_is_not_there_fails_and_one_to_the_own_core_comes() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("nowhere");
    let (program, core) = chain(|c: &mut Chain<Notes>| {
        let (core, errno) = (c.param(), c.reg());
        c.set(errno, 0);
        c.attempt(|c| {
            c.notify_on(&event, core + 0);
            c.wait(&event);
        })
        .on_error(errno, |_| {});
        note(c, errno);
        core
    });
    let nowhere = libc::ENXIO as u64;
    // Outside of a group there are no others.
    assert_eq!(run(&program, Notes::new(), set(core, 0)).session, [nowhere]);
    let noted = cores(NonZeroUsize::MIN).run(|_| async {
        let spawner = program.start(1).expect("it starts");
        let mut noted = Notes::new();
        for number in [0, 1, u64::MAX] {
            let frame = spawner.spawn(Notes::new(), set(core, number)).expect("there is room");
            noted.extend(soon("the frame", frame).await.session);
        }
        noted
    });
    assert_eq!(noted.expect("a core"), [[0, nowhere, nowhere]]);
}

#[test]
fn frames_that_wait_end_with_the_runtime() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("ended");
    let (program, left) = taker(&event);
    let runtime = Runtime::new().expect("a ring");
    let (handles, mut task) = runtime.block_on(async {
        let spawner = program.start(4).expect("it starts");
        let handles = takers(&spawner, left, &Rc::default(), 1, 3);
        let mut task = event.wait();
        assert!(futures::poll!(&mut task).is_pending());
        time::sleep(Duration::from_millis(2)).await;
        (handles, task)
    });
    drop(runtime);
    assert!(handles.iter().all(ChainHandle::is_finished));
    // Its core is gone: nobody will post it there.
    Runtime::new().expect("a ring").block_on(async {
        event.notify();
        assert!(futures::poll!(&mut task).is_pending());
        drop(task);
        soon("the post of this core", event.wait()).await;
    });
}

#[test]
fn waiting_inside_of_a_group_is_refused_and_the_report_names_events() {
    let (event, group) = (Event::new("news"), Group::new("g"));
    let mut c = Chain::<()>::new("test");
    c.serial(&group, |c| c.wait(&event));
    let error = c.build().expect_err("it is refused").to_string();
    let text =
        "chain test, step 2 (wait): it may wait for others, and everybody who waits for the group with it";
    assert_eq!(error, text);
    let (program, _) = chain(|c: &mut Chain<()>| {
        let n = c.param();
        c.wait(&event);
        c.serial(&group, |c| c.notify(&event));
        c.notify_on(&event, n);
    });
    let text = program.explain().to_string();
    let steps = "wait for news #1; enter g #2; notify news #3; leave g #2; notify news on core r0 #4; finish";
    assert!(text.contains(steps), "{text}");
}
