//! Memory that several names share: what is written under one of them is seen under all.

use cotangent_core::Tensor;
use cotangent_core::ir::Shape;

use super::Env;
use crate::args::Value;
use crate::error::{TorchError, malformed};
use crate::mutation::{self, PLACES, Sharing, View};
use crate::provenance;
use crate::schema::NodeJson;

impl<'g> Env<'g> {
    /// What the first operand of `n` was detached from.
    pub(super) fn undetached(&self, n: &NodeJson) -> Result<Option<Tensor>, TorchError> {
        let Some(mut at) = mutation::first_tensor(n) else { return Ok(None) };
        let of_itself = |v: &View| v.made.is_none_or(|(made, _)| provenance::target(made) == provenance::DETACH);
        while let Some(view) = self.views.iter().rev().find(|v| v.name == at && of_itself(v)) {
            at = view.base;
        }
        self.tensor(at).map(Some)
    }

    /// Gives `name` a new value, and with it everything that shares its memory.
    pub(super) fn write(&mut self, name: &'g str, value: Tensor) -> Result<(), TorchError> {
        let (mut at, mut value) = (name, value);
        while let Some(view) = self.views.iter().rev().find(|v| v.name == at).cloned() {
            if view.sharing == Sharing::Perhaps {
                return Err(malformed(format!(
                    "`{name}` is written in place, and may share the memory of `{}`",
                    view.base
                )));
            }
            if let Some(made) = view.made {
                let base = self.tensor(view.base)?;
                let all = Shape::from([base.numel()]);
                let places = base.arange_like(all[0], PLACES).view_to(base.shape());
                let places = self.view(made, &places)?;
                let flat = |t: &Tensor| t.view_to(&[t.numel()].into());
                value = flat(&base).scatter_along(0, &flat(&places), &flat(&value)).view_to(base.shape());
            }
            at = view.base;
        }
        self.values.insert(at.to_owned(), Value::Tensor(value));
        let mut written = vec![at];
        for view in self.views.clone().into_iter().filter(|v| v.name != at) {
            if !written.contains(&view.base) {
                continue;
            }
            written.push(view.name);
            let base = self.tensor(view.base)?;
            match (view.sharing, view.made) {
                // Whoever uses it finds that it is not defined.
                (Sharing::Perhaps, _) => drop(self.values.remove(view.name)),
                (Sharing::View, None) => drop(self.values.insert(view.name.to_owned(), Value::Tensor(base))),
                (Sharing::View, Some(made)) => {
                    let value = self.view(made, &base)?;
                    self.values.insert(view.name.to_owned(), Value::Tensor(value));
                }
            }
        }
        Ok(())
    }

    /// The view of `base` that is the result `made.1` of the node `made.0`.
    fn view(&self, made: (&NodeJson, usize), base: &Tensor) -> Result<Tensor, TorchError> {
        let target = provenance::target(made.0);
        let outs = self.call(made.0, target, Some(base))?;
        let mut tensors = outs.into_iter().flat_map(|v| match v {
            Value::Tensor(t) => vec![t],
            Value::Tensors(v) => v,
            Value::Int(_) | Value::Number(_) | Value::None | Value::Check { .. } => Vec::new(),
        });
        tensors.nth(made.1).ok_or_else(|| malformed(format!("node `{}` makes no view", made.0.target)))
    }
}
