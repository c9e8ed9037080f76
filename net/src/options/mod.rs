//! Options of sockets, as a setter and a getter each.
//!
//! They are system calls on the spot (getsockopt(2), setsockopt(2)): none ever waits. Here is what is common;
//! [`socket2::SockRef`](https://docs.rs/socket2) takes every socket by reference, and has the rest.

/// One getter and one setter an option, passed on to socket2.
macro_rules! options {
    ($socket:ident {
        $($(#[$doc:meta])* $get:ident, $set:ident: $value:ty => $get2:ident, $set2:ident;)*
    }) => {
        impl $socket {
            $(
                $(#[$doc])*
                pub fn $get(&self) -> std::io::Result<$value> {
                    socket2::SockRef::from(self).$get2()
                }

                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                pub fn $set(&self, $get: $value) -> std::io::Result<()> {
                    socket2::SockRef::from(self).$set2($get)
                }
            )*
        }
    };
}

/// The same for options that socket2 lacks, whose value is an int of 0 or more.
macro_rules! int_options {
    ($socket:ident {
        $($(#[$doc:meta])* $get:ident, $set:ident => $level:expr, $name:expr;)*
    }) => {
        impl $socket {
            $(
                $(#[$doc])*
                pub fn $get(&self) -> std::io::Result<u32> {
                    let value = chainring_runtime::op::sockopt::get_option_now(self.descriptor(), $level, $name)?;
                    Ok(u32::try_from(value).unwrap_or(0))
                }

                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                pub fn $set(&self, $get: u32) -> std::io::Result<()> {
                    let value = i32::try_from($get).unwrap_or(i32::MAX);
                    chainring_runtime::op::sockopt::set_option_now(self.descriptor(), $level, $name, value)
                }
            )*
        }
    };
}

#[macro_use]
mod general;
#[macro_use]
mod ip;
#[macro_use]
mod listening;
#[macro_use]
mod tcp;
#[macro_use]
mod udp;
