//! Recurrent layers, unrolled over the steps of their input.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::Aval;
use cotangent_core::tensor::reject;

use super::Module;
use super::dropout::Dropout;
use super::init;
use super::module::{Part, PartMut};
use super::pass::Pass;
use super::python::float;
use crate::random::Keys;

/// The sizes and choices of a recurrent layer; PyTorch's defaults but for the sizes.
#[derive(Clone, Debug)]
pub struct RecurrentOptions {
    /// The size of an input at one step.
    pub input_size: usize,
    /// The size of the state.
    pub hidden_size: usize,
    /// The number of layers, of which each has the former's output as input.
    pub num_layers: usize,
    /// Whether there are biases.
    pub bias: bool,
    /// Inputs are `[n, l, input_size]` instead of `[l, n, input_size]`.
    pub batch_first: bool,
    /// The probability of dropout between layers.
    pub dropout: f64,
    /// Whether each layer also runs backwards over the steps.
    pub bidirectional: bool,
}

impl RecurrentOptions {
    /// One layer, forwards, with biases.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        RecurrentOptions {
            input_size,
            hidden_size,
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
        }
    }
}

/// The parameters of one layer in one direction.
#[derive(Clone, Debug)]
struct Cell {
    weight_ih: Tensor,
    weight_hh: Tensor,
    biases: Option<[Tensor; 2]>,
    /// `[proj_size, hidden_size]`.
    weight_hr: Option<Tensor>,
}

/// What all recurrent layers share: parameters under PyTorch's names, layers, directions.
#[derive(Clone, Debug)]
struct Stack {
    cells: Vec<Cell>,
    options: RecurrentOptions,
    /// The size of an output, if it is projected.
    proj_size: Option<usize>,
}

/// What happens at one step: from the input's part `[n, gates · h]` and the states `[n, h]` to new states, of which
/// the first is the output.
type Step<'a> = &'a dyn Fn(&Tensor, &[Tensor], &Cell) -> Vec<Tensor>;

impl Stack {
    /// Parameters uniform in ±1/√hidden_size.
    #[track_caller]
    fn new(options: RecurrentOptions, gates: usize, proj_size: Option<usize>, keys: &mut Keys) -> Self {
        let (h, k) = (options.hidden_size, init::bound(options.hidden_size));
        let out = proj_size.unwrap_or(h);
        let directions = 1 + usize::from(options.bidirectional);
        let mut cells = Vec::new();
        for layer in 0..options.num_layers {
            for _ in 0..directions {
                let input = if layer == 0 { options.input_size } else { directions * out };
                let mut draw = |shape: Vec<usize>| init::uniform(shape, -k, k, keys);
                let (weight_ih, weight_hh) = (draw(vec![gates * h, input]), draw(vec![gates * h, out]));
                let biases = options.bias.then(|| [draw(vec![gates * h]), draw(vec![gates * h])]);
                let weight_hr = proj_size.map(|p| draw(vec![p, h]));
                cells.push(Cell { weight_ih, weight_hh, biases, weight_hr });
            }
        }
        Stack { cells, options, proj_size }
    }

    /// The size of an output, which is the first state.
    fn output_size(&self) -> usize {
        self.proj_size.unwrap_or(self.options.hidden_size)
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.options.bidirectional)
    }

    /// `l0`, `l0_reverse`, `l1`, ….
    fn suffix(&self, cell: usize) -> String {
        let (layer, reverse) = (cell / self.directions(), cell % self.directions() == 1);
        format!("l{layer}{}", if reverse { "_reverse" } else { "" })
    }

    /// The outputs of the last layer, and the last states of all layers, each stacked `[layers · directions, n, h]`.
    #[track_caller]
    fn run(
        &self,
        op: &str,
        x: &Tensor,
        states: &[Option<&Tensor>],
        pass: &mut Pass,
        step: Step,
    ) -> (Tensor, Vec<Tensor>) {
        let o = &self.options;
        if let Some(poison) = self.misfit(op, x, states) {
            return (poison.clone(), vec![poison; states.len()]);
        }
        let unbatched = x.rank() == 2;
        let mut x = match (unbatched, o.batch_first) {
            (true, _) => x.unsqueeze(1),
            (false, true) => x.transpose(0, 1),
            (false, false) => x.clone(),
        };
        let n = x.size(1);
        let zeros = |i: usize| x.full_of(&Aval::new(x.dtype(), [self.cells.len(), n, self.state_size(i)]), 0.0);
        let first: Vec<Tensor> = states
            .iter()
            .enumerate()
            .map(|(i, s)| match s {
                Some(s) if unbatched => s.unsqueeze(1),
                Some(s) => (*s).clone(),
                None => zeros(i),
            })
            .collect();
        let mut last: Vec<Vec<Tensor>> = vec![Vec::new(); states.len()];
        for (layer, cells) in self.cells.chunks(self.directions()).enumerate() {
            if layer > 0 {
                x = Dropout::new(o.dropout).apply(&x, pass);
            }
            let mut outputs = Vec::new();
            for (direction, cell) in cells.iter().enumerate() {
                let place = (layer * self.directions() + direction) as i64;
                let mut state: Vec<Tensor> = first.iter().map(|s| s.select(0, place)).collect();
                let inputs = x.linear(&cell.weight_ih, cell.biases.as_ref().map(|[ih, _]| ih));
                let mut steps = inputs.unbind(0);
                if direction == 1 {
                    steps.reverse();
                }
                let mut out = Vec::new();
                for input in &steps {
                    state = step(input, &state, cell);
                    out.push(state[0].clone());
                }
                if direction == 1 {
                    out.reverse();
                }
                outputs.push(stack(&out, 0));
                last.iter_mut().zip(state).for_each(|(all, s)| all.push(s));
            }
            x = cat(&outputs, -1);
        }
        let last = last.iter().map(|all| {
            let all = stack(all, 0);
            if unbatched { all.squeeze(1) } else { all }
        });
        let y = match (unbatched, o.batch_first) {
            (true, _) => x.squeeze(1),
            (false, true) => x.transpose(0, 1),
            (false, false) => x,
        };
        (y, last.collect())
    }

    /// The error that the arguments do not fit.
    #[track_caller]
    fn misfit(&self, op: &str, x: &Tensor, states: &[Option<&Tensor>]) -> Option<Tensor> {
        let o = &self.options;
        let given: Vec<&Tensor> = std::iter::once(x).chain(states.iter().flatten().copied()).collect();
        if let Some(e) = given.iter().find_map(|t| t.error()) {
            return Some(Tensor::poison_like(e.clone(), x.aval()));
        }
        let steps = if o.batch_first && x.rank() == 3 { 1 } else { 0 };
        if !matches!(x.rank(), 2 | 3) || x.size(-1) != o.input_size || x.size(steps) == 0 || self.cells.is_empty() {
            let expected = format!("[l, n, {0}] or [l, {0}] with at least one step and one layer", o.input_size);
            let e = InferError::Operand { label: "recurrent_c1", expected, found: x.aval() };
            return Some(reject(op, &[x], e, None));
        }
        let shape = |i: usize| {
            let mut shape = vec![self.cells.len(), self.state_size(i)];
            if x.rank() == 3 {
                shape.insert(1, x.size(if o.batch_first { 0 } else { 1 }));
            }
            shape
        };
        let given = states.iter().enumerate().filter_map(|(i, s)| Some((shape(i), (*s)?)));
        let (shape, wrong) = given.into_iter().find(|(shape, s)| s.shape().sizes().as_slice() != shape.as_slice())?;
        let expected = format!("a state of shape {shape:?}");
        let e = InferError::Operand { label: "recurrent_c2", expected, found: wrong.aval() };
        Some(reject(op, &[wrong], e, None))
    }

    /// The size of state `i`: the first is the output.
    fn state_size(&self, i: usize) -> usize {
        if i == 0 { self.output_size() } else { self.options.hidden_size }
    }
}

/// The parameters under PyTorch's names; a part of each recurrent layer.
impl Module for Stack {
    fn class_name(&self) -> String {
        "Stack".to_owned()
    }

    fn members(&self) -> Vec<(String, Part<'_>)> {
        let mut out = Vec::new();
        for (i, c) in self.cells.iter().enumerate() {
            let suffix = self.suffix(i);
            out.push((format!("weight_ih_{suffix}"), Part::Parameter(&c.weight_ih)));
            out.push((format!("weight_hh_{suffix}"), Part::Parameter(&c.weight_hh)));
            if let Some([ih, hh]) = &c.biases {
                out.push((format!("bias_ih_{suffix}"), Part::Parameter(ih)));
                out.push((format!("bias_hh_{suffix}"), Part::Parameter(hh)));
            }
            if let Some(w) = &c.weight_hr {
                out.push((format!("weight_hr_{suffix}"), Part::Parameter(w)));
            }
        }
        out
    }

    fn members_mut(&mut self) -> Vec<(String, PartMut<'_>)> {
        let suffixes: Vec<String> = (0..self.cells.len()).map(|i| self.suffix(i)).collect();
        let mut out = Vec::new();
        for (suffix, c) in suffixes.iter().zip(&mut self.cells) {
            out.push((format!("weight_ih_{suffix}"), PartMut::Parameter(&mut c.weight_ih)));
            out.push((format!("weight_hh_{suffix}"), PartMut::Parameter(&mut c.weight_hh)));
            if let Some([ih, hh]) = &mut c.biases {
                out.push((format!("bias_ih_{suffix}"), PartMut::Parameter(ih)));
                out.push((format!("bias_hh_{suffix}"), PartMut::Parameter(hh)));
            }
            if let Some(w) = &mut c.weight_hr {
                out.push((format!("weight_hr_{suffix}"), PartMut::Parameter(w)));
            }
        }
        out
    }

    fn extra_repr(&self) -> String {
        let o = &self.options;
        let mut out = format!("{}, {}", o.input_size, o.hidden_size);
        if let Some(p) = self.proj_size {
            out += &format!(", proj_size={p}");
        }
        if o.num_layers != 1 {
            out += &format!(", num_layers={}", o.num_layers);
        }
        for (given, text) in [(!o.bias, "bias=False"), (o.batch_first, "batch_first=True")] {
            if given {
                out += &format!(", {text}");
            }
        }
        if o.dropout != 0.0 {
            out += &format!(", dropout={}", float(o.dropout));
        }
        if o.bidirectional {
            out += ", bidirectional=True";
        }
        out
    }
}

/// `weight_hh · h + bias_hh`.
#[track_caller]
fn recur(h: &Tensor, cell: &Cell) -> Tensor {
    h.linear(&cell.weight_hh, cell.biases.as_ref().map(|[_, hh]| hh))
}

/// The activation of an [`Rnn`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Nonlinearity {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

macro_rules! recurrent {
    ($(#[$doc:meta])* $name:ident $python:literal, $gates:literal $(, $field:ident: $t:ty)?) => {
        $(#[$doc])*
        ///
        /// Inputs are `[l, n, input_size]`, `[l, input_size]`, or `[n, l, input_size]` with `batch_first`; states are
        /// `[layers · directions, n, hidden_size]`, or without `n`. Parameters start uniform in ±1/√hidden_size.
        ///
        /// *Errors*: `recurrent_c1` another input, or no steps; `recurrent_c2` another state.
        #[derive(Clone, Debug, Module)]
        #[module(extra_repr, class_name)]
        pub struct $name {
            #[module(flatten)]
            stack: Stack,
            $(
                #[module(config)]
                $field: $t,
            )?
        }

        impl $name {
            /// A new layer.
            #[track_caller]
            pub fn new(options: RecurrentOptions, keys: &mut Keys) -> Self {
                $name { stack: Stack::new(options, $gates, None, keys), $($field: Default::default())? }
            }

            fn class_name(&self) -> &'static str {
                $python
            }

            fn extra_repr(&self) -> String {
                self.stack.extra_repr()
            }
        }
    };
}

recurrent! {
    /// `h' = tanh(W x + b + U h + c)`.
    Rnn "RNN", 1, nonlinearity: Nonlinearity
}
recurrent! {
    /// A layer with update and reset gates.
    Gru "GRU", 3
}
recurrent! {
    /// A layer with input, forget and output gates and a cell state.
    Lstm "LSTM", 4
}

impl Rnn {
    /// The same layer with another activation.
    pub fn with_nonlinearity(self, nonlinearity: Nonlinearity) -> Self {
        Rnn { nonlinearity, ..self }
    }

    /// The outputs and the last state; the first state is zero unless given.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>, pass: &mut Pass) -> (Tensor, Tensor) {
        let step = |input: &Tensor, states: &[Tensor], cell: &Cell| {
            let sum = input + recur(&states[0], cell);
            vec![match self.nonlinearity {
                Nonlinearity::Tanh => sum.tanh(),
                Nonlinearity::Relu => sum.relu(),
            }]
        };
        let (y, mut last) = self.stack.run("rnn", x, &[h], pass, &step);
        (y, last.remove(0))
    }
}

impl Gru {
    /// The outputs and the last state; the first state is zero unless given.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>, pass: &mut Pass) -> (Tensor, Tensor) {
        let step = |input: &Tensor, states: &[Tensor], cell: &Cell| {
            let (x, h) = (input.chunk(3, -1), recur(&states[0], cell).chunk(3, -1));
            let (reset, update) = ((&x[0] + &h[0]).sigmoid(), (&x[1] + &h[1]).sigmoid());
            let new = (&x[2] + reset * &h[2]).tanh();
            vec![&new + update * (&states[0] - &new)]
        };
        let (y, mut last) = self.stack.run("gru", x, &[h], pass, &step);
        (y, last.remove(0))
    }
}

impl Lstm {
    /// A new layer whose outputs are projected to `proj_size` numbers: the states are then `h`
    /// `[layers · directions, n, proj_size]` and `c` `[layers · directions, n, hidden_size]`.
    #[track_caller]
    pub fn with_projection(options: RecurrentOptions, proj_size: usize, keys: &mut Keys) -> Self {
        Lstm { stack: Stack::new(options, 4, Some(proj_size), keys) }
    }

    /// The outputs and the last states `(h, c)`; the first states are zero unless given.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, hc: Option<(&Tensor, &Tensor)>, pass: &mut Pass) -> (Tensor, (Tensor, Tensor)) {
        let step = |input: &Tensor, states: &[Tensor], cell: &Cell| {
            let gates = (input + recur(&states[0], cell)).chunk(4, -1);
            let (i, f, o) = (gates[0].sigmoid(), gates[1].sigmoid(), gates[3].sigmoid());
            let c = f * &states[1] + i * gates[2].tanh();
            let h = o * c.tanh();
            vec![cell.weight_hr.as_ref().map_or(h.clone(), |w| h.linear(w, None)), c]
        };
        let (y, mut last) = self.stack.run("lstm", x, &[hc.map(|s| s.0), hc.map(|s| s.1)], pass, &step);
        let c = last.remove(1);
        (y, (last.remove(0), c))
    }
}
