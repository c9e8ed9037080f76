//! One frame with several connections, and what happens on their other ends while it runs.

use std::io::{ErrorKind, Read};
use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{ChainHandle, Exit, Program, Socket, Spawner};
use chainring_net::TcpStream;
use chainring_runtime::Runtime;
use chainring_runtime::injector::Injector;
use chainring_runtime::time::sleep;

use super::one::{Ended, Notes};
use super::{pair, soon, watchdog};

/// Both ends of some connections.
pub(crate) fn pairs<const N: usize>() -> ([TcpStream; N], [Client; N]) {
    let (near, far): (Vec<_>, Vec<_>) = (0..N).map(|_| pair()).unzip();
    (near.try_into().expect("as many"), far.try_into().expect("as many"))
}

/// Receives on the core's own thread, which goes on meanwhile.
pub(crate) async fn receive<const N: usize>(peer: &mut Client) -> [u8; N] {
    let mut bytes = [0; N];
    let mut got = 0;
    peer.set_nonblocking(true).expect("nonblocking");
    while got < N {
        match peer.read(&mut bytes[got..]) {
            Ok(0) => panic!("the stream ended after {got} of {N} bytes"),
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
    bytes
}

/// Whether there is nothing to receive at the moment.
pub(crate) fn is_silent(peer: &Client) -> bool {
    peer.set_nonblocking(true).expect("nonblocking");
    peer.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Spawns a frame with these connections.
pub(crate) fn spawn<const N: usize>(
    spawner: &Spawner<Notes>,
    sockets: [Socket; N],
    near: [TcpStream; N],
) -> ChainHandle<Notes> {
    let spawned = spawner.spawn(Notes::new(), |frame| {
        for (socket, near) in sockets.into_iter().zip(near) {
            frame.socket(socket, near);
        }
    });
    spawned.expect("there is room")
}

/// Runs a frame to its end on a core with these faults; what is done `meanwhile` is done while it runs.
pub(crate) fn run_on<const N: usize, T>(
    runtime: &Runtime,
    program: &Program<Notes>,
    sockets: [Socket; N],
    faults: impl FnOnce(&Injector),
    meanwhile: impl AsyncFnOnce([Client; N], &ChainHandle<Notes>) -> T,
) -> (Ended<Notes>, T) {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (near, far) = pairs();
    runtime.block_on(async {
        let spawner = program.start(1).unwrap_or_else(|error| panic!("{error}"));
        faults(runtime.handle().injector());
        let handle = spawn(&spawner, sockets, near);
        let done = meanwhile(far, &handle).await;
        let Exit { session, result, .. } = soon("the frame to end", handle).await;
        (Ended { session, result, counters: spawner.counters() }, done)
    })
}

/// The same on a core without faults.
pub(crate) fn run<const N: usize, T>(
    program: &Program<Notes>,
    sockets: [Socket; N],
    meanwhile: impl AsyncFnOnce([Client; N], &ChainHandle<Notes>) -> T,
) -> (Ended<Notes>, T) {
    run_on(&Runtime::new().expect("a ring"), program, sockets, |_| {}, meanwhile)
}
