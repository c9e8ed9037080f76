//! Pooled buffers: what comes into them, what is seen of them, and when they are given back.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::thread::sleep;
use std::time::Duration;

use chainring_chains::{Chain, Flow, Init, Order, read, write};
use chainring_runtime::{Builder, Capability};
use common::both::{all, eight, same, silent};
use common::one::{Dir, Notes, chain, lowered, mark, note, run, with_peer};
use common::{pair, soon};

/// Says `text` in parts of so many bytes, and waits a little between them.
fn in_parts(mut client: Client, text: &[u8], len: usize) -> Vec<u8> {
    for part in text.chunks(len) {
        client.write_all(part).expect("send");
        sleep(Duration::from_millis(5));
    }
    client.shutdown(std::net::Shutdown::Write).expect("shutdown");
    all(client)
}

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
fn the_last_reader_reports_though_the_segment_goes_on_into_a_wait() {
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, data, n) = (c.socket(), c.pooled(100), c.reg());
        c.repeat(|c| {
            c.recv(sock, data.all()).into(n).or_finish();
            c.send_all(sock, data.to(n));
        });
        sock
    });
    let text = program.explain().to_string();
    assert!(text.contains("and, only while it uses them, p0 of 100 bytes"), "{text}");
    assert!(text.contains("linked, 2 SQEs submitted at once, 2 completions"), "{text}");
    let line = |name: &str| text.lines().rev().find(|line| line.trim().starts_with(name)).expect("a line");
    assert!(line("send_all").ends_with("link waitall gives back p0"), "{text}");
    assert!(line("recv").ends_with("select or_finish"), "{text}");
    assert!(text.contains("how much a recv brings"), "{text}");

    // And the ring counts as many.
    let runtime = Builder::new().build().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let handle = handle.expect("there is room");
        for _ in 0..10 {
            far.write_all(b"hello").expect("send");
            while spawner.counters().segments == 0 {
                chainring_runtime::time::sleep(Duration::from_millis(1)).await;
            }
            let mut answer = [0; 5];
            far.set_nonblocking(true).expect("nonblocking");
            while far.read_exact(&mut answer).is_err() {
                chainring_runtime::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(&answer, b"hello");
        }
        drop(far);
        assert_eq!(soon("the frame to end", handle).await.result.map_err(|error| error.to_string()), Ok(()));
        let metrics = runtime.metrics();
        assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
    });
}

#[test]
fn without_silent_members_everything_is_the_same() {
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, head, body, n) = (c.socket(), c.buffer(4), c.pooled(100), c.reg());
        c.repeat(|c| {
            c.recv_exact(sock, head.all()).or_finish();
            c.set(n, head.be32(0));
            c.recv_exact(sock, body.to(n));
            c.send_all(sock, [body.to(n), body.range(..1)]);
            c.send_all(sock, head.all());
        });
        sock
    });
    let runtime = Builder::new().mask(Capability::SkipSuccess).build().expect("a ring");
    let (near, mut far) = pair();
    let peer = std::thread::spawn(move || {
        for _ in 0..50 {
            far.write_all(b"\0\0\0\x05hello").expect("send");
            let mut answer = [0; 10];
            far.read_exact(&mut answer).expect("receive");
            assert_eq!(&answer, b"helloh\0\0\0\x05");
        }
    });
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let exit = soon("the frame to end", handle.expect("there is room")).await;
        assert_eq!(exit.result.map_err(|error| error.to_string()), Ok(()));
        let metrics = runtime.metrics();
        assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
    });
    peer.join().expect("the peer is content");
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
fn computations_and_calls_look_at_it_and_change_it() {
    let seen = same(
        |c, sock| {
            let (data, at, n, abcd) = (c.pooled(8), c.reg(), c.reg(), c.constant(b"abcd"));
            c.recv_exact(sock, data.all());
            c.set(n, data.be32(0));
            note(c, n);
            c.set(at, 5);
            c.set(n, data.u8(at));
            note(c, n);
            c.set(n, data.range(4..).find(b'c'));
            note(c, n);
            c.set(n, data.range(4..).equals(abcd.all()));
            note(c, n);
            c.set(n, data.range(4..).hash());
            note(c, n);
            c.store(data, 0, Order::Be16, 0x4142);
            c.store(data, at, Order::U8, u64::from(b'B'));
            c.copy(data.range(2..4), data.range(6..8));
            c.call((write(data.range(7..)), read(data.range(..2))), |_, (last, first)| {
                last[0] = first[0];
                Flow::Next
            });
            c.send_all(sock, data.all());
        },
        eight,
    );
    // The hash is that of FNV-1a.
    assert_eq!(seen.notes, [3, u64::from(b'b'), 2, 1, 0xfc17_9f83_ee07_24dd], "{}", seen.error);
    assert_eq!(seen.received, b"ABcdaBcA");
}

#[test]
fn a_load_behind_what_has_come_fails_the_frame() {
    for offset in [3_u32, 5] {
        let seen = same(
            |c, sock| {
                let (data, at, n) = (c.pooled(100), c.reg(), c.reg());
                c.recv_exact(sock, data.range(..8));
                c.set(at, offset);
                c.set(n, data.be32(at));
                mark(c, 1);
                c.set(n, data.be32(offset + 2));
                mark(c, 2);
            },
            eight,
        );
        let loads = if offset == 3 { 1 } else { 0 };
        assert_eq!(seen.notes.len(), loads, "{}", seen.error);
        assert!(seen.error.ends_with("a span of 9 bytes does not fit into 8"), "{}", seen.error);
    }
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

#[test]
fn it_is_written_to_a_file() {
    let dir = Dir::new();
    for (program, (file, sock)) in lowered(|c| {
        let (file, sock, data, n, at) = (c.file(), c.socket(), c.pooled(1000), c.reg(), c.reg());
        c.set(at, 0);
        c.repeat(|c| {
            c.recv(sock, data.all()).into(n).or_finish();
            c.write_all_at(file, data.to(n), at);
            c.set(at, at + n);
        });
        (file, sock)
    }) {
        let open = dir.file("given", b"");
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.file(file, open);
            frame.socket(sock, near);
        };
        let text: Vec<u8> = (0..5000_u32).map(|i| i as u8).collect();
        let (ended, _) = with_peer(&program, Notes::new(), init, |client| in_parts(client, &text, 700));
        assert_eq!(ended.text(), "");
        assert!(std::fs::read(dir.join("given")).expect("the file") == text);
    }
}

#[test]
fn a_buffer_that_no_path_looks_at_is_given_back_where_the_paths_part() {
    let (program, _) = chain(|c: &mut Chain<Notes>| {
        let (sock, data, n) = (c.socket(), c.pooled(8), c.reg());
        c.recv(sock, data.all()).into(n);
        c.when(n.eq(1), |c| c.sleep(1)).otherwise(|c| {
            c.send_all(sock, data.to(n));
        });
        c.recv(sock, data.all());
    });
    let text = program.explain().to_string();
    assert!(text.contains("{ gives back p0; sleep 1ns #3 } otherwise { segment 2 }; segment 1"), "{text}");
    // What nobody looks at is given back at once.
    let last = text.lines().rev().find(|line| line.trim().starts_with("recv")).expect("a line");
    assert!(last.ends_with("select gives back p0"), "{text}");
}

#[test]
fn sixty_four_of_them_are_held_at_once() {
    let dir = Dir::new();
    let (program, file) = chain(|c: &mut Chain<Notes>| {
        let (file, sum) = (c.file(), c.reg());
        let pooled: Vec<_> = (1..=64).map(|i| c.pooled(i)).collect();
        for buf in &pooled {
            c.read_exact_at(file, buf.all(), 0);
        }
        c.set(sum, 0);
        for buf in &pooled {
            c.set(sum, sum + buf.u8(0));
        }
        note(c, sum);
        file
    });
    let open = dir.file("given", &[3; 64]);
    let ended = run(&program, Notes::new(), |frame| {
        frame.file(file, open);
    });
    assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[192][..]));
}
