//! What `build()` refuses, with the words that it uses.

mod common;

use std::ops::Bound;

use chainring_chains::{Chain, Flow, read, reg, value, write};
use common::refused::{accepted, refused};

const FOREIGN: &str = "a handle was made by another builder";

#[test]
fn handles_of_another_builder() {
    let mut other = Chain::<()>::new("other");
    let (socket, register, buffer) = (other.socket(), other.reg(), other.buffer(8));
    let at = |step: &str| format!("chain test, step {step}: {FOREIGN}");

    let text = refused(|c| {
        let own = c.buffer(8);
        c.recv(socket, own.all());
    });
    assert_eq!(text, at("1 (recv)"));
    let text = refused(|c| {
        let own = c.socket();
        c.recv_exact(own, buffer.all());
    });
    assert_eq!(text, at("1 (recv_exact)"));
    let text = refused(|c| {
        let (own, own_buffer) = (c.socket(), c.buffer(8));
        c.recv(own, own_buffer.all()).into(register);
    });
    assert_eq!(text, at("1 (recv)"));
    let text = refused(|c| {
        let (own, own_buffer) = (c.socket(), c.buffer(8));
        c.recv(own, own_buffer.to(register));
    });
    assert_eq!(text, at("1 (recv)"));
    assert_eq!(refused(|c| c.set(register, 1)), at("1 (set)"));
    let text = refused(|c| {
        let own = c.reg();
        c.set(own, register + 1);
    });
    assert_eq!(text, at("1 (set)"));
    assert_eq!(refused(|c| c.ensure(buffer.u8(0).eq(1), libc::EPROTO)), at("1 (ensure)"));
    assert_eq!(
        refused(|c| {
            c.when(register.eq(1), |c| c.finish());
        }),
        at("1 (when)")
    );
    assert_eq!(refused(|c| c.call((value(register),), |(), (_,)| Flow::Next)), at("1 (call)"));
    assert_eq!(refused(|c| c.call((reg(register),), |(), (_,)| Flow::Next)), at("1 (call)"));
    assert_eq!(refused(|c| c.call((read(buffer.all()),), |(), (_,)| Flow::Next)), at("1 (call)"));
    // Also where it stands deep inside.
    let text = refused(|c| {
        let own = c.reg();
        c.set(own, 0);
        c.repeat(|c| {
            c.when(own.eq(0), |c| c.leave()).otherwise(|c| c.set(register, 0));
        });
    });
    assert_eq!(text, at("5 (set)"));
}

#[test]
fn spans_and_loads_that_can_never_fit() {
    let span = |range: (Bound<u32>, Bound<u32>)| {
        refused(|c| {
            let (sock, data) = (c.socket(), c.buffer(100));
            c.recv_exact(sock, data.range(range));
        })
    };
    let at = "chain test, step 1 (recv_exact): ";
    assert_eq!(
        span((Bound::Included(0), Bound::Excluded(101))),
        format!("{at}a span of 101 bytes at 0 can never fit into a buffer of 100")
    );
    assert_eq!(
        span((Bound::Included(90), Bound::Included(100))),
        format!("{at}a span of 11 bytes at 90 can never fit into a buffer of 100")
    );
    assert_eq!(
        span((Bound::Excluded(99), Bound::Excluded(5))),
        format!("{at}a range that starts at 100 ends before it starts")
    );
    assert_eq!(
        span((Bound::Included(u32::MAX), Bound::Unbounded)),
        format!("{at}a range that starts at {} ends before it starts", u32::MAX)
    );
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(100));
        c.send_all(sock, data.to(101));
    });
    assert_eq!(
        text,
        "chain test, step 1 (send_all): a span of 101 bytes at 0 can never fit into a buffer of 100"
    );
    let text = refused(|c| {
        let data = c.buffer(100);
        c.call((write(data.range(99..101)),), |(), (_,)| Flow::Next);
    });
    assert_eq!(text, "chain test, step 1 (call): a span of 2 bytes at 99 can never fit into a buffer of 100");
    let load = |offset: u32| {
        refused(|c| {
            let (len, data) = (c.reg(), c.buffer(100));
            c.set(len, data.be32(offset));
        })
    };
    let outside = |offset| {
        format!("chain test, step 1 (set): a load of 4 bytes at {offset} lies outside of a buffer of 100")
    };
    assert_eq!(load(97), outside(97));
    assert_eq!(load(u32::MAX), outside(u32::MAX));
}

#[test]
fn transfers_that_can_never_move_a_byte() {
    let empty = "it can never transfer a byte: the span is empty";
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.recv_exact(sock, data.range(4..4));
    });
    assert_eq!(text, format!("chain test, step 1 (recv_exact): {empty}"));
    let text = refused(|c| {
        let sock = c.socket();
        c.send_all(sock, []);
    });
    assert_eq!(text, format!("chain test, step 1 (send_all): {empty}"));
    let text = refused(|c| {
        let (sock, len, none) = (c.socket(), c.param(), c.buffer(0));
        c.recv(sock, none.to(len));
    });
    assert_eq!(text, format!("chain test, step 1 (recv): {empty}"));
}

#[test]
fn registers_that_are_read_before_they_are_written_on_some_path() {
    let unwritten = |step: &str| format!("chain test, step {step}: register r0 is read before it is written");
    let text = refused(|c| {
        let (len, double) = (c.reg(), c.reg());
        c.set(double, len + len);
    });
    assert_eq!(text, unwritten("1 (set)"));
    let text = refused(|c| {
        let (len, sock, data) = (c.reg(), c.socket(), c.buffer(8));
        c.recv(sock, data.to(len));
    });
    assert_eq!(text, unwritten("1 (recv)"));
    // On one of two paths.
    let one_path = |c: &mut Chain<()>, both: bool| {
        let (len, which, out) = (c.reg(), c.param(), c.reg());
        c.when(which.eq(1), |c| c.set(len, 1)).otherwise(|c| {
            if both {
                c.set(len, 2);
            } else {
                c.set(which, 2);
            }
        });
        c.set(out, len);
    };
    assert_eq!(refused(|c| one_path(c, false)), unwritten("4 (set)"));
    accepted(|c| one_path(c, true));
    // Only in the second turn of a loop.
    let text = refused(|c| {
        let (seen, turns) = (c.reg(), c.param());
        c.repeat(|c| {
            c.ensure(seen.le(3), libc::EPROTO);
            c.set(seen, turns);
        });
    });
    assert_eq!(text, unwritten("2 (ensure)"));
    // By a path that leaves the loop before.
    let text = refused(|c| {
        let (len, stop, out) = (c.reg(), c.param(), c.reg());
        c.repeat(|c| {
            c.when(stop.eq(1), |c| c.leave());
            c.set(len, 1);
            c.leave();
        });
        c.set(out, len);
    });
    assert_eq!(text, unwritten("6 (set)"));
    assert_eq!(
        refused(|c| {
            let r = c.reg();
            c.call((value(r),), |(), (_,)| Flow::Next);
        }),
        unwritten("1 (call)")
    );
    // Lent to be written, it need not be; a parameter is zero at least.
    accepted(|c| {
        let (out, given) = (c.reg(), c.param());
        c.call((reg(out), value(given)), |(), (out, given)| {
            *out = given;
            Flow::Next
        });
        c.ensure(out.eq(given), libc::EPROTO);
    });
}

#[test]
fn buffers_that_are_read_before_they_are_written() {
    let unwritten = |step: &str| format!("chain test, step {step}: buffer b0 is read before it is written");
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.send_all(sock, data.all());
    });
    assert_eq!(text, unwritten("1 (send_all)"));
    let text = refused(|c| {
        let data = c.buffer(8);
        c.ensure(data.le16(0).eq(7), libc::EPROTO);
    });
    assert_eq!(text, unwritten("1 (ensure)"));
    let text = refused(|c| {
        let data = c.buffer(8);
        c.call((read(data.all()),), |(), (_,)| Flow::Next);
    });
    assert_eq!(text, unwritten("1 (call)"));
    let text = refused(|c| {
        let (data, other, sock) = (c.buffer(8), c.buffer(8), c.socket());
        c.recv(sock, other.all());
        c.send_all(sock, [other.all(), data.all()]);
    });
    assert_eq!(text, unwritten("2 (send_all)"));
    accepted(|c| {
        let (data, sock) = (c.buffer(8), c.socket());
        c.call((write(data.all()),), |(), (_,)| Flow::Next);
        c.send_all(sock, data.all());
    });
}

#[test]
fn steps_that_can_never_be_reached() {
    let behind = |end: fn(&mut Chain<()>)| {
        refused(|c| {
            let register = c.reg();
            c.repeat(|c| {
                end(c);
                c.set(register, 1);
            });
        })
    };
    for end in [Chain::finish as fn(&mut Chain<()>), Chain::again, Chain::leave] {
        assert_eq!(behind(end), "chain test, step 3 (set): the step can never be reached");
    }
    let text = refused(|c| {
        let register = c.reg();
        c.set(register, 0);
        c.repeat(|c| c.set(register, register + 1));
        c.finish();
    });
    assert_eq!(text, "chain test, step 4 (finish): the step can never be reached");
    let text = refused(|c| {
        let (which, out) = (c.param(), c.reg());
        c.when(which.eq(1), |c| c.finish()).otherwise(|c| c.finish());
        c.set(out, 1);
    });
    assert_eq!(text, "chain test, step 4 (set): the step can never be reached");
}

#[test]
fn again_and_leave_outside_of_a_repeat() {
    assert_eq!(refused(Chain::again), "chain test, step 1 (again): it must stand inside of a repeat");
    let text = refused(|c| {
        let which = c.param();
        c.repeat(|c| {
            c.when(which.eq(0), |c| c.leave());
            c.again();
        });
        c.when(which.eq(0), |c| c.leave());
    });
    assert_eq!(text, "chain test, step 6 (leave): it must stand inside of a repeat");
}

#[test]
fn a_call_that_borrows_the_same_twice() {
    let twice = "chain test, step 1 (call): it borrows the same bytes or register twice, once to write";
    let text = refused(|c| {
        let r = c.reg();
        c.call((reg(r), reg(r)), |(), _| Flow::Next);
    });
    assert_eq!(text, twice);
    let text = refused(|c| {
        let data = c.buffer(8);
        c.call((write(data.range(..5)), read(data.range(4..))), |(), _| Flow::Next);
    });
    assert_eq!(text, twice);
    // Whatever the register says when it comes to that.
    let text = refused(|c| {
        let (data, len) = (c.buffer(8), c.param());
        c.call((write(data.range(7..)), write(data.to(len))), |(), _| Flow::Next);
    });
    assert_eq!(text, twice);
    accepted(|c| {
        let (data, other, len) = (c.buffer(8), c.buffer(8), c.param());
        c.call((write(data.range(..4)), write(data.range(4..)), write(other.to(len)), reg(len)), |(), _| {
            Flow::Next
        });
        c.call((read(data.range(..5)), read(data.range(4..)), value(len), value(len)), |(), _| Flow::Next);
    });
}

#[test]
fn nothing_and_too_much() {
    assert_eq!(refused(|_| ()), "chain test: there is no step");
    let text = refused(|c| {
        (0..1001).for_each(|_| {
            c.socket();
        });
        c.finish();
    });
    assert_eq!(text, "chain test: too many sockets and files");
    let text = refused(|c| {
        (0..65_536).for_each(|_| {
            c.reg();
        });
        c.finish();
    });
    assert_eq!(text, "chain test: too many registers");
    let text = refused(|c| {
        (0..65_536).for_each(|_| {
            c.buffer(0);
        });
        c.finish();
    });
    assert_eq!(text, "chain test: too many buffers");
    let text = refused(|c| {
        (0..3).for_each(|_| {
            c.buffer(1 << 30);
        });
        c.finish();
    });
    assert_eq!(text, "chain test: too many bytes of buffers (2 GiB a frame)");
    let text = refused(|c| {
        let (sock, data) = (c.socket(), c.buffer(8));
        (0..65_536).for_each(|_| {
            c.recv(sock, data.all());
        });
    });
    assert_eq!(text, "chain test: too many steps");
}

#[test]
fn more_searches_than_code_can_tell_apart() {
    // A tree: as deep as a list of them would be, no stack is.
    fn hashes(data: chainring_chains::Buf, doubled: u32) -> chainring_chains::Expr {
        if doubled == 0 { data.all().hash() } else { hashes(data, doubled - 1) + hashes(data, doubled - 1) }
    }
    let text = refused(|c| {
        let (data, sum) = (c.constant(b"data"), c.reg());
        c.set(sum, hashes(data, 16));
    });
    assert_eq!(text, "chain test: too many comparisons, searches and copies of bytes");
}

#[test]
fn a_main_that_returns_what_was_refused_prints_its_text() {
    let error = Chain::<()>::new("empty").build().expect_err("it has no step");
    assert_eq!(format!("{error:?}"), "BuildError(chain empty: there is no step)");

    let log = chainring_chains::Log::new("records");
    let mut c = Chain::<()>::new("logs");
    let record = c.constant(b"a record");
    c.commit(&log, [record.all()]);
    let program = c.build().expect("it is whole");
    let error = chainring_runtime::Runtime::new()
        .expect("a ring")
        .block_on(async { program.start(1).map(drop).expect_err("its log is not open") });
    assert_eq!(format!("{error:?}"), format!("StartError({error})"));
}
