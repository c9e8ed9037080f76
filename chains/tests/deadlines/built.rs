//! What `build()` and `explain()` say of deadlines.

use chainring_chains::Chain;

use super::MS;
use crate::common::one::{Notes, note};

#[test]
fn a_block_whose_time_or_ways_out_are_wrong_is_refused() {
    let build = |steps: fn(&mut Chain<Notes>)| {
        let mut c = Chain::new("test");
        steps(&mut c);
        c.build().map(drop).expect_err("it is refused").to_string()
    };
    let unwritten = |c: &mut Chain<Notes>| {
        let time = c.reg();
        c.within(time, |c| c.set(time, 1));
    };
    assert_eq!(build(unwritten), "chain test, step 1 (within): register r0 is read before it is written");
    let foreign = |c: &mut Chain<Notes>| {
        let time = Chain::<Notes>::new("another").param();
        c.within(time + 1, |c| c.sleep(1));
    };
    assert_eq!(build(foreign), "chain test, step 1 (within): a handle was made by another builder");
    let outside = |c: &mut Chain<Notes>| c.within(MS, |c| c.again());
    assert_eq!(build(outside), "chain test, step 2 (again): it must stand inside of a repeat");
    let behind = |c: &mut Chain<Notes>| {
        c.repeat(|c| {
            c.within(MS, |c| {
                c.again();
                c.sleep(1);
            });
        });
    };
    assert_eq!(build(behind), "chain test, step 4 (sleep): the step can never be reached");
    // Its deadline may strike before the register is written, and lead to where it is read.
    let handled = |c: &mut Chain<Notes>| {
        let (n, errno) = (c.reg(), c.reg());
        c.attempt(|c| {
            c.within(MS, |c| {
                c.attempt(|c| c.sleep(1)).on_error(errno, |_| {});
                c.set(n, 1);
            });
        })
        .on_error(errno, |c| note(c, n));
    };
    assert_eq!(build(handled), "chain test, step 6 (call): register r0 is read before it is written");
}

#[test]
fn explain_says_where_a_deadline_starts_and_ends() {
    let mut c = Chain::<()>::new("bounded");
    let (sock, data, errno, hello) = (c.accepted(), c.buffer(8), c.reg(), c.constant(b"hello"));
    c.send_all(sock, hello.all());
    c.attempt(|c| {
        c.within(1500 * MS, |c| {
            c.recv_exact(sock, data.to(4));
            c.recv_exact(sock, data.range(4..));
        });
    })
    .on_error(errno, |c| {
        c.send_all(sock, data.all());
    });
    c.send_all(sock, hello.all());
    let program = c.build();
    // What the handler sends may not have come.
    let error = program.expect_err("it is refused").to_string();
    assert_eq!(error, "chain bounded, step 6 (send_all): buffer b0 is read before it is written");

    let mut c = Chain::<()>::new("bounded");
    let (sock, data, errno, hello) = (c.accepted(), c.buffer(8), c.reg(), c.constant(b"hello"));
    c.send_all(sock, hello.all());
    c.attempt(|c| {
        c.within(1500 * MS, |c| {
            c.recv_exact(sock, data.to(4));
            c.recv_exact(sock, data.range(4..));
        });
    })
    .on_error(errno, |c| {
        c.send_all(sock, hello.all());
    });
    c.send_all(sock, hello.all());
    let program = c.build().expect("the chain is right");
    let text = program.explain().to_string();
    for line in [
        "    ends because a deadline starts, and with it a segment\n    then within 1.5s #3; segment 1",
        "    recv_exact #4    s0 -> b0[0..4]                   link skip waitall within #3",
        "    recv_exact #5    s0 -> b0[4..8]                   waitall within #3",
        "    ends because its deadline ends\n    then its deadline ends #3; segment",
    ] {
        assert!(text.contains(line), "{line}\nin {text}");
    }
    let dot = program.explain().dot();
    assert!(
        dot.contains("segment1 -> segment3 [style=dashed]")
            || dot.contains("segment1 -> segment2 [style=dashed]"),
        "{dot}"
    );
}
