//! A program run for every connection of a listener.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use chainring_net::TcpListener;
use chainring_net::TcpStream;
use chainring_net::tcp::Incoming;
use chainring_runtime::time::sleep;
use futures::Stream;

use super::control::{CancelAll, Gate, Gatekeeper, ServeControl};
use super::exit::{Entry, GoesTo, OnExit, Server};
use super::spawn::Spawner;
use crate::error::ChainError;
use crate::program::Program;

/// How long accepting pauses when the process has no descriptor or the kernel no memory left.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections at a time, unless told otherwise.
const CONNECTIONS: u32 = 1 << 16;

impl<S: 'static> Program<S> {
    /// Runs the program for every connection of `listener`, each in a frame of its own with a session made by
    /// `session`. Await it; it ends with an error, or when it was [told to stop](ServeControl::stop_accepting) and its last
    /// connection has ended.
    ///
    /// When all frames are in use it stops accepting, and goes on when one has ended; whom the kernel has accepted
    /// meanwhile waits. Without descriptors (EMFILE) it pauses for a moment. Without memory for the first frames it fails at
    /// once (ENOMEM). Dropping it stops accepting; frames
    /// go on to their end.
    ///
    /// A connection that fails ends alone. Nobody is told of it but [`on_exit`](Serve::on_exit):
    ///
    /// ```
    /// use chainring_chains::Chain;
    /// use chainring_net::{TcpListener, TcpStream};
    ///
    /// let mut c = Chain::<String>::new("one word");
    /// let (sock, word) = (c.accepted(), c.buffer(5));
    /// c.recv_exact(sock, word.all());
    /// c.send_all(sock, word.all());
    /// let program = c.build()?;
    ///
    /// chainring_runtime::Runtime::new()?.block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    ///     let address = listener.local_addr()?;
    ///     let server = program
    ///         .serve(listener, |peer| peer.addr().map_or_else(|_| "?".into(), |address| address.to_string()))
    ///         .on_exit(|session, result| {
    ///             if let Err(error) = result {
    ///                 eprintln!("{session}: {error}");
    ///             }
    ///         });
    ///     let control = server.control();
    ///     let serving = chainring_runtime::spawn(server.into_future());
    ///
    ///     let client = TcpStream::connect(address).await?;
    ///     client.write_all("hello").await.0?;
    ///     let (received, bytes) = client.read_exact(vec![0; 5]).await;
    ///     assert_eq!((received?, &bytes[..]), ((), &b"hello"[..]));
    ///     control.stop_accepting();
    ///     serving.await.expect("no session panics")
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When awaited, if the chain does not use [`accepted()`](crate::Chain::accepted).
    pub fn serve(&self, listener: TcpListener, session: impl Fn(Peer<'_>) -> S + 'static) -> Serve<S> {
        Serve {
            program: self.clone(),
            listener,
            session: Box::new(session),
            on_exit: None,
            connections: CONNECTIONS,
            gatekeeper: Rc::default(),
        }
    }
}

/// A connection that was just accepted, as the maker of its session sees it.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'p>(&'p TcpStream);

impl Peer<'_> {
    /// The address of the other side; a system call, so only made when asked.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

/// A server to be awaited. See [`Program::serve`].
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve<S: 'static> {
    program: Program<S>,
    listener: TcpListener,
    session: Box<dyn Fn(Peer<'_>) -> S>,
    on_exit: Option<Box<OnExit<S>>>,
    connections: u32,
    gatekeeper: Rc<Gatekeeper>,
}

impl<S: 'static> Serve<S> {
    /// Is told of every connection's end: its session, and success or the step that failed. Without it a connection's
    /// error is dropped unseen. Runs in submission context and must not block.
    pub fn on_exit(mut self, on_exit: impl Fn(S, Result<(), ChainError>) + 'static) -> Self {
        self.on_exit = Some(Box::new(on_exit));
        self
    }

    /// How many connections there may be at a time; 65,536 unless told otherwise. At least 1.
    pub fn connections(mut self, limit: u32) -> Self {
        self.connections = limit.max(1);
        self
    }

    /// A means to stop it from outside. To be taken before it is awaited.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(program: chainring_chains::Program<()>, listener: chainring_net::TcpListener) -> std::io::Result<()> {
    /// let server = program.serve(listener, |_| ());
    /// let control = server.control();
    /// chainring_runtime::spawn(async move {
    ///     chainring_runtime::signal::ctrl_c().await.ok();
    ///     let cancelled = control.drain(Duration::from_secs(30)).await;
    ///     println!("{cancelled} connections were broken off");
    /// });
    /// server.await
    /// # }
    /// ```
    pub fn control(&self) -> ServeControl {
        ServeControl(self.gatekeeper.clone())
    }

    async fn run(self) -> io::Result<()> {
        let gatekeeper = self.gatekeeper;
        let Some(socket) = self.program.0.accepted else {
            panic!("chain {} is served, and has no `accepted()` socket to serve", self.program.name());
        };
        let spawner = self.program.start(self.connections)?;
        // Later there is always one that will be free again.
        if !spawner.has_room() {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let accepts = gatekeeper.begin(Rc::downgrade(spawner.frames()) as Weak<dyn CancelAll>);
        let server = Rc::new(Server { on_exit: self.on_exit, gatekeeper: gatekeeper.clone() });
        let mut incoming = self.listener.incoming();
        let mut room = Room { spawner: &spawner, gatekeeper: &gatekeeper, limit: self.connections };
        while let Some(accepted) = room.next(&mut incoming).await {
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) if is_shortage(&error) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => return Err(error),
            };
            let session = (self.session)(Peer(&stream));
            let entry = Entry::new(session, GoesTo::Server(server.clone()));
            gatekeeper.started();
            let launched = spawner.launch(entry, |frame| {
                frame.socket(socket, stream);
            });
            // Room was made sure of; without it the runtime is ending, and the connection with it.
            if launched.is_err() {
                gatekeeper.ended(false);
            }
        }
        drop(incoming);
        drop(self.listener);
        drop(accepts);
        gatekeeper.is_empty().await;
        Ok(())
    }
}

impl<S: 'static> IntoFuture for Serve<S> {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<S> fmt::Debug for Serve<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("program", &self.program).field("listener", &self.listener).finish()
    }
}

/// Accepts only as long as there are frames.
struct Room<'r, S: 'static> {
    spawner: &'r Spawner<S>,
    gatekeeper: &'r Gatekeeper,
    limit: u32,
}

impl<S: 'static> Room<'_, S> {
    /// The next connection; none when the gate is shut.
    async fn next(&mut self, incoming: &mut Incoming<'_>) -> Option<io::Result<TcpStream>> {
        poll_fn(|cx| self.poll_next(incoming, cx)).await
    }

    fn poll_next(
        &mut self,
        incoming: &mut Incoming<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<TcpStream>>> {
        let (live, gate) = (self.spawner.live(), self.gatekeeper.gate());
        // A multishot accept goes on by itself, so it is stopped a little before the last frame is taken.
        let margin = (self.limit / 16).min(64);
        if gate != Gate::Open || live + margin >= self.limit {
            incoming.pause();
        } else {
            incoming.resume();
        }
        // Whoever ends a frame wakes us, to accept again or to take who waits; and whoever moves the gate.
        self.gatekeeper.await_as_accepting(cx.waker());
        if gate == Gate::Closed || gate == Gate::Stopped && incoming.has_stopped() {
            return Poll::Ready(None);
        }
        if live >= self.limit || !self.spawner.has_room() {
            return Poll::Pending;
        }
        match Pin::new(&mut *incoming).poll_next(cx) {
            Poll::Ready(Some(accepted)) => Poll::Ready(Some(accepted)),
            Poll::Ready(None) => Poll::Ready(Some(Err(io::Error::other("the listener is closed")))),
            // Whom it had accepted before it stopped has been given out.
            Poll::Pending if gate == Gate::Stopped && incoming.has_stopped() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The process or the system has run out of something that comes back.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// The connection was gone before it could be taken (accept(2), "error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    matches!(
        code,
        Some(
            libc::ECONNABORTED
                | libc::ENETDOWN
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::EINTR
        )
    )
}
