//! Side-by-side comparison of chainring with hand-written loops and other runtimes.
fn main() {}
