//! Branches side by side that must all succeed.

#[path = "../common/mod.rs"]
mod common;

mod ended;
mod joined;
mod steps;
mod taken_up;

use std::time::Duration;

use chainring_chains::{Chain, OpenHow, Socket};
use common::one::{Dir, Notes, note};

const A_WHILE: Duration = Duration::from_millis(10);

/// Two branches of three members each, on files and on sockets.
fn busy(c: &mut Chain<Notes>, dir: &Dir) -> [Socket; 2] {
    let (sockets, n) = ([c.socket(), c.socket()], c.reg());
    let (data, text) = (c.buffer(32), c.constant(b"0123456789abcdef"));
    let path = c.path(dir.join("file"));
    c.set(n, 16);
    c.all(|b| {
        b.branch(|c| {
            let file = c.file();
            c.open(
                file,
                path,
                OpenHow { flags: (libc::O_RDWR | libc::O_CREAT) as u64, mode: 0o600, ..OpenHow::default() },
            );
            c.write_all_at(file, text.to(n), 0);
            c.read_exact_at(file, data.to(16), 0);
            c.statx(file).size(n);
            c.close_file(file);
        });
        b.branch(|c| {
            c.send_all(sockets[0], text.all());
            c.recv_exact(sockets[0], data.range(16..24));
            c.recv_exact(sockets[0], data.range(24..));
            c.send_all(sockets[1], data.range(16..));
        });
    });
    c.ensure(data.to(16).equals(text.all()), libc::EILSEQ);
    note(c, n);
    sockets
}
