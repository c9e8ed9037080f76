//! What branches do: connect, compute, fill, send; and what fails them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use chainring_chains::{Chain, Expr, Flow, Reg, outbox as outbox_view};

use crate::common::descriptors;
use crate::common::one::{Notes, alone, chain, lowered, note};
use crate::common::several::{receive, run};

#[test]
fn branches_connect_beside_each_other() {
    let _alone = alone();
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind"));
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().expect("address"));
    let dead: SocketAddr = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        listener.local_addr().expect("address")
    };
    for refused in [false, true] {
        let (program, ()) = chain(|c: &mut Chain<Notes>| {
            let (sockets, errno, text) =
                ([c.socket(), c.socket(), c.socket()], c.reg(), c.constant(b"hello"));
            c.attempt(|c| {
                c.all(|b| {
                    for (i, socket) in sockets.into_iter().enumerate() {
                        let address = if refused && i == 1 { dead } else { addresses[i] };
                        b.branch(|c| c.connect(socket, address));
                    }
                });
                for socket in sockets {
                    c.send_all(socket, text.all());
                }
            })
            .on_error(errno, |c| note(c, errno));
        });
        let before = descriptors();
        let ended = crate::common::one::run(&program, Notes::new(), |_| {});
        let expected: &[u64] = if refused { &[libc::ECONNREFUSED as u64] } else { &[] };
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), expected));
        assert_eq!(descriptors(), before, "open descriptors");
        if !refused {
            for listener in &listeners {
                let mut text = String::new();
                listener.accept().expect("accept").0.read_to_string(&mut text).expect("receive");
                assert_eq!(text, "hello");
            }
        }
    }
}

#[test]
fn branches_compute_fill_streams_and_send_outboxes() {
    let _alone = alone();
    for (program, sockets) in lowered(|c| {
        let (sockets, outbox) = ([c.socket(), c.socket()], c.outbox());
        let (lines, sum, n) = (c.stream(8), c.reg(), c.reg());
        c.set(n, 7);
        c.call((outbox_view(outbox),), |_, (outbox,)| {
            outbox.copy(b"one ");
            outbox.push("two ");
            outbox.copy(b"three");
            Flow::Next
        });
        c.all(|b| {
            b.branch(|c| c.send_outbox(sockets[0], outbox));
            // Takes bytes as they come, in a buffer that cannot hold them all.
            b.branch(|c| {
                c.set(sum, 0);
                c.repeat(|c| {
                    c.fill(sockets[1], lines);
                    c.repeat(|c| {
                        c.when(lines.is_empty(), |c| c.leave());
                        c.set(sum, sum * 10 + lines.bytes().find(b'x'));
                        c.consume(lines, 1);
                    });
                    c.when((sum % 10).eq(0), |c| c.leave());
                });
            });
            b.branch(|c| {
                let (hash, text) = (c.reg(), c.constant(b"text"));
                c.set(hash, text.all().hash());
                c.ensure(hash.ne(n), libc::EIO);
            });
        });
        note(c, sum);
        sockets
    }) {
        let (ended, text) = run(&program, sockets, async |[mut one, mut other], _| {
            other.write_all(b"..x").expect("send");
            receive::<13>(&mut one).await
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![210]));
        assert_eq!(&text, b"one two three");
    }
}

#[test]
fn a_span_that_does_not_fit_and_a_division_by_zero_fail_their_branches() {
    let _alone = alone();
    let bounds = |c: &mut Chain<Notes>, n: Reg| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.recv_exact(sock, data.to(1));
                    c.recv_exact(sock, data.to(n));
                });
                b.branch(|c| c.sleep(u64::MAX / 4));
            });
        })
        .on_error(n, |c| note(c, n));
        [sock]
    };
    let division = |c: &mut Chain<Notes>, n: Reg| {
        let (sock, data) = (c.socket(), c.buffer(8));
        let zero = c.param();
        c.attempt(|c| {
            c.all(|b| {
                b.branch(|c| {
                    c.recv_exact(sock, data.to(1));
                    c.sleep(Expr::from(n) / zero);
                });
                b.branch(|c| c.sleep(u64::MAX / 4));
            });
        })
        .on_error(n, |c| note(c, n));
        [sock]
    };
    for trap in [false, true] {
        for (program, sockets) in lowered(|c| {
            let n = c.reg();
            c.set(n, 9);
            if trap { division(c, n) } else { bounds(c, n) }
        }) {
            let (ended, ()) = run(&program, sockets, async |[mut peer], _| {
                peer.write_all(b"x").expect("send");
            });
            let errno = if trap { libc::EDOM } else { libc::EMSGSIZE };
            assert_eq!((ended.text(), ended.session), (String::new(), vec![errno as u64]));
        }
    }
}
