//! Unix sockets: names, and queues that are full.

mod common;

use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chainring_net::{UnixDatagram, UnixListener, UnixStream};
use chainring_runtime::spawn;
use chainring_runtime::time::{sleep, timeout};
use common::{errno, pattern, run, settle};
use futures::join;

/// A path that nobody has; removed at the end.
struct Name(PathBuf);

impl Name {
    fn new(name: &str) -> Name {
        Name(std::env::temp_dir().join(format!("chainring-{}-{name}", std::process::id())))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl AsRef<Path> for Name {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

#[test]
fn a_pair_is_connected_both_ways_and_unnamed() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        one.write_all("ping").await.0.unwrap();
        assert_eq!(other.read(vec![0; 8]).await.0.unwrap(), 4);
        other.write_all_vectored(["po", "ng"]).await.0.unwrap();
        let (result, bytes) = one.read_exact([0u8; 4]).await;
        result.unwrap();
        assert_eq!(&bytes, b"pong");
        assert!(one.peer_addr().unwrap().is_unnamed() && one.local_addr().unwrap().is_unnamed());
        let (reads, writes) = one.into_split();
        drop(writes);
        assert_eq!(other.read(vec![0; 8]).await.0.unwrap(), 0);
        drop(other);
        assert_eq!(reads.read(vec![0; 8]).await.0.unwrap(), 0);
    });
}

#[test]
fn abstract_names_connect_and_leave_nothing_in_the_file_system() {
    run(async || {
        let name = format!("chainring-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        assert_eq!(errno(&UnixStream::connect_addr(&address).await), Some(libc::ECONNREFUSED));
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(errno(&UnixListener::bind_addr(&address)), Some(libc::EADDRINUSE));
        let (client, server) = join!(UnixStream::connect_addr(&address), listener.accept());
        let (client, server) = (client.unwrap(), server.unwrap());
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
        assert_eq!(server.local_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
        // The name is free when the last socket of it is gone.
        drop((client, server, listener));
        settle().await;
        UnixListener::bind_addr(&address).unwrap();

        let binary = SocketAddr::from_abstract_name(b"\0chain\0ring\xff").unwrap();
        let socket = UnixDatagram::bind_addr(&binary).unwrap();
        assert_eq!(socket.local_addr().unwrap().as_abstract_name(), Some(&b"\0chain\0ring\xff"[..]));
    });
}

#[test]
fn paths_that_cannot_be_are_refused_with_the_reason() {
    run(async || {
        let long = std::env::temp_dir().join("x".repeat(120));
        for error in [
            UnixListener::bind(&long).unwrap_err(),
            UnixStream::connect(&long).await.unwrap_err(),
            UnixDatagram::bind(&long).unwrap_err(),
            UnixDatagram::unbound().unwrap().send_to("x", &long).await.0.unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("at most 107 bytes"), "{error}");
        }
        for path in ["", "a\0b"] {
            assert_eq!(UnixListener::bind(path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let nobody = Name::new("nobody");
        assert_eq!(errno(&UnixStream::connect(&nobody).await), Some(libc::ENOENT));
        // The longest that there can be.
        let mut longest = std::env::temp_dir().into_os_string();
        longest.push("/");
        longest.push("y".repeat(107 - longest.len()));
        let longest = Name(longest.into());
        let listener = UnixListener::bind(&longest).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(longest.as_ref()));
        UnixStream::connect(&longest).await.unwrap();
        drop(listener);
        settle().await;
        assert_eq!(errno(&UnixStream::connect(&longest).await), Some(libc::ECONNREFUSED));
    });
}

#[test]
fn a_sender_with_an_address_that_cannot_be_named_is_heard_all_the_same() {
    run(async || {
        let name = Name::new("plain");
        let server = UnixDatagram::bind(&name).unwrap();
        // A path as long as the kernel takes it, without a byte for the end: longer than the standard library knows.
        let long = Name(format!("{:q<108}", Name::new("long").0.display()).into());
        let client = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as _, sun_path: [0; 108] };
        for (to, byte) in address.sun_path.iter_mut().zip(long.0.as_os_str().as_bytes()) {
            *to = *byte as _;
        }
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: an address of this frame, of the size given.
        let bound = unsafe { libc::bind(client.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        client.send_to(b"hello", &name).unwrap();
        let (received, bytes) = server.recv_from(vec![0; 8]).await;
        let (len, from) = received.unwrap();
        assert_eq!((&bytes[..len], from.is_unnamed()), (&b"hello"[..], true));
    });
}

#[test]
fn the_peer_says_who_it_is() {
    run(async || {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = one.peer_credentials().unwrap();
        assert_eq!(peer.pid, std::process::id() as i32);
        let own = std::fs::metadata("/proc/self").unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((peer.uid, peer.gid), (own.uid(), own.gid()));
        let alone = UnixDatagram::unbound().unwrap();
        assert!(alone.peer_credentials().is_err());
    });
}

#[test]
fn a_full_pipe_makes_the_writer_wait_and_nothing_is_lost() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let sent = pattern(4 << 20);
        let copy = sent.clone();
        let writer = spawn(async move { one.write_all(copy).await.0 });
        sleep(Duration::from_millis(20)).await;
        assert!(!writer.is_finished(), "the socket took 4 MiB that nobody read");
        let (result, received) = other.read_exact(Vec::with_capacity(sent.len())).await;
        result.unwrap();
        writer.await.unwrap().unwrap();
        assert!(received == sent);
    });
}

#[test]
fn a_writer_whose_peer_goes_away_gets_an_error_and_no_signal() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let writer = spawn(async move { one.write_all(pattern(4 << 20)).await.0 });
        sleep(Duration::from_millis(20)).await;
        drop(other);
        assert_eq!(errno(&writer.await.unwrap()), Some(libc::EPIPE));
    });
}

#[test]
fn datagrams_keep_their_bounds_and_are_cut_off_to_the_buffer() {
    run(async || {
        let (server, client) = (Name::new("server"), Name::new("client"));
        let here = UnixDatagram::bind(&server).unwrap();
        let there = UnixDatagram::bind(&client).unwrap();
        there.send_to("first", &server).await.0.unwrap();
        there.connect(&server).unwrap();
        there.send("the second one").await.0.unwrap();
        there.send("").await.0.unwrap();
        let (received, bytes) = here.recv_from(vec![0; 64]).await;
        let (len, from) = received.unwrap();
        assert_eq!((&bytes[..len], from.as_pathname()), (&b"first"[..], Some(client.as_ref())));
        assert_eq!(here.peek(vec![0; 64]).await.0.unwrap(), 14);
        let (received, bytes) = here.recv(vec![0; 6]).await;
        assert_eq!((received.unwrap(), &bytes[..]), (6, &b"the se"[..]));
        assert_eq!(here.recv(vec![0; 6]).await.0.unwrap(), 0);

        let nameless = UnixDatagram::unbound().unwrap();
        nameless.send_to_addr("hm", &here.local_addr().unwrap()).await.0.unwrap();
        assert!(here.recv_from(vec![0; 8]).await.0.unwrap().1.is_unnamed());
        assert_eq!(errno(&nameless.send("x").await.0), Some(libc::ENOTCONN));
    });
}

#[test]
fn a_full_queue_of_datagrams_makes_the_sender_wait() {
    run(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut sent = 0usize;
        while let Ok((result, _)) = timeout(Duration::from_millis(20), one.send(vec![sent as u8; 512])).await
        {
            result.unwrap();
            sent += 1;
        }
        settle().await;
        for i in 0..sent {
            let (received, bytes) = other.recv(vec![0; 600]).await;
            assert_eq!((received.unwrap(), bytes[0]), (512, i as u8));
        }
        let (sent, received) = join!(one.send("after"), other.recv(vec![0; 8]));
        assert_eq!((sent.0.unwrap(), received.0.unwrap()), (5, 5));
    });
}

#[test]
fn connecting_waits_while_the_backlog_is_full() {
    run(async || {
        let name = Name::new("backlog");
        let listener = UnixListener::bind(&name).unwrap();
        shorten(&listener, 1);
        let mut clients = Vec::new();
        let blocked = loop {
            let connecting = spawn({
                let name = name.0.clone();
                async move { UnixStream::connect(name).await }
            });
            sleep(Duration::from_millis(20)).await;
            if !connecting.is_finished() {
                break connecting;
            }
            clients.push(connecting.await.unwrap().unwrap());
            assert!(clients.len() < 10);
        };
        for _ in 0..clients.len() {
            listener.accept().await.unwrap();
        }
        blocked.await.unwrap().unwrap();
        listener.accept().await.unwrap();
    });
}

/// Makes the backlog of a listening socket shorter.
fn shorten(listener: &UnixListener, backlog: i32) {
    socket2::SockRef::from(listener).listen(backlog).unwrap();
}
