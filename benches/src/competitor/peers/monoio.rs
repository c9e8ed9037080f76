//! monoio on its io_uring driver: owned buffers, one task a connection.

use std::io;
use std::net::TcpListener;

use monoio::buf::IoBufMut as _;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::TcpStream;
use monoio::{IoUringDriver, RuntimeBuilder};

use crate::competitor::framing::{Frames, Framing as _};
use crate::competitor::{Competitor, Part};
use crate::job::{core_to_core, executor, small_files};
use crate::workload::{ECHO, FRAMED};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "monoio",
    about: "monoio, one task a connection",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed))),
        (&small_files::SMALL_FILES, Part::Work(small_files::peers::monoio)),
        (&executor::SPAWN, Part::Work(executor::peers::monoio_spawns)),
        (&executor::TIMERS, Part::Work(executor::peers::monoio_timers)),
        (&core_to_core::CORE_TO_CORE, Part::Work(core_to_core::peers::monoio)),
    ],
};

fn serve<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    RuntimeBuilder::<IoUringDriver>::new().build()?.block_on(async move {
        let listener = monoio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            monoio::spawn(connection(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let (received, filled) = stream.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, back) = stream.write_all(filled).await;
        sent?;
        buffer = back;
    }
}

async fn framed(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(Frames::BUFFER);
    loop {
        let held = buffer.len();
        let (received, filled) = stream.read(buffer.slice_mut(held..)).await;
        if received? == 0 {
            return Ok(());
        }
        buffer = filled.into_inner();
        let complete = Frames::complete(&buffer).ok_or(io::ErrorKind::InvalidData)?;
        if complete > 0 {
            let (sent, slice) = stream.write_all(monoio::buf::IoBuf::slice(buffer, ..complete)).await;
            sent?;
            buffer = slice.into_inner();
            buffer.drain(..complete);
        }
    }
}
