//! Errors from inside functions: the user's line, the op, both avals, and the transforms around it.

use cotangent::prelude::*;
use cotangent_tests::snapshot::snapshot;

fn x(shape: &[usize]) -> Tensor {
    Tensor::from_vec(vec![0.5f32; shape.iter().product()], shape)
}

/// The error with its help as `main` and `unwrap` show it, where lines of this file are replaced, so that edits above do not change snapshots.
fn rendered<T>(r: Result<T, Error>) -> String {
    let Err(e) = r else { panic!("an error was expected") };
    let text = format!("{e:?}");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("errors_api.rs:") {
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        out.push_str(before);
        out.push_str("errors_api.rs:LINE");
        rest = &after[digits..];
    }
    out.push_str(rest);
    out
}

fn loss(w: Tensor, x: Tensor) -> Tensor {
    (w + x).sum()
}

#[test]
fn errors_inside_functions() {
    let check = |name: &str, text: String| snapshot("errors_api", name, &text);
    let args = || (x(&[2]), x(&[4, 3]));
    check("eager", rendered((x(&[2]) + x(&[3])).ok()));
    check("grad", rendered(grad(loss).call((x(&[2]), x(&[3])))));
    check("vmap_grad", rendered(vmap(grad(loss)).in_dims((None, 0)).call(args())));
    check("hessian", rendered(hessian(loss).call((x(&[2]), x(&[3])))));
    check("make_fx_vmap_grad", rendered(make_fx(vmap(grad(loss)).in_dims((None, 0)), args())));
    check("composite", rendered(grad(|x: Tensor| x.softmax(3).sum()).call((x(&[2]),))));
    check("vjp", rendered(vjp(loss, (x(&[2]), x(&[3])))));
    check("nested_closure", {
        let f = |w: Tensor| grad(|v: Tensor| loss(w.clone(), v)).call((x(&[3]),));
        rendered(vmap(f).call((x(&[4, 2]),)))
    });
    check("user", rendered(grad(|_: Tensor| Err::<Tensor, _>(Error::user("no data for today"))).call((x(&[2]),))));
    check("value", rendered(grad(|x: Tensor| x.item::<f32>().map(Tensor::from)).call((x(&[]),))));
}

#[test]
fn the_first_mistake_counts() {
    let f = |x: Tensor| {
        let bad = &x + Tensor::from([1.0f32, 2.0, 3.0]);
        let worse = bad.mm(&x);
        worse.sum()
    };
    assert!(rendered(grad(f).call((x(&[2]),))).starts_with("`add`"));
    // A mistake whose result nothing uses counts, too.
    let f = |x: Tensor| {
        let _ = &x + Tensor::from([1.0f32, 2.0, 3.0]);
        x.sum()
    };
    assert!(rendered(grad(f).call((x(&[2]),))).starts_with("`add`"));
}

#[test]
fn arguments_that_stand_for_errors() {
    let bad = x(&[2]) + x(&[3]);
    assert!(rendered(grad(|x: Tensor| x.sum()).call((bad.clone(),))).starts_with("`add`"));
    assert!(rendered(vmap(|x: Tensor| x.sum()).call((bad,))).starts_with("`add`"));
}
