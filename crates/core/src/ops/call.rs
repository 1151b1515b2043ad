//! Calls: composites, and functions with rules of their own.

use std::sync::Arc;

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attr, AttrError, AttrField, AttrReader, Attrs, Aval, DType, Dim, Graph};
use crate::tensor::{Tensor, emit_all};
use crate::transform::{self, jvp::push_forward, replay::replay};

use super::{Avals, Batched, Cotangent, FromText, LinArg, LoopForm, Primitive, Sample, Samples, Tangent};

/// How a call is differentiated.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// By its body: a composite, inlined by the first transform that needs to look inside.
    Inline,
    /// By its body, whose intermediate values are computed again rather than kept.
    Checkpoint,
    /// By a user's forward rule: `(x…, x_dot…) → y_dot…`.
    Jvp(Arc<Graph>),
    /// By a composite's forward rule that takes the results too: `(x…, y…, x_dot…) → y_dot…`, with a tangent for each
    /// result of floats. Linear in `x_dot`. The body has the same derivative, and is what `vmap` looks at.
    ByResult(Arc<Graph>),
    /// The body is linear in its last operands, after residuals, and its derivative in them is itself; its transpose is a
    /// function of its own. In residuals of floats it is differentiated by its body.
    ///
    /// PyTorch's reverse mode leaves out what its forward mode keeps where rows of an embedding are padding; and a function may know of a shorter
    /// transpose than its body shows.
    Linear {
        /// `(residual…, y_bar…) → x_bar…`.
        transpose: Arc<Graph>,
        /// The number of residuals.
        residuals: usize,
    },
    /// By a user's reverse rule.
    Vjp {
        /// `x… → (y…, residual…)`.
        fwd: Arc<Graph>,
        /// `(residual…, y_bar…) → x_bar…`.
        bwd: Arc<Graph>,
    },
    /// The tangent of a [`Rule::Vjp`] call, known only by its transpose: operands are residuals and tangents,
    /// the body gives the avals of the results. It lives inside linear graphs until the transpose consumes it.
    VjpTangent {
        /// `(residual…, y_bar…) → x_bar…`.
        bwd: Arc<Graph>,
        /// The number of residuals.
        residuals: usize,
    },
}

impl Rule {
    const fn name(&self) -> &'static str {
        match self {
            Rule::Inline => "inline",
            Rule::Checkpoint => "checkpoint",
            Rule::Jvp(_) => "jvp",
            Rule::ByResult(_) => "by_result",
            Rule::Linear { .. } => "linear",
            Rule::Vjp { .. } => "vjp",
            Rule::VjpTangent { .. } => "vjp_tangent",
        }
    }
}

impl AttrField for Rule {
    const KIND: &'static str = "a rule (a list of its name and graphs)";

    fn to_attr(&self) -> Attr {
        let mut items = vec![Attr::Str(self.name().to_owned())];
        match self {
            Rule::Inline | Rule::Checkpoint => {}
            Rule::Jvp(g) | Rule::ByResult(g) => items.push(Attr::Graph(g.clone())),
            Rule::Vjp { fwd, bwd } => items.extend([Attr::Graph(fwd.clone()), Attr::Graph(bwd.clone())]),
            Rule::Linear { transpose: g, residuals } | Rule::VjpTangent { bwd: g, residuals } => {
                items.extend([Attr::Graph(g.clone()), residuals.to_attr()]);
            }
        }
        Attr::List(items)
    }

    fn from_attr(attr: &Attr) -> Option<Self> {
        let Attr::List(items) = attr else { return None };
        match items.as_slice() {
            [Attr::Str(s)] if s == "inline" => Some(Rule::Inline),
            [Attr::Str(s)] if s == "checkpoint" => Some(Rule::Checkpoint),
            [Attr::Str(s), Attr::Graph(g)] if s == "jvp" => Some(Rule::Jvp(g.clone())),
            [Attr::Str(s), Attr::Graph(g)] if s == "by_result" => Some(Rule::ByResult(g.clone())),
            [Attr::Str(s), Attr::Graph(fwd), Attr::Graph(bwd)] if s == "vjp" => {
                Some(Rule::Vjp { fwd: fwd.clone(), bwd: bwd.clone() })
            }
            [Attr::Str(s), Attr::Graph(transpose), n] if s == "linear" => {
                Some(Rule::Linear { transpose: transpose.clone(), residuals: usize::from_attr(n)? })
            }
            [Attr::Str(s), Attr::Graph(bwd), n] if s == "vjp_tangent" => {
                Some(Rule::VjpTangent { bwd: bwd.clone(), residuals: usize::from_attr(n)? })
            }
            _ => None,
        }
    }
}

crate::ir::attr_struct! {
    /// A function applied as one node.
    ///
    /// *Derivative*: by `rule`.
    /// *Errors*: `call_c1` operands that are not the body's parameters; `call_c2` a rule that does not fit the body.
    /// *Source*: composites carry the schema of the ATen op that they are.
    pub struct Call {
        /// PyTorch's schema of the composite, or `cotangent::name(…)` for a user's function.
        pub target: String,
        /// Values of the schema's attributes, as `[name, value]` pairs.
        pub params: Vec<Attr>,
        /// What it computes.
        pub body: Arc<Graph>,
        /// How it is differentiated.
        pub rule: Rule,
    }
}

impl FromText for Call {
    fn from_text(name: &str, attrs: &mut AttrReader) -> Option<Result<Self, AttrError>> {
        (name == "call").then(|| Call::from_generic(attrs))
    }
}

impl Call {
    /// A call of the function with this schema, as yet without parameters and with an empty body.
    pub(crate) fn named(schema: &str) -> Self {
        let body = Arc::new(crate::ir::Builder::new().finish("", Vec::new()));
        Call { target: schema.to_owned(), params: Vec::new(), body, rule: Rule::Inline }
    }

    /// The function's name: the schema's up to the parenthesis, without namespace.
    pub fn function(&self) -> &str {
        let name = self.target.split('(').next().unwrap_or_default();
        name.rsplit("::").next().unwrap_or(name)
    }

    /// The value of the schema's argument `name`, if that is no operand.
    pub fn param(&self, name: &str) -> Option<&Attr> {
        self.params.iter().find_map(|p| match p {
            Attr::List(pair) => match pair.as_slice() {
                [Attr::Str(k), value] if k == name => Some(value),
                _ => None,
            },
            _ => None,
        })
    }

    /// The call with another value of the schema's argument `name`, if it has one.
    pub(crate) fn with_param(&self, name: &str, value: Attr) -> Call {
        let mut out = self.clone();
        for p in &mut out.params {
            if let Attr::List(pair) = p
                && let [Attr::Str(k), old] = pair.as_mut_slice()
                && k == name
            {
                *old = value.clone();
            }
        }
        out
    }

    /// Whether transforms look at the body in place of the call.
    pub fn is_inline(&self) -> bool {
        matches!(self.rule, Rule::Inline)
    }

    /// Whether its body says everything about it, the derivative included: a rule by the result is but a shorter way.
    pub fn is_transparent(&self) -> bool {
        matches!(self.rule, Rule::Inline | Rule::ByResult(_))
    }

    /// Whether its body shows what it does to whoever reads it: of a linear map the body does not show the transpose,
    /// for which only a reverse pass asks.
    pub fn is_shown(&self) -> bool {
        self.is_transparent() || matches!(self.rule, Rule::Linear { .. })
    }

    /// Whether it can be evaluated: all calls but the tangents of functions that have only a reverse rule.
    pub fn has_forward(&self) -> bool {
        !matches!(self.rule, Rule::VjpTangent { .. })
    }

    /// The body and the graphs of the rule.
    pub fn graphs(&self) -> Vec<&Graph> {
        let mut out = vec![self.body.as_ref()];
        match &self.rule {
            Rule::Inline | Rule::Checkpoint => {}
            Rule::Jvp(g) | Rule::ByResult(g) => out.push(g),
            Rule::Vjp { fwd, bwd } => out.extend([fwd.as_ref(), bwd.as_ref()]),
            Rule::Linear { transpose: g, .. } | Rule::VjpTangent { bwd: g, .. } => out.push(g),
        }
        out
    }

    /// Checks that the graphs of the rule fit the body: files from outside may say anything.
    fn check_rule(&self) -> Result<(), InferError> {
        let (x, y) = (self.body.param_avals(), self.body.result_avals());
        let fits = match &self.rule {
            Rule::Inline | Rule::Checkpoint => true,
            Rule::Jvp(g) => g.param_avals() == [x.clone(), x].concat() && alike(&g.result_avals(), &y),
            Rule::ByResult(g) => {
                let floats: Vec<Aval> = y.iter().filter(|a| a.dtype.is_float()).cloned().collect();
                g.param_avals() == [x.clone(), y, x].concat() && g.result_avals() == floats
            }
            Rule::Vjp { fwd, bwd } => {
                let results = fwd.result_avals();
                fwd.param_avals() == x
                    && results.starts_with(&y)
                    && bwd.param_avals() == [&results[y.len()..], &y].concat()
                    && alike(&bwd.result_avals(), &x)
            }
            Rule::Linear { transpose, residuals } => {
                fits_reverse(transpose, *residuals, &x, &y)
                    && x[*residuals..].iter().chain(&y).all(|a| a.dtype.is_float())
            }
            Rule::VjpTangent { bwd, residuals } => fits_reverse(bwd, *residuals, &x, &y),
        };
        if fits {
            return Ok(());
        }
        Err(InferError::Attribute {
            label: "call_c2",
            attr: "rule",
            expected: "graphs that fit the body's parameters and results".to_owned(),
            found: format!("a rule `{}` that does not", self.rule.name()),
        })
    }

    fn batched_body(&self, size: Dim) -> Arc<Graph> {
        Arc::new(transform::vmap::vmap_all(&self.body, size))
    }

    fn batched(&self, size: Dim) -> Call {
        let all = |g: &Arc<Graph>| Arc::new(transform::vmap::vmap_all(g, size));
        let rule = match &self.rule {
            Rule::Inline => Rule::Inline,
            Rule::Checkpoint => Rule::Checkpoint,
            Rule::Jvp(g) => Rule::Jvp(all(g)),
            Rule::ByResult(g) => Rule::ByResult(all(g)),
            Rule::Linear { transpose, residuals } => Rule::Linear { transpose: all(transpose), residuals: *residuals },
            Rule::Vjp { fwd, bwd } => Rule::Vjp { fwd: all(fwd), bwd: all(bwd) },
            Rule::VjpTangent { bwd, residuals } => Rule::VjpTangent { bwd: all(bwd), residuals: *residuals },
        };
        Call { target: self.target.clone(), params: self.params.clone(), body: self.batched_body(size), rule }
    }

    /// The results of a linear map over a batch; what all examples share stays shared, and its cotangents are added.
    fn over_mapped(&self, transpose: &Arc<Graph>, residuals: usize, args: &[Batched], size: Dim) -> Vec<Batched> {
        let dims: Vec<Option<usize>> = args.iter().map(|a| a.mapped.then_some(0)).collect();
        let batched = |g: &Graph, dims: &[Option<usize>]| {
            transform::vmap::vmap(g, dims, &vec![0; g.results().len()], size)
                .expect("I3: rules keep a verified graph's avals")
                .with_name(g.name())
        };
        let body = batched(&self.body, &dims);
        let seen: Vec<Option<usize>> =
            dims[..residuals].iter().copied().chain(body.results().iter().map(|_| Some(0))).collect();
        let each = batched(transpose, &seen);
        let added = transform::build("transpose", |t| {
            let given: Vec<Tensor> = each.param_avals().iter().map(|a| t.param(a)).collect();
            let bars = replay(&each, &given).into_iter().zip(&dims[residuals..]);
            Ok(bars.map(|(bar, dim)| if dim.is_some() { bar } else { bar.sum_over(&[0]) }).collect())
        });
        let rule = Rule::Linear { transpose: Arc::new(added.expect("sums of inferred avals")), residuals };
        let call = Call { target: self.target.clone(), params: Vec::new(), body: Arc::new(body), rule };
        let refs: Vec<&Tensor> = args.iter().map(|a| &a.x).collect();
        emit_all(call.into(), &refs).into_iter().map(Batched::mapped).collect()
    }

    /// The results over a batch for an operator that is the same over a batch: one that is elementwise.
    pub(crate) fn over_batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let full: Vec<Tensor> = args.iter().map(|a| a.materialised(size)).collect();
        let refs: Vec<&Tensor> = full.iter().collect();
        emit_all(self.batched(size).into(), &refs).into_iter().map(Batched::mapped).collect()
    }
}

/// Whether `bwd` takes the first operands and cotangents of the results, and gives cotangents of the other operands.
fn fits_reverse(bwd: &Graph, residuals: usize, x: &[Aval], y: &[Aval]) -> bool {
    residuals <= x.len()
        && bwd.param_avals() == [&x[..residuals], y].concat()
        && alike(&bwd.result_avals(), &x[residuals..])
}

/// Whether tangents or cotangents are as many as primals, and of the primals' avals where these are floats.
fn alike(found: &[Aval], primals: &[Aval]) -> bool {
    found.len() == primals.len() && found.iter().zip(primals).all(|(f, p)| f == p || !p.dtype.is_float())
}

impl Primitive for Call {
    fn name(&self) -> &'static str {
        "call"
    }

    fn schema(&self) -> &'static str {
        "cotangent::call(Tensor[] args) -> Tensor[]"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let params = self.body.param_avals();
        if params.len() != args.len() {
            return Err(InferError::Arity { expected: params.len(), found: args.len() });
        }
        if let Some((p, a)) = params.iter().zip(args).find(|(p, a)| p != *a) {
            return Err(InferError::Operand { label: "call_c1", expected: p.to_string(), found: (*a).clone() });
        }
        self.check_rule()?;
        Ok(self.body.result_avals().into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        match &self.rule {
            Rule::VjpTangent { .. } => Err(EvalError::NoForward { name: self.function().to_owned() }),
            Rule::Inline
            | Rule::Checkpoint
            | Rule::Jvp(_)
            | Rule::ByResult(_)
            | Rule::Linear { .. }
            | Rule::Vjp { .. } => transform::eval::eval_arrays(&self.body, args),
        }
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let dots = || x.iter().zip(x_dot).map(|(x, t)| t.or_zeros(x));
        match &self.rule {
            Rule::Inline | Rule::Checkpoint => push_forward(&self.body, x, x_dot).1,
            Rule::Jvp(rule) => {
                let args: Vec<Tensor> = x.iter().cloned().chain(dots()).collect();
                replay(rule, &args).into_iter().map(Tangent::Is).collect()
            }
            Rule::ByResult(rule) => by_result(rule, x, y, x_dot),
            Rule::Vjp { fwd, bwd } => {
                let mut residuals = replay(fwd, x).split_off(y.len());
                let n = residuals.len();
                residuals.extend(dots());
                let tangent = vjp_tangent(self, bwd, n, &residuals, y);
                let args: Vec<&Tensor> = residuals.iter().collect();
                emit_all(tangent.into(), &args).into_iter().map(Tangent::Is).collect()
            }
            Rule::Linear { residuals, .. } => {
                let itself = || {
                    let args: Vec<Tensor> = x[..*residuals].iter().cloned().chain(dots().skip(*residuals)).collect();
                    emit_all(self.clone().into(), &args.iter().collect::<Vec<_>>()).into_iter().map(Tangent::Is)
                };
                let is_zero = |t: &Tangent| matches!(t, Tangent::Zero);
                let (of_residuals, of_others) = x_dot.split_at(*residuals);
                if of_residuals.iter().all(is_zero) {
                    return itself().collect();
                }
                let fixed = vec![Tangent::Zero; of_others.len()];
                let through = push_forward(&self.body, x, &[of_residuals, &fixed].concat()).1;
                if of_others.iter().all(is_zero) {
                    return through;
                }
                itself().zip(through).map(|(a, b)| a.plus(b)).collect()
            }
            Rule::VjpTangent { residuals, .. } => {
                // Linear in the tangents. A tangent of a reverse rule's residuals would be a second derivative of the
                // user's backward function, which forward mode cannot see: the pass reports the node that stays.
                let args: Vec<Tensor> = x[..*residuals].iter().cloned().chain(dots().skip(*residuals)).collect();
                let refs: Vec<&Tensor> = args.iter().collect();
                emit_all(self.clone().into(), &refs).into_iter().map(Tangent::Is).collect()
            }
        }
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        match &self.rule {
            Rule::Linear { transpose: bwd, residuals } | Rule::VjpTangent { bwd, residuals } => {
                let mut inputs: Vec<Tensor> = Vec::new();
                for a in &args[..*residuals] {
                    match a {
                        LinArg::Residual(t) => inputs.push(t.clone()),
                        LinArg::Linear(_) => return super::nonlinear("call"),
                    }
                }
                let avals = self.body.result_avals();
                let like = inputs.first().cloned();
                for (c, aval) in y_bar.iter().zip(avals) {
                    inputs.push(match c {
                        Cotangent::Is(t) => t.clone(),
                        Cotangent::Zero => Tensor::zeros_of(&aval, like.as_ref()),
                    });
                }
                let x_bar = replay(bwd, &inputs).into_iter().map(Cotangent::Is);
                std::iter::repeat_n(Cotangent::Zero, *residuals).chain(x_bar).collect()
            }
            Rule::Inline | Rule::Checkpoint | Rule::Jvp(_) | Rule::ByResult(_) | Rule::Vjp { .. } => {
                transform::transpose::transpose_body(&self.body, y_bar, args)
            }
        }
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        if let Rule::Linear { transpose, residuals } = &self.rule {
            return self.over_mapped(transpose, *residuals, args, size);
        }
        // The schema describes the unbatched function, so that only its name is kept.
        let target = format!("cotangent::vmap_{}(...)", self.function().replace('.', "_"));
        Call { target, params: Vec::new(), ..self.clone() }.over_batch(args, size)
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Inline
    }
}

/// The tangents of the results `y` by a rule that takes them.
///
/// The rule is linear in its last operands, so that its derivative in them is its value: taken so, no symbolic zero
/// becomes a tensor.
fn by_result(rule: &Graph, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
    let anywhere = x.iter().map(Tensor::zeros_like);
    let args: Vec<Tensor> = x.iter().chain(y).cloned().chain(anywhere).collect();
    let constant = vec![Tangent::Zero; x.len() + y.len()];
    let mut tangents = push_forward(rule, &args, &[constant.as_slice(), x_dot].concat()).1.into_iter();
    let each = |y: &Tensor| if y.dtype().is_float() { tangents.next() } else { None };
    y.iter().map(each).map(|t| t.unwrap_or(Tangent::Zero)).collect()
}

/// The node that stands for the tangent of a call with a reverse rule.
fn vjp_tangent(call: &Call, bwd: &Arc<Graph>, residuals: usize, args: &[Tensor], y: &[Tensor]) -> Call {
    let body = transform::build("tangent", |t| {
        for a in args {
            t.param(&a.aval());
        }
        Ok(y.iter().map(|y| Tensor::zeros_of(&y.aval(), None)).collect())
    })
    .expect("zeros of inferred avals");
    Call {
        target: format!("cotangent::{}_tangent(...)", call.function().replace('.', "_")),
        params: Vec::new(),
        body: Arc::new(body),
        rule: Rule::VjpTangent { bwd: bwd.clone(), residuals },
    }
}

impl Samples for Call {
    fn samples() -> Vec<Sample> {
        let body = |shape: &[usize]| {
            let g = transform::build("double_sine", |t| {
                let x = t.param(&Aval::new(DType::F64, shape));
                Ok(vec![x.sin() * 2.0])
            });
            Arc::new(g.expect("a well-formed body"))
        };
        let of = |note, shape: &[usize], rule| {
            let call = Call {
                target: "cotangent::double_sine(Tensor x) -> Tensor".to_owned(),
                params: Vec::new(),
                body: body(shape),
                rule,
            };
            let n: usize = shape.iter().product();
            Sample::new(note, call, [Array::new(shape, (0..n).map(|i| i as f64 + 0.5).collect())])
        };
        // d sin(x) / dx by the result, as sin(2 x) / sin(x).
        let by_result = transform::build("tangent", |t| {
            let [x, y, x_dot] = std::array::from_fn(|_| t.param(&Aval::new(DType::F64, [3])));
            Ok(vec![x_dot * (x * 2.0).sin() / y * 2.0])
        });
        let by_result = Rule::ByResult(Arc::new(by_result.expect("a well-formed rule")));
        // A linear map of chosen elements.
        let (at, x, y) = (Aval::new(DType::I64, [2]), Aval::new(DType::F64, [3]), Aval::new(DType::F64, [2]));
        let chosen = transform::build("chosen", |t| {
            let (at, x) = (t.param(&at), t.param(&x));
            Ok(vec![x.index_select_along(0, &at)])
        });
        let placed = transform::build("placed", |t| {
            let (at, y_bar) = (t.param(&at), t.param(&y));
            Ok(vec![Tensor::zeros_of(&x, Some(&y_bar)).index_add_along(0, &at, &y_bar)])
        });
        let linear = Call {
            target: "cotangent::chosen(Tensor at, Tensor x) -> Tensor".to_owned(),
            params: Vec::new(),
            body: Arc::new(chosen.expect("a well-formed body")),
            rule: Rule::Linear { transpose: Arc::new(placed.expect("a well-formed rule")), residuals: 1 },
        };
        let operands = [Array::new([2], vec![2i64, 0]), Array::new([3], vec![0.5, 1.5, 2.5])];
        vec![
            of("by the result", &[3], by_result),
            of("usual", &[2, 2], Rule::Inline),
            of("checkpoint", &[3], Rule::Checkpoint),
            of("scalar", &[], Rule::Inline),
            of("empty", &[0], Rule::Inline),
            Sample::new("linear", linear, operands),
        ]
    }
}
