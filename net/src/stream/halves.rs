//! The two directions of a stream, each owned by itself.
//!
//! The halves share the descriptor. What is sent ends when the writing half is dropped, as peers expect of who has
//! said all; dropping the reading half says nothing.

use chainring_runtime::op::shutdown::shutdown;
use chainring_runtime::{Descriptor, Handle};

/// Ends what is sent on a descriptor that others go on with, without waiting for it.
pub(crate) fn end_of_writing(socket: &Descriptor) {
    // Whoever is last closes, which ends both directions.
    if !socket.is_shared() {
        return;
    }
    let mut end = End(Some(socket.clone()));
    if let Some(core) = Handle::try_current() {
        drop(core.spawn(async move {
            let Some(socket) = &end.0 else { return };
            let ended = shutdown(socket, std::net::Shutdown::Write).await;
            // It fails if the connection is over, and then there is nothing to end; or because the runtime ends.
            if !ended.is_err_and(|error| error.raw_os_error() == Some(libc::ECANCELED)) {
                drop(end.0.take());
            }
        }));
    }
}

/// A direction that is to be ended: on the spot where there is no runtime, or none any more, to do it.
struct End(Option<Descriptor>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            let _ = socket2::SockRef::from(&socket).shutdown(std::net::Shutdown::Write);
        }
    }
}

macro_rules! halves {
    ($socket:ident) => {
        impl $socket {
            /// Splits the stream into its directions, for two tasks. (Within one task `&self` is enough to read
            /// and write at once.)
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                (OwnedReadHalf(self.0.clone()), OwnedWriteHalf(self.0, true))
            }
        }

        /// The receiving direction of a stream, made by `into_split`. Dropping it ends nothing; the stream is closed
        /// when both halves are dropped.
        #[derive(Debug)]
        pub struct OwnedReadHalf(chainring_runtime::Descriptor);

        /// The sending direction of a stream, made by `into_split`. Dropping it ends that direction: the peer sees
        /// the end of the stream, after all that was sent. Await writes first: one that is still under way fails with
        /// EPIPE, what the socket has not taken of it is not sent.
        #[derive(Debug)]
        pub struct OwnedWriteHalf(chainring_runtime::Descriptor, bool);

        reads!(OwnedReadHalf);
        writes!(OwnedWriteHalf);

        impl OwnedReadHalf {
            /// Puts the halves together again.
            ///
            /// # Errors
            /// Gives them back if they are not of the same stream.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$socket, ReuniteError> {
                use std::os::fd::{AsFd, AsRawFd};
                // Both keep their descriptor open, so the same number is the same descriptor.
                if std::os::fd::AsFd::as_fd(&self.0).as_raw_fd() != other.0.as_fd().as_raw_fd() {
                    return Err(ReuniteError(self, other));
                }
                other.forget();
                Ok($socket(self.0))
            }
        }

        impl OwnedWriteHalf {
            /// Puts the halves together again; see [`OwnedReadHalf::reunite`].
            ///
            /// # Errors
            /// Gives them back if they are not of the same stream.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$socket, ReuniteError> {
                other.reunite(self)
            }

            /// Lets go of this half without ending its direction.
            pub fn forget(mut self) {
                self.1 = false;
            }

            /// Ends this direction (shutdown(2)): the peer sees the end of the stream, after all that was sent. As after
            /// dropping the half, writes that are under way fail.
            ///
            /// Dropping the future asks for cancellation; the direction may be ended all the same.
            pub fn shutdown(&self) -> chainring_runtime::op::Op<chainring_runtime::op::shutdown::Shutdown> {
                chainring_runtime::op::shutdown::shutdown(&self.0, std::net::Shutdown::Write)
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.1 {
                    crate::stream::end_of_writing(&self.0);
                }
            }
        }

        impl std::os::fd::AsFd for OwnedReadHalf {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }
        }

        impl std::os::fd::AsFd for OwnedWriteHalf {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }
        }

        /// The halves were not of the same stream. Holds both.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the halves are not of the same stream")
            }
        }

        impl std::error::Error for ReuniteError {}
    };
}
