//! `#[derive(Tree)]` and `#[derive(Module)]` for cotangent.

mod expand;
mod module;

use proc_macro::TokenStream;

/// Makes a struct a tree of tensors: its leaves are those of its fields, in order.
///
/// Named and tuple structs, with or without type parameters; each field has to be a tree. Beside the impl it defines
/// the struct `NameOf<T>`, which has the same fields with a `T` in place of each tensor: the type of a jacobian for a
/// function that returns the struct.
#[proc_macro_derive(Tree)]
pub fn derive_tree(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::tree(input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct a module: its fields are parameters (`Tensor`, `Option<Tensor>`), modules (also in `Option`, `Box`,
/// `Vec`, arrays and ordered maps), or what an attribute says:
///
/// - `#[module(buffer)]`: a tensor that is no parameter;
/// - `#[module(flatten)]`: a module whose parts, under their own names, are parts of this struct;
/// - `#[module(config)]`: a value that is neither, such as a number of heads.
///
/// On the struct, `#[module(tied("decoder.weight" = "encoder.weight"))]` makes the first name an alias of the second,
/// and `#[module(extra_repr)]` prints what the struct's method `extra_repr` says.
///
/// The struct also gets a `Display` that prints it as PyTorch does; `{:#}` adds numbers of parameters.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    module::module(input).unwrap_or_else(syn::Error::into_compile_error).into()
}
