//! Options: what is set is read back, also by the standard library.

mod common;

use std::time::Duration;

use chainring_net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixStream};
use chainring_runtime::time::timeout;
use common::{any_port, errno, run};

#[test]
fn tcp_options_read_back_as_they_were_set() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        for on in [true, false] {
            stream.set_nodelay(on).unwrap();
            stream.set_keepalive(on).unwrap();
            stream.set_cork(on).unwrap();
            stream.set_reuse_address(on).unwrap();
            stream.set_out_of_band_inline(on).unwrap();
            stream.set_freebind(on).unwrap();
            let read = (stream.nodelay().unwrap(), stream.keepalive().unwrap(), stream.cork().unwrap());
            assert_eq!(read, (on, on, on));
            assert_eq!(stream.reuse_address().unwrap(), on);
            assert_eq!((stream.out_of_band_inline().unwrap(), stream.freebind().unwrap()), (on, on));
        }
        for linger in [Some(Duration::from_secs(7)), Some(Duration::ZERO), None] {
            stream.set_linger(linger).unwrap();
            assert_eq!(stream.linger().unwrap(), linger);
        }
        stream.set_ttl(42).unwrap();
        stream.set_tos(0x10).unwrap();
        stream.set_priority(3).unwrap();
        stream.set_notsent_lowat(4096).unwrap();
        stream.set_user_timeout(Some(Duration::from_secs(9))).unwrap();
        assert_eq!((stream.ttl().unwrap(), stream.tos().unwrap()), (42, 0x10));
        assert_eq!((stream.priority().unwrap(), stream.notsent_lowat().unwrap()), (3, 4096));
        assert_eq!(stream.user_timeout().unwrap(), Some(Duration::from_secs(9)));
        let (silence, interval) = (Duration::from_secs(30), Duration::from_secs(5));
        stream.set_keepalive_after(silence, interval, 4).unwrap();
        assert_eq!(stream.keepalive_after().unwrap(), (silence, interval, 4));
        assert!(stream.keepalive().unwrap());
        stream.set_recv_buffer_size(20_000).unwrap();
        stream.set_send_buffer_size(30_000).unwrap();
        let sizes = (stream.recv_buffer_size().unwrap(), stream.send_buffer_size().unwrap());
        assert_eq!(sizes, (40_000, 60_000), "the kernel doubles");
        assert!(stream.mss().unwrap() > 0);
        let algorithm = stream.congestion().unwrap();
        stream.set_congestion(&algorithm).unwrap();
        assert_eq!(errno(&stream.set_congestion("no-such-thing")), Some(libc::ENOENT));
        assert!(stream.take_error().unwrap().is_none());
        assert_eq!(stream.device().unwrap(), None);
        stream.quickack().unwrap();
        // The same socket by the standard library.
        let stream = stream.into_std().unwrap();
        assert_eq!((stream.ttl().unwrap(), stream.nodelay().unwrap()), (42, false));
    });
}

#[test]
fn options_of_the_other_protocol_are_refused_by_the_kernel() {
    run(async || {
        let v4 = TcpListener::bind(any_port()).unwrap();
        assert!(v4.set_only_v6(true).is_err());
        let v6 = TcpListener::bind("[::1]:0".parse().unwrap()).unwrap();
        v6.set_unicast_hops_v6(9).unwrap();
        v6.set_tclass_v6(0x20).unwrap();
        assert_eq!((v6.unicast_hops_v6().unwrap(), v6.tclass_v6().unwrap()), (9, 0x20));
        // Bound already: too late.
        assert_eq!(errno(&v6.set_only_v6(true)), Some(libc::EINVAL));
    });
}

#[test]
fn a_connection_is_accepted_when_its_peer_has_sent_something() {
    run(async || {
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!((socket.defer_accept().unwrap(), socket.fast_open().unwrap()), (0, 0));
        socket.bind(any_port()).unwrap();
        socket.set_fast_open(u32::MAX).unwrap();
        let listener = socket.listen(16).unwrap();
        listener.set_defer_accept(30).unwrap();
        assert!(listener.defer_accept().unwrap() >= 30, "the kernel rounds up");
        listener.set_fast_open(7).unwrap();
        assert_eq!(listener.fast_open().unwrap(), 7);
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let waiting = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(waiting.is_err(), "accepted, although nothing was sent");
        stream.write_all("hello").await.0.unwrap();
        let accepted = listener.accept().await.unwrap();
        assert_eq!(accepted.read(Vec::with_capacity(8)).await.1, b"hello");
    });
}

#[test]
fn udp_and_unix_options_read_back_as_they_were_set() {
    run(async || {
        let socket = UdpSocket::unbound(false).unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_multicast_loop_v4(false).unwrap();
        socket.set_multicast_ttl_v4(5).unwrap();
        assert!(socket.broadcast().unwrap() && !socket.multicast_loop_v4().unwrap());
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 5);
        let group = "239.1.2.3".parse().unwrap();
        let interface = "127.0.0.1".parse().unwrap();
        socket.bind_to("0.0.0.0:0".parse().unwrap()).unwrap();
        socket.set_multicast_if_v4(&interface).unwrap();
        assert_eq!(socket.multicast_if_v4().unwrap(), interface);
        socket.join_multicast_v4(&group, &interface).unwrap();
        assert_eq!(errno(&socket.join_multicast_v4(&group, &interface)), Some(libc::EADDRINUSE));
        socket.leave_multicast_v4(&group, &interface).unwrap();
        let socket = UdpSocket::bind("[::1]:0".parse().unwrap()).unwrap();
        socket.set_multicast_hops_v6(3).unwrap();
        socket.set_multicast_loop_v6(false).unwrap();
        assert!(!socket.multicast_loop_v6().unwrap());
        assert_eq!(socket.multicast_hops_v6().unwrap(), 3);

        let (one, other) = UnixStream::pair().unwrap();
        one.set_send_buffer_size(50_000).unwrap();
        assert_eq!(one.send_buffer_size().unwrap(), 100_000);
        assert_ne!(one.cookie().unwrap(), other.cookie().unwrap());
    });
}
