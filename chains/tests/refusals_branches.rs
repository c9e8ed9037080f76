//! What `build()` refuses of branches, with the words that it uses.

use chainring_chains::{Chain, Event, Flow, Group, Log, OpenHow, read};

/// What `build()` says of the chain that `steps` describes.
fn refused(steps: impl FnOnce(&mut Chain<()>)) -> String {
    let mut c = Chain::new("test");
    steps(&mut c);
    match c.build() {
        Ok(program) => panic!("accepted:\n{}", program.explain()),
        Err(error) => error.to_string(),
    }
}

fn accepted(steps: impl FnOnce(&mut Chain<()>)) {
    let mut c = Chain::new("test");
    steps(&mut c);
    c.build().unwrap_or_else(|error| panic!("{error}"));
}

/// Both as branches of an `all`.
fn beside(c: &mut Chain<()>, one: impl FnOnce(&mut Chain<()>), other: impl FnOnce(&mut Chain<()>)) {
    c.all(|b| {
        b.branch(one);
        b.branch(other);
    });
}

#[test]
fn steps_that_no_branch_can_have() {
    let at = |step: &str, why: &str| format!("chain test, step {step}: it cannot stand in a branch: {why}");
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.call((), |(), ()| Flow::Next)));
    assert_eq!(text, at("3 (call)", "native code is called with nothing of the frame in flight"));
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.finish()));
    assert_eq!(text, at("3 (finish)", "it finishes the frame"));
    let text = refused(|c| {
        let (sock, data) = (c.accepted(), c.buffer(8));
        beside(
            c,
            |c| c.sleep(1),
            |c| {
                c.recv_exact(sock, data.all()).or_finish();
            },
        );
    });
    assert_eq!(text, at("3 (recv_exact)", "it may finish the frame"));
    let text = refused(|c| {
        let fetch = |(): &mut (), ()| async {};
        beside(c, |c| c.sleep(1), |c| c.call_async((), fetch, (), |(), (), ()| Flow::Next));
    });
    assert_eq!(text, at("3 (call_async)", "a future is waited for with nothing of the frame in flight"));
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.within(1, |c| c.sleep(1))));
    assert_eq!(text, at("3 (within)", "a deadline is the whole frame's, and stands around the branches"));
    let waits = "it waits for others, or they for it, as a whole frame";
    let (group, event, log) = (Group::new("group"), Event::new("event"), Log::new("log"));
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.serial(&group, |c| c.sleep(1))));
    assert_eq!(text, at("3 (serial)", waits));
    assert_eq!(refused(|c| beside(c, |c| c.sleep(1), |c| c.wait(&event))), at("3 (wait)", waits));
    let text = refused(|c| {
        let text = c.constant(b"text");
        beside(
            c,
            |c| c.sleep(1),
            |c| {
                c.commit(&log, text.all());
            },
        );
    });
    assert_eq!(text, at("3 (commit)", waits));
    let nested = "branches do not branch again";
    let text = refused(|c| beside(c, |c| beside(c, |c| c.sleep(1), |c| c.sleep(1)), |c| c.sleep(1)));
    assert_eq!(text, at("2 (all)", nested));
    // However deep inside.
    let text = refused(|c| {
        let n = c.param();
        c.quorum(1, |b| {
            b.branch(|c| {
                c.repeat(|c| {
                    c.when(n.eq(0), |c| c.pipelined(2, |c, _| c.sleep(1), |_, _, ()| {}))
                        .otherwise(|c| c.leave());
                });
            });
        });
    });
    assert_eq!(text, at("4 (pipelined)", nested));
    let text = refused(|c| c.pipelined(2, |c, _| c.sleep(1), |c, _, ()| c.finish()));
    assert_eq!(text, at("3 (finish)", "it finishes the frame"));
}

#[test]
fn a_loop_around_the_branches_is_not_theirs_to_leave() {
    let text = refused(|c| c.repeat(|c| beside(c, |c| c.sleep(1), |c| c.leave())));
    assert_eq!(text, "chain test, step 4 (leave): it must stand inside of a repeat");
    let text = refused(|c| c.repeat(|c| beside(c, |c| c.again(), |c| c.sleep(1))));
    assert_eq!(text, "chain test, step 3 (again): it must stand inside of a repeat");
    accepted(|c| beside(c, |c| c.repeat(|c| c.leave()), |c| c.sleep(1)));
}

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

#[test]
fn what_a_quorum_may_not_have_done_counts_as_undone() {
    let text = refused(|c| {
        let (socks, data) = ([c.socket(), c.socket()], c.buffer(8));
        c.quorum(1, |b| {
            b.branch(|c| {
                c.recv_exact(socks[0], data.to(4));
            });
            b.branch(|c| {
                c.recv_exact(socks[1], data.range(4..));
            });
        });
        c.send_all(socks[0], data.to(4));
    });
    assert_eq!(text, "chain test, step 4 (send_all): buffer b0 is read before it is written");
    // Also if it was written before: a loser may have left a part of something in it.
    let text = refused(|c| {
        let (socks, data, text) = ([c.socket(), c.socket()], c.buffer(4), c.constant(b"text"));
        c.copy(data.all(), text.all());
        c.quorum(1, |b| {
            b.branch(|c| {
                c.recv_exact(socks[0], data.all());
            });
            b.branch(|c| c.sleep(1));
        });
        c.call((read(data.all()),), |(), (_,)| Flow::Next);
    });
    assert_eq!(text, "chain test, step 5 (call): buffer b0 is read before it is written");
    let text = refused(|c| {
        let n = c.reg();
        c.quorum(1, |b| {
            b.branch(|c| c.set(n, 1));
            b.branch(|c| c.sleep(1));
        });
        c.sleep(n);
    });
    assert_eq!(text, "chain test, step 4 (sleep): register r0 is read before it is written");
    accepted(|c| {
        let (n, m, sock, data) = (c.reg(), c.reg(), c.socket(), c.buffer(4));
        c.set(n, 0);
        c.quorum(1, |b| {
            b.branch(|c| c.set(n, 1));
            b.branch(|c| c.sleep(1));
        });
        // If all must succeed they have.
        c.quorum(2, |b| {
            b.branch(|c| c.set(m, 1));
            b.branch(|c| {
                c.recv_exact(sock, data.all());
            });
        });
        c.sleep(n + m + data.u8(0));
    });
    // On its way round a loop, what was written the first time only.
    let text = refused(|c| {
        let (n, m) = (c.reg(), c.reg());
        c.repeat(|c| {
            c.quorum(1, |b| {
                b.branch(|c| c.set(n, 1));
                b.branch(|c| c.sleep(1));
            });
            c.set(m, n);
            c.set(n, 0);
        });
    });
    assert_eq!(text, "chain test, step 5 (set): register r0 is read before it is written");
}

#[test]
fn branches_that_can_never_be_enough() {
    assert_eq!(refused(|c| c.all(|_| {})), "chain test, step 1 (all): 0 of 0 branches can never succeed");
    let two = |need: usize| {
        refused(|c| {
            c.quorum(need, |b| {
                b.branch(|c| c.sleep(1));
                b.branch(|c| c.sleep(1));
            });
        })
    };
    assert_eq!(two(0), "chain test, step 1 (quorum): 0 of 2 branches can never succeed");
    assert_eq!(two(3), "chain test, step 1 (quorum): 3 of 2 branches can never succeed");
    let text = refused(|c| {
        c.all(|b| (0..65).for_each(|_| b.branch(|c| c.sleep(1))));
    });
    assert_eq!(text, "chain test, step 1 (all): too many branches");
    for depth in [65, usize::MAX] {
        let text = refused(|c| c.pipelined(depth, |c, _| c.sleep(1), |_, _, ()| {}));
        assert_eq!(text, "chain test, step 1 (pipelined): too many branches");
    }
    let text = refused(|c| c.pipelined(0, |c, _| c.sleep(1), |_, _, ()| {}));
    assert_eq!(text, "chain test, step 1 (pipelined): 1 of 0 branches can never succeed");
    // One that never ends keeps what is behind them from ever being reached.
    let text = refused(|c| {
        beside(c, |c| c.repeat(|c| c.sleep(1)), |c| c.sleep(1));
        c.sleep(2);
    });
    assert_eq!(text, "chain test, step 5 (sleep): the step can never be reached");
    accepted(|c| {
        c.quorum(1, |b| {
            b.branch(|c| c.repeat(|c| c.sleep(1)));
            b.branch(|c| c.sleep(1));
        });
        c.sleep(2);
    });
    let text = refused(|c| {
        c.pipelined(2, |c, _| c.sleep(1), |_, _, ()| {});
        c.sleep(2);
    });
    assert_eq!(text, "chain test, step 3 (sleep): the step can never be reached");
}

#[test]
fn handles_of_another_builder_inside_of_branches() {
    let mut other = Chain::<()>::new("other");
    let reg = other.param();
    let text = refused(|c| beside(c, |c| c.sleep(1), |c| c.sleep(reg)));
    assert_eq!(text, "chain test, step 3 (sleep): a handle was made by another builder");
    let text = refused(|c| c.pipelined(2, |c, _| c.sleep(1), |c, _, ()| c.sleep(reg)));
    assert_eq!(text, "chain test, step 3 (sleep): a handle was made by another builder");
}
