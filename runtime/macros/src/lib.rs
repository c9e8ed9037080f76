//! The attributes `#[chainring::main]` and `#[chainring::test]`. Use them through the crate `chainring`.

#![forbid(unsafe_code)]

mod arguments;
mod expand;

use proc_macro::TokenStream;

/// Runs an `async fn main` on a runtime with the defaults.
///
/// ```ignore
/// #[chainring::main]
/// async fn main() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
///
/// With `cores = N` it runs on each of `N` cores, pinned as [`cores`] does it, and may take the core's handle as its
/// argument. `N` is any expression of type `usize`; `cores = 0`, or a number that is not constant and turns out
/// to be zero, is refused. The program ends when all cores have: with the first error, if it returns a `Result`.
///
/// ```ignore
/// #[chainring::main(cores = 4)]
/// async fn main(core: chainring::CoreHandle) {
///     println!("core {}", core.index());
/// }
/// ```
///
/// Panics with the reason if a runtime cannot be built.
///
/// [`cores`]: https://docs.rs/chainring/latest/chainring/fn.cores.html
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::main(arguments.into(), item.into()))
}

/// Runs an `async fn` as a test, on a runtime with the defaults, or, with `clock = "held"`, on one whose clock only
/// moves when `time::advance` moves it.
///
/// ```ignore
/// #[chainring::test(clock = "held")]
/// async fn an_hour_passes() {
///     let nap = chainring::spawn(chainring::time::sleep(Duration::from_secs(3600)));
///     chainring::time::advance(Duration::from_secs(3600)).await;
///     nap.await.unwrap();
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::test(arguments.into(), item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
