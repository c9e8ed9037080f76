//! UDP sockets: datagrams, whole or cut off, alone or many at once.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use chainring_net::UdpSocket;
use chainring_net::udp::DATAGRAM_OVERHEAD;
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::time::timeout;
use common::{any_port, errno, pattern, poll_once, run, settle};
use futures::StreamExt;

fn pair() -> (UdpSocket, UdpSocket) {
    (UdpSocket::bind(any_port()).unwrap(), UdpSocket::bind(any_port()).unwrap())
}

#[test]
fn datagrams_tell_who_sent_them() {
    run(async || {
        let (here, there) = pair();
        assert_eq!(there.send_to("to you", here.local_addr().unwrap()).await.0.unwrap(), 6);
        let (peeked, _) = here.peek_from(vec![0; 16]).await;
        assert_eq!(peeked.unwrap(), (6, there.local_addr().unwrap()));
        let (received, bytes) = here.recv_from(Vec::with_capacity(16)).await;
        assert_eq!(received.unwrap(), (6, there.local_addr().unwrap()));
        assert_eq!(bytes, b"to you");
    });
}

#[test]
fn a_connected_socket_hears_nobody_else() {
    run(async || {
        let (here, there) = pair();
        let stranger = UdpSocket::bind(any_port()).unwrap();
        assert_eq!(errno(&there.send("x").await.0), Some(libc::EDESTADDRREQ));
        here.connect(there.local_addr().unwrap()).await.unwrap();
        there.connect(format!("127.0.0.1:{}", here.local_addr().unwrap().port())).await.unwrap();
        assert_eq!(there.peer_addr().unwrap(), here.local_addr().unwrap());
        stranger.send_to("psst", here.local_addr().unwrap()).await.0.unwrap();
        there.send("hello").await.0.unwrap();
        let (received, bytes) = here.recv(vec![0; 16]).await;
        assert_eq!((received.unwrap(), &bytes[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn a_datagram_that_meets_nobody_is_refused_to_a_connected_sender() {
    run(async || {
        let (here, there) = pair();
        here.connect(there.local_addr().unwrap()).await.unwrap();
        drop(there);
        settle().await;
        here.send("anybody?").await.0.unwrap();
        assert_eq!(errno(&here.recv(vec![0; 16]).await.0), Some(libc::ECONNREFUSED));
        assert!(here.take_error().unwrap().is_none(), "the receive took it");
    });
}

#[test]
fn a_datagram_larger_than_its_buffer_is_cut_off_and_the_rest_is_gone() {
    run(async || {
        let (here, there) = pair();
        let to = here.local_addr().unwrap();
        there.send_to(pattern(100), to).await.0.unwrap();
        there.send_to("next", to).await.0.unwrap();
        let (received, bytes) = here.recv_from(vec![0; 10]).await;
        assert_eq!((received.unwrap().0, bytes), (10, pattern(10)));
        assert_eq!(here.recv(vec![0; 10]).await.0.unwrap(), 4);
        // Received on a pool it says that it was cut off.
        let options = PoolOptions::new().buffer_size(DATAGRAM_OVERHEAD as u32 + 10).ready(4);
        let pool = options.build().unwrap();
        let mut datagrams = here.recv_multi(&pool);
        assert!(poll_once(&mut datagrams.next()).is_pending());
        for len in [100, 10, 0] {
            there.send_to(pattern(len), to).await.0.unwrap();
            let datagram = datagrams.next().await.unwrap().unwrap();
            assert_eq!((&datagram[..], datagram.is_truncated()), (&pattern(len.min(10))[..], len > 10));
            assert_eq!(datagram.from().unwrap().as_socket(), Some(there.local_addr().unwrap()));
        }
    });
}

#[test]
fn empty_and_oversized_datagrams() {
    run(async || {
        let (here, there) = pair();
        let to = here.local_addr().unwrap();
        assert_eq!(there.send_to("", to).await.0.unwrap(), 0);
        assert_eq!(here.recv_from(vec![0; 8]).await.0.unwrap(), (0, there.local_addr().unwrap()));
        assert_eq!(errno(&there.send_to(vec![0; 65_508], to).await.0), Some(libc::EMSGSIZE));
        assert_eq!(there.send_to(vec![0; 65_507], to).await.0.unwrap(), 65_507);
        assert_eq!(here.recv(vec![0; 1 << 16]).await.0.unwrap(), 65_507);
    });
}

#[test]
fn many_datagrams_come_in_through_one_submission_and_return_their_buffers() {
    run(async || {
        let (here, there) = pair();
        let pool = PoolOptions::new().buffer_size(1024).ready(64).build().unwrap();
        let to = here.local_addr().unwrap();
        for i in 0..50u8 {
            there.send_to(vec![i; 100], to).await.0.unwrap();
        }
        let mut datagrams = here.recv_multi(&pool);
        for i in 0..50u8 {
            let datagram = datagrams.next().await.unwrap().unwrap();
            assert_eq!(&datagram[..], [i; 100]);
        }
        drop(datagrams);
        settle().await;
        assert_eq!(pool.usage().lent, 0);
        there.send_to("one", to).await.0.unwrap();
        assert_eq!(&here.recv_pooled(&pool).await.unwrap()[..], b"one");
    });
}

#[test]
fn segments_leave_as_one_message_and_arrive_as_datagrams_or_together() {
    run(async || {
        let (here, there) = pair();
        let to = here.local_addr().unwrap();
        there.send_segments(pattern(2500), 1000, Some(to)).await.0.unwrap();
        for expected in [&pattern(2500)[..1000], &pattern(2500)[1000..2000], &pattern(2500)[2000..]] {
            let (received, bytes) = here.recv(Vec::with_capacity(4096)).await;
            assert_eq!((received.unwrap(), &bytes[..]), (expected.len(), expected));
        }
        here.set_receives_segments(true).await.unwrap();
        there.send_segments(pattern(2500), 1000, Some(to)).await.0.unwrap();
        let (mut total, mut all) = (0, Vec::new());
        while total < 2500 {
            let (received, bytes) = here.recv_segments(Vec::with_capacity(1 << 16)).await;
            let segments = received.unwrap();
            assert_eq!(segments.from, there.local_addr().unwrap());
            assert!(segments.segment <= 1000 && segments.segment > 0);
            total += segments.len;
            all.extend(bytes);
        }
        assert_eq!(all, pattern(2500));
    });
}

#[test]
fn ipv6_addresses_keep_their_scope() {
    run(async || {
        let here = UdpSocket::bind("[::1]:0".parse().unwrap()).unwrap();
        let there = UdpSocket::bind("[::1]:0".parse().unwrap()).unwrap();
        there.send_to("six", here.local_addr().unwrap()).await.0.unwrap();
        let (received, _) = here.recv_from(vec![0; 8]).await;
        assert_eq!(received.unwrap().1, there.local_addr().unwrap());
        let scoped: SocketAddr = "[fe80::1%424242]:9".parse().unwrap();
        assert!(matches!(
            errno(&there.send_to("x", scoped).await.0),
            Some(libc::ENODEV | libc::EINVAL | libc::ENETUNREACH)
        ));
        assert_eq!(errno(&UdpSocket::bind(scoped)), Some(libc::ENODEV));
    });
}

#[test]
fn a_silent_socket_can_be_given_up() {
    run(async || {
        let (here, there) = pair();
        assert!(timeout(Duration::from_millis(10), here.recv_from(vec![0; 8])).await.is_err());
        settle().await;
        there.send_to("now", here.local_addr().unwrap()).await.0.unwrap();
        assert_eq!(here.recv_from(vec![0; 8]).await.0.unwrap().0, 3);
    });
}

#[test]
fn waiting_for_a_datagram_can_be_given_up_without_losing_one() {
    run(async || {
        let (here, there) = pair();
        assert!(timeout(Duration::from_millis(1), here.readable()).await.is_err());
        there.writable().await.unwrap();
        there.send_to("late", here.local_addr().unwrap()).await.0.unwrap();
        here.readable().await.unwrap();
        let (received, bytes) = here.recv(vec![0; 16]).await;
        assert_eq!((received.unwrap(), &bytes[..4]), (4, &b"late"[..]));
    });
}
