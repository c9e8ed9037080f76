//! Echo on the bare queues: a request is one completion read and seven words stored.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use super::queues::{COMPLETIONS, Completion, Entry, Queues, SUBMISSIONS};
use crate::competitor::raw::ring;

/// Bytes of a buffer, as a shift of its descriptor.
const BUFFER_BITS: u32 = 12;
const BUFFER: u32 = 1 << BUFFER_BITS;
/// Descriptors below this have a buffer; a connection with a greater one is closed at once.
const DESCRIPTORS: usize = 1 << 16;

const ACCEPT: u64 = u64::MAX;

const OP_NOP: u8 = 0;
const OP_ACCEPT: u8 = 13;
const OP_SEND: u8 = 26;
const OP_RECV: u8 = 27;
const IO_LINK: u8 = 1 << 2;
const CQE_SKIP_SUCCESS: u8 = 1 << 6;
const ACCEPT_MULTISHOT: u16 = 1;
const CQE_MORE: u32 = 1 << 1;

const EMPTY: Entry = Entry {
    opcode: OP_NOP,
    flags: 0,
    ioprio: 0,
    fd: -1,
    offset: 0,
    address: 0,
    length: 0,
    operation_flags: 0,
    user_data: 0,
    rest: [0; 3],
};

/// The second half of a pair that has none.
const NOTHING: Entry = Entry { flags: CQE_SKIP_SUCCESS, ..EMPTY };

/// A request stores descriptor, address, length and user data.
///
/// Its user data is the descriptor and, above it, twice 16 bits: the length, and where that ends in the
/// buffer. A receive's has zeros there. So one shift tells them apart, and a short send is resumed from its
/// completion alone.
const SEND: Entry = Entry {
    opcode: OP_SEND,
    flags: IO_LINK | CQE_SKIP_SUCCESS,
    operation_flags: libc::MSG_WAITALL as u32,
    ..EMPTY
};

/// A request stores descriptor, address and user data.
const RECEIVE: Entry = Entry { opcode: OP_RECV, length: BUFFER, ..EMPTY };

struct Loop {
    queues: Queues,
    buffers: NonNull<u8>,
    /// The submission queue's tail, and what of it the kernel has taken.
    tail: u32,
    taken: u32,
    listener: i32,
}

pub(super) fn serve(listener: TcpListener) -> io::Result<()> {
    let queues = Queues::map().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot set the ring up, which takes Linux 6.6: {error}"))
    })?;
    let buffers = NonNull::from(Box::leak(vec![0_u8; DESCRIPTORS << BUFFER_BITS].into_boxed_slice())).cast();
    let mut this = Loop { queues, buffers, tail: 0, taken: 0, listener: listener.as_raw_fd() };
    for pair in 0..SUBMISSIONS / 2 {
        this.restore(pair * 2);
    }
    this.accept()?;
    let mut head = this.queues.completion_head.load(Ordering::Relaxed);
    loop {
        this.submit(1)?;
        let ready = this.queues.completion_tail.load(Ordering::Acquire).wrapping_sub(head);
        // No more than there are free pairs: the submission queue cannot overflow.
        let pairs = (SUBMISSIONS - this.tail.wrapping_sub(this.taken)) / 2;
        for _ in 0..ready.min(pairs) {
            // SAFETY: the index is masked, and the kernel has published this completion.
            let completion =
                unsafe { this.queues.completions.add((head & (COMPLETIONS - 1)) as usize).as_ref() };
            head = head.wrapping_add(1);
            if completion.user_data >> 32 == 0 && completion.result > 0 {
                this.answer(completion.user_data as u32, completion.result as u32, 0);
            } else {
                let completion = *completion;
                this.rarely(completion)?;
            }
        }
        this.queues.completion_head.store(head, Ordering::Release);
    }
}

impl Loop {
    /// Sends `sent..end` of a connection's buffer, then receives.
    #[inline(always)]
    fn answer(&mut self, fd: u32, end: u32, sent: u32) {
        let buffer = self.buffers.as_ptr() as u64 + (u64::from(fd) << BUFFER_BITS);
        let [send, receive] = self.pair();
        send.fd = fd as i32;
        send.address = buffer + u64::from(sent);
        send.length = end - sent;
        send.user_data = u64::from(fd) | u64::from(end - sent) << 32 | u64::from(end) << 48;
        receive.fd = fd as i32;
        receive.address = buffer;
        receive.user_data = u64::from(fd);
    }

    /// The next pair of templates, counted as pending.
    #[inline(always)]
    fn pair(&mut self) -> &mut [Entry; 2] {
        let index = (self.tail & (SUBMISSIONS - 1)) as usize;
        self.tail = self.tail.wrapping_add(2);
        // SAFETY: the tail is even, so the masked pair lies within the queue, and the kernel has done with
        // it: a turn hands out no more pairs than there are before it submits them all.
        unsafe { self.queues.entries.add(index).cast::<[Entry; 2]>().as_mut() }
    }

    /// Publishes all pairs, submits them, and waits until there are `wanted` completions.
    #[inline(always)]
    fn submit(&mut self, wanted: u32) -> io::Result<()> {
        self.queues.submission_tail.store(self.tail, Ordering::Release);
        let pending = self.tail.wrapping_sub(self.taken);
        self.taken = self.taken.wrapping_add(self.queues.enter(pending, wanted)?);
        Ok(())
    }

    /// Everything but a request received.
    #[cold]
    fn rarely(&mut self, completion: Completion) -> io::Result<()> {
        let Completion { user_data, result, flags } = completion;
        if user_data == ACCEPT {
            match ring::accepted(result)? {
                Some(fd) if (fd as usize) < DESCRIPTORS => self.receive(fd)?,
                Some(fd) => close(fd),
                None => {}
            }
            return if flags & CQE_MORE == 0 { self.accept() } else { Ok(()) };
        }
        let (fd, intended, end) = (user_data as u32, (user_data >> 32) as u16, (user_data >> 48) as u32);
        if intended > 0 && result > 0 {
            self.answer(fd, end, end - u32::from(intended) + result as u32);
        } else {
            close(fd as i32);
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let (opcode, ioprio) = (OP_ACCEPT, ACCEPT_MULTISHOT);
        let operation_flags = libc::SOCK_CLOEXEC as u32;
        let fd = self.listener;
        self.alone(Entry { opcode, ioprio, fd, operation_flags, user_data: ACCEPT, ..EMPTY })
    }

    /// The first receive of a connection.
    fn receive(&mut self, fd: i32) -> io::Result<()> {
        let address = self.buffers.as_ptr() as u64 + ((fd as u64) << BUFFER_BITS);
        self.alone(Entry { fd, address, user_data: fd as u64, ..RECEIVE })
    }

    /// Submits an entry that is no pair of send and receive, and restores the templates in its place.
    fn alone(&mut self, entry: Entry) -> io::Result<()> {
        let index = self.tail;
        *self.pair() = [entry, NOTHING];
        while self.taken != self.tail {
            self.submit(0)?;
        }
        self.restore(index);
        Ok(())
    }

    /// Writes the templates of a pair; the kernel only ever reads entries, so they stay.
    fn restore(&mut self, index: u32) {
        let index = (index & (SUBMISSIONS - 1)) as usize;
        // SAFETY: the even, masked index lies within the queue, and the kernel has done with the pair.
        unsafe { self.queues.entries.add(index).cast::<[Entry; 2]>().write([SEND, RECEIVE]) };
    }
}

/// Closes a connection that has nothing in flight.
fn close(fd: i32) {
    // SAFETY: the descriptor comes from an accept, and the loop, which forgets it here, was its only owner.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}
