//! Choosing arguments at the type level, so that a gradient has the type of what it is the gradient of.

use cotangent_core::error::TransformError;
use cotangent_core::ir::TreeSpec;

use crate::function::Arguments;
use crate::tree::Tree;

/// The argument with number `N`, counted from the end if negative.
#[derive(Clone, Copy, Debug, Default)]
pub struct At<const N: i8>;

/// Arguments that have a number `N`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no argument number {N}",
    label = "no such argument",
    note = "arguments are counted from 0, or from -1 backwards"
)]
pub trait Argument<const N: i8>: Arguments {
    /// The type of that argument.
    type Type: Tree;
    /// Its number from the front.
    const INDEX: usize;
}

/// One or several arguments: `At<0>`, or `(At<0>, At<2>)` in the order in which results are wanted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not select arguments of `{Args}`",
    note = "select one argument with `At<0>` or several with `(At<0>, At<1>)`"
)]
pub trait Select<Args: Arguments> {
    /// The selected argument's type, or the tuple of them.
    type Selected: Tree;

    /// The numbers in the given order.
    fn indices() -> Vec<usize>;

    /// The structure of the selected arguments.
    fn spec(args: &[TreeSpec]) -> TreeSpec;
}

impl<Args: Argument<N>, const N: i8> Select<Args> for At<N> {
    type Selected = Args::Type;

    fn indices() -> Vec<usize> {
        vec![Args::INDEX]
    }

    fn spec(args: &[TreeSpec]) -> TreeSpec {
        args[Args::INDEX].clone()
    }
}

macro_rules! select_tuple {
    ($($N:ident),+) => {
        impl<Args: $(Argument<$N> +)+, $(const $N: i8),+> Select<Args> for ($(At<$N>,)+) {
            type Selected = ($(<Args as Argument<$N>>::Type,)+);

            fn indices() -> Vec<usize> {
                vec![$(<Args as Argument<$N>>::INDEX),+]
            }

            fn spec(args: &[TreeSpec]) -> TreeSpec {
                TreeSpec::Tuple(vec![$(args[<Args as Argument<$N>>::INDEX].clone()),+])
            }
        }
    };
}
select_tuple!(N0);
select_tuple!(N0, N1);
select_tuple!(N0, N1, N2);
select_tuple!(N0, N1, N2, N3);
select_tuple!(N0, N1, N2, N3, N4);
select_tuple!(N0, N1, N2, N3, N4, N5);
select_tuple!(N0, N1, N2, N3, N4, N5, N6);
select_tuple!(N0, N1, N2, N3, N4, N5, N6, N7);

macro_rules! arguments {
    ($all:tt: $($T:ident $i:literal $n:literal),+) => { $(
        arguments!(@one $all $T $i $i);
        arguments!(@one $all $T $i $n);
    )+ };
    (@one ($($A:ident),+) $T:ident $i:literal $n:literal) => {
        impl<$($A: Tree),+> Argument<$n> for ($($A,)+) {
            type Type = $T;
            const INDEX: usize = $i;
        }
    };
}
arguments!((A): A 0 -1);
arguments!((A, B): A 0 -2, B 1 -1);
arguments!((A, B, C): A 0 -3, B 1 -2, C 2 -1);
arguments!((A, B, C, D): A 0 -4, B 1 -3, C 2 -2, D 3 -1);
arguments!((A, B, C, D, E): A 0 -5, B 1 -4, C 2 -3, D 3 -2, E 4 -1);
arguments!((A, B, C, D, E, F): A 0 -6, B 1 -5, C 2 -4, D 3 -3, E 4 -2, F 5 -1);
arguments!((A, B, C, D, E, F, G): A 0 -7, B 1 -6, C 2 -5, D 3 -4, E 4 -3, F 5 -2, G 6 -1);
arguments!((A, B, C, D, E, F, G, H): A 0 -8, B 1 -7, C 2 -6, D 3 -5, E 4 -4, F 5 -3, G 6 -2, H 7 -1);

/// The numbers of the leaves that belong to the selected arguments, in the selected order.
///
/// *Errors*: an argument selected twice.
pub(crate) fn selected_leaves<Args: Arguments, W: Select<Args>>(
    transform: &'static str,
    args: &[TreeSpec],
) -> Result<Vec<usize>, TransformError> {
    let indices = W::indices();
    if (1..indices.len()).any(|i| indices[..i].contains(&indices[i])) {
        let problem = format!("argnums elements must be unique, got {indices:?}");
        return Err(TransformError::Argnums { transform, problem });
    }
    let mut starts = vec![0];
    for a in args {
        starts.push(starts[starts.len() - 1] + a.num_leaves());
    }
    Ok(indices.into_iter().flat_map(|i| starts[i]..starts[i + 1]).collect())
}
