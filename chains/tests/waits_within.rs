//! Deadlines of frames that wait for a group, an event or a log: they strike, and what was waited for goes to the next.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, Event, Flow, Group, Init, Log, Program, Reg, Spawner, value};
use chainring_runtime::{Handle, Runtime, time, yield_now};
use common::one::{Dir, chain};
use common::{soon, watchdog};

type Seen = Rc<RefCell<Vec<u64>>>;

const MILLISECOND: u64 = 1_000_000;
const LATE: u64 = 100;

/// Does something within five milliseconds, and notes its number, or that it was too late.
fn within(steps: impl Fn(&mut Chain<Seen>), behind: impl Fn(&mut Chain<Seen>)) -> (Program<Seen>, [Reg; 2]) {
    chain(|c: &mut Chain<Seen>| {
        let (number, limit, errno) = (c.param(), c.param(), c.reg());
        c.attempt(|c| c.within(limit, |c| steps(c))).on_error(errno, |c| {
            c.ensure(errno.eq(libc::ETIMEDOUT as u64), libc::EPROTO);
            c.set(number, number + LATE);
        });
        c.call((value(number),), |seen, (number,)| {
            seen.borrow_mut().push(number);
            Flow::Next
        });
        behind(c);
        [number, limit]
    })
}

fn spawn(spawner: &Spawner<Seen>, seen: &Seen, regs: [Reg; 2], number: u64, limit: u64) -> ChainHandle<Seen> {
    let init = |frame: &mut Init<'_, '_>| {
        frame.set(regs[0], number).set(regs[1], limit * MILLISECOND);
    };
    spawner.spawn(seen.clone(), init).expect("there is room")
}

async fn all(handles: Vec<ChainHandle<Seen>>) {
    for handle in handles {
        soon("a frame", handle).await.result.expect("the deadline is handled");
    }
}

#[test]
fn a_deadline_takes_a_frame_out_of_the_queue_of_a_group_and_out_of_the_group() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("late");
    let (program, regs) = within(|c| c.serial(&group, |c| c.sleep(50 * MILLISECOND)), |_| {});
    let seen = Seen::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(8).expect("it starts");
        // The first is inside for 50 ms, the second waits for 10, the third is late inside of it, the last has time.
        let limits = [10_000, 10, 80, 10_000];
        let handles =
            (0..).zip(limits).map(|(number, limit)| spawn(&spawner, &seen, regs, number, limit)).collect();
        all(handles).await;
        assert_eq!(group.waiting(), 0);
        assert_eq!(spawner.counters().deadlines, 2);
    });
    assert_eq!(*seen.borrow(), [1 + LATE, 0, 2 + LATE, 3]);
}

#[test]
fn a_frame_that_is_late_for_an_event_takes_no_post() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("late");
    let (program, regs) = within(|c| c.wait(&event), |c| c.sleep(30 * MILLISECOND));
    let seen = Seen::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(8).expect("it starts");
        let handles = vec![spawn(&spawner, &seen, regs, 0, 5), spawn(&spawner, &seen, regs, 1, 10_000)];
        while seen.borrow().is_empty() {
            yield_now().await;
        }
        event.notify();
        // The first one sleeps by now, and goes on sleeping.
        all(handles).await;
        assert_eq!(event.count(), 0);
    });
    assert_eq!(*seen.borrow(), [LATE, 1]);
}

#[test]
fn a_post_that_beats_the_deadline_is_taken_or_goes_to_the_next() {
    const FRAMES: u64 = 200;
    let _watchdog = watchdog(Duration::from_secs(60));
    let event = Event::new("race");
    let (program, regs) = within(|c| c.wait(&event), |_| {});
    let seen = Seen::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(FRAMES as u32).expect("it starts");
        let handles = (0..FRAMES).map(|number| spawn(&spawner, &seen, regs, number, 5)).collect();
        let posts = async {
            for _ in 0..FRAMES {
                event.notify();
                time::sleep(Duration::from_micros(50)).await;
            }
        };
        futures::join!(all(handles), posts);
        assert_eq!(seen.borrow().len() as u64, FRAMES);
        let late = spawner.counters().deadlines;
        assert_eq!(event.count(), late, "each post was taken by one that was in time");
    });
}

#[test]
fn a_deadline_strikes_a_frame_whose_record_is_being_written() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("late");
    let (program, regs) = within(
        |c| {
            let text = c.constant(b"record!!");
            c.commit(&log, text.all());
        },
        |_| {},
    );
    let seen = Seen::default();
    Runtime::new().expect("a ring").block_on(async {
        let core = Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let spawner = program.start(2).expect("it starts");
        core.injector().delay("fsync", 20_000, 1);
        let handles = vec![spawn(&spawner, &seen, regs, 0, 5), spawn(&spawner, &seen, regs, 1, 10_000)];
        while seen.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(open.durable(), 0, "before the disk is done");
        all(handles).await;
        assert_eq!(open.durable(), 16);
    });
    assert_eq!(*seen.borrow(), [LATE, 1]);
    assert_eq!(std::fs::read(dir.join("log")).expect("the log"), b"record!!record!!");
}
