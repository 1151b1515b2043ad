//! Functions that return an auxiliary value beside the one that is differentiated.

use cotangent_core::ir::TreeSpec;

use crate::tree::Tree;

/// The function returns only what is differentiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAux;

/// The function returns `(output, auxiliary)`; the auxiliary part is passed on and not differentiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct HasAux;

/// How a result divides into what is differentiated and what is not.
#[diagnostic::on_unimplemented(
    message = "with `has_aux`, the output of the function should be a tuple `(output, aux)`, but it is `{Out}`",
    label = "should return `(output, aux)`"
)]
pub trait AuxMode<Out: Tree> {
    /// What is differentiated.
    type Main: Tree;
    /// What is passed on.
    type Aux: Tree;
    /// What a transform returns whose own result is `R`: `R`, or `(R, aux)`.
    type With<R: Tree>: Tree;

    /// The structures of both parts; the main part's leaves come first.
    fn split(spec: &TreeSpec) -> (TreeSpec, TreeSpec);

    /// The transform's result beside the auxiliary part.
    fn with<R: Tree>(result: R, aux: Self::Aux) -> Self::With<R>;
}

impl<Out: Tree> AuxMode<Out> for NoAux {
    type Main = Out;
    type Aux = ();
    type With<R: Tree> = R;

    fn split(spec: &TreeSpec) -> (TreeSpec, TreeSpec) {
        (spec.clone(), TreeSpec::None)
    }

    fn with<R: Tree>(result: R, (): ()) -> R {
        result
    }
}

impl<Main: Tree, Aux: Tree> AuxMode<(Main, Aux)> for HasAux {
    type Main = Main;
    type Aux = Aux;
    type With<R: Tree> = (R, Aux);

    fn split(spec: &TreeSpec) -> (TreeSpec, TreeSpec) {
        match spec {
            TreeSpec::Tuple(items) => (items[0].clone(), items[1].clone()),
            _ => unreachable!("the structure comes from a pair"),
        }
    }

    fn with<R: Tree>(result: R, aux: Aux) -> (R, Aux) {
        (result, aux)
    }
}
