//! What `build()` refuses of files, streams, constants, descriptors and attempts, with the words that it uses.

#[path = "../common/mod.rs"]
mod common;

mod descriptors;
mod pooled;
mod unwritten;

use chainring_chains::{Buf, Chain, Flow, OpenHow, Order, read, write};
use common::refused::{accepted, refusal};

/// What `build()` says of the chain that `steps` describes, behind the chain's name.
fn refused(steps: impl FnOnce(&mut Chain<()>)) -> String {
    let error = refusal(steps);
    let text = error.to_string();
    let words = text.strip_prefix("chain test, ").unwrap_or_else(|| panic!("{text}"));
    if let Some(step) = error.step() {
        assert!(words.starts_with(&format!("step {step} (")), "{text}");
    }
    words.to_owned()
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
