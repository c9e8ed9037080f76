//! Replies without a call: portable code searches what has come, and fills the outbox.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use chainring_chains::{Chain, Flow, Lowering, Order, Socket, outbox};
use chainring_runtime::Runtime;
use common::*;

/// What a client gets from a chain to which it sends these pieces, with time between them.
fn answered(pieces: &'static [&'static [u8]], write: impl Fn(&mut Chain<()>, Socket)) -> Vec<u8> {
    let _guard = watchdog(PATIENCE);
    let answers = [Lowering::Chosen, Lowering::Single].map(|lowering| {
        let mut c = Chain::<()>::new("replies");
        c.lowering(lowering);
        let sock = c.socket();
        write(&mut c, sock);
        let program = c.build().expect("the chain is right");
        let (near, mut far) = pair();
        let client = std::thread::spawn(move || {
            for piece in pieces {
                far.write_all(piece).expect("send");
                std::thread::sleep(Duration::from_millis(10));
            }
            far.shutdown(Shutdown::Write).expect("shutdown");
            let mut all = Vec::new();
            far.read_to_end(&mut all).expect("receive");
            all
        });
        Runtime::new().expect("a ring").block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn((), |frame| _ = frame.socket(sock, near)).expect("room");
            handle.await.result.expect("the stream ends between two requests");
        });
        client.join().expect("the client")
    });
    assert_eq!(answers[0], answers[1], "the same however it is lowered");
    answers.into_iter().next().expect("two")
}

/// Answers each line with how long it is, and with the line.
fn lines(c: &mut Chain<()>, sock: Socket) {
    let (input, reply, len) = (c.stream(64), c.outbox(), c.reg());
    let (end, answer) = (c.constant(b"\r\n"), c.constant(b"bytes: "));
    c.fill(sock, input).or_finish();
    c.repeat(|c| {
        c.repeat(|c| {
            c.set(len, input.bytes().find_bytes(end.all()));
            c.when(len.eq(input.len()), |c| c.leave());
            c.append_decimal(reply, len);
            c.append(reply, answer.all());
            c.append(reply, input.first(len));
            c.append(reply, end.all());
            c.consume(input, len + 2);
            c.when(input.is_empty(), |c| c.leave());
        });
        c.send_outbox(sock, reply);
        c.fill(sock, input).or_finish();
    });
}

#[test]
fn lines_are_answered_however_they_are_cut() {
    let want = b"3bytes: one\r\n0bytes: \r\n12bytes: three\r four!\r\n1bytes: 5\r\n";
    assert_eq!(answered(&[b"one\r\n\r\nthree\r four!\r\n5\r\n"], lines), want);
    assert_eq!(answered(&[b"o", b"ne\r", b"\n\r\nth", b"ree\r four!\r", b"\n5\r\n"], lines), want);
    assert_eq!(answered(&[b"no end"], lines), b"", "what is not whole is not answered");
}

#[test]
fn a_line_longer_than_the_buffer_does_not_fit() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("long");
    let sock = c.socket();
    lines(&mut c, sock);
    let program = c.build().expect("the chain is right");
    let (near, mut far) = pair();
    far.write_all(&[b'x'; 65]).expect("send");
    let exit = Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        spawner.spawn((), |frame| _ = frame.socket(sock, near)).expect("room").await
    });
    let error = exit.result.expect_err("there is no room for more");
    assert!(matches!(error.kind(), chainring_chains::ErrorKind::Bounds { .. }), "{error}");
}

#[test]
fn what_is_appended_goes_behind_what_a_call_has_put_in_and_in_front_of_what_the_next_does() {
    let got = answered(&[b"ab"], |c, sock| {
        let (head, reply, mark) = (c.buffer(2), c.outbox(), c.constant(b"-"));
        c.recv_exact(sock, head.all());
        for order in [Order::Be32, Order::Le16] {
            c.call((outbox(reply),), |(), (reply,)| {
                reply.copy(b"<");
                reply.push("blob");
                Flow::Next
            });
            c.append(reply, head.all());
            c.append_number(reply, order, 0x0141_4243_u64);
            c.append(reply, mark.all());
        }
        c.send_outbox(sock, reply);
        // It is empty again.
        c.append(reply, mark.all());
        c.send_outbox(sock, reply);
        c.send_outbox(sock, reply);
    });
    assert_eq!(got, b"<blobab\x01ABC-<blobabCB--");
}

#[test]
fn constants_that_come_first_stay_in_front_of_what_is_put_behind_them() {
    let got = answered(&[b"abcdef"], |c, sock| {
        let (head, reply, mark, empty) = (c.buffer(2), c.outbox(), c.constant(b"mark"), c.constant(b""));
        for round in 0..3 {
            c.recv_exact(sock, head.all());
            c.append(reply, empty.all());
            c.append(reply, mark.all());
            c.append(reply, empty.all());
            match round {
                0 => c.append(reply, head.all()),
                1 => c.call((outbox(reply),), |(), (reply,)| {
                    assert_eq!(reply.len(), 4, "it holds what was appended");
                    reply.push("blob");
                    Flow::Next
                }),
                // Lent as it is, and dropped.
                _ => c.call((outbox(reply),), |(), (reply,)| {
                    reply.clear();
                    reply.copy(b"!");
                    Flow::Next
                }),
            }
            c.append(reply, mark.all());
            c.send_outbox(sock, reply);
        }
    });
    assert_eq!(got, b"markabmarkmarkblobmark!mark");
}

#[test]
fn constants_longer_than_a_socket_takes_at_once_are_sent_whole() {
    let long: Vec<u8> = (0..8 << 20).map(|i: u32| (i >> 4) as u8).collect();
    let got = answered(&[b"ab", b"cd"], |c, sock| {
        let (head, reply, answer) = (c.buffer(2), c.outbox(), c.constant(&long));
        for _ in 0..2 {
            c.recv_exact(sock, head.all());
            c.append(reply, answer.all());
            c.send_outbox(sock, reply);
        }
    });
    assert!(got == [&long[..], &long].concat());
}

#[test]
fn numbers_are_found_among_sorted_ones() {
    // Pairs of a number and what it stands for; the key comes over the wire.
    let got = answered(&[b"\0\x05\0\x06\0\0\xff\xff"], |c, sock| {
        let table = c.constant(&[0, 1, b'a', 0, 5, b'b', 0, 5, b'c', 0, 9, b'd']);
        let (key, reply, below, upto) = (c.buffer(2), c.outbox(), c.reg(), c.reg());
        c.repeat(|c| {
            c.recv_exact(sock, key.all()).or_finish();
            c.set(below, table.all().partition_lt(Order::Be16, 3, key.be16(0)));
            c.set(upto, table.all().partition_le(Order::Be16, 3, key.be16(0)));
            c.append_decimal(reply, below);
            c.append_decimal(reply, upto);
            c.send_outbox(sock, reply);
        });
    });
    assert_eq!(got, b"13330044");
}

#[test]
fn a_stride_in_which_no_number_fits_is_refused() {
    let mut c = Chain::<()>::new("narrow");
    let (table, reg) = (c.constant(&[0; 8]), c.reg());
    c.set(reg, table.all().partition_lt(Order::Be32, 3, 1));
    let error = c.build().expect_err("numbers would overlap").to_string();
    assert_eq!(error, "chain narrow, step 1 (set): numbers of 4 bytes cannot start every 3 bytes");
}

#[test]
fn branches_append_nothing() {
    let mut c = Chain::<()>::new("beside");
    let (reply, mark) = (c.outbox(), c.constant(b"-"));
    c.all(|all| {
        all.branch(|c| c.sleep(1));
        all.branch(|c| c.append(reply, mark.all()));
    });
    let error = c.build().expect_err("it is refused").to_string();
    assert!(error.contains("(append)") && error.contains("how far the branches have come"), "{error}");
}

#[test]
fn an_append_stays_between_the_sends_around_it() {
    let mut c = Chain::<()>::new("apart");
    let (sock, head, reply, mark) = (c.accepted(), c.buffer(2), c.outbox(), c.constant(b"-"));
    c.recv_exact(sock, head.all());
    c.append(reply, mark.all());
    c.send_outbox(sock, reply);
    c.append(reply, mark.all());
    c.send_outbox(sock, reply);
    let program = c.build().expect("the chain is right");
    let text = program.explain().to_string();
    assert!(text.contains("o0 += k0[0..1]"), "{text}");
    assert_eq!(text.matches("ends because `append` follows").count(), 2, "{text}");
}
