//! What the attributes refuse to compile.

/// A `main` that is not async.
///
/// ```compile_fail
/// #[chainring::main]
/// fn main() {}
/// ```
///
/// No core.
///
/// ```compile_fail
/// #[chainring::main(cores = 0)]
/// async fn main() {}
/// ```
///
/// An argument that there is none of.
///
/// ```compile_fail
/// #[chainring::main(threads = 4)]
/// async fn main() {}
/// ```
///
/// A handle without several cores.
///
/// ```compile_fail
/// #[chainring::main]
/// async fn main(core: chainring::CoreHandle) {}
/// ```
///
/// A test with an argument.
///
/// ```compile_fail
/// #[chainring::test]
/// async fn test(x: u32) {}
/// ```
///
/// A function that is not `main`.
///
/// ```compile_fail
/// #[chainring::main]
/// async fn start() {}
/// fn main() {}
/// ```
struct Refusals;
