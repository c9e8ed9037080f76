//! TCP streams: what comes out of them, and how they end.

mod common;

use std::io;
use std::net::{Shutdown, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainring_net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use chainring_runtime::spawn;
use chainring_runtime::time::{sleep, timeout};
use common::{any_port, errno, pattern, poll_once, run, settle, tcp_pair};
use futures::join;

#[test]
fn bytes_arrive_in_order_whatever_the_sizes_of_sends_and_receives() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let sent = pattern(3 << 20);
        let sending = async {
            let (result, _) = there.write_all(sent.clone()).await;
            result.unwrap();
            there.shutdown(Shutdown::Write).await.unwrap();
        };
        let receiving = async {
            let (mut all, mut buffer) = (Vec::new(), Vec::with_capacity(10_007));
            loop {
                let (received, back) = here.read(buffer).await;
                buffer = back;
                if received.unwrap() == 0 {
                    return all;
                }
                all.extend_from_slice(&buffer);
            }
        };
        let ((), received) = join!(sending, receiving);
        assert!(received == sent);
    });
}

#[test]
fn vectored_transfers_keep_the_order_of_their_parts() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let (sent, _) = there.write_vectored(["one ", "two ", "three"]).await;
        assert_eq!(sent.unwrap(), 13);
        let (received, parts) = here.read_vectored((vec![0; 4], [0u8; 4], vec![0; 64])).await;
        assert_eq!(received.unwrap(), 13);
        assert_eq!((&parts.0[..], &parts.1[..], &parts.2[..]), (&b"one "[..], &b"two "[..], &b"three"[..]));
        // More than the socket takes at once, the parts of many sizes.
        let parts: Vec<Vec<u8>> = (0..300).map(|i| pattern(i * 97)).collect();
        let expected = parts.concat();
        let (sent, received) =
            join!(there.write_all_vectored(parts), here.read_exact(Vec::with_capacity(expected.len())));
        sent.0.unwrap();
        received.0.unwrap();
        assert!(received.1 == expected);
    });
}

#[test]
fn peeked_bytes_stay_in_the_socket() {
    run(async || {
        let (here, there) = tcp_pair().await;
        there.write_all("bytes").await.0.unwrap();
        for _ in 0..2 {
            let (peeked, buffer) = here.peek(vec![0; 16]).await;
            assert_eq!((peeked.unwrap(), &buffer[..]), (5, &b"bytes"[..]));
        }
        here.readable().await.unwrap();
        assert_eq!(here.read(vec![0; 16]).await.0.unwrap(), 5);
    });
}

#[test]
fn an_exact_read_waits_for_all_and_tells_when_the_stream_ends_before() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let slowly = async {
            for part in ["ab", "cd", "ef"] {
                there.write_all(part).await.0.unwrap();
                sleep(Duration::from_millis(5)).await;
            }
            there.shutdown(Shutdown::Write).await.unwrap();
        };
        let reading = async {
            let (result, buffer) = here.read_exact([0u8; 4]).await;
            result.unwrap();
            assert_eq!(&buffer, b"abcd");
            let (result, buffer) = here.read_exact(Vec::with_capacity(4)).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(buffer, b"ef");
        };
        join!(slowly, reading);
    });
}

#[test]
fn empty_buffers_transfer_nothing_and_do_not_wait() {
    run(async || {
        let (here, there) = tcp_pair().await;
        assert_eq!(there.write("").await.0.unwrap(), 0);
        there.write_all(Vec::new()).await.0.unwrap();
        there.write_all_vectored(["", ""]).await.0.unwrap();
        there.write_all_vectored(Vec::<String>::new()).await.0.unwrap();
        here.read_exact([0u8; 0]).await.0.unwrap();
        here.read_exact(Vec::new()).await.0.unwrap();
        there.write_all("x").await.0.unwrap();
        assert_eq!(here.read([0u8; 0]).await.0.unwrap(), 0);
        assert_eq!(here.read([0u8; 8]).await.0.unwrap(), 1);
    });
}

#[test]
fn a_peer_that_ends_one_direction_still_gets_the_other() {
    run(async || {
        let (here, there) = tcp_pair().await;
        there.write_all("question").await.0.unwrap();
        there.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(here.read(vec![0; 64]).await.0.unwrap(), 8);
        assert_eq!(here.read(vec![0; 64]).await.0.unwrap(), 0);
        here.write_all("answer").await.0.unwrap();
        assert_eq!(there.read(vec![0; 64]).await.0.unwrap(), 6);
        assert_eq!(errno(&there.write("more").await.0), Some(libc::EPIPE));
        // All of nothing is sent without looking, as by the standard library.
        there.write_all("").await.0.unwrap();
    });
}

#[test]
fn a_reset_reaches_whoever_waits() {
    run(async || {
        let (here, there) = tcp_pair().await;
        there.set_linger(Some(Duration::ZERO)).unwrap();
        let reset = async move {
            sleep(Duration::from_millis(10)).await;
            drop(there);
        };
        let ((), (received, _)) = join!(reset, here.read(vec![0; 64]));
        assert_eq!(errno(&received), Some(libc::ECONNRESET));
        assert_eq!(errno(&here.write("x").await.0), Some(libc::EPIPE));
        assert_eq!(errno(&here.peer_addr()), Some(libc::ENOTCONN));
    });
}

#[test]
fn nobody_listening_refuses_and_the_next_address_is_tried() {
    run(async || {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(errno(&TcpStream::connect(closed).await), Some(libc::ECONNREFUSED));
        let listener = TcpListener::bind(any_port()).unwrap();
        let addresses = [closed, listener.local_addr().unwrap()];
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        let nowhere = TcpStream::connect(&[][..]).await.unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn names_are_looked_up_and_wrong_ones_are_errors() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let found: Vec<SocketAddr> = lookup_host(("localhost", port)).await.unwrap().collect();
        assert!(found.contains(&listener.local_addr().unwrap()), "{found:?}");
        // The name may stand for an IPv6 address too, where nobody listens.
        drop(TcpStream::connect(format!("localhost:{port}")).await.unwrap());
        drop(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        for wrong in ["localhost", "localhost:http2", "127.0.0.1:65536"] {
            let error = TcpStream::connect(wrong).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong}");
        }
        assert!(TcpStream::connect("no such name:80").await.is_err());
    });
}

#[test]
fn an_unreachable_address_is_an_error_at_once() {
    run(async || {
        // Class E is nowhere to be routed to; broadcast is no peer of TCP.
        for address in ["255.255.255.255:80", "[::ffff:255.255.255.255]:80"] {
            let error = TcpStream::connect(address).await.unwrap_err();
            let expected = [libc::ENETUNREACH, libc::EACCES, libc::EHOSTUNREACH];
            assert!(expected.contains(&error.raw_os_error().unwrap()), "{address}: {error}");
        }
    });
}

#[test]
fn a_peer_that_does_not_answer_is_given_up_after_the_limit() {
    run(async || {
        // A backlog of one that is full: the kernel drops whoever knocks.
        let full = TcpListener::builder().backlog(0).bind(any_port()).unwrap();
        let address = full.local_addr().unwrap();
        let _first = TcpStream::connect(address).await.unwrap();
        let mut waiting = Vec::new();
        let begin = Instant::now();
        loop {
            match TcpStream::connect_timeout(address, Duration::from_millis(60)).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    break;
                }
            }
            assert!(waiting.len() < 10, "the backlog is never full");
        }
        assert!(begin.elapsed() >= Duration::from_millis(60));
        // One that does not answer leaves time for one that does.
        let listener = TcpListener::bind(any_port()).unwrap();
        let addresses = [address, listener.local_addr().unwrap()];
        let stream = TcpStream::connect_timeout(&addresses[..], Duration::from_millis(400)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        settle().await;
    });
}

#[test]
fn a_full_socket_makes_the_writer_wait_and_nothing_is_lost() {
    run(async || {
        let (here, there) = tcp_pair().await;
        there.set_send_buffer_size(64 << 10).unwrap();
        let sent = pattern(16 << 20);
        let copy = sent.clone();
        let writer = spawn(async move { there.write_all(copy).await.0 });
        sleep(Duration::from_millis(30)).await;
        assert!(!writer.is_finished(), "the socket took 16 MiB that nobody read");
        let (result, received) = here.read_exact(Vec::with_capacity(sent.len())).await;
        result.unwrap();
        writer.await.unwrap().unwrap();
        assert!(received == sent);
    });
}

#[test]
fn a_peer_that_sends_no_more_makes_no_room() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let there = Rc::new(there);
        let copy = there.clone();
        let writer = spawn(async move { copy.write_all(vec![7; 16 << 20]).await.0 });
        sleep(Duration::from_millis(30)).await;
        here.shutdown(Shutdown::Write).await.unwrap();
        let waiting = there.clone();
        let waiter = spawn(async move { waiting.writable().await });
        sleep(Duration::from_millis(10)).await;
        assert!(!waiter.is_finished(), "there is no room");
        here.read_exact(Vec::with_capacity(16 << 20)).await.0.unwrap();
        timeout(Duration::from_secs(5), waiter).await.expect("there is room").unwrap().unwrap();
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn a_dropped_read_is_cancelled_and_the_next_one_gets_the_bytes() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let mut read = here.read(vec![0; 64]);
        assert!(poll_once(&mut read).is_pending());
        drop(read);
        settle().await;
        there.write_all("later").await.0.unwrap();
        assert_eq!(here.read(vec![0; 64]).await.0.unwrap(), 5);
        let slow = timeout(Duration::from_millis(20), here.read(vec![0; 64])).await;
        assert!(slow.is_err());
    });
}

#[test]
fn halves_work_apart_and_come_together_again() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let (reads, writes) = here.into_split();
        let (others, _kept) = tcp_pair().await;
        let (strange, _writes) = others.into_split();
        let error = strange.reunite(writes).unwrap_err();
        let (_, writes) = (error.0, error.1);
        let here = reads.reunite(writes).unwrap();
        here.write_all("whole").await.0.unwrap();
        assert_eq!(there.read(vec![0; 64]).await.0.unwrap(), 5);

        let (reads, writes) = here.into_split();
        let echo = spawn(async move {
            let (n, bytes) = reads.read(vec![0; 64]).await;
            n.unwrap();
            writes.write_all(bytes).await.0.unwrap();
            // The writing half ends here, and with it its direction.
            drop(writes);
            reads.read(vec![0; 64]).await.0.unwrap()
        });
        there.write_all("ping").await.0.unwrap();
        assert_eq!(there.read(vec![0; 64]).await.0.unwrap(), 4);
        assert_eq!(there.read(vec![0; 64]).await.0.unwrap(), 0);
        there.write_all("still there").await.0.unwrap();
        assert_eq!(echo.await.unwrap(), 11);
    });
}

#[test]
fn a_forgotten_writing_half_ends_nothing() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let (reads, writes) = here.into_split();
        writes.forget();
        let silent = timeout(Duration::from_millis(20), there.read(vec![0; 8])).await;
        assert!(silent.is_err(), "the peer saw an end");
        there.write_all("x").await.0.unwrap();
        assert_eq!(reads.read(vec![0; 8]).await.0.unwrap(), 1);
    });
}

#[test]
fn ipv6_streams_carry_flow_and_scope() {
    run(async || {
        let listener = TcpListener::bind("[::1]:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), stream.local_addr().unwrap());
        // A link-local address means nothing without an interface, and one that is not there does not exist.
        let link_local = "fe80::1".parse().unwrap();
        let unscoped = TcpStream::connect(SocketAddrV6::new(link_local, 9, 0, 0)).await;
        assert_eq!(errno(&unscoped), Some(libc::EINVAL));
        let foreign = TcpStream::connect(SocketAddrV6::new(link_local, 9, 0, 999_999)).await;
        assert!(
            matches!(errno(&foreign), Some(libc::ENODEV | libc::EINVAL | libc::ENETUNREACH)),
            "{foreign:?}"
        );
        // One listener for both families, or for IPv6 alone.
        let both = TcpListener::builder().only_v6(false).bind("[::]:0".parse().unwrap()).unwrap();
        let port = both.local_addr().unwrap().port();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let accepted = both.accept().await.unwrap();
        let SocketAddr::V6(peer) = accepted.peer_addr().unwrap() else { panic!("an IPv4 address") };
        assert_eq!(peer.ip().to_ipv4_mapped(), Some([127, 0, 0, 1].into()));
        drop(stream);
        let only = TcpListener::builder().only_v6(true).bind("[::]:0".parse().unwrap()).unwrap();
        let refused = TcpStream::connect(("127.0.0.1", only.local_addr().unwrap().port())).await;
        assert_eq!(errno(&refused), Some(libc::ECONNREFUSED));
    });
}

#[test]
fn a_bound_socket_connects_from_its_address() {
    run(async || {
        let server = TcpSocket::new_v4().unwrap();
        server.set_reuse_address(true).unwrap();
        server.bind(any_port()).unwrap();
        let listener = server.listen(16).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let own = client.local_addr().unwrap();
        let stream = client.connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().peer_addr().unwrap(), own);
        assert_eq!(stream.local_addr().unwrap(), own);
    });
}

#[test]
fn sockets_pass_into_the_standard_library_and_back() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let mut reading = here.read(vec![0; 8]);
        assert!(poll_once(&mut reading).is_pending());
        let here = here.into_std().unwrap_err();
        drop(reading);
        settle().await;
        let std = here.into_std().unwrap();
        // Non-blocking, as other runtimes leave them.
        std.set_nonblocking(true).unwrap();
        let here = TcpStream::from_std(std);
        let late = async {
            sleep(Duration::from_millis(10)).await;
            there.write_all("late").await.0.unwrap();
        };
        let ((received, _), ()) = join!(here.read(vec![0; 8]), late);
        assert_eq!(received.unwrap(), 4);

        let listener = TcpListener::bind(any_port()).unwrap().into_std().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener);
        let address = listener.local_addr().unwrap();
        let (accepted, connected) = join!(listener.accept(), TcpStream::connect(address));
        assert!(accepted.is_ok() && connected.is_ok());
        assert!(listener.as_fd().try_clone_to_owned().is_ok());
    });
}

#[test]
fn sending_without_a_copy_delivers_the_same_bytes() {
    run(async || {
        let (here, there) = tcp_pair().await;
        for len in [1, 4096, 1 << 20] {
            let (sent, received) = join!(
                there.write_all_zero_copy(pattern(len), chainring_net::tcp::ZERO_COPY_FROM),
                here.read_exact(Vec::with_capacity(len))
            );
            sent.0.unwrap();
            received.0.unwrap();
            assert!(received.1[..len] == pattern(len));
        }
        let (sent, _) = there.write_zero_copy(pattern(5000)).await;
        assert_eq!(sent.unwrap(), 5000);
    });
}
