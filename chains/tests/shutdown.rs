//! The sending half of a connection is shut down in the middle of a chain: the peer sees the end of the stream, the
//! frame still receives, and a shutdown that fails keeps what follows it from running.

mod common;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use chainring_chains::{Chain, ErrorKind, Flow, Lowering, Program, Socket, read, write};
use chainring_net::TcpStream;
use chainring_runtime::Runtime;
use common::{beside, connect, listener, pair, soon, watchdog};

/// Sends back five bytes, says that this is all, and receives four more.
fn last_words(lowering: Lowering) -> (Program<Vec<u8>>, Socket) {
    let mut c = Chain::<Vec<u8>>::new("last words");
    c.lowering(lowering);
    let (sock, word, thanks) = (c.accepted(), c.buffer(5), c.buffer(4));
    c.recv_exact(sock, word.all());
    c.send_all(sock, word.all());
    c.shutdown(sock);
    c.recv_exact(sock, thanks.all());
    c.call((read(thanks.all()),), |session, (bytes,)| {
        session.extend_from_slice(bytes);
        Flow::Next
    });
    (c.build().expect("the chain is right"), sock)
}

/// A socket that was never connected: shutting it down fails.
fn lonely() -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    TcpStream::from(OwnedFd::from(socket))
}

#[test]
fn the_peer_sees_the_end_of_the_stream_and_the_frame_still_receives() {
    let _watchdog = watchdog(common::PATIENCE * 2);
    let runtime = Runtime::new().expect("a ring");
    for lowering in [Lowering::Chosen, Lowering::Single] {
        let (program, sock) = last_words(lowering);
        runtime.block_on(async {
            let spawner = program.start(8).expect("room for frames");
            let (here, mut there) = pair();
            let frame = spawner
                .spawn(Vec::new(), |init| {
                    init.socket(sock, here);
                })
                .expect("a frame");
            let client = std::thread::spawn(move || {
                there.write_all(b"hello").expect("send");
                let mut answer = Vec::new();
                there.read_to_end(&mut answer).expect("an end of the stream");
                there.write_all(b"bye!").expect("the other half is open");
                answer
            });
            let exit = soon("the frame", frame).await;
            assert!(exit.result.is_ok(), "{lowering:?}: {:?}", exit.result);
            assert_eq!(exit.session, b"bye!");
            assert_eq!(client.join().expect("the client"), b"hello");
        });
    }
}

#[test]
fn a_shutdown_fails_and_the_step_behind_it_does_not_run() {
    let runtime = Runtime::new().expect("a ring");
    for lowering in [Lowering::Chosen, Lowering::Single] {
        let mut c = Chain::new("careful");
        c.lowering(lowering);
        let (gone, other, text) = (c.socket(), c.socket(), c.buffer(4));
        c.call((write(text.all()),), |_, (text,)| {
            text.fill(b'x');
            Flow::Next
        });
        // Nothing is computed between these two: only that the first does not sever keeps them apart.
        c.shutdown(gone);
        c.send_all(other, text.all());
        let program: Program<()> = c.build().expect("the chain is right");
        runtime.block_on(async {
            let spawner = program.start(1).expect("room for frames");
            let (here, mut there) = pair();
            let frame = spawner
                .spawn((), |init| {
                    init.socket(gone, lonely()).socket(other, here);
                })
                .expect("a frame");
            let mut exit = soon("the frame", frame).await;
            let error = exit.result.expect_err("the socket was never connected");
            assert!(matches!(error.kind(), ErrorKind::Errno(libc::ENOTCONN)), "{error}");
            assert_eq!((error.step(), error.name()), (2, "shutdown"));
            // What comes first at the other socket's peer is what is sent now.
            let other = exit.sockets.take(other).expect("it is the frame's");
            soon("the send", other.write_all("end")).await.0.expect("send");
            let mut first = [0; 3];
            there.read_exact(&mut first).expect("receive");
            assert_eq!(&first, b"end");
        });
    }
}

#[test]
fn a_server_shuts_down_what_it_has_answered() {
    let _watchdog = watchdog(common::PATIENCE * 2);
    let (program, _) = last_words(Lowering::Chosen);
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    beside(&runtime, program.serve(listener, |_| Vec::new()), || {
        for _ in 0..100 {
            let mut client = connect(address);
            client.write_all(b"hello").expect("send");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).expect("an end of the stream");
            assert_eq!(answer, b"hello");
            client.write_all(b"bye!").expect("the other half is open");
            // The frame has ended, and closed its socket.
            assert_eq!(client.read(&mut [0]).expect("a close"), 0);
        }
    });
}

#[test]
fn a_shutdown_ends_its_segment_because_it_does_not_sever() {
    let (program, _) = last_words(Lowering::Chosen);
    let text = program.explain().to_string();
    let linked = "\
  segment 0: linked, 3 SQEs submitted at once, 1 completion
    recv_exact #1    s0 -> b0[0..5]                   link skip waitall
    send_all #2      s0 <- b0[0..5]                   link skip waitall
    shutdown #3      s0
    ends because a failure of its last step would not keep the next from running
    then segment 1
";
    assert!(text.contains(linked), "{text}");
}

#[test]
fn a_send_behind_a_shutdown_on_every_path_is_refused() {
    let mut c = Chain::<()>::new("too late");
    let (sock, word) = (c.accepted(), c.buffer(5));
    c.recv_exact(sock, word.all());
    c.shutdown(sock);
    c.send_all(sock, word.all());
    let error = c.build().expect_err("nothing can be sent any more");
    assert_eq!(error.step(), Some(3));
    assert_eq!(
        error.to_string(),
        "chain too late, step 3 (send_all): the sending half of socket s0 was shut down on every path to it"
    );

    let mut c = Chain::<()>::new("twice");
    let sock = c.accepted();
    c.shutdown(sock);
    c.shutdown(sock);
    assert_eq!(c.build().expect_err("it is shut down").step(), Some(2));
}

#[test]
fn a_send_behind_a_shutdown_on_one_path_is_the_writers_affair() {
    let mut c = Chain::<()>::new("perhaps");
    let (sock, other, word) = (c.accepted(), c.socket(), c.buffer(5));
    c.recv_exact(sock, word.all());
    c.when(word.u8(0).eq(u64::from(b'q')), |c| c.shutdown(sock));
    c.send_all(sock, word.all());
    // Another socket has nothing to do with it.
    c.shutdown(sock);
    c.send_all(other, word.all());
    c.build().expect("one path can work");
}

#[test]
fn a_shutdown_of_another_builders_socket_is_refused() {
    let foreign = Chain::<()>::new("one").accepted();
    let mut c = Chain::<()>::new("other");
    c.accepted();
    c.shutdown(foreign);
    assert_eq!(c.build().expect_err("a foreign socket").step(), Some(1));
}
