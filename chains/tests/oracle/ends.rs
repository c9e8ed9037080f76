//! What a program is given beside files and numbers: its ends of connections, a listener, a pipe; and who is at the others.

use std::io::{PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::{self, JoinHandle};

use socket2::{SockRef, Socket};

use super::case;
use super::peer::{Peer, Received, Script, connect, drain, listen, nap};
use super::program::{ACCEPTED, Program, SOCKETS};

/// A program's own.
pub(crate) struct Ends {
    /// Those that are given.
    pub(crate) sockets: Vec<Socket>,
    /// If it accepts.
    pub(crate) listener: Option<TcpListener>,
    /// If it polls one.
    pub(crate) pipe: Option<(PipeReader, PipeWriter)>,
}

/// Where its peers will be.
pub(crate) struct Others {
    sockets: Vec<Socket>,
    /// The program's own again: it stays open until all have come, or a late one would come to whoever has its port then.
    listener: Option<TcpListener>,
    /// How many connections are to come there.
    calls: usize,
}

/// The peers of a program, at work.
pub(crate) struct Peers {
    given: Vec<Peer>,
    callers: Option<JoinHandle<Vec<Peer>>>,
}

/// What has become of the connections.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// What each peer has got.
    pub(crate) received: [Vec<u8>; SOCKETS],
    /// What was left unread of what it has sent.
    pub(crate) left: [Vec<u8>; SOCKETS],
    /// What those have got that connected to be accepted, one by one in their order.
    pub(crate) callers: Vec<Received>,
}

/// What a program is given, and what is given to its peers.
pub(crate) fn ends(program: &Program, scripts: &[Script; SOCKETS]) -> (Ends, Others) {
    let pairs = scripts[..case::sockets(program)].iter().map(connect);
    let (sockets, theirs) = pairs.unzip();
    let calls = program.accepts();
    let listener = (calls > 0).then(listen_at_once);
    let again = listener.as_ref().map(|listener| listener.try_clone().expect("a descriptor"));
    let pipe = program.polls_pipe().then(|| std::io::pipe().expect("a pipe"));
    (Ends { sockets, listener, pipe }, Others { sockets: theirs, listener: again, calls })
}

/// What is accepted sends at once, or another that takes its place would have the kernel drop what was held back.
fn listen_at_once() -> TcpListener {
    let listener = listen();
    SockRef::from(&listener).set_tcp_nodelay(true).expect("nodelay");
    listener
}

impl Others {
    /// Starts the scripts; see [`Peer::start`].
    pub(crate) fn start(self, scripts: &[Script; SOCKETS], whole: bool) -> Peers {
        let start = |(script, socket)| Peer::start(script, socket, whole);
        let given = scripts.iter().zip(self.sockets).map(start).collect();
        let (script, calls) = (scripts[ACCEPTED].clone(), self.calls);
        let call = |listener| thread::spawn(move || call(&script, &listener, calls, whole));
        Peers { given, callers: self.listener.map(call) }
    }
}

/// Connects so many peers, one after the other.
fn call(script: &Script, listener: &TcpListener, calls: usize, whole: bool) -> Vec<Peer> {
    stay();
    let address = listener.local_addr().expect("address");
    let pause = script.chunks.first().filter(|_| !whole).map_or(0, |(_, pause)| *pause);
    let connected = (0..calls).map(|_| {
        nap(std::time::Duration::from_micros(pause.into()));
        TcpStream::connect(address).expect("somebody listens")
    });
    connected
        .map(|stream| {
            drop(stream.set_nodelay(true));
            Peer::start(script, stream.into(), whole)
        })
        .collect()
}

/// Keeps this thread on its CPU. A connection is there for accept when its last packet has been received, which for loopback
/// is in the order of sending only on one CPU: others could overtake.
fn stay() {
    // SAFETY: a call without arguments; a set of bits, for which zero is the empty set; and the set is of the size given.
    let stays = unsafe {
        let cpu = usize::try_from(libc::sched_getcpu()).expect("the kernel says where");
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) == 0
    };
    assert!(stays, "a thread may stay where it is");
}

impl Peers {
    /// Lets the peers come to their ends. The program has ended: these are the sockets that it has left, and its listener is
    /// closed.
    pub(crate) fn settle(self, ours: &[Option<Rc<Socket>>]) -> Settled {
        let mut settled = Settled::default();
        for (socket, left) in ours.iter().zip(&mut settled.left) {
            socket.iter().for_each(|socket| *left = drain(socket));
        }
        let given = self.given.into_iter().zip(&mut settled.received);
        given.for_each(|(peer, received)| *received = peer.join().bytes);
        let callers = self.callers.map(|callers| callers.join().expect("nobody who calls panics"));
        settled.callers = callers.into_iter().flatten().map(Peer::join).collect();
        let got = settled.callers.iter().flat_map(|caller| &caller.bytes);
        settled.received[ACCEPTED] = got.copied().collect();
        settled
    }
}
