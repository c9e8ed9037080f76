//! Blocks and loops do what a reader expects: compared with the same thing in plain Rust, and with neighbours beside a
//! loop that never ends.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Exit, Flow, Program, Reg, reg, value, write};
use chainring_runtime::{Runtime, time};
use common::{pair, run_beside, soon, watchdog};

/// Runs one frame of a program to its end.
fn run<S: 'static>(program: &Program<S>, session: S, params: &[(Reg, u64)]) -> Exit<S> {
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(session, |frame| {
            params.iter().for_each(|(param, value)| {
                frame.set(*param, *value);
            });
        });
        soon("the frame to end", handle.expect("there is room")).await
    })
}

/// Adds a step that writes a word into the session.
fn say(c: &mut Chain<Vec<&'static str>>, word: &'static str) {
    c.call((), move |said, ()| {
        said.push(word);
        Flow::Next
    });
}

#[test]
fn one_of_two_blocks_runs() {
    let mut c = Chain::<Vec<&'static str>>::new("when");
    let n = c.param();
    c.when(n.lt(10), |c| {
        say(c, "small");
        c.when(n.eq(0), |c| say(c, "zero"));
    })
    .otherwise(|c| {
        c.when(n.ge(1000), |c| say(c, "huge")).otherwise(|c| say(c, "large"));
        c.when(n.eq(77), |c| c.finish());
    });
    say(&mut c, "end");
    let program = c.build().expect("the chain is right");
    for (n_is, expected) in [
        (0, vec!["small", "zero", "end"]),
        (9, vec!["small", "end"]),
        (10, vec!["large", "end"]),
        (77, vec!["large"]),
        (u64::MAX, vec!["huge", "end"]),
    ] {
        let exit = run(&program, Vec::new(), &[(n, n_is)]);
        assert!(exit.result.is_ok());
        assert_eq!(exit.session, expected, "n is {n_is}");
    }
}

#[test]
fn loops_are_started_again_and_left_as_in_plain_code() {
    // Of the numbers below `limit`, those divisible by 3 and not by 2, in two nested loops.
    let plain = |limit: u64| -> Vec<u64> {
        let mut found = Vec::new();
        let mut n = 0;
        while n != limit {
            n += 1;
            if n & 1 == 0 {
                continue;
            }
            let mut rest = n;
            while rest >= 3 {
                rest -= 3;
            }
            if rest == 0 {
                found.push(n);
            }
        }
        found
    };
    let mut c = Chain::<Vec<u64>>::new("loops");
    let (limit, n, rest) = (c.param(), c.reg(), c.reg());
    c.set(n, 0);
    c.repeat(|c| {
        c.when(n.eq(limit), |c| c.leave());
        c.set(n, n + 1);
        c.when((n & 1).eq(0), |c| c.again());
        c.set(rest, n);
        c.repeat(|c| {
            c.when(rest.lt(3), |c| c.leave());
            c.set(rest, rest - 3);
        });
        c.when(rest.eq(0), |c| {
            c.call((value(n),), |found, (n,)| {
                found.push(n);
                Flow::Next
            });
        });
    });
    let program = c.build().expect("the chain is right");
    for limit_is in [0, 1, 2, 3, 100, 3000] {
        let exit = run(&program, Vec::new(), &[(limit, limit_is)]);
        assert!(exit.result.is_ok());
        assert_eq!(exit.session, plain(limit_is), "below {limit_is}");
    }
}

#[test]
fn a_loop_that_never_ends_starves_nobody_and_can_be_cancelled() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    let mut c = Chain::<()>::new("spins");
    let n = c.reg();
    c.set(n, 0);
    c.repeat(|c| c.set(n, n + 1));
    let spins = c.build().expect("the chain is right");
    let mut c = Chain::<()>::new("echo");
    let (sock, data) = (c.socket(), c.buffer(8));
    c.repeat(|c| {
        c.recv_exact(sock, data.all()).or_finish();
        c.send_all(sock, data.all());
    });
    let echo = c.build().expect("the chain is right");
    let (near, mut far) = pair();
    let (spinners, spinning, echoing) = runtime.block_on(async {
        let (spins, echo) = (spins.start(3).expect("it starts"), echo.start(1).expect("it starts"));
        let handles = [(); 3].map(|()| spins.spawn((), |_| ()).expect("there is room"));
        let echoing = echo.spawn((), |frame| {
            frame.socket(sock, near);
        });
        (spins, handles, echoing.expect("there is room"))
    });
    // Other frames, and tasks with their timers, go on.
    let ticks = runtime.handle().spawn(async {
        for _ in 0..5 {
            time::sleep(Duration::from_millis(1)).await;
        }
        5
    });
    run_beside(&runtime, || {
        for i in 0..200u64 {
            far.write_all(&i.to_be_bytes()).expect("send");
            let mut answer = [0; 8];
            far.read_exact(&mut answer).expect("receive");
            assert_eq!(answer, i.to_be_bytes());
        }
        drop(far);
    });
    assert!(spinning.iter().all(|handle| !handle.is_finished()));
    assert!(spinners.counters().parked > 100, "{:?}", spinners.counters());
    runtime.block_on(async {
        assert_eq!(soon("the task", ticks).await.expect("no panic"), 5);
        soon("the echo to end", echoing).await.result.expect("its stream has ended");
        for handle in spinning {
            handle.cancel();
            let error = soon("a cancelled loop to end", handle).await.result.expect_err("cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
        }
    });
    assert_eq!(spinners.live(), 0);
}

#[test]
fn a_frame_of_as_many_registers_as_there_can_be() {
    let mut c = Chain::<()>::new("wide");
    let (sock, data) = (c.socket(), c.buffer(16));
    // 65,536 words, of which the runner, the region and the socket have seven.
    let last = (0..65_529).map(|_| c.reg()).last().expect("there are some");
    c.recv(sock, data.all()).into(last);
    c.ensure(last.eq(5), libc::EPROTO);
    // Its count goes where nobody reads it, and not into the socket's place.
    c.recv_exact(sock, data.to(last));
    c.send_all(sock, data.to(last));
    let program = c.build().expect("the chain is right");
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    far.write_all(b"hello").expect("send");
    let exit = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |frame| {
            frame.socket(sock, near);
        });
        time::sleep(Duration::from_millis(10)).await;
        far.write_all(b"again").expect("send");
        soon("the frame to end", handle.expect("there is room")).await
    });
    exit.result.expect("it works");
    let mut answer = [0; 5];
    far.read_exact(&mut answer).expect("receive");
    assert_eq!(&answer, b"again");
    let mut sockets = exit.sockets;
    sockets.take(sock).expect("the socket is still there").local_addr().expect("and is one");
}

#[test]
fn a_call_sees_what_it_declared_and_nothing_else() {
    let mut c = Chain::<u64>::new("access");
    let (len, out, data) = (c.param(), c.reg(), c.buffer(16));
    c.call((write(data.range(..8)), write(data.range(8..)), reg(out)), |_, (front, back, out)| {
        assert_eq!((front.len(), back.len(), *out), (8, 8, 0));
        front.copy_from_slice(&7u64.to_be_bytes());
        back.fill(1);
        *out = 35;
        Flow::Next
    });
    c.set(out, out + data.be64(0));
    c.call((write(data.to(len)), value(out)), |sum, (bytes, out)| {
        *sum = out + bytes.len() as u64;
        Flow::Finish
    });
    c.call((), |sum, ()| {
        *sum = 0;
        Flow::Next
    });
    let program = c.build().expect("the chain is right");
    let exit = run(&program, 0, &[(len, 16)]);
    exit.result.expect("it ends well");
    assert_eq!(exit.session, 35 + 7 + 16, "the call that finishes is the last");
    let exit = run(&program, 0, &[(len, 17)]);
    let error = exit.result.expect_err("it does not fit");
    assert_eq!(error.to_string(), "chain access, step 3 (call): a span of 17 bytes does not fit into 16");
    assert_eq!((error.step(), error.name()), (3, "call"));
}
