//! tokio-uring: owned buffers, one task a connection, a tokio runtime that waits for a ring.

use std::io;
use std::net::TcpListener;

use tokio_uring::buf::BoundedBuf as _;
use tokio_uring::net::TcpStream;

use crate::competitor::framing::{Frames, Framing as _};
use crate::competitor::{Competitor, Part};
use crate::job::{executor, small_files};
use crate::workload::{ECHO, FRAMED};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "tokio-uring",
    about: "tokio-uring, one task a connection",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed))),
        (&small_files::SMALL_FILES, Part::Work(small_files::peers::tokio_uring)),
        (&executor::NOP, Part::Work(executor::peers::tokio_uring_nops)),
    ],
};

fn serve<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    tokio_uring::start(async move {
        let listener = tokio_uring::net::TcpListener::from_std(listener);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio_uring::spawn(connection(stream));
        }
    })
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let (received, filled) = stream.read(buffer).await;
        let received = received?;
        if received == 0 {
            return Ok(());
        }
        let (sent, slice) = stream.write_all(filled.slice(..received)).await;
        sent?;
        buffer = slice.into_inner();
    }
}

async fn framed(stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(Frames::BUFFER);
    loop {
        let held = buffer.len();
        let (received, filled) = stream.read(buffer.slice(held..)).await;
        if received? == 0 {
            return Ok(());
        }
        buffer = filled.into_inner();
        let complete = Frames::complete(&buffer).ok_or(io::ErrorKind::InvalidData)?;
        if complete > 0 {
            let (sent, slice) = stream.write_all(buffer.slice(..complete)).await;
            sent?;
            buffer = slice.into_inner();
            buffer.drain(..complete);
        }
    }
}
