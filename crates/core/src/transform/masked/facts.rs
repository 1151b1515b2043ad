//! What is known of values before a program runs: integers that go in even steps, and masks made of comparing them.

use smallvec::SmallVec;

use crate::array::Array;
use crate::ir::{DType, Graph, Node, Scalar, Shape, Value};
use crate::ops::{Binary, Generate, LoopForm, Op, ScalarFn, Unary, ViewForm as View};
use crate::transform::replay::Env;

/// A number that no score is as low as: what masks are filled with where it is not an infinity.
pub(super) const LOW: f64 = -1e30;

/// The most elements of a stored mask.
const MOST_STORED: usize = 1 << 22;

/// An integer of each element: `base + Σ by[d] · i_d`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Form {
    pub base: i64,
    pub by: SmallVec<[i64; 4]>,
}

impl Form {
    fn of(base: i64, rank: usize) -> Self {
        Self { base, by: SmallVec::from_elem(0, rank) }
    }

    /// `self + factor · other`, of one rank.
    fn plus(&self, other: &Self, factor: i64) -> Option<Self> {
        let sum = |a: i64, b: i64| a.checked_add(b.checked_mul(factor)?);
        let by: Option<_> = self.by.iter().zip(&other.by).map(|(a, b)| sum(*a, *b)).collect();
        Some(Self { base: sum(self.base, other.base)?, by: by? })
    }

    /// `1 - self`, which is not positive where `self` is.
    fn negated(&self) -> Option<Self> {
        Self::of(1, self.by.len()).plus(self, -1)
    }

    /// With the factors of other dims: `dims[d]` is where dim `d` went. `None` if one is lost that matters.
    fn moved(&self, dims: &[Option<usize>], rank: usize) -> Option<Self> {
        let mut out = Self::of(self.base, rank);
        for (by, to) in self.by.iter().zip(dims) {
            match to {
                Some(to) => out.by[*to] = *by,
                None if *by == 0 => {}
                None => return None,
            }
        }
        Some(out)
    }
}

/// The elements at which no form is positive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Region {
    pub forms: SmallVec<[Form; 2]>,
}

impl Region {
    /// The other elements, if they are a region too.
    fn outside(&self) -> Option<Self> {
        let [form] = &self.forms[..] else { return None };
        Some(Self { forms: SmallVec::from_iter([form.negated()?]) })
    }
}

/// What is known of a value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Fact {
    /// All elements are this number.
    Fill(Scalar),
    /// Integers.
    Number(Form),
    /// The number `elsewhere` outside of a region; `inside` it another one, or what nobody knows. Of truth values, 0 and 1.
    Only { region: Region, elsewhere: f64, inside: Option<f64> },
}

impl Fact {
    /// The same of two known numbers with the smaller one elsewhere: what masks hide is false, zero, or minus infinity.
    fn with_less_elsewhere(self) -> Self {
        match self {
            Fact::Only { region, elsewhere, inside: Some(inside) } if inside < elsewhere => match region.outside() {
                Some(region) => Fact::Only { region, elsewhere: inside, inside: Some(elsewhere) },
                None => Fact::Only { region, elsewhere, inside: Some(inside) },
            },
            Fact::Fill(_) | Fact::Number(_) | Fact::Only { .. } => self,
        }
    }
}

/// The facts of a graph's values.
pub(super) fn facts(graph: &Graph) -> Env<Fact> {
    let mut facts = Env::empty(graph);
    for n in graph.nodes() {
        if let [y] = n.results[..]
            && let Some(fact) = fact(graph, n, &facts)
        {
            facts.set(y, fact);
        }
    }
    facts
}

/// How an op of a graph executes.
pub(super) fn loop_form(graph: &Graph, n: &Node) -> LoopForm {
    let args: SmallVec<[_; 3]> = n.args.iter().map(|v| graph.aval(*v)).collect();
    let results: SmallVec<[_; 1]> = n.results.iter().map(|v| graph.aval(*v).clone()).collect();
    n.op.prim().loop_form(&args, &results)
}

fn fact(graph: &Graph, n: &Node, facts: &Env<Fact>) -> Option<Fact> {
    let of = |k: usize| facts.find(n.args[k]);
    let y = graph.aval(n.results[0]);
    match loop_form(graph, n) {
        LoopForm::Generate(Generate::Fill(x)) => Some(Fact::Fill(x)),
        LoopForm::Generate(Generate::Iota) => {
            let mut form = Form::of(0, 1);
            form.by[0] = 1;
            Some(Fact::Number(form))
        }
        LoopForm::Generate(Generate::Stored) => {
            let Op::Constant(c) = &n.op else { return None };
            stored(&c.value)
        }
        LoopForm::View(view) => viewed(of(0)?, &view, &graph.aval(n.args[0]).shape, &y.shape),
        LoopForm::Pointwise(f) => {
            let args: SmallVec<[Option<&Fact>; 3]> = (0..n.args.len()).map(of).collect();
            if args.iter().all(Option::is_none) {
                return None;
            }
            numbers(&f, &args, y.rank(), y.dtype)
                .or_else(|| selected(&f, &args))
                .or_else(|| computed(graph, n, &args))
                .or_else(|| absorbed(&f, &args))
                .map(Fact::with_less_elsewhere)
        }
        LoopForm::Piecewise(_)
        | LoopForm::Generate(Generate::Eye)
        | LoopForm::Reduce { .. }
        | LoopForm::ArgReduce { .. }
        | LoopForm::Scan { .. }
        | LoopForm::Contract { .. }
        | LoopForm::Convolution(_)
        | LoopForm::WindowAdd { .. }
        | LoopForm::Access(_)
        | LoopForm::Kernel(_)
        | LoopForm::Inline => None,
    }
}

/// Stored matrices that have one number on one side of a diagonal and a smaller one on the other, all of them: masks that were made before a trace began.
fn stored(x: &Array) -> Option<Fact> {
    let rank = x.shape().rank();
    let (row, column) = (rank.checked_sub(2)?, rank - 1);
    let [rows, columns] = [row, column].map(|d| x.shape()[d].get());
    if rows < 2 || columns < 2 || x.numel() == 0 || x.numel() > MOST_STORED {
        return None;
    }
    let value = |r: usize, c: usize| x.get(r * columns + c).to_f64();
    // The smaller number is above the diagonal, or below it.
    let is_above = value(0, columns - 1) < value(rows - 1, 0);
    let elsewhere = if is_above { value(0, columns - 1) } else { value(rows - 1, 0) };
    let others = |r: usize| (0..columns).filter(|c| value(r, *c) != elsewhere).count();
    let (r, count) = (0..rows).map(|r| (r, others(r))).find(|(_, n)| (1..columns).contains(n))?;
    let (inside, diagonal) = if is_above {
        (value(r, 0), count as i64 - 1 - r as i64)
    } else {
        (value(r, columns - 1), (columns - count) as i64 - r as i64)
    };
    let mut form = Form::of(-diagonal, rank);
    (form.by[row], form.by[column]) = (-1, 1);
    if !is_above {
        form = Form::of(0, rank).plus(&form, -1)?;
    }
    let expected = |r: usize, c: usize| {
        let beyond = c as i64 - r as i64 - diagonal;
        if (if is_above { beyond } else { -beyond }) > 0 { elsewhere } else { inside }
    };
    let is_mask = (0..x.numel()).all(|i| x.get(i).to_f64() == expected(i / columns % rows, i % columns));
    let region = Region { forms: SmallVec::from_iter([form]) };
    is_mask.then_some(Fact::Only { region, elsewhere, inside: Some(inside) })
}

/// Where each dim of an operand went in a view that keeps it whole; `None` for a view that does not.
pub(super) fn dims_of(view: &View, x: &Shape, y: &Shape) -> Option<SmallVec<[Option<usize>; 4]>> {
    match view {
        View::Broadcast => {
            let lead = y.rank() - x.rank();
            Some((0..x.rank()).map(|d| (x[d] == y[d + lead]).then_some(d + lead)).collect())
        }
        View::Reshape => {
            let after = |s: &Shape, d: usize| s.dims()[d + 1..].iter().map(|n| n.get()).product::<usize>();
            let same = |d: usize| (0..y.rank()).find(|e| y[*e] == x[d] && x[d] != 1 && after(y, *e) == after(x, d));
            Some((0..x.rank()).map(same).collect())
        }
        View::Permute(dims) => {
            let mut to = SmallVec::from_elem(None, dims.len());
            dims.iter().enumerate().for_each(|(i, d)| to[*d] = Some(i));
            Some(to)
        }
        View::Slice { .. } | View::Flip(_) | View::Diagonal { .. } | View::Unfold { .. } => None,
    }
}

fn viewed(x: &Fact, view: &View, from: &Shape, to: &Shape) -> Option<Fact> {
    let moved = |form: &Form| -> Option<Form> {
        match view {
            View::Slice { dim, start, step } => {
                let mut out = form.clone();
                out.base = out.base.checked_add(out.by[*dim].checked_mul(*start as i64)?)?;
                out.by[*dim] = out.by[*dim].checked_mul(*step as i64)?;
                Some(out)
            }
            View::Broadcast | View::Reshape | View::Permute(_) => form.moved(&dims_of(view, from, to)?, to.rank()),
            View::Flip(_) | View::Diagonal { .. } | View::Unfold { .. } => None,
        }
    };
    match x {
        Fact::Fill(x) => Some(Fact::Fill(*x)),
        Fact::Number(form) => moved(form).map(Fact::Number),
        Fact::Only { region, elsewhere, inside } => {
            let region = Region { forms: region.forms.iter().map(moved).collect::<Option<_>>()? };
            Some(Fact::Only { region, elsewhere: *elsewhere, inside: *inside })
        }
    }
}

/// Integers and how they compare.
fn numbers(f: &ScalarFn, args: &[Option<&Fact>], rank: usize, dtype: DType) -> Option<Fact> {
    let form = |k: usize| match args[k]? {
        Fact::Number(form) => Some(form.clone()),
        Fact::Fill(Scalar::Int(x)) => Some(Form::of(*x, rank)),
        Fact::Fill(_) | Fact::Only { .. } => None,
    };
    let is_number = |x: &Option<&Fact>| matches!(x, Some(Fact::Number(_)));
    if !args.iter().any(is_number) {
        return None;
    }
    let holds = |forms: Vec<Form>| {
        let region = Region { forms: forms.into_iter().collect() };
        Some(Fact::Only { region, elsewhere: 0.0, inside: Some(1.0) })
    };
    // Integers of 32 bits and more, in which sizes are exact.
    let is_wide = matches!(dtype, DType::I64 | DType::I32);
    match f {
        ScalarFn::Convert(_) if is_wide => form(0).map(Fact::Number),
        ScalarFn::Unary(Unary::Detach) => form(0).map(Fact::Number),
        ScalarFn::Unary(Unary::Neg) => Form::of(0, rank).plus(&form(0)?, -1).map(Fact::Number),
        ScalarFn::Binary(Binary::Add) => form(0)?.plus(&form(1)?, 1).map(Fact::Number),
        ScalarFn::Binary(Binary::Sub) => form(0)?.plus(&form(1)?, -1).map(Fact::Number),
        ScalarFn::Binary(Binary::Le) => holds(vec![form(0)?.plus(&form(1)?, -1)?]),
        ScalarFn::Binary(Binary::Ge) => holds(vec![form(1)?.plus(&form(0)?, -1)?]),
        ScalarFn::Binary(Binary::Lt) => holds(vec![form(1)?.plus(&form(0)?, -1)?.negated()?]),
        ScalarFn::Binary(Binary::Gt) => holds(vec![form(0)?.plus(&form(1)?, -1)?.negated()?]),
        ScalarFn::Unary(_) | ScalarFn::Binary(_) | ScalarFn::Select | ScalarFn::Convert(_) | ScalarFn::Polygamma(_) => {
            None
        }
    }
}

/// One of two values by a mask.
fn selected(f: &ScalarFn, args: &[Option<&Fact>]) -> Option<Fact> {
    let ScalarFn::Select = f else { return None };
    let fill = |k: usize| match args[k] {
        Some(Fact::Fill(x)) => Some(x.to_f64()),
        Some(Fact::Number(_) | Fact::Only { .. }) | None => None,
    };
    if let Some(Fact::Only { region, elsewhere, inside }) = args[0] {
        if *elsewhere == 0.0
            && let Some(elsewhere) = fill(2)
        {
            let inside = inside.filter(|x| *x != 0.0).and_then(|_| fill(1));
            return Some(Fact::Only { region: region.clone(), elsewhere, inside });
        }
        // A mask that holds elsewhere.
        if *elsewhere == 1.0
            && let Some(elsewhere) = fill(1)
        {
            let inside = inside.filter(|x| *x == 0.0).and_then(|_| fill(2));
            return Some(Fact::Only { region: region.clone(), elsewhere, inside });
        }
        // One that holds everywhere in its region leaves the other value outside.
        if (*elsewhere, *inside) == (0.0, Some(1.0))
            && let (Some(elsewhere), Some(region)) = (fill(1), region.outside())
        {
            return Some(Fact::Only { region, elsewhere, inside: fill(2) });
        }
    }
    // One value outside of the region, whatever the mask says.
    let same = |x: &Fact, other: Option<f64>| match x {
        Fact::Only { region, elsewhere, .. } if other == Some(*elsewhere) => {
            Some(Fact::Only { region: region.clone(), elsewhere: *elsewhere, inside: None })
        }
        Fact::Only { .. } | Fact::Fill(_) | Fact::Number(_) => None,
    };
    args[1].and_then(|x| same(x, fill(2))).or_else(|| args[2].and_then(|x| same(x, fill(1))))
}

/// A function of masks with one region, and of numbers.
fn computed(graph: &Graph, n: &Node, args: &[Option<&Fact>]) -> Option<Fact> {
    let mut region: Option<&Region> = None;
    for fact in args {
        match (*fact)? {
            Fact::Fill(_) => {}
            Fact::Number(_) => return None,
            Fact::Only { region: own, .. } => {
                if region.is_some_and(|r| r != own) {
                    return both(&n.op, args);
                }
                region = Some(own);
            }
        }
    }
    let value = |of: &dyn Fn(&Fact) -> Option<f64>| -> Option<f64> {
        let one =
            |(fact, v): (&Option<&Fact>, &Value)| Some(Array::new([], vec![of((*fact)?)?]).cast(graph.aval(*v).dtype));
        let args: Vec<Array> = args.iter().zip(&n.args).map(one).collect::<Option<_>>()?;
        let results = n.op.prim().eval(&args.iter().collect::<Vec<_>>()).ok()?;
        results[0].to_f64_vec().first().copied()
    };
    let elsewhere = value(&|x| match x {
        Fact::Fill(x) => Some(x.to_f64()),
        Fact::Only { elsewhere, .. } => Some(*elsewhere),
        Fact::Number(_) => None,
    })?;
    let inside = value(&|x| match x {
        Fact::Fill(x) => Some(x.to_f64()),
        Fact::Only { inside, .. } => *inside,
        Fact::Number(_) => None,
    });
    Some(Fact::Only { region: region?.clone(), elsewhere, inside })
}

/// Two masks at once.
fn both(op: &Op, args: &[Option<&Fact>]) -> Option<Fact> {
    let (Op::Binary(Binary::BitwiseAnd), [Some(a), Some(b)]) = (op, args) else { return None };
    match (a, b) {
        (Fact::Only { region: a, elsewhere: 0.0, inside: x }, Fact::Only { region: b, elsewhere: 0.0, inside: y }) => {
            let region = Region { forms: a.forms.iter().chain(&b.forms).cloned().collect() };
            let all = (*x, *y) == (Some(1.0), Some(1.0));
            Some(Fact::Only { region, elsewhere: 0.0, inside: all.then_some(1.0) })
        }
        (Fact::Only { .. } | Fact::Fill(_) | Fact::Number(_), _) => None,
    }
}

/// What absorbs any finite number: zero in a product, minus infinity in a sum, and false.
fn absorbed(f: &ScalarFn, args: &[Option<&Fact>]) -> Option<Fact> {
    let low = |x: f64| x <= LOW;
    let zero = |x: f64| x == 0.0;
    let of = |k: usize, absorbs: &dyn Fn(f64) -> bool| match args[k] {
        Some(Fact::Only { region, elsewhere, .. }) if absorbs(*elsewhere) => {
            Some(Fact::Only { region: region.clone(), elsewhere: *elsewhere, inside: None })
        }
        Some(Fact::Only { .. } | Fact::Fill(_) | Fact::Number(_)) | None => None,
    };
    match f {
        ScalarFn::Binary(Binary::Add) => of(0, &low).or_else(|| of(1, &low)),
        ScalarFn::Binary(Binary::Sub) => of(0, &low),
        ScalarFn::Binary(Binary::Mul | Binary::BitwiseAnd) => of(0, &zero).or_else(|| of(1, &zero)),
        ScalarFn::Binary(Binary::Div) => of(0, &zero),
        ScalarFn::Unary(_) | ScalarFn::Binary(_) | ScalarFn::Select | ScalarFn::Convert(_) | ScalarFn::Polygamma(_) => {
            None
        }
    }
}
