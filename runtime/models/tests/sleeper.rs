//! A core that falls asleep while threads have something for it. A wake-up that is lost is a deadlock, which loom finds.

#[path = "../../src/exec/sleeper.rs"]
mod sleeper;

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use sleeper::Sleeper;

/// What a core shares with other threads: as the runtime's, with the weakest of queues.
struct Shared {
    sleeper: Sleeper,
    /// How many things wait. Relaxed throughout: that the core sees them is up to the protocol.
    queue: AtomicUsize,
    /// The eventfd.
    bell: Mutex<bool>,
    rung: Condvar,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            sleeper: Sleeper::new(),
            queue: AtomicUsize::new(0),
            bell: Mutex::new(false),
            rung: Condvar::new(),
        })
    }

    /// A thread has something for the core.
    fn send(&self) {
        self.queue.fetch_add(1, Ordering::Relaxed);
        if self.sleeper.mark() {
            *self.bell.lock().unwrap() = true;
            self.rung.notify_one();
        }
    }

    /// The core takes what is there, up to `most`; if nothing is, it looks so many times more, and then sleeps.
    fn turn(&self, most: usize, looks: usize) -> usize {
        if (0..=looks).any(|_| self.sleeper.is_marked()) {
            self.sleeper.begin();
            let there = self.queue.load(Ordering::Relaxed);
            let taken = there.min(most);
            self.queue.fetch_sub(taken, Ordering::Relaxed);
            if taken < there {
                self.sleeper.leave();
            }
            return taken;
        }
        self.sleeper.fall_asleep();
        if !self.sleeper.is_marked() {
            let mut rung = self.bell.lock().unwrap();
            while !*rung {
                rung = self.rung.wait(rung).unwrap();
            }
            *rung = false;
        }
        self.sleeper.get_up();
        0
    }
}

/// Threads that send so many things each, and a core that takes at most so many a turn, and looks so many times before it
/// sleeps, until it has all.
///
/// A thread is interrupted up to three times against its will, as loom recommends (`LOOM_MAX_PREEMPTIONS` for more).
fn model(threads: usize, each: usize, most: usize, looks: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(move || {
        let shared = Shared::new();
        let senders: Vec<_> = (0..threads)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || (0..each).for_each(|_| shared.send()))
            })
            .collect();
        let mut taken = 0;
        while taken < threads * each {
            taken += shared.turn(most, looks);
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(shared.queue.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_message_reaches_a_core_that_falls_asleep_at_that_moment() {
    model(1, 1, 8, 0);
}

#[test]
fn a_second_message_reaches_a_core_that_was_woken_by_the_first() {
    model(1, 2, 8, 0);
}

#[test]
fn two_threads_ring_once_and_neither_is_forgotten() {
    model(2, 1, 8, 0);
}

#[test]
fn what_a_core_leaves_in_its_queue_is_not_forgotten() {
    model(1, 3, 1, 0);
}

#[test]
fn a_message_under_the_mark_of_another_reaches_a_core_that_takes_the_mark_away() {
    model(2, 2, 1, 0);
}

#[test]
fn a_message_reaches_a_core_that_lingers_and_then_sleeps() {
    model(1, 2, 8, 1);
}
