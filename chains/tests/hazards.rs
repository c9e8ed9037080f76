//! Steps that are submitted together although one of them depends on another, numbers of a peer that are as large as they
//! can be, and loops without I/O: every step sees what the steps before it have left, and nobody else is harmed.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use chainring_chains::{Chain, ChainError, ErrorKind, Exit, File, Flow, Program, Socket, outbox, reg};
use chainring_net::TcpStream;
use chainring_runtime::op::openat2::OpenHow;
use chainring_runtime::{Runtime, time};
use common::{PATIENCE, pair, soon, watchdog};

/// Runs one frame on a connection, beside its client, for which the connection ends with the frame.
fn talk<S: 'static, T: Send>(
    program: &Program<S>,
    sock: Socket,
    session: S,
    client: impl FnOnce(std::net::TcpStream) -> T + Send,
) -> (S, Result<(), ChainError>, T) {
    let (stream, peer) = pair();
    std::thread::scope(|scope| {
        let client = scope.spawn(move || client(peer));
        let runtime = Runtime::new().expect("a ring");
        let Exit { session, sockets, result } = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(session, |frame| {
                frame.socket(sock, stream);
            });
            soon("the frame to end", handle.expect("there is room")).await
        });
        drop((sockets, runtime));
        (session, result, client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// A file of its own for a test.
fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("chainring-hazards-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("a file");
    path
}

fn read_only() -> OpenHow {
    OpenHow { flags: libc::O_RDONLY as u64, ..OpenHow::default() }
}

#[test]
fn a_length_as_large_as_can_be_fails_the_frame_alone() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("long");
    let (sock, len, head, body) = (c.accepted(), c.reg(), c.buffer(8), c.buffer(64));
    c.repeat(|c| {
        c.recv_exact(sock, head.all());
        c.set(len, head.be64(0));
        c.recv_exact(sock, body.to(len));
    });
    let program = c.build().expect("the chain is right");
    for claimed in [u64::MAX, u64::MAX - 0xffff_ffff, 1 << 63, u64::from(u32::MAX), 65] {
        let ((), result, ()) = talk(&program, sock, (), |mut peer| {
            peer.write_all(&claimed.to_be_bytes()).expect("send");
            assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
        });
        let error = result.expect_err("it does not fit");
        assert!(matches!(error.kind(), ErrorKind::Bounds { len, max: 64 } if *len == claimed), "{error}");
    }
}

#[test]
fn a_path_that_has_just_come_is_the_one_that_is_opened() {
    let _guard = watchdog(PATIENCE);
    let paths = [file("one", b"1111"), file("two", b"2222"), file("six", b"6666")];
    let len = paths[0].as_os_str().len() as u32 + 1;
    let mut c = Chain::<()>::new("serves");
    let (sock, opened, path, bytes) = (c.accepted(), c.file(), c.buffer(len), c.buffer(4));
    c.repeat(|c| {
        c.recv_exact(sock, path.all()).or_finish();
        c.open(opened, path.all(), read_only());
        c.read_exact_at(opened, bytes.all(), 0);
        c.send_all(sock, bytes.all());
    });
    let program = c.build().expect("the chain is right");
    let ((), result, answers) = talk(&program, sock, (), |mut peer| {
        let mut answers = Vec::new();
        for path in &paths {
            peer.write_all(path.as_os_str().as_encoded_bytes()).expect("send");
            peer.write_all(&[0]).expect("send");
            let mut answer = [0; 4];
            peer.read_exact(&mut answer).expect("an answer");
            answers.push(answer);
        }
        answers
    });
    result.expect("it finishes");
    assert_eq!(answers, [*b"1111", *b"2222", *b"6666"]);
    paths.iter().for_each(|path| std::fs::remove_file(path).expect("remove"));
}

#[test]
fn what_is_due_before_a_path_without_an_end_is_done() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("endless");
    let (sock, opened, data, path) = (c.accepted(), c.file(), c.buffer(1), c.buffer(2));
    c.store(path, 0, chainring_runtime::frame::Order::Be16, 0x2e2e);
    c.recv_exact(sock, data.all());
    c.send_all(sock, data.all());
    c.open(opened, path.all(), read_only());
    let program = c.build().expect("the chain is right");
    let ((), result, echoed) = talk(&program, sock, (), |mut peer| {
        peer.write_all(b"x").expect("send");
        let mut echoed = Vec::new();
        peer.read_to_end(&mut echoed).expect("receive");
        echoed
    });
    let error = result.expect_err("the path has no end");
    assert_eq!(error.name(), "open");
    assert!(matches!(error.kind(), ErrorKind::Bounds { .. }), "{error}");
    assert_eq!(echoed, b"x");
}

#[test]
fn an_outbox_is_empty_when_it_is_sent_again() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("twice");
    let (sock, reply) = (c.accepted(), c.outbox());
    c.call((outbox(reply),), |(), (reply,)| {
        reply.copy(b"once");
        Flow::Next
    });
    c.send_outbox(sock, reply);
    c.send_outbox(sock, reply);
    let program = c.build().expect("the chain is right");
    let ((), result, got) = talk(&program, sock, (), |mut peer| {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).expect("receive");
        got
    });
    result.expect("it finishes");
    assert_eq!(got, b"once");
}

#[test]
fn a_descriptor_that_was_closed_is_nobody_elses() {
    let _guard = watchdog(PATIENCE);
    // The second turn must find the place vacant, and not what has its number by then.
    let mut c = Chain::<()>::new("closes");
    let (sock, data) = (c.accepted(), c.buffer(4));
    c.repeat(|c| {
        c.recv_exact(sock, data.all());
        c.call((), |(), ()| Flow::Next);
        c.close(sock);
    });
    let program = c.build().expect("the chain is right");
    let explained = program.explain().to_string();
    assert!(explained.contains("what `recv_exact` works on is known only when"), "{explained}");
    let ((), result, ()) = talk(&program, sock, (), |mut peer| {
        peer.write_all(b"data").expect("send");
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    });
    let error = result.expect_err("the place is vacant");
    assert_eq!(error.name(), "recv_exact");
    assert!(matches!(error.kind(), ErrorKind::Errno(libc::EBADF)), "{error}");
}

#[test]
fn the_end_of_a_file_finishes_if_the_step_says_so() {
    let _guard = watchdog(PATIENCE);
    let path = file("read", b"0123456789");
    for counted in [false, true] {
        let mut c = Chain::<u32>::new("reads");
        let (opened, bytes, at, n) = (c.file(), c.buffer(4), c.param(), c.reg());
        c.repeat(|c| {
            let mut step = c.read_at(opened, bytes.all(), at).or_finish();
            if counted {
                step = step.into(n);
            }
            let _ = step;
            c.set(at, at + 4);
            c.call((), |turns: &mut u32, ()| {
                *turns += 1;
                if *turns > 3 { Flow::fail("it reads on") } else { Flow::Next }
            });
        });
        let program = c.build().expect("the chain is right");
        let exit = with_file(&program, opened, &path, 0);
        exit.result.expect("it finishes");
        assert_eq!(exit.session, 3);
    }
    std::fs::remove_file(path).expect("remove");
}

fn with_file<S: 'static>(program: &Program<S>, place: File, path: &std::path::Path, session: S) -> Exit<S> {
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(session, |frame| {
            frame.file(place, std::fs::File::open(path).expect("open"));
        });
        soon("the frame to end", handle.expect("there is room")).await
    })
}

#[test]
fn a_position_that_no_file_has_is_refused_by_the_kernel() {
    let _guard = watchdog(PATIENCE);
    let path = file("positions", b"0123456789");
    let mut c = Chain::<()>::new("positions");
    let (opened, bytes, at) = (c.file(), c.buffer(4), c.param());
    c.set(at, at - 1);
    c.read_exact_at(opened, bytes.all(), at);
    let program = c.build().expect("the chain is right");
    let error = with_file(&program, opened, &path, ()).result.expect_err("there is no such position");
    assert!(matches!(error.kind(), ErrorKind::Errno(libc::EINVAL)), "{error}");
    std::fs::remove_file(path).expect("remove");
}

#[test]
fn what_is_consumed_is_computed_once() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<Vec<u64>>::new("lines");
    let (sock, lines, end) = (c.accepted(), c.stream(64), c.reg());
    c.fill(sock, lines).or_finish();
    c.repeat(|c| {
        c.set(end, lines.bytes().find(u64::from(b'\n')));
        c.when(end.lt(lines.len()), |c| {
            c.consume(lines, lines.bytes().find(u64::from(b'\n')) + 1);
            c.call((reg(end),), |lengths: &mut Vec<u64>, (end,)| {
                lengths.push(*end);
                Flow::Next
            });
            c.again();
        });
        c.fill(sock, lines).or_finish();
    });
    let program = c.build().expect("the chain is right");
    let (session, result, ()) = talk(&program, sock, Vec::new(), |mut peer| {
        peer.write_all(b"one\nthree\n\nfour\n").expect("send");
    });
    result.expect("it finishes");
    assert_eq!(session, [3, 5, 0, 4]);
}

#[test]
fn a_loop_of_calls_lets_others_go_on() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<Rc<Cell<bool>>>::new("asks");
    c.repeat(|c| {
        c.call((), |stop: &mut Rc<Cell<bool>>, ()| if stop.get() { Flow::Finish } else { Flow::Next });
    });
    let program = c.build().expect("the chain is right");
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let stop = Rc::new(Cell::new(false));
        let handle = spawner.spawn(stop.clone(), |_| {}).expect("there is room");
        time::sleep(Duration::from_millis(5)).await;
        assert!(!handle.is_finished());
        stop.set(true);
        soon("the frame to end", handle).await.result.expect("it finishes");
    });
}

#[test]
fn a_loop_of_errors_lets_others_go_on() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("fails");
    let errno = c.reg();
    c.repeat(|c| {
        c.attempt(|c| c.ensure(errno_of(0), libc::EAGAIN)).on_error(errno, |_| {});
    });
    let program = c.build().expect("the chain is right");
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |_| {}).expect("there is room");
        time::sleep(Duration::from_millis(5)).await;
        handle.cancel();
        let error = soon("the frame to end", handle).await.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
    });
}

/// Holds if the number is not zero.
fn errno_of(number: u64) -> chainring_chains::Cond {
    chainring_chains::Expr::from(number).ne(0)
}

#[test]
fn a_span_that_never_fits_is_refused_as_often_as_it_is_tried() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("tries");
    let (sock, n, left, errno, data) = (c.accepted(), c.param(), c.param(), c.reg(), c.buffer(8));
    c.set(n, 9);
    c.set(left, 200_000);
    c.repeat(|c| {
        c.when(left.eq(0), |c| c.finish());
        c.set(left, left - 1);
        c.attempt(|c| {
            c.recv_exact(sock, data.to(n));
        })
        .on_error(errno, |c| c.ensure(errno.eq(libc::EMSGSIZE as u64), 1));
    });
    let program = c.build().expect("the chain is right");
    let ((), result, ()) = talk(&program, sock, (), |mut peer| {
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    });
    result.expect("it finishes");
}

#[test]
fn a_sleep_as_long_as_can_be_ends_when_it_is_cancelled() {
    let _guard = watchdog(PATIENCE);
    for nanoseconds in [u64::MAX, 1 << 63, u64::MAX >> 16] {
        let mut c = Chain::<()>::new("sleeps");
        c.sleep(nanoseconds);
        let program = c.build().expect("the chain is right");
        let runtime = Runtime::new().expect("a ring");
        runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn((), |_| {}).expect("there is room");
            time::sleep(Duration::from_millis(5)).await;
            assert!(!handle.is_finished());
            handle.cancel();
            let error = soon("the frame to end", handle).await.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        });
    }
}

#[test]
fn who_shares_a_socket_with_a_cancelled_frame_goes_on() {
    let _guard = watchdog(PATIENCE);
    let mut c = Chain::<()>::new("halves");
    let (sock, data) = (c.accepted(), c.buffer(4));
    c.recv_exact(sock, data.all());
    let program = c.build().expect("the chain is right");
    let runtime = Runtime::new().expect("a ring");
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bind");
    let mut peer = common::connect(listener.local_addr().expect("local address"));
    let (one, _) = listener.accept().expect("accept");
    let other = one.try_clone().expect("a second descriptor");
    runtime.block_on(async {
        let spawner = program.start(2).expect("it starts");
        let spawn = |stream| {
            let stream = TcpStream::from_std(stream);
            let handle = spawner.spawn((), |frame| {
                frame.socket(sock, stream);
            });
            handle.expect("there is room")
        };
        let (cancelled, stays) = (spawn(one), spawn(other));
        time::sleep(Duration::from_millis(5)).await;
        cancelled.cancel();
        let error = soon("the frame to end", cancelled).await.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        peer.write_all(b"data").expect("send");
        soon("the other to end", stays).await.result.expect("nobody cancelled it");
    });
}
