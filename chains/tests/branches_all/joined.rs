//! Branches that come to their ends, and the first that fails.

use std::io::{Read, Write};

use chainring_chains::{Chain, Socket};
use chainring_runtime::time::sleep;
use chainring_runtime::{Builder, Capability};

use super::A_WHILE;
use crate::common::one::{Notes, alone, chain, lowered, mark, note};
use crate::common::several::{receive, run, run_on};

/// Receives eight bytes on each of two sockets at the same time, and notes their first ones.
fn two(c: &mut Chain<Notes>) -> [Socket; 2] {
    let sockets = [c.socket(), c.socket()];
    let (data, first) = (c.buffer(16), [c.reg(), c.reg()]);
    c.all(|b| {
        for (i, first) in (0..2).zip(first) {
            b.branch(|c| {
                c.recv_exact(sockets[i as usize], data.range(8 * i..8 * i + 8));
                c.set(first, data.u8(8 * i));
            });
        }
    });
    note(c, first[0]);
    note(c, first[1]);
    sockets
}

#[test]
fn both_branches_wait_at_the_same_time_and_the_frame_goes_on_when_both_have_come() {
    let _alone = alone();
    for masked in [false, true] {
        let builder = Builder::new();
        let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
        let runtime = builder.build().expect("a ring");
        for (program, sockets) in lowered(two) {
            let (ended, ()) = run_on(
                &runtime,
                &program,
                sockets,
                |_| {},
                async |[mut one, mut other], frame| {
                    // The second one comes first, in parts.
                    other.write_all(b"bbb").expect("send");
                    sleep(A_WHILE).await;
                    other.write_all(b"bbbbb").expect("send");
                    sleep(A_WHILE).await;
                    assert!(!frame.is_finished());
                    one.write_all(b"aaaaaaaa").expect("send");
                },
            );
            assert_eq!((ended.text(), ended.session), (String::new(), vec![97, 98]));
            assert_eq!(ended.counters.segments, 2);
        }
    }
}

#[test]
fn when_one_fails_the_other_is_cancelled_and_the_error_leads_to_the_handler() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (errno, sockets) = (c.reg(), [c.socket(), c.socket()]);
        let data = c.buffer(16);
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.recv_exact(sockets[0], data.to(8));
                });
                b.branch(|c| {
                    c.recv_exact(sockets[1], data.range(8..));
                });
            });
            mark(c, 1);
        })
        .on_error(errno, |c| {
            note(c, errno);
            // The one that was cancelled has taken nothing, and nothing of it is on its way.
            c.recv_exact(sockets[0], data.all());
            c.send_all(sockets[0], data.all());
        });
        sockets
    }) {
        let (ended, answer) = run(&program, sockets, async |[mut slow, dead], _| {
            sleep(A_WHILE).await;
            drop(dead);
            sleep(A_WHILE).await;
            slow.write_all(b"sixteen bytes...").expect("send");
            receive::<16>(&mut slow).await
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ENODATA as u64]));
        assert_eq!(&answer, b"sixteen bytes...");
    }
}

#[test]
fn an_error_that_nobody_handles_names_the_step_in_its_branch() {
    let _alone = alone();
    for (program, sockets) in lowered(two) {
        let (ended, mut slow) = run(&program, sockets, async |[slow, mut dead], _| {
            dead.write_all(b"bbb").expect("send");
            drop(dead);
            slow
        });
        assert_eq!(ended.text(), "chain test, step 4 (recv_exact): the stream ended after 3 of 8 bytes");
        assert_eq!(slow.read(&mut [0]).expect("its socket is closed"), 0);
    }
}

#[test]
fn a_condition_that_does_not_hold_fails_them_all() {
    let _alone = alone();
    for (program, [sock]) in lowered(|c| {
        let (sock, data, n) = (c.socket(), c.buffer(8), c.reg());
        c.set(n, 3);
        c.all(|b| {
            b.branch(|c| {
                c.recv_exact(sock, data.all());
            });
            b.branch(|c| {
                c.sleep(1_000_000);
                c.ensure(n.eq(4), libc::EPROTO);
            });
        });
        [sock]
    }) {
        let (ended, ()) = run(&program, [sock], async |[_silent], frame| {
            while !frame.is_finished() {
                sleep(A_WHILE).await;
            }
        });
        assert_eq!(
            ended.text(),
            "chain test, step 5 (ensure): a condition does not hold: Protocol error (os error 71)"
        );
    }
}

#[test]
fn what_a_branch_handles_itself_does_not_concern_the_others() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, errno) = ([c.socket(), c.socket()], c.reg());
        let data = c.buffer(16);
        c.set(errno, 0);
        c.all(|b| {
            b.branch(|c| {
                c.recv_exact(sockets[0], data.to(8));
                c.send_all(sockets[0], data.to(8));
            });
            b.branch(|c| {
                c.attempt(|c| {
                    c.recv_exact(sockets[1], data.range(8..));
                })
                .on_error(errno, |c| c.sleep(1_000_000));
            });
        });
        note(c, errno);
        sockets
    }) {
        let (ended, ()) = run(&program, sockets, async |[mut good, dead], _| {
            drop(dead);
            sleep(A_WHILE).await;
            good.write_all(b"abcdefgh").expect("send");
            assert_eq!(&receive(&mut good).await, b"abcdefgh");
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ENODATA as u64]));
    }
}

#[test]
fn explain_shows_what_runs_beside_what() {
    let (program, _) = chain(two);
    let text = program.explain().to_string();
    assert!(
        text.contains("starts with all #1 { segment 0 | segment 1 } until 2 of 2 have ended; call #"),
        "{text}"
    );
    assert!(text.contains("segment 1: parallel (branch 2 of 2 of all #1), single, 1 SQE"), "{text}");
    assert!(text.contains("then r1 = b0.u8(8) #5; end of branch 2 of 2 of all #1"), "{text}");
    let graph = program.explain().dot();
    assert!(graph.contains("start -> segment0;") && graph.contains("start -> segment1;"), "{graph}");
}
