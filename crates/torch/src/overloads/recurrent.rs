//! Recurrent networks: cells, and layers of them over sequences.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::random::dropped;
use super::{Answer, many, one, parts};
use crate::args::{Call, Read};

/// What a step of a network does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Tanh,
    Relu,
    Gru,
    Lstm,
}

/// The parameters of a cell.
struct Weights {
    input: Tensor,
    hidden: Tensor,
    input_bias: Option<Tensor>,
    hidden_bias: Option<Tensor>,
}

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let cell = match name.strip_suffix("_cell").unwrap_or(name) {
        "rnn_tanh" => Cell::Tanh,
        "rnn_relu" => Cell::Relu,
        "gru" => Cell::Gru,
        "lstm" => Cell::Lstm,
        _ => return Ok(None),
    };
    match overload {
        "default" if name.ends_with("_cell") => {
            let weights = Weights {
                input: c.tensor("w_ih")?,
                hidden: c.tensor("w_hh")?,
                input_bias: c.opt_tensor("b_ih")?,
                hidden_bias: c.opt_tensor("b_hh")?,
            };
            let state = states(c, cell)?;
            let out = step(c, cell, &weights, &input_part(&weights, &c.tensor("input")?), &state)?;
            if cell == Cell::Lstm { many(out) } else { one(out[0].clone()) }
        }
        "input" => network(c, cell),
        "data" => Err(c.refused("packed sequences are not available; pad them and use a mask")),
        _ => Ok(None),
    }
}

/// The hidden state, and the cell state of an LSTM.
fn states(c: &Call, cell: Cell) -> Read<Vec<Tensor>> {
    match cell {
        Cell::Lstm => {
            let state = c.tensors("hx")?;
            if state.len() == 2 { Ok(state) } else { Err(c.wrong("hx", "two tensors")) }
        }
        Cell::Tanh | Cell::Relu | Cell::Gru => Ok(vec![c.tensor("hx")?]),
    }
}

/// What the input contributes to a step; of a whole sequence at once.
fn input_part(w: &Weights, x: &Tensor) -> Tensor {
    x.linear(&w.input, w.input_bias.as_ref())
}

/// The `N` gates that lie side by side in the last dim.
fn gates<const N: usize>(c: &Call, all: &Tensor) -> Read<[Tensor; N]> {
    if all.error().is_some() {
        // A tensor that stands for an error says what is wrong.
        return Ok(std::array::from_fn(|_| all.clone()));
    }
    let (size, wrong) = (all.size(-1), || {
        c.wrong("hx", &format!("a state for weights that hold {N} gates, not rows of {}", all.size(-1)))
    });
    if !size.is_multiple_of(N) {
        return Err(wrong());
    }
    all.chunk(N, -1).try_into().map_err(|_| wrong())
}

/// The states after a step, for the input's part `x`.
fn step(c: &Call, cell: Cell, w: &Weights, x: &Tensor, state: &[Tensor]) -> Read<Vec<Tensor>> {
    let h = &state[0];
    let from_state = h.linear(&w.hidden, w.hidden_bias.as_ref());
    Ok(match cell {
        Cell::Tanh => vec![(x + from_state).tanh()],
        Cell::Relu => vec![(x + from_state).relu()],
        Cell::Gru => {
            let ([reset_x, update_x, new_x], [reset_h, update_h, new_h]) = (gates(c, x)?, gates(c, &from_state)?);
            let reset = (reset_x + reset_h).sigmoid();
            let update = (update_x + update_h).sigmoid();
            let new = (new_x + reset * new_h).tanh();
            vec![(h - &new) * update + new]
        }
        Cell::Lstm => {
            let [input, forget, new, output] = gates(c, &(x + from_state))?;
            let cell = forget.sigmoid() * &state[1] + input.sigmoid() * new.tanh();
            vec![output.sigmoid() * cell.tanh(), cell]
        }
    })
}

/// Layers, each in one direction or both, over a sequence: outputs of the last layer, then the last states of all.
fn network(c: &Call, cell: Cell) -> Answer {
    let (layers, dropout) = (c.size("num_layers")?, c.float_or("dropout", 0.0)?);
    let (trains, both) = (c.bool_or("train", false)?, c.bool_or("bidirectional", false)?);
    let (biases, batch_first) = (c.bool_or("has_biases", true)?, c.bool_or("batch_first", false)?);
    let (given, state, directions) = (c.tensor("input")?, states(c, cell)?, 1 + usize::from(both));
    let params = c.tensors("params")?;
    let has_projection = cell == Cell::Lstm && state[0].size(-1) != state[1].size(-1);
    let each = 2 + if biases { 2 } else { 0 } + usize::from(has_projection);
    if params.len() != layers * directions * each {
        return Err(c.wrong("params", &format!("{each} for each of {layers} layers and {directions} directions")));
    }
    // Time first, with a batch dim.
    let unbatched = given.rank() == 2;
    let x = if unbatched { given.unsqueeze(1) } else { given.clone() };
    let mut x = if batch_first && !unbatched { x.transpose(0, 1) } else { x };
    let state: Vec<Tensor> = state.iter().map(|s| if unbatched { s.unsqueeze(1) } else { s.clone() }).collect();
    let mut last: Vec<Vec<Tensor>> = vec![Vec::new(); state.len()];
    for layer in 0..layers {
        let mut outputs = Vec::new();
        for direction in 0..directions {
            let at = layer * directions + direction;
            let p = &params[at * each..(at + 1) * each];
            let bias = |i: usize| biases.then(|| p[i].clone());
            let w = Weights { input: p[0].clone(), hidden: p[1].clone(), input_bias: bias(2), hidden_bias: bias(3) };
            let projection = has_projection.then(|| &p[each - 1]);
            let start: Vec<Tensor> = state.iter().map(|s| s.select(0, at as i64)).collect();
            let (y, end) = layer_over(c, cell, &w, projection, &x, start, direction == 1)?;
            outputs.push(y);
            end.into_iter().zip(&mut last).for_each(|(e, l)| l.push(e));
        }
        x = cat(&outputs, -1);
        if dropout > 0.0 && trains && layer + 1 < layers {
            x = dropped(&x, dropout);
        }
    }
    let y = if batch_first && !unbatched { x.transpose(0, 1) } else { x };
    let y = if unbatched { y.select(1, 0) } else { y };
    let ends = last.iter().map(|l| {
        let all = stack(l, 0);
        if unbatched { all.select(1, 0) } else { all }
    });
    many(std::iter::once(y).chain(ends))
}

/// One direction of one layer: the outputs in order of time, and the last states.
fn layer_over(
    c: &Call,
    cell: Cell,
    w: &Weights,
    projection: Option<&Tensor>,
    x: &Tensor,
    mut state: Vec<Tensor>,
    backwards: bool,
) -> Read<(Tensor, Vec<Tensor>)> {
    let parts = input_part(w, x).unbind(0);
    let mut outputs = Vec::with_capacity(parts.len());
    let mut advance = |part: &Tensor| -> Read<()> {
        state = step(c, cell, w, part, &state)?;
        if let Some(p) = projection {
            state[0] = state[0].linear(p, None);
        }
        outputs.push(state[0].clone());
        Ok(())
    };
    if backwards {
        parts.iter().rev().try_for_each(&mut advance)?;
        outputs.reverse();
    } else {
        parts.iter().try_for_each(&mut advance)?;
    }
    Ok((stack(&outputs, 0), state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Arg;

    #[test]
    fn weights_without_whole_gates_are_errors() {
        for target in ["aten.lstm_cell.default", "aten.gru_cell.default"] {
            for rows in [1, 2, 7] {
                let tensor = |shape: [usize; 2]| Tensor::from_slice(&[0.0; 64][..shape[0] * shape[1]]).reshape(shape);
                let state = tensor([1, 2]);
                let hx =
                    if target.contains("lstm") { Arg::Tensors(vec![state.clone(); 2]) } else { Arg::Tensor(state) };
                let (w_ih, w_hh) = (tensor([rows, 3]), tensor([rows, 2]));
                let args = [
                    ("input", Arg::Tensor(tensor([1, 3]))),
                    ("hx", hx),
                    ("w_ih", Arg::Tensor(w_ih)),
                    ("w_hh", Arg::Tensor(w_hh)),
                ];
                let call = Call { target, node: "cell", args: args.to_vec() };
                let answer = super::call(&call).expect_err("there are no whole gates");
                assert!(answer.to_string().contains("gates, not rows of"), "{answer}");
            }
        }
    }
}
