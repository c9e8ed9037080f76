//! Options of TCP sockets (tcp(7)).

macro_rules! tcp_options {
    ($socket:ident) => {
        options! { $socket {
            /// Whether small segments are sent at once (TCP_NODELAY).
            nodelay, set_nodelay: bool => tcp_nodelay, set_tcp_nodelay;
            /// Whether acknowledgements are sent at once (TCP_QUICKACK). The kernel may turn it off again.
            quickack, set_quickack: bool => tcp_quickack, set_tcp_quickack;
            /// Whether partial segments are held back, 200 ms at most, until it is turned off (TCP_CORK).
            cork, set_cork: bool => tcp_cork, set_tcp_cork;
            /// Whether a silent peer is asked now and then whether it is still there (SO_KEEPALIVE).
            keepalive, set_keepalive: bool => keepalive, set_keepalive;
            /// The largest segment, in bytes (TCP_MAXSEG).
            mss, set_mss: u32 => tcp_mss, set_tcp_mss;
            /// How long bytes may stay unacknowledged before the connection is given up (TCP_USER_TIMEOUT);
            /// `None` is the system's default.
            user_timeout, set_user_timeout: Option<std::time::Duration> => tcp_user_timeout, set_tcp_user_timeout;
            /// From how many unsent bytes on the socket counts as full (TCP_NOTSENT_LOWAT).
            notsent_lowat, set_notsent_lowat: u32 => tcp_notsent_lowat, set_tcp_notsent_lowat;
            /// Whether out-of-band bytes are left among the others (SO_OOBINLINE).
            out_of_band_inline, set_out_of_band_inline: bool => out_of_band_inline, set_out_of_band_inline;
        }}

        impl $socket {
            /// What closing does with bytes that were not sent (SO_LINGER): the system sends them while nobody waits
            /// (`None`); or close(2) waits until the peer has them, for so many seconds at most; with zero the connection
            /// is reset.
            pub fn linger(&self) -> std::io::Result<Option<std::time::Duration>> {
                socket2::SockRef::from(self).linger()
            }

            /// Sets [`linger`](Self::linger), in whole seconds: less than one is zero. Accepted streams inherit it of their
            /// listener.
            ///
            /// A socket that lingers is closed by a thread of the kernel that can wait. One that lingers although it was
            /// not told so here (by way of socket2, or in another process) makes the core wait when it is closed, and
            /// with it every other connection; so does one that a peer takes nothing of at the end of the runtime.
            pub fn set_linger(&self, linger: Option<std::time::Duration>) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_linger(linger)?;
                self.descriptor().close_in_background(linger.is_some_and(|time| time.as_secs() > 0));
                Ok(())
            }

            /// Turns keepalive on, after so much silence, at such an interval, giving up after so many probes that
            /// nobody answered (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT). Both times are in whole seconds, at
            /// least one.
            pub fn set_keepalive_after(
                &self,
                silence: std::time::Duration,
                interval: std::time::Duration,
                probes: u32,
            ) -> std::io::Result<()> {
                let keepalive = socket2::TcpKeepalive::new();
                let keepalive = keepalive.with_time(silence).with_interval(interval).with_retries(probes);
                socket2::SockRef::from(self).set_tcp_keepalive(&keepalive)
            }

            /// The silence, the interval and the number of probes that [`set_keepalive_after`] sets.
            ///
            /// [`set_keepalive_after`]: Self::set_keepalive_after
            pub fn keepalive_after(
                &self,
            ) -> std::io::Result<(std::time::Duration, std::time::Duration, u32)> {
                let socket = socket2::SockRef::from(self);
                let (silence, interval) = (socket.tcp_keepalive_time()?, socket.tcp_keepalive_interval()?);
                Ok((silence, interval, socket.tcp_keepalive_retries()?))
            }

            /// The algorithm of congestion control (TCP_CONGESTION).
            pub fn congestion(&self) -> std::io::Result<String> {
                let name = socket2::SockRef::from(self).tcp_congestion()?;
                Ok(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
            }

            /// Sets [`congestion`](Self::congestion).
            ///
            /// # Errors
            /// ENOENT if the system has no algorithm of that name.
            pub fn set_congestion(&self, name: &str) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_tcp_congestion(name.as_bytes())
            }
        }
    };
}
