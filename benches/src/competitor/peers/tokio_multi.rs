//! tokio on its multi-thread scheduler, with a worker for each core that the process may use: here one.

use std::io;
use std::net::TcpListener;

use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::tokio::{accept, echo, framed};
use crate::competitor::{Competitor, Part};
use crate::job::{log, small_files};
use crate::workload::{ECHO, FRAMED};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "tokio-multi",
    about: "tokio, multi_thread, one task a connection",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed))),
        (&small_files::SMALL_FILES, Part::Work(small_files::tokio::multi_thread)),
        (&log::LOG, Part::Work(log::tokio::multi_thread)),
    ],
};

fn serve<F>(listener: TcpListener, connection: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().enable_io().build()?;
    // Accepting is a task, too: what `block_on` itself runs is on no worker.
    runtime.block_on(async move { tokio::spawn(accept(listener, connection)).await? })
}
