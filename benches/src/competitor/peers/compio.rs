//! compio on its io_uring driver: owned buffers, one task a connection.

use std::io;
use std::net::TcpListener;

use compio::BufResult;
use compio::buf::{IntoInner as _, IoBuf as _};
use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::net::TcpStream;
use compio::runtime::Runtime;

use crate::competitor::framing::{Frames, Framing as _};
use crate::competitor::{Competitor, Part};
use crate::job::{core_to_core, executor, small_files};
use crate::workload::{ECHO, FRAMED};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "compio",
    about: "compio, one task a connection",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed))),
        (&small_files::SMALL_FILES, Part::Work(small_files::peers::compio)),
        (&executor::SPAWN, Part::Work(executor::peers::compio_spawns)),
        (&executor::TIMERS, Part::Work(executor::peers::compio_timers)),
        (&core_to_core::CORE_TO_CORE, Part::Work(core_to_core::peers::compio)),
    ],
};

fn serve<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    Runtime::new()?.block_on(async move {
        let listener = compio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            compio::runtime::spawn(connection(stream)).detach();
        }
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        buffer.clear();
        let BufResult(received, filled) = stream.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let BufResult(sent, back) = stream.write_all(filled).await;
        sent?;
        buffer = back;
    }
}

async fn framed(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(Frames::BUFFER);
    loop {
        let held = buffer.len();
        let BufResult(received, filled) = stream.read(buffer.slice(held..)).await;
        if received? == 0 {
            return Ok(());
        }
        buffer = filled.into_inner();
        let complete = Frames::complete(&buffer).ok_or(io::ErrorKind::InvalidData)?;
        if complete > 0 {
            let BufResult(sent, slice) = stream.write_all(buffer.slice(..complete)).await;
            sent?;
            buffer = slice.into_inner();
            buffer.drain(..complete);
        }
    }
}
