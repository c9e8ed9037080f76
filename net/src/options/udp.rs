//! Options of UDP sockets: broadcast and multicast (ip(7), ipv6(7)).

macro_rules! udp_options {
    ($socket:ident) => {
        options! { $socket {
            /// Whether datagrams may go to broadcast addresses (SO_BROADCAST).
            broadcast, set_broadcast: bool => broadcast, set_broadcast;
            /// Whether multicast datagrams are seen by this host too, over IPv4 (IP_MULTICAST_LOOP).
            multicast_loop_v4, set_multicast_loop_v4: bool => multicast_loop_v4, set_multicast_loop_v4;
            /// The hops of multicast datagrams, over IPv4 (IP_MULTICAST_TTL).
            multicast_ttl_v4, set_multicast_ttl_v4: u32 => multicast_ttl_v4, set_multicast_ttl_v4;
            /// Whether multicast datagrams are seen by this host too, over IPv6 (IPV6_MULTICAST_LOOP).
            multicast_loop_v6, set_multicast_loop_v6: bool => multicast_loop_v6, set_multicast_loop_v6;
            /// The hops of multicast datagrams, over IPv6 (IPV6_MULTICAST_HOPS).
            multicast_hops_v6, set_multicast_hops_v6: u32 => multicast_hops_v6, set_multicast_hops_v6;
            /// The interface that multicast datagrams leave by, over IPv6 (IPV6_MULTICAST_IF); 0 is any.
            multicast_if_v6, set_multicast_if_v6: u32 => multicast_if_v6, set_multicast_if_v6;
        }}

        impl $socket {
            /// The address of the interface that multicast datagrams leave by, over IPv4 (IP_MULTICAST_IF).
            pub fn multicast_if_v4(&self) -> std::io::Result<std::net::Ipv4Addr> {
                socket2::SockRef::from(self).multicast_if_v4()
            }

            /// Sets [`multicast_if_v4`](Self::multicast_if_v4).
            pub fn set_multicast_if_v4(&self, interface: &std::net::Ipv4Addr) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_multicast_if_v4(interface)
            }

            /// Receives what is sent to `group`, over the interface with that address (IP_ADD_MEMBERSHIP).
            pub fn join_multicast_v4(
                &self,
                group: &std::net::Ipv4Addr,
                interface: &std::net::Ipv4Addr,
            ) -> std::io::Result<()> {
                socket2::SockRef::from(self).join_multicast_v4(group, interface)
            }

            /// Undoes [`join_multicast_v4`](Self::join_multicast_v4).
            pub fn leave_multicast_v4(
                &self,
                group: &std::net::Ipv4Addr,
                interface: &std::net::Ipv4Addr,
            ) -> std::io::Result<()> {
                socket2::SockRef::from(self).leave_multicast_v4(group, interface)
            }

            /// Receives what is sent to `group`, over the interface of that index; 0 is any
            /// (IPV6_ADD_MEMBERSHIP).
            pub fn join_multicast_v6(
                &self,
                group: &std::net::Ipv6Addr,
                interface: u32,
            ) -> std::io::Result<()> {
                socket2::SockRef::from(self).join_multicast_v6(group, interface)
            }

            /// Undoes [`join_multicast_v6`](Self::join_multicast_v6).
            pub fn leave_multicast_v6(
                &self,
                group: &std::net::Ipv6Addr,
                interface: u32,
            ) -> std::io::Result<()> {
                socket2::SockRef::from(self).leave_multicast_v6(group, interface)
            }
        }
    };
}
