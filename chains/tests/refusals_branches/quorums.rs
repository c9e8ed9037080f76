//! Branches of which some are enough: what they may not have done, and how many can be asked for.

use chainring_chains::{Flow, read};

use super::beside;
use crate::common::refused::{accepted, refused};

#[test]
fn what_a_quorum_may_not_have_done_counts_as_undone() {
    let text = refused(|c| {
        let (socks, data) = ([c.socket(), c.socket()], c.buffer(8));
        c.quorum(1, |b| {
            b.branch(|c| {
                c.recv_exact(socks[0], data.to(4));
            });
            b.branch(|c| {
                c.recv_exact(socks[1], data.range(4..));
            });
        });
        c.send_all(socks[0], data.to(4));
    });
    assert_eq!(text, "chain test, step 4 (send_all): buffer b0 is read before it is written");
    // Also if it was written before: a loser may have left a part of something in it.
    let text = refused(|c| {
        let (socks, data, text) = ([c.socket(), c.socket()], c.buffer(4), c.constant(b"text"));
        c.copy(data.all(), text.all());
        c.quorum(1, |b| {
            b.branch(|c| {
                c.recv_exact(socks[0], data.all());
            });
            b.branch(|c| c.sleep(1));
        });
        c.call((read(data.all()),), |(), (_,)| Flow::Next);
    });
    assert_eq!(text, "chain test, step 5 (call): buffer b0 is read before it is written");
    let text = refused(|c| {
        let n = c.reg();
        c.quorum(1, |b| {
            b.branch(|c| c.set(n, 1));
            b.branch(|c| c.sleep(1));
        });
        c.sleep(n);
    });
    assert_eq!(text, "chain test, step 4 (sleep): register r0 is read before it is written");
    accepted(|c| {
        let (n, m, sock, data) = (c.reg(), c.reg(), c.socket(), c.buffer(4));
        c.set(n, 0);
        c.quorum(1, |b| {
            b.branch(|c| c.set(n, 1));
            b.branch(|c| c.sleep(1));
        });
        // If all must succeed they have.
        c.quorum(2, |b| {
            b.branch(|c| c.set(m, 1));
            b.branch(|c| {
                c.recv_exact(sock, data.all());
            });
        });
        c.sleep(n + m + data.u8(0));
    });
    // On its way round a loop, what was written the first time only.
    let text = refused(|c| {
        let (n, m) = (c.reg(), c.reg());
        c.repeat(|c| {
            c.quorum(1, |b| {
                b.branch(|c| c.set(n, 1));
                b.branch(|c| c.sleep(1));
            });
            c.set(m, n);
            c.set(n, 0);
        });
    });
    assert_eq!(text, "chain test, step 5 (set): register r0 is read before it is written");
}

#[test]
fn branches_that_can_never_be_enough() {
    assert_eq!(refused(|c| c.all(|_| {})), "chain test, step 1 (all): 0 of 0 branches can never succeed");
    let two = |need: usize| {
        refused(|c| {
            c.quorum(need, |b| {
                b.branch(|c| c.sleep(1));
                b.branch(|c| c.sleep(1));
            });
        })
    };
    assert_eq!(two(0), "chain test, step 1 (quorum): 0 of 2 branches can never succeed");
    assert_eq!(two(3), "chain test, step 1 (quorum): 3 of 2 branches can never succeed");
    let text = refused(|c| {
        c.all(|b| (0..65).for_each(|_| b.branch(|c| c.sleep(1))));
    });
    assert_eq!(text, "chain test, step 1 (all): too many branches");
    for depth in [65, usize::MAX] {
        let text = refused(|c| c.pipelined(depth, |c, _| c.sleep(1), |_, _, ()| {}));
        assert_eq!(text, "chain test, step 1 (pipelined): too many branches");
    }
    let text = refused(|c| c.pipelined(0, |c, _| c.sleep(1), |_, _, ()| {}));
    assert_eq!(text, "chain test, step 1 (pipelined): 1 of 0 branches can never succeed");
    // One that never ends keeps what is behind them from ever being reached.
    let text = refused(|c| {
        beside(c, |c| c.repeat(|c| c.sleep(1)), |c| c.sleep(1));
        c.sleep(2);
    });
    assert_eq!(text, "chain test, step 5 (sleep): the step can never be reached");
    accepted(|c| {
        c.quorum(1, |b| {
            b.branch(|c| c.repeat(|c| c.sleep(1)));
            b.branch(|c| c.sleep(1));
        });
        c.sleep(2);
    });
    let text = refused(|c| {
        c.pipelined(2, |c, _| c.sleep(1), |_, _, ()| {});
        c.sleep(2);
    });
    assert_eq!(text, "chain test, step 3 (sleep): the step can never be reached");
}
