//! The code of `#[derive(Tree)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Generics, Ident, Result, Type, WherePredicate, parse_quote};

/// The impl for the struct and its companion `NameOf<T>`.
pub fn tree(input: DeriveInput) -> Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => data.fields.clone(),
        Data::Enum(data) => {
            let message = "#[derive(Tree)] is for structs: the structure of a tree may not depend on a value; use a struct with `Option` fields, or give each variant a struct of its own";
            return Err(Error::new(data.enum_token.span, message));
        }
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span, "#[derive(Tree)] is for structs, not for unions"));
        }
    };
    if let Some(lifetime) = input.generics.lifetimes().next() {
        let message = "#[derive(Tree)] is for structs that own their tensors; a tree cannot borrow";
        return Err(Error::new_spanned(lifetime, message));
    }
    let name = &input.ident;
    let companion = format_ident!("{name}Of");
    let leaf = format_ident!("CotangentLeaf");
    let mut with_leaf = input.generics.clone();
    with_leaf.params.push(parse_quote!(#leaf: ::cotangent::tree::Tree));
    let bounded = bounded(&input.generics);
    let bounded_leaf = self::bounded(&with_leaf);
    let mapped = mapped_fields(&fields, &leaf);

    let (_, own_args, _) = input.generics.split_for_impl();
    let params: Vec<&Ident> = input.generics.type_params().map(|p| &p.ident).collect();
    let consts: Vec<&Ident> = input.generics.const_params().map(|p| &p.ident).collect();
    let own = quote!(#name #own_args);
    let of_leaf = quote!(#companion<#(#params,)* #(#consts,)* #leaf>);
    let of_nested =
        quote!(#companion<#(#params,)* #(#consts,)* <#leaf as ::cotangent::tree::Tree>::Map<CotangentInner>>);
    let of_inner = quote!(#companion<#(#params,)* #(#consts,)* CotangentInner>);

    let label = name.to_string();
    let own_impl = implement(&bounded, &own, &of_inner, &label, &fields);
    let companion_impl = implement(&bounded_leaf, &of_leaf, &of_nested, &label, &mapped);
    let definition = define(&input, &companion, &bounded_leaf, &mapped);
    Ok(quote!(#own_impl #definition #companion_impl))
}

/// The generics with every type parameter a tree.
fn bounded(generics: &Generics) -> Generics {
    let mut out = generics.clone();
    let bounds: Vec<WherePredicate> = generics
        .type_params()
        .map(|p| {
            let ident = &p.ident;
            parse_quote!(#ident: ::cotangent::tree::Tree)
        })
        .collect();
    out.make_where_clause().predicates.extend(bounds);
    out
}

/// The fields with a `leaf` in place of each tensor.
fn mapped_fields(fields: &Fields, leaf: &Ident) -> Fields {
    let mut out = fields.clone();
    for f in &mut out {
        let ty = &f.ty;
        let mapped: Type = parse_quote!(<#ty as ::cotangent::tree::Tree>::Map<#leaf>);
        f.ty = mapped;
        f.attrs.retain(|a| a.path().is_ident("doc"));
    }
    out
}

/// The companion struct.
fn define(input: &DeriveInput, companion: &Ident, generics: &Generics, fields: &Fields) -> TokenStream {
    let vis = &input.vis;
    let (_, _, where_clause) = generics.split_for_impl();
    let params = &generics.params;
    let doc = format!("[`{}`] with another tree in place of each tensor.", input.ident);
    match fields {
        Fields::Named(f) => quote! {
            #[doc = #doc]
            #[allow(dead_code, missing_docs)]
            #vis struct #companion<#params> #where_clause #f
        },
        Fields::Unnamed(f) => quote! {
            #[doc = #doc]
            #[allow(dead_code, missing_docs)]
            #vis struct #companion<#params>#f #where_clause;
        },
        Fields::Unit => quote! {
            #[doc = #doc]
            #[allow(dead_code, missing_docs)]
            #vis struct #companion<#params>(::std::marker::PhantomData<CotangentLeaf>) #where_clause;
        },
    }
}

fn implement(generics: &Generics, own: &TokenStream, map: &TokenStream, label: &str, fields: &Fields) -> TokenStream {
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let names: Vec<String> =
        fields.iter().enumerate().map(|(i, f)| f.ident.as_ref().map_or(i.to_string(), ToString::to_string)).collect();
    let members: Vec<syn::Member> = fields.members().collect();
    let indices = 0..members.len();
    let unit_companion = matches!(fields, Fields::Unit) && own.to_string().contains("CotangentLeaf");
    let build = if unit_companion {
        quote!(Self(::std::marker::PhantomData))
    } else {
        quote!(Self { #(#members: ::cotangent::tree::Tree::from_leaves(&items.get(#indices)?.1, leaves)?),* })
    };
    // The same walk by reference and by mutable reference.
    let visits =
        [(quote!(visit_leaves), quote!()), (quote!(visit_leaves_mut), quote!(mut))].map(|(method, exclusive)| {
            quote! {
                fn #method<'cotangent>(
                    &'cotangent #exclusive self,
                    spec: &::cotangent::core::ir::TreeSpec,
                    visit: &mut impl ::std::ops::FnMut(&'cotangent #exclusive ::cotangent::Tensor),
                ) -> bool {
                    let ::cotangent::core::ir::TreeSpec::Struct(name, items) = spec else {
                        return false;
                    };
                    let _ = &visit;
                    let mut items = items.iter();
                    name == #label
                        #(&& items.next().is_some_and(|(name, spec)| {
                            name == #names && ::cotangent::tree::Tree::#method(&#exclusive self.#members, spec, visit)
                        }))*
                        && items.next().is_none()
                }
            }
        });
    quote! {
        #[automatically_derived]
        impl #impl_generics ::cotangent::tree::Tree for #own #where_clause {
            type Map<CotangentInner: ::cotangent::tree::Tree> = #map;

            fn push_leaves(
                &self,
                leaves: &mut ::std::vec::Vec<::cotangent::Tensor>,
            ) -> ::cotangent::core::ir::TreeSpec {
                let _ = &leaves;
                ::cotangent::core::ir::TreeSpec::Struct(
                    ::std::string::String::from(#label),
                    ::std::vec![#((
                        ::std::string::String::from(#names),
                        ::cotangent::tree::Tree::push_leaves(&self.#members, leaves),
                    )),*],
                )
            }

            #(#visits)*

            fn from_leaves(
                spec: &::cotangent::core::ir::TreeSpec,
                leaves: &mut dyn ::std::iter::Iterator<Item = ::cotangent::Tensor>,
            ) -> ::std::option::Option<Self> {
                let ::cotangent::core::ir::TreeSpec::Struct(_, items) = spec else {
                    return ::std::option::Option::None;
                };
                let _ = (&items, &leaves);
                ::std::option::Option::Some(#build)
            }
        }
    }
}
