//! Portable computations over bytes: copies, stores, loads, searches, hashes, and what lies outside.

mod common;

use std::io::{Read, Write};

use chainring_chains::{Buf, Chain, ErrorKind, Expr, Flow, Init, Order, Reg, read, reg, write};
use common::one::{Ended, Notes, chain, note, run, with_peer};

/// Runs a chain with a parameter that has this value.
fn with(value: u64, steps: impl FnOnce(&mut Chain<Notes>, Reg)) -> Ended<Notes> {
    let (program, n) = chain(|c| {
        let n = c.param();
        steps(c, n);
        n
    });
    run(&program, Notes::new(), |frame| {
        frame.set(n, value);
    })
}

/// What an expression over a parameter and a buffer of these bytes gives, or the words of what is wrong.
fn value(
    bytes: &[u8],
    n: u64,
    expr: impl FnOnce(Reg, Buf, &mut Chain<Notes>) -> Expr,
) -> Result<u64, String> {
    let ended = with(n, |c, n| {
        let (out, data) = (c.reg(), filled(c, bytes));
        let expr = expr(n, data, c);
        c.set(out, expr);
        note(c, out);
    });
    match ended.result {
        Ok(()) => Ok(ended.session[0]),
        Err(error) => Err(format!("{:?}", error.kind())),
    }
}

fn filled(c: &mut Chain<Notes>, bytes: &[u8]) -> Buf {
    let (from, buf) = (c.constant(bytes), c.buffer(bytes.len() as u32));
    c.copy(buf.all(), from.all());
    buf
}

/// Adds a step that notes the bytes of a buffer.
fn note_bytes(c: &mut Chain<Notes>, buf: Buf) {
    c.call((read(buf.all()),), |notes, (bytes,)| {
        notes.extend(bytes.iter().map(|byte| u64::from(*byte)));
        Flow::Next
    });
}

fn bounds(len: u64, max: u32) -> Result<u64, String> {
    Err(format!("Bounds {{ len: {len}, max: {max} }}"))
}

const BYTES: [u8; 12] = [0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88, 0x09, 0x8a, 0x0b, 0x8c];

#[test]
fn numbers_are_loaded_in_every_order_at_every_place() {
    type Load = fn(Buf, Expr) -> Expr;
    let loads: [(Load, usize, bool); 7] = [
        (|buf, at| buf.u8(at), 1, true),
        (|buf, at| buf.be16(at), 2, true),
        (|buf, at| buf.be32(at), 4, true),
        (|buf, at| buf.be64(at), 8, true),
        (|buf, at| buf.le16(at), 2, false),
        (|buf, at| buf.le32(at), 4, false),
        (|buf, at| buf.le64(at), 8, false),
    ];
    for (load, width, big) in loads {
        for at in 0..=BYTES.len() - width {
            let mut bytes = BYTES[at..at + width].to_vec();
            if !big {
                bytes.reverse();
            }
            let expected = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            assert_eq!(value(&BYTES, at as u64, |n, data, _| load(data, n.into())), Ok(expected));
            assert_eq!(value(&BYTES, 0, |_, data, _| load(data, (at as u32).into())), Ok(expected));
        }
        // Behind the last place where one fits: another buffer's bytes lie there.
        let outside = (BYTES.len() - width + 1) as u64;
        for at in [outside, outside + 8, u64::from(u32::MAX), u64::MAX - 3, u64::MAX] {
            let loaded = value(&BYTES, at, |n, data, c| {
                c.buffer(64);
                load(data, n.into())
            });
            assert_eq!(loaded, bounds(at.saturating_add(width as u64), 12), "{width} bytes at {at}");
        }
    }
}

#[test]
fn numbers_are_stored_in_every_order_and_cut_to_their_width() {
    const VALUE: u64 = 0x1122_3344_5566_7788;
    let stored = |order: Order, at: u64, fixed: bool| {
        with(at, |c, n| {
            let (around, other) = (filled(c, &[0xee; 12]), filled(c, &[0xdd; 4]));
            if fixed {
                c.store(around, at, order, VALUE);
            } else {
                c.store(around, n, order, VALUE);
            }
            note_bytes(c, around);
            note_bytes(c, other);
        })
    };
    for (order, expected) in [
        (Order::U8, &[0x88][..]),
        (Order::Be16, &[0x77, 0x88]),
        (Order::Be32, &[0x55, 0x66, 0x77, 0x88]),
        (Order::Be64, &VALUE.to_be_bytes()),
        (Order::Le16, &[0x88, 0x77]),
        (Order::Le32, &[0x88, 0x77, 0x66, 0x55]),
        (Order::Le64, &VALUE.to_le_bytes()),
    ] {
        let width = expected.len();
        for at in [0, 1, 3, 12 - width] {
            let mut bytes = [[0xee; 12].as_slice(), &[0xdd; 4]].concat();
            bytes[at..at + width].copy_from_slice(expected);
            let bytes: Notes = bytes.into_iter().map(u64::from).collect();
            for fixed in [true, false] {
                let ended = stored(order, at as u64, fixed);
                assert_eq!((ended.text(), &ended.session), (String::new(), &bytes), "{order:?} at {at}");
            }
        }
        for at in [13 - width as u64, 16, u64::MAX] {
            let ended = stored(order, at, false);
            let error = ended.result.expect_err("it does not fit");
            let len = at.saturating_add(width as u64);
            assert!(
                matches!(error.kind(), ErrorKind::Bounds { len: l, max: 12 } if *l == len),
                "{order:?} at {at}: {error}"
            );
            assert!(ended.session.is_empty());
        }
    }
}

#[test]
fn bytes_are_copied_over_themselves() {
    for (to, from, len, expected) in [
        (2, 0, 6, b"ababcdef"),
        (0, 2, 6, b"cdefghgh"),
        (1, 0, 7, b"aabcdefg"),
        (0, 0, 8, b"abcdefgh"),
        (4, 0, 4, b"abcdabcd"),
        (3, 1, 0, b"abcdefgh"),
    ] {
        let ended = with(len, |c, n| {
            let (data, to_at, from_at) = (filled(c, b"abcdefgh"), c.reg(), c.reg());
            c.set(to_at, to);
            c.set(from_at, from);
            c.copy(data.part(to_at, n), data.part(from_at, n));
            note_bytes(c, data);
        });
        let expected: Notes = expected.iter().map(|byte| u64::from(*byte)).collect();
        assert_eq!((ended.text(), ended.session), (String::new(), expected), "{len} from {from} to {to}");
    }
}

#[test]
fn copies_of_other_lengths_and_outside_of_their_buffers_fail() {
    let copy = |n: u64, fixed: bool| {
        let ended = with(n, |c, n| {
            let (data, from) = (filled(c, b"abcdefgh"), c.constant(b"ABCDEFGH"));
            c.copy(data.to(n), if fixed { from.to(3) } else { from.part(n, n) });
            note_bytes(c, data);
        });
        ended.result.map(|()| ended.session[0]).map_err(|error| format!("{:?}", error.kind()))
    };
    assert_eq!(copy(3, true), Ok(u64::from(b'A')));
    assert_eq!(copy(2, true), bounds(3, 2), "of another length");
    assert_eq!(copy(4, true), bounds(3, 4), "of another length");
    assert_eq!(copy(9, true), bounds(9, 8), "the target is too long");
    assert_eq!(copy(u64::MAX, true), bounds(u64::MAX, 8));
    assert_eq!(copy(4, false), Ok(u64::from(b'E')));
    assert_eq!(copy(5, false), bounds(10, 8), "the source lies outside of the constant");
    let ended = with(0, |c, _| {
        let (data, from) = (c.buffer(8), c.constant(b"ABCDEFGH"));
        c.copy(data.to(4), from.to(3));
    });
    assert_eq!(ended.text(), "chain test, step 1 (copy): a span of 3 bytes does not fit into 4");
}

#[test]
fn bytes_are_found_compared_and_hashed() {
    let text = b"GET / HTTP/1.1\r\n";
    let find = |n: u64| value(text, n, |n, data, _| data.all().find(n));
    assert_eq!(find(u64::from(b'G')), Ok(0));
    assert_eq!(find(u64::from(b'/')), Ok(4), "the first of them");
    assert_eq!(find(u64::from(b'\n')), Ok(15));
    assert_eq!(find(u64::from(b'?')), Ok(16), "not there: the length");
    assert_eq!(find(0x1_0000 | u64::from(b'T')), Ok(2), "its lowest byte");
    assert_eq!(value(text, 4, |n, data, _| data.to(n).find(b'/')), Ok(4), "not there yet");
    assert_eq!(value(text, 5, |n, data, _| data.part(n, 11).find(b'/')), Ok(5), "from its start");
    assert_eq!(value(text, 0, |n, data, _| data.to(n).find(b'/')), Ok(0));
    assert_eq!(value(text, 17, |n, data, _| data.to(n).find(b'/')), bounds(17, 16));

    let equal = |n: u64| value(text, n, |n, data, c| data.to(n).equals(c.constant(b"GET ").all()));
    assert_eq!([equal(4), equal(3), equal(5), equal(0)], [Ok(1), Ok(0), Ok(0), Ok(0)]);
    assert_eq!(equal(99), bounds(99, 16));
    assert_eq!(value(text, 0, |n, data, _| data.to(n).equals(data.part(n, n))), Ok(1), "nothing is nothing");
    assert_eq!(value(text, 10, |n, data, _| data.part(n, 1).equals(data.range(4..5))), Ok(1));

    assert_eq!(value(b"foobar", 0, |_, data, _| data.all().hash()), Ok(0x8594_4171_f739_67e8));
    assert_eq!(value(b"foobar", 1, |_, _, c| c.constant(b"a").all().hash()), Ok(0xaf63_dc4c_8601_ec8c));
    assert_eq!(value(b"foobar", 0, |n, data, _| data.to(n).hash()), Ok(0xcbf2_9ce4_8422_2325));
    assert_eq!(value(b"foobar", 7, |n, data, _| data.to(n).hash()), bounds(7, 6));
}

#[test]
fn divisions_give_quotient_and_rest_or_fail() {
    let divided = |n: u64| value(b"x", n, |n, _, _| Expr::from(100) / n * 1000 + Expr::from(100) % n);
    assert_eq!(divided(7), Ok(14_002));
    assert_eq!(divided(u64::MAX), Ok(100));
    assert_eq!(divided(0), Err("Division".to_owned()));
    assert_eq!(value(b"x", 9, |n, _, _| n / 0), Err("Division".to_owned()));
    assert_eq!(value(b"x", 9, |n, _, _| n % 0), Err("Division".to_owned()));
    let ended = with(0, |c, n| {
        c.when((Expr::from(1) / n).eq(1), |c| c.finish());
    });
    assert_eq!(ended.text(), "chain test, step 1 (when): a division by zero");
}

#[test]
fn nested_expressions_are_computed_as_they_are_written() {
    let plain = |n: u64, load: u64| {
        let a = n.wrapping_mul(3).wrapping_sub(load.wrapping_add(n >> 2));
        let b = (n ^ load) | u64::from(n < 9) << 40;
        a.wrapping_add((b & 0xffff_ffff_ff00) / (n % 7 + 1)) ^ u64::from(a == b)
    };
    for n in [0, 1, 6, 8, 9, 1000, u64::from(u32::MAX) + 1, u64::MAX] {
        let computed = value(&BYTES, n, |n, data, _| {
            let load = data.be32(n % 9);
            let a = n * 3 - (load.clone() + (n >> 2));
            let b = (n ^ load) | (n.lt(9) << 40);
            (a.clone() + (b.clone() & 0xffff_ffff_ff00_u64) / (n % 7 + 1)) ^ a.eq(b)
        });
        let at = (n % 9) as usize;
        let load = u32::from_be_bytes(BYTES[at..at + 4].try_into().expect("four bytes"));
        assert_eq!(computed, Ok(plain(n, load.into())), "n is {n}");
    }
}

#[test]
fn constants_are_sent_lent_and_never_change() {
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, text, more) = (c.accepted(), c.constant(b"hello "), c.constant(b"world!"));
        let (n, data) = (c.reg(), c.buffer(6));
        c.recv_exact(sock, data.all());
        c.ensure(data.all().equals(more.all()), libc::EPROTO);
        c.call((read(more.range(..5)), write(data.all()), reg(n)), |_, (constant, own, n)| {
            own[..5].copy_from_slice(constant);
            own[5] = b'?';
            *n = 4;
            Flow::Next
        });
        c.send_all(sock, [text.all(), more.all(), more.part(n, 2), data.all(), text.range(5..)]);
        sock
    });
    for _ in 0..2 {
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, received) = with_peer(&program, Notes::new(), init, |mut client| {
            client.write_all(b"world!").expect("send");
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).expect("receive");
            bytes
        });
        assert_eq!((ended.text(), &received[..]), (String::new(), &b"hello world!d!world? "[..]));
    }
}

#[test]
fn lengths_that_fit_nowhere_fail_where_code_comes_to_them() {
    // The first turn transfers, so that the next begins where a completion is met.
    for (far, start) in
        [9, 0x1_0000_0001, 1 << 63, u64::MAX].into_iter().flat_map(|n| [(n, false), (n, true)])
    {
        let (program, (sock, next)) = chain::<Notes, _>(|c| {
            let (sock, len, next, data) = (c.accepted(), c.reg(), c.param(), c.buffer(8));
            c.set(len, 1);
            c.repeat(|c| {
                c.recv_exact(sock, if start { data.part(len, len) } else { data.to(len) });
                c.set(len, next);
            });
            (sock, next)
        });
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near).set(next, far);
        };
        let (ended, ()) = with_peer(&program, Notes::new(), init, |mut client| {
            client.write_all(b"a").expect("send");
            client.read_to_end(&mut Vec::new()).ok();
        });
        let error = ended.result.expect_err("it does not fit");
        let expected = if start { far.saturating_add(far) } else { far };
        assert!(
            matches!(error.kind(), ErrorKind::Bounds { len, max: 8 } if *len == expected),
            "{far}: {:?}",
            error.kind()
        );
        assert_eq!(error.step(), 3);
    }
}
