//! Printing.

use std::fmt::{self, Write};

use cotangent_core::ir::{Aval, Builder, DType, Graph, Loc};
use cotangent_core::ops::{Gather, Monoid, Op, Primitive};

use super::{MONOIDS, word};
use crate::ir::{
    Access, Body, BodyOp, BodyValue, BufferId, Loop, LoopProgram, Matrix, Memory, Nest, Role, Routine, RoutineKind,
    Stage, Step, positions,
};

/// The text of `program`.
pub fn print(program: &LoopProgram) -> String {
    let mut out = String::new();
    write_program(&mut out, program).expect("writing to a string succeeds");
    out
}

impl fmt::Display for LoopProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self))
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn buffer(b: &BufferId) -> String {
    format!("b{}", b.0)
}

fn value(v: &BodyValue) -> String {
    format!("%{}", v.0)
}

fn monoid(m: Monoid) -> &'static str {
    MONOIDS.iter().find(|(x, _)| *x == m).map_or("sum", |(_, name)| name)
}

fn write_program(out: &mut String, p: &LoopProgram) -> fmt::Result {
    writeln!(out, "loops {{")?;
    for (i, b) in p.buffers.iter().enumerate() {
        write!(out, "  b{i}: {}[{}] ", b.dtype, b.len)?;
        match &b.role {
            Role::Param => writeln!(out, "param")?,
            Role::Result => writeln!(out, "result")?,
            Role::Temp => writeln!(out, "temp")?,
            Role::Constant(a) => {
                let elements: Vec<String> = (0..a.numel()).map(|k| a.get(k).to_string()).collect();
                writeln!(out, "constant {} {{{}}}", a.shape(), elements.join(", "))?;
            }
        }
    }
    writeln!(out, "  params ({})", list(&p.params, buffer))?;
    writeln!(out, "  results ({})", list(&p.results, buffer))?;
    for step in &p.steps {
        match step {
            Step::Nest(n) => write_nest(out, n)?,
            Step::Routine(r) => write_routine(out, r)?,
        }
    }
    writeln!(out, "}}")
}

fn write_loc(out: &mut String, loc: &Loc) -> fmt::Result {
    write!(out, "at {:?}:{}", loc.file, loc.line)?;
    for (i, d) in loc.chain.iter().enumerate() {
        write!(out, "{} {}", if i == 0 { " via" } else { "," }, d.name())?;
    }
    Ok(())
}

fn write_nest(out: &mut String, n: &Nest) -> fmt::Result {
    write!(out, "  nest [{}]", list(&n.outer, ToString::to_string))?;
    if !n.scratch.is_empty() {
        write!(out, " scratch ({})", list(&n.scratch, |(d, len)| format!("{d}[{len}]")))?;
    }
    if !n.scalars.is_empty() {
        write!(out, " scalars ({})", list(&n.scalars, ToString::to_string))?;
    }
    writeln!(out, " {{")?;
    for loc in &n.locs {
        out.push_str("    ");
        write_loc(out, loc)?;
        out.push('\n');
    }
    for l in &n.lookups {
        write!(out, "    lookup {} dim {} of {} step {} ", l.name, l.dim, l.size, l.step)?;
        write_loc(out, &l.loc)?;
        out.push('\n');
    }
    for s in &n.stages {
        write_stage(out, s)?;
    }
    writeln!(out, "  }}")
}

fn write_stage(out: &mut String, s: &Stage) -> fmt::Result {
    write!(out, "    stage [{}] x {}", list(&s.serial, ToString::to_string), s.lanes)?;
    if !s.columns.is_empty() {
        write!(out, " columns ({})", list(&s.columns, |(m, d)| format!("{} {d}", monoid(*m))))?;
    }
    writeln!(out, " {{")?;
    for (i, a) in s.accesses.iter().enumerate() {
        writeln!(out, "      a{i} = {}", access(a))?;
    }
    write_body(out, &s.body)?;
    if !s.after.ops.is_empty() {
        writeln!(out, "    }} after {{")?;
        write_body(out, &s.after)?;
    }
    writeln!(out, "    }}")
}

fn access(a: &Access) -> String {
    let mut text = match a.memory {
        Memory::Buffer(b) => format!("b{}", b.0),
        Memory::Scratch(s) => format!("s{s}"),
    };
    let _ = write!(text, "[{}", a.offset);
    let terms = |letter: &'static str, strides: &[i64]| -> Vec<String> {
        strides.iter().enumerate().filter(|(_, s)| **s != 0).map(|(i, s)| format!("{s} {letter}{i}")).collect()
    };
    for term in terms("o", &a.outer).into_iter().chain(terms("i", &a.serial)) {
        let _ = write!(text, " + {term}");
    }
    if a.lane != 0 {
        let _ = write!(text, " + {} l", a.lane);
    }
    text.push(']');
    if let Some(aim) = &a.aim {
        let _ = write!(text, " through t{} a{}", aim.of, aim.index);
    }
    text
}

fn write_body(out: &mut String, body: &Body) -> fmt::Result {
    for (i, (op, dtype)) in body.ops.iter().enumerate() {
        writeln!(out, "      %{i} = {} : {dtype}", body_op(op))?;
    }
    Ok(())
}

fn body_op(op: &BodyOp) -> String {
    match op {
        BodyOp::Load(i) => format!("load a{i}"),
        BodyOp::Lookup { of, access, offset, index } => {
            format!("lookup t{of} a{access} {}, {}", value(offset), value(index))
        }
        BodyOp::Const(s) => format!("const {s}"),
        BodyOp::Index { of, scale, offset } => {
            let of = match of {
                Loop::Outer(i) => format!("o{i}"),
                Loop::Serial(i) => format!("i{i}"),
                Loop::Lane => "l".to_owned(),
            };
            format!("index {offset} + {scale} {of}")
        }
        BodyOp::RowScalar(i) => format!("row r{i}"),
        BodyOp::Column(i) => format!("column c{i}"),
        BodyOp::Unary(f, a) => format!("{} {}", word(&(*f).into()), value(a)),
        BodyOp::Binary(f, a, b) => format!("{} {}, {}", word(&(*f).into()), value(a), value(b)),
        BodyOp::Select(p, a, b) => format!("select {}, {}, {}", value(p), value(a), value(b)),
        BodyOp::Convert(a) => format!("convert {}", value(a)),
        BodyOp::Store(i, a) => format!("store a{i} {}", value(a)),
        BodyOp::ReduceLanes(i, m, a) => format!("reduce r{i} {} {}", monoid(*m), value(a)),
        BodyOp::ReduceSerial(i, a) => format!("accumulate c{i} {}", value(a)),
    }
}

fn write_routine(out: &mut String, r: &Routine) -> fmt::Result {
    write!(out, "  routine {} ({}) -> ({}) ", r.name, list(&r.inputs, buffer), list(&r.outputs, buffer))?;
    write_loc(out, &r.loc)?;
    match &r.kind {
        RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => {
            let matrix = |x: &Matrix| format!("[{} + {} b + {} i + {} j]", x.offset, x.batch, x.row, x.col);
            writeln!(out, " matmul {batch} x {m} x {k} x {n} {} {}", matrix(lhs), matrix(rhs))
        }
        RoutineKind::Places { sort, x, places } => {
            let results = [x.clone(), x.with_dtype(DType::I64)];
            writeln!(out, " places {} to {} <<<", places.start, places.end)?;
            writeln!(out, "{}", graph_of(&sort.clone().into(), std::slice::from_ref(x), &results))?;
            writeln!(out, ">>>")
        }
        RoutineKind::Ranked { sort, x, index } => {
            let results = [x.clone(), x.with_dtype(DType::I64)];
            let gather = Gather { dim: sort.dim };
            writeln!(out, " ranked <<<")?;
            writeln!(out, "{}", graph_of(&sort.clone().into(), std::slice::from_ref(x), &results))?;
            writeln!(out, ">>> at <<<")?;
            writeln!(
                out,
                "{}",
                graph_of(&gather.into(), &[x.clone(), index.clone()], &[x.with_shape(index.shape.clone())])
            )?;
            writeln!(out, ">>>")
        }
        RoutineKind::Extremes { dim, which, x } => {
            let op = positions(*which, *dim);
            let places = op.prim().infer(&[x]).unwrap_or_default();
            writeln!(out, " extremes <<<")?;
            writeln!(out, "{}", graph_of(&op, std::slice::from_ref(x), &places))?;
            writeln!(out, ">>>")
        }
        RoutineKind::Values { of, x, results } => {
            writeln!(out, " values <<<")?;
            writeln!(out, "{}", graph_of(&of.op(), std::slice::from_ref(x), results))?;
            writeln!(out, ">>>")
        }
        RoutineKind::Rows { op, args, results, dim } => {
            writeln!(out, " rows behind {dim} <<<")?;
            writeln!(out, "{}", graph_of(op, args, results))?;
            writeln!(out, ">>>")
        }
        RoutineKind::Lines { gather, x, index, first } => {
            writeln!(out, " lines from {first} <<<")?;
            let result = index.with_dtype(x.dtype);
            writeln!(out, "{}", graph_of(&gather.clone().into(), &[x.clone(), index.clone()], &[result]))?;
            writeln!(out, ">>>")
        }
        RoutineKind::Exchanged { op, args, y } => {
            let whole = op.infer(&args.each_ref()).map_or_else(|_| vec![y.clone()], |y| y.to_vec());
            writeln!(out, " exchanged [{}] <<<", list(&y.shape.sizes()[2..], |n| n.to_string()))?;
            writeln!(out, "{}", graph_of(&op.clone().into(), &args[..], &whole))?;
            writeln!(out, ">>>")
        }
        RoutineKind::Op { op, args, results } => {
            // The op's attributes are written in the graph's own text form, as the graph of this op alone.
            writeln!(out, " op <<<")?;
            writeln!(out, "{}", graph_of(op, args, results))?;
            writeln!(out, ">>>")
        }
    }
}

fn graph_of(op: &Op, args: &[Aval], results: &[Aval]) -> Graph {
    let mut b = Builder::new();
    let params = args.iter().map(|a| b.param(a.clone())).collect();
    let values = b.node(op.clone(), params, results.iter().cloned(), &Loc::default());
    b.finish("routine", values.to_vec())
}

/// The word of a dtype, for messages.
pub(super) fn dtype_words() -> String {
    list(&DType::ALL, |d| d.name().to_owned())
}
