//! Words that others see too: of a core, and of all threads.

mod common;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow, Group, Init, Program, Reg, Shared, Word};
use chainring_runtime::op::futex::{futex_wait, futex_wake};
use chainring_runtime::{Builder, Capability, Runtime, cores, time, yield_now};
use common::one::{Notes, chain, note, run};
use common::refused::refused;
use common::{pair, scaled, soon, watchdog};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Does something so many times, giving way to others in between.
fn often(steps: impl Fn(&mut Chain<()>, Reg)) -> (Program<()>, Reg) {
    chain(|c: &mut Chain<()>| {
        let left = c.param();
        c.repeat(|c| {
            c.when(left.eq(0), |c| c.leave());
            steps(c, left);
            c.set(left, left - 1);
            c.sleep(1);
        });
        left
    })
}

fn set<'r>(reg: Reg, value: u64) -> impl FnOnce(&mut Init<'_, '_>) + 'r {
    move |frame| {
        frame.set(reg, value);
    }
}

/// Runs so many frames of a program to their ends.
async fn run_all(program: &(Program<()>, Reg), frames: u32, turns: u64) {
    let spawner = program.0.start(frames).expect("it starts");
    let spawn = |_| spawner.spawn((), set(program.1, turns)).expect("there is room");
    let handles: Vec<_> = (0..frames).map(spawn).collect();
    for handle in handles {
        handle.await.result.expect("nothing fails");
    }
}

#[test]
fn what_frames_add_up_on_a_core_is_never_lost() {
    const FRAMES: u64 = 16;
    const TURNS: u64 = 50;
    let _watchdog = watchdog(Duration::from_secs(60));
    let words = Shared::new("totals", 3);
    // In one step, in several, and with the help of a register.
    let one = often(|c, _| {
        let word = c.shared(&words, 1);
        c.set(word, word + 1);
    });
    let other = often(|c, left| {
        let (word, n) = (c.shared(&words, 1), c.reg());
        c.set(n, word);
        c.when(left.ge(0), |c| c.set(n, n + 1));
        c.set(word, n);
        c.fetch_add(word, 1);
    });
    let totals = cores(TWO).run(|_| async {
        assert_eq!(words.get(1), 0, "each core has its own");
        words.set(2, 9);
        futures::join!(run_all(&one, FRAMES as u32, TURNS), run_all(&other, FRAMES as u32, TURNS));
        [words.get(0), words.get(1), words.get(2)]
    });
    let total = [0, 3 * FRAMES * TURNS, 9];
    assert_eq!(totals.expect("two cores"), [total, total]);
}

#[test]
fn tasks_calls_and_frames_see_the_same_words() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let words = Shared::new("seen", 1);
    let seen = words.clone();
    let (program, _) = chain(|c: &mut Chain<Notes>| {
        let (word, n) = (c.shared(&words, 0), c.reg());
        c.set(n, word * 2);
        note(c, n);
        c.call((), move |_, ()| {
            seen.set(0, seen.get(0) + 1);
            Flow::Next
        });
        c.when(word.eq(22), |c| c.set(word, 100));
        c.compare_exchange(word, 100, 101).into(n);
        note(c, n);
        c.compare_exchange(word, 100, 102).into(n);
        note(c, n);
        c.compare_exchange(word, 101, 103);
    });
    Runtime::new().expect("a ring").block_on(async {
        words.set(0, 21);
        let spawner = program.start(1).expect("it starts");
        let frame = spawner.spawn(Notes::new(), |_| {}).expect("there is room");
        assert_eq!(soon("the frame", frame).await.session, [42, 100, 101]);
        assert_eq!(words.get(0), 103);
    });
}

#[test]
fn a_word_is_read_behind_the_operation_that_stands_before_it() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let words = Shared::new("changed meanwhile", 1);
    let (program, sock) = chain(|c: &mut Chain<()>| {
        let (sock, n, data) = (c.socket(), c.reg(), c.buffer(1));
        let word = c.shared(&words, 0);
        c.recv_exact(sock, data.all());
        // Nothing but that others may change it keeps these from moving up.
        c.set(n, word + 1);
        c.set(word, 0);
        c.store(data, 0, chainring_chains::Order::U8, n);
        c.send_all(sock, data.all());
        sock
    });
    let text = program.explain().to_string();
    assert!(!text.contains("moved up"), "{text}");
    assert_eq!(program.explain().segments(), 2, "{text}");
    Runtime::new().expect("a ring").block_on(async {
        let (near, mut far) = pair();
        let spawner = program.start(1).expect("it starts");
        let init = |frame: &mut Init<'_, '_>| {
            frame.socket(sock, near);
        };
        let frame = spawner.spawn((), init).expect("there is room");
        time::sleep(Duration::from_millis(5)).await;
        words.set(0, 6);
        far.write_all(b"x").expect("send");
        soon("the frame", frame).await.result.expect("nothing fails");
        let mut answer = [0];
        far.read_exact(&mut answer).expect("an answer");
        assert_eq!((answer, words.get(0)), ([7], 0));
    });
}

#[test]
fn two_cores_count_together() {
    const FRAMES: u64 = 4;
    let turns = scaled(500, 50_000) as u64;
    let _watchdog = watchdog(Duration::from_secs(300));
    let (added, exchanged, small) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(u32::MAX)));
    let program = often(|c, _| {
        let (word, other) = (c.atomic(added.clone()), c.atomic(exchanged.clone()));
        let (before, was) = (c.reg(), c.reg());
        c.fetch_add(word, 1);
        c.repeat(|c| {
            c.set(before, other);
            c.compare_exchange(other, before, before + 1).into(was);
            c.when(was.eq(before), |c| c.leave());
        });
        let small = c.atomic(small.clone());
        c.fetch_add(small, 1);
    });
    cores(TWO).run(|_| run_all(&program, FRAMES as u32, turns)).expect("two cores");
    let total = 2 * FRAMES * turns;
    assert_eq!([&added, &exchanged].map(|word| word.load(Ordering::Relaxed)), [total, total]);
    assert_eq!(u64::from(small.load(Ordering::Relaxed)), total - 1, "it wraps");
}

#[test]
fn numbers_of_32_bits_are_that_and_no_more() {
    let small = Arc::new(AtomicU32::new(5));
    let (program, _) = chain(|c: &mut Chain<Notes>| {
        let (word, n) = (c.atomic(small.clone()), c.reg());
        c.compare_exchange(word, (1_u64 << 32) + 5, 6).into(n);
        note(c, n);
        c.set(word, (1_u64 << 32) + 7);
        c.set(n, word);
        note(c, n);
        c.fetch_add(word, -8).into(n);
        note(c, n);
    });
    assert_eq!(run(&program, Notes::new(), |_| {}).session, [5, 7, 7]);
    assert_eq!(small.load(Ordering::Relaxed), u32::MAX);
}

/// Takes the lock that a word is: 0 free, 1 taken, 2 taken and waited for.
fn lock(c: &mut Chain<()>, word: Word) {
    let was = c.reg();
    c.compare_exchange(word, 0, 1).into(was);
    c.when(was.ne(0), |c| {
        c.repeat(|c| {
            c.when(was.eq(1), |c| {
                c.compare_exchange(word, 1, 2).into(was);
            });
            c.when(was.ne(0), |c| c.futex_wait(word, 2));
            // Whoever has waited does not know whether others do.
            c.compare_exchange(word, 0, 2).into(was);
            c.when(was.eq(0), |c| c.leave());
        });
    });
}

fn unlock(c: &mut Chain<()>, word: Word) {
    let was = c.reg();
    c.fetch_add(word, -1).into(was);
    c.when(was.ne(1), |c| {
        c.set(word, 0);
        c.futex_wake(word, 1);
    });
}

fn has_futexes() -> bool {
    Runtime::new().expect("a ring").handle().capabilities().futex()
}

#[test]
fn a_lock_of_a_futex_is_never_waited_for_in_vain() {
    if !has_futexes() {
        return;
    }
    const FRAMES: u64 = 4;
    let turns = scaled(250, 25_000) as u64;
    let _watchdog = watchdog(Duration::from_secs(600));
    let (locked, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
    let program = often(|c, _| {
        let (word, count, n) = (c.atomic(locked.clone()), c.atomic(count.clone()), c.reg());
        lock(c, word);
        // Not as one: that is what the lock is for.
        c.set(n, count);
        c.sleep(1000);
        c.set(count, n + 1);
        unlock(c, word);
    });
    cores(TWO).run(|_| run_all(&program, FRAMES as u32, turns)).expect("two cores");
    assert_eq!(count.load(Ordering::Relaxed), 2 * FRAMES * turns);
    assert_eq!(locked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_frame_waits_for_a_futex_until_a_task_wakes_it_and_the_other_way_round() {
    if !has_futexes() {
        return;
    }
    let _watchdog = watchdog(Duration::from_secs(60));
    let word = Arc::new(AtomicU32::new(3));
    let (program, expected) = chain(|c: &mut Chain<Notes>| {
        let (expected, woken) = (c.param(), c.reg());
        let atomic = c.atomic(word.clone());
        c.futex_wait(atomic, expected);
        c.set(atomic, atomic + 1);
        c.futex_wake(atomic, 10).into(woken);
        note(c, woken);
        expected
    });
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(4).expect("it starts");
        let spawn = |value| spawner.spawn(Notes::new(), set(expected, value)).expect("there is room");
        // Not as expected, or something that it can never be.
        for value in [4, u64::MAX] {
            assert_eq!(soon("the frame", spawn(value)).await.session, [0]);
        }
        assert_eq!(word.load(Ordering::Relaxed), 5);
        let (waits, cancelled) = (spawn(5), spawn(5));
        let mut task = futex_wait(word.clone(), 5);
        assert!(futures::poll!(&mut task).is_pending());
        time::sleep(Duration::from_millis(5)).await;
        assert_eq!(spawner.live(), 2, "they wait");
        cancelled.cancel();
        let error = soon("it", cancelled).await.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
        time::sleep(Duration::from_millis(5)).await;
        // Wakes the frame or the task, and the frame wakes whoever is left.
        assert_eq!(futex_wake(word.clone(), 1).await.expect("it wakes"), 1);
        if spawner.live() == 1 && !waits.is_finished() {
            yield_now().await;
        }
        let woken = futex_wake(word.clone(), 1).await.expect("it wakes");
        let noted = soon("the frame", waits).await.session;
        soon("the task", task).await.expect("it was woken");
        assert_eq!(noted[0] + woken as u64, 1, "three were there, of which one was cancelled");
    });
}

#[test]
fn a_wake_that_comes_to_a_frame_as_it_gives_up_goes_to_another() {
    if !has_futexes() {
        return;
    }
    let _watchdog = watchdog(Duration::from_secs(60));
    const LIMIT: Duration = Duration::from_millis(50);
    let word = Arc::new(AtomicU32::new(0));
    let waiting = |limit: Option<Duration>| {
        let (program, ()) = chain(|c: &mut Chain<()>| {
            let word = c.atomic(word.clone());
            match limit {
                Some(limit) => c.within(limit, |c| c.futex_wait(word, 0)),
                None => c.futex_wait(word, 0),
            };
        });
        program
    };
    let (short, long) = (waiting(Some(LIMIT)), waiting(None));
    // Given up by a deadline in the turn of the wake, by a deadline before, by a cancel.
    for how in 0..3 {
        Builder::new().hold_clock(true).build().expect("a ring").block_on(async {
            let (short, long) = (short.start(1).expect("it starts"), long.start(2).expect("it starts"));
            let first = if how < 2 { short.spawn((), |_| {}) } else { long.spawn((), |_| {}) };
            let first = first.expect("there is room");
            turns().await;
            let second = long.spawn((), |_| {}).expect("there is room");
            turns().await;
            // Somebody who has no ring here wakes one, in the turn in which the first gives up.
            let word = word.clone();
            let wake = move || {
                let other = std::thread::spawn(|| {
                    Runtime::new().expect("a ring").block_on(futex_wake(word, 1)).expect("one is woken")
                });
                other.join().expect("it does not panic")
            };
            let woken = match how {
                0 => {
                    let waker = chainring_runtime::spawn(async move {
                        time::sleep(LIMIT).await;
                        wake()
                    });
                    turns().await;
                    time::advance(LIMIT).await;
                    waker.await.expect("nobody panics")
                }
                1 => {
                    time::advance(LIMIT).await;
                    wake()
                }
                _ => {
                    first.cancel();
                    wake()
                }
            };
            assert_eq!(woken, 1);
            let first = soon("the first", first).await;
            if first.result.is_err() {
                soon("the second", second).await.result.expect("it was woken");
            }
        });
    }
}

async fn turns() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[test]
fn futexes_end_with_the_runtime_and_without_the_capability_a_program_does_not_start() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (program, _) = chain(|c: &mut Chain<()>| {
        let word = c.atomic(Arc::new(AtomicU32::new(0)));
        c.futex_wait(word, 0);
    });
    if has_futexes() {
        let runtime = Runtime::new().expect("a ring");
        let frame = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let frame = spawner.spawn((), |_| {}).expect("there is room");
            time::sleep(Duration::from_millis(5)).await;
            frame
        });
        drop(runtime);
        assert!(frame.is_finished());
    }
    let without = Builder::new().mask(Capability::Futex).build().expect("a ring");
    without.block_on(async {
        let error = program.start(1).expect_err("it cannot wait").to_string();
        let text =
            "the program cannot be started here: it waits for futexes or wakes them, which takes Linux 6.7";
        assert_eq!(error, text);
    });
}

#[test]
fn words_that_are_not_there_or_cannot_be_waited_for_are_refused() {
    let words = Shared::new("two", 2);
    let text = refused(|c| {
        let (good, bad) = (c.shared(&words, 1), c.shared(&words, 2));
        c.set(good, 1);
        c.set(good, bad + 1);
    });
    assert_eq!(
        text,
        "chain test, step 2 (set): word w1 is behind the last of those that it was to be one of"
    );
    let mut other = Chain::<()>::new("other");
    let foreign = other.shared(&words, 0);
    let text = refused(|c| {
        c.fetch_add(foreign, 1);
    });
    assert_eq!(text, "chain test, step 1 (fetch_add): a handle was made by another builder");
    let wide = Arc::new(AtomicU64::new(0));
    for is_shared in [true, false] {
        let text = refused(|c| {
            let word = if is_shared { c.shared(&words, 0) } else { c.atomic(wide.clone()) };
            c.futex_wait(word, 0);
        });
        let reason = "word w0 cannot be waited for: only an atomic one of 32 bits can";
        assert_eq!(text, format!("chain test, step 1 (futex_wait): {reason}"));
    }
    let group = Group::new("g");
    let text = refused(|c| {
        let word = c.atomic(Arc::new(AtomicU32::new(0)));
        c.serial(&group, |c| c.futex_wait(word, 0));
    });
    let peer = "it may wait for others, and everybody who waits for the group with it";
    assert_eq!(text, format!("chain test, step 2 (futex_wait): {peer}"));
}

#[test]
fn the_report_shows_words() {
    let words = Shared::new("hits", 1);
    let (program, _) = chain(|c: &mut Chain<()>| {
        let (word, n) = (c.shared(&words, 0), c.reg());
        let atomic = c.atomic(Arc::new(AtomicU32::new(0)));
        c.set(word, word + 1);
        c.fetch_add(atomic, 2).into(n);
        c.compare_exchange(atomic, 2, n);
        c.futex_wait(atomic, n);
        c.futex_wake(atomic, 1).into(n);
    });
    let text = program.explain().to_string();
    for steps in [
        "w0 = w0 + 1 #1; w1 += 2, was -> r0 #2; w1 = r0 if it is 2 #3",
        "wait for w1 as long as it is r0 #4",
        "wake r1 of w1, count -> r0 #5; finish",
    ] {
        assert!(text.contains(steps), "{text}");
    }
}
