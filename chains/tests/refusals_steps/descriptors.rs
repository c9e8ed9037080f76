//! Descriptors that are closed, handles of others, paths that are none, and what can never move a byte.

use chainring_chains::{Chain, File, Flow, Order, Span, stream};

use super::{how, refused};
use crate::common::refused::accepted;

#[test]
fn a_descriptor_that_was_closed_on_every_path() {
    let closed = |step: &str| format!("step {step}: descriptor 0 is closed on every path to it");
    let text = refused(|c| {
        let (sock, data) = (c.accepted(), c.buffer(8));
        c.close(sock);
        c.recv(sock, data.all());
    });
    assert_eq!(text, closed("2 (recv)"));
    let text = refused(|c| {
        let file = c.file();
        c.close_file(file);
        c.close_file(file);
    });
    assert_eq!(text, closed("2 (close_file)"));
    for use_it in [
        (|c, file, _| c.fsync(file)) as fn(&mut Chain<()>, File, Span),
        |c, file, _| c.ftruncate(file, 0),
        |c, file, _| {
            c.statx(file);
        },
        |c, file, path| {
            let other = c.file();
            c.open(other, path, how()).beneath(file);
        },
    ] {
        let text = refused(|c| {
            let (file, path) = (c.file(), c.path("path"));
            c.close_file(file);
            use_it(c, file, path);
        });
        assert!(
            text.starts_with("step 2 (") && text.ends_with(": descriptor 0 is closed on every path to it")
        );
    }
    // In the second turn.
    let text = refused(|c| {
        let (sock, data) = (c.accepted(), c.buffer(8));
        c.close(sock);
        c.repeat(|c| {
            c.recv(sock, data.all());
        });
    });
    assert_eq!(text, closed("3 (recv)"));
    // On one path of two it may be open, and connected or opened again it is.
    accepted(|c| {
        let (sock, file, which, data) = (c.accepted(), c.file(), c.param(), c.buffer(8));
        let path = c.path("path");
        c.when(which.eq(0), |c| c.close(sock));
        c.recv(sock, data.all());
        c.close(sock);
        c.connect(sock, ([127, 0, 0, 1], 80).into());
        c.recv(sock, data.all());
        c.close_file(file);
        c.open(file, path, how());
        c.fsync(file);
    });
}

#[test]
fn files_and_streams_of_another_builder() {
    let foreign = |step: &str| format!("step {step}: a handle was made by another builder");
    let mut other = Chain::<()>::new("other");
    let (file, data) = (other.file(), other.stream(8));
    let (register, path) = (other.reg(), other.path("path"));
    type Add<'a> = &'a dyn Fn(&mut Chain<()>);
    let steps: [(&str, Add<'_>); 12] = [
        ("1 (fsync)", &|c| c.fsync(file)),
        ("1 (close_file)", &|c| c.close_file(file)),
        ("1 (statx)", &|c| {
            c.statx(file);
        }),
        ("1 (ftruncate)", &|c| c.ftruncate(file, 0)),
        ("1 (open)", &|c| {
            let path = c.path("path");
            c.open(file, path, how());
        }),
        ("1 (open)", &|c| {
            let own = c.file();
            c.open(own, path, how());
        }),
        ("1 (open)", &|c| {
            let (own, path) = (c.file(), c.path("path"));
            c.open(own, path, how()).beneath(file);
        }),
        ("1 (fill)", &|c| {
            let sock = c.socket();
            c.fill(sock, data);
        }),
        ("1 (consume)", &|c| c.consume(data, 1)),
        ("1 (call)", &|c| c.call((stream(data),), |(), _| Flow::Next)),
        ("1 (fallocate)", &|c| {
            let own = c.file();
            c.fallocate(own, 0, register);
        }),
        ("1 (sleep)", &|c| c.sleep(register)),
    ];
    for (step, add) in steps {
        assert_eq!(refused(add), foreign(step));
    }
    let text = refused(|c| {
        let n = c.param();
        c.attempt(|c| c.ensure(n.eq(0), libc::EPROTO)).on_error(register, |_| ());
    });
    assert_eq!(text, foreign("1 (attempt)"));
}

#[test]
fn what_can_never_move_a_byte_or_never_fit() {
    let empty = |step: &str| format!("step {step}: it can never transfer a byte: the span is empty");
    let text = refused(|c| {
        let file = c.file();
        c.write_all_at(file, [], 0);
    });
    assert_eq!(text, empty("1 (write_all_at)"));
    let text = refused(|c| {
        let (sock, none) = (c.socket(), c.stream(0));
        c.fill(sock, none);
    });
    assert_eq!(text, empty("1 (fill)"));
    let text = refused(|c| {
        let (sock, k) = (c.socket(), c.constant(b""));
        c.send_all(sock, k.all());
    });
    assert_eq!(text, empty("1 (send_all)"));
    let text = refused(|c| {
        let (n, data) = (c.param(), c.stream(8));
        c.set(n, data.first(9).hash());
    });
    assert_eq!(text, "step 1 (set): a span of 9 bytes at 0 can never fit into a buffer of 8");
    let text = refused(|c| {
        let data = c.buffer(8);
        c.store(data, 5, Order::Be32, 1);
    });
    assert_eq!(text, "step 1 (store): a load of 4 bytes at 5 lies outside of a buffer of 8");
}

#[test]
fn a_path_that_is_no_span_of_a_known_length() {
    let path = "a path is a span of fixed place and length, and not empty";
    let text = refused(|c| {
        let (file, len, data) = (c.file(), c.param(), c.buffer(8));
        c.copy(data.to(len), data.to(len));
        c.open(file, data.to(len), how());
    });
    assert_eq!(text, format!("step 2 (open): {path}"));
    let text = refused(|c| {
        let (file, at, k) = (c.file(), c.param(), c.constant(b"a\0b\0"));
        c.open(file, k.part(at, 2), how());
    });
    assert_eq!(text, format!("step 1 (open): {path}"));
    let text = refused(|c| {
        let (file, k) = (c.file(), c.constant(b""));
        c.open(file, k.all(), how());
    });
    assert_eq!(text, format!("step 1 (open): {path}"));
}
