//! Sending on a stream.

macro_rules! writes {
    ($socket:ident) => {
        writes!($socket, chainring_runtime::Descriptor);
    };
    ($socket:ident, $descriptor:ty) => {
        impl $socket {
            /// Sends some of `buffer` and gives the number of bytes that the socket took (send(2)). No signal is
            /// raised if the peer is gone.
            ///
            /// Dropping the future cancels; it is not known how much was sent.
            ///
            /// # Errors
            /// Those of send(2); EPIPE if this direction is ended.
            #[inline]
            pub fn write<B: chainring_runtime::buf::IoBuf>(
                &self,
                buffer: B,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::send::Send<B, $descriptor>> {
                chainring_runtime::op::send::send(&self.0, buffer, 0)
            }

            /// As [`write`](Self::write), from several buffers in order (sendmsg(2)).
            ///
            /// Dropping the future cancels; it is not known how much was sent.
            ///
            /// # Errors
            /// Those of sendmsg(2); EMSGSIZE for more than 1024 buffers.
            pub fn write_vectored<B: chainring_runtime::buf::IoVecBuf>(
                &self,
                buffers: B,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::sendmsg::SendMsg<B, $descriptor>> {
                chainring_runtime::op::sendmsg::sendmsg(&self.0, buffers, None, Default::default(), 0)
            }

            /// Sends all of `buffer`, in one operation where the kernel manages (`MSG_WAITALL`), else in several.
            ///
            /// Dropping the future cancels; it is not known how much was sent.
            ///
            /// # Errors
            /// Those of send(2); part of the buffer may have been sent then.
            #[inline]
            pub fn write_all<B: chainring_runtime::buf::IoBuf>(
                &self,
                buffer: B,
            ) -> chainring_runtime::op::send_all::SendAll<B, $descriptor> {
                chainring_runtime::op::send_all::send_all(&self.0, buffer)
            }

            /// As [`write_all`](Self::write_all), from several buffers in order.
            ///
            /// Dropping the future cancels; it is not known how much was sent.
            ///
            /// # Errors
            /// As [`write_all`](Self::write_all); EMSGSIZE for more than 1024 buffers.
            pub async fn write_all_vectored<B: chainring_runtime::buf::IoVecBuf>(
                &self,
                buffers: B,
            ) -> chainring_runtime::buf::BufResult<(), B> {
                crate::stream::write_all_vectored(&self.0, buffers).await
            }
        }
        writable!($socket);
    };
}

/// Only for sockets whose protocol can.
macro_rules! zero_copy_writes {
    ($socket:ident) => {
        impl $socket {
            /// As [`write`](Self::write), but the network card reads the buffer itself (kernel 6.0). Worth it from
            /// about [`ZERO_COPY_FROM`](crate::tcp::ZERO_COPY_FROM) bytes on. Completes when the kernel is done with
            /// the buffer, which is when the peer has acknowledged the bytes.
            ///
            /// Dropping the future cancels; it is not known how much was sent. The buffer, and with it the socket, is
            /// kept until the kernel is done with it: dropping the stream closes it only then, so a peer that takes
            /// nothing keeps both for as long as it likes. Where peers are not trusted,
            /// [`TcpStream::set_user_timeout`](crate::TcpStream::set_user_timeout) sets a limit.
            ///
            /// # Errors
            /// Those of send(2); EPIPE if this direction is ended.
            pub fn write_zero_copy<B: chainring_runtime::buf::IoBuf>(
                &self,
                buffer: B,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::send_zc::SendZc<B>> {
                chainring_runtime::op::send_zc::send_zc(&self.0, buffer, 0)
            }

            /// Sends all of `buffer`: if it has `from` bytes or more as
            /// [`write_zero_copy`](Self::write_zero_copy) does, else as [`write_all`](Self::write_all) does.
            ///
            /// Dropping the future cancels; it is not known how much was sent.
            ///
            /// # Errors
            /// Those of send(2); part of the buffer may have been sent then.
            pub async fn write_all_zero_copy<B: chainring_runtime::buf::IoBuf>(
                &self,
                buffer: B,
                from: usize,
            ) -> chainring_runtime::buf::BufResult<(), B> {
                if buffer.as_bytes().len() < from {
                    return chainring_runtime::op::send_all::send_all(&self.0, buffer).await;
                }
                crate::stream::write_all_zero_copy(&self.0, buffer).await
            }
        }
    };
}
