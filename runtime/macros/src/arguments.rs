//! What stands in the parentheses of the attribute.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, Path, Result, Token, parse_quote};

/// The arguments of either attribute.
pub(crate) struct Arguments {
    /// `cores = N`
    pub(crate) cores: Option<Expr>,
    /// `clock = "held"`
    pub(crate) clock_held: bool,
    /// `crate = path`: where chainring is found, for crates that re-export it.
    pub(crate) path: Path,
}

struct Argument {
    name: Ident,
    value: Expr,
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.call(<Ident as syn::ext::IdentExt>::parse_any)?;
        if !input.peek(Token![=]) {
            return Err(Error::new(name.span(), format!("expected `{name} = value`")));
        }
        input.parse::<Token![=]>()?;
        Ok(Argument { name, value: input.parse()? })
    }
}

impl Arguments {
    /// Reads the arguments, of which `allowed` may be there.
    pub(crate) fn parse(tokens: TokenStream, allowed: &[&str]) -> Result<Self> {
        let list = Punctuated::<Argument, Token![,]>::parse_terminated.parse2(tokens)?;
        let mut arguments = Arguments { cores: None, clock_held: false, path: parse_quote!(::chainring) };
        let mut seen: Vec<String> = Vec::new();
        for Argument { name, value } in list {
            let text = name.to_string();
            if !allowed.contains(&text.as_str()) {
                let known = allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                return Err(Error::new(
                    name.span(),
                    format!("there is no argument `{text}` here; known: {known}"),
                ));
            }
            if seen.contains(&text) {
                return Err(Error::new(name.span(), format!("`{text}` is given twice")));
            }
            match text.as_str() {
                "cores" => arguments.cores = Some(cores(value)?),
                "clock" => arguments.clock_held = clock(&value)?,
                _ => arguments.path = path(value)?,
            }
            seen.push(text);
        }
        Ok(arguments)
    }
}

fn cores(value: Expr) -> Result<Expr> {
    if let Expr::Lit(ExprLit { lit, .. }) = &value {
        match lit {
            Lit::Int(number) if number.base10_parse::<usize>()? > 0 => {}
            Lit::Int(number) => return Err(Error::new(number.span(), "at least one core is needed")),
            other => return Err(Error::new(other.span(), "`cores` is a number, as in `cores = 4`")),
        }
    }
    Ok(value)
}

fn clock(value: &Expr) -> Result<bool> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value() == "held" => Ok(true),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value() == "running" => Ok(false),
        _ => Err(Error::new_spanned(value, "`clock` is \"held\" or \"running\"")),
    }
}

fn path(value: Expr) -> Result<Path> {
    match value {
        Expr::Path(path) if path.qself.is_none() && path.attrs.is_empty() => Ok(path.path),
        other => Err(Error::new_spanned(other, "`crate` is a path, as in `crate = my::chainring`")),
    }
}
