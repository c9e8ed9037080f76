//! Branches under a deadline: it is their frame's, and strikes all of them.

mod common;

use std::io::Write;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind};
use chainring_runtime::injector::Injector;
use chainring_runtime::time::sleep;
use chainring_runtime::{Runtime, yield_now};
use common::one::{Dir, Notes, alone, lowered, note};
use common::several::{run, run_on};

const A_WHILE: Duration = Duration::from_millis(20);

#[test]
fn a_deadline_cancels_all_branches_and_leads_to_the_handler_around_it() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, errno, n) = ([c.socket(), c.socket()], c.reg(), [c.reg(), c.reg()]);
        let data = c.buffer(16);
        c.set(n[0], 0);
        c.set(n[1], 0);
        c.attempt(|c| {
            c.within(A_WHILE, |c| {
                c.all(|b| {
                    for (i, (socket, n)) in (0..).zip(sockets.into_iter().zip(n)) {
                        b.branch(|c| {
                            c.recv_exact(socket, data.range(8 * i..8 * i + 8)).into(n);
                        });
                    }
                    b.branch(|c| c.sleep(u64::MAX / 4));
                });
            });
        })
        .on_error(errno, |c| {
            note(c, errno);
            note(c, n[0]);
            note(c, n[1]);
            // Nothing is on its way any more.
            c.recv_exact(sockets[0], data.to(1));
        });
        sockets
    }) {
        let (ended, ()) = run(&program, sockets, async |[mut one, mut other], _| {
            one.write_all(b"abc").expect("send");
            other.write_all(b"whole...").expect("send");
            sleep(3 * A_WHILE).await;
            one.write_all(b"d").expect("send");
        });
        // What came in part counts, and what came as a whole stands.
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ETIMEDOUT as u64, 3, 8]));
        assert_eq!(ended.counters.deadlines, 1);
    }
}

#[test]
fn a_deadline_that_nobody_handles_names_the_step_of_the_first_that_it_cut_off() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, data, zero) = ([c.socket()], c.buffer(8), c.param());
        c.within(A_WHILE, |c| {
            c.quorum(1, |b| {
                b.branch(|c| {
                    c.recv_exact(sockets[0], data.all());
                });
                b.branch(|c| c.ensure(zero.ne(0), libc::EIO));
            });
        });
        sockets
    }) {
        let (ended, _far) = run(&program, sockets, async |far, _| far);
        let error = ended.result.expect_err("its time is up");
        assert!(matches!(error.kind(), ErrorKind::Deadline), "{error}");
        assert_eq!((error.step(), error.name()), (3, "recv_exact"));
    }
}

#[test]
fn branches_that_are_done_before_their_deadline_leave_it_behind() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    for (program, sockets) in lowered(|c| {
        let (sockets, data, turn) = ([c.socket()], c.buffer(1), c.reg());
        c.set(turn, 0);
        c.repeat(|c| {
            // Often it passes at just that moment.
            c.attempt(|c| {
                c.within(turn & 255, |c| {
                    c.quorum(1, |b| {
                        b.branch(|c| {
                            c.recv_exact(sockets[0], data.all());
                        });
                        b.branch(|c| c.sleep(turn & 127));
                    });
                });
            });
            c.set(turn, turn + 1);
            c.when(turn.ge(1000), |c| c.leave());
        });
        c.sleep(1_000_000);
        note(c, turn);
        sockets
    }) {
        let (ended, _far) = run_on(&runtime, &program, sockets, |_| {}, async |far, _| far);
        assert_eq!((ended.text(), ended.session), (String::new(), vec![1000]));
    }
    assert_eq!(runtime.metrics().strays, 0);
}

#[test]
fn a_pipelined_copy_that_is_too_slow_has_written_its_front() {
    let _alone = alone();
    let dir = Dir::new();
    let bytes: Vec<u8> = (0..400_000).map(|i| (i / 4096 + i) as u8).collect();
    for (program, [from, to]) in lowered(|c: &mut Chain<Notes>| {
        let (from, to, errno) = (c.file(), c.file(), c.reg());
        c.attempt(|c| {
            c.within(Duration::from_millis(5), |c| {
                c.pipelined(
                    8,
                    |c, turn| {
                        let block = c.buffer(4096);
                        c.when(turn.ge(90), |c| c.leave());
                        c.read_exact_at(from, block.all(), turn * 4096);
                        c.sleep(turn * 100_000);
                        block
                    },
                    |c, turn, block| {
                        c.write_all_at(to, block.all(), turn * 4096);
                    },
                );
            });
        })
        .on_error(errno, |c| note(c, errno));
        [from, to]
    }) {
        let (files, runtime) =
            ((dir.file("from", &bytes), dir.file("to", b"")), Runtime::new().expect("a ring"));
        let ended = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            runtime.handle().injector().delay("write", 3, 100);
            let spawned = spawner.spawn(Notes::new(), |frame| {
                frame.file(from, files.0).file(to, files.1);
            });
            let handle = spawned.expect("there is room");
            while !handle.is_finished() {
                yield_now().await;
            }
            handle.await
        });
        ended.result.expect("it is handled");
        assert_eq!(ended.session, [libc::ETIMEDOUT as u64]);
        let written = std::fs::read(dir.join("to")).expect("the file");
        assert!(bytes.starts_with(&written) && written.len() < 90 * 4096, "{}", written.len());
    }
}

#[test]
fn a_deadline_and_a_cancellation_at_the_same_time() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, data, errno) = ([c.socket(), c.socket()], c.buffer(16), c.reg());
        c.attempt(|c| {
            c.within(Duration::from_millis(2), |c| {
                c.all(|b| {
                    for (i, socket) in (0..).zip(sockets) {
                        b.branch(|c| {
                            c.recv_exact(socket, data.range(8 * i..8 * i + 8));
                        });
                    }
                });
            });
        })
        .on_error(errno, |c| c.sleep(u64::MAX / 4));
        sockets
    }) {
        for after in 0..8 {
            let faults = |injector: &Injector| injector.delay("recv", 5, 2);
            let runtime = Runtime::new().expect("a ring");
            let (ended, _far) = run_on(&runtime, &program, sockets, faults, async |far, frame| {
                sleep(Duration::from_micros(1000 + after * 300)).await;
                frame.cancel();
                far
            });
            let error = ended.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        }
    }
}
