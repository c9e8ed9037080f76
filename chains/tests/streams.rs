//! Buffers that are filled at one end and consumed at the other.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};

use chainring_chains::{Chain, ErrorKind, Flow, Init, Program, Socket, StreamBuf, reg, stream};
use common::one::{Ended, Notes, chain, note, with_peer};

/// What `bytes`, sent in pieces of the given sizes in turn, make of a chain on its accepted socket.
fn sent_in(
    program: &Program<Notes>,
    sock: Socket,
    bytes: &[u8],
    pieces: &[usize],
) -> (Ended<Notes>, Vec<u8>) {
    let init = |frame: &mut Init<'_, '_>, near| {
        frame.socket(sock, near);
    };
    with_peer(program, Notes::new(), init, |mut client: Client| {
        let mut rest = bytes;
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            if now.is_empty() || client.write_all(now).is_err() {
                break;
            }
            // So that the frame sees pieces.
            std::thread::sleep(std::time::Duration::from_millis(1));
            rest = later;
        }
        client.shutdown(Shutdown::Write).ok();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).ok();
        answer
    })
}

/// Messages of a byte that says how many follow, sent back without it, in portable steps.
fn portable(c: &mut Chain<Notes>, capacity: u32) -> Socket {
    let (sock, data, len) = (c.accepted(), c.stream(capacity), c.reg());
    c.repeat(|c| {
        c.when(data.is_empty(), |c| {
            c.fill(sock, data).or_finish();
        });
        c.set(len, data.u8(0) + 1);
        c.repeat(|c| {
            c.when(data.len().ge(len), |c| c.leave());
            c.fill(sock, data);
        });
        c.consume(data, 1);
        c.set(len, len - 1);
        c.send_all(sock, data.first(len));
        c.consume(data, len);
    });
    sock
}

/// The same with a call that parses.
fn native(c: &mut Chain<Notes>, capacity: u32) -> Socket {
    let (sock, data, len) = (c.accepted(), c.stream(capacity), c.reg());
    c.repeat(|c| {
        c.call((stream(data), reg(len)), |_, (mut bytes, len)| {
            match bytes.bytes().first() {
                Some(first) if bytes.bytes().len() > usize::from(*first) => {
                    *len = u64::from(*first);
                    bytes.consume(1);
                }
                _ => *len = u64::MAX,
            }
            Flow::Next
        });
        c.when(len.eq(-1), |c| {
            c.fill(sock, data).or_finish();
            c.again();
        });
        c.send_all(sock, data.first(len));
        c.consume(data, len);
    });
    sock
}

/// Messages of these lengths, and their bytes.
fn messages(lengths: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for len in lengths {
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(usize::from(*len)).collect();
        sent.push(*len);
        sent.extend(&bytes);
        expected.extend(bytes);
    }
    (sent, expected)
}

#[test]
fn pipelined_messages_are_parsed_however_they_arrive() {
    let lengths = [3, 1, 15, 9, 0, 0, 7, 15, 15, 2, 11, 0, 4, 15];
    let (sent, expected) = messages(&lengths);
    for steps in [portable, native] {
        let (program, sock) = chain(|c| steps(c, 16));
        for pieces in [&[1][..], &[2, 3], &[16], &[17, 1], &[1000]] {
            let (ended, received) = sent_in(&program, sock, &sent, pieces);
            assert_eq!(ended.text(), "", "in pieces of {pieces:?}");
            assert_eq!(received, expected, "in pieces of {pieces:?}");
        }
    }
}

#[test]
fn lines_are_found_and_consumed_without_a_call() {
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data, len) = (c.accepted(), c.stream(16), c.reg());
        c.repeat(|c| {
            c.set(len, data.bytes().find(b'\n'));
            c.when(len.eq(data.len()), |c| {
                c.fill(sock, data).or_finish();
                c.again();
            });
            note(c, len);
            c.send_all(sock, data.first(len));
            // What is taken is computed from what there is, before any of it is taken.
            c.consume(data, data.bytes().find(b'\n') + 1);
        });
        sock
    });
    let text = b"one\ntwo\n\nthree\nfifteen letters\nx\n\n\nend\n";
    for pieces in [&[1000][..], &[1], &[5, 2]] {
        let (ended, received) = sent_in(&program, sock, text, pieces);
        assert_eq!(ended.text(), "", "in pieces of {pieces:?}");
        assert_eq!(ended.session, [3, 3, 0, 5, 15, 1, 0, 0, 3], "in pieces of {pieces:?}");
        assert_eq!(received, b"onetwothreefifteen lettersxend", "in pieces of {pieces:?}");
    }
}

#[test]
fn numbers_are_read_where_the_stream_stands() {
    // Of thirty-two bytes three are taken at a time: what is read lies elsewhere each time.
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data, at) = (c.accepted(), c.stream(32), c.reg());
        c.repeat(|c| {
            c.repeat(|c| {
                c.when(data.len().ge(10), |c| c.leave());
                c.fill(sock, data).or_finish();
            });
            c.set(at, 1);
            for number in [
                data.u8(0),
                data.be16(at + 1),
                data.le16(0),
                data.be32(2),
                data.le32(at),
                data.be64(0),
                data.le64(at + 1),
            ] {
                c.set(at, number);
                note(c, at);
                c.set(at, 1);
            }
            c.consume(data, 3);
        });
        sock
    });
    let bytes: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37).wrapping_add(5)).collect();
    let expected = (0..=90).step_by(3).flat_map(|at| {
        let part = |from: usize, len: usize| bytes[at + from..][..len].iter().map(|byte| u64::from(*byte));
        let big = |from, len| part(from, len).fold(0, |number, byte| number << 8 | byte);
        let little = |from, len| part(from, len).rev().fold(0, |number, byte| number << 8 | byte);
        [part(0, 1).sum(), big(2, 2), little(0, 2), big(2, 4), little(1, 4), big(0, 8), little(2, 8)]
    });
    let expected: Vec<u64> = expected.collect();
    for pieces in [&[1][..], &[100], &[9, 14]] {
        let (ended, _) = sent_in(&program, sock, &bytes, pieces);
        assert_eq!((ended.text(), &ended.session), (String::new(), &expected), "in pieces of {pieces:?}");
    }
}

#[test]
fn numbers_behind_the_end_of_a_stream_buffer_fail_the_frame() {
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data, number) = (c.accepted(), c.stream(8), c.reg());
        c.fill(sock, data);
        c.consume(data, 1);
        c.set(number, data.be64(0));
        sock
    });
    let (ended, _) = sent_in(&program, sock, &[1; 8], &[8]);
    let error = ended.result.expect_err("it would end behind the buffer");
    assert!(matches!(error.kind(), ErrorKind::Bounds { len: 9, max: 8 }), "{error:?}");
    // Offsets with which the sum goes over the greatest number, and would lead to what was consumed.
    for offset in [8, u64::from(u32::MAX) + 1, u64::MAX - 2, u64::MAX - 1, u64::MAX] {
        for computed in [false, true] {
            let (program, sock) = chain::<Notes, _>(|c| {
                let (sock, data, number) = (c.accepted(), c.stream(8), c.reg());
                c.fill(sock, data);
                c.consume(data, 3);
                c.set(number, offset);
                c.set(number, if computed { data.u8(number) } else { data.u8(offset) });
                note(c, number);
                sock
            });
            let (ended, _) = sent_in(&program, sock, b"abcdefgh", &[8]);
            let error = ended.result.expect_err("nothing is there");
            assert!(matches!(error.kind(), ErrorKind::Bounds { max: 8, .. }), "{offset}: {error:?}");
        }
    }
}

#[test]
fn what_is_left_is_moved_to_the_front_when_the_end_is_reached() {
    // Of every eight bytes five are taken: the rest never lies where it did before.
    let (program, (sock, ..)) = chain::<Notes, _>(|c| {
        let (sock, data) = (c.accepted(), c.stream(8));
        c.repeat(|c| {
            c.repeat(|c| {
                c.when(data.len().ge(5), |c| c.leave());
                c.fill(sock, data).or_finish();
            });
            c.send_all(sock, data.first(5));
            c.consume(data, 5);
        });
        (sock, data)
    });
    let bytes: Vec<u8> = (0..=249).collect();
    for pieces in [&[1000][..], &[3], &[7, 2]] {
        let (ended, received) = sent_in(&program, sock, &bytes, pieces);
        assert_eq!((ended.text(), &received), (String::new(), &bytes), "in pieces of {pieces:?}");
    }
}

/// Fills a buffer of eight bytes for ever.
fn greedy(c: &mut Chain<Notes>) -> (Socket, StreamBuf) {
    let (sock, data, seen) = (c.accepted(), c.stream(8), c.reg());
    c.repeat(|c| {
        c.fill(sock, data).or_finish();
        c.set(seen, data.len());
        note(c, seen);
    });
    (sock, data)
}

#[test]
fn a_full_buffer_fails_the_frame() {
    let (program, (sock, data)) = chain(greedy);
    assert_eq!(data.capacity(), 8);
    let (ended, _) = sent_in(&program, sock, &[1; 20], &[4]);
    assert_eq!(ended.text(), "chain test, step 2 (fill): a span of 9 bytes does not fit into 8");
    assert_eq!(ended.session.last(), Some(&8));
    let error = ended.result.expect_err("it is full");
    assert!(matches!(error.kind(), ErrorKind::Bounds { len: 9, max: 8 }), "{error:?}");
}

#[test]
fn a_stream_that_ends_is_told_from_one_that_fails() {
    let (program, (sock, _)) = chain(greedy);
    let (ended, _) = sent_in(&program, sock, &[1; 7], &[7]);
    assert_eq!((ended.text(), ended.session.last()), (String::new(), Some(&7)));
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data) = (c.accepted(), c.stream(8));
        c.repeat(|c| {
            c.fill(sock, data);
            c.consume(data, data.len());
        });
        sock
    });
    let (ended, _) = sent_in(&program, sock, &[1; 3], &[3]);
    assert_eq!(ended.text(), "chain test, step 2 (fill): the stream ended after 0 of 8 bytes");
}

#[test]
fn more_than_there_is_cannot_be_consumed() {
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data) = (c.accepted(), c.stream(8));
        c.fill(sock, data);
        c.consume(data, data.len() + 1);
        sock
    });
    let (ended, _) = sent_in(&program, sock, b"abc", &[3]);
    let text = "chain test, step 2 (consume): a condition does not hold: Message too long (os error 90)";
    assert_eq!(ended.text(), text);
    // By a call it is a panic, which the hook would print.
    let (program, (sock, left)) = chain::<Notes, _>(|c| {
        let (sock, data, left) = (c.accepted(), c.stream(8), c.reg());
        c.fill(sock, data);
        c.call((stream(data),), |notes, (mut bytes,)| {
            bytes.bytes_mut()[0] = b'x';
            bytes.consume(1);
            notes.extend(bytes.bytes().iter().map(|byte| u64::from(*byte)));
            bytes.consume(bytes.bytes().len());
            notes.push(bytes.bytes().len() as u64);
            Flow::Next
        });
        c.set(left, data.len());
        note(c, left);
        (sock, left)
    });
    let _ = left;
    let (ended, _) = sent_in(&program, sock, b"abc", &[3]);
    assert_eq!((ended.text(), ended.session), (String::new(), vec![98, 99, 0, 0]));
}

#[test]
fn more_of_the_front_than_there_is_does_not_fit() {
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data, len) = (c.accepted(), c.stream(8), c.reg());
        c.fill(sock, data);
        c.consume(data, 2);
        c.set(len, 7);
        c.send_all(sock, data.first(len));
        sock
    });
    let (ended, received) = sent_in(&program, sock, b"abc", &[3]);
    assert_eq!(ended.text(), "chain test, step 4 (send_all): a span of 9 bytes does not fit into 8");
    assert!(received.is_empty());
}
