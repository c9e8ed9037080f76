//! What the documentation shows of compiled programs is what `explain()` prints.

use std::time::Duration;

use chainring::chains::{Chain, Flow, Program, outbox, read, write};

fn echo() -> Program<()> {
    let mut c = Chain::new("echo");
    let (sock, len, data) = (c.accepted(), c.reg(), c.buffer(4096));
    c.repeat(|c| {
        c.recv(sock, data.all()).into(len).or_finish();
        c.send_all(sock, data.to(len));
    });
    c.build().unwrap()
}

fn framed() -> Program<()> {
    let mut c = Chain::new("framed");
    let (sock, len) = (c.accepted(), c.reg());
    let (head, body) = (c.buffer(4), c.buffer(64 << 10));
    c.repeat(|c| {
        c.recv_exact(sock, head.all()).or_finish();
        c.set(len, head.be32(0));
        c.ensure(len.le(body.capacity()), libc::EMSGSIZE);
        c.recv_exact(sock, body.to(len));
        c.send_all(sock, [head.all(), body.to(len)]);
    });
    c.build().unwrap()
}

fn shout() -> Program<u64> {
    let mut c = Chain::new("shout");
    let (sock, len, line) = (c.accepted(), c.reg(), c.buffer(4096));
    c.repeat(|c| {
        c.recv(sock, line.all()).into(len).or_finish();
        c.call((write(line.to(len)),), |seen, (bytes,)| {
            bytes.make_ascii_uppercase();
            *seen += bytes.len() as u64;
            Flow::Next
        });
        c.send_all(sock, line.to(len));
    });
    c.build().unwrap()
}

fn patient() -> Program<Vec<u8>> {
    let mut c = Chain::<Vec<u8>>::new("patient");
    let (sock, len, errno) = (c.accepted(), c.reg(), c.reg());
    let (head, body, reply) = (c.buffer(4), c.buffer(1024), c.outbox());
    let sorry = c.constant(b"too slow\n");
    c.attempt(|c| {
        c.repeat(|c| {
            c.recv_exact(sock, head.all()).or_finish();
            c.within(Duration::from_secs(5), |c| {
                c.set(len, head.be32(0));
                c.recv_exact(sock, body.to(len));
            });
            c.call((read(body.to(len)), outbox(reply)), |seen: &mut Vec<u8>, (bytes, reply)| {
                seen.extend_from_slice(bytes);
                reply.copy(&(seen.len() as u32).to_be_bytes());
                Flow::Next
            });
            c.send_outbox(sock, reply);
        });
    })
    .on_error(errno, |c| {
        c.when(errno.eq(110), |c| {
            c.send_all(sock, sorry.all());
        });
    });
    c.build().unwrap()
}

fn log() -> Program<()> {
    let mut c = Chain::new("log");
    let (sock, file) = (c.accepted(), c.file());
    let (len, count, end) = (c.reg(), c.param(), c.param());
    let (head, body) = (c.buffer(4), c.buffer(4096));
    let done = c.constant(b"done");
    c.repeat(|c| {
        c.recv_exact(sock, head.all()).or_finish();
        c.set(len, head.be32(0));
        c.ensure(len.le(body.capacity()), libc::EMSGSIZE);
        c.recv_exact(sock, body.to(len));
        c.set(count, count + 1);
        c.write_all_at(file, [head.all(), body.to(len)], end);
        c.fdatasync(file);
        c.set(end, end + len + 4);
        c.send_all(sock, done.all());
    });
    c.build().unwrap()
}

fn replicated() -> Program<()> {
    let mut c = Chain::new("replicated");
    let (client, replicas) = (c.accepted(), [c.socket(), c.socket(), c.socket()]);
    let (record, done) = (c.buffer(64), c.constant(b"done"));
    c.repeat(|c| {
        c.recv_exact(client, record.all()).or_finish();
        c.quorum(2, |b| {
            for replica in replicas {
                b.branch(|c| {
                    let answer = c.buffer(4);
                    c.send_all(replica, record.all());
                    c.recv_exact(replica, answer.all());
                });
            }
        });
        c.send_all(client, done.all());
    });
    c.build().unwrap()
}

#[test]
fn the_documentation_shows_what_explain_prints() {
    let readme = include_str!("../README.md");
    let page = include_str!("../docs/explain.md");
    let (echo, framed, shout, log, patient, replicated) =
        (echo(), framed(), shout(), log(), patient(), replicated());
    assert!(readme.contains(framed.explain().to_string().trim_end()), "{}", framed.explain());
    let explained = [echo.explain(), framed.explain(), shout.explain(), log.explain()];
    for explain in explained.into_iter().chain([patient.explain(), replicated.explain()]) {
        let text = explain.to_string();
        assert!(page.contains(text.trim_end()), "docs/explain.md lacks:\n{text}");
    }
}
