//! Options of TCP sockets that listen, or are about to (tcp(7)).

macro_rules! listening_options {
    ($socket:ident) => {
        int_options! { $socket {
            /// For how many seconds a connection on which the peer has sent nothing yet is kept from being accepted
            /// (TCP_DEFER_ACCEPT); 0: it is accepted at once. The kernel counts in retransmissions and reads back what
            /// these take, which is as much or more (5 becomes 7).
            defer_accept, set_defer_accept => libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT;
            /// How many connections may wait whose first bytes came before their handshake was over (TCP_FASTOPEN); 0:
            /// none may. The system has to allow it to servers (the sysctl `net.ipv4.tcp_fastopen`), and bytes that
            /// the network doubles may be received twice.
            fast_open, set_fast_open => libc::IPPROTO_TCP, libc::TCP_FASTOPEN;
        }}
    };
}
