//! TCP connections in the ring's own table.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use chainring_net::tcp::DirectTcpStream;
use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::op::files_update::DirectFiles;
use chainring_runtime::time::timeout;
use chainring_runtime::{Builder, Capability, Handle, spawn};
use common::{alone, any_port, descriptors, errno, pattern, poll_once, run, run_on, settle};
use futures::{FutureExt, StreamExt};

fn with(places: u32) -> Builder {
    Builder::new().direct_descriptors(places)
}

/// A listener, and a client of the standard library for each connection.
struct Door(TcpListener, SocketAddr);

impl Door {
    fn open() -> Door {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        Door(listener, address)
    }

    /// One who has connected, and waits no longer than two seconds for anything.
    fn knock(&self) -> std::net::TcpStream {
        let client = std::net::TcpStream::connect(self.1).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        client
    }

    async fn pair(&self) -> (DirectTcpStream, std::net::TcpStream) {
        let client = self.knock();
        (self.0.accept_direct().await.unwrap(), client)
    }
}

/// Keeps a value for ever. It stays reachable, so that a search for leaks does not report what is leaked on purpose.
fn leak<T>(value: T) {
    static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let leaked = std::ptr::from_mut(Box::leak(Box::new(value))) as usize;
    LEAKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(leaked);
}

/// What is read until the end of the stream.
async fn rest(mut client: std::net::TcpStream) -> std::io::Result<Vec<u8>> {
    chainring_runtime::spawn_blocking(move || {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).map(|_| bytes)
    })
    .await
    .unwrap()
}

/// That a stream works: bytes there and back.
async fn talk(stream: &DirectTcpStream, client: &mut std::net::TcpStream) {
    client.write_all(b"ping").unwrap();
    let (result, bytes) = stream.read(Vec::with_capacity(16)).await;
    assert_eq!((result.unwrap(), &bytes[..]), (4, &b"ping"[..]));
    stream.write_all("pong").await.0.unwrap();
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"pong");
}

#[test]
fn an_echo_server_and_its_clients_need_no_descriptors_of_the_process() {
    run_on(with(64), async || {
        let Door(listener, address) = Door::open();
        let before = descriptors();
        let server = spawn(async move {
            let mut incoming = listener.incoming_direct().take(20);
            let mut echoes = Vec::new();
            while let Some(stream) = incoming.next().await {
                let stream = stream.unwrap();
                echoes.push(spawn(async move {
                    loop {
                        let (result, bytes) = stream.read(Vec::with_capacity(4096)).await;
                        if result.unwrap() == 0 {
                            return stream.shutdown(std::net::Shutdown::Write).await.unwrap();
                        }
                        stream.write_all(bytes).await.0.unwrap();
                    }
                }));
            }
            assert_eq!(descriptors(), before);
            for echo in echoes {
                echo.await.unwrap();
            }
        });
        let clients = (0..20).map(async |i| {
            let stream = DirectTcpStream::connect(address).await.unwrap();
            let message = pattern(50_000 + i);
            let (sent, received) = futures::join!(
                async {
                    stream.write_all(message.clone()).await.0.unwrap();
                    stream.shutdown(std::net::Shutdown::Write).await
                },
                stream.read_exact(vec![0; message.len()].into_boxed_slice()),
            );
            sent.unwrap();
            received.0.unwrap();
            assert!(received.1[..] == message);
            let (end, _) = stream.read(vec![0; 1]).await;
            assert_eq!(end.unwrap(), 0);
        });
        futures::future::join_all(clients).await;
        server.await.unwrap();
    });
}

#[test]
fn what_an_ordinary_stream_can_do_a_direct_one_does_too() {
    run_on(with(4), async || {
        let door = Door::open();
        let (stream, mut client) = door.pair().await;
        talk(&stream, &mut client).await;

        client.write_all(b"0123456789").unwrap();
        stream.readable().await.unwrap();
        stream.writable().await.unwrap();
        let (peeked, bytes) = stream.peek(vec![0; 4]).await;
        assert_eq!((peeked.unwrap(), &bytes[..]), (4, &b"0123"[..]));
        let boxed = |len| vec![0; len].into_boxed_slice();
        let (result, (one, two)) = stream.read_vectored((boxed(3), boxed(4))).await;
        assert_eq!((result.unwrap(), &one[..], &two[..]), (7, &b"012"[..], &b"3456"[..]));
        let pool = PoolOptions::new().buffer_size(64).ready(4).build().unwrap();
        assert_eq!(&stream.read_pooled(&pool).await.unwrap()[..], b"789");

        client.write_all(b"again").unwrap();
        let mut multi = stream.read_multi(&pool);
        assert_eq!(&multi.next().await.unwrap().unwrap()[..], b"again");
        drop(multi);

        assert_eq!(stream.write_vectored(vec!["a", "bc"]).await.0.unwrap(), 3);
        stream.write_all_vectored(vec!["de", "", "f"]).await.0.unwrap();
        if Handle::current().capabilities().socket_options() {
            stream.set_nodelay(true).await.unwrap();
        }
        drop(stream);
        assert_eq!(rest(client).await.unwrap(), b"abcdef");
    });
}

#[test]
fn a_full_table_leaves_connections_in_the_backlog() {
    run_on(with(2), async || {
        let door = Door::open();
        let (one, two) = (door.pair().await, door.pair().await);
        let mut waiting = door.knock();
        let refused = door.0.accept_direct().await;
        assert_eq!(errno(&refused), Some(libc::ENFILE));
        assert_eq!(errno(&DirectTcpStream::connect(door.1).await), Some(libc::ENFILE));
        // The one that is told of the shortage first takes the rest, the other then waits.
        let mut incoming = door.0.incoming_direct();
        assert_eq!(errno(&incoming.next().await.unwrap()), Some(libc::ENFILE));
        drop(one);
        let third = incoming.next().await.unwrap().unwrap();
        talk(&third, &mut waiting).await;
        drop(two);
    });
}

#[test]
fn an_accept_that_is_dropped_leaves_no_place_occupied() {
    run_on(with(1), async || {
        let door = Door::open();
        for round in 0..50 {
            let mut accepting = Box::pin(door.0.accept_direct());
            assert!(accepting.as_mut().now_or_never().is_none());
            // Before the submission, in flight, and with a connection that has come meanwhile.
            let late = match round % 3 {
                0 => None,
                1 => {
                    chainring_runtime::yield_now().await;
                    None
                }
                _ => {
                    chainring_runtime::yield_now().await;
                    Some(door.knock())
                }
            };
            drop(accepting);
            settle().await;
            if let Some(late) = late {
                // Accepted too late it is closed, and else it is still in the backlog.
                let next = timeout(Duration::from_millis(20), door.0.accept_direct()).await;
                drop(next.map(Result::unwrap));
                settle().await;
                assert_eq!(rest(late).await.unwrap(), b"");
            }
        }
        let (stream, mut client) = door.pair().await;
        talk(&stream, &mut client).await;
    });
}

#[test]
fn a_connect_that_is_dropped_or_refused_leaves_no_place_occupied() {
    run_on(with(1), async || {
        let door = Door::open();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for turns in 0..8 {
            let mut connecting = Box::pin(DirectTcpStream::connect(door.1));
            for _ in 0..turns {
                if connecting.as_mut().now_or_never().is_some() {
                    break;
                }
                chainring_runtime::yield_now().await;
            }
            drop(connecting);
            settle().await;
            assert_eq!(errno(&DirectTcpStream::connect(closed).await), Some(libc::ECONNREFUSED));
            settle().await;
        }
        let stream = DirectTcpStream::connect(door.1).await.unwrap();
        assert_eq!(stream.write("hello").await.0.unwrap(), 5);
    });
}

#[test]
fn a_stream_is_open_until_its_last_operation_has_ended() {
    run_on(with(1), async || {
        let door = Door::open();
        let (stream, mut client) = door.pair().await;
        let mut reading = stream.read(vec![0; 8]);
        assert!(poll_once(&mut reading).is_pending());
        assert!(stream.descriptor().is_shared());
        drop(stream);
        assert_eq!(errno(&door.0.accept_direct().await), Some(libc::ENFILE), "the place is not free yet");
        client.write_all(b"late").unwrap();
        let (result, bytes) = reading.await;
        assert_eq!((result.unwrap(), &bytes[..]), (4, &b"late"[..]));
        assert_eq!(rest(client).await.unwrap(), b"");
    });
}

#[test]
fn the_end_of_the_runtime_closes_what_was_dropped_and_what_was_leaked() {
    let _alone = alone();
    let mut clients = Vec::new();
    with(8).build().unwrap().block_on(async {
        let door = Door::open();
        for i in 0..4 {
            let (stream, client) = door.pair().await;
            clients.push(client);
            let mut reading = stream.read(vec![0; 8]);
            assert!(poll_once(&mut reading).is_pending());
            match i {
                0 => leak((stream, reading)),
                1 => leak(spawn(async move { (reading.await, stream) })),
                2 => drop(spawn(async move { (reading.await, stream) })),
                _ => drop((stream, reading)),
            }
        }
    });
    for mut client in clients {
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).unwrap(), 0, "the peer was not told of the end");
    }
}

#[test]
fn a_direct_stream_can_outlive_its_runtime_without_doing_harm() {
    let _alone = alone();
    let stream = with(2).build().unwrap().block_on(async { Door::open().pair().await.0 });
    let other = with(2).build().unwrap();
    other.block_on(async {
        // At the same place of another table.
        let door = Door::open();
        let (ours, mut client) = door.pair().await;
        assert_eq!(errno(&stream.write("astray").await.0), Some(libc::EBADF));
        assert_eq!(errno(&stream.shutdown(std::net::Shutdown::Both).await), Some(libc::EBADF));
        drop(stream);
        settle().await;
        talk(&ours, &mut client).await;
    });
}

#[test]
fn an_operation_of_another_runtime_takes_no_place_of_this_one() {
    let _alone = alone();
    let (here, there) = (with(1).build().unwrap(), with(1).build().unwrap());
    let door = here.block_on(async { Door::open() });
    let mut accepting = Box::pin(door.0.accept_direct());
    let _knocking = door.knock();
    // What was made here is submitted there, and refused.
    let made_here =
        here.block_on(async { chainring_runtime::op::accept::accept_direct(door.0.descriptor()) });
    let refused = there.block_on(made_here.unwrap());
    assert_eq!(errno(&refused), Some(libc::EBADF));
    let stream = there.block_on(accepting.as_mut()).unwrap();
    assert_eq!(there.block_on(stream.write("hello")).0.unwrap(), 5);
}

#[test]
fn an_ordinary_stream_of_a_direct_one_knows_its_addresses() {
    run_on(with(2), async || {
        let door = Door::open();
        let (stream, mut client) = door.pair().await;
        if !Handle::current().capabilities().fixed_fd_install() {
            let refused = stream.to_tcp_stream().await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
            return;
        }
        let ordinary: TcpStream = stream.to_tcp_stream().await.unwrap();
        assert_eq!(ordinary.peer_addr().unwrap(), client.local_addr().unwrap());
        talk(&stream, &mut client).await;
        drop(stream);
        settle().await;
        ordinary.write_all("still there").await.0.unwrap();
        drop(ordinary);
        assert_eq!(rest(client).await.unwrap(), b"still there");
    });
}

#[test]
fn what_the_kernel_is_too_old_for_is_said() {
    let masked =
        Builder::new().direct_descriptors(1).mask(Capability::FixedFdInstall).mask(Capability::SocketOptions);
    run_on(masked, async || {
        let (stream, _client) = Door::open().pair().await;
        let refused = stream.to_tcp_stream().await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
        assert!(refused.to_string().contains("6.8"), "{refused}");
        let refused = stream.set_nodelay(true).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
        assert!(refused.to_string().contains("6.7"), "{refused}");
    });
}

#[test]
fn a_runtime_without_direct_descriptors_says_so() {
    run(async || {
        let door = Door::open();
        let refused = door.0.accept_direct().await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
        assert!(refused.to_string().contains("direct_descriptors"), "{refused}");
    });
}

#[test]
fn the_users_table_and_direct_streams_live_together() {
    run_on(with(2), async || {
        let door = Door::open();
        let (stream, _client) = door.pair().await;
        assert_eq!(errno(&DirectFiles::register(8)), Some(libc::EBUSY));
        drop(stream);
        settle().await;
        let table = DirectFiles::register(8).unwrap();
        assert_eq!(table.len(), 8);
        let (one, mut one_client) = door.pair().await;
        let (two, mut two_client) = door.pair().await;
        assert_eq!(errno(&door.0.accept_direct().await), Some(libc::ENFILE));
        talk(&one, &mut one_client).await;
        talk(&two, &mut two_client).await;
    });
}
