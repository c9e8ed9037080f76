//! Addresses of Unix sockets, between the standard library's type and the kernel's.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::SockAddr;

/// The longest path or abstract name, in bytes: `sun_path` less one for the NUL byte that ends the one and begins the
/// other.
const LONGEST: usize = 107;

/// The address of a path.
pub(super) fn of_path(path: &Path) -> io::Result<SockAddr> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&0) {
        return Err(wrong("the path of a Unix socket cannot contain a NUL byte".to_owned()));
    }
    if bytes.is_empty() {
        return Err(wrong("the path of a Unix socket is empty".to_owned()));
    }
    if bytes.len() > LONGEST {
        let len = bytes.len();
        return Err(wrong(format!(
            "the path of a Unix socket has at most {LONGEST} bytes, this one has {len}: {}",
            path.display()
        )));
    }
    SockAddr::unix(path)
}

/// The address of a path or of an abstract name.
pub(super) fn of(address: &SocketAddr) -> io::Result<SockAddr> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => of_path(path),
        (None, Some(name)) => {
            let mut bytes = vec![0];
            bytes.extend(name);
            SockAddr::unix(OsStr::from_bytes(&bytes))
        }
        (None, None) => Err(wrong("an unnamed address names no Unix socket".to_owned())),
    }
}

/// The address as the standard library has it.
pub(super) fn read(address: &SockAddr) -> io::Result<SocketAddr> {
    if let Some(path) = address.as_pathname() {
        return SocketAddr::from_pathname(path);
    }
    if let Some(name) = address.as_abstract_namespace() {
        return SocketAddr::from_abstract_name(name);
    }
    if address.is_unnamed() {
        return unnamed();
    }
    Err(io::Error::other("not the address of a Unix socket"))
}

/// The address of a socket that has bound none.
pub(super) fn unnamed() -> io::Result<SocketAddr> {
    // An empty path is no path.
    SocketAddr::from_pathname("")
}

#[cold]
fn wrong(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The addresses of both sides.
macro_rules! unix_addresses {
    ($socket:ident) => {
        impl $socket {
            /// The address of the other side; unnamed if it has bound none.
            pub fn peer_addr(&self) -> std::io::Result<std::os::unix::net::SocketAddr> {
                crate::unix::address::read(&socket2::SockRef::from(self).peer_addr()?)
            }

            /// The address of this side; unnamed if it has bound none.
            pub fn local_addr(&self) -> std::io::Result<std::os::unix::net::SocketAddr> {
                crate::unix::address::read(&socket2::SockRef::from(self).local_addr()?)
            }
        }
    };
}
pub(super) use unix_addresses;
