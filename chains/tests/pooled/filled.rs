//! What comes into a buffer, and how much of it.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use chainring_chains::{Chain, Flow, Init, read};

use super::in_parts;
use crate::common::both::{all, eight, same, silent};
use crate::common::one::{Dir, Notes, chain, lowered, note, with_peer};

#[test]
fn what_comes_goes_back() {
    let seen = same(
        |c, sock| {
            let (data, n) = (c.pooled(5), c.reg());
            c.repeat(|c| {
                c.recv(sock, data.all()).into(n).or_finish();
                c.send_all(sock, data.to(n));
            });
        },
        |client| in_parts(client, b"a few words in parts", 7),
    );
    assert_eq!((&seen.received[..], &seen.error[..]), (&b"a few words in parts"[..], ""));
}

#[test]
fn an_exact_transfer_waits_for_all_of_it() {
    let seen = same(
        |c, sock| {
            let (head, body, n) = (c.buffer(4), c.pooled(1 << 16), c.reg());
            c.repeat(|c| {
                c.recv_exact(sock, head.all()).or_finish();
                c.set(n, head.be32(0));
                c.recv_exact(sock, body.to(n));
                c.send_all(sock, [head.all(), body.to(n)]);
            });
        },
        |client| in_parts(client, &[&40_000_u32.to_be_bytes()[..], &[b'x'; 40_000]].concat(), 9_000),
    );
    assert_eq!((seen.received.len(), &seen.error[..]), (40_004, ""));
    assert!(seen.received[4..].iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_transfer_of_nothing_takes_no_buffer() {
    let seen = same(
        |c, sock| {
            let (body, n, word) = (c.pooled(100), c.reg(), c.constant(b"ok"));
            c.set(n, 0);
            c.recv_exact(sock, body.to(n));
            c.send_all(sock, [body.to(n), word.all()]);
        },
        silent,
    );
    assert_eq!((&seen.received[..], &seen.error[..]), (&b"ok"[..], ""));
}

#[test]
fn an_end_in_the_middle_is_short_and_the_rest_can_be_handled() {
    let seen = same(
        |c, sock| {
            let (body, errno) = (c.pooled(100), c.reg());
            c.recv_exact(sock, body.range(..4));
            c.attempt(|c| {
                c.recv_exact(sock, body.range(..12));
                c.send_all(sock, body.all());
            })
            .on_error(errno, |c| {
                // What has come took the place of what was there before, and there is no more.
                note(c, errno);
                c.send_all(sock, body.range(..7));
                c.send_all(sock, body.range(..8));
            });
        },
        |client| in_parts(client, b"1234seven b", 3),
    );
    assert_eq!(seen.received, b"seven b");
    assert_eq!(seen.notes, [libc::ENODATA as u64]);
    assert!(seen.error.ends_with("a span of 8 bytes does not fit into 7"), "{}", seen.error);
    // Nothing came: what was there before still is.
    let seen = same(
        |c, sock| {
            let (body, errno) = (c.pooled(100), c.reg());
            c.recv_exact(sock, body.range(..8));
            c.attempt(|c| {
                c.recv(sock, body.all());
            })
            .on_error(errno, |c| {
                c.call((read(body.range(..8)),), |notes, (bytes,)| {
                    notes.push(bytes.len() as u64);
                    Flow::Next
                })
            });
        },
        |client| in_parts(client, b"eight by", 8),
    );
    assert_eq!((&seen.notes[..], &seen.error[..]), (&[8][..], ""));
}

#[test]
fn what_another_connection_has_left_is_never_seen() {
    // One buffer for all: the second frame is given that which the first has filled with its secret.
    let [(sends, first), (calls, second), (loads, third)] = [0, 1, 2].map(|kind| {
        chain(|c: &mut Chain<Notes>| {
            let (sock, data, n, sum) = (c.socket(), c.pooled(64), c.reg(), c.reg());
            c.pool_limit(1);
            c.repeat(|c| {
                c.recv(sock, data.all()).into(n).or_finish();
                c.when(n.eq(64), |c| c.again());
                match kind {
                    0 => _ = c.send_all(sock, data.range(..9)),
                    1 => c.call((read(data.all()),), |_, (_,)| panic!("it was lent")),
                    _ => c.set(sum, data.u8(8)),
                }
            });
            sock
        })
    });
    for (program, sock) in [(sends, first), (calls, second), (loads, third)] {
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, answer) = with_peer(&program, Notes::new(), init, |mut client| {
            client.write_all(&[b'!'; 64]).expect("send");
            sleep(Duration::from_millis(20));
            client.write_all(b"eight by").expect("send");
            all(client)
        });
        assert_eq!(answer, b"", "{}", ended.text());
        assert!(ended.text().contains("does not fit into 8"), "{}", ended.text());
    }
}

#[test]
fn more_can_come_where_it_ends() {
    let seen = same(
        |c, sock| {
            let (data, at, n) = (c.pooled(100), c.reg(), c.reg());
            c.recv_exact(sock, data.range(..4));
            c.recv_exact(sock, data.range(4..6));
            c.set(at, 6);
            c.recv_exact(sock, data.part(at, 2));
            c.recv(sock, data.range(8..)).into(n).or_finish();
            c.send_all(sock, [data.range(2..8), data.part(at, n)]);
            c.send_all(sock, data.range(..10));
            c.send_all(sock, data.range(..11));
        },
        |mut client| {
            client.write_all(b"\0\0\0\x03abcd").expect("send");
            sleep(Duration::from_millis(10));
            client.write_all(b"xy").expect("send");
            all(client)
        },
    );
    assert_eq!(seen.received, b"\0\x03abcdcd\0\0\0\x03abcdxy");
    assert!(seen.error.ends_with("a span of 11 bytes does not fit into 10"), "{}", seen.error);
    // A gap is none of the frame's bytes.
    let seen = same(
        |c, sock| {
            let data = c.pooled(100);
            c.recv_exact(sock, data.range(..4));
            c.recv_exact(sock, data.range(5..8));
            c.send_all(sock, data.range(..8));
        },
        eight,
    );
    assert!(seen.error.ends_with("a span of 8 bytes does not fit into 4"), "{}", seen.error);
}

#[test]
fn a_file_is_read_into_it() {
    let dir = Dir::new();
    for (program, (file, sock)) in lowered(|c| {
        let (file, sock, data, n, at) = (c.file(), c.socket(), c.pooled(1000), c.reg(), c.reg());
        c.set(at, 0);
        c.repeat(|c| {
            c.read_at(file, data.all(), at).into(n).or_finish();
            c.set(at, at + n);
            c.send_all(sock, data.to(n));
        });
        (file, sock)
    }) {
        let text: Vec<u8> = (0..2500_u32).map(|i| i as u8).collect();
        let open = dir.file("given", &text);
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.file(file, open);
            frame.socket(sock, near);
        };
        let (ended, answer) = with_peer(&program, Notes::new(), init, all);
        assert_eq!((ended.text(), answer == text), (String::new(), true), "{}", answer.len());
    }
}
