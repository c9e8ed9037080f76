//! Receiving on a stream.

macro_rules! reads {
    ($socket:ident) => {
        reads!($socket, chainring_runtime::Descriptor);
    };
    ($socket:ident, $descriptor:ty) => {
        impl $socket {
            /// Receives what there is, up to the room of `buffer`, and gives the number of bytes (recv(2)). 0 is the
            /// end of the stream, unless the buffer has no room (which waits for bytes all the same). A `Vec` then has
            /// exactly the bytes received: its capacity is the room, and what was in it is overwritten. To keep that, and
            /// read behind it, make room and give the rest of the `Vec`, a [slice](chainring_runtime::buf::IoBuf::slice):
            ///
            /// ```
            /// use chainring_net::UnixStream;
            /// use chainring_runtime::buf::IoBuf;
            ///
            /// # chainring_runtime::Runtime::new().unwrap().block_on(async {
            /// let (stream, peer) = UnixStream::pair()?;
            /// let mut data = Vec::new();
            /// for part in ["a request ", "in two parts\n"] {
            ///     peer.write_all(part).await.0?;
            ///     data.reserve(4096); // Without room `received` is 0, as at the end of the stream.
            ///     let at = data.len();
            ///     let (received, slice) = stream.read(data.slice(at..)).await;
            ///     data = slice.into_inner();
            ///     assert_eq!(received?, part.len());
            /// }
            /// assert_eq!(data, b"a request in two parts\n");
            /// # std::io::Result::Ok(()) }).unwrap();
            /// ```
            ///
            /// Dropping the future cancels; bytes that were taken from the socket already are lost with it. To
            /// give up waiting without losing any, keep the future and await it later, or wait for
            /// [`readable`](Self::readable).
            ///
            /// # Errors
            /// Those of recv(2), ECONNRESET among them.
            #[inline]
            pub fn read<B: chainring_runtime::buf::IoBufMut>(
                &self,
                buffer: B,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::recv::Recv<B, $descriptor>> {
                chainring_runtime::op::recv::recv(&self.0, buffer, 0)
            }

            /// As [`read`](Self::read), but the bytes stay in the socket to be received again.
            ///
            /// Dropping the future cancels; no bytes are lost.
            pub fn peek<B: chainring_runtime::buf::IoBufMut>(
                &self,
                buffer: B,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::recv::Recv<B, $descriptor>> {
                chainring_runtime::op::recv::recv(&self.0, buffer, libc::MSG_PEEK)
            }

            /// As [`read`](Self::read), into several buffers in order (readv(2)).
            ///
            /// Dropping the future cancels; bytes that were taken from the socket already are lost with it.
            ///
            /// # Errors
            /// Those of readv(2); EINVAL for more than 1024 buffers.
            pub fn read_vectored<B: chainring_runtime::buf::IoVecBufMut>(
                &self,
                buffers: B,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::read_vectored::ReadVectored<B, $descriptor>>
            {
                chainring_runtime::op::read_vectored::read_vectored_at(&self.0, buffers, 0)
            }

            /// Receives until all of the room of `buffer` is filled: of a `Vec` all its capacity.
            ///
            /// Dropping the future cancels; what was received until then is lost.
            ///
            /// # Errors
            /// `UnexpectedEof` if the stream ends before; those of recv(2). The buffer then begins with what came.
            pub async fn read_exact<B: chainring_runtime::buf::IoBufMut>(
                &self,
                buffer: B,
            ) -> chainring_runtime::buf::BufResult<(), B> {
                crate::stream::read_exact(&self.0, buffer).await
            }

            /// Receives what there is into a buffer of `pool`, which is taken when bytes have arrived: as long as
            /// the stream is silent it holds no memory. No bytes are the end of the stream. Dropping the buffer
            /// gives it back to the pool.
            ///
            /// Dropping the future cancels; bytes that were taken from the socket already are lost with it.
            ///
            /// # Errors
            /// Those of recv(2); ENOBUFS, at once and also without bytes, if all of the pool's buffers are in use:
            /// [`BufferPool::available`](chainring_runtime::buf::BufferPool::available) waits for one.
            #[inline]
            pub fn read_pooled(
                &self,
                pool: &chainring_runtime::buf::BufferPool,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::recv_multi::RecvPooled<$descriptor>> {
                chainring_runtime::op::recv_multi::recv_pooled(&self.0, pool, 0)
            }

            /// Receives into buffers of `pool` again and again, with one submission, as a stream of buffers (kernel
            /// 6.0; several buffers a completion from 6.10 on). An empty buffer is the end of the stream. It ends
            /// after an error, ENOBUFS among them, and now and then without one: call this again to go on. It
            /// receives as long as it exists, polled or not: a slow reader is bounded by the pool alone.
            ///
            /// Dropping it cancels; what was received and not taken is lost. [`stop`] it and take the rest to lose
            /// nothing.
            ///
            /// [`stop`]: chainring_runtime::op::Multishot::stop
            ///
            /// # Errors
            /// As [`read_pooled`](Self::read_pooled).
            pub fn read_multi(
                &self,
                pool: &chainring_runtime::buf::BufferPool,
            ) -> chainring_runtime::op::Multishot<chainring_runtime::op::recv_multi::RecvMulti<$descriptor>>
            {
                chainring_runtime::op::recv_multi::recv_bundles(&self.0, pool, 0)
            }
        }
        readable!($socket);
    };
}
