//! Once they are warm, groups, logs and events allocate nothing, however often frames wait for them.

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use chainring_chains::{Chain, Event, Flow, Group, Init, Log, value};
use chainring_runtime::Runtime;
use common::one::{Dir, chain};
use common::{soon, watchdog};
use counting::{ALLOCATIONS, COUNTING};
use futures::future::try_join_all;

const FRAMES: u64 = 8;
const TURNS: u64 = 200;
const WARM: u64 = 100;

#[test]
fn frames_that_wait_for_groups_logs_and_events_take_no_memory() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let (group, log, event) = (Group::new("g"), Log::new("l"), Event::new("e"));
    let (program, (file, number)) = chain(|c: &mut Chain<Rc<Cell<u64>>>| {
        let (file, number, turn) = (c.file(), c.param(), c.reg());
        let (data, record) = (c.buffer(8), c.constant(&[7; 100]));
        c.set(turn, 0);
        c.repeat(|c| {
            c.when(number.eq(0), |c| {
                // The first frame counts, for all of them.
                c.call((value(turn),), |allocated, (turn,)| {
                    match turn {
                        WARM => COUNTING.set(true),
                        TURNS => {
                            COUNTING.set(false);
                            allocated.set(ALLOCATIONS.get());
                        }
                        _ => {}
                    }
                    Flow::Next
                });
            });
            c.when(turn.eq(TURNS), |c| c.leave());
            c.serial(&group, |c| {
                // The others come meanwhile.
                c.read_exact_at(file, data.all(), 0);
                c.notify(&event);
            });
            c.commit(&log, record.all());
            c.wait(&event);
            c.set(turn, turn + 1);
        });
        (file, number)
    });
    let allocated = Rc::new(Cell::new(u64::MAX));
    Runtime::new().expect("a ring").block_on(async {
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        // Both of the log's batches have once had room for the records of all, and for all who wait for them: how many
        // meet in one is left to chance.
        for _ in 0..2 {
            try_join_all((0..FRAMES).map(|_| open.commit([7; 100]))).await.expect("they are written");
        }
        let spawner = program.start(FRAMES as u32).expect("it starts");
        let spawn = |i| {
            let given = dir.file(&format!("file{i}"), b"12345678");
            let init = |frame: &mut Init<'_, '_>| {
                frame.file(file, given).set(number, i);
            };
            spawner.spawn(allocated.clone(), init).expect("there is room")
        };
        let handles: Vec<_> = (0..FRAMES).map(spawn).collect();
        for handle in handles {
            soon("a frame", handle).await.result.expect("nothing fails");
        }
        assert_eq!(open.durable(), FRAMES * (TURNS + 2) * 100);
    });
    assert_eq!(allocated.get(), 0, "allocations in the second half");
}
