//! The interpreter of loop programs: slow, and written to be read. Machine code is judged by it.

use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Gather, Monoid, Op, Permute, Primitive, Slice};

use crate::ir::{
    Access, Body, BodyOp, Loop, LoopProgram, Matrix, Memory, Nest, Role, Routine, RoutineKind, Stage, Step, exchanged,
    positions,
};

/// The results of `program` at `args`, as flat arrays.
///
/// *Errors*: data that a routine cannot compute with.
pub fn interpret(program: &LoopProgram, args: &[Array]) -> Result<Vec<Array>, EvalError> {
    let mut params = program.params.iter().zip(args);
    let mut memory: Vec<Vec<Scalar>> = program
        .buffers
        .iter()
        .map(|b| match &b.role {
            Role::Constant(a) => elements(a),
            Role::Param | Role::Result | Role::Temp => vec![Scalar::Int(0).cast(b.dtype); b.len],
        })
        .collect();
    for (id, a) in &mut params {
        memory[id.0 as usize] = elements(a);
    }
    for step in &program.steps {
        match step {
            Step::Nest(nest) => run_nest(nest, &mut memory)?,
            Step::Routine(r) => run_routine(r, program, &mut memory)?,
        }
    }
    let result = |id: &crate::ir::BufferId| {
        let b = &program.buffers[id.0 as usize];
        Array::from_scalars(&Aval::new(b.dtype, [b.len]), &memory[id.0 as usize])
    };
    Ok(program.results.iter().map(result).collect())
}

fn elements(a: &Array) -> Vec<Scalar> {
    (0..a.numel()).map(|i| a.get(i)).collect()
}

/// All index vectors below `extents`, last one fastest.
fn indices(extents: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<'_> {
    let total: usize = extents.iter().product();
    (0..total).map(move |mut flat| {
        let mut index = vec![0; extents.len()];
        for d in (0..extents.len()).rev() {
            index[d] = flat % extents[d];
            flat /= extents[d];
        }
        index
    })
}

/// Where a point is.
struct Point<'a> {
    outer: &'a [usize],
    serial: &'a [usize],
    lane: usize,
}

struct Row {
    scratch: Vec<Vec<Scalar>>,
    scalars: Vec<Scalar>,
}

fn run_nest(nest: &Nest, memory: &mut [Vec<Scalar>]) -> Result<(), EvalError> {
    for outer in indices(&nest.outer) {
        let mut row = Row {
            scratch: nest.scratch.iter().map(|(d, n)| vec![Scalar::Int(0).cast(*d); *n]).collect(),
            scalars: nest.scalars.iter().map(|d| Scalar::Int(0).cast(*d)).collect(),
        };
        for stage in &nest.stages {
            run_stage(nest, stage, &outer, &mut row, memory)?;
        }
    }
    Ok(())
}

fn run_stage(
    nest: &Nest,
    stage: &Stage,
    outer: &[usize],
    row: &mut Row,
    memory: &mut [Vec<Scalar>],
) -> Result<(), EvalError> {
    let mut columns: Vec<Vec<Scalar>> = stage.columns.iter().map(|(m, d)| vec![neutral(*m, *d); stage.lanes]).collect();
    // Every reduction over lanes starts from its neutral element.
    for (op, dtype) in &stage.body.ops {
        if let BodyOp::ReduceLanes(i, m, _) = op {
            row.scalars[*i as usize] = neutral(*m, *dtype);
        }
    }
    for serial in indices(&stage.serial) {
        for lane in 0..stage.lanes {
            let point = Point { outer, serial: &serial, lane };
            run_body(&stage.body, nest, stage, &point, row, &mut columns, memory)?;
        }
    }
    let zeros = vec![0; stage.serial.len()];
    for lane in 0..stage.lanes {
        let point = Point { outer, serial: &zeros, lane };
        run_body(&stage.after, nest, stage, &point, row, &mut columns, memory)?;
    }
    Ok(())
}

fn place(a: &Access, p: &Point) -> usize {
    let dot = |s: &[i64], i: &[usize]| -> i64 { s.iter().zip(i).map(|(s, i)| s * *i as i64).sum() };
    (a.offset + dot(&a.outer, p.outer) + dot(&a.serial, p.serial) + a.lane * p.lane as i64) as usize
}

fn element(a: &Access, at: usize, row: &Row, memory: &[Vec<Scalar>]) -> Scalar {
    match a.memory {
        Memory::Buffer(b) => memory[b.0 as usize][at],
        Memory::Scratch(s) => row.scratch[s as usize][at],
    }
}

/// How far the element that an index of lookup `of` names is from that of 0.
fn looked_up(nest: &Nest, stage: &Stage, of: u32, index: i64, p: &Point) -> Result<isize, EvalError> {
    let lookup = &nest.lookups[of as usize];
    if index < 0 || index as u64 >= lookup.size as u64 {
        // The point, counted over outer loops and lanes.
        let row = p.outer.iter().zip(&nest.outer).fold(0, |at, (i, n)| at * n + i);
        let at = row * stage.lanes + p.lane;
        return Err(EvalError::Index { dim: lookup.dim, index, size: lookup.size, at });
    }
    Ok((index * lookup.step) as isize)
}

fn run_body(
    body: &Body,
    nest: &Nest,
    stage: &Stage,
    p: &Point,
    row: &mut Row,
    columns: &mut [Vec<Scalar>],
    memory: &mut [Vec<Scalar>],
) -> Result<(), EvalError> {
    let mut values: Vec<Scalar> = Vec::with_capacity(body.ops.len());
    for (op, dtype) in &body.ops {
        let v = |b: &crate::ir::BodyValue| values[b.0 as usize];
        let value = match op {
            BodyOp::Load(i) => {
                let a = &stage.accesses[*i as usize];
                let ahead = match &a.aim {
                    Some(aim) => {
                        let index = &stage.accesses[aim.index as usize];
                        let index = element(index, place(index, p), row, memory).to_i64();
                        looked_up(nest, stage, aim.of, index, p)?
                    }
                    None => 0,
                };
                element(a, place(a, p).wrapping_add_signed(ahead), row, memory)
            }
            BodyOp::Lookup { of, access, offset, index } => {
                let a = &stage.accesses[*access as usize];
                let ahead = looked_up(nest, stage, *of, v(index).to_i64(), p)?;
                element(a, place(a, p).wrapping_add_signed(v(offset).to_i64() as isize + ahead), row, memory)
            }
            BodyOp::Const(s) => s.cast(*dtype),
            BodyOp::Index { of, scale, offset } => {
                let index = match of {
                    Loop::Outer(i) => p.outer[*i as usize],
                    Loop::Serial(i) => p.serial[*i as usize],
                    Loop::Lane => p.lane,
                };
                Scalar::Int(scale * index as i64 + offset).cast(*dtype)
            }
            BodyOp::RowScalar(i) => row.scalars[*i as usize],
            BodyOp::Column(i) => columns[*i as usize][p.lane],
            BodyOp::Unary(f, a) => apply(&(*f).into(), &[(v(a), dtype_of(body, a))])?,
            BodyOp::Binary(f, a, b) => apply(&(*f).into(), &[(v(a), dtype_of(body, a)), (v(b), dtype_of(body, b))])?,
            BodyOp::Select(c, a, b) => {
                if v(c).to_bool() {
                    v(a)
                } else {
                    v(b)
                }
            }
            BodyOp::Convert(a) => v(a).cast(*dtype),
            BodyOp::Store(i, a) => {
                let access = &stage.accesses[*i as usize];
                let value = v(a);
                match access.memory {
                    Memory::Buffer(b) => memory[b.0 as usize][place(access, p)] = value,
                    Memory::Scratch(s) => row.scratch[s as usize][place(access, p)] = value,
                }
                value
            }
            BodyOp::ReduceLanes(i, m, a) => {
                let slot = &mut row.scalars[*i as usize];
                *slot = combine(*m, *slot, v(a), *dtype);
                *slot
            }
            BodyOp::ReduceSerial(i, a) => {
                let slot = &mut columns[*i as usize][p.lane];
                *slot = combine(stage.columns[*i as usize].0, *slot, v(a), *dtype);
                *slot
            }
        };
        values.push(value);
    }
    Ok(())
}

fn dtype_of(body: &Body, v: &crate::ir::BodyValue) -> DType {
    body.ops[v.0 as usize].1
}

/// Applies an elementwise op of the graph to numbers, through its reference on arrays of one element.
///
/// *Errors*: an integer division by zero, at element 0 of the one that is computed.
fn apply(op: &Op, args: &[(Scalar, DType)]) -> Result<Scalar, EvalError> {
    let arrays: Vec<Array> = args.iter().map(|(s, d)| Array::full(&Aval::new(*d, ()), *s)).collect();
    let refs: Vec<&Array> = arrays.iter().collect();
    Ok(op.prim().eval(&refs)?[0].get(0))
}

/// The neutral element of a monoid.
pub fn neutral(m: Monoid, dtype: DType) -> Scalar {
    let (low, high) = match dtype {
        DType::F32 | DType::F64 | DType::BF16 | DType::F16 => {
            (Scalar::Float(f64::NEG_INFINITY), Scalar::Float(f64::INFINITY))
        }
        DType::I64 => (Scalar::Int(i64::MIN), Scalar::Int(i64::MAX)),
        DType::I32 => (Scalar::Int(i32::MIN.into()), Scalar::Int(i32::MAX.into())),
        DType::I16 => (Scalar::Int(i16::MIN.into()), Scalar::Int(i16::MAX.into())),
        DType::I8 => (Scalar::Int(i8::MIN.into()), Scalar::Int(i8::MAX.into())),
        DType::U8 => (Scalar::Int(0), Scalar::Int(255)),
        DType::Bool => (Scalar::Bool(false), Scalar::Bool(true)),
    };
    match m {
        Monoid::Sum => Scalar::Int(0).cast(dtype),
        Monoid::Prod => Scalar::Int(1).cast(dtype),
        Monoid::Max | Monoid::LogAddExp => low,
        Monoid::Min => high,
    }
}

/// Two elements combined.
pub fn combine(m: Monoid, a: Scalar, b: Scalar, dtype: DType) -> Scalar {
    use cotangent_core::ops::Binary;
    let op = match m {
        Monoid::Sum => Binary::Add,
        Monoid::Prod => Binary::Mul,
        Monoid::Max => Binary::Maximum,
        Monoid::Min => Binary::Minimum,
        Monoid::LogAddExp => {
            let (x, y) = (a.to_f64(), b.to_f64());
            let max = x.max(y);
            let sum = if max.is_infinite() { max } else { max + ((x - max).exp() + (y - max).exp()).ln() };
            return Scalar::Float(sum).cast(dtype);
        }
    };
    apply(&op.into(), &[(a, dtype), (b, dtype)]).expect("sums, products and extremes are defined everywhere")
}

fn run_routine(r: &Routine, program: &LoopProgram, memory: &mut [Vec<Scalar>]) -> Result<(), EvalError> {
    match &r.kind {
        RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => {
            let dtype = program.buffers[r.outputs[0].0 as usize].dtype;
            let at = |x: &Matrix, b: usize, i: usize, j: usize| {
                (x.offset + b as i64 * x.batch + i as i64 * x.row + j as i64 * x.col) as usize
            };
            let (a, b) = (&memory[r.inputs[0].0 as usize], &memory[r.inputs[1].0 as usize]);
            let mut out = Vec::with_capacity(batch * m * n);
            for z in 0..*batch {
                for i in 0..*m {
                    for j in 0..*n {
                        let product = |p: usize| (a[at(lhs, z, i, p)], b[at(rhs, z, p, j)]);
                        out.push(if dtype.is_float() {
                            let sum: f64 = (0..*k).map(&product).map(|(x, y)| x.to_f64() * y.to_f64()).sum();
                            Scalar::Float(sum).cast(dtype)
                        } else {
                            let add =
                                |s: i64, (x, y): (Scalar, Scalar)| s.wrapping_add(x.to_i64().wrapping_mul(y.to_i64()));
                            Scalar::Int((0..*k).map(product).fold(0, add)).cast(dtype)
                        });
                    }
                }
            }
            memory[r.outputs[0].0 as usize] = out;
        }
        RoutineKind::Places { sort, x, places } => {
            let sorted = sort.eval(&[&Array::from_scalars(x, &memory[r.inputs[0].0 as usize])])?;
            let slice = Slice { dim: sort.dim, start: places.start, end: places.end, step: 1 };
            for (id, whole) in r.outputs.iter().zip(&sorted) {
                memory[id.0 as usize] = elements(&slice.eval(&[whole])?[0]);
            }
        }
        RoutineKind::Ranked { sort, x, index } => {
            let [x, index] =
                [(x, 0), (index, 1)].map(|(aval, i)| Array::from_scalars(aval, &memory[r.inputs[i].0 as usize]));
            let sorted = sort.eval(&[&x])?;
            let gather = Gather { dim: sort.dim };
            for (id, whole) in r.outputs.iter().zip(&sorted) {
                memory[id.0 as usize] = elements(&gather.eval(&[whole, &index])?[0]);
            }
        }
        RoutineKind::Extremes { dim, which, x } => {
            let aval = x.with_shape(x.shape.with(*dim, 1usize)).with_dtype(DType::I64);
            let x = Array::from_scalars(x, &memory[r.inputs[0].0 as usize]);
            let places = elements(&positions(*which, *dim).prim().eval(&[&x])?[0]);
            let values = Gather { dim: *dim }.eval(&[&x, &Array::from_scalars(&aval, &places)])?;
            memory[r.outputs[0].0 as usize] = elements(&values[0]);
            memory[r.outputs[1].0 as usize] = places;
        }
        RoutineKind::Values { of, x, results: _ } => {
            let all = of.op().prim().eval(&[&Array::from_scalars(x, &memory[r.inputs[0].0 as usize])])?;
            memory[r.outputs[0].0 as usize] = elements(&all[of.result()]);
        }
        RoutineKind::Rows { op, args, results: _, dim } => {
            let read = |(i, aval): (usize, &Aval)| {
                let own = &memory[r.inputs[i].0 as usize];
                if i == 1 { spread(aval, *dim, own) } else { Array::from_scalars(aval, own) }
            };
            let inputs: Vec<Array> = args.iter().enumerate().map(read).collect();
            let outs = op.prim().eval(&inputs.iter().collect::<Vec<_>>())?;
            for (id, out) in r.outputs.iter().zip(&outs) {
                memory[id.0 as usize] = elements(out);
            }
        }
        RoutineKind::Lines { gather, x, index, first } => {
            let own = repeated(index, *first..gather.dim, &memory[r.inputs[1].0 as usize]);
            let x = Array::from_scalars(x, &memory[r.inputs[0].0 as usize]);
            memory[r.outputs[0].0 as usize] = elements(&gather.eval(&[&x, &own])?[0]);
        }
        RoutineKind::Exchanged { op, args, y } => {
            let [x, w] = &**args;
            let exchange = |x: &Array| {
                let dims = [1, 0].into_iter().chain(2..x.aval().shape.rank()).collect();
                Permute { dims }.eval(&[x]).map(|mut all| all.remove(0))
            };
            // Groups of the input stay in order, between what is exchanged.
            let sizes = x.shape.sizes();
            let (images, channels) = (sizes[0], sizes[1] / op.groups);
            let stored = x.with_shape([&[channels, op.groups, images], &sizes[2..]].concat());
            let stored = Array::from_scalars(&stored, &memory[r.inputs[0].0 as usize]);
            let dims = [2, 1, 0].into_iter().chain(3..sizes.len() + 1).collect();
            let input = Permute { dims }.eval(&[&stored])?.remove(0).reshaped(&x.shape);
            let weights = w.with_shape(exchanged(&w.shape));
            let weights = exchange(&Array::from_scalars(&weights, &memory[r.inputs[1].0 as usize]))?;
            let mut result = op.eval(&[&input, &weights])?.remove(0);
            for dim in 2..y.shape.rank() {
                let slice = Slice { dim, start: 0, end: y.shape[dim].get(), step: 1 };
                result = slice.eval(&[&result])?.remove(0);
            }
            memory[r.outputs[0].0 as usize] = elements(&exchange(&result)?);
        }
        RoutineKind::Op { op, args, results } => {
            let inputs: Vec<Array> =
                r.inputs.iter().zip(args).map(|(b, aval)| Array::from_scalars(aval, &memory[b.0 as usize])).collect();
            let outs = op.prim().eval(&inputs.iter().collect::<Vec<_>>())?;
            debug_assert_eq!(outs.iter().map(Array::aval).collect::<Vec<_>>(), *results);
            for (id, out) in r.outputs.iter().zip(&outs) {
                memory[id.0 as usize] = elements(out);
            }
        }
    }
    Ok(())
}

/// An index for each element of one that is the same along the dims `same`.
fn repeated(aval: &Aval, same: std::ops::Range<usize>, lines: &[Scalar]) -> Array {
    let numel = |dims: std::ops::Range<usize>| dims.map(|d| aval.shape[d].get()).product::<usize>();
    let (times, line) = (numel(same.clone()), numel(same.end..aval.shape.rank()));
    let all: Vec<Scalar> = lines.chunks(line.max(1)).flat_map(|l| l.repeat(times)).collect();
    Array::from_scalars(aval, &all)
}

/// An index for each element of one for each row of the dims behind `dim`.
fn spread(aval: &Aval, dim: usize, rows: &[Scalar]) -> Array {
    let inner: usize = (dim + 1..aval.shape.rank()).map(|d| aval.shape[d].get()).product();
    let all: Vec<Scalar> = rows.iter().flat_map(|k| std::iter::repeat_n(*k, inner)).collect();
    Array::from_scalars(aval, &all)
}
