//! What `build()` refuses of files, streams, constants, descriptors and attempts, with the words that it uses.

use chainring_chains::{
    Buf, Chain, Expr, File, Flow, Group, OpenHow, Order, Span, read, stream, value, write,
};

/// What `build()` says of the chain that `steps` describes, behind the chain's name.
fn refused(steps: impl FnOnce(&mut Chain<()>)) -> String {
    let mut c = Chain::new("test");
    steps(&mut c);
    match c.build() {
        Ok(program) => panic!("accepted:\n{}", program.explain()),
        Err(error) => {
            let text = error.to_string();
            let words = text.strip_prefix("chain test, ").unwrap_or_else(|| panic!("{text}"));
            if let Some(step) = error.step() {
                assert!(words.starts_with(&format!("step {step} (")), "{text}");
            }
            words.to_owned()
        }
    }
}

fn accepted(steps: impl FnOnce(&mut Chain<()>)) {
    let mut c = Chain::new("test");
    steps(&mut c);
    c.build().unwrap_or_else(|error| panic!("{error}"));
}

fn how() -> OpenHow {
    OpenHow::default()
}

#[test]
fn constants_are_neither_written_nor_loaded() {
    let constant = |step: &str| {
        format!("step {step}: constant k0 can be sent, copied, compared and lent, and nothing else")
    };
    let on_constant = |steps: fn(&mut Chain<()>, Buf)| {
        refused(|c| {
            let k = c.constant(b"eight by");
            steps(c, k);
        })
    };
    let text = on_constant(|c, k| {
        let sock = c.socket();
        c.recv(sock, k.all());
    });
    assert_eq!(text, constant("1 (recv)"));
    let text = on_constant(|c, k| {
        let file = c.file();
        c.read_exact_at(file, k.to(4), 0);
    });
    assert_eq!(text, constant("1 (read_exact_at)"));
    assert_eq!(on_constant(|c, k| c.store(k, 0, Order::U8, 1)), constant("1 (store)"));
    let text = on_constant(|c, k| {
        let data = c.buffer(8);
        c.copy(k.all(), data.all());
    });
    assert_eq!(text, constant("1 (copy)"));
    assert_eq!(on_constant(|c, k| c.call((write(k.all()),), |(), _| Flow::Next)), constant("1 (call)"));
    assert_eq!(on_constant(|c, k| c.ensure(k.u8(0).eq(1), libc::EPROTO)), constant("1 (ensure)"));
    let text = on_constant(|c, k| {
        let n = c.param();
        c.set(n, k.be32(n));
    });
    assert_eq!(text, constant("1 (set)"));
    accepted(|c| {
        let (k, n, sock, data) = (c.constant(b"eight by"), c.reg(), c.socket(), c.buffer(8));
        c.set(n, k.all().find(b'b') + k.all().hash());
        c.copy(data.all(), k.all());
        c.ensure(k.to(n).equals(data.all()), libc::EPROTO);
        c.call((read(k.all()), read(k.all()), write(data.all())), |(), _| Flow::Next);
        c.send_all(sock, [k.all(), k.part(n, 2)]);
    });
}

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

#[test]
fn pooled_buffers_hold_nothing_before_something_has_come_into_their_front() {
    let unwritten = |step: &str| format!("step {step}: buffer p0 is read before it is written");
    let on_pooled = |steps: fn(&mut Chain<()>, Buf)| {
        refused(|c| {
            let pooled = c.pooled(8);
            steps(c, pooled);
        })
    };
    let sends = on_pooled(|c, p| {
        let sock = c.socket();
        c.send_all(sock, p.all());
    });
    assert_eq!(sends, unwritten("1 (send_all)"));
    assert_eq!(on_pooled(|c, p| c.store(p, 0, Order::U8, 1)), unwritten("1 (store)"));
    assert_eq!(on_pooled(|c, p| c.copy(p.range(..4), p.range(4..))), unwritten("1 (copy)"));
    assert_eq!(on_pooled(|c, p| c.call((write(p.all()),), |(), (_,)| Flow::Next)), unwritten("1 (call)"));
    let behind = on_pooled(|c, p| {
        let sock = c.socket();
        c.recv(sock, p.range(1..));
    });
    assert_eq!(behind, unwritten("1 (recv)"));
}

#[test]
fn pooled_buffers_hold_no_paths() {
    let path = refused(|c| {
        let (sock, file, pooled) = (c.socket(), c.file(), c.pooled(8));
        c.recv_exact(sock, pooled.all());
        c.open(file, pooled.all(), how());
    });
    let says = "pooled buffer p0 can be filled, sent, written, computed with and lent, and nothing else";
    assert_eq!(path, format!("step 2 (open): {says}"));
}

#[test]
fn there_are_sixty_four_pooled_buffers_and_a_gibibyte_of_them() {
    let many = |number: u32, len: u32| {
        let mut c = Chain::<()>::new("test");
        (0..number).for_each(|_| _ = c.pooled(len));
        c.finish();
        c.build().map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(many(64, 1 << 24), Ok(()));
    assert_eq!(many(65, 1), Err("chain test: too many pooled buffers".to_owned()));
    let bytes = Err("chain test: too many bytes of pooled buffers (1 GiB)".to_owned());
    assert_eq!(many(2, u32::MAX), bytes);
    assert_eq!(many(1, (1 << 30) + 1), bytes);
}

#[test]
fn nobody_waits_for_a_pooled_buffer_inside_of_a_group() {
    let group = Group::new("files");
    let waits = refused(|c| {
        let (file, pooled) = (c.file(), c.pooled(8));
        c.serial(&group, |c| _ = c.read_at(file, pooled.all(), 0));
    });
    assert_eq!(
        waits,
        "step 2 (read_at): it may wait for others, and everybody who waits for the group with it"
    );
    accepted(|c| {
        let (path, other) = (c.path("a"), c.path("b"));
        c.serial(&group, |c| {
            c.rename(path, other);
            c.unlink(other);
            c.nop();
        });
    });
}

#[test]
fn pooled_and_owned_buffers_and_pipes_are_the_whole_frames() {
    let says = "it cannot stand in a branch: a pooled or owned buffer is the whole frame's";
    for owned in [false, true] {
        let filled = refused(|c| {
            let (sock, other, data) = (c.socket(), c.socket(), c.buffer(8));
            let span = if owned { c.owned(8).range(..8) } else { c.pooled(8).all() };
            c.all(|b| {
                b.branch(|c| _ = c.recv_exact(sock, span));
                b.branch(|c| _ = c.recv_exact(other, data.all()));
            });
        });
        assert_eq!(filled, format!("step 2 (recv_exact): {says}"));
    }
    let computed = refused(|c| {
        let (sock, pooled, n, m) = (c.socket(), c.pooled(8), c.reg(), c.reg());
        c.recv_exact(sock, pooled.all());
        c.all(|b| {
            b.branch(|c| c.set(n, pooled.be32(0)));
            b.branch(|c| c.set(m, 1));
        });
    });
    assert_eq!(computed, format!("step 3 (set): {says}"));
    let spliced = refused(|c| {
        let (from, to, pipe, n) = (c.socket(), c.socket(), c.pipe(), c.reg());
        c.all(|b| {
            b.branch(|c| _ = c.splice(from, to, pipe, 8));
            b.branch(|c| c.set(n, 1));
        });
    });
    assert_eq!(spliced, "step 2 (splice): it cannot stand in a branch: a pipe is the whole frame's");
    // Held across, it is there behind the branches.
    accepted(|c| {
        let (sock, other, pooled, data) = (c.socket(), c.socket(), c.pooled(8), c.buffer(8));
        c.recv_exact(sock, pooled.all());
        c.all(|b| {
            b.branch(|c| _ = c.recv_exact(other, data.all()));
            b.branch(|c| c.nop());
        });
        c.send_all(sock, pooled.all());
    });
}
