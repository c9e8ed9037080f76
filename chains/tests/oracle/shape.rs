//! What is the same in every program: its registers, buffers, words, files, names and sockets, and the numbers that mean
//! something.

/// Registers of every program: general ones, a counter for each depth of loops, the length of an endless echo.
pub(crate) const REGS: usize = 8;
pub(crate) const GENERAL: usize = 4;
/// The counter of the loops at a depth.
pub(crate) fn counter(depth: usize) -> usize {
    GENERAL + depth
}
pub(crate) const DEEPEST: usize = 3;
pub(crate) const ECHO_REG: usize = 7;
/// Where the bytes of the stream buffer start and how many there are: registers of its own, which only spans and
/// expressions name.
pub(crate) const HELD_FROM: usize = 8;
pub(crate) const HELD: usize = 9;
pub(crate) const ALL_REGS: usize = 10;

/// Buffers of every program, behind each other: general ones, that of an endless echo, a stream buffer, and apart from
/// them a constant, one of a pool, and one that is allocated when something comes.
pub(crate) const BUFS: [u32; 10] = [4, 16, 64, 300, 6000, 512, 32, 24, 64, 100];
pub(crate) const ECHO_BUF: usize = 5;
pub(crate) const STREAM: usize = 6;
pub(crate) const CONSTANT: usize = 7;
pub(crate) const POOLED: usize = 8;
pub(crate) const OWNED: usize = 9;

/// Words of every program: those that a core shares, of which the last is for sections that one frame at a time is in, one
/// that all threads share, and two that can be waited for. Of these nobody but the program touches the first, and a thread
/// looks at the second, see `waker.rs`.
pub(crate) const WORDS: usize = 6;
pub(crate) const INSIDE_WORD: usize = 2;
pub(crate) const ATOMIC: usize = 3;
pub(crate) const FUTEX: usize = 4;
pub(crate) const SIGNAL: usize = 5;
/// What the thread answers to: with the next number, or by waking whoever waits and no more.
pub(crate) const ANSWERED: u64 = 0x5157_0001;
pub(crate) const WOKEN: u64 = 0x5157_0011;

/// Within the turns of a pipelined block: the register with the turn's number. The general registers and buffers below
/// these are the turn's own.
pub(crate) const TURN: usize = ECHO_REG;
pub(crate) const TURN_REGS: usize = 2;
pub(crate) const TURN_BUFS: usize = 3;

/// What is polled for: something to receive, room to send.
pub(crate) const IN: u64 = libc::POLLIN as u64;
pub(crate) const OUT: u64 = libc::POLLOUT as u64;

/// Times in nanoseconds: none that is tested comes to the long one by itself, every one to the short.
pub(crate) const SHORT: u64 = 300_000;
pub(crate) const LONG: u64 = 3_600_000_000_000;

/// What the constant holds: bytes that ascend.
pub(crate) fn constant() -> Vec<u8> {
    (0..BUFS[CONSTANT]).map(|i| (i * 11 / BUFS[CONSTANT]) as u8).collect()
}

/// Files of every program: one that is given, and one that is not.
pub(crate) const FILES: usize = 2;
/// The places of descriptors are those of the sockets that are given, the files, and the directory.
pub(crate) fn file_place(file: usize) -> usize {
    GIVEN + file
}
/// What is opened beneath the directory: a file that is there, one that is not, one outside of it, and a directory; and one
/// that is never written to.
pub(crate) const NAMES: [&str; 6] = ["there", "missing", "../outside", "given", "folder", "still"];
pub(crate) const STILL: usize = 5;
/// Those in front of it are opened, renamed and removed.
pub(crate) const CHANGED: usize = STILL;

/// Sockets of every program: those that are given, and one that is accepted.
pub(crate) const GIVEN: usize = 2;
pub(crate) const ACCEPTED: usize = 2;
pub(crate) const SOCKETS: usize = 3;
