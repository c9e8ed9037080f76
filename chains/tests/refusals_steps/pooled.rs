//! Buffers that a frame has only while it uses them.

use chainring_chains::{Buf, Chain, Flow, Group, Order, write};

use super::{how, refused};
use crate::common::refused::accepted;

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
