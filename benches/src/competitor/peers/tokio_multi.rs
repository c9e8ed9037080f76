//! tokio on its multi-thread scheduler, with a worker for each core that the process may use: here one.

use std::io;
use std::net::TcpListener;

use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::tokio::{accept, echo, framed};
use crate::competitor::{Competitor, Server};
use crate::workload::{ECHO, FRAMED};

pub(in crate::competitor) static COMPETITOR: Competitor = Competitor {
    name: "tokio-multi",
    about: "tokio, multi_thread, one task a connection",
    servers: &[
        (&ECHO, Server::Here(|listener| serve(listener, echo))),
        (&FRAMED, Server::Here(|listener| serve(listener, framed))),
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
