//! What the attributes make of a function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result};

use crate::arguments::Arguments;

pub(crate) fn main(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function = function(item, "main")?;
    let arguments = Arguments::parse(arguments, &["cores", "crate"])?;
    if function.sig.ident != "main" {
        return Err(Error::new_spanned(
            &function.sig.ident,
            "#[chainring::main] belongs on `main`; to start a runtime elsewhere, use `chainring::Runtime`",
        ));
    }
    let chainring = &arguments.path;
    let limit = if arguments.cores.is_some() { 1 } else { 0 };
    if function.sig.inputs.len() > limit {
        let message = match limit {
            0 => "`main` takes no argument, unless it runs on several cores: `#[chainring::main(cores = 2)]`",
            _ => "`main` takes the core's handle at most: `async fn main(core: chainring::CoreHandle)`",
        };
        return Err(Error::new_spanned(&function.sig.inputs, message));
    }
    let Some(cores) = arguments.cores else {
        return Ok(on_one_core(&function, &quote!(#chainring::Builder::new())));
    };
    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let (output, inputs) = (&sig.output, &sig.inputs);
    let argument = if inputs.is_empty() { quote!() } else { quote!(__core) };
    // The function itself stays what it was, inside of the new one: errors point to where they belong.
    Ok(quote! {
        #(#attrs)*
        #vis fn main() #output {
            async fn main(#inputs) #output #block
            let __cores: usize = #cores;
            let __cores = ::std::num::NonZeroUsize::new(__cores).expect("at least one core is needed");
            let __results = #chainring::cores(__cores)
                .run(|__core| main(#argument))
                .unwrap_or_else(|error| panic!("{error}"));
            #chainring::__private::Outcome::all(__results)
        }
    })
}

pub(crate) fn test(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function = function(item, "test")?;
    let arguments = Arguments::parse(arguments, &["clock", "crate"])?;
    if !function.sig.inputs.is_empty() {
        return Err(Error::new_spanned(&function.sig.inputs, "a test takes no argument"));
    }
    let (chainring, held) = (&arguments.path, arguments.clock_held);
    let body = on_one_core(&function, &quote!(#chainring::Builder::new().hold_clock(#held)));
    Ok(quote! {
        #[::core::prelude::v1::test]
        #body
    })
}

/// A function that is `async`, and nothing that a runtime cannot call.
fn function(item: TokenStream, attribute: &str) -> Result<ItemFn> {
    let refuse = |tokens: &dyn quote::ToTokens, message: &str| {
        Err(Error::new_spanned(tokens, format!("#[chainring::{attribute}] {message}")))
    };
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => return refuse(&item, "belongs on a function: `async fn`"),
    };
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        return refuse(&sig.fn_token, "needs an `async fn`");
    }
    if !sig.generics.params.is_empty() {
        return refuse(&sig.generics, "cannot choose the types of a generic function");
    }
    Ok(function)
}

fn on_one_core(function: &ItemFn, builder: &TokenStream) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let (name, output) = (&sig.ident, &sig.output);
    quote! {
        #(#attrs)*
        #vis fn #name() #output {
            async fn #name() #output #block
            match #builder.build() {
                Ok(runtime) => runtime.block_on(#name()),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
