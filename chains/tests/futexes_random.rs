//! Random frames that wait for a word and wake each other, beside an interpreter that has a clock and a queue.
//!
//! All of a case run on one core and share a word. Whatever a frame does by itself it does at times of its own (its number,
//! modulo theirs), and when another one has woken it, it sleeps until its own time comes again: so no two do anything at
//! the same time, and who comes first is never a matter of chance. Whom a wake of a few leaves asleep is the kernel's
//! choice: any is permitted.
//!
//! `CHAINRING_LONG=1` runs 5,000.

mod common;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Expr, Flow, Program, Shared, value};
use chainring_runtime::{Builder, Runtime, time};
use common::{scaled, watchdog};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const MS: Duration = Duration::from_millis(1);
/// Nothing that a case does takes longer.
const HORIZON: u64 = 600;
/// How a wake is noted, beside how many it has woken.
const WAKES: u64 = 1000;

#[derive(Clone, Copy, Debug)]
enum What {
    Set(u32),
    /// As long as the word is this, and for so many rounds at the most.
    Wait(u32, Option<u64>),
    Wake(u32),
}

/// What a frame does, each followed by a sleep of so many rounds.
type Steps = Vec<(What, u64)>;

fn frames() -> impl Strategy<Value = Vec<Steps>> {
    let word = 0..3_u32;
    let what = prop_oneof![
        1 => word.clone().prop_map(What::Set),
        3 => (word, prop::option::weighted(0.4, 1..8_u64)).prop_map(|(word, limit)| What::Wait(word, limit)),
        3 => prop_oneof![2 => Just(1), 1 => 0..4_u32].prop_map(What::Wake),
    ];
    prop::collection::vec(prop::collection::vec((what, 1..4_u64), 1..6), 2..4)
}

/// What a frame has noted, and when; and how it ended.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    notes: Vec<(u64, u64)>,
    /// It waits to the end.
    waits: bool,
}

/// What the frames share: the word, and in whose time it was last woken.
struct Words {
    word: Arc<AtomicU32>,
    waker: Shared,
}

fn program(steps: &Steps, number: u64, all: u64, words: &Words, start: std::time::Instant) -> Program<Seen> {
    let mut c = Chain::<Seen>::new("waits and wakes");
    let round = MS * all as u32;
    let (word, waker) = (c.atomic(words.word.clone()), c.shared(&words.waker, 0));
    let result = c.reg();
    let note = |c: &mut Chain<Seen>| {
        c.call((value(result),), move |seen, (result,)| {
            seen.notes.push(((time::now() - start).as_millis() as u64, result));
            Flow::Next
        });
    };
    c.sleep(MS * number as u32);
    for (what, rounds) in steps {
        match *what {
            What::Set(value) => c.set(word, u64::from(value)),
            What::Wake(count) => {
                c.set(waker, number);
                c.futex_wake(word, u64::from(count)).into(result);
                c.set(result, result + WAKES);
                note(&mut c);
            }
            What::Wait(expected, limit) => {
                let expected = u64::from(expected);
                c.set(result, 0);
                c.when(word.ne(expected), |c| c.futex_wait(word, expected)).otherwise(|c| {
                    match limit {
                        None => c.futex_wait(word, expected),
                        Some(rounds) => {
                            let within = |c: &mut Chain<Seen>| c.futex_wait(word, expected);
                            c.attempt(|c| c.within(round * rounds as u32, within)).on_error(result, |_| {});
                        }
                    }
                    note(c);
                    c.when(result.eq(0), |c| {
                        let own = (Expr::from(number + all) - waker) % all;
                        c.sleep(own * MS.as_nanos() as u64);
                    });
                });
            }
        }
        c.sleep(round * *rounds as u32);
    }
    c.build().unwrap_or_else(|error| panic!("{error}"))
}

fn run(frames: &[Steps]) -> Vec<Seen> {
    let runtime = Builder::new().hold_clock(true).build().expect("a ring");
    runtime.block_on(async {
        let words = Words { word: Arc::new(AtomicU32::new(0)), waker: Shared::new("waker", 1) };
        let (start, all) = (time::now(), frames.len() as u64);
        let spawners = frames
            .iter()
            .zip(0..)
            .map(|(steps, number)| program(steps, number, all, &words, start).start(1).expect("it starts"));
        let spawners: Vec<_> = spawners.collect();
        let spawn = |spawner: &chainring_chains::Spawner<Seen>| {
            spawner.spawn(Seen::default(), |_| {}).expect("there is room")
        };
        let handles: Vec<_> = spawners.iter().map(spawn).collect();
        for _ in 0..HORIZON {
            // Whoever is woken, and whoever wakes, learns of it by the ring.
            for _ in 0..3 {
                time::advance(Duration::ZERO).await;
            }
            if handles.iter().all(|handle| handle.is_finished()) {
                break;
            }
            time::advance(MS).await;
        }
        let mut seen = Vec::new();
        for handle in handles {
            let waits = !handle.is_finished();
            handle.cancel();
            let exit = handle.await;
            match exit.result.as_ref().map_err(|error| error.kind()) {
                Ok(()) => assert!(!waits),
                Err(ErrorKind::Cancelled { .. }) => assert!(waits, "nobody has cancelled it"),
                Err(other) => panic!("{other:?}"),
            }
            seen.push(Seen { waits, ..exit.session });
        }
        assert_eq!(runtime.metrics().timers, 0, "an alarm has outlived its frame");
        seen
    })
}

// ---- the interpreter ----

struct Frame<'s> {
    left: std::slice::Iter<'s, (What, u64)>,
    /// When it does the next thing, unless it waits; and when it gives up, if it waits.
    at: Option<u64>,
    /// Behind the wait.
    rounds: u64,
    seen: Seen,
}

/// What the frames see if the kernel wakes, of several, the one that `choices` say, and how often it has had the choice.
fn interpret(frames: &[Steps], choices: u32) -> (Vec<Seen>, u32) {
    let all = frames.len() as u64;
    let mut frames: Vec<Frame<'_>> = frames
        .iter()
        .zip(0..)
        .map(|(steps, number)| Frame {
            left: steps.iter(),
            at: Some(number),
            rounds: 0,
            seen: Seen::default(),
        })
        .collect();
    let (mut word, mut queue, mut chosen) = (0, VecDeque::<usize>::new(), 0);
    for now in 0..HORIZON {
        let number = (now % all) as usize;
        if frames[number].at != Some(now) {
            continue;
        }
        if let Some(place) = queue.iter().position(|waits| *waits == number) {
            // It has waited for too long.
            queue.remove(place);
            let frame = &mut frames[number];
            frame.seen.notes.push((now, libc::ETIMEDOUT as u64));
            frame.at = Some(now + frame.rounds * all);
            continue;
        }
        let frame = &mut frames[number];
        let Some((what, rounds)) = frame.left.next() else {
            frame.at = None;
            continue;
        };
        frame.at = Some(now + rounds * all);
        match *what {
            What::Set(value) => word = value,
            What::Wait(expected, limit) => {
                if word == expected {
                    frame.rounds = *rounds;
                    frame.at = limit.map(|limit| now + limit * all);
                    queue.push_back(number);
                }
            }
            What::Wake(count) => {
                let mut woken = 0;
                while woken < count && !queue.is_empty() {
                    // Who is woken together with all others is no choice.
                    let is_choice = queue.len() > (count - woken) as usize;
                    let last = is_choice && choices >> chosen & 1 == 1;
                    chosen += u32::from(is_choice);
                    let who = if last { queue.pop_back() } else { queue.pop_front() }.expect("not empty");
                    woken += 1;
                    let frame = &mut frames[who];
                    frame.seen.notes.push((now, 0));
                    let own = (who as u64 + all - number as u64) % all;
                    frame.at = Some(now + own + frame.rounds * all);
                }
                frames[number].seen.notes.push((now, WAKES + u64::from(woken)));
            }
        }
    }
    for waits in queue {
        frames[waits].seen.waits = true;
    }
    (frames.into_iter().map(|frame| frame.seen).collect(), chosen)
}

#[test]
fn frames_that_wait_and_wake_each_other_see_what_is_permitted() {
    if !Runtime::new().expect("a ring").handle().capabilities().futex() {
        return;
    }
    let _watchdog = watchdog(Duration::from_secs(600));
    let cases = scaled(100, 5_000) as u32;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let (woken, struck, kept) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = TestRunner::new(config).run(&frames(), |frames| {
        let seen = run(&frames);
        let (expected, choices) = interpret(&frames, 0);
        let permitted = (0..1 << choices.min(8)).any(|choices| interpret(&frames, choices).0 == seen);
        prop_assert!(permitted, "saw {:?} in place of {:?}", seen, expected);
        for seen in seen {
            let is = |what: u64| seen.notes.iter().filter(|(_, noted)| *noted == what).count();
            woken.set(woken.get() + is(0));
            struck.set(struck.get() + is(libc::ETIMEDOUT as u64));
            kept.set(kept.get() + usize::from(seen.waits));
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let met = [woken.get(), struck.get(), kept.get()];
    assert!(met.iter().all(|met| *met > cases as usize / 20), "{met:?}: hardly anything was tested");
}
