//! Sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

use chainring_runtime::Descriptor;
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::op::accept::{accept, accept_multi};
use chainring_runtime::op::bind::bind;
use chainring_runtime::op::connect::connect;
use chainring_runtime::op::listen::listen;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::recv_multi::{recv_bundles, recv_multi, recv_pooled};
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::recvmsg_multi::recvmsg_multi;
use chainring_runtime::op::send::send;
use chainring_runtime::op::send_to::send_to;
use chainring_runtime::op::send_zc::{send_zc, send_zc_fixed};
use chainring_runtime::op::sendmsg::sendmsg;
use chainring_runtime::op::sendmsg_zc::sendmsg_zc;
use chainring_runtime::op::shutdown::shutdown;
use chainring_runtime::op::socket::socket;
use chainring_runtime::op::sockopt::{get_option, set_option};
use futures::StreamExt;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Case, World, act, buffer, first, unit};
use crate::common::{own, tcp};

/// A socket that hears nothing.
fn silent(world: &World) -> Descriptor {
    let (here, there) = tcp();
    world.hold(there);
    here
}

/// A socket with `hello` in it.
fn talking(world: &World) -> Descriptor {
    let (here, mut there) = tcp();
    there.write_all(b"hello").unwrap();
    world.hold(there);
    here
}

/// A socket that is not connected.
fn lonely() -> Descriptor {
    own(Socket::new(Domain::IPV4, Type::STREAM, None).unwrap())
}

/// A socket whose other side is closed, and knows it.
fn broken() -> Descriptor {
    let (here, there) = tcp();
    drop(there);
    let std = TcpStream::from(own_clone(&here));
    while std.peer_addr().is_ok() && (&std).write(b"x").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // The reset has been reported by that write; from now on it is EPIPE.
    let _ = (&std).read(&mut [0; 1]);
    let _ = (&std).write(b"x");
    here
}

fn own_clone(fd: &Descriptor) -> std::os::fd::OwnedFd {
    use std::os::fd::AsFd;
    fd.as_fd().try_clone_to_owned().unwrap()
}

/// More than a socket takes that nobody reads.
fn lots() -> Vec<u8> {
    vec![7; 64 << 20]
}

fn listener(world: &World) -> (Descriptor, SockAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SockAddr::from(listener.local_addr().unwrap());
    let listener = own(listener);
    world.keep(&listener);
    (listener, address)
}

/// A UDP socket with a datagram `hello` in it, and where that came from.
fn udp(world: &World) -> (Descriptor, SockAddr) {
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    there.send_to(b"hello", here.local_addr().unwrap()).unwrap();
    let from = SockAddr::from(there.local_addr().unwrap());
    world.hold(there);
    (own(here), from)
}

fn caller(world: &World) -> Descriptor {
    let (listener, address) = listener(world);
    let there = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    there.connect(&address).unwrap();
    world.hold(there);
    listener
}

fn five(world: &World) -> chainring_runtime::buf::FixedBuf {
    let mut bytes = world.fixed().get().unwrap();
    bytes.set_len(5);
    bytes
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("accept", |w| unit(accept(&caller(w))), libc::EINVAL, |_| unit(accept(&lonely())))
            .stuck(|w| unit(accept(&listener(w).0))),
        Case::new(
            "accept multi",
            |w| first(accept_multi(&caller(w))),
            libc::EINVAL,
            |_| first(accept_multi(&lonely())),
        )
        .stuck(|w| first(accept_multi(&listener(w).0))),
        Case::new(
            "bind",
            |_| unit(bind(&lonely(), "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into())),
            libc::EADDRINUSE,
            |w| unit(bind(&lonely(), listener(w).1)),
        ),
        Case::new(
            "listen",
            |_| unit(listen(&lonely(), 5)),
            libc::EOPNOTSUPP,
            |_| unit(listen(&own(UdpSocket::bind("127.0.0.1:0").unwrap()), 5)),
        ),
        Case::new(
            "connect",
            |w| unit(connect(&lonely(), listener(w).1)),
            libc::ECONNREFUSED,
            |_| {
                let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                unit(connect(&lonely(), gone.into()))
            },
        )
        .stuck(|w| {
            // A queue of one, and more callers than that: their handshakes wait.
            let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            full.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
            full.listen(0).unwrap();
            let address = full.local_addr().unwrap();
            for _ in 0..4 {
                let caller = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                caller.set_nonblocking(true).unwrap();
                let _ = caller.connect(&address);
                w.hold(caller);
            }
            w.hold(full);
            unit(connect(&lonely(), address))
        }),
        Case::new(
            "socket",
            |_| unit(socket(libc::AF_INET, libc::SOCK_STREAM, 0)),
            libc::EAFNOSUPPORT,
            |_| unit(socket(250, libc::SOCK_STREAM, 0)),
        ),
        Case::new(
            "shutdown",
            |w| unit(shutdown(&silent(w), Shutdown::Both)),
            libc::ENOTCONN,
            |_| unit(shutdown(&lonely(), Shutdown::Write)),
        ),
        Case::new(
            "setsockopt",
            |w| {
                act({
                    let here = silent(w);
                    async move {
                        set_option(&here, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1).await?;
                        set_option(&here, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1).await?;
                        assert!(socket2::SockRef::from(&here).keepalive()?);
                        assert!(socket2::SockRef::from(&here).tcp_nodelay()?);
                        Ok(())
                    }
                })
            },
            libc::ENOPROTOOPT,
            |w| unit(set_option(&silent(w), libc::SOL_SOCKET, 9999, 1)),
        ),
        Case::new(
            "getsockopt",
            |w| {
                act({
                    let here = silent(w);
                    async move {
                        assert_eq!(get_option(&here, libc::SO_TYPE).await?, libc::SOCK_STREAM);
                        Ok(())
                    }
                })
            },
            libc::ENOPROTOOPT,
            |w| unit(get_option(&silent(w), 9999)),
        ),
        Case::new(
            "recv",
            |w| buffer(recv(&talking(w), vec![0; 16], 0)),
            libc::ENOTCONN,
            |_| buffer(recv(&lonely(), vec![0; 16], 0)),
        )
        .stuck(|w| buffer(recv(&silent(w), vec![0; 16], 0))),
        Case::new(
            "recv_pooled",
            |w| {
                act({
                    let (here, pool) = (talking(w), w.pool());
                    async move {
                        let bytes = recv_pooled(&here, &pool, 0).await?;
                        assert_eq!((&bytes[..], pool.usage().lent), (&b"hello"[..], 1));
                        Ok(())
                    }
                })
            },
            libc::ENOTCONN,
            |w| unit(recv_pooled(&lonely(), &w.pool(), 0)),
        )
        .stuck(|w| unit(recv_pooled(&silent(w), &w.pool(), 0))),
        Case::new(
            "recv_multi",
            |w| first(recv_multi(&talking(w), &w.pool(), 0)),
            libc::ENOTCONN,
            |w| first(recv_multi(&lonely(), &w.pool(), 0)),
        )
        .stuck(|w| first(recv_multi(&silent(w), &w.pool(), 0))),
        Case::new(
            "recv_multi bundled",
            |w| {
                act({
                    let (here, pool) = (silent(w), w.pool());
                    let (here2, mut there) = tcp();
                    there.write_all(&[9; 3000]).unwrap();
                    w.hold(there);
                    drop(here);
                    async move {
                        let (mut stream, mut came) = (recv_bundles(&here2, &pool, 0), 0);
                        while came < 3000 {
                            let bytes = stream.next().await.unwrap()?;
                            assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 9));
                            came += bytes.len();
                        }
                        assert_eq!(came, 3000);
                        Ok(())
                    }
                })
            },
            libc::ENOTCONN,
            |w| first(recv_bundles(&lonely(), &w.pool(), 0)),
        )
        .stuck(|w| first(recv_bundles(&silent(w), &w.pool(), 0))),
        Case::new(
            "recv_multi incremental",
            |w| {
                let pool = PoolOptions::new().buffer_size(1024).ready(2).incremental(true).build().unwrap();
                first(recv_multi(&talking(w), &pool, 0))
            },
            libc::EBUSY,
            |w| {
                let pool = PoolOptions::new().buffer_size(1024).ready(2).incremental(true).build().unwrap();
                if !pool.is_incremental() {
                    return act(async { Err(std::io::Error::from_raw_os_error(libc::EBUSY)) });
                }
                let mut one = recv_multi(&silent(w), &pool, 0);
                let two = recv_multi(&silent(w), &pool, 0);
                act(async move {
                    let mut two = two;
                    assert!(futures::poll!(one.next()).is_pending());
                    two.next().await.unwrap().map(drop)
                })
            },
        )
        .stuck(|w| {
            let pool = PoolOptions::new().buffer_size(1024).ready(2).incremental(true).build().unwrap();
            first(recv_multi(&silent(w), &pool, 0))
        }),
        Case::new(
            "recvmsg",
            |w| {
                act({
                    let (here, from) = udp(w);
                    async move {
                        let (got, parts) = recvmsg(&here, ([0u8; 2], vec![0u8; 16]), Control::new(), 0).await;
                        let got = got?;
                        assert_eq!((got.len, got.from.unwrap().as_socket()), (5, from.as_socket()));
                        assert_eq!((&parts.0[..], &parts.1[..]), (&b"he"[..], &b"llo"[..]));
                        Ok(())
                    }
                })
            },
            libc::ENOTCONN,
            |_| buffer(recvmsg(&lonely(), [[0u8; 8]], Control::new(), 0)),
        )
        .stuck(|w| buffer(recvmsg(&silent(w), [[0u8; 8]], Control::with_room(64), 0))),
        Case::new(
            "recvmsg_multi",
            |w| {
                act({
                    let ((here, from), pool) = (udp(w), w.pool());
                    async move {
                        let got = recvmsg_multi(&here, &pool, 0).next().await.unwrap()?;
                        assert_eq!(&got[..], b"hello");
                        assert_eq!(got.from().unwrap().as_socket(), from.as_socket());
                        assert!(!got.is_truncated());
                        Ok(())
                    }
                })
            },
            libc::ENOTCONN,
            |w| first(recvmsg_multi(&lonely(), &w.pool(), 0)),
        )
        .stuck(|w| first(recvmsg_multi(&silent(w), &w.pool(), 0))),
        Case::new(
            "send",
            |w| buffer(send(&silent(w), "hello", 0)),
            libc::EPIPE,
            |_| buffer(send(&broken(), "x", 0)),
        )
        .stuck(|w| buffer(send(&silent(w), lots(), libc::MSG_WAITALL))),
        Case::new(
            "send_to",
            |w| {
                let (here, to) = udp(w);
                buffer(send_to(&here, "hello", to, 0))
            },
            libc::EMSGSIZE,
            |w| {
                let (here, to) = udp(w);
                buffer(send_to(&here, vec![0; 70_000], to, 0))
            },
        ),
        Case::new(
            "send_zc",
            |w| buffer(send_zc(&silent(w), vec![1; 5000], 0)),
            libc::EPIPE,
            |_| buffer(send_zc(&broken(), "x", 0)),
        )
        .stuck(|w| buffer(send_zc(&silent(w), lots(), libc::MSG_WAITALL))),
        Case::new(
            "send_zc fixed",
            |w| buffer(send_zc_fixed(&silent(w), five(w), 0)),
            libc::EPIPE,
            |w| buffer(send_zc_fixed(&broken(), five(w), 0)),
        ),
        Case::new(
            "sendmsg",
            |w| {
                act({
                    let (here, to) = udp(w);
                    async move {
                        let (sent, _) = sendmsg(&here, ("he", "llo"), Some(to), Control::new(), 0).await;
                        assert_eq!(sent?, 5);
                        Ok(())
                    }
                })
            },
            libc::EPIPE,
            |_| buffer(sendmsg(&broken(), ["x"], None, Control::new(), 0)),
        )
        .stuck(|w| buffer(sendmsg(&silent(w), [lots()], None, Control::new(), libc::MSG_WAITALL))),
        Case::new(
            "sendmsg_zc",
            |w| buffer(sendmsg_zc(&silent(w), (vec![1; 5000], vec![2; 5000]), None, Control::new(), 0)),
            libc::EPIPE,
            |_| buffer(sendmsg_zc(&broken(), ["x"], None, Control::new(), 0)),
        )
        .stuck(|w| buffer(sendmsg_zc(&silent(w), [lots()], None, Control::new(), libc::MSG_WAITALL))),
    ]
}
