//! What one branch or turn changes, no other one may touch.

use chainring_chains::{Chain, OpenHow};

use super::beside;
use crate::common::refused::{accepted, refused};

#[test]
fn what_one_branch_writes_another_one_touches() {
    let shared = |what: &str, step: &str, other: &str| {
        format!("chain test, step {step}: {what} is shared with step {other}, which runs beside it")
    };
    // Registers.
    let text = refused(|c| {
        let n = c.param();
        beside(c, |c| c.set(n, 1), |c| c.set(n, 2));
    });
    assert_eq!(text, shared("register r0", "3 (set)", "2 (set)"));
    let text = refused(|c| {
        let n = c.param();
        beside(c, |c| c.ensure(n.eq(1), libc::EIO), |c| c.set(n, 2));
    });
    assert_eq!(text, shared("register r0", "3 (set)", "2 (ensure)"));
    let text = refused(|c| {
        let (sock, data, n) = (c.socket(), c.buffer(8), c.param());
        beside(
            c,
            |c| {
                c.recv(sock, data.all()).into(n);
            },
            |c| c.sleep(n),
        );
    });
    assert_eq!(text, shared("register r0", "3 (sleep)", "2 (recv)"));
    // Bytes.
    let text = refused(|c| {
        let (socks, data) = ([c.socket(), c.socket()], c.buffer(8));
        beside(
            c,
            |c| {
                c.recv(socks[0], data.to(5));
            },
            |c| {
                c.recv(socks[1], data.range(4..));
            },
        );
    });
    assert_eq!(text, shared("buffer b0", "3 (recv)", "2 (recv)"));
    let text = refused(|c| {
        let (socks, data, n) = ([c.socket(), c.socket()], c.buffer(8), c.param());
        c.store(data, 0, chainring_chains::Order::U8, 1);
        beside(
            c,
            |c| {
                c.send_all(socks[0], data.part(n, 1));
            },
            |c| {
                c.recv(socks[1], data.range(7..));
            },
        );
    });
    assert_eq!(text, shared("buffer b0", "4 (recv)", "3 (send_all)"));
    let text = refused(|c| {
        let (sock, stream, n) = (c.socket(), c.stream(8), c.param());
        beside(
            c,
            |c| {
                c.fill(sock, stream);
            },
            |c| c.set(n, stream.len()),
        );
    });
    assert!(text.contains("which runs beside it"), "{text}");
    // Descriptors.
    let text = refused(|c| {
        let (file, data) = (c.file(), c.buffer(8));
        beside(
            c,
            |c| c.close_file(file),
            |c| {
                c.read_at(file, data.all(), 0);
            },
        );
    });
    assert_eq!(text, shared("the descriptor of f0", "3 (read_at)", "2 (close_file)"));
    let text = refused(|c| {
        let (file, path) = (c.file(), c.path("/dev/null"));
        beside(
            c,
            |c| {
                c.open(file, path, OpenHow::default());
            },
            |c| {
                c.open(file, path, OpenHow::default());
            },
        );
    });
    assert_eq!(text, shared("the descriptor of f0", "3 (open)", "2 (open)"));
    let text = refused(|c| {
        let (dir, file, path) = (c.file(), c.file(), c.path("x"));
        beside(
            c,
            |c| {
                c.open(file, path, OpenHow::default()).beneath(dir);
            },
            |c| c.close_file(dir),
        );
    });
    assert_eq!(text, shared("the descriptor of f0", "3 (close_file)", "2 (open)"));
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(8));
        beside(
            c,
            |c| c.connect(sock, ([127, 0, 0, 1], 1).into()),
            |c| {
                c.recv(sock, data.all());
            },
        );
    });
    assert!(
        text.starts_with("chain test, step 3 (recv): the descriptor of s0 is shared with step 2"),
        "{text}"
    );
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.constant(b"text"));
        beside(
            c,
            |c| c.shutdown(sock),
            |c| {
                c.send_all(sock, data.all());
            },
        );
    });
    assert!(text.contains("step 3 (send_all)") && text.ends_with("which runs beside it"), "{text}");
    // Directions of a socket.
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(16));
        beside(
            c,
            |c| {
                c.recv(sock, data.to(8));
            },
            |c| {
                c.recv(sock, data.range(8..));
            },
        );
    });
    assert_eq!(text, shared("one half of s0", "3 (recv)", "2 (recv)"));
    let text = refused(|c| {
        let (sock, data, outbox) = (c.socket(), c.constant(b"text"), c.outbox());
        beside(
            c,
            |c| c.send_outbox(sock, outbox),
            |c| {
                c.send_all(sock, data.all());
            },
        );
    });
    assert_eq!(text, shared("one half of s0", "3 (send_all)", "2 (send_outbox)"));
    // What takes the errno of an error that each handles.
    let text = refused(|c| {
        let (files, data, errno) = ([c.file(), c.file()], c.buffer(16), c.reg());
        let handled = |c: &mut Chain<()>, i: usize| {
            let span = data.range(8 * i as u32..8 * i as u32 + 8);
            c.attempt(|c| {
                c.read_at(files[i], span, 0);
            })
            .on_error(errno, |c| c.sleep(1));
        };
        beside(c, |c| handled(c, 0), |c| handled(c, 1));
    });
    assert!(text.contains("register r0 is shared with step"), "{text}");
    // Outboxes.
    let text = refused(|c| {
        let (socks, outbox) = ([c.socket(), c.socket()], c.outbox());
        beside(c, |c| c.send_outbox(socks[0], outbox), |c| c.send_outbox(socks[1], outbox));
    });
    assert_eq!(text, shared("outbox o0", "3 (send_outbox)", "2 (send_outbox)"));
}

#[test]
fn branches_share_the_handler_around_them() {
    accepted(|c| {
        let (files, data, errno) = ([c.file(), c.file()], c.buffer(16), c.reg());
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.read_at(files[0], data.to(8), 0);
                });
                b.branch(|c| {
                    c.read_at(files[1], data.range(8..), 0);
                });
            });
        })
        .on_error(errno, |c| c.sleep(1));
    });
}

#[test]
fn what_branches_only_read_they_share() {
    accepted(|c| {
        let (socks, data, n) = ([c.socket(), c.socket()], c.buffer(8), c.param());
        let (file, other, text) = (c.file(), c.buffer(8), c.constant(b"text"));
        c.copy(data.to(4), text.all());
        c.all(|b| {
            // Both halves of one socket, and one file.
            b.branch(|c| {
                c.send_all(socks[0], [data.to(n), text.all()]);
                c.write_all_at(file, text.all(), n);
            });
            b.branch(|c| {
                c.recv_exact(socks[0], other.to(4));
                c.write_all_at(file, data.to(n), 100);
            });
            b.branch(|c| {
                c.recv_exact(socks[1], other.range(4..));
            });
            b.branch(|c| {
                c.poll(socks[1], libc::POLLOUT as u32);
            });
        });
    });
}

#[test]
fn turns_share_nothing_but_what_is_done_in_order() {
    // A register of the chain in both parts.
    let text = refused(|c| {
        let (n, file, data) = (c.param(), c.file(), c.constant(b"text"));
        c.pipelined(
            2,
            |c, _| {
                c.write_all_at(file, data.all(), n);
            },
            |c, _, ()| c.set(n, n + 4),
        );
    });
    assert!(
        text.starts_with("chain test, step") && text.contains("register r0 is shared with step"),
        "{text}"
    );
    // A buffer of the chain, even in order.
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.pipelined(
            2,
            |c, _| c.sleep(1),
            |c, _, ()| {
                c.recv_exact(sock, data.all());
            },
        );
    });
    assert_eq!(
        text,
        "chain test, step 3 (recv_exact): buffer b0 is shared with step 3 (recv_exact), which runs beside it"
    );
    // A socket that is received from ahead.
    let text = refused(|c| {
        let sock = c.socket();
        c.pipelined(
            2,
            |c, _| {
                let data = c.buffer(8);
                c.recv_exact(sock, data.all());
            },
            |_, _, ()| {},
        );
    });
    assert_eq!(
        text,
        "chain test, step 2 (recv_exact): one half of s0 is shared with step 2 (recv_exact), which runs beside it"
    );
    accepted(|c| {
        let (sock, sum) = (c.socket(), c.param());
        c.pipelined(
            8,
            |c, _| c.sleep(1),
            |c, _, ()| {
                let data = c.buffer(8);
                c.recv_exact(sock, data.all());
                c.set(sum, sum + data.be32(0));
            },
        );
    });
}
