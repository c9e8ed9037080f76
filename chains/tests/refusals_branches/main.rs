//! What `build()` refuses of branches, with the words that it uses.

#[path = "../common/mod.rs"]
mod common;

mod quorums;
mod shared;

use chainring_chains::{Chain, Event, Flow, Group, Log};
use common::refused::{accepted, refused};

/// Both as branches of an `all`.
fn beside(c: &mut Chain<()>, one: impl FnOnce(&mut Chain<()>), other: impl FnOnce(&mut Chain<()>)) {
    c.all(|b| {
        b.branch(one);
        b.branch(other);
    });
}

#[test]
fn steps_that_no_branch_can_have() {
    let at = |step: &str, why: &str| format!("chain test, step {step}: it cannot stand in a branch: {why}");
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.call((), |(), ()| Flow::Next)));
    assert_eq!(text, at("3 (call)", "native code is called with nothing of the frame in flight"));
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.finish()));
    assert_eq!(text, at("3 (finish)", "it finishes the frame"));
    let text = refused(|c| {
        let (sock, data) = (c.accepted(), c.buffer(8));
        beside(
            c,
            |c| c.sleep(1),
            |c| {
                c.recv_exact(sock, data.all()).or_finish();
            },
        );
    });
    assert_eq!(text, at("3 (recv_exact)", "it may finish the frame"));
    let text = refused(|c| {
        let fetch = |(): &mut (), ()| async {};
        beside(c, |c| c.sleep(1), |c| c.call_async((), fetch, (), |(), (), ()| Flow::Next));
    });
    assert_eq!(text, at("3 (call_async)", "a future is waited for with nothing of the frame in flight"));
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.within(1, |c| c.sleep(1))));
    assert_eq!(text, at("3 (within)", "a deadline is the whole frame's, and stands around the branches"));
    let waits = "it waits for others, or they for it, as a whole frame";
    let (group, event, log) = (Group::new("group"), Event::new("event"), Log::new("log"));
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.serial(&group, |c| c.sleep(1))));
    assert_eq!(text, at("3 (serial)", waits));
    assert_eq!(refused(|c| beside(c, |c| c.sleep(1), |c| c.wait(&event))), at("3 (wait)", waits));
    let text = refused(|c| {
        let text = c.constant(b"text");
        beside(
            c,
            |c| c.sleep(1),
            |c| {
                c.commit(&log, text.all());
            },
        );
    });
    assert_eq!(text, at("3 (commit)", waits));
    let nested = "branches do not branch again";
    let text = refused(|c| beside(c, |c| beside(c, |c| c.sleep(1), |c| c.sleep(1)), |c| c.sleep(1)));
    assert_eq!(text, at("2 (all)", nested));
    // However deep inside.
    let text = refused(|c| {
        let n = c.param();
        c.quorum(1, |b| {
            b.branch(|c| {
                c.repeat(|c| {
                    c.when(n.eq(0), |c| c.pipelined(2, |c, _| c.sleep(1), |_, _, ()| {}))
                        .otherwise(|c| c.leave());
                });
            });
        });
    });
    assert_eq!(text, at("4 (pipelined)", nested));
    let text = refused(|c| c.pipelined(2, |c, _| c.sleep(1), |c, _, ()| c.finish()));
    assert_eq!(text, at("3 (finish)", "it finishes the frame"));
}

#[test]
fn a_loop_around_the_branches_is_not_theirs_to_leave() {
    let text = refused(|c| c.repeat(|c| beside(c, |c| c.sleep(1), |c| c.leave())));
    assert_eq!(text, "chain test, step 4 (leave): it must stand inside of a repeat");
    let text = refused(|c| c.repeat(|c| beside(c, |c| c.again(), |c| c.sleep(1))));
    assert_eq!(text, "chain test, step 3 (again): it must stand inside of a repeat");
    accepted(|c| beside(c, |c| c.repeat(|c| c.leave()), |c| c.sleep(1)));
}

#[test]
fn handles_of_another_builder_inside_of_branches() {
    let mut other = Chain::<()>::new("other");
    let reg = other.param();
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.sleep(reg)));
    assert_eq!(text, "chain test, step 3 (sleep): a handle was made by another builder");
    let text = refused(|c| c.pipelined(2, |c, _| c.sleep(1), |c, _, ()| c.sleep(reg)));
    assert_eq!(text, "chain test, step 3 (sleep): a handle was made by another builder");
}
