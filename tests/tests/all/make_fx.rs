//! `make_fx` (field.md F25–F28, §1.3), and graphs as functions.

use cotangent::prelude::*;
use cotangent_core::text::CodeStyle;
use cotangent_tests::expect::message;

fn f32s(shape: &[usize]) -> Tensor {
    Tensor::abstract_(DType::F32, shape)
}

/// The example of the seed: the raw graph reads as functorch printed it in 2021.
#[test]
fn raw_gradient_reads_as_the_seed() {
    let g = make_fx_with(CaptureOptions::raw(), grad(|x: Tensor| x.sin().sum()), (f32s(&[100]),)).unwrap();
    let names: Vec<&str> = g.nodes().iter().map(|n| n.op.name()).collect();
    assert_eq!(names, ["sin", "sum", "full", "expand", "cos", "mul"]);
    let code = g.code_in(CodeStyle::Functorch2021);
    let statements: Vec<&str> = code.lines().filter_map(|l| l.trim().split(" = ").next()).collect();
    assert_eq!(statements[4..9], ["sin", "sum_1", "cos", "_tensor_constant0", "mul"], "{code}");
}

#[test]
fn nothing_is_left_out_of_a_raw_graph() {
    let f = |x: Tensor| {
        let _dead = x.cos();
        &x + &x
    };
    let raw = make_fx_with(CaptureOptions::raw(), f, (f32s(&[2]),)).unwrap();
    assert_eq!(raw.len(), 2);
    let simple = make_fx(f, (f32s(&[2]),)).unwrap();
    assert!(!simple.nodes().iter().any(|n| n.op.name() == "cos"));
    // Also the dead statements of the primal function of a gradient.
    let raw = make_fx_with(CaptureOptions::raw(), grad(move |x: Tensor| f(x).sum()), (f32s(&[2]),)).unwrap();
    assert_eq!(raw.nodes()[0].op.name(), "cos");
}

#[test]
fn snapshots_show_graphs_in_several_forms() {
    let f = |x: Tensor| x.sin().cos();
    cotangent::assert_graph_snapshot!(f, (f32s(&[3]),), @r"
    def forward(self, x_1):
        sin = torch.ops.aten.sin.default(x_1);  x_1 = None
        cos = torch.ops.aten.cos.default(sin);  sin = None
        return cos
    ");
    cotangent::assert_graph_snapshot!(grad(|x: Tensor| x.sin()), (f32s(&[]),); SnapshotOptions::code_2021().raw(), @r"
    def forward(self, x_1):
        sin = torch.ops.aten.sin(x_1)
        cos = torch.ops.aten.cos(x_1);  x_1 = None
        _tensor_constant0 = self._tensor_constant0
        mul = torch.ops.aten.mul(_tensor_constant0, cos);  _tensor_constant0 = cos = None
        return mul
    ");
    let ir = SnapshotOptions::ir().text(f, (f32s(&[3]),)).unwrap();
    assert!(ir.contains("f32[3]"), "{ir}");
    let readable = SnapshotOptions::readable().text(f, (f32s(&[3]),)).unwrap();
    assert!(readable.contains("make_fx.rs"), "{readable}");
}

/// The snapshots are files beside this test.
#[test]
fn snapshots_stand_in_files() {
    let sine = || (grad(|x: Tensor| x.sin().sum()), (f32s(&[3]),));
    let (f, args) = sine();
    cotangent::assert_graph_snapshot!("gradient_of_sine", f, args);
    let (f, args) = sine();
    cotangent::assert_graph_snapshot!("gradient_of_sine_raw", f, args; SnapshotOptions::code_2021().raw());
}

#[test]
fn graphs_run_again_on_new_inputs() {
    let x = Tensor::from([1.0f32, 2.0]);
    let y = Tensor::from([3.0f32, 5.0]);
    let f = |x: Tensor, y: Tensor| (&x * &y).sin();
    let g = make_fx(f, (x.clone(), y.clone())).unwrap();
    assert_eq!(
        g.call((y.clone(), x.clone())).unwrap()[0].to_vec::<f32>().unwrap(),
        f(y.clone(), x.clone()).to_vec::<f32>().unwrap()
    );
    // However the tensors are arranged.
    assert_eq!(
        g.call((vec![y.clone(), x.clone()],)).unwrap()[0].to_vec::<f32>().unwrap(),
        f(y, x).to_vec::<f32>().unwrap()
    );
}

#[test]
fn graphs_are_traced_and_transformed_again() {
    let g = make_fx(|x: Tensor| x.sin().sum(), (f32s(&[3]),)).unwrap();
    let again = make_fx(&g, (f32s(&[3]),)).unwrap();
    assert_eq!(again.nodes(), g.nodes());
    let x = Tensor::from([0.0f32; 3]);
    let d = grad(|x: Tensor| Ok::<_, Error>(g.call((x,))?.remove(0)));
    assert_eq!(d.call((x,)).unwrap().to_vec::<f32>().unwrap(), [1.0; 3]);
    let rows = vmap(&g).call((Tensor::from([[0.0f32; 3]; 2]),)).unwrap();
    assert_eq!(rows[0].to_vec::<f32>().unwrap(), [0.0; 2]);
}

#[test]
fn every_transform_can_be_captured() {
    let v = |n: usize| f32s(&[n]);
    let f = |x: Tensor| x.sin().sum();
    let run = |g: Result<Graph, Error>| {
        let g = g.unwrap();
        let args: Vec<Tensor> =
            g.param_avals().iter().map(|a| Tensor::from_vec(vec![0.5f32; a.shape.numel()], &a.shape)).collect();
        g.call((args,)).unwrap();
    };
    run(make_fx(grad(f), (v(3),)));
    run(make_fx(vmap(grad(f)), (f32s(&[4, 3]),)));
    run(make_fx(jacrev(|x: Tensor| x.sin()), (v(3),)));
    run(make_fx(jacfwd(|x: Tensor| x.sin()), (v(3),)));
    run(make_fx(hessian(f), (v(3),)));
    run(make_fx(vmap(hessian(f)), (f32s(&[4, 3]),)));
    run(make_fx(|x: Tensor, dx: Tensor| jvp(f, (x,), (dx,)), (v(3), v(3))));
    run(make_fx(
        |x: Tensor, dy: Tensor| {
            let (y, pullback) = vjp(|x: Tensor| x.sin(), (x,))?;
            Ok::<_, Error>((y, pullback.call((dy,))?))
        },
        (v(3), v(3)),
    ));
    run(make_fx(|x: Tensor| linearize(f, (x,))?.1.call((Tensor::from([1.0f32, 2.0, 3.0]),)), (v(3),)));
}

#[test]
fn composites_stay_calls_until_decomposed() {
    let f = |x: Tensor| x.softmax(0);
    let g = make_fx(f, (f32s(&[3]),)).unwrap();
    assert_eq!(g.nodes().iter().map(|n| n.op.name()).collect::<Vec<_>>(), ["call"]);
    let g = make_fx_with(CaptureOptions::new().decompose(true), f, (f32s(&[3]),)).unwrap();
    assert!(g.nodes().iter().all(|n| n.op.name() != "call"));
}

#[test]
fn captured_constants_are_constants_of_the_graph() {
    let w = Tensor::from([1.0f32, 2.0]);
    let g = make_fx(|x: Tensor| x * &w, (f32s(&[2]),)).unwrap();
    assert_eq!(g.params().len(), 1);
    assert_eq!(g.call((w.clone(),)).unwrap()[0].to_vec::<f32>().unwrap(), [1.0, 4.0]);
}

#[test]
fn errors() {
    let g = make_fx(|x: Tensor| x.sin(), (f32s(&[2]),)).unwrap();
    let e = message(g.call((Tensor::from([1.0f32]),)));
    assert_eq!(e, "graph: expected argument 0 to be f32[2], found f32[1]");
    let e = message(g.call((Tensor::from([1.0f32]), Tensor::from([1.0f32]))));
    assert_eq!(e, "graph: expected number of arguments 2 to be 1, found 2");
    let e = message(make_fx(|x: Tensor| x.item::<f32>().map(Tensor::from), (f32s(&[]),)));
    assert!(
        e.contains("it appears that you're trying to get a value out of a tracing tensor (f32[])")
            && e.contains("calling `.item()`"),
        "{e}"
    );
    let e = message(make_fx(|x: Tensor| Ok::<_, Error>(if x.is_true()? { x.sin() } else { x }), (f32s(&[]),)));
    assert!(e.contains("it looks like you're attempting to use a tensor in some data-dependent control flow"), "{e}");
    // A graph is closed.
    let outer = |y: Tensor| {
        make_fx(|x: Tensor| x * &y, (f32s(&[2]),))?;
        Ok::<_, Error>(y.sum())
    };
    let e = message(grad(outer).call((Tensor::from([1.0f32, 2.0]),)));
    assert_eq!(e, "make_fx: `closure` uses a traced tensor (f32[2]) that is not one of its arguments");
}

#[test]
fn shapes_without_elements() {
    let y = eval_shape(|x: Tensor| (x.sum(), vec![x]), (f32s(&[1 << 20, 1 << 20]),)).unwrap();
    assert_eq!(y.0.aval().to_string(), "f32[]");
    assert!(y.1[0].is_abstract());
    // Transforms of abstract arguments give abstract results.
    let g = grad(|x: Tensor| x.sum()).call((f32s(&[5]),)).unwrap();
    assert!(g.is_abstract());
    assert_eq!(g.aval().to_string(), "f32[5]");
}
