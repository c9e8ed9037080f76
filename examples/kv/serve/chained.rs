//! Connections as chains: no task and no waker for a connection that nobody has to wait for.
//!
//! One turn receives a piece, and a call does all commands in it; the replies are one message, submitted together with
//! the next receive. What is done elsewhere (by other cores, by the disk) is a future of its own, for which the frame
//! waits. A client that subscribes to something must be told things that it did not ask for: its connection goes on as a
//! task.

use std::io;
use std::rc::Rc;

use chainring::chains::{BuildError, Chain, Flow, OutboxView, Program, Socket, outbox, read, reg};
use chainring::net::TcpListener;
use futures::StreamExt;

use super::awaited;
use super::core::Core;
use super::session::{Session, Turn, Wait, Waited};
use crate::protocol::{Replies, Shared, Sink};

/// What is received at a time.
const PIECE: u32 = 64 << 10;
/// Shared parts of one message; more are sent with the next one.
const PARTS: usize = 200;
/// From how many bytes on replies are sent before more commands are done.
const FULL: usize = 256 << 10;

/// What follows the call; in a register of the frame. The replies are sent in any case.
mod next {
    /// The next piece.
    pub(super) const RECEIVE: u64 = 0;
    /// The call once more.
    pub(super) const AGAIN: u64 = 1;
    /// Something that is done elsewhere.
    pub(super) const WAIT: u64 = 2;
    /// Nothing.
    pub(super) const END: u64 = 3;
}

/// A connection's session, and what the chain keeps beside it.
#[derive(Debug)]
struct Connection {
    session: Session,
    /// Replies that one message could not take.
    over: Replies,
    wait: Option<Box<Wait>>,
    /// What the client has sent beyond its subscription, if that has ended the frame.
    rest: Option<Vec<u8>>,
}

/// The replies of one turn, in the frame's outbox as far as one message can take them.
struct Out<'f> {
    outbox: &'f mut OutboxView,
    over: &'f mut Replies,
    parts: usize,
}

impl Sink for Out<'_> {
    #[inline]
    fn copy(&mut self, bytes: &[u8]) {
        if self.parts < PARTS { self.outbox.copy(bytes) } else { self.over.copy(bytes) }
    }

    fn push(&mut self, blob: Shared) {
        if self.parts < PARTS {
            self.parts += 1;
            self.outbox.push(blob);
        } else {
            self.over.push(blob);
        }
    }

    fn forget(&mut self) {
        self.outbox.clear();
        self.over.clear();
        self.parts = 0;
    }

    fn is_full(&self) -> bool {
        self.parts >= PARTS || self.outbox.len() >= FULL
    }
}

impl Connection {
    /// Does what is in `piece` from `at` on.
    fn turn(&mut self, piece: &[u8], at: &mut u64, outbox: &mut OutboxView) -> u64 {
        if !self.over.is_empty() {
            self.over.take_front(PARTS, outbox);
            return self.follow(&piece[*at as usize..]);
        }
        let mut rest = &piece[*at as usize..];
        let mut out = Out { outbox, over: &mut self.over, parts: 0 };
        let turn = self.session.run(&mut rest, &mut out, true);
        *at = (piece.len() - rest.len()) as u64;
        match turn {
            Turn::Wait(wait) => {
                self.wait = Some(wait);
                next::WAIT
            }
            Turn::Idle | Turn::Full | Turn::End => self.follow(rest),
        }
    }

    /// Has done what it was to do with what came before `rest`.
    fn follow(&mut self, rest: &[u8]) -> u64 {
        if !self.over.is_empty() {
            return next::AGAIN;
        }
        if self.session.client.quits {
            return next::END;
        }
        if self.session.client.is_subscribed() {
            self.rest = Some(rest.to_vec());
            return next::END;
        }
        if rest.is_empty() { next::RECEIVE } else { next::AGAIN }
    }

    /// Others have done what the replies have waited for.
    fn waited(&mut self, waited: Option<Waited>, outbox: &mut OutboxView, rest: &[u8]) -> u64 {
        let mut out = Out { outbox, over: &mut self.over, parts: 0 };
        if !waited.is_some_and(|waited| waited.write(&mut out)) {
            self.session.client.quits = true;
        }
        self.follow(rest)
    }
}

/// The chain, and its socket.
fn program() -> Result<(Program<Connection>, Socket), BuildError> {
    let mut c = Chain::<Connection>::new("kv");
    let (sock, piece, reply) = (c.accepted(), c.buffer(PIECE), c.outbox());
    let (len, at, next) = (c.reg(), c.reg(), c.reg());
    c.repeat(|c| {
        c.recv(sock, piece.all()).into(len).or_finish();
        c.set(at, 0);
        c.repeat(|c| {
            let access = (read(piece.to(len)), reg(at), reg(next), outbox(reply));
            c.call(access, |connection, (piece, at, next, reply)| {
                *next = connection.turn(piece, at, reply);
                Flow::Next
            });
            c.when(next.eq(next::WAIT), |c| {
                let run = |connection: &mut Connection, ()| {
                    let wait = connection.wait.take();
                    async move {
                        match wait {
                            Some(wait) => Some(wait.done().await),
                            None => None,
                        }
                    }
                };
                c.call_async((), run, access, |connection, (piece, at, next, reply), waited| {
                    *next = connection.waited(waited, reply, &piece[*at as usize..]);
                    Flow::Next
                });
            });
            c.when(next.eq(next::RECEIVE), |c| c.leave());
            c.send_outbox(sock, reply);
            c.when(next.eq(next::END), |c| c.finish());
        });
        c.send_outbox(sock, reply);
    });
    Ok((c.build()?, sock))
}

/// Serves every connection of a listener. Ends only with an error.
pub(crate) async fn serve(listener: TcpListener, core: Rc<Core>) -> io::Result<()> {
    let (program, sock) = program().map_err(io::Error::other)?;
    let limit = awaited::limit(&core);
    let spawner = program.start(u32::try_from(limit).unwrap_or(u32::MAX))?;
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let Some(stream) = awaited::accepted(stream).await? else { continue };
        // Subscribers have left their frames, and are clients all the same.
        if awaited::is_full(&core) || !spawner.has_room() {
            drop(chainring::spawn(awaited::refuse(stream)));
            continue;
        }
        let session = Session::new(core.clone());
        let connection = Connection { session, over: Replies::default(), wait: None, rest: None };
        let frame = spawner.spawn(connection, |frame| {
            frame.socket(sock, stream);
        });
        let Ok(frame) = frame else { continue };
        drop(chainring::spawn(async move {
            let mut exit = frame.await;
            // A client that has gone, or reset its connection, is no news.
            if let (Ok(()), Some(rest)) = (exit.result, exit.session.rest)
                && let Some(stream) = exit.sockets.take(sock)
            {
                drop(awaited::connection(stream, exit.session.session, rest).await);
            }
        }));
    }
    Ok(())
}
