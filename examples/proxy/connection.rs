//! A client, and the back end that it is passed on to.

use std::cell::Cell;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chainring::buf::BufferPool;
use chainring::net::TcpStream;
use chainring::time::{now, sleep_until, timeout};
use futures::future::{Either, select, try_join};

use crate::backends::{Backend, Backends};
use crate::pump::pump;
use crate::{BUFFER, Limits};

/// After how much silence a client whose back end takes no more is closed. While it still sends, it could lose what it has not
/// read yet.
const LINGER: Duration = Duration::from_secs(1);

/// Carries a connection from its beginning to its end.
pub(crate) async fn pass_on(client: TcpStream, backends: &Backends, pool: &BufferPool, limits: &Limits) {
    let Some((server, backend)) = connect(backends, limits.connect).await else {
        backends.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let _connected = backend.connected();
    // What comes in small pieces is passed on in small pieces.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let last = Cell::new(now());
    let both = try_join(
        pump(&client, &server, pool, &last, &backend.up),
        pump(&server, &client, pool, &last, &backend.down),
    );
    let lost = match select(pin!(both), pin!(silent(&last, limits.idle))).await {
        // The client may still be sending what nobody takes.
        Either::Left((Ok((up, _)), _)) => !up,
        Either::Left((Err(_), _)) => true,
        Either::Right(_) => false,
    };
    if lost {
        drop(server);
        let _ = client.shutdown(Shutdown::Write).await;
        let _ = timeout(limits.idle, drain(&client)).await;
    }
}

/// A connection to the first back end that takes it.
async fn connect(backends: &Backends, limit: Duration) -> Option<(TcpStream, &Backend)> {
    for backend in backends.in_turn() {
        match TcpStream::connect_timeout(backend.host.as_str(), limit).await {
            Ok(stream) => return Some((stream, backend)),
            // That there are no descriptors left is not the fault of any of them.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                backends.tell(format_args!("a client is turned away: {error}"));
                return None;
            }
            Err(error) => {
                backends.failed(backend);
                backends.tell(format_args!("{}: {error}", backend.host));
            }
        }
    }
    None
}

/// Ends when nothing has moved for so long.
async fn silent(last: &Cell<Instant>, idle: Duration) {
    loop {
        let end = last.get() + idle;
        if end <= now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// Reads what nobody is there for any more.
async fn drain(client: &TcpStream) {
    let mut bytes = Vec::with_capacity(BUFFER as usize);
    loop {
        bytes.clear();
        let Ok((read, back)) = timeout(LINGER, client.read(bytes)).await else { return };
        if !read.is_ok_and(|read| read > 0) {
            return;
        }
        bytes = back;
    }
}
