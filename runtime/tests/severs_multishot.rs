//! What comes behind a multishot operation in a chain, on the running kernel: it waits until the multishot has ended, and
//! is cancelled if that was a failure.

mod cases;
mod common;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::pin::Pin;

use cases::World;
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::op::accept::{AcceptMulti, accept_multi};
use chainring_runtime::op::nop::nop;
use chainring_runtime::op::poll::{PollMulti, poll_multi};
use chainring_runtime::op::read_multi::{ReadMulti, read_multi};
use chainring_runtime::op::recv_multi::{RecvMulti, recv_multi};
use chainring_runtime::op::recvmsg_multi::{RecvMsgMulti, recvmsg_multi};
use chainring_runtime::op::{ALL, Facts, Operation, Severs};
use chainring_runtime::{Builder, Handle};
use common::{errno, own, poll_once, run, tcp, turns};
use futures::future::join3;
use futures::{Stream, StreamExt, TryStreamExt};
use socket2::{Domain, Socket, Type};

type More = Box<dyn FnMut()>;
type Items = Pin<Box<dyn Stream<Item = io::Result<()>>>>;

struct Multishot {
    facts: Facts,
    /// One that completes each time the function is called; and ends if the function is dropped, or does not.
    working: fn(&World) -> (Items, More),
    ends: bool,
    /// One that fails at once, where there can be one.
    failing: Option<fn(&World) -> Items>,
}

fn items<T: 'static>(stream: impl Stream<Item = io::Result<T>> + 'static) -> Items {
    Box::pin(stream.map_ok(drop))
}

fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

fn unconnected() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
}

fn multishots() -> [Multishot; 5] {
    [
        Multishot {
            facts: AcceptMulti::FACTS,
            working: |_| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let connect = move || drop(TcpStream::connect(address).unwrap());
                (items(accept_multi(&own(listener))), Box::new(connect))
            },
            ends: false,
            failing: Some(|_| items(accept_multi(&own(udp())))),
        },
        Multishot {
            facts: <PollMulti>::FACTS,
            working: |_| {
                let (read, mut write) = io::pipe().unwrap();
                let events = poll_multi(&own(read), libc::POLLIN as u32);
                (items(events), Box::new(move || write.write_all(b"x").unwrap()))
            },
            ends: false,
            // It only fails when it is cancelled.
            failing: None,
        },
        Multishot {
            facts: <RecvMulti>::FACTS,
            working: |w| {
                let (here, mut there) = tcp();
                let received = recv_multi(&here, &w.pool(), 0);
                (items(received), Box::new(move || there.write_all(b"x").unwrap()))
            },
            ends: true,
            failing: Some(|w| items(recv_multi(&own(unconnected()), &w.pool(), 0))),
        },
        Multishot {
            facts: RecvMsgMulti::FACTS,
            working: |w| {
                let (here, there) = (udp(), udp());
                let to = here.local_addr().unwrap();
                let send = move || assert_eq!(there.send_to(b"x", to).unwrap(), 1);
                (items(recvmsg_multi(&own(here), &w.pool(), 0)), Box::new(send))
            },
            ends: false,
            failing: Some(|w| items(recvmsg_multi(&own(unconnected()), &w.pool(), 0))),
        },
        Multishot {
            facts: ReadMulti::FACTS,
            working: |w| {
                let (read, mut write) = io::pipe().unwrap();
                let bytes = read_multi(&own(read), &w.pool());
                (items(bytes), Box::new(move || write.write_all(b"x").unwrap()))
            },
            ends: true,
            failing: Some(|w| items(read_multi(&w.dir.file("f", b"not to be polled"), &w.pool()))),
        },
    ]
}

#[test]
fn every_opcode_that_is_only_multishot_is_here() {
    for facts in ALL.iter().filter(|facts| facts.multishot) {
        assert!(multishots().iter().any(|multishot| multishot.facts == *facts), "{}", facts.name);
    }
}

/// Runs `test` with every multishot of this kernel.
fn each(test: impl AsyncFn(&World, Multishot)) {
    run(&Builder::new(), async || {
        for multishot in multishots() {
            let (facts, capabilities) = (multishot.facts, Handle::current().capabilities());
            if facts.needs.is_none_or(|needed| capabilities.has(needed)) {
                println!("{}", facts.name);
                assert!(facts.multishot);
                assert_ne!(facts.severs, Severs::Never);
                test(&World::new(), multishot).await;
                Handle::current().injector().clear();
            }
        }
    });
}

#[test]
fn one_that_fails_at_once_severs() {
    each(async |world, multishot| {
        let Some(failing) = multishot.failing else { return };
        Handle::current().injector().link(2);
        let mut stream = failing(world);
        let (before, result, next) = join3(nop(), stream.next(), nop()).await;
        assert!(before.is_ok(), "found when the chain was prepared");
        assert!(result.unwrap().is_err());
        assert_eq!(errno(&next), Some(libc::ECANCELED));
    });
}

#[test]
fn one_that_is_cancelled_between_two_completions_severs() {
    each(async |world, multishot| {
        let (mut stream, mut more) = (multishot.working)(world);
        Handle::current().injector().link(1);
        assert!(poll_once(&mut stream.next()).is_pending());
        let mut next = nop();
        assert!(poll_once(&mut next).is_pending());
        for _ in 0..3 {
            more();
            assert!(stream.next().await.unwrap().is_ok());
            turns(3).await;
            assert!(poll_once(&mut next).is_pending(), "ran before the multishot has ended");
        }
        drop(stream);
        assert_eq!(errno(&next.await), Some(libc::ECANCELED));
    });
}

#[test]
fn one_that_ends_without_a_failure_severs_nothing() {
    each(async |world, multishot| {
        if !multishot.ends {
            return;
        }
        let (mut stream, mut more) = (multishot.working)(world);
        Handle::current().injector().link(1);
        assert!(poll_once(&mut stream.next()).is_pending());
        let mut next = nop();
        assert!(poll_once(&mut next).is_pending());
        more();
        assert!(stream.next().await.unwrap().is_ok());
        assert!(poll_once(&mut next).is_pending());
        drop(more);
        assert!(stream.next().await.unwrap().is_ok(), "the end");
        assert!(next.await.is_ok());
    });
}

#[test]
fn one_that_finds_its_pool_empty_severs() {
    run(&Builder::new(), async || {
        let pool = PoolOptions::new().buffer_size(64).ready(1).limit(1).build().unwrap();
        let (here, mut there) = tcp();
        let mut stream = recv_multi(&here, &pool, 0);
        Handle::current().injector().link(1);
        assert!(poll_once(&mut stream.next()).is_pending());
        let mut next = nop();
        assert!(poll_once(&mut next).is_pending());
        there.write_all(b"first").unwrap();
        let first = stream.next().await.unwrap().unwrap();
        there.write_all(b"second").unwrap();
        assert_eq!(errno(&stream.next().await.unwrap()), Some(libc::ENOBUFS));
        assert_eq!(errno(&next.await), Some(libc::ECANCELED));
        assert_eq!(&first[..], b"first");
    });
}
