//! Errors that a chain deals with itself: which errno each is, where it leads, and what is never dealt with.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow, Init, Lowering, Order, Reg, Socket};
use chainring_net::TcpStream;
use chainring_runtime::{Runtime, time};
use common::one::{Ended, Notes, chain, lowered, mark, note, run, with_peer};
use common::{pair, soon, watchdog};

/// Runs a chain whose attempt is `steps`, given a register that is zero, and whose handler notes the errno, beside a
/// peer that sends nothing more. The chain goes on behind it, and notes 7.
fn handled(steps: impl Fn(&mut Chain<Notes>, Socket, Reg)) -> (String, Notes) {
    let [chosen, single] = lowered(|c| {
        let (sock, errno, zero) = (c.accepted(), c.reg(), c.param());
        c.attempt(|c| steps(c, sock, zero)).on_error(errno, |c| note(c, errno));
        mark(c, 7);
        sock
    })
    .map(|(program, sock)| {
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, _) = with_peer(&program, Notes::new(), init, |client| {
            client.shutdown(Shutdown::Write).expect("shutdown");
            (&client).read_to_end(&mut Vec::new()).ok();
        });
        (ended.text(), ended.session)
    });
    assert_eq!(chosen, single, "both lowerings do the same");
    chosen
}

fn errno(steps: impl Fn(&mut Chain<Notes>, Socket, Reg)) -> i32 {
    let (text, notes) = handled(steps);
    assert_eq!(text, "", "the frame goes on");
    assert_eq!((notes.len(), notes.last()), (2, Some(&7)), "the handler has run, and what follows it");
    notes[0] as i32
}

#[test]
fn every_kind_of_error_has_its_errno() {
    let vacant = errno(|c, _, _| {
        let (file, data) = (c.file(), c.buffer(8));
        c.read_at(file, data.all(), 0);
    });
    assert_eq!(vacant, libc::EBADF, "what the kernel says");
    assert_eq!(errno(|c, _, zero| c.ensure(zero.eq(1), 123)), 123, "an ensure");
    let short = errno(|c, sock, _| {
        let data = c.buffer(8);
        c.recv_exact(sock, data.all());
    });
    assert_eq!(short, libc::ENODATA, "a stream that ends");
    let some = errno(|c, sock, _| {
        let data = c.buffer(8);
        c.recv(sock, data.all());
    });
    assert_eq!(some, libc::ENODATA, "a stream that has ended");
    let span = errno(|c, sock, _| {
        let (n, data) = (c.reg(), c.buffer(8));
        c.set(n, 9);
        c.recv_exact(sock, data.to(n));
    });
    assert_eq!(span, libc::EMSGSIZE, "a span that does not fit");
    let huge = errno(|c, sock, _| {
        let (n, data) = (c.reg(), c.buffer(8));
        c.set(n, -1);
        c.recv_exact(sock, data.part(n, n));
    });
    assert_eq!(huge, libc::EMSGSIZE, "one that fits nowhere");
    let store = errno(|c, _, zero| {
        let data = c.buffer(8);
        c.store(data, zero + 5, Order::Be32, 1);
    });
    assert_eq!(store, libc::EMSGSIZE, "a store outside");
    let divided = errno(|c, _, zero| {
        let n = c.reg();
        c.set(n, zero / zero);
    });
    assert_eq!(divided, libc::EDOM, "a division by zero");
    let rest = errno(|c, _, zero| {
        c.when((zero % zero).eq(0), |c| mark(c, 1));
    });
    assert_eq!(rest, libc::EDOM, "a remainder in a condition");
    let asleep = errno(|c, _, zero| c.sleep(zero / zero));
    assert_eq!(asleep, libc::EDOM, "a division in a time");
    assert_eq!(errno(|c, _, _| c.call((), |_, ()| Flow::fail("no"))), libc::EIO, "a call that fails");
    assert_eq!(errno(|c, _, _| c.fail(libc::EXDEV)), libc::EXDEV, "one that is named");
    for (number, errno_of_it) in [(0, libc::EINVAL), (4096, libc::EINVAL), (4095, 4095)] {
        assert_eq!(
            errno(|c, _, zero| c.fail(zero + number)),
            errno_of_it,
            "{number} where an errno is to be"
        );
    }
}

#[test]
fn an_attempt_that_succeeds_skips_its_handler() {
    let (text, notes) = handled(|c, sock, _| {
        let hello = c.constant(b"hello");
        c.send_all(sock, hello.all());
        mark(c, 1);
    });
    assert_eq!((text.as_str(), notes), ("", vec![1, 7]));
}

#[test]
fn an_attempt_may_finish_and_fail_for_good() {
    let (text, notes) = handled(|c, sock, _| {
        let data = c.buffer(8);
        c.recv_exact(sock, data.all()).or_finish();
    });
    assert_eq!((text.as_str(), notes), ("", vec![]), "an end that is none of the errors");
    let (text, notes) = handled(|c, _, _| {
        c.call((), |_, ()| {
            // The hook would print it.
            std::panic::resume_unwind(Box::new("on purpose"))
        });
    });
    assert_eq!((text.as_str(), notes), ("chain test, step 2 (call): panicked: on purpose", vec![]));
}

#[test]
fn a_handler_fails_with_the_error_that_it_was_given() {
    let (text, notes) = handled(|c, _, _| {
        let (file, data, errno) = (c.file(), c.buffer(8), c.reg());
        c.attempt(|c| {
            c.read_at(file, data.all(), 0);
        })
        .on_error(errno, |c| {
            mark(c, 1);
            c.fail(errno);
        });
        mark(c, 2);
    });
    assert_eq!((text.as_str(), notes), ("", vec![1, libc::EBADF as u64, 7]));
    let (program, ()) = chain(|c| {
        let n = c.param();
        c.when(n.eq(0), |c| c.fail(libc::EXDEV));
    });
    assert_eq!(
        run(&program, Notes::new(), |_| ()).text(),
        "chain test, step 2 (fail): Invalid cross-device link (os error 18)"
    );
    assert!(program.explain().to_string().contains("fail with 18 #2"), "{}", program.explain());
}

#[test]
fn an_attempt_without_a_handler_goes_on_behind_it() {
    let (program, ()) = chain(|c| {
        let n = c.param();
        c.attempt(|c| {
            mark(c, 1);
            c.ensure(n.eq(1), libc::EPROTO);
            mark(c, 2);
        });
        mark(c, 3);
    });
    let ended = run(&program, Notes::new(), |_| ());
    assert_eq!((ended.text(), ended.session), (String::new(), vec![1, 3]));
}

#[test]
fn an_error_leads_to_the_innermost_handler_and_one_in_there_to_the_next() {
    let (program, which) = chain(|c| {
        let (which, inner, outer) = (c.param(), c.reg(), c.reg());
        c.attempt(|c| {
            c.attempt(|c| {
                c.ensure(which.ne(1), 11);
                mark(c, 100);
            })
            .on_error(inner, |c| {
                note(c, inner);
                c.ensure(which.ne(1), 12);
            });
            c.ensure(which.ne(2), 13);
            mark(c, 200);
        })
        .on_error(outer, |c| {
            note(c, outer);
            c.ensure(which.ne(2), 14);
        });
        mark(c, 300);
        which
    });
    let with = |value: u64| {
        let ended = run(&program, Notes::new(), |frame| {
            frame.set(which, value);
        });
        (ended.result.err().map(|error| (error.step(), format!("{:?}", error.kind()))), ended.session)
    };
    assert_eq!(with(0), (None, vec![100, 200, 300]));
    assert_eq!(with(1), (None, vec![11, 12, 300]));
    let failed = Some((10, "Ensure(14)".to_owned()));
    assert_eq!(with(2), (failed, vec![100, 13]), "an error in the outermost handler ends the frame");
}

/// Sends three bytes, one after the other, the first two in an attempt with a receive of four bytes between them, then
/// receives four more.
fn straddling(c: &mut Chain<Notes>) -> Socket {
    let (sock, errno, data) = (c.accepted(), c.reg(), c.buffer(4));
    let abc = c.constant(b"abc");
    c.attempt(|c| {
        c.send_all(sock, abc.range(..1));
        c.recv_exact(sock, data.all());
        c.send_all(sock, abc.range(1..2));
    })
    .on_error(errno, |c| note(c, errno));
    c.send_all(sock, abc.range(2..));
    c.recv_exact(sock, data.all());
    mark(c, 7);
    sock
}

#[test]
fn a_member_of_a_segment_that_fails_leads_to_the_handler_of_its_own_step() {
    let explain = lowered(straddling)[0].0.explain().to_string();
    assert!(explain.contains("segment 0: linked, 5 SQEs submitted at once"), "{explain}");
    let seen = |sent: &'static [u8]| {
        let [chosen, single] = lowered(straddling).map(|(program, sock)| {
            let init = |frame: &mut Init<'_, '_>, near| {
                frame.socket(sock, near);
            };
            let peer = |mut client: Client| {
                client.write_all(sent).expect("send");
                client.shutdown(Shutdown::Write).expect("shutdown");
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).expect("receive");
                String::from_utf8(bytes).expect("letters")
            };
            let (ended, received) = with_peer(&program, Notes::new(), init, peer);
            (received, ended.text(), ended.session)
        });
        assert_eq!(chosen, single, "both lowerings do the same");
        chosen
    };
    let short = |step: u32, done: usize| {
        format!("chain test, step {step} (recv_exact): the stream ended after {done} of 4 bytes")
    };
    assert_eq!(seen(b"12345678"), ("abc".to_owned(), String::new(), vec![7]));
    assert_eq!(seen(b"123456"), ("abc".to_owned(), short(7, 2), vec![]), "behind the attempt's end");
    assert_eq!(seen(b"1234"), ("abc".to_owned(), short(7, 0), vec![]));
    let within = seen(b"12");
    assert_eq!(within, ("ac".to_owned(), short(7, 0), vec![libc::ENODATA as u64]), "inside of it");
}

#[test]
fn a_handler_tries_again_until_it_gives_up() {
    let (program, len) = chain(|c| {
        let (sock, errno, len, tries) = (c.accepted(), c.reg(), c.param(), c.param());
        let text = c.constant(b"hello");
        c.repeat(|c| {
            c.attempt(|c| {
                c.send_all(sock, text.to(len));
                c.leave();
            })
            .on_error(errno, |c| {
                c.set(tries, tries + 1);
                note(c, errno);
                c.ensure(tries.lt(10), libc::ETIMEDOUT);
                c.set(len, len - 1);
                c.again();
            });
        });
        note(c, tries);
        (sock, len)
    });
    let with = |value: u64| -> (Ended<Notes>, Vec<u8>) {
        let (sock, len) = len;
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near).set(len, value);
        };
        with_peer(&program, Notes::new(), init, |mut client| {
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).expect("receive");
            bytes
        })
    };
    let (ended, received) = with(8);
    assert_eq!((ended.text(), &received[..]), (String::new(), &b"hello"[..]));
    assert_eq!(ended.session, [libc::EMSGSIZE as u64, libc::EMSGSIZE as u64, libc::EMSGSIZE as u64, 3]);
    let (ended, received) = with(100);
    assert!(received.is_empty());
    assert!(matches!(ended.result, Err(error) if matches!(error.kind(), ErrorKind::Ensure(libc::ETIMEDOUT))));
}

/// Gives the frame of a chain that waits in an attempt some time, cancels it, and gives what it noted.
fn cancelled(lowering: Lowering, steps: impl FnOnce(&mut Chain<Notes>, Socket)) -> Notes {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (program, sock) = chain(|c| {
        c.lowering(lowering);
        let (sock, errno) = (c.accepted(), c.reg());
        mark(c, 1);
        c.attempt(|c| steps(c, sock)).on_error(errno, |c| note(c, errno));
        mark(c, 7);
        sock
    });
    let runtime = Runtime::new().expect("a ring");
    let (near, _far): (TcpStream, Client) = pair();
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let handle = handle.expect("there is room");
        time::sleep(Duration::from_millis(5)).await;
        handle.cancel();
        let exit = soon("the frame to end", handle).await;
        let error = exit.result.expect_err("it was cancelled");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
        assert_eq!(error.step(), 3, "{error}");
        assert_eq!((spawner.live(), spawner.counters().cancelled), (0, 1));
        exit.session
    })
}

#[test]
fn a_cancelled_frame_ends_in_spite_of_its_handlers() {
    for lowering in [Lowering::Chosen, Lowering::Single] {
        let waits = cancelled(lowering, |c, sock| {
            let data = c.buffer(4);
            c.recv_exact(sock, data.all());
            c.send_all(sock, data.all());
        });
        assert_eq!(waits, [1]);
        let sleeps = cancelled(lowering, |c, _| {
            c.sleep(Duration::from_secs(3600).as_nanos() as u64);
            mark(c, 2);
        });
        assert_eq!(sleeps, [1]);
    }
}
