//! tokio on its current-thread scheduler: one task a connection, written as its guide teaches it.

use std::io;
use std::net::TcpListener;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::competitor::{Competitor, Part, proxied};
use crate::job::{copy, core_to_core, executor, log, lookup, random_reads, small_files};
use crate::workload::{ECHO, FRAMED, HEAD, LARGEST_BODY, PROXY};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "tokio",
    about: "tokio, current_thread, one task a connection",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed))),
        (&PROXY, Part::ServeWith(proxied::tokio)),
        (&copy::COPY, Part::Work(copy::tokio::run)),
        (&small_files::SMALL_FILES, Part::Work(small_files::tokio::current_thread)),
        (&log::LOG, Part::Work(log::tokio::current_thread)),
        (&random_reads::CACHED, Part::Work(random_reads::tokio::cached)),
        (&random_reads::DIRECT, Part::Work(random_reads::tokio::direct)),
        (&lookup::CACHED, Part::Work(lookup::tokio::cached)),
        (&lookup::DIRECT, Part::Work(lookup::tokio::direct)),
        (&executor::SPAWN, Part::Work(executor::tokio::spawns)),
        (&executor::TIMERS, Part::Work(executor::tokio::timers)),
        (&core_to_core::CORE_TO_CORE, Part::Work(core_to_core::peers::tokio)),
    ],
};

fn serve<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Builder::new_current_thread().enable_io().build()?.block_on(accept(listener, connection))
}

/// Spawns a task for every connection.
pub(super) async fn accept<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream));
    }
}

pub(super) async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            received => stream.write_all(&buffer[..received]).await?,
        }
    }
}

pub(super) async fn framed(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut frame = Vec::with_capacity(HEAD + LARGEST_BODY);
    loop {
        let length = match stream.read_u32().await {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        if length as usize > LARGEST_BODY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        frame.clear();
        frame.extend_from_slice(&length.to_be_bytes());
        frame.resize(HEAD + length as usize, 0);
        stream.read_exact(&mut frame[HEAD..]).await?;
        stream.get_mut().write_all(&frame).await?;
    }
}
