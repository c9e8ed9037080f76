//! Buffer types are safe code, and may say another thing each time they are asked. Nothing bad comes of it.

mod common;

use std::cell::Cell;
use std::io::Write;
use std::mem::MaybeUninit;
use std::rc::Rc;

use chainring_runtime::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::read_vectored::read_vectored_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::{Builder, Handle, spawn};
use common::{Dir, run, tcp};

/// Gives another vector's room each time it is asked.
struct Fickle {
    vectors: [Vec<u8>; 2],
    asked: usize,
}

impl Fickle {
    fn new(rooms: [usize; 2]) -> Fickle {
        Fickle { vectors: rooms.map(Vec::with_capacity), asked: 0 }
    }

    /// The vector whose room was given last.
    fn last(&self) -> &Vec<u8> {
        &self.vectors[self.asked % 2]
    }
}

impl IoBuf for Fickle {
    fn as_bytes(&self) -> &[u8] {
        self.last()
    }
}

impl IoBufMut for Fickle {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        self.asked += 1;
        // SAFETY: the caller's promise is passed on.
        unsafe { self.vectors[self.asked % 2].room() }
    }

    unsafe fn filled(&mut self, n: usize) {
        // SAFETY: this vector's room was given last, and the caller's promise is about that.
        unsafe { self.vectors[self.asked % 2].filled(n) }
    }
}

#[test]
fn a_buffer_gives_another_room_each_time() {
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let file = dir.file("f", b"hello, ring");
        // The one that is not asked for has no room for what comes.
        for rooms in [[0, 64], [64, 0], [64, 64], [3, 64], [64, 3]] {
            let (result, buffer) = read_at(&file, Fickle::new(rooms), 0).await;
            assert_eq!(buffer.asked, 1, "asked once");
            assert_eq!(buffer.last().len(), result.unwrap());
            assert_eq!(buffer.last()[..], b"hello, ring"[..buffer.last().len()]);
            assert!(buffer.vectors[0].is_empty());

            let parts = vec![Fickle::new(rooms), Fickle::new(rooms)];
            let (result, parts) = read_vectored_at(&file, parts, 0).await;
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.last().clone()).collect();
            assert_eq!((result.unwrap(), parts[0].asked, parts[1].asked), (bytes.len(), 1, 1));
            assert_eq!(bytes[..], b"hello, ring"[..bytes.len()]);

            let (socket, mut peer) = tcp();
            peer.write_all(b"hello").unwrap();
            // There is no place for it at first.
            Handle::current().injector().fill_queue(3);
            let (result, buffer) = recv(&socket, Fickle::new(rooms), 0).await;
            assert_eq!(buffer.last()[..], b"hello"[..result.unwrap()]);
        }
    });
}

/// Counts as many of its bytes as it is told to.
struct Forgetful {
    bytes: Vec<u8>,
    counted: Rc<Cell<usize>>,
}

impl IoBuf for Forgetful {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.counted.get()]
    }
}

impl IoBufMut for Forgetful {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.bytes.room() }
    }

    unsafe fn filled(&mut self, n: usize) {
        // SAFETY: the caller's promise is passed on: what `as_bytes` counts is counted by the vector too.
        unsafe { self.bytes.filled(n) }
    }
}

#[test]
fn a_buffer_forgets_bytes_that_a_slice_leaves_alone() {
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let file = dir.file("f", b"hello");
        let counted = Rc::new(Cell::new(10));
        let mut bytes = vec![b'.'; 10];
        bytes.reserve(100);
        let buffer = Forgetful { bytes, counted: counted.clone() }.slice(8..);
        let reading = spawn({
            let file = file.clone();
            async move { read_at(&file, buffer, 0).await.0 }
        });
        counted.set(3);
        let panic = reading.await.unwrap_err().into_panic();
        let said = panic.downcast_ref::<String>().unwrap();
        assert!(said.contains("only 3 of the 8 bytes"), "{said}");

        let mut bytes = vec![b'.'; 10];
        bytes.reserve(100);
        let buffer = Forgetful { bytes, counted: counted.clone() }.slice(2..);
        let (result, buffer) = read_at(&file, buffer, 0).await;
        assert_eq!((result.unwrap(), &buffer.get_ref().bytes[..]), (5, &b"..hello"[..]));
    });
}

/// Has more rooms the first time than it has later.
struct Vanishing(Vec<[u8; 4]>);

impl IoVecBuf for Vanishing {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|part| &part[..])
    }
}

impl IoVecBufMut for Vanishing {
    unsafe fn rooms(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
        // SAFETY: the caller's promise is passed on.
        self.0.iter_mut().map(|part| unsafe { part.room() })
    }

    unsafe fn filled(&mut self, counts: &[usize]) {
        assert_eq!(counts, [4, 4, 3], "of the rooms as they were");
        self.0.clear();
    }
}

#[test]
fn rooms_vanish_with_the_bytes_in_them() {
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let file = dir.file("f", b"hello, ring");
        let (result, parts) = read_vectored_at(&file, Vanishing(vec![[0; 4]; 3]), 0).await;
        assert_eq!((result.unwrap(), parts.0.len()), (11, 0));
    });
}
