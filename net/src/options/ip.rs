//! Options of sockets of the internet (ip(7), ipv6(7)).

macro_rules! ip_options {
    ($socket:ident) => {
        options! { $socket {
            /// Whether the address can be bound although connections of an earlier owner linger on it
            /// (SO_REUSEADDR).
            reuse_address, set_reuse_address: bool => reuse_address, set_reuse_address;
            /// Whether several sockets can be bound to the same address (SO_REUSEPORT); the kernel spreads
            /// connections and datagrams over them.
            reuse_port, set_reuse_port: bool => reuse_port, set_reuse_port;
            /// The hops that a packet may take, over IPv4 (IP_TTL).
            ttl, set_ttl: u32 => ttl_v4, set_ttl_v4;
            /// The type of service, over IPv4 (IP_TOS).
            tos, set_tos: u32 => tos_v4, set_tos_v4;
            /// The hops that a packet may take, over IPv6 (IPV6_UNICAST_HOPS).
            unicast_hops_v6, set_unicast_hops_v6: u32 => unicast_hops_v6, set_unicast_hops_v6;
            /// The traffic class, over IPv6 (IPV6_TCLASS).
            tclass_v6, set_tclass_v6: u32 => tclass_v6, set_tclass_v6;
            /// Whether an IPv6 socket keeps to IPv6 (IPV6_V6ONLY). To be set before binding.
            only_v6, set_only_v6: bool => only_v6, set_only_v6;
            /// Whether it can be bound to an address that the system does not have (yet) (IP_FREEBIND).
            freebind, set_freebind: bool => freebind_v4, set_freebind_v4;
            /// The mark that routing and filters see (SO_MARK). Needs CAP_NET_ADMIN or CAP_NET_RAW.
            mark, set_mark: u32 => mark, set_mark;
            /// The CPU that handled the last packet; set, the one that is preferred (SO_INCOMING_CPU).
            cpu_affinity, set_cpu_affinity: usize => cpu_affinity, set_cpu_affinity;
            /// Microseconds to poll the network card for before sleeping (SO_BUSY_POLL). More than the system's
            /// default needs CAP_NET_ADMIN.
            busy_poll, set_busy_poll: u32 => busy_poll, set_busy_poll;
        }}

        impl $socket {
            /// The network interface that the socket is bound to (SO_BINDTODEVICE).
            pub fn device(&self) -> std::io::Result<Option<Vec<u8>>> {
                socket2::SockRef::from(self).device()
            }

            /// Binds the socket to a network interface, by name (SO_BINDTODEVICE), or frees it.
            pub fn bind_device(&self, interface: Option<&[u8]>) -> std::io::Result<()> {
                socket2::SockRef::from(self).bind_device(interface)
            }
        }
    };
}
