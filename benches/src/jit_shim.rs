//! A stand-in for `cotangent::jit` until it lands.

use std::marker::PhantomData;
use std::sync::OnceLock;

use cotangent::array::Array;
use cotangent::core::transform::inline::inline_all;
use cotangent::function::{Arguments, Function};
use cotangent::ir::TreeSpec;
use cotangent::prelude::*;
use cotangent::simplify::simplify;
use cotangent_jit::Compiled;

/// See [`jit`].
pub struct Jit<F, Args> {
    f: F,
    compiled: OnceLock<(Option<Compiled>, Graph, TreeSpec)>,
    args: PhantomData<fn(Args)>,
}

struct Ref<'a, F>(&'a F);

impl<Args: Arguments, F: Function<Args>> Function<Args> for Ref<'_, F> {
    type Output = F::Output;
    fn call(&self, args: Args) -> Result<F::Output, Error> {
        self.0.call(args)
    }
    fn name(&self) -> String {
        self.0.name()
    }
}

/// `f`, compiled at the first call.
pub fn jit<Args: Arguments, F: Function<Args>>(f: F) -> Jit<F, Args> {
    Jit { f, compiled: OnceLock::new(), args: PhantomData }
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Jit<F, Args> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let (leaves, spec) = args.to_leaves();
        if self.compiled.get().is_none() {
            let args = Args::from_leaves(&spec, &mut leaves.iter().cloned()).expect("same");
            let time = std::time::Instant::now();
            let note = |what: &str| {
                if std::env::var_os("SHIM_VERBOSE").is_some() {
                    eprintln!("{what}: {:.2} ms", time.elapsed().as_secs_f64() * 1e3);
                }
            };
            let captured = make_fx_with(CaptureOptions::raw(), Ref(&self.f), args)?;
            note("traced");
            let result = captured.signature().result.clone();
            let graph = simplify(&inline_all(&captured)?);
            note("simplified");
            if std::env::var_os("SHIM_VERBOSE").is_some_and(|v| v == "2") {
                eprintln!("{}", graph.code());
            }
            let program = match std::env::var_os("SHIM_EVAL") {
                Some(_) => None,
                None => {
                    let p = cotangent_loops::lower(&graph).unwrap_or_else(|e| panic!("{e}"));
                    note("lowered");
                    let c = cotangent_jit::compile(&p).unwrap_or_else(|e| panic!("{e}"));
                    note("compiled");
                    Some(c)
                }
            };
            let _ = self.compiled.set((program, graph, result));
        }
        let (program, graph, result) = self.compiled.get().expect("set");
        let out: Vec<Tensor> = match program {
            None => <Graph as Function<(Vec<Tensor>,)>>::call(graph, (leaves,))?,
            Some(p) => {
                let bytes: Vec<Vec<u8>> =
                    leaves.iter().map(|x| x.as_array().expect("concrete").to_le_bytes()).collect();
                let views: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
                let time = std::time::Instant::now();
                let blocks = p.call(&views).unwrap_or_else(|e| panic!("{e}"));
                if std::env::var_os("SHIM_VERBOSE").is_some() {
                    eprintln!("call: {:.3} ms", time.elapsed().as_secs_f64() * 1e3);
                }
                let avals = graph.result_avals();
                blocks
                    .iter()
                    .zip(&avals)
                    .map(|(b, a)| Tensor::from_array(Array::from_le_bytes(a, b.bytes()).expect("length")))
                    .collect()
            }
        };
        Ok(F::Output::from_leaves(result, &mut out.into_iter()).expect("same"))
    }

    fn name(&self) -> String {
        format!("jit({})", self.f.name())
    }
}
