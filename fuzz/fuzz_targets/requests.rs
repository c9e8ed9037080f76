//! Any bytes to the kv example's parser and engine: the first one says in what pieces they come.

#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../examples/kv/engine/mod.rs"]
mod engine;
#[path = "../property.rs"]
mod property;
#[path = "../../examples/kv/protocol/mod.rs"]
mod protocol;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let [first, bytes @ ..] = input {
        property::holds(bytes, &[usize::from(first >> 4) + 1, usize::from(first & 15) + 1]);
    }
});
