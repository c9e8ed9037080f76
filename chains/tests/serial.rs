//! Synchronization groups: one frame at a time, in order of arrival, however the one before has left.

mod common;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, ErrorKind, Flow, Group, Program, Reg, Spawner, value};
use chainring_runtime::{Runtime, cores, time};
use common::one::chain;
use common::{pair, soon, watchdog};

/// What frames write down, together.
type Shared = Rc<RefCell<Vec<u64>>>;

const MILLISECOND: u64 = 1_000_000;
const FIRST: u64 = 1;
const SECOND: u64 = 2;
/// What a frame adds to its number when it leaves.
const OUT: u64 = 100;

fn write_down(c: &mut Chain<Shared>, number: Reg, plus: u64) {
    c.call((value(number),), move |seen, (number,)| {
        seen.borrow_mut().push(number + plus);
        Flow::Next
    });
}

fn spawn(spawner: &Spawner<Shared>, seen: &Shared, regs: &[(Reg, u64)]) -> ChainHandle<Shared> {
    let init = |frame: &mut chainring_chains::Init<'_, '_>| {
        for (reg, value) in regs {
            frame.set(*reg, *value);
        }
    };
    spawner.spawn(seen.clone(), init).expect("there is room")
}

/// A chain that is inside of the group for a while.
fn sleeper(group: Option<&Group>) -> (Program<Shared>, Reg) {
    chain(|c| {
        let number = c.param();
        let inside = |c: &mut Chain<Shared>| {
            write_down(c, number, 0);
            c.sleep(MILLISECOND);
            write_down(c, number, OUT);
        };
        match group {
            Some(group) => c.serial(group, inside),
            None => inside(c),
        }
        number
    })
}

#[test]
fn frames_are_inside_one_at_a_time_in_the_order_in_which_they_came() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("one");
    for group in [Some(&group), None] {
        let (program, number) = sleeper(group);
        let seen = Shared::default();
        Runtime::new().expect("a ring").block_on(async {
            let spawner = program.start(8).expect("it starts");
            let handles: Vec<_> = (0..8).map(|i| spawn(&spawner, &seen, &[(number, i)])).collect();
            for handle in handles {
                soon("a frame", handle).await.result.expect("nothing fails");
            }
            assert!(group.is_none_or(|group| group.waiting() == 0));
        });
        let in_turn: Vec<u64> = (0..8).flat_map(|i| [i, i + OUT]).collect();
        assert_eq!(*seen.borrow() == in_turn, group.is_some(), "{seen:?}");
    }
}

#[test]
fn two_programs_share_a_group_and_each_core_has_its_own() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("shared");
    let (one, other) = (sleeper(Some(&group)), sleeper(Some(&group)));
    let seen = cores(NonZeroUsize::new(2).expect("two")).run(|core| {
        let (one, other, group) = (&one, &other, &group);
        async move {
            let seen = Shared::default();
            let spawners = [one.0.start(4).expect("it starts"), other.0.start(4).expect("it starts")];
            let mut handles = Vec::new();
            for i in 0..4 {
                let (spawner, number) = (&spawners[i % 2], [one.1, other.1][i % 2]);
                handles.push(spawn(spawner, &seen, &[(number, i as u64)]));
            }
            // The first core's frames wait for its own holder only.
            if core.index() == 1 {
                assert_eq!(group.waiting(), 0);
            }
            for handle in handles {
                soon("a frame", handle).await.result.expect("nothing fails");
            }
            drop(spawners);
            Rc::into_inner(seen).expect("the frames are gone").into_inner()
        }
    });
    let in_turn: Vec<u64> = (0..4).flat_map(|i| [i, i + OUT]).collect();
    assert_eq!(seen.expect("two cores"), [in_turn.clone(), in_turn]);
}

/// How the frame that is inside leaves.
const FALLS_OUT: u64 = 0;
const LEAVES: u64 = 1;
const BEGINS_AGAIN: u64 = 2;
const FINISHES: u64 = 3;
const FINISHES_IN_A_CALL: u64 = 4;
const FAILS: u64 = 5;
const FAILS_AND_HANDLES_IT: u64 = 6;
const TRAPS: u64 = 7;
const PANICS: u64 = 8;
const IS_CANCELLED: u64 = 9;
const FAILS_AND_HANDLES_IT_INSIDE: u64 = 10;
const WAYS: u64 = 11;

fn leaver(group: &Group) -> (Program<Shared>, [Reg; 2]) {
    chain(|c| {
        let (number, way, turns, errno) = (c.param(), c.param(), c.reg(), c.reg());
        c.set(turns, 0);
        let body = |c: &mut Chain<Shared>| {
            c.repeat(|c| {
                c.when(turns.eq(1), |c| c.leave());
                c.set(turns, 1);
                c.serial(group, |c| {
                    write_down(c, number, 0);
                    c.sleep(MILLISECOND);
                    c.when(way.eq(LEAVES), |c| c.leave());
                    c.when(way.eq(BEGINS_AGAIN), |c| c.again());
                    c.when(way.eq(FINISHES), |c| c.finish());
                    c.call((value(way),), |_, (way,)| match way {
                        FINISHES_IN_A_CALL => Flow::Finish,
                        PANICS => panic!("on purpose"),
                        _ => Flow::Next,
                    });
                    c.ensure(way.ne(FAILS), libc::EPROTO);
                    c.ensure(way.ne(FAILS_AND_HANDLES_IT), libc::EPROTO);
                    c.when(way.eq(TRAPS), |c| c.set(errno, number / turns / (turns - 1)));
                    c.when(way.eq(IS_CANCELLED), |c| c.sleep(3_600_000 * MILLISECOND));
                    c.attempt(|c| c.ensure(way.ne(FAILS_AND_HANDLES_IT_INSIDE), libc::EPROTO))
                        .on_error(errno, |c| write_down(c, number, 2 * OUT));
                });
            });
        };
        c.when(way.eq(FAILS_AND_HANDLES_IT), |c| {
            c.attempt(body).on_error(errno, |c| {
                // Outside: others come in while this waits.
                c.sleep(20 * MILLISECOND);
                write_down(c, number, 3 * OUT);
            });
        })
        .otherwise(body);
        write_down(c, number, OUT);
        [number, way]
    })
}

#[test]
fn whoever_leaves_in_whatever_way_lets_the_next_one_in() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("left");
    let (program, [number, way]) = leaver(&group);
    for how in 0..WAYS {
        let seen = Shared::default();
        let (first, second) = Runtime::new().expect("a ring").block_on(async {
            let spawner = program.start(2).expect("it starts");
            let first = spawn(&spawner, &seen, &[(number, FIRST), (way, how)]);
            let second = spawn(&spawner, &seen, &[(number, SECOND), (way, FALLS_OUT)]);
            if how == IS_CANCELLED {
                time::sleep(Duration::from_millis(20)).await;
                assert_eq!(*seen.borrow(), [FIRST], "the second waits");
                first.cancel();
            }
            (soon("the first", first).await.result, soon("the second", second).await.result)
        });
        second.expect("the second is not concerned");
        let kind = first.as_ref().err().map(chainring_chains::ChainError::kind);
        let is_right = match how {
            FAILS => matches!(kind, Some(ErrorKind::Ensure(libc::EPROTO))),
            TRAPS => matches!(kind, Some(ErrorKind::Division)),
            PANICS => matches!(kind, Some(ErrorKind::Panic(_))),
            IS_CANCELLED => matches!(kind, Some(ErrorKind::Cancelled { .. })),
            _ => kind.is_none(),
        };
        assert!(is_right, "way {how}: {first:?}");
        let out: &[u64] = match how {
            FALLS_OUT | LEAVES | BEGINS_AGAIN => &[FIRST, FIRST + OUT, SECOND, SECOND + OUT],
            FAILS_AND_HANDLES_IT_INSIDE => &[FIRST, FIRST + 2 * OUT, FIRST + OUT, SECOND, SECOND + OUT],
            FAILS_AND_HANDLES_IT => &[FIRST, SECOND, SECOND + OUT, FIRST + 3 * OUT, FIRST + OUT],
            _ => &[FIRST, SECOND, SECOND + OUT],
        };
        assert_eq!(*seen.borrow(), out, "way {how}");
    }
}

#[test]
fn whoever_is_cancelled_while_it_waits_leaves_the_queue() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("queue");
    let (program, number) = sleeper(Some(&group));
    let seen = Shared::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(8).expect("it starts");
        let handles: Vec<_> = (0..6).map(|i| spawn(&spawner, &seen, &[(number, i)])).collect();
        while group.waiting() < 5 {
            chainring_runtime::yield_now().await;
        }
        // In the middle, at the end, at the front.
        for i in [2, 5, 1] {
            handles[i].cancel();
        }
        for (i, handle) in handles.into_iter().enumerate() {
            let result = soon("a frame", handle).await.result;
            if [1, 2, 5].contains(&i) {
                let error = result.expect_err("it was cancelled");
                assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
                assert_eq!(error.name(), "serial");
            } else {
                result.expect("nothing fails");
            }
        }
        assert_eq!(group.waiting(), 0);
    });
    assert_eq!(*seen.borrow(), [0, OUT, 3, 3 + OUT, 4, 4 + OUT]);
}

/// What frames write down, and whom they cancel when they have left.
#[derive(Clone, Default)]
struct Striker {
    seen: Shared,
    victim: Rc<RefCell<Option<ChainHandle<Striker>>>>,
}

#[test]
fn the_one_that_was_just_let_in_passes_it_on_when_it_is_cancelled() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("passed on");
    let (program, number) = chain(|c: &mut Chain<Striker>| {
        let number = c.param();
        c.serial(&group, |c| {
            c.call((value(number),), |striker, (number,)| {
                striker.seen.borrow_mut().push(number);
                Flow::Next
            });
            c.sleep(MILLISECOND);
        });
        // The next one is inside by now, and has not gone on.
        c.call((), |striker, ()| {
            striker.victim.borrow_mut().take().inspect(ChainHandle::cancel);
            Flow::Next
        });
        number
    });
    let striker = Striker::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(3).expect("it starts");
        let spawn = |i| {
            let init = |frame: &mut chainring_chains::Init<'_, '_>| {
                frame.set(number, i);
            };
            spawner.spawn(striker.clone(), init).expect("there is room")
        };
        let (first, second, third) = (spawn(0), spawn(1), spawn(2));
        striker.victim.replace(Some(second));
        for handle in [first, third] {
            soon("a frame", handle).await.result.expect("nothing fails");
        }
    });
    assert_eq!(*striker.seen.borrow(), [0, 2]);
}

#[test]
fn the_end_of_the_runtime_ends_the_one_inside_and_those_who_wait() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("ended");
    let (program, way) = chain(|c: &mut Chain<Shared>| {
        let number = c.param();
        c.serial(&group, |c| {
            write_down(c, number, 0);
            c.sleep(3_600_000 * MILLISECOND);
        });
        number
    });
    let seen = Shared::default();
    let runtime = Runtime::new().expect("a ring");
    let handles = runtime.block_on(async {
        let spawner = program.start(8).expect("it starts");
        let handles: Vec<_> = (0..5).map(|i| spawn(&spawner, &seen, &[(way, i)])).collect();
        while group.waiting() < 4 {
            chainring_runtime::yield_now().await;
        }
        handles
    });
    drop(runtime);
    assert!(handles.iter().all(ChainHandle::is_finished));
    assert_eq!(*seen.borrow(), [0]);
    // The same group on another core.
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawn(&spawner, &seen, &[(way, 9)]);
        time::sleep(Duration::from_millis(5)).await;
        handle.cancel();
        soon("the frame", handle).await.result.expect_err("it was cancelled");
    });
    assert_eq!(*seen.borrow(), [0, 9]);
}

#[test]
fn loops_of_nothing_but_entering_and_leaving_come_to_their_ends() {
    const TURNS: u64 = 3000;
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("turns");
    let (program, turns) = chain(|c: &mut Chain<Shared>| {
        let (number, turns) = (c.param(), c.reg());
        c.set(turns, 0);
        c.repeat(|c| {
            c.when(turns.eq(TURNS), |c| c.leave());
            c.serial(&group, |c| c.set(turns, turns + 1));
        });
        write_down(c, number, 0);
        number
    });
    let seen = Shared::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(8).expect("it starts");
        let handles: Vec<_> = (0..3).map(|i| spawn(&spawner, &seen, &[(turns, i)])).collect();
        for handle in handles {
            soon("a frame", handle).await.result.expect("nothing fails");
        }
    });
    assert_eq!(seen.borrow().len(), 3);
}

#[test]
fn a_peer_outside_does_not_hold_up_those_inside() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let group = Group::new("peers");
    let (program, (sock, number)) = chain(|c: &mut Chain<Shared>| {
        let (sock, number, data) = (c.socket(), c.param(), c.buffer(1));
        c.repeat(|c| {
            c.recv_exact(sock, data.all()).or_finish();
            c.serial(&group, |c| write_down(c, number, 0));
        });
        (sock, number)
    });
    let seen = Shared::default();
    Runtime::new().expect("a ring").block_on(async {
        use std::io::Write;
        let spawner = program.start(2).expect("it starts");
        let mut peers = Vec::new();
        let mut handles = Vec::new();
        for i in 0..2 {
            let (near, far) = pair();
            let init = |frame: &mut chainring_chains::Init<'_, '_>| {
                frame.socket(sock, near).set(number, i);
            };
            handles.push(spawner.spawn(seen.clone(), init).expect("there is room"));
            peers.push(far);
        }
        // The first is silent.
        peers[1].write_all(b"xyz").expect("send");
        while seen.borrow().len() < 3 {
            time::sleep(Duration::from_millis(1)).await;
        }
        drop(peers);
        for handle in handles {
            soon("a frame", handle).await.result.expect("it finishes");
        }
    });
    assert_eq!(*seen.borrow(), [1, 1, 1]);
}
