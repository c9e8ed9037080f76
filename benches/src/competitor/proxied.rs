//! A proxy as a user of tokio writes it: a connection to the server behind for each that comes, and bytes copied both ways.

use std::io;
use std::net::TcpListener;

use tokio::runtime::Builder;

use super::Around;

pub(super) fn tokio(listener: TcpListener, around: &Around) -> io::Result<()> {
    let behind = around.behind.ok_or_else(|| io::Error::other("a proxy needs a server behind it"))?;
    listener.set_nonblocking(true)?;
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(behind).await?;
                server.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    })
}
