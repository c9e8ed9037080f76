//! Names and addresses.
//!
//! A name is looked up by the system's own resolver (getaddrinfo(3)), which blocks: so on a thread for blocking work,
//! and never on the core.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use chainring_runtime::spawn_blocking;

/// What can be connected to: an address, an IP address and a port, or a name with a port.
///
/// Implemented for the types of `std::net`, for `"host:port"` and `("host", port)`, and for slices of
/// addresses. Addresses in writing are read without being looked up.
pub trait ToSocketAddrs: sealed::Sealed {
    #[doc(hidden)]
    fn to_socket_addrs(&self) -> Addresses;
}

mod sealed {
    pub trait Sealed {}
}

/// Addresses, or the name that they are behind.
#[doc(hidden)]
pub enum Addresses {
    One(SocketAddr),
    Known(Vec<SocketAddr>),
    Named(String, u16),
    Wrong(&'static str),
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Addresses")
    }
}

/// The addresses of a host, in the order that the system prefers.
///
/// Dropping the future forgets about it; the thread that looks the name up ends on its own.
///
/// # Errors
/// Those of the resolver, if there is no such name; `InvalidInput` if there is no port in it.
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    resolve(host).await.map(Vec::into_iter)
}

pub(crate) async fn resolve(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    match host.to_socket_addrs() {
        Addresses::One(address) => Ok(vec![address]),
        Addresses::Known(addresses) => Ok(addresses),
        Addresses::Wrong(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, why)),
        Addresses::Named(name, port) => {
            let look = move || {
                std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port)).map(|found| found.collect())
            };
            spawn_blocking(look).await.unwrap_or_else(|error| Err(io::Error::other(error.to_string())))
        }
    }
}

macro_rules! one {
    ($($type:ty),+) => {$(
        impl sealed::Sealed for $type {}

        impl ToSocketAddrs for $type {
            fn to_socket_addrs(&self) -> Addresses {
                Addresses::One(SocketAddr::from(*self))
            }
        }
    )+};
}

one!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl sealed::Sealed for [SocketAddr] {}

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> Addresses {
        Addresses::Known(self.to_vec())
    }
}

impl sealed::Sealed for (&str, u16) {}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> Addresses {
        match self.0.parse::<IpAddr>() {
            Ok(address) => Addresses::One((address, self.1).into()),
            Err(_) => Addresses::Named(self.0.to_owned(), self.1),
        }
    }
}

impl sealed::Sealed for (String, u16) {}

impl ToSocketAddrs for (String, u16) {
    fn to_socket_addrs(&self) -> Addresses {
        (self.0.as_str(), self.1).to_socket_addrs()
    }
}

impl sealed::Sealed for str {}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> Addresses {
        if let Ok(address) = self.parse() {
            return Addresses::One(address);
        }
        let Some((host, port)) = self.rsplit_once(':') else {
            return Addresses::Wrong("a port is missing: \"host:port\"");
        };
        match port.parse() {
            Ok(port) => Addresses::Named(host.to_owned(), port),
            Err(_) => Addresses::Wrong("what follows the colon is not a port"),
        }
    }
}

impl sealed::Sealed for String {}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> Addresses {
        self.as_str().to_socket_addrs()
    }
}

impl<T: sealed::Sealed + ?Sized> sealed::Sealed for &T {}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> Addresses {
        (**self).to_socket_addrs()
    }
}
