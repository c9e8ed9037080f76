//! A computation does not move over an operation that shares registers or bytes with it: each chain here runs as the
//! compiler sees fit and step by step, and does the same.

mod common;

use chainring_chains::Order;
use common::both::{eight, filled, same, silent};
use common::one::note;

#[test]
fn what_a_recv_has_counted_stays_behind_it() {
    let seen = same(
        |c, sock| {
            let (len, more, data) = (c.reg(), c.reg(), c.buffer(8));
            let hello = c.constant(b"hello");
            c.send_all(sock, hello.all());
            c.recv(sock, data.all()).into(len);
            c.set(more, len + 1);
            c.send_all(sock, data.to(len));
            c.ensure(more.gt(len), libc::EPROTO);
        },
        eight,
    );
    assert_eq!((seen.segments, seen.moved(), &seen.error[..]), (2, 0, ""), "{}", seen.explain);
    assert_eq!(&seen.received, b"hello\0\0\0\x03abcd");
}

#[test]
fn bytes_that_an_operation_writes_are_read_behind_it() {
    let chain = |own: bool| {
        same(
            |c, sock| {
                let (n, other) = (c.reg(), filled(c, b"\0\0\0\x09"));
                let data = c.buffer(8);
                c.recv_exact(sock, data.all());
                c.set(n, if own { data.be32(0) } else { other.be32(0) });
                c.send_all(sock, data.range(4..));
                note(c, n);
            },
            eight,
        )
    };
    let behind = chain(true);
    assert_eq!((behind.segments, behind.moved(), behind.notes), (2, 0, vec![3]), "{}", behind.explain);
    assert_eq!(&behind.received, b"abcd");
    let before = chain(false);
    assert_eq!((before.segments, before.moved(), before.notes), (1, 1, vec![9]), "{}", before.explain);
}

#[test]
fn bytes_that_an_operation_reads_or_writes_are_stored_behind_it() {
    // Of eight bytes the first four are sent; a number of four is stored at an offset, and all eight are sent.
    let sent = |at: u32| {
        same(
            |c, sock| {
                let data = filled(c, b"abcdefgh");
                c.send_all(sock, data.to(4));
                c.store(data, at, Order::Be32, 0x4142_4344);
                c.send_all(sock, data.all());
            },
            silent,
        )
    };
    let touching = sent(4);
    assert_eq!((touching.segments, touching.moved()), (1, 1), "{}", touching.explain);
    assert_eq!(&touching.received, b"abcdabcdABCD");
    let overlapping = sent(3);
    assert_eq!((overlapping.segments, overlapping.moved()), (2, 0), "{}", overlapping.explain);
    assert_eq!(&overlapping.received, b"abcdabcABCDh");
    let received = same(
        |c, sock| {
            let data = c.buffer(8);
            c.recv_exact(sock, data.all());
            c.store(data, 7, Order::U8, u32::from(b'!'));
            c.send_all(sock, data.all());
        },
        eight,
    );
    assert_eq!((received.segments, received.moved()), (2, 0), "{}", received.explain);
    assert_eq!(&received.received, b"\0\0\0\x03abc!");
}

#[test]
fn a_span_that_a_register_ends_reaches_to_the_end_of_its_buffer() {
    let seen = same(
        |c, sock| {
            let (n, data) = (c.reg(), filled(c, b"abcdefgh"));
            c.set(n, 2);
            c.send_all(sock, data.to(n));
            c.store(data, 7, Order::U8, u32::from(b'!'));
            c.send_all(sock, data.all());
        },
        silent,
    );
    assert_eq!((seen.segments, seen.moved()), (2, 0), "{}", seen.explain);
    assert_eq!(&seen.received, b"ababcdefg!");
}

#[test]
fn bytes_are_copied_behind_who_sends_them() {
    let chain = |other: bool| {
        same(
            |c, sock| {
                let (data, target, new) = (filled(c, b"old!"), c.buffer(4), c.constant(b"new!"));
                c.send_all(sock, data.all());
                c.copy(if other { target.all() } else { data.all() }, new.all());
                c.send_all(sock, if other { target.all() } else { data.all() });
            },
            silent,
        )
    };
    let (same_bytes, others) = (chain(false), chain(true));
    assert_eq!((same_bytes.segments, same_bytes.moved()), (2, 0), "{}", same_bytes.explain);
    assert_eq!((others.segments, others.moved()), (1, 1), "{}", others.explain);
    assert_eq!((&same_bytes.received[..], &others.received[..]), (&b"old!new!"[..], &b"old!new!"[..]));
}

#[test]
fn a_register_that_says_how_much_is_sent_is_set_behind_the_send() {
    let seen = same(
        |c, sock| {
            let (n, data) = (c.reg(), c.constant(b"abcdefgh"));
            c.set(n, 2);
            c.send_all(sock, data.to(n));
            c.set(n, 5);
            c.send_all(sock, data.to(n));
        },
        silent,
    );
    assert_eq!((seen.segments, seen.moved()), (2, 0), "{}", seen.explain);
    assert_eq!(&seen.received, b"ababcde");
}

#[test]
fn a_register_that_says_where_a_span_starts_is_set_behind_the_send() {
    let seen = same(
        |c, sock| {
            let (at, data) = (c.reg(), c.constant(b"abcdefgh"));
            c.set(at, 0);
            c.repeat(|c| {
                c.send_all(sock, data.part(at, 2));
                c.set(at, at + 3);
                c.when(at.gt(6), |c| c.leave());
            });
        },
        silent,
    );
    assert_eq!(seen.moved(), 0, "{}", seen.explain);
    assert_eq!(&seen.received, b"abdegh");
}
