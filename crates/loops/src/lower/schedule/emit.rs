//! Expressions of values in a nest.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, Unary, ViewForm};
use smallvec::{SmallVec, smallvec};

use super::{DEAR, REPEATED, SHIFTED, Schedule, Stop, picked};
use crate::affine::{Affine, Index, NotAffine, flatten};
use crate::lower::flow::{Id, Kind, Point, through};
use crate::lower::group::{Expr, ExprOp, Group, IndexId};

impl Schedule<'_> {
    /// The expression of `v` at `index` in `g`. Regions bound the depth of this recursion.
    pub(super) fn emit(&self, g: &mut Group, v: Id, index: IndexId, escapes: &mut Vec<Id>) -> Result<Expr, Stop> {
        if let Some(e) = g.known(v, index) {
            return Ok(e);
        }
        let value = &self.flow.values[v];
        let at = |g: &Group| g.indices[index as usize].clone();
        if let Some(step) = self.stored[v] {
            if step >= g.step {
                return Err(Stop::NotHere);
            }
            let place = flatten(&at(g), &value.sizes);
            return Ok(g.expr(ExprOp::Load(v, place), value.dtype));
        }
        let e = match &value.kind {
            Kind::Reduce(..) => {
                let home = self.home[v].map_or(0, |h| h.0);
                if home >= g.step {
                    return Err(Stop::NotHere);
                }
                escapes.push(v);
                let place = flatten(&at(g), &value.sizes);
                return Ok(g.expr(ExprOp::Load(v, place), value.dtype));
            }
            Kind::Fill(s) => g.expr(ExprOp::Const(s.cast(value.dtype)), value.dtype),
            Kind::Iota => g.expr(ExprOp::Index(at(g)[0].clone()), value.dtype),
            Kind::Eye => {
                let index = at(g);
                let row = g.expr(ExprOp::Index(index[0].clone()), DType::I64);
                let col = g.expr(ExprOp::Index(index[1].clone()), DType::I64);
                let same = g.expr(ExprOp::Point(Point::Binary(Binary::Eq), smallvec![row, col]), DType::Bool);
                if value.dtype == DType::Bool {
                    same
                } else {
                    g.expr(ExprOp::Point(Point::Convert, smallvec![same]), value.dtype)
                }
            }
            Kind::Point(p) => {
                if let Some(e) = self.stored_earlier(g, v, index, escapes)? {
                    return Ok(e);
                }
                self.computed_beside(g, v, index)?;
                let mut args: SmallVec<[Expr; 3]> = SmallVec::new();
                for a in &value.args {
                    args.push(self.emit(g, *a, index, escapes)?);
                }
                folded(g, *p, &args, value.dtype)
            }
            Kind::Pick(pick) => {
                let inner = picked(pick, &at(g));
                self.repeated(g, value.args[0], &inner)?;
                let inner = g.intern(inner);
                self.emit(g, value.args[0], inner, escapes)?
            }
            Kind::View(form) => {
                let arg = value.args[0];
                let from = &self.flow.values[arg].sizes;
                if *form == ViewForm::Reshape && self.stored[arg].is_some_and(|s| s < g.step) {
                    let place = flatten(&at(g), &value.sizes);
                    return Ok(g.expr(ExprOp::Load(arg, place), value.dtype));
                }
                let inner = loop {
                    match through(form, &at(g), &value.sizes, from, &g.extents) {
                        Ok(inner) => break inner,
                        Err(NotAffine::Split { var, factor }) => g.split(var, factor),
                        Err(NotAffine::Never) if self.stored[arg].is_some() => return Err(Stop::NotHere),
                        Err(NotAffine::Never) => return Err(Stop::Cut(arg)),
                    }
                };
                self.repeated(g, arg, &inner)?;
                let inner = g.intern(inner);
                self.emit(g, arg, inner, escapes)?
            }
            Kind::Lookup(dim, form) => {
                if let Some(e) = self.stored_earlier(g, v, index, escapes)? {
                    return Ok(e);
                }
                self.computed_beside(g, v, index)?;
                self.lookup(g, v, *dim, *form, index, escapes)?
            }
            Kind::Unrolled(dims, monoid) => {
                if let Some(e) = self.stored_earlier(g, v, index, escapes)? {
                    return Ok(e);
                }
                self.unrolled(g, v, dims, *monoid, index, escapes)?
            }
            Kind::Param | Kind::Stored(_) | Kind::Pieces(_) | Kind::Product | Kind::Output(_) => {
                unreachable!("memory is stored before it is read")
            }
        };
        g.remember(v, index, e);
        Ok(e)
    }

    /// The element of `v` at `index` from memory, where a nest before `g` is to store what it computes anyway.
    fn stored_earlier(
        &self,
        g: &mut Group,
        v: Id,
        index: IndexId,
        escapes: &mut Vec<Id>,
    ) -> Result<Option<Expr>, Stop> {
        if self.is_worth_a_load(g, v) {
            escapes.push(v);
            let value = &self.flow.values[v];
            let place = flatten(&g.indices[index as usize], &value.sizes);
            return Ok(Some(g.expr(ExprOp::Load(v, place), value.dtype)));
        }
        self.computed_again(g, v, index)?;
        Ok(None)
    }

    /// Whether a nest before `g` computes `v` and could store it, which is cheaper than computing it again.
    pub(super) fn is_worth_a_load(&self, g: &Group, v: Id) -> bool {
        let Some((home, there, _)) = self.home[v] else { return false };
        let sizes = &self.flow.values[v].sizes;
        let repeated = self.flow.values[v].numel() * 4 <= g.total();
        let dear = self.cost[v] >= if repeated { REPEATED } else { DEAR };
        dear && home < g.step && self.group(home).is_storable(there, sizes)
    }

    /// A dear value of which an earlier nest computes most elements, and this one too, is stored first, if that nest cannot store it: it has
    /// the others not, or has them at other places.
    fn computed_again(&self, g: &Group, v: Id, index: IndexId) -> Result<(), Stop> {
        let Some((home, there, _)) = self.home[v] else { return Ok(()) };
        if self.cost[v] < DEAR || home >= g.step {
            return Ok(());
        }
        let (n, earlier) = (self.flow.values[v].numel(), self.group(home));
        let most = |covered: usize| covered * 2 > n;
        let again = most(g.covered(index)) && most(earlier.covered(there));
        if again && !earlier.is_storable(there, &self.flow.values[v].sizes) { Err(Stop::Cut(v)) } else { Ok(()) }
    }

    /// A very dear value of which this nest computes most elements twice, at different points, is stored first.
    fn computed_beside(&self, g: &Group, v: Id, index: IndexId) -> Result<(), Stop> {
        if self.cost[v] < SHIFTED || self.readers[v] < 2 {
            return Ok(());
        }
        let most = |index: IndexId| g.covered(index) * 2 > self.flow.values[v].numel();
        let is_beside = most(index) && g.log.iter().any(|(x, there)| *x == v && most(*there));
        if is_beside { Err(Stop::Cut(v)) } else { Ok(()) }
    }

    /// A dear operand of a view that repeats its elements is stored first, unless the nest computes it once for each row
    /// anyway, or an earlier nest does.
    pub(super) fn repeated(&self, g: &Group, arg: Id, index: &Index) -> Result<(), Stop> {
        if !self.is_inline(arg) || self.cost[arg] < REPEATED {
            return Ok(());
        }
        let depends = |v: &usize| index.iter().any(|a| a.coef(*v) != 0);
        let few: usize = g.order.iter().filter(|v| depends(v)).map(|v| g.extents[*v]).product();
        let many = g.total();
        let in_rows = g.reduced.contains(&true) && !g.order.iter().any(|v| g.reduced[*v] && depends(v));
        let dear = if few * 4 <= many { REPEATED } else { DEAR };
        if few * 2 > many || self.cost[arg] < dear || in_rows {
            return Ok(());
        }
        let mut base = arg;
        while self.is_inline(base) && matches!(self.flow.values[base].kind, Kind::View(_) | Kind::Pick(_)) {
            base = self.flow.values[base].args[0];
        }
        if self.is_worth_a_load(g, base) { Ok(()) } else { Err(Stop::Cut(arg)) }
    }

    pub(super) fn unrolled(
        &self,
        g: &mut Group,
        v: Id,
        dims: &[usize],
        monoid: Monoid,
        index: IndexId,
        escapes: &mut Vec<Id>,
    ) -> Result<Expr, Stop> {
        let x = self.flow.values[v].args[0];
        let sizes = &self.flow.values[x].sizes;
        let n: usize = dims.iter().map(|d| sizes[*d]).product();
        let combine = match monoid {
            Monoid::Sum => Binary::Add,
            Monoid::Prod => Binary::Mul,
            Monoid::Max => Binary::Maximum,
            Monoid::Min => Binary::Minimum,
            Monoid::LogAddExp => unreachable!("only scans combine so"),
        };
        let mut total: Option<Expr> = None;
        for i in 0..n {
            let outer = g.indices[index as usize].clone();
            let mut rest = i;
            let mut inner: Index = smallvec![Affine::default(); sizes.len()];
            for d in dims.iter().rev() {
                inner[*d] = Affine::constant((rest % sizes[*d]) as i64);
                rest /= sizes[*d];
            }
            for (k, d) in (0..sizes.len()).filter(|d| !dims.contains(d)).enumerate() {
                inner[d] = outer[k].clone();
            }
            let inner = g.intern(inner);
            let e = self.emit(g, x, inner, escapes)?;
            total = Some(match total {
                None => e,
                Some(t) => {
                    let p = Point::Binary(combine);
                    g.expr(ExprOp::Point(p, smallvec![t, e]), self.flow.values[v].dtype)
                }
            });
        }
        Ok(total.expect("no empty reductions"))
    }
}

/// The expression, with casts of numbers done at once.
fn folded(g: &mut Group, p: Point, args: &[Expr], dtype: DType) -> Expr {
    let data = &g.exprs[args[0] as usize];
    match (p, &data.op) {
        (Point::Convert, ExprOp::Const(s)) => {
            let s: Scalar = s.cast(dtype);
            g.expr(ExprOp::Const(s), dtype)
        }
        (Point::Convert, _) if data.dtype == dtype => args[0],
        // The identity; what it means for derivatives is over.
        (Point::Unary(Unary::Detach), _) => args[0],
        (Point::Convert | Point::Select | Point::Unary(_) | Point::Binary(_), _) => {
            g.expr(ExprOp::Point(p, args.into()), dtype)
        }
    }
}
