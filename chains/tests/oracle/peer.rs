//! The other end of each socket: a script that is run against both sides alike.
//!
//! One thread writes in chunks with pauses in between, one reads. Neither waits for the other, so no program can be
//! brought to a stop by its peer: the writer always comes to its end of the stream or to a reset, and the reader takes
//! all there is, sooner or later.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// No peer waits longer for a byte, or something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) tcp: bool,
    /// What it sends, in chunks of these sizes, each after a pause of so many microseconds. The last takes the rest.
    pub(crate) bytes: Vec<u8>,
    pub(crate) chunks: Vec<(usize, u16)>,
    pub(crate) reader: Reader,
    /// Whether the buffers of the kernel are as small as it lets them be.
    pub(crate) narrow: bool,
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reader {
    Eager,
    /// A little at a time, with pauses.
    Slow,
    /// Only when all is written, or nothing has moved for a while.
    Late,
    /// Not before it resets the connection.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// Of its sending half; it goes on reading.
    HalfClose,
    /// After a pause of so many microseconds. TCP only.
    Reset(u16),
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.tcp { "tcp" } else { "unix" };
        let narrow = if self.narrow { ", small buffers" } else { "" };
        write!(f, "{family}{narrow}, reads {:?}, ends with {:?}, ", self.reader, self.ending)?;
        let start = &self.bytes[..self.bytes.len().min(60)];
        write!(f, "chunks {:?} of {} bytes, the first {start:?}", self.chunks, self.bytes.len())
    }
}

/// Listens at an address that no other process uses: one that has nothing to do with this may connect to a port of its own
/// that has become free, and would come here.
pub(crate) fn listen() -> TcpListener {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    TcpListener::bind((Ipv4Addr::new(127, high | 128, middle, low), 0)).expect("bind")
}

/// Both ends of a connection: a program's, and the script's.
pub(crate) fn connect(script: &Script) -> (Socket, Socket) {
    let (program, peer) = if script.tcp {
        let listener = listen();
        let peer = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (program, _) = listener.accept().expect("accept");
        program.set_nodelay(true).expect("nodelay");
        peer.set_nodelay(true).expect("nodelay");
        (Socket::from(program), Socket::from(peer))
    } else {
        Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a pair")
    };
    if script.narrow {
        for socket in [&program, &peer] {
            socket.set_send_buffer_size(1).expect("send buffer");
            socket.set_recv_buffer_size(1).expect("receive buffer");
        }
    }
    (program, peer)
}

/// What a peer has read.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// The program's end was dropped with bytes unread: the kernel then drops what it has not sent yet, too.
    pub(crate) is_cut: bool,
}

/// A script at work.
pub(crate) struct Peer {
    writer: JoinHandle<()>,
    reader: JoinHandle<Received>,
    /// Kept open to the end, unless it is to be reset when both threads have ended.
    socket: Option<Arc<Socket>>,
}

impl Peer {
    /// Starts the script, or, if `whole`, one that ends well instead of with a reset, and neither pauses nor waits before it
    /// reads: to a program that does one thing after the other that makes no difference.
    pub(crate) fn start(script: &Script, socket: Socket, whole: bool) -> Peer {
        let reset = match script.ending {
            Ending::Reset(pause) if !whole => Some(Duration::from_micros(pause.into())),
            _ => None,
        };
        let how = if whole { Reader::Eager } else { script.reader };
        // A peer that is to reset must not wait for long: all its descriptors are to be closed at once.
        let patience = if reset.is_some() { Duration::from_millis(5) } else { PATIENCE };
        socket.set_read_timeout(Some(patience)).expect("read timeout");
        socket.set_write_timeout(Some(patience)).expect("write timeout");
        if reset.is_some() {
            socket.set_linger(Some(Duration::ZERO)).expect("linger");
        }
        let (socket, written) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
        let writer = thread::spawn({
            let (script, socket, written) = (script.clone(), socket.clone(), written.clone());
            move || {
                write(&script, &socket, !whole);
                match reset {
                    Some(pause) => nap(pause),
                    // If the program has reset the connection there is nothing to end.
                    None => drop(socket.shutdown(Shutdown::Write)),
                }
                written.store(true, Ordering::Release);
            }
        });
        let reader = thread::spawn({
            let socket = socket.clone();
            move || read(&socket, how, &written, reset.is_some())
        });
        Peer { writer, reader, socket: reset.is_none().then_some(socket) }
    }

    /// Waits for the script's end, and closes with a reset in any case: that leaves no state behind in the kernel.
    /// Gives what was read.
    pub(crate) fn join(self) -> Received {
        self.writer.join().expect("the writer does not panic");
        let received = self.reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if let Some(socket) = self.socket {
            drop(socket.set_linger(Some(Duration::ZERO)));
        }
        received
    }
}

pub(crate) fn nap(pause: Duration) {
    if !pause.is_zero() {
        thread::sleep(pause);
    }
}

fn write(script: &Script, mut socket: &Socket, pauses: bool) {
    let mut rest = &script.bytes[..];
    for (i, (len, pause)) in script.chunks.iter().enumerate() {
        let last = i + 1 == script.chunks.len();
        let (chunk, after) = rest.split_at(if last { rest.len() } else { rest.len().min(*len) });
        nap(Duration::from_micros(if pauses { (*pause).into() } else { 0 }));
        // The program may have ended, or not read what it was sent until a reset is due.
        if socket.write_all(chunk).is_err() {
            return;
        }
        rest = after;
    }
}

fn read(mut socket: &Socket, how: Reader, written: &AtomicBool, resets: bool) -> Received {
    let wait = |limit: Duration| {
        let start = Instant::now();
        while !written.load(Ordering::Acquire) && start.elapsed() < limit {
            thread::sleep(Duration::from_micros(500));
        }
    };
    match how {
        Reader::Late => wait(Duration::from_millis(3)),
        Reader::Never => {
            wait(PATIENCE);
            return Received::default();
        }
        Reader::Eager | Reader::Slow => {}
    }
    let (mut received, mut place, mut reads) = (Received::default(), vec![0; 16 << 10], 0);
    while !(resets && written.load(Ordering::Acquire)) {
        reads += 1;
        let slow = how == Reader::Slow && reads <= 20;
        if slow {
            thread::sleep(Duration::from_micros(100));
        }
        match socket.read(if slow { &mut place[..200] } else { &mut place }) {
            Ok(0) => break,
            Ok(got) => received.bytes.extend_from_slice(&place[..got]),
            Err(error) if resets && error.kind() == ErrorKind::WouldBlock => {}
            // The program's end of it was dropped with bytes unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                received.is_cut = true;
                break;
            }
            Err(error) => panic!("the peer waits in vain for the end of the stream: {error}"),
        }
    }
    received
}

/// What a program has left unread, up to the end of the stream. Its own half is ended first.
pub(crate) fn drain(mut socket: &Socket) -> Vec<u8> {
    drop(socket.shutdown(Shutdown::Write));
    socket.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    let mut rest = Vec::new();
    // A reset ends it as well.
    drop(socket.read_to_end(&mut rest));
    rest
}
