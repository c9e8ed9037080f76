//! glommio: borrowed buffers by the traits of `futures`, one task a connection.

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, IntoRawFd as _};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::LocalExecutorBuilder;
use glommio::net::TcpStream;

use crate::competitor::framing::body;
use crate::competitor::{Competitor, Part};
use crate::job::{executor, small_files};
use crate::workload::{ECHO, FRAMED, HEAD, LARGEST_BODY};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "glommio",
    about: "glommio, one task a connection",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed))),
        (&small_files::SMALL_FILES, Part::Work(small_files::peers::glommio)),
        (&executor::SPAWN, Part::Work(executor::peers::glommio_spawns)),
        (&executor::TIMERS, Part::Work(executor::peers::glommio_timers)),
    ],
};

fn serve<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let executor = LocalExecutorBuilder::default().make()?;
    executor.run(async move {
        // SAFETY: the descriptor is a listening socket that nobody else owns any more.
        let listener = unsafe { glommio::net::TcpListener::from_raw_fd(listener.into_raw_fd()) };
        loop {
            let stream = listener.accept().await?;
            glommio::spawn_local(connection(stream)).detach();
        }
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            received => stream.write_all(&buffer[..received]).await?,
        }
    }
}

async fn framed(stream: TcpStream) -> io::Result<()> {
    let mut stream = stream.buffered();
    let mut frame = Vec::with_capacity(HEAD + LARGEST_BODY);
    loop {
        frame.resize(HEAD, 0);
        match stream.read_exact(&mut frame).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let head = frame.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        let body = body(head).ok_or(io::ErrorKind::InvalidData)?;
        frame.resize(HEAD + body, 0);
        stream.read_exact(&mut frame[HEAD..]).await?;
        stream.write_all(&frame).await?;
    }
}
