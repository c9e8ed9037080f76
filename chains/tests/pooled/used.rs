//! What is done with the bytes in a buffer.

use chainring_chains::{Flow, Init, Order, read, write};

use super::in_parts;
use crate::common::both::{eight, same};
use crate::common::one::{Dir, Notes, lowered, mark, note, with_peer};

#[test]
fn computations_and_calls_look_at_it_and_change_it() {
    let seen = same(
        |c, sock| {
            let (data, at, n, abcd) = (c.pooled(8), c.reg(), c.reg(), c.constant(b"abcd"));
            c.recv_exact(sock, data.all());
            c.set(n, data.be32(0));
            note(c, n);
            c.set(at, 5);
            c.set(n, data.u8(at));
            note(c, n);
            c.set(n, data.range(4..).find(b'c'));
            note(c, n);
            c.set(n, data.range(4..).equals(abcd.all()));
            note(c, n);
            c.set(n, data.range(4..).hash());
            note(c, n);
            c.store(data, 0, Order::Be16, 0x4142);
            c.store(data, at, Order::U8, u64::from(b'B'));
            c.copy(data.range(2..4), data.range(6..8));
            c.call((write(data.range(7..)), read(data.range(..2))), |_, (last, first)| {
                last[0] = first[0];
                Flow::Next
            });
            c.send_all(sock, data.all());
        },
        eight,
    );
    // The hash is that of FNV-1a.
    assert_eq!(seen.notes, [3, u64::from(b'b'), 2, 1, 0xfc17_9f83_ee07_24dd], "{}", seen.error);
    assert_eq!(seen.received, b"ABcdaBcA");
}

#[test]
fn a_load_behind_what_has_come_fails_the_frame() {
    for offset in [3_u32, 5] {
        let seen = same(
            |c, sock| {
                let (data, at, n) = (c.pooled(100), c.reg(), c.reg());
                c.recv_exact(sock, data.range(..8));
                c.set(at, offset);
                c.set(n, data.be32(at));
                mark(c, 1);
                c.set(n, data.be32(offset + 2));
                mark(c, 2);
            },
            eight,
        );
        let loads = if offset == 3 { 1 } else { 0 };
        assert_eq!(seen.notes.len(), loads, "{}", seen.error);
        assert!(seen.error.ends_with("a span of 9 bytes does not fit into 8"), "{}", seen.error);
    }
}

#[test]
fn it_is_written_to_a_file() {
    let dir = Dir::new();
    for (program, (file, sock)) in lowered(|c| {
        let (file, sock, data, n, at) = (c.file(), c.socket(), c.pooled(1000), c.reg(), c.reg());
        c.set(at, 0);
        c.repeat(|c| {
            c.recv(sock, data.all()).into(n).or_finish();
            c.write_all_at(file, data.to(n), at);
            c.set(at, at + n);
        });
        (file, sock)
    }) {
        let open = dir.file("given", b"");
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.file(file, open);
            frame.socket(sock, near);
        };
        let text: Vec<u8> = (0..5000_u32).map(|i| i as u8).collect();
        let (ended, _) = with_peer(&program, Notes::new(), init, |client| in_parts(client, &text, 700));
        assert_eq!(ended.text(), "");
        assert!(std::fs::read(dir.join("given")).expect("the file") == text);
    }
}
