//! Blocks with a deadline: when it strikes, where, and what is left of it afterwards. On a clock that the test moves.

#[path = "../common/mod.rs"]
mod common;

mod built;
mod ended;
mod late;
mod met;
mod struck;

use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{ChainError, ChainHandle, ErrorKind, Init, Program, Socket, Spawner};
use chainring_runtime::{Runtime, time, yield_now};
use common::one::Notes;
use common::{held, pair};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn deadline<T>(result: Result<T, ChainError>) -> u32 {
    let error = result.err().expect("its time is up");
    assert!(matches!(error.kind(), ErrorKind::Deadline), "{error}");
    error.step()
}

/// A frame of a program with one socket, started, and what starts it.
fn start<S: 'static>(program: &Program<S>, session: S, sock: Socket) -> (Spawner<S>, ChainHandle<S>, Client) {
    let (near, far) = pair();
    let spawner = program.start(1).expect("it starts");
    let handle = spawner.spawn(session, |frame| {
        frame.socket(sock, near);
    });
    (spawner, handle.expect("there is room"), far)
}

/// Has a completion of an operation, which `come` brings about, held back until a deadline of a second has struck.
async fn held_back(runtime: &Runtime, opcode: &str, come: impl FnOnce()) {
    let injector = runtime.handle().injector();
    injector.delay(opcode, 3000, 1);
    time::advance(Duration::ZERO).await;
    come();
    while injector.held() == 0 {
        yield_now().await;
    }
    time::advance(SECOND).await;
    assert_eq!(injector.held(), 1, "the deadline was to strike first");
    while injector.held() > 0 {
        yield_now().await;
    }
}

/// Runs a frame without sockets to its end, with as much time as it wants. Says how much that was.
fn alone(
    program: &Program<Notes>,
    init: impl FnOnce(&mut Init<'_, '_>),
) -> (Notes, Result<(), ChainError>, Duration) {
    let (_watchdog, runtime) = held();
    runtime.block_on(async {
        let (spawner, began) = (program.start(1).expect("it starts"), time::now());
        let handle = spawner.spawn(Notes::new(), init).expect("there is room");
        let mut handle = Box::pin(handle);
        let exit = loop {
            time::advance(MS).await;
            if let std::task::Poll::Ready(exit) = futures::poll!(&mut handle) {
                break exit;
            }
        };
        assert_eq!(runtime.metrics().timers, 0, "an alarm has outlived its frame");
        (exit.session, exit.result, time::now() - began)
    })
}
