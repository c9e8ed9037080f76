//! Owned buffers: made for what is to come, looked at in place, and taken out without a copy.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::{
    Chain, ErrorKind, Exit, Flow, Init, Order, Program, Reg, Socket, outbox, read, reg, take, write,
};
use chainring_runtime::Runtime;
use common::both::{eight, eight_and_no_more, same};
use common::one::{Dir, Notes, chain, lowered, note, with_peer};
use common::{pair, run_beside, soon};

const LARGE: usize = 3 << 20;

/// Keeps what it was sent.
#[derive(Default)]
struct Kept {
    seen_at: usize,
    values: Vec<Vec<u8>>,
}

/// Receives values with their length in front, looks at each, and keeps it or sends it back.
fn values(keep: bool) -> (Program<Kept>, Socket) {
    chain(|c: &mut Chain<Kept>| {
        let (sock, head, len) = (c.socket(), c.buffer(4), c.reg());
        let (value, reply) = (c.owned(8 << 20), c.outbox());
        c.repeat(|c| {
            c.recv_exact(sock, head.all()).or_finish();
            c.set(len, head.be32(0));
            c.recv_exact(sock, value.to(len));
            c.call((read(value.to(len)),), |kept, (bytes,)| {
                kept.seen_at = bytes.as_ptr().addr();
                Flow::Next
            });
            c.call((take(value), outbox(reply)), move |kept, (value, reply)| {
                assert_eq!(value.as_ptr().addr(), kept.seen_at, "it was copied");
                if keep {
                    reply.copy(b"kept");
                    kept.values.push(value);
                } else {
                    reply.push(value);
                }
                Flow::Next
            });
            c.send_outbox(sock, reply);
        });
        sock
    })
}

fn value(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

#[test]
fn large_values_are_kept_and_sent_without_a_copy() {
    for keep in [false, true] {
        let (program, sock) = values(keep);
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, ()) = with_peer(&program, Kept::default(), init, |mut client| {
            for (i, len) in [1, LARGE, 70_000, 8 << 20].into_iter().enumerate() {
                let value = value(len, i as u64);
                let writer = client.try_clone().expect("another handle");
                let sent = value.clone();
                let writing = std::thread::spawn(move || {
                    let mut writer = writer;
                    writer.write_all(&(sent.len() as u32).to_be_bytes()).expect("send");
                    for part in sent.chunks(1 << 20) {
                        writer.write_all(part).expect("send");
                    }
                });
                let mut answer = vec![0; if keep { 4 } else { len }];
                client.read_exact(&mut answer).expect("an answer");
                assert!(answer == if keep { b"kept".to_vec() } else { value }, "value {i}");
                writing.join().expect("it was sent");
            }
        });
        assert_eq!(ended.text(), "", "{}", program.explain());
        let lens: Vec<usize> = ended.session.values.iter().map(Vec::len).collect();
        assert_eq!(lens, if keep { vec![1, LARGE, 70_000, 8 << 20] } else { Vec::new() });
    }
}

#[test]
fn more_than_the_limit_fails_the_frame_before_anything_is_allocated() {
    let (program, sock) = values(true);
    let init = |frame: &mut Init<'_, '_>, near| {
        frame.socket(sock, near);
    };
    let (ended, ()) = with_peer(&program, Kept::default(), init, |mut client| {
        client.write_all(&u32::MAX.to_be_bytes()).expect("send");
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    });
    assert!(
        ended.text().ends_with("a span of 4294967295 bytes does not fit into 8388608"),
        "{}",
        ended.text()
    );
}

#[test]
fn it_grows_where_it_ends_and_is_sent_written_and_computed_with() {
    let seen = same(
        |c, sock| {
            let (value, n, at) = (c.owned(100), c.reg(), c.reg());
            c.recv_exact(sock, value.range(..4));
            c.recv_exact(sock, value.range(4..8));
            c.set(n, value.range(..8).find(b'c'));
            note(c, n);
            c.set(at, 5);
            c.call((write(value.part(at, 1)),), |_, (byte,)| {
                byte[0] = b'X';
                Flow::Next
            });
            c.send_all(sock, [value.range(4..8), value.range(..2)]);
            c.send_all(sock, value.range(..9));
        },
        eight,
    );
    assert_eq!((&seen.received[..], &seen.notes[..]), (&b"aXcd\0\0"[..], &[6][..]), "{}", seen.error);
    assert!(seen.error.ends_with("a span of 9 bytes does not fit into 8"), "{}", seen.error);
    assert!(seen.explain.contains("v0 of 100 bytes"), "{}", seen.explain);
}

#[test]
fn it_is_not_filled_again_before_it_is_sent() {
    let seen = same(
        |c, sock| {
            let value = c.owned(8);
            c.repeat(|c| {
                c.recv_exact(sock, value.range(..4)).or_finish();
                c.send_all(sock, value.range(..4));
            });
        },
        eight_and_no_more,
    );
    assert_eq!((&seen.received[..], &seen.error[..]), (&b"\0\0\0\x03abcd"[..], ""), "{}", seen.explain);
    let seen = same(
        |c, sock| {
            let (value, other) = (c.owned(64 << 10), c.constant(b"-"));
            c.recv_exact(sock, value.range(..2));
            c.send_all(sock, value.range(..2));
            c.recv_exact(sock, value.range(2..4));
            c.send_all(sock, other.all());
            c.recv_exact(sock, value.range(..4));
            c.send_all(sock, value.range(..4));
        },
        eight_and_no_more,
    );
    assert_eq!((&seen.received[..], &seen.error[..]), (&b"\0\0-abcd"[..], ""), "{}", seen.explain);
}

#[test]
fn it_is_freed_behind_the_last_that_looks_at_it() {
    let seen = same(
        |c, sock| {
            let value = c.owned(100);
            c.recv_exact(sock, value.range(..8));
            c.send_all(sock, value.range(..8));
            c.sleep(1);
        },
        eight,
    );
    assert_eq!((&seen.received[..], &seen.error[..]), (&b"\0\0\0\x03abcd"[..], ""));
    let line = seen.explain.lines().find(|line| line.trim().starts_with("send_all")).expect("a line");
    assert!(line.ends_with("gives back v0"), "{}", seen.explain);
}

#[test]
fn what_was_taken_is_there_no_more() {
    let seen = same(
        |c, sock| {
            let (value, n): (_, Reg) = (c.owned(100), c.reg());
            c.recv_exact(sock, value.range(..8));
            c.set(n, 0);
            for _ in 0..2 {
                c.call((take(value), reg(n)), |_, (value, n)| {
                    *n += value.len() as u64;
                    Flow::Next
                });
                note(c, n);
            }
            c.send_all(sock, value.range(..1));
        },
        eight,
    );
    assert_eq!((&seen.received[..], &seen.notes[..]), (&b""[..], &[8, 8][..]));
    assert!(seen.error.ends_with("a span of 1 bytes does not fit into 0"), "{}", seen.error);
}

#[test]
fn a_call_that_is_refused_for_its_span_has_taken_nothing() {
    let seen = same(
        |c, sock| {
            let (value, other, n, errno) = (c.owned(100), c.buffer(4), c.reg(), c.reg());
            c.recv_exact(sock, value.range(..8));
            c.store(other, 0, Order::Be32, 0);
            c.set(n, 5);
            c.attempt(|c| c.call((take(value), read(other.to(n))), |_, (_, _)| Flow::Next))
                .on_error(errno, |c| note(c, errno));
            c.call((take(value), reg(n)), |_, (value, n)| {
                *n = value.len() as u64;
                Flow::Next
            });
            note(c, n);
        },
        eight,
    );
    let too_long = libc::EMSGSIZE as u64;
    assert_eq!((&seen.error[..], &seen.notes[..]), ("", &[too_long, 8][..]), "{}", seen.explain);
}

#[test]
fn an_end_in_the_middle_is_short() {
    let (program, sock) = values(true);
    let init = |frame: &mut Init<'_, '_>, near| {
        frame.socket(sock, near);
    };
    let (ended, ()) = with_peer(&program, Kept::default(), init, |mut client| {
        client.write_all(&(LARGE as u32).to_be_bytes()).expect("send");
        client.write_all(&vec![7; LARGE - 1]).expect("send");
    });
    assert!(ended.text().ends_with("the stream ended after 3145727 of 3145728 bytes"), "{}", ended.text());
}

#[test]
fn a_frame_is_cancelled_and_a_runtime_ends_while_a_value_comes() {
    for cancels in [true, false] {
        let (program, sock) = values(true);
        let (near, mut far) = pair();
        let runtime = Runtime::new().expect("a ring");
        let handle = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(Kept::default(), |frame| {
                frame.socket(sock, near);
            });
            handle.expect("there is room")
        });
        far.write_all(&(LARGE as u32).to_be_bytes()).expect("send");
        far.write_all(&[7; 1000]).expect("send");
        run_beside(&runtime, || std::thread::sleep(Duration::from_millis(20)));
        if cancels {
            handle.cancel();
            let Exit { result, .. } = runtime.block_on(async { soon("the frame to end", handle).await });
            let error = result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 1000 }), "{error}");
        } else {
            drop((runtime, handle));
        }
    }
}

#[test]
fn a_file_is_read_as_a_whole() {
    let dir = Dir::new();
    for (program, (file, sock)) in lowered(|c| {
        let (file, sock, size, value, reply) = (c.file(), c.socket(), c.reg(), c.owned(1 << 20), c.outbox());
        c.statx(file).size(size);
        c.read_exact_at(file, value.to(size), 0);
        c.call((take(value), outbox(reply)), |_, (value, reply)| {
            reply.push(value);
            Flow::Next
        });
        c.send_outbox(sock, reply);
        (file, sock)
    }) {
        let text = value(200_000, 5);
        let open = dir.file("given", &text);
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.file(file, open);
            frame.socket(sock, near);
        };
        let (ended, answer) = with_peer(&program, Notes::new(), init, common::both::all);
        assert_eq!((ended.text(), answer == text), (String::new(), true), "{}", program.explain());
    }
}

#[test]
fn what_is_taken_is_lent_to_nobody_else_and_there_was_something() {
    let refused = |steps: fn(&mut Chain<()>)| {
        let mut c = Chain::<()>::new("test");
        steps(&mut c);
        c.build().expect_err("it is refused").to_string()
    };
    let twice = refused(|c| {
        let (sock, value) = (c.socket(), c.owned(8));
        c.recv_exact(sock, value.range(..8));
        c.call((take(value), read(value.range(..1))), |(), (_, _)| Flow::Next);
    });
    assert_eq!(
        twice,
        "chain test, step 2 (call): it borrows the same bytes or register twice, once to write"
    );
    let nothing = refused(|c| {
        let value = c.owned(8);
        c.call((take(value),), |(), (_,)| Flow::Next);
    });
    assert_eq!(nothing, "chain test, step 1 (call): buffer v0 is read before it is written");
}
