//! Connections as tasks.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chainring::net::{TcpListener, TcpStream};
use chainring::time::sleep;
use futures::StreamExt;
use futures::future::{Either, select};

use super::core::Core;
use super::session::{Session, Turn};
use crate::protocol::Replies;

/// What is received at a time.
const PIECE: usize = 64 << 10;
/// How long accepting pauses when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves every connection of a listener. Ends only with an error.
pub(crate) async fn serve(listener: TcpListener, core: Rc<Core>) -> io::Result<()> {
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let Some(stream) = accepted(stream).await? else { continue };
        if is_full(&core) {
            drop(chainring::spawn(refuse(stream)));
            continue;
        }
        let session = Session::new(core.clone());
        drop(chainring::spawn(async move { drop(connection(stream, session, Vec::new()).await) }));
    }
    Ok(())
}

/// Clients that a core may have.
pub(super) fn limit(core: &Core) -> usize {
    core.shared.connections.div_ceil(core.place.count)
}

/// Whether it has as many.
pub(super) fn is_full(core: &Core) -> bool {
    core.shared.cores[core.place.index].clients.load(Ordering::Relaxed) >= limit(core) as u64
}

/// A connection, or none if it was gone again, or there is no descriptor for it now.
pub(super) async fn accepted(result: io::Result<TcpStream>) -> io::Result<Option<TcpStream>> {
    let error = match result {
        Ok(stream) => return Ok(Some(stream)),
        Err(error) => error,
    };
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            sleep(PAUSE).await;
            Ok(None)
        }
        Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK) => Err(error),
        _ => Ok(None),
    }
}

/// Tells a client that there are too many.
pub(super) async fn refuse(stream: TcpStream) {
    let (result, _) = stream.write_all("-ERR max number of clients reached\r\n").await;
    drop(result);
}

/// Serves a connection to its end, beginning with bytes that have come already.
pub(super) async fn connection(stream: TcpStream, mut session: Session, begun: Vec<u8>) -> io::Result<()> {
    let mut replies = Replies::default();
    let mut piece = begun;
    loop {
        if !consume(&stream, &mut session, &piece, &mut replies).await? {
            return Ok(());
        }
        // Large arguments are received where they will stay.
        while let Some((target, spare)) = session.parser.take_target(session.room()) {
            session.weigh();
            let begin = target.len();
            let (received, target) =
                stream.read(chainring::buf::IoBuf::slice(target, begin..begin + spare)).await;
            let received = received?;
            session.parser.put_target(target.into_inner(), received);
            if received == 0 {
                return Ok(());
            }
        }
        piece.clear();
        piece.reserve_exact(PIECE);
        piece = match next(&stream, &mut session, piece, &mut replies).await? {
            Some(piece) => piece,
            None => return Ok(()),
        };
    }
}

/// Does the commands in `piece` and sends the replies. False if that was the end.
async fn consume(
    stream: &TcpStream,
    session: &mut Session,
    piece: &[u8],
    replies: &mut Replies,
) -> io::Result<bool> {
    let mut rest = piece;
    loop {
        let turn = session.run(&mut rest, replies, false);
        let idle = matches!(turn, Turn::Idle);
        let mut ended = session.client.quits;
        if let Turn::Wait(wait) = turn {
            ended |= !wait.done().await.write(replies);
        }
        send(stream, replies, session).await?;
        if ended {
            return Ok(false);
        }
        if idle || rest.is_empty() {
            return Ok(true);
        }
    }
}

/// Sends all replies, unless the client is dropped meanwhile.
async fn send(stream: &TcpStream, replies: &mut Replies, session: &Session) -> io::Result<()> {
    let sending = send_all(stream, replies);
    let Some(subscriptions) = &session.client.subscriptions else { return sending.await };
    match select(pin!(sending), pin!(subscriptions.dropped().cancelled())).await {
        Either::Left((sent, _)) => sent,
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn send_all(stream: &TcpStream, replies: &mut Replies) -> io::Result<()> {
    if let Some(plain) = replies.take_plain() {
        let (sent, plain) = if plain.is_empty() { (Ok(()), plain) } else { stream.write_all(plain).await };
        replies.put_plain(plain);
        return sent;
    }
    while !replies.is_empty() {
        let (sent, back) = stream.write_vectored(std::mem::take(replies)).await;
        *replies = back;
        replies.advance(sent?);
    }
    replies.clear();
    Ok(())
}

/// What the client sends next; until then it gets the messages of its channels. None if there is no more.
async fn next(
    stream: &TcpStream,
    session: &mut Session,
    piece: Vec<u8>,
    replies: &mut Replies,
) -> io::Result<Option<Vec<u8>>> {
    let mut reading = pin!(stream.read(piece));
    loop {
        let proto = session.client.proto;
        let Some(subscriptions) = session.client.subscriptions.as_mut() else { break };
        match select(reading.as_mut(), subscriptions.messages.next()).await {
            Either::Left(((received, piece), _)) => return Ok((received? > 0).then_some(piece)),
            // It has left too much unread.
            Either::Right((None, _)) => return Ok(None),
            Either::Right((Some(message), _)) => {
                subscriptions.read(&message);
                message.write(proto, replies);
                // Those that wait as well go with it.
                while !crate::protocol::Sink::is_full(replies) {
                    let Ok(message) = subscriptions.messages.try_recv() else { break };
                    subscriptions.read(&message);
                    message.write(proto, replies);
                }
                send(stream, replies, session).await?;
            }
        }
    }
    let (received, piece) = reading.await;
    Ok((received? > 0).then_some(piece))
}
