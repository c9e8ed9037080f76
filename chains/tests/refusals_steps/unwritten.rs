//! What is read before it is written, attempts and streams.

use chainring_chains::{Chain, Expr, Flow, Order, read, stream, value};

use super::{how, refused};
use crate::common::refused::accepted;

#[test]
fn registers_and_buffers_that_are_unwritten_where_they_are_read() {
    let unwritten = |step: &str| format!("step {step}: register r0 is read before it is written");
    type Add = fn(&mut Chain<()>, Expr);
    let steps: [(&str, Add); 6] = [
        ("1 (read_at)", |c, at| {
            let (file, data) = (c.file(), c.buffer(8));
            c.read_at(file, data.all(), at);
        }),
        ("1 (write_all_at)", |c, at| {
            let (file, k) = (c.file(), c.constant(b"k"));
            c.write_all_at(file, k.all(), at * 2 + 1);
        }),
        ("1 (fallocate)", |c, at| {
            let file = c.file();
            c.fallocate(file, 0, at);
        }),
        ("1 (ftruncate)", |c, at| {
            let file = c.file();
            c.ftruncate(file, at);
        }),
        ("1 (sleep)", |c, at| c.sleep(at)),
        ("1 (store)", |c, at| {
            let data = c.buffer(8);
            c.store(data, at, Order::U8, 0);
        }),
    ];
    for (step, add) in steps {
        let text = refused(|c| {
            let r = c.reg();
            add(c, r.into());
        });
        assert_eq!(text, unwritten(step));
    }
    let text = refused(|c| {
        let (sock, at, k) = (c.socket(), c.reg(), c.constant(b"text"));
        c.send_all(sock, k.part(at, 1));
    });
    assert_eq!(text, unwritten("1 (send_all)"));
    let text = refused(|c| {
        let (file, data) = (c.file(), c.buffer(8));
        c.open(file, data.all(), how());
    });
    assert_eq!(text, "step 1 (open): buffer b0 is read before it is written");
    let text = refused(|c| {
        let (to, from) = (c.buffer(8), c.buffer(8));
        c.copy(to.all(), from.all());
    });
    assert_eq!(text, "step 1 (copy): buffer b1 is read before it is written");
    let text = refused(|c| {
        let (n, data) = (c.reg(), c.buffer(8));
        c.set(n, data.all().find(0));
    });
    assert_eq!(text, "step 1 (set): buffer b0 is read before it is written");
}

#[test]
fn what_an_attempt_has_written_does_not_count_for_its_handler() {
    let chain = |c: &mut Chain<()>, before: bool| {
        let (sock, n, errno, data) = (c.socket(), c.reg(), c.reg(), c.buffer(8));
        if before {
            c.set(n, 0);
        }
        c.attempt(|c| {
            c.recv(sock, data.all()).into(n);
        })
        .on_error(errno, |c| c.ensure(errno.eq(n), libc::EPROTO));
    };
    assert_eq!(refused(|c| chain(c, false)), "step 3 (ensure): register r0 is read before it is written");
    accepted(|c| chain(c, true));
    // The errno is written only on the way to the handler.
    let text = refused(|c| {
        let (n, errno) = (c.param(), c.reg());
        c.attempt(|c| c.ensure(n.eq(0), libc::EPROTO)).on_error(errno, |_| ());
        c.set(n, errno);
    });
    assert_eq!(text, "step 3 (set): register r1 is read before it is written");
    // A socket that may have been closed, and one that was.
    let text = refused(|c| {
        let (sock, n, errno, data) = (c.socket(), c.param(), c.reg(), c.buffer(8));
        c.attempt(|c| {
            c.close(sock);
            c.ensure(n.eq(0), libc::EPROTO);
        })
        .on_error(errno, |_| ());
        c.when(n.eq(0), |c| {
            c.recv(sock, data.all());
        });
        c.close(sock);
        c.recv(sock, data.all());
    });
    assert_eq!(text, "step 7 (recv): descriptor 0 is closed on every path to it");
}

#[test]
fn handlers_that_can_never_run_and_loops_around_attempts() {
    let text = refused(|c| {
        let (n, errno) = (c.reg(), c.reg());
        c.attempt(|c| c.set(n, 1)).on_error(errno, |c| c.set(n, 2));
    });
    assert_eq!(text, "step 3 (set): the step can never be reached");
    let text = refused(|c| {
        let (n, errno) = (c.param(), c.reg());
        c.attempt(|c| {
            c.ensure(n.eq(0), libc::EPROTO);
            c.finish();
        })
        .on_error(errno, |c| c.finish());
        c.set(n, 1);
    });
    assert_eq!(text, "step 5 (set): the step can never be reached");
    let text = refused(|c| {
        let (n, errno) = (c.param(), c.reg());
        c.attempt(|c| c.ensure(n.eq(0), libc::EPROTO)).on_error(errno, |c| c.again());
    });
    assert_eq!(text, "step 3 (again): it must stand inside of a repeat");
}

#[test]
fn a_stream_that_is_lent_twice() {
    let twice = "step 1 (call): it borrows the same bytes or register twice, once to write";
    let text = refused(|c| {
        let data = c.stream(8);
        c.call((stream(data), stream(data)), |(), _| Flow::Next);
    });
    assert_eq!(text, twice);
    let text = refused(|c| {
        let data = c.stream(8);
        c.call((stream(data), read(data.bytes())), |(), _| Flow::Next);
    });
    assert_eq!(text, twice);
    accepted(|c| {
        let (data, n) = (c.stream(8), c.param());
        c.call((read(data.bytes()), read(data.first(n)), value(n)), |(), _| Flow::Next);
    });
}
