//! A computation between two operations moves up, so that they are submitted together; but not over what fails, what a
//! handler follows, or half of a run. Each chain here runs as the compiler sees fit and step by step, and does the same.

mod common;

use chainring_chains::{Chain, Order, Reg};
use common::both::{Seen, eight, filled, same, silent};
use common::one::{Notes, mark, note};

/// Between the two sends of this chain stands what `between` adds, given a register that is 2.
fn between_sends(between: impl Fn(&mut Chain<Notes>, Reg)) -> Seen {
    same(
        |c, sock| {
            let (two, hello, world) = (c.reg(), c.constant(b"hello "), c.constant(b"world"));
            c.set(two, 2);
            c.send_all(sock, hello.all());
            between(c, two);
            c.send_all(sock, world.all());
        },
        silent,
    )
}

#[test]
fn a_number_is_set_before_both_sends() {
    let seen = between_sends(|c, two| c.set(two, two * 21 + 1));
    assert!(seen.explain.contains("r0 = (r0 * 21) + 1 #3 (moved up); segment 0"), "{}", seen.explain);
    assert!(seen.explain.contains("segment 0: linked, 2 SQEs submitted at once"), "{}", seen.explain);
    assert_eq!((seen.segments, seen.moved()), (1, 1), "{}", seen.explain);
    assert_eq!((&seen.received[..], &seen.error[..]), (&b"hello world"[..], ""));
}

#[test]
fn several_computations_move_and_keep_their_order() {
    let seen = same(
        |c, sock| {
            let (n, bytes) = (c.reg(), c.constant(b"abcdefgh"));
            let out = c.buffer(8);
            c.set(n, 1);
            c.send_all(sock, bytes.to(4));
            c.set(n, n + 1);
            c.set(n, n * 10);
            c.store(out, 0, Order::Be32, n);
            c.store(out, 4, Order::Be32, n + out.be32(0));
            c.send_all(sock, out.all());
            note(c, n);
        },
        silent,
    );
    assert_eq!((seen.segments, seen.moved()), (1, 4), "{}", seen.explain);
    assert_eq!(seen.received, [&b"abcd"[..], &20u32.to_be_bytes(), &40u32.to_be_bytes()].concat());
    assert_eq!(seen.notes, [20]);
}

#[test]
fn a_computation_in_a_loop_moves_to_where_the_loop_begins() {
    let seen = same(
        |c, sock| {
            let (n, data) = (c.param(), c.buffer(2));
            c.repeat(|c| {
                c.recv_exact(sock, data.all());
                c.set(n, n + 1);
                c.send_all(sock, data.all());
                c.when(n.eq(4), |c| c.leave());
            });
            note(c, n);
        },
        eight,
    );
    assert_eq!(seen.segments, 1, "{}", seen.explain);
    assert!(seen.explain.contains("starts with r0 = r0 + 1 #3 (moved up); segment 0"), "{}", seen.explain);
    assert!(seen.explain.contains("; r0 = r0 + 1 #3 (moved up); segment 0\n"), "{}", seen.explain);
    assert_eq!((&seen.received[..], seen.notes), (&b"\0\0\0\x03abcd"[..], vec![4]));
}

#[test]
fn what_an_error_handler_reads_is_set_where_it_was_written() {
    let chain = |reads: bool| {
        same(
            |c, sock| {
                let (n, errno, data) = (c.reg(), c.reg(), c.buffer(4));
                let hello = c.constant(b"hello");
                c.set(n, 1);
                c.attempt(|c| {
                    c.recv_exact(sock, data.all());
                    c.set(n, 2);
                    c.send_all(sock, hello.all());
                })
                .on_error(errno, |c| {
                    note(c, errno);
                    if reads {
                        note(c, n);
                    }
                });
            },
            silent,
        )
    };
    let reads = chain(true);
    assert_eq!((reads.segments, reads.moved()), (2, 0), "{}", reads.explain);
    assert_eq!(reads.notes, [libc::ENODATA as u64, 1], "it was not set when the receive failed");
    let does_not = chain(false);
    assert_eq!((does_not.segments, does_not.moved()), (1, 1), "{}", does_not.explain);
    assert_eq!(does_not.notes, [libc::ENODATA as u64]);
}

#[test]
fn no_bytes_are_stored_before_what_an_error_handler_follows() {
    let seen = same(
        |c, sock| {
            let (errno, out, data) = (c.reg(), filled(c, b"old!"), c.buffer(4));
            c.attempt(|c| {
                c.recv_exact(sock, data.all());
                c.store(out, 0, Order::U8, u32::from(b'O'));
                c.send_all(sock, out.all());
            })
            .on_error(errno, |c| {
                c.send_all(sock, out.all());
            });
        },
        silent,
    );
    assert_eq!((seen.moved(), &seen.received[..]), (0, &b"old!"[..]), "{}", seen.explain);
}

#[test]
fn what_may_fail_the_frame_waits_for_what_was_due_before() {
    // A chain that fails in between has sent what stands before it, and nothing else.
    let fails = |what: &str, between: &dyn Fn(&mut Chain<Notes>, Reg)| {
        let seen = between_sends(between);
        assert_eq!((seen.segments, seen.moved()), (2, 0), "{what}: {}", seen.explain);
        assert_eq!(&seen.received, b"hello ", "{what}");
        seen.error
    };
    let text = "chain test, step 3 (set): a division by zero";
    assert_eq!(fails("a division", &|c, two| c.set(two, (two + 1) / (two - 2))), text);
    assert_eq!(fails("a remainder", &|c, two| c.set(two, (two + 1) % (two - 2))), text);
    let ensure = fails("a condition", &|c, two| c.ensure(two.eq(3), libc::EPROTO));
    assert_eq!(
        ensure,
        "chain test, step 3 (ensure): a condition does not hold: Protocol error (os error 71)"
    );
    let outside = |step: &str| format!("chain test, step {step}: a span of 11 bytes does not fit into 8");
    let load = fails("a computed load", &|c, two| {
        let data = filled(c, b"abcdefgh");
        c.set(two, data.u8(two * 5));
    });
    assert_eq!(load, outside("4 (set)"));
    let store = fails("a computed store", &|c, two| {
        let data = c.buffer(8);
        c.store(data, two * 5, Order::U8, 1);
    });
    assert_eq!(store, outside("3 (store)"));
    let copy = fails("a copy of as much as a register says", &|c, two| {
        let data = filled(c, b"abcdefgh");
        c.set(two, two + 9);
        c.copy(data.to(two), data.to(two));
    });
    assert_eq!(copy, outside("5 (copy)"));
    let find = fails("a search in what a register says", &|c, two| {
        let data = filled(c, b"abcdefgh");
        c.set(two, two + 9);
        c.set(two, data.to(two).find(1));
    });
    assert_eq!(find, outside("5 (set)"));
}

#[test]
fn a_computation_that_a_jump_leads_to_stays_where_it_is() {
    let seen = same(
        |c, sock| {
            let (n, skip, a, b) = (c.reg(), c.param(), c.constant(b"a"), c.constant(b"b"));
            c.set(n, 0);
            c.when(skip.eq(0), |c| {
                c.send_all(sock, a.all());
            });
            c.set(n, n + 1);
            c.send_all(sock, b.all());
            note(c, n);
        },
        silent,
    );
    assert_eq!((seen.segments, seen.moved()), (2, 0), "{}", seen.explain);
    assert_eq!((&seen.received[..], seen.notes), (&b"ab"[..], vec![1]));
    let seen = same(
        |c, sock| {
            let (n, a, b) = (c.reg(), c.constant(b"a"), c.constant(b"b"));
            c.set(n, 0);
            c.send_all(sock, a.all());
            c.repeat(|c| {
                c.set(n, n + 1);
                c.send_all(sock, b.all());
                c.when(n.eq(3), |c| c.leave());
            });
        },
        silent,
    );
    assert_eq!((seen.moved(), &seen.received[..]), (0, &b"abbb"[..]), "{}", seen.explain);
}

#[test]
fn a_computation_that_cannot_cross_the_whole_run_does_not_cut_it() {
    let seen = same(
        |c, sock| {
            let (n, head, hello) = (c.reg(), c.buffer(4), c.constant(b"hello"));
            c.recv_exact(sock, head.all());
            c.send_all(sock, hello.all());
            c.set(n, head.be32(0));
            c.send_all(sock, head.all());
            note(c, n);
        },
        eight,
    );
    assert_eq!((seen.segments, seen.moved()), (2, 0), "{}", seen.explain);
    assert!(seen.explain.contains("segment 0: linked, 2 SQEs submitted at once"), "{}", seen.explain);
    assert_eq!((&seen.received[..], seen.notes), (&b"hello\0\0\0\x03"[..], vec![3]));
}

#[test]
fn nothing_moves_where_no_operation_follows() {
    let seen = same(
        |c, sock| {
            let (n, hello) = (c.reg(), c.constant(b"hello"));
            c.set(n, 1);
            c.send_all(sock, hello.all());
            c.set(n, 2);
            mark(c, 7);
            c.send_all(sock, hello.to(1));
            note(c, n);
        },
        silent,
    );
    assert_eq!((seen.segments, seen.moved()), (2, 0), "{}", seen.explain);
    assert_eq!((&seen.received[..], seen.notes), (&b"helloh"[..], vec![7, 2]));
}
