//! Waiting for a socket without transferring anything: poll(2) through the ring.

macro_rules! readable {
    ($socket:ident) => {
        impl $socket {
            /// Waits until receiving would not wait: there are bytes or a datagram, the end of the stream, or an error.
            /// Receives nothing.
            ///
            /// Dropping the future is harmless.
            ///
            /// # Errors
            /// Those of poll(2). That of the socket is left for whoever receives.
            pub async fn readable(&self) -> std::io::Result<()> {
                chainring_runtime::op::poll::poll(&self.0, libc::POLLIN as u32).await.map(drop)
            }
        }
    };
}

macro_rules! writable {
    ($socket:ident) => {
        impl $socket {
            /// Waits until the socket has room to send into, or an error.
            ///
            /// Dropping the future is harmless.
            ///
            /// # Errors
            /// Those of poll(2). That of the socket is left for whoever sends.
            pub async fn writable(&self) -> std::io::Result<()> {
                chainring_runtime::op::poll::poll(&self.0, libc::POLLOUT as u32).await.map(drop)
            }
        }
    };
}
