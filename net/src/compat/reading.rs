//! The receiving side of an adapter.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufferPool, PoolBuf};
use chainring_runtime::op::Op;
use chainring_runtime::op::recv::{Recv, recv};
use chainring_runtime::op::recv_multi::{RecvPooled, recv_pooled};

/// The room of a buffer of one's own.
const ROOM: usize = 8 << 10;

/// What was received, and the receive in flight.
pub(super) struct Reading {
    state: State,
    /// How much of the received bytes was read.
    read: usize,
    pool: Option<BufferPool>,
}

enum State {
    /// Bytes, perhaps none, in a buffer of one's own.
    Own(Vec<u8>),
    Receiving(Op<Recv<Vec<u8>>>),
    /// Bytes in a buffer of the pool.
    Lent(PoolBuf),
    ReceivingPooled(Op<RecvPooled>),
    /// Until the pool has a buffer.
    Waiting(Pin<Box<dyn Future<Output = ()>>>),
}

impl Reading {
    pub(super) fn own() -> Self {
        Reading { state: State::Own(Vec::new()), read: 0, pool: None }
    }

    pub(super) fn pooled(pool: &BufferPool) -> Self {
        Reading { pool: Some(pool.clone()), ..Reading::own() }
    }

    fn received(&self) -> &[u8] {
        let all: &[u8] = match &self.state {
            State::Own(bytes) => bytes,
            State::Lent(bytes) => bytes,
            _ => &[],
        };
        &all[self.read..]
    }

    /// What was received and not read, after waiting for some if there is none; nothing is the end of the stream.
    pub(super) fn poll_fill(&mut self, socket: &Descriptor, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.received().is_empty() {
            ready!(self.poll_receive(socket, cx))?;
        }
        Poll::Ready(Ok(self.received()))
    }

    /// So many bytes were read. The pool's buffer goes back when it is empty.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.read += bytes.min(self.received().len());
        if matches!(&self.state, State::Lent(_)) && self.received().is_empty() {
            self.reset(Vec::new());
        }
    }

    fn reset(&mut self, empty: Vec<u8>) {
        (self.state, self.read) = (State::Own(empty), 0);
    }

    fn poll_receive(&mut self, socket: &Descriptor, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Own(buffer) => {
                    self.state = match &self.pool {
                        Some(pool) => State::ReceivingPooled(recv_pooled(socket, pool, 0)),
                        None => {
                            let mut buffer = std::mem::take(buffer);
                            buffer.reserve_exact(ROOM.saturating_sub(buffer.len()));
                            State::Receiving(recv(socket, buffer, 0))
                        }
                    };
                    self.read = 0;
                }
                State::Receiving(receive) => {
                    let (result, mut buffer) = ready!(Pin::new(receive).poll(cx));
                    if !matches!(result, Ok(1..)) {
                        buffer.clear();
                    }
                    self.reset(buffer);
                    return Poll::Ready(result.map(drop));
                }
                State::Lent(_) => self.reset(Vec::new()),
                State::ReceivingPooled(receive) => match ready!(Pin::new(receive).poll(cx)) {
                    Ok(bytes) => {
                        (self.state, self.read) = (State::Lent(bytes), 0);
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) => {
                        let exhausted = error.raw_os_error() == Some(libc::ENOBUFS);
                        match self.pool.clone().filter(|_| exhausted) {
                            Some(pool) => {
                                let available = async move { pool.available().await };
                                self.state = State::Waiting(Box::pin(available));
                            }
                            None => {
                                self.reset(Vec::new());
                                return Poll::Ready(Err(error));
                            }
                        }
                    }
                },
                State::Waiting(available) => {
                    ready!(available.as_mut().poll(cx));
                    self.reset(Vec::new());
                }
            }
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({} bytes unread)", self.received().len())
    }
}
