//! Branches side by side that must all succeed.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Expr, Flow, Group, OpenHow, Reg, Socket, outbox as outbox_view};
use chainring_runtime::injector::Injector;
use chainring_runtime::time::sleep;
use chainring_runtime::{Builder, Capability, Runtime};
use common::descriptors;
use common::one::{Dir, Notes, alone, chain, lowered, mark, note};
use common::several::{pairs, receive, run, run_on, spawn};

const A_WHILE: Duration = Duration::from_millis(10);

/// Receives eight bytes on each of two sockets at the same time, and notes their first ones.
fn two(c: &mut Chain<Notes>) -> [Socket; 2] {
    let sockets = [c.socket(), c.socket()];
    let (data, first) = (c.buffer(16), [c.reg(), c.reg()]);
    c.all(|b| {
        for (i, first) in (0..2).zip(first) {
            b.branch(|c| {
                c.recv_exact(sockets[i as usize], data.range(8 * i..8 * i + 8));
                c.set(first, data.u8(8 * i));
            });
        }
    });
    note(c, first[0]);
    note(c, first[1]);
    sockets
}

#[test]
fn both_branches_wait_at_the_same_time_and_the_frame_goes_on_when_both_have_come() {
    let _alone = alone();
    for masked in [false, true] {
        let builder = Builder::new();
        let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
        let runtime = builder.build().expect("a ring");
        for (program, sockets) in lowered(two) {
            let (ended, ()) = run_on(
                &runtime,
                &program,
                sockets,
                |_| {},
                async |[mut one, mut other], frame| {
                    // The second one comes first, in parts.
                    other.write_all(b"bbb").expect("send");
                    sleep(A_WHILE).await;
                    other.write_all(b"bbbbb").expect("send");
                    sleep(A_WHILE).await;
                    assert!(!frame.is_finished());
                    one.write_all(b"aaaaaaaa").expect("send");
                },
            );
            assert_eq!((ended.text(), ended.session), (String::new(), vec![97, 98]));
            assert_eq!(ended.counters.segments, 2);
        }
    }
}

#[test]
fn when_one_fails_the_other_is_cancelled_and_the_error_leads_to_the_handler() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (errno, sockets) = (c.reg(), [c.socket(), c.socket()]);
        let data = c.buffer(16);
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.recv_exact(sockets[0], data.to(8));
                });
                b.branch(|c| {
                    c.recv_exact(sockets[1], data.range(8..));
                });
            });
            mark(c, 1);
        })
        .on_error(errno, |c| {
            note(c, errno);
            // The one that was cancelled has taken nothing, and nothing of it is on its way.
            c.recv_exact(sockets[0], data.all());
            c.send_all(sockets[0], data.all());
        });
        sockets
    }) {
        let (ended, answer) = run(&program, sockets, async |[mut slow, dead], _| {
            sleep(A_WHILE).await;
            drop(dead);
            sleep(A_WHILE).await;
            slow.write_all(b"sixteen bytes...").expect("send");
            receive::<16>(&mut slow).await
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ENODATA as u64]));
        assert_eq!(&answer, b"sixteen bytes...");
    }
}

#[test]
fn an_error_that_nobody_handles_names_the_step_in_its_branch() {
    let _alone = alone();
    for (program, sockets) in lowered(two) {
        let (ended, mut slow) = run(&program, sockets, async |[slow, mut dead], _| {
            dead.write_all(b"bbb").expect("send");
            drop(dead);
            slow
        });
        assert_eq!(ended.text(), "chain test, step 4 (recv_exact): the stream ended after 3 of 8 bytes");
        assert_eq!(slow.read(&mut [0]).expect("its socket is closed"), 0);
    }
}

#[test]
fn a_condition_that_does_not_hold_fails_them_all() {
    let _alone = alone();
    for (program, [sock]) in lowered(|c| {
        let (sock, data, n) = (c.socket(), c.buffer(8), c.reg());
        c.set(n, 3);
        c.all(|b| {
            b.branch(|c| {
                c.recv_exact(sock, data.all());
            });
            b.branch(|c| {
                c.sleep(1_000_000);
                c.ensure(n.eq(4), libc::EPROTO);
            });
        });
        [sock]
    }) {
        let (ended, ()) = run(&program, [sock], async |[_silent], frame| {
            while !frame.is_finished() {
                sleep(A_WHILE).await;
            }
        });
        assert_eq!(
            ended.text(),
            "chain test, step 5 (ensure): a condition does not hold: Protocol error (os error 71)"
        );
    }
}

#[test]
fn what_a_branch_handles_itself_does_not_concern_the_others() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, errno) = ([c.socket(), c.socket()], c.reg());
        let data = c.buffer(16);
        c.set(errno, 0);
        c.all(|b| {
            b.branch(|c| {
                c.recv_exact(sockets[0], data.to(8));
                c.send_all(sockets[0], data.to(8));
            });
            b.branch(|c| {
                c.attempt(|c| {
                    c.recv_exact(sockets[1], data.range(8..));
                })
                .on_error(errno, |c| c.sleep(1_000_000));
            });
        });
        note(c, errno);
        sockets
    }) {
        let (ended, ()) = run(&program, sockets, async |[mut good, dead], _| {
            drop(dead);
            sleep(A_WHILE).await;
            good.write_all(b"abcdefgh").expect("send");
            assert_eq!(&receive(&mut good).await, b"abcdefgh");
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ENODATA as u64]));
    }
}

/// Two branches of three members each, on files and on sockets.
fn busy(c: &mut Chain<Notes>, dir: &Dir) -> [Socket; 2] {
    let (sockets, n) = ([c.socket(), c.socket()], c.reg());
    let (data, text) = (c.buffer(32), c.constant(b"0123456789abcdef"));
    let path = c.path(dir.join("file"));
    c.set(n, 16);
    c.all(|b| {
        b.branch(|c| {
            let file = c.file();
            c.open(
                file,
                path,
                OpenHow { flags: (libc::O_RDWR | libc::O_CREAT) as u64, mode: 0o600, ..OpenHow::default() },
            );
            c.write_all_at(file, text.to(n), 0);
            c.read_exact_at(file, data.to(16), 0);
            c.statx(file).size(n);
            c.close_file(file);
        });
        b.branch(|c| {
            c.send_all(sockets[0], text.all());
            c.recv_exact(sockets[0], data.range(16..24));
            c.recv_exact(sockets[0], data.range(24..));
            c.send_all(sockets[1], data.range(16..));
        });
    });
    c.ensure(data.to(16).equals(text.all()), libc::EILSEQ);
    note(c, n);
    sockets
}

/// Plays the peers of [`busy`].
async fn peers([mut one, mut other]: [std::net::TcpStream; 2]) -> [u8; 16] {
    let text: [u8; 16] = receive(&mut one).await;
    one.write_all(&text).expect("send");
    receive(&mut other).await
}

#[test]
fn short_transfers_in_a_branch_go_on_where_they_stopped() {
    let _alone = alone();
    let dir = Dir::new();
    for masked in [false, true] {
        for (program, [sock]) in lowered(|c| {
            let (sock, file, text) = (c.socket(), c.file(), c.constant(b"0123456789abcdef"));
            let (data, path) = (c.buffer(32), c.path(dir.join("file")));
            let create = (libc::O_RDWR | libc::O_CREAT) as u64;
            c.open(file, path, OpenHow { flags: create, mode: 0o600, ..OpenHow::default() });
            // The kernel takes a transfer that is made short for what was asked, and would go on to a linked one.
            c.all(|b| {
                b.branch(|c| {
                    c.write_all_at(file, text.all(), 0);
                    c.sleep(0);
                    c.read_exact_at(file, data.to(16), 0);
                });
                b.branch(|c| {
                    c.send_all(sock, text.all());
                    c.sleep(0);
                    c.recv_exact(sock, data.range(16..));
                });
            });
            c.ensure(data.to(16).equals(data.range(16..)), libc::EILSEQ);
            [sock]
        }) {
            let builder = Builder::new();
            let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
            let runtime = builder.build().expect("a ring");
            let faults = |injector: &Injector| {
                injector.shorten("send", 3, 4);
                injector.shorten("recv", 1, 3);
                injector.shorten("read", 5, 2);
                injector.shorten("write", 7, 1);
            };
            let (ended, ()) = run_on(&runtime, &program, [sock], faults, async |[mut peer], _| {
                let text: [u8; 16] = receive(&mut peer).await;
                peer.write_all(&text).expect("send");
            });
            assert_eq!(ended.text(), "");
            assert_eq!(ended.counters.short, 10);
        }
    }
}

#[test]
fn members_that_cannot_be_prepared_are_submitted_one_by_one() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, sockets) in lowered(|c| busy(c, &dir)) {
        let runtime = Runtime::new().expect("a ring");
        // Only where another member stands beside it does it go unnoticed.
        let faults = |injector: &Injector| injector.refuse("recv", 1);
        let (near, far) = pairs();
        let linked = program.explain().to_string().contains("linked");
        let ended = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawn(&spawner, sockets, near);
            faults(runtime.handle().injector());
            let other = chainring_runtime::spawn(async move {
                peers(far).await;
            });
            let ended = common::soon("the frame to end", handle).await;
            other.abort();
            (ended.result, spawner.counters().one_by_one)
        });
        match ended {
            (Ok(()), 1) if linked => {}
            (Err(error), 0) if !linked => assert!(matches!(error.kind(), ErrorKind::Errno(libc::EINVAL))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_full_queue_puts_branches_off_until_there_is_room() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, sockets) in lowered(|c| busy(c, &dir)) {
        for times in [1, 2, 7] {
            let runtime = Runtime::new().expect("a ring");
            let faults = |injector: &Injector| injector.fill_queue(times);
            let (ended, answer) =
                run_on(&runtime, &program, sockets, faults, async |far, _| peers(far).await);
            assert_eq!((ended.text(), &answer[..]), (String::new(), &b"0123456789abcdef"[..]));
            assert!(ended.counters.parked > 0, "{:?}", ended.counters);
        }
    }
}

#[test]
fn a_branch_without_io_burns_fuel_and_the_others_have_their_turn() {
    let _alone = alone();
    for (program, [sock]) in lowered(|c| {
        let (sock, data, stop, turns) = (c.socket(), c.buffer(1), c.reg(), c.reg());
        c.set(turns, 0);
        c.all(|b| {
            b.branch(|c| {
                c.repeat(|c| {
                    c.set(turns, turns + 1);
                    c.when(turns.ge(100_000), |c| c.leave());
                });
            });
            b.branch(|c| {
                c.recv_exact(sock, data.all());
                c.set(stop, 1);
            });
        });
        note(c, turns);
        [sock]
    }) {
        let (ended, ()) = run(&program, [sock], async |[mut peer], _| {
            peer.write_all(b"x").expect("send");
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![100_000]));
        assert!(ended.counters.parked >= 50, "{:?}", ended.counters);
    }
}

#[test]
fn a_frame_that_is_cancelled_ends_when_all_its_branches_have() {
    let _alone = alone();
    let before = descriptors();
    for (program, sockets) in lowered(|c| {
        let (sockets, data, text) = ([c.socket(), c.socket()], c.buffer(16), c.constant(b"text"));
        c.all(|b| {
            b.branch(|c| {
                c.recv_exact(sockets[0], data.to(8));
            });
            b.branch(|c| c.sleep(u64::MAX / 4));
            b.branch(|c| {
                c.send_all(sockets[1], text.all());
                c.recv_exact(sockets[1], data.range(8..));
            });
            b.branch(|c| c.repeat(|c| c.sleep(0)));
        });
        sockets
    }) {
        let (ended, far) = run(&program, sockets, async |far, frame| {
            sleep(A_WHILE).await;
            frame.cancel();
            frame.cancel();
            far
        });
        let error = ended.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        assert_eq!(ended.counters.cancelled, 1);
        drop(far);
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_runtime_that_ends_takes_the_branches_with_it() {
    let _alone = alone();
    let before = descriptors();
    for steps in [0, 1, 2, 5] {
        let dir = Dir::new();
        for (program, sockets) in lowered(|c| busy(c, &dir)) {
            let (near, far) = pairs();
            let runtime = Runtime::new().expect("a ring");
            runtime.block_on(async {
                let spawner = program.start(1).expect("it starts");
                drop(spawn(&spawner, sockets, near));
                for _ in 0..steps {
                    chainring_runtime::yield_now().await;
                }
            });
            drop(runtime);
            for mut far in far {
                // Whatever was sent, and then the end.
                let mut sent = Vec::new();
                let _ = far.read_to_end(&mut sent);
            }
        }
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn branches_connect_beside_each_other() {
    let _alone = alone();
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind"));
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().expect("address"));
    let dead: SocketAddr = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        listener.local_addr().expect("address")
    };
    for refused in [false, true] {
        let (program, ()) = chain(|c: &mut Chain<Notes>| {
            let (sockets, errno, text) =
                ([c.socket(), c.socket(), c.socket()], c.reg(), c.constant(b"hello"));
            c.attempt(|c| {
                c.all(|b| {
                    for (i, socket) in sockets.into_iter().enumerate() {
                        let address = if refused && i == 1 { dead } else { addresses[i] };
                        b.branch(|c| c.connect(socket, address));
                    }
                });
                for socket in sockets {
                    c.send_all(socket, text.all());
                }
            })
            .on_error(errno, |c| note(c, errno));
        });
        let before = descriptors();
        let ended = common::one::run(&program, Notes::new(), |_| {});
        let expected: &[u64] = if refused { &[libc::ECONNREFUSED as u64] } else { &[] };
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), expected));
        assert_eq!(descriptors(), before, "open descriptors");
        if !refused {
            for listener in &listeners {
                let mut text = String::new();
                listener.accept().expect("accept").0.read_to_string(&mut text).expect("receive");
                assert_eq!(text, "hello");
            }
        }
    }
}

#[test]
fn branches_compute_fill_streams_and_send_outboxes() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, outbox) = ([c.socket(), c.socket()], c.outbox());
        let (lines, sum, n) = (c.stream(8), c.reg(), c.reg());
        c.set(n, 7);
        c.call((outbox_view(outbox),), |_, (outbox,)| {
            outbox.copy(b"one ");
            outbox.push("two ");
            outbox.copy(b"three");
            Flow::Next
        });
        c.all(|b| {
            b.branch(|c| c.send_outbox(sockets[0], outbox));
            // Takes bytes as they come, in a buffer that cannot hold them all.
            b.branch(|c| {
                c.set(sum, 0);
                c.repeat(|c| {
                    c.fill(sockets[1], lines);
                    c.repeat(|c| {
                        c.when(lines.is_empty(), |c| c.leave());
                        c.set(sum, sum * 10 + lines.bytes().find(b'x'));
                        c.consume(lines, 1);
                    });
                    c.when((sum % 10).eq(0), |c| c.leave());
                });
            });
            b.branch(|c| {
                let (hash, text) = (c.reg(), c.constant(b"text"));
                c.set(hash, text.all().hash());
                c.ensure(hash.ne(n), libc::EIO);
            });
        });
        note(c, sum);
        sockets
    }) {
        let (ended, text) = run(&program, sockets, async |[mut one, mut other], _| {
            other.write_all(b"..x").expect("send");
            receive::<13>(&mut one).await
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![210]));
        assert_eq!(&text, b"one two three");
    }
}

#[test]
fn a_span_that_does_not_fit_and_a_division_by_zero_fail_their_branches() {
    let _alone = alone();
    let bounds = |c: &mut Chain<Notes>, n: Reg| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.recv_exact(sock, data.to(1));
                    c.recv_exact(sock, data.to(n));
                });
                b.branch(|c| c.sleep(u64::MAX / 4));
            });
        })
        .on_error(n, |c| note(c, n));
        [sock]
    };
    let division = |c: &mut Chain<Notes>, n: Reg| {
        let (sock, data) = (c.socket(), c.buffer(8));
        let zero = c.param();
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.recv_exact(sock, data.to(1));
                    c.sleep(Expr::from(n) / zero);
                });
                b.branch(|c| c.sleep(u64::MAX / 4));
            });
        })
        .on_error(n, |c| note(c, n));
        [sock]
    };
    for trap in [false, true] {
        for (program, sockets) in lowered(|c| {
            let n = c.reg();
            c.set(n, 9);
            if trap { division(c, n) } else { bounds(c, n) }
        }) {
            let (ended, ()) = run(&program, sockets, async |[mut peer], _| {
                peer.write_all(b"x").expect("send");
            });
            let errno = if trap { libc::EDOM } else { libc::EMSGSIZE };
            assert_eq!((ended.text(), ended.session), (String::new(), vec![errno as u64]));
        }
    }
}

#[test]
fn a_group_is_left_when_the_branches_inside_of_it_fail_or_are_cancelled() {
    let _alone = alone();
    let dir = Dir::new();
    let group = Group::new("files");
    for (program, [file, other]) in lowered(|c| {
        let (file, other, data, errno) = (c.file(), c.file(), c.buffer(8), c.reg());
        c.set(errno, 0);
        c.attempt(|c| {
            c.serial(&group, |c| {
                c.all(|b| {
                    b.branch(|c| {
                        c.read_exact_at(file, data.to(4), 0);
                    });
                    b.branch(|c| {
                        c.read_exact_at(other, data.range(4..), 0);
                    });
                    b.branch(|c| c.sleep(1_000_000));
                });
            });
        })
        .on_error(errno, |c| c.sleep(0));
        note(c, errno);
        [file, other]
    }) {
        let runtime = Runtime::new().expect("a ring");
        let (errnos, last) = runtime.block_on(async {
            let spawner = program.start(8).expect("it starts");
            let start = |bytes: &[u8]| {
                let other_name = if bytes.len() == 1 { "short" } else { "other" };
                let files = (dir.file("whole", b"whole"), dir.file(other_name, bytes));
                let spawned = spawner.spawn(Notes::new(), |frame| {
                    frame.file(file, files.0).file(other, files.1);
                });
                spawned.expect("there is room")
            };
            let (fails, cancelled, waits, last) =
                (start(b"x"), start(b"whole"), start(b"whole"), start(b"whole"));
            cancelled.cancel();
            let mut errnos = Vec::new();
            for frame in [fails, waits] {
                errnos.extend(common::soon("a frame to end", frame).await.session);
            }
            (errnos, common::soon("the last frame to end", last).await.result)
        });
        assert_eq!(errnos, [libc::ENODATA as u64, 0]);
        last.expect("it has had its turn");
    }
}

#[test]
fn explain_shows_what_runs_beside_what() {
    let (program, _) = chain(two);
    let text = program.explain().to_string();
    assert!(
        text.contains("starts with all #1 { segment 0 | segment 1 } until 2 of 2 have ended; call #"),
        "{text}"
    );
    assert!(text.contains("segment 1: parallel (branch 2 of 2 of all #1), single, 1 SQE"), "{text}");
    assert!(text.contains("then r1 = b0.u8(8) #5; end of branch 2 of 2 of all #1"), "{text}");
    let graph = program.explain().dot();
    assert!(graph.contains("start -> segment0;") && graph.contains("start -> segment1;"), "{graph}");
}
