//! Options of all sockets (socket(7)).

macro_rules! general_options {
    ($socket:ident) => {
        options! { $socket {
            /// The size of the receive buffer in bytes (SO_RCVBUF); the kernel doubles what is set, for its own
            /// bookkeeping, and reads back so. Set it before connecting or listening to have a TCP window scaled
            /// for it.
            recv_buffer_size, set_recv_buffer_size: usize => recv_buffer_size, set_recv_buffer_size;
            /// The size of the send buffer in bytes (SO_SNDBUF); the kernel doubles what is set.
            send_buffer_size, set_send_buffer_size: usize => send_buffer_size, set_send_buffer_size;
            /// The priority of what is sent, in the queues of the network card (SO_PRIORITY). Above 6 it needs
            /// CAP_NET_ADMIN.
            priority, set_priority: u32 => priority, set_priority;
        }}

        impl $socket {
            /// Takes the error that waits on the socket, if there is one (SO_ERROR).
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                socket2::SockRef::from(self).take_error()
            }

            /// The kernel's own number of the socket, the same for all who share it (SO_COOKIE).
            pub fn cookie(&self) -> std::io::Result<u64> {
                socket2::SockRef::from(self).cookie()
            }
        }
    };
}
