//! Functions over trees of tensors: closures, `fn`s, graphs, and transformed functions alike.

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Graph, TreeSpec};

use crate::apply::apply;
use crate::check::arguments_like;
use crate::tree::{Tree, checked_leaves};

/// The arguments of a function: a tuple of trees.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of arguments",
    label = "expected a tuple of trees, such as `(x,)` or `(w, x)`",
    note = "a single argument is given as a tuple of one: `f.call((x,))`"
)]
pub trait Arguments: Tree {
    /// The number of arguments.
    const COUNT: usize;

    /// The structure of each argument.
    fn specs(&self) -> Vec<TreeSpec> {
        match self.tree_spec() {
            TreeSpec::Tuple(items) => items,
            other => {
                debug_assert_eq!(other, TreeSpec::None, "arguments are a tuple");
                Vec::new()
            }
        }
    }
}

/// What a traced function may return: a tree, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "a transformed function cannot return `{Self}`",
    label = "neither a tree of tensors nor a `Result` of one",
    note = "return a `Tensor`, a tuple, array, `Vec`, `Option`, `BTreeMap<String, _>` or `#[derive(Tree)]` struct of them, or a `Result` of such"
)]
pub trait Returned {
    /// The tree.
    type Tree: Tree;

    /// The tree, or the function's own error.
    fn returned(self) -> Result<Self::Tree, Error>;
}

impl<T: Tree> Returned for T {
    type Tree = T;

    fn returned(self) -> Result<T, Error> {
        Ok(self)
    }
}

impl<T: Tree, E: Into<Error>> Returned for Result<T, E> {
    type Tree = T;

    fn returned(self) -> Result<T, Error> {
        self.map_err(Into::into)
    }
}

/// A function from trees to a tree: closures and `fn`s of up to 8 arguments, [`Graph`]s, and all transforms.
///
/// Because every transform is a function again, transforms compose by value in any order and depth.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of the arguments `{Args}`",
    label = "not a function of `{Args}`",
    note = "the arguments are a tuple with the types that the closure declares: `grad(|x: Tensor| …).call((x,))`"
)]
pub trait Function<Args: Arguments> {
    /// What it returns.
    type Output: Tree;

    /// The result at `args`.
    ///
    /// *Errors*: the first mistake inside the function, with its source line and the transforms around it; an argument
    /// or an enclosing trace that a transform cannot use.
    fn call(&self, args: Args) -> Result<Self::Output, Error>;

    /// How messages call it: `loss`, `closure`, `grad(loss)`.
    fn name(&self) -> String;
}

/// The name of a Rust function or closure, without path and type arguments.
fn short_name(full: &str) -> String {
    let path = full.split('<').next().unwrap_or(full);
    let last = path.rsplit("::").next().unwrap_or(path);
    if last.starts_with('{') || last.is_empty() { "closure".to_owned() } else { last.to_owned() }
}

macro_rules! functions {
    ($n:literal $($A:ident $a:ident),*) => {
        impl<$($A: Tree),*> Arguments for ($($A,)*) {
            const COUNT: usize = $n;
        }

        impl<Func, Out, $($A),*> Function<($($A,)*)> for Func
        where
            Func: Fn($($A),*) -> Out,
            Out: Returned,
            $($A: Tree,)*
        {
            type Output = Out::Tree;

            fn call(&self, ($($a,)*): ($($A,)*)) -> Result<Out::Tree, Error> {
                let out = self($($a),*).returned()?;
                checked_leaves(&out)?;
                Ok(out)
            }

            fn name(&self) -> String {
                short_name(std::any::type_name::<Func>())
            }
        }
    };
}
functions!(0);
functions!(1 A a);
functions!(2 A a, B b);
functions!(3 A a, B b, C c);
functions!(4 A a, B b, C c, D d);
functions!(5 A a, B b, C c, D d, E e);
functions!(6 A a, B b, C c, D d, E e, F f);
functions!(7 A a, B b, C c, D d, E e, F f, G g);
functions!(8 A a, B b, C c, D d, E e, F f, G g, H h);

/// A graph is a function of its flat parameters, however they are arranged: `graph.call((x, y))` or
/// `graph.call((vec![x, y],))`.
///
/// *Errors*: another number of tensors than parameters, or of other dtypes or shapes.
impl<Args: Arguments> Function<Args> for Graph {
    type Output = Vec<Tensor>;

    fn call(&self, args: Args) -> Result<Vec<Tensor>, Error> {
        let (leaves, _) = checked_leaves(&args)?;
        arguments_like("graph", &leaves, &self.param_avals())?;
        apply(self, &leaves)
    }

    fn name(&self) -> String {
        Graph::name(self).to_owned()
    }
}

/// A function by reference, for transforms made of others.
pub(crate) struct ByRef<'a, F>(pub &'a F);

impl<Args: Arguments, F: Function<Args>> Function<Args> for ByRef<'_, F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        self.0.call(args)
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

/// References to transforms are functions, as references to closures are.
macro_rules! by_reference {
    ($($T:ident<$($P:ident),*>),* $(,)?) => { $(
        impl<Args: crate::function::Arguments, $($P),*> crate::function::Function<Args> for &$T<$($P),*>
        where
            $T<$($P),*>: crate::function::Function<Args>,
        {
            type Output = <$T<$($P),*> as crate::function::Function<Args>>::Output;

            fn call(&self, args: Args) -> Result<Self::Output, cotangent_core::error::Error> {
                (**self).call(args)
            }

            fn name(&self) -> String {
                (**self).name()
            }
        }
    )* };
}
pub(crate) use by_reference;

impl<Args: Arguments> Function<Args> for &Graph {
    type Output = Vec<Tensor>;

    fn call(&self, args: Args) -> Result<Vec<Tensor>, Error> {
        <Graph as Function<Args>>::call(self, args)
    }

    fn name(&self) -> String {
        Graph::name(self).to_owned()
    }
}
