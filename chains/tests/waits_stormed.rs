//! Frames that wait in every way there is, while posts come from their own core, another one and a thread, frames are
//! cancelled and deadlines strike at random moments; and everything dropped in any order in the middle of it.
//!
//! `CHAINRING_LONG=1` runs fifty times as many storms. A failure names its seed.

mod common;

use std::any::Any;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, ErrorKind, Event, Flow, Group, Log, Program, Shared, Spawner};
use chainring_runtime::{CoreHandle, Handle, Runtime, cores, time, yield_now};
use common::one::{Dir, chain};
use common::{scaled, soon, watchdog};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const FRAMES: u64 = 24;
const RECORD: &[u8] = b"a record";

/// What frames of a core count in: posts that they took and made, and records that were acknowledged.
const TAKEN: usize = 0;
const POSTED: usize = 1;
const COMMITTED: usize = 2;

/// What a frame has: its number, who came into the group last, and whether anybody has come in meanwhile.
struct Session {
    number: u64,
    inside: Rc<Cell<u64>>,
    disturbed: Rc<Cell<bool>>,
}

struct Things {
    event: Event,
    group: Group,
    log: Log,
    words: Shared,
    futex: Arc<AtomicU32>,
}

impl Things {
    fn new() -> Things {
        let (event, group) = (Event::new("event"), Group::new("group"));
        // A batch is soon full.
        let (log, words) = (Log::with_batch("log", 40), Shared::new("words", 3));
        Things { event, group, log, words, futex: Arc::default() }
    }

    /// Waits in all ways in turn, until it is cancelled.
    fn waiter(&self) -> Program<Session> {
        let with_futexes = Runtime::new().expect("a ring").handle().capabilities().futex();
        let (program, ()) = chain(|c: &mut Chain<Session>| {
            let (errno, record) = (c.reg(), c.constant(RECORD));
            let [taken, posted, committed] =
                [TAKEN, POSTED, COMMITTED].map(|word| c.shared(&self.words, word));
            c.repeat(|c| {
                c.wait(&self.event);
                c.set(taken, taken + 1);
                let inside = |c: &mut Chain<Session>| {
                    c.serial(&self.group, |c| {
                        c.call((), |session: &mut Session, ()| {
                            session.inside.set(session.number);
                            Flow::Next
                        });
                        c.nop();
                        c.call((), |session: &mut Session, ()| {
                            if session.inside.get() != session.number {
                                session.disturbed.set(true);
                            }
                            Flow::Next
                        });
                    });
                };
                c.attempt(|c| c.within(Duration::from_micros(200), inside)).on_error(errno, |_| {});
                c.commit(&self.log, [record.all()]);
                c.set(committed, committed + 1);
                if with_futexes {
                    let word = c.atomic(self.futex.clone());
                    let wait = |c: &mut Chain<Session>| c.futex_wait(word, 0);
                    c.attempt(|c| c.within(Duration::from_micros(100), wait)).on_error(errno, |_| {});
                    c.futex_wake(word, 1);
                }
                let nap = || time::sleep(Duration::from_micros(50));
                c.call_async((), move |_, ()| nap(), (), |_, (), ()| Flow::Next);
                c.set(posted, posted + 1);
                c.notify(&self.event);
            });
        });
        program
    }
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Frames of a core, and what they have seen.
struct Crowd {
    spawner: Spawner<Session>,
    frames: Vec<ChainHandle<Session>>,
    inside: Rc<Cell<u64>>,
    disturbed: Rc<Cell<bool>>,
    spawned: u64,
}

impl Crowd {
    fn start(program: &Program<Session>) -> Crowd {
        let spawner = program.start(2 * FRAMES as u32).expect("it starts");
        let (inside, disturbed) = Default::default();
        let mut crowd = Crowd { spawner, frames: Vec::new(), inside, disturbed, spawned: 0 };
        (0..FRAMES).for_each(|_| crowd.spawn());
        crowd
    }

    fn spawn(&mut self) {
        let (inside, disturbed) = (self.inside.clone(), self.disturbed.clone());
        self.spawned += 1;
        let session = Session { number: self.spawned, inside, disturbed };
        self.frames.push(self.spawner.spawn(session, |_| {}).expect("there is room"));
    }
}

async fn cancelled(frame: ChainHandle<Session>) {
    frame.cancel();
    let error = soon("a frame", frame).await.result.expect_err("it never ends by itself");
    assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
}

/// What a core does in a storm. Gives how many posts it has sent to each core, and how many its tasks have taken.
async fn storm(core: &CoreHandle, things: &Things, crowd: &mut Crowd, random: &mut Random) -> [u64; 3] {
    let [mut sent, mut taken] = [[0, 0], [0, 0]];
    for _ in 0..300 {
        match random.below(8) {
            0..3 => {
                let to = random.below(core.count() as u64) as usize;
                assert!(things.event.notify_on(&core.core(to)));
                sent[to] += 1;
            }
            3 => {
                let chosen = random.below(crowd.frames.len() as u64) as usize;
                cancelled(crowd.frames.swap_remove(chosen)).await;
                crowd.spawn();
            }
            // A task that gives up, or not.
            4 => {
                let limit = Duration::from_micros(random.below(100));
                taken[0] += u64::from(time::timeout(limit, things.event.wait()).await.is_ok());
            }
            5 => time::sleep(Duration::from_micros(random.below(200))).await,
            _ => yield_now().await,
        }
    }
    [sent[0], sent[1], taken[0]]
}

/// A storm on two cores, with a thread that posts too.
fn stormed(seed: u64) {
    let dirs = [Dir::new(), Dir::new()];
    let (things, finished) = (Things::new(), Event::new("finished"));
    let program = things.waiter();
    // Posts to each core by others than its frames.
    let posts: [AtomicU64; 2] = Default::default();
    let ended = cores(TWO).run(async |core| {
        let own = core.index();
        let log = things.log.open(dirs[own].file("log", b""), 0).expect("it opens");
        let mut crowd = Crowd::start(&program);
        let poster = (own == 0).then(|| {
            let (event, all) = (things.event.clone(), [core.core(0), core.core(1)]);
            std::thread::spawn(move || {
                for i in 0..100 {
                    assert!(event.notify_on(&all[i % 2]), "both are there");
                    std::thread::yield_now();
                }
            })
        });
        let mut random = Random::new(2 * seed + own as u64);
        let [first, second, by_tasks] = storm(&core, &things, &mut crowd, &mut random).await;
        posts[0].fetch_add(first, Ordering::Relaxed);
        posts[1].fetch_add(second, Ordering::Relaxed);
        if let Some(poster) = poster {
            poster.join().expect("no panic");
            for posts in &posts {
                posts.fetch_add(50, Ordering::Relaxed);
            }
        }
        // All posts have been sent, and those to this core are here.
        core.cores().for_each(|core| assert!(finished.notify_on(&core)));
        for _ in 0..core.count() {
            soon("the other core", finished.wait()).await;
        }
        for frame in crowd.frames.drain(..) {
            cancelled(frame).await;
        }
        let word = |word| things.words.get(word);
        let sent = posts[own].load(Ordering::Relaxed) + word(POSTED);
        assert_eq!(sent, word(TAKEN) + by_tasks + things.event.count(), "posts sent, and taken or left");
        assert_eq!(things.group.waiting(), 0);
        assert!(!crowd.disturbed.get(), "two were inside of the group");
        // Whoever was cancelled may have a record in the log.
        log.commit("").await.expect("nothing fails");
        assert!(log.durable() >= word(COMMITTED) * RECORD.len() as u64);
        assert_eq!(crowd.spawner.live(), 0);
        word(COMMITTED)
    });
    let committed = ended.expect("two cores");
    for (dir, committed) in dirs.iter().zip(committed) {
        let bytes = std::fs::read(dir.join("log")).expect("the log");
        assert!(bytes.len() as u64 >= committed * RECORD.len() as u64);
        assert!(bytes.chunks(RECORD.len()).all(|record| record == RECORD));
    }
}

#[test]
fn no_post_is_lost_and_nobody_disturbed_in_a_storm() {
    let _watchdog = watchdog(Duration::from_secs(scaled(120, 3600) as u64));
    for seed in 0..scaled(6, 300) as u64 {
        eprintln!("seed {seed}");
        stormed(seed);
    }
}

/// Has frames and tasks wait in every way, and drops the runtime and all that belongs to it in an order of its own.
fn dropped(seed: u64) {
    let mut random = Random::new(seed);
    let dir = Dir::new();
    let things = Things::new();
    let program = things.waiter();
    let runtime = Runtime::new().expect("a ring");
    let (mut all, inside) = runtime.block_on(async {
        let log = things.log.open(dir.file("log", b""), 0).expect("it opens");
        let crowd = Crowd::start(&program);
        let injector = Handle::current();
        if random.below(2) == 0 {
            injector.injector().delay("fsync", 30, 3);
        }
        (0..random.below(2 * FRAMES)).for_each(|_| things.event.notify());
        for _ in 0..random.below(60) {
            yield_now().await;
        }
        let mut all: Vec<Box<dyn Any>> = Vec::new();
        for i in 0..4 {
            let (mut wait, mut commit) = (Box::new(things.event.wait()), Box::new(log.commit([i; 30])));
            let _ = futures::poll!(&mut *wait);
            let _ = futures::poll!(&mut *commit);
            all.extend([wait as Box<dyn Any>, commit]);
        }
        all.push(Box::new(log));
        all.push(Box::new(crowd.spawner));
        for frame in crowd.frames {
            if random.below(4) == 0 {
                frame.cancel();
            }
            all.push(Box::new(frame));
        }
        (all, crowd.inside)
    });
    all.push(Box::new(runtime));
    all.push(Box::new(things));
    all.push(Box::new(program));
    while !all.is_empty() {
        let chosen = random.below(all.len() as u64) as usize;
        drop(all.swap_remove(chosen));
    }
    assert_eq!(Rc::strong_count(&inside), 1, "every session is gone");
}

#[test]
fn whatever_is_dropped_first_nothing_is_left_behind() {
    let _watchdog = watchdog(Duration::from_secs(scaled(120, 3600) as u64));
    for seed in 0..scaled(40, 2000) as u64 {
        eprintln!("seed {seed}");
        dropped(seed);
    }
}
