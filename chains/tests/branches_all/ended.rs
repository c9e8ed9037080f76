//! Branches that end with their frame, their runtime or their group.

use std::io::Read;

use chainring_chains::{ErrorKind, Group};
use chainring_runtime::Runtime;
use chainring_runtime::time::sleep;

use super::{A_WHILE, busy};
use crate::common::descriptors;
use crate::common::one::{Dir, Notes, alone, lowered, note};
use crate::common::several::{pairs, run, spawn};

#[test]
fn a_frame_that_is_cancelled_ends_when_all_its_branches_have() {
    let _alone = alone();
    // What the process opens once, and keeps.
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for (program, sockets) in lowered(|c| {
        let (sockets, data, text) = ([c.socket(), c.socket()], c.buffer(16), c.constant(b"text"));
        c.all(|b| {
            b.branch(|c| {
                c.recv_exact(sockets[0], data.to(8));
            });
            b.branch(|c| c.sleep(u64::MAX / 4));
            b.branch(|c| {
                c.send_all(sockets[1], text.all());
                c.recv_exact(sockets[1], data.range(8..));
            });
            b.branch(|c| c.repeat(|c| c.sleep(0)));
        });
        sockets
    }) {
        let (ended, far) = run(&program, sockets, async |far, frame| {
            sleep(A_WHILE).await;
            frame.cancel();
            frame.cancel();
            far
        });
        let error = ended.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        assert_eq!(ended.counters.cancelled, 1);
        drop(far);
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_runtime_that_ends_takes_the_branches_with_it() {
    let _alone = alone();
    // What the process opens once, and keeps.
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for steps in [0, 1, 2, 5] {
        let dir = Dir::new();
        for (program, sockets) in lowered(|c| busy(c, &dir)) {
            let (near, far) = pairs();
            let runtime = Runtime::new().expect("a ring");
            runtime.block_on(async {
                let spawner = program.start(1).expect("it starts");
                drop(spawn(&spawner, sockets, near));
                for _ in 0..steps {
                    chainring_runtime::yield_now().await;
                }
            });
            drop(runtime);
            for mut far in far {
                // Whatever was sent, and then the end.
                let mut sent = Vec::new();
                let _ = far.read_to_end(&mut sent);
            }
        }
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_group_is_left_when_the_branches_inside_of_it_fail_or_are_cancelled() {
    let _alone = alone();
    let dir = Dir::new();
    let group = Group::new("files");
    for (program, [file, other]) in lowered(|c| {
        let (file, other, data, errno) = (c.file(), c.file(), c.buffer(8), c.reg());
        c.set(errno, 0);
        c.attempt(|c| {
            c.serial(&group, |c| {
                c.all(|b| {
                    b.branch(|c| {
                        c.read_exact_at(file, data.to(4), 0);
                    });
                    b.branch(|c| {
                        c.read_exact_at(other, data.range(4..), 0);
                    });
                    b.branch(|c| c.sleep(1_000_000));
                });
            });
        })
        .on_error(errno, |c| c.sleep(0));
        note(c, errno);
        [file, other]
    }) {
        let runtime = Runtime::new().expect("a ring");
        let (errnos, last) = runtime.block_on(async {
            let spawner = program.start(8).expect("it starts");
            let start = |bytes: &[u8]| {
                let other_name = if bytes.len() == 1 { "short" } else { "other" };
                let files = (dir.file("whole", b"whole"), dir.file(other_name, bytes));
                let spawned = spawner.spawn(Notes::new(), |frame| {
                    frame.file(file, files.0).file(other, files.1);
                });
                spawned.expect("there is room")
            };
            let (fails, cancelled, waits, last) =
                (start(b"x"), start(b"whole"), start(b"whole"), start(b"whole"));
            cancelled.cancel();
            let mut errnos = Vec::new();
            for frame in [fails, waits] {
                errnos.extend(crate::common::soon("a frame to end", frame).await.session);
            }
            (errnos, crate::common::soon("the last frame to end", last).await.result)
        });
        assert_eq!(errnos, [libc::ENODATA as u64, 0]);
        last.expect("it has had its turn");
    }
}
