//! Synchronization groups as `build()` sees them: what is refused inside, and how the report tells of them.

mod common;

use chainring_chains::{Chain, Group};
use common::one::chain;
use common::refused::refused;

#[test]
fn what_waits_for_a_peer_or_for_another_group_is_refused_inside() {
    let (group, other) = (Group::new("a"), Group::new("b"));
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(4));
        c.serial(&group, |c| {
            c.recv(sock, data.all());
        });
    });
    let peer = "it may wait for others, and everybody who waits for the group with it";
    assert_eq!(text, format!("chain test, step 2 (recv): {peer}"));
    let text = refused(|c| {
        let (sock, data, n) = (c.socket(), c.constant(b"abc"), c.param());
        c.serial(&group, |c| {
            c.set(n, n + 1);
            c.when(n.eq(1), |c| {
                c.send_all(sock, data.all());
            });
        });
    });
    assert_eq!(text, format!("chain test, step 4 (send_all): {peer}"));
    for inner in [&group, &other] {
        let text = refused(|c| {
            let n = c.param();
            c.serial(&group, |c| {
                c.set(n, n + 1);
                c.repeat(|c| c.serial(inner, |c| c.set(n, 1)));
            });
        });
        let twice = "inside of a group there can be no other, nor the same once more";
        assert_eq!(text, format!("chain test, step 4 (serial): {twice}"));
    }
}

#[test]
fn the_report_says_where_a_frame_enters_and_leaves() {
    let group = Group::new("ledger");
    let (program, _) = chain(|c: &mut Chain<()>| {
        let (sock, data, n) = (c.socket(), c.buffer(4), c.param());
        c.recv_exact(sock, data.all());
        c.serial(&group, |c| c.set(n, n + 1));
    });
    let text = program.explain().to_string();
    assert!(text.contains("then enter ledger #2; r0 = r0 + 1 #3; leave ledger #2; finish"), "{text}");
    assert!(text.contains("ends because `serial` follows, which runs between submissions"), "{text}");
}
