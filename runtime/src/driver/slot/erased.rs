//! Operations whose types are forgotten: the place where one is stored, and a table of what can be done with it.

use std::any::TypeId;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::op::{Completion, Facts, Operation};
use crate::ring::Sqe;

/// Bytes of an operation that fit into a slot; a larger one is boxed.
const INLINE: usize = 128;

/// Room for an operation, or for the pointer to a boxed one.
#[repr(align(16))]
pub(in crate::driver) struct Store(UnsafeCell<MaybeUninit<[u8; INLINE]>>);

impl Store {
    pub(in crate::driver) fn new() -> Store {
        Store(UnsafeCell::new(MaybeUninit::uninit()))
    }

    #[inline]
    pub(in crate::driver) fn place(&self) -> NonNull<u8> {
        NonNull::from(&self.0).cast()
    }
}

/// How a `T` lies in a store: inline if it fits, else boxed.
pub(in crate::driver) struct Stored<T>(T);

impl<T> Stored<T> {
    const FITS: bool = size_of::<T>() <= INLINE && align_of::<T>() <= align_of::<Store>();

    /// # Safety
    /// `store` must be the unoccupied store of a slot.
    #[inline]
    pub(in crate::driver) unsafe fn put(store: NonNull<u8>, operation: T) {
        if Self::FITS {
            // SAFETY: the store is unoccupied, and large and aligned enough.
            unsafe { store.cast::<T>().write(operation) };
        } else {
            let boxed = NonNull::from(Box::leak(Box::new(operation)));
            // SAFETY: the store is unoccupied and holds a pointer.
            unsafe { store.cast::<NonNull<T>>().write(boxed) };
        }
    }

    /// # Safety
    /// `store` must hold a `T`, by `put`.
    pub(in crate::driver) unsafe fn pointer(store: NonNull<u8>) -> NonNull<T> {
        if Self::FITS {
            store.cast()
        } else {
            // SAFETY: `put` wrote the box's pointer here.
            unsafe { store.cast::<NonNull<T>>().read() }
        }
    }

    /// # Safety
    /// `store` must hold a `T`, by `put`; afterwards it holds nothing.
    #[inline]
    pub(in crate::driver) unsafe fn take(store: NonNull<u8>) -> T {
        // SAFETY: the caller's promise.
        let pointer = unsafe { Self::pointer(store) };
        if Self::FITS {
            // SAFETY: a valid `T` that nobody will read again.
            unsafe { pointer.read() }
        } else {
            // SAFETY: `put` leaked this box, and the pointer to it is not used again.
            *unsafe { Box::from_raw(pointer.as_ptr()) }
        }
    }
}

/// What the slot can do with an operation whose type it has forgotten. The pointers are to the place where
/// the operation is stored.
pub(super) struct Table {
    pub(super) type_id: fn() -> TypeId,
    pub(super) facts: &'static Facts,
    pub(super) prepare: unsafe fn(NonNull<u8>) -> Sqe,
    /// Takes care of a result that nobody will read; only called for operations with `Returns::Buffer`.
    pub(super) unwanted: unsafe fn(NonNull<u8>, Completion),
    /// Makes the kernel let go of the operation's memory; only called for `Returns::Notified`.
    pub(super) abort: unsafe fn(NonNull<u8>),
    pub(super) drop: unsafe fn(NonNull<u8>),
}

pub(super) struct TableOf<T>(T);

impl<T: Operation> TableOf<T> {
    const FACTS: Facts = T::FACTS;
    pub(super) const TABLE: Table = Table {
        type_id: TypeId::of::<T>,
        facts: &Self::FACTS,
        prepare: Self::prepare,
        unwanted: Self::unwanted,
        abort: Self::abort,
        drop: Self::drop,
    };

    /// # Safety
    /// `store` must hold a `T`, by `put`, and the kernel must not be working on it.
    #[inline]
    pub(super) unsafe fn prepare(store: NonNull<u8>) -> Sqe {
        // SAFETY: the caller's promise; nobody else has a reference to it.
        unsafe { Stored::<T>::pointer(store).as_mut() }.prepare().into_sqe()
    }

    /// # Safety
    /// `store` must hold a `T`, by `put`, no part of which the kernel writes.
    unsafe fn unwanted(store: NonNull<u8>, completion: Completion) {
        // SAFETY: the caller's promise; nobody else has a mutable reference to it.
        unsafe { Stored::<T>::pointer(store).as_ref() }.unwanted(completion);
    }

    /// # Safety
    /// As `unwanted`.
    unsafe fn abort(store: NonNull<u8>) {
        // SAFETY: the caller's promise; nobody else has a mutable reference to it.
        unsafe { Stored::<T>::pointer(store).as_ref() }.abort();
    }

    /// # Safety
    /// As `take`.
    unsafe fn drop(store: NonNull<u8>) {
        // SAFETY: the caller's promise.
        drop(unsafe { Stored::<T>::take(store) });
    }
}
