//! What all sockets have in common: a descriptor, and ways in and out of the standard library.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use chainring_runtime::Descriptor;
use socket2::{SockAddr, SockRef};

/// Takes over a socket of the standard library. io_uring waits only on blocking descriptors: on others an
/// operation that would have to wait fails with EAGAIN.
pub(crate) fn adopt(fd: impl Into<OwnedFd>) -> Descriptor {
    let fd = fd.into();
    // Fails for no open descriptor.
    let _ = SockRef::from(&fd).set_nonblocking(false);
    Descriptor::new(fd)
}

/// An address of the internet, which sockets of these types have.
pub(crate) fn internet(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

/// The descriptor of a socket, in and out.
macro_rules! socket {
    ($socket:ident, $std:ty, $kind:literal) => {
        impl $socket {
            #[doc = concat!("Takes over a ", $kind, " of the standard library. It is made blocking, which only its")]
            /// operations by other means than the ring can tell.
            pub fn from_std(socket: $std) -> $socket {
                $socket::from_descriptor(crate::socket::adopt(socket))
            }

            /// The bare descriptor. Gives the socket back if operations on it are still in flight, which those of
            /// dropped futures are until the kernel has finished with them.
            pub fn into_owned(self) -> Result<std::os::fd::OwnedFd, $socket> {
                self.into_descriptor().try_into_owned().map_err($socket::from_descriptor)
            }

            /// The descriptor, for operations of [`chainring_runtime::op`] that have no method here.
            pub fn descriptor(&self) -> &chainring_runtime::Descriptor {
                &self.0
            }
        }

        #[doc = concat!("Takes over a descriptor, which should be that of a ", $kind)]
        /// in blocking mode: on others operations fail.
        impl From<std::os::fd::OwnedFd> for $socket {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                $socket::from_descriptor(chainring_runtime::Descriptor::new(fd))
            }
        }

        impl From<$socket> for chainring_runtime::Descriptor {
            fn from(socket: $socket) -> Self {
                socket.into_descriptor()
            }
        }

        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }
        }
    };
}

/// Into the standard library, for sockets of one descriptor.
macro_rules! into_std {
    ($socket:ident, $std:ty) => {
        impl $socket {
            pub(crate) fn from_descriptor(descriptor: chainring_runtime::Descriptor) -> $socket {
                $socket(descriptor)
            }

            fn into_descriptor(self) -> chainring_runtime::Descriptor {
                self.0
            }

            /// The same socket as one of the standard library, blocking. Gives it back if operations on it are still
            /// in flight.
            pub fn into_std(self) -> Result<$std, $socket> {
                self.into_owned().map(<$std>::from)
            }
        }
    };
}

/// The addresses of both sides.
macro_rules! internet_addresses {
    ($socket:ident) => {
        impl $socket {
            /// The address of the other side (getpeername(2)).
            ///
            /// # Errors
            /// ENOTCONN if there is none, or none any more.
            pub fn peer_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                crate::socket::internet(socket2::SockRef::from(self).peer_addr()?)
            }

            /// The address of this side (getsockname(2)).
            pub fn local_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                crate::socket::internet(socket2::SockRef::from(self).local_addr()?)
            }
        }
    };
}
