//! `#[derive(Tree)]` for cotangent.

mod expand;

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
