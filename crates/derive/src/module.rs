//! The code of `#[derive(Module)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Error, LitStr, Result, Token, parse_quote};

/// What `#[module(…)]` on the struct says.
#[derive(Default)]
struct Options {
    /// The struct has a method `extra_repr`.
    extra_repr: bool,
    /// The struct has a method `class_name`.
    class_name: bool,
    /// Names of tied tensors: the alias and the original.
    tied: Vec<(LitStr, LitStr)>,
}

/// What a field is.
enum Role {
    /// A parameter or module, as its type says.
    Member,
    /// A tensor that is no parameter.
    Buffer,
    /// A module whose parts are those of this one.
    Flatten,
    /// No part of the module's state.
    Config,
}

/// The impls for the struct: `Module` and `Display`.
pub fn module(input: DeriveInput) -> Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            let message = "#[derive(Module)] is for structs: the names of parameters may not depend on a value";
            return Err(Error::new(data.enum_token.span, message));
        }
        Data::Union(data) => return Err(Error::new(data.union_token.span, "#[derive(Module)] is for structs")),
    };
    let options = options(&input.attrs)?;
    let (mut reads, mut writes, mut flattened) = (Vec::new(), Vec::new(), Vec::new());
    for (i, field) in fields.iter().enumerate() {
        let member = fields.members().nth(i).expect("a field has a member");
        let name = field.ident.as_ref().map_or(i.to_string(), |n| n.to_string().trim_start_matches("r#").to_owned());
        let (read, write) = match role(&field.attrs)? {
            Role::Config => continue,
            Role::Flatten => {
                reads.push(quote!(out.extend(::cotangent::nn::Module::members(&self.#member));));
                writes.push(quote!(out.extend(::cotangent::nn::Module::members_mut(&mut self.#member));));
                flattened.push(member);
                continue;
            }
            Role::Member => (
                quote!(::cotangent::nn::Member::part(&self.#member)),
                quote!(::cotangent::nn::Member::part_mut(&mut self.#member)),
            ),
            Role::Buffer => (
                quote!(::cotangent::nn::Buffer::buffer(&self.#member)),
                quote!(::cotangent::nn::Buffer::buffer_mut(&mut self.#member)),
            ),
        };
        reads.push(quote!(out.extend(#read.map(|part| (::std::string::String::from(#name), part)));));
        writes.push(quote!(out.extend(#write.map(|part| (::std::string::String::from(#name), part)));));
    }
    let mut generics = input.generics.clone();
    let types: Vec<_> = input.generics.type_params().map(|p| p.ident.clone()).collect();
    for t in &types {
        generics.make_where_clause().predicates.push(parse_quote!(#t: ::cotangent::nn::Member + 'static));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let name = &input.ident;
    let class_name = if options.class_name {
        quote!(::std::string::ToString::to_string(&self.class_name()))
    } else {
        let label = name.to_string();
        quote!(::std::string::String::from(#label))
    };
    let extra_repr = options.extra_repr.then(|| {
        quote! {
            fn extra_repr(&self) -> ::std::string::String {
                self.extra_repr()
            }
        }
    });
    let (aliases, originals): (Vec<_>, Vec<_>) = options.tied.iter().map(|(a, o)| (a, o)).unzip();
    let ties = (!aliases.is_empty() || !flattened.is_empty()).then(|| {
        quote! {
            fn ties(&self) -> ::std::vec::Vec<(::std::string::String, ::std::string::String)> {
                let own = [#((::std::string::String::from(#aliases), ::std::string::String::from(#originals))),*];
                ::std::iter::IntoIterator::into_iter(own)
                    #(.chain(::cotangent::nn::Module::ties(&self.#flattened)))*
                    .collect()
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::cotangent::nn::Module for #name #type_generics #where_clause {
            fn class_name(&self) -> ::std::string::String {
                #class_name
            }

            fn members(&self) -> ::std::vec::Vec<(::std::string::String, ::cotangent::nn::Part<'_>)> {
                let mut out = ::std::vec::Vec::new();
                #(#reads)*
                let _ = &mut out;
                out
            }

            fn members_mut(&mut self) -> ::std::vec::Vec<(::std::string::String, ::cotangent::nn::PartMut<'_>)> {
                let mut out = ::std::vec::Vec::new();
                #(#writes)*
                let _ = &mut out;
                out
            }

            #extra_repr
            #ties
        }

        #[automatically_derived]
        impl #impl_generics ::std::fmt::Display for #name #type_generics #where_clause {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::cotangent::nn::print(self, f)
            }
        }
    })
}

fn options(attrs: &[Attribute]) -> Result<Options> {
    let mut options = Options::default();
    for attr in attrs.iter().filter(|a| a.path().is_ident("module")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("extra_repr") {
                options.extra_repr = true;
            } else if meta.path.is_ident("class_name") {
                options.class_name = true;
            } else if meta.path.is_ident("tied") {
                let content;
                syn::parenthesized!(content in meta.input);
                let pairs = Punctuated::<Tie, Token![,]>::parse_terminated(&content)?;
                options.tied.extend(pairs.into_iter().map(|t| (t.alias, t.original)));
            } else {
                return Err(meta.error("expected `extra_repr`, `class_name` or `tied(\"alias\" = \"original\")`"));
            }
            Ok(())
        })?;
    }
    Ok(options)
}

/// `"decoder.weight" = "encoder.weight"`.
struct Tie {
    alias: LitStr,
    original: LitStr,
}

impl syn::parse::Parse for Tie {
    fn parse(input: syn::parse::ParseStream) -> Result<Self> {
        let alias = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Tie { alias, original: input.parse()? })
    }
}

fn role(attrs: &[Attribute]) -> Result<Role> {
    let mut role = Role::Member;
    for attr in attrs.iter().filter(|a| a.path().is_ident("module")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("buffer") {
                role = Role::Buffer;
            } else if meta.path.is_ident("config") {
                role = Role::Config;
            } else if meta.path.is_ident("flatten") {
                role = Role::Flatten;
            } else {
                return Err(meta.error("expected `buffer`, `config` or `flatten`"));
            }
            Ok(())
        })?;
    }
    Ok(role)
}
