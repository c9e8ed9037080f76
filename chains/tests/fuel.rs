//! Loops without I/O: whatever they consist of, the others have their turn, and the stack does not grow.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow, Order, reg};
use chainring_runtime::{Runtime, time};
use common::one::{Notes, chain, note, run};
use common::{pair, run_beside, soon, watchdog};

/// Runs a frame of a loop that never ends beside one that echoes, and cancels it then.
fn lets_others_go_on(what: &str, steps: impl FnOnce(&mut Chain<Notes>)) {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (endless, ()) = chain(|c| {
        steps(c);
    });
    let (echo, sock) = chain::<(), _>(|c| {
        let (sock, data) = (c.accepted(), c.buffer(8));
        c.repeat(|c| {
            c.recv_exact(sock, data.all()).or_finish();
            c.send_all(sock, data.all());
        });
        sock
    });
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    let (spawner, looping, echoing) = runtime.block_on(async {
        let spawner = endless.start(1).expect("it starts");
        let looping = spawner.spawn(Notes::new(), |_| ()).expect("there is room");
        let echoing = echo.start(1).expect("it starts").spawn((), |frame| {
            frame.socket(sock, near);
        });
        (spawner, looping, echoing.expect("there is room"))
    });
    run_beside(&runtime, || {
        for i in 0..20u64 {
            far.write_all(&i.to_be_bytes()).expect("send");
            let mut answer = [0; 8];
            far.read_exact(&mut answer).expect("receive");
            assert_eq!(answer, i.to_be_bytes());
        }
        drop(far);
    });
    runtime.block_on(async {
        soon("the echo to end", echoing).await.result.expect("its stream has ended");
        time::sleep(Duration::from_millis(1)).await;
        assert!(!looping.is_finished(), "{what} goes on");
        assert!(spawner.counters().parked > 1, "{what}: {:?}", spawner.counters());
        looping.cancel();
        let error = soon("a cancelled loop to end", looping).await.result.expect_err("cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{what}: {error}");
    });
}

#[test]
fn a_loop_of_computations_lets_others_go_on() {
    lets_others_go_on("a loop of computations", |c| {
        let n = c.param();
        c.repeat(|c| c.set(n, n + 1));
    });
}

#[test]
fn a_loop_of_calls_lets_others_go_on() {
    lets_others_go_on("a loop of calls", |c| {
        let n = c.param();
        c.repeat(|c| {
            c.call((reg(n),), |_, (n,)| {
                *n += 1;
                Flow::Next
            });
        });
    });
}

#[test]
fn a_loop_of_failures_lets_others_go_on() {
    lets_others_go_on("a loop of failures", |c| {
        let (n, errno) = (c.param(), c.reg());
        c.repeat(|c| {
            c.attempt(|c| c.ensure(n.eq(1), libc::EPROTO)).on_error(errno, |c| c.again());
        });
    });
}

#[test]
fn a_loop_of_sleeps_that_are_over_lets_others_go_on() {
    lets_others_go_on("a loop of sleeps", |c| {
        c.repeat(|c| c.sleep(0));
    });
}

#[test]
fn a_loop_of_spans_that_do_not_fit_lets_others_go_on() {
    lets_others_go_on("a loop of spans that do not fit", |c| {
        let (sock, errno, len) = (c.accepted(), c.reg(), c.param());
        let data = c.buffer(8);
        c.store(data, 0, Order::U8, 1);
        c.set(len, 9);
        c.repeat(|c| {
            c.attempt(|c| {
                c.send_all(sock, data.to(len));
            })
            .on_error(errno, |_| ());
        });
    });
}

#[test]
fn a_hundred_thousand_failures_in_a_row_take_no_stack() {
    let (program, len) = chain(|c| {
        let (sock, errno, len, tries) = (c.accepted(), c.reg(), c.param(), c.param());
        let data = c.buffer(8);
        c.store(data, 0, Order::U8, 1);
        c.repeat(|c| {
            c.attempt(|c| {
                c.send_all(sock, data.to(len));
                c.leave();
            })
            .on_error(errno, |c| {
                c.set(tries, tries + 1);
                c.when(tries.ge(100_000), |c| {
                    note(c, errno);
                    c.leave();
                });
            });
        });
        note(c, tries);
        len
    });
    let ended = run(&program, Notes::new(), |frame| {
        frame.set(len, 9);
    });
    assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::EMSGSIZE as u64, 100_000]));
}

#[test]
fn a_loop_with_an_end_counts_to_a_million() {
    let (program, ()) = chain(|c| {
        let (n, sum) = (c.reg(), c.reg());
        c.set(n, 0);
        c.set(sum, 0);
        c.repeat(|c| {
            c.when(n.eq(1_000_000), |c| c.leave());
            c.set(n, n + 1);
            c.set(sum, sum + n);
        });
        note(c, sum);
    });
    let ended = run(&program, Notes::new(), |_| ());
    assert_eq!(ended.session, [500_000_500_000]);
    assert!((100..10_000).contains(&ended.counters.parked), "{:?}", ended.counters);
}

/// A loop whose end is also what stands in front of it.
fn ends_as_it_begins(c: &mut Chain<Notes>) {
    let (x, y, z) = (c.param(), c.param(), c.param());
    c.set(x, 1);
    c.repeat(|c| {
        c.set(y, y + 1);
        c.when(y.eq(0), |c| c.set(z, 1));
        c.set(x, 1);
    });
}

#[test]
fn who_runs_out_of_fuel_stands_in_the_loop_also_where_its_code_is_there_twice() {
    let (program, ()) = chain(|c| c.within(2_000_000u64, ends_as_it_begins));
    let error = run(&program, Notes::new(), |_| ()).result.expect_err("its time is up");
    assert!(matches!(error.kind(), ErrorKind::Deadline), "{error}");
    assert!(error.step() >= 4, "step 2 was done long ago: {error}");

    let _watchdog = watchdog(Duration::from_secs(60));
    let (program, ()) = chain(ends_as_it_begins);
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |_| ()).expect("there is room");
        time::sleep(Duration::from_millis(5)).await;
        handle.cancel();
        let error = soon("a cancelled loop to end", handle).await.result.expect_err("cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        assert!(error.step() >= 3, "step 1 was done long ago: {error}");
    });
}
