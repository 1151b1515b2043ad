//! What a tensor says of itself inside transforms, and what happens to tensors that leave them (field.md F16, F50–F52, F57).

use std::cell::RefCell;

use cotangent::prelude::*;
use cotangent_core::tensor::trace::current_level;

/// What `look` sees inside `f`.
#[derive(Default)]
struct Seen(RefCell<Vec<String>>);

impl Seen {
    fn look(&self, t: &Tensor) {
        self.0.borrow_mut().push(t.describe());
    }

    fn all(self) -> Vec<String> {
        self.0.into_inner()
    }
}

fn x(shape: &[usize]) -> Tensor {
    Tensor::from_vec(vec![0.5f32; shape.iter().product()], shape)
}

#[test]
fn wrappers_of_vmap_and_grad() {
    let seen = Seen::default();
    let f = |x: Tensor| {
        seen.look(&x);
        let y = x.sin().sum();
        seen.look(&y);
        y
    };
    vmap(grad(f)).call((x(&[2, 3]),)).unwrap();
    assert_eq!(
        seen.all(),
        ["Wrapper[lvl=2, Batched[lvl=1 dim=0, f32[2,3]]]", "Wrapper[lvl=2, Batched[lvl=1 dim=0, f32[2]]]"]
    );
}

#[test]
fn negative_and_nested_dims() {
    let seen = Seen::default();
    let f = |x: Tensor, y: Tensor| {
        seen.look(&x);
        seen.look(&y);
        let z = x * y;
        seen.look(&z);
        z
    };
    let inner = vmap(f).in_dims((-1, None));
    vmap(inner).in_dims((1, -1)).call((x(&[2, 3, 4]), x(&[2, 3]))).unwrap();
    assert_eq!(
        seen.all(),
        [
            "Batched[lvl=2 dim=1, Batched[lvl=1 dim=1, f32[2,3,4]]]",
            "Batched[lvl=1 dim=1, f32[2,3]]",
            "Batched[lvl=2 dim=0, Batched[lvl=1 dim=0, f32[3,4,2]]]",
        ]
    );
}

#[test]
fn only_transforms_that_matter_are_listed() {
    let seen = Seen::default();
    let w = x(&[3]);
    let f = |x: Tensor| {
        // Captured from the outer map, and a constant.
        let g = grad(|y: Tensor| {
            seen.look(&x);
            seen.look(&w);
            seen.look(&y);
            (y * &x).sum()
        });
        g.call((w.clone(),))
    };
    vmap(f).call((x(&[2, 3]),)).unwrap();
    assert_eq!(seen.all(), ["Batched[lvl=1 dim=0, f32[2,3]]", "f32[3]", "Wrapper[lvl=2, f32[3]]"]);
}

#[test]
fn debug_shows_wrappers_as_functorch_does() {
    let text = RefCell::new(String::new());
    let f = |x: Tensor| {
        *text.borrow_mut() = format!("{x:?}");
        assert!(x.is_batched() && x.is_differentiated());
        assert_eq!(current_level(), 2);
        x.sum()
    };
    vmap(grad(f)).in_dims(-1).call((x(&[3, 2]),)).unwrap();
    assert_eq!(
        text.into_inner(),
        "GradTrackingTensor(lvl=2, value=\n    BatchedTensor(lvl=1, bdim=1, value=\n        f32[3,2]\n    )\n)"
    );
    assert_eq!(current_level(), 0);
    let t = RefCell::new(String::new());
    make_fx(
        |x: Tensor| {
            *t.borrow_mut() = x.describe();
            x
        },
        (x(&[2]),),
    )
    .unwrap();
    assert_eq!(t.into_inner(), "Traced[lvl=1, f32[2]]");
}

#[test]
fn a_tensor_that_left_its_trace_cannot_be_used() {
    let leaked = RefCell::new(None);
    let f = |x: Tensor| {
        *leaked.borrow_mut() = Some(x.clone());
        x.sum()
    };
    grad(f).call((x(&[2]),)).unwrap();
    let t = leaked.into_inner().unwrap();
    let line = line!() + 1;
    let y = t.sin();
    let e = y.ok().unwrap_err().to_string();
    assert_eq!(
        e,
        format!(
            "`sin` at tests/tests/all/debugging.rs:{line}: a tensor traced inside `grad` was used after that trace ended; return it from the function (as an auxiliary output) instead of storing it"
        )
    );
    // Inside another trace, too, even if nothing uses what it gives.
    let again = vmap(|x: Tensor| {
        let _ = t.sin();
        x
    });
    let e = again.call((x(&[2]),)).unwrap_err().to_string();
    assert!(e.contains("was used after that trace ended"), "{e}");
}

#[test]
fn a_panic_inside_a_function_leaves_nothing_behind() {
    let result = std::panic::catch_unwind(|| vmap(grad(|_: Tensor| -> Tensor { panic!("mine") })).call((x(&[2]),)));
    assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
    assert_eq!(current_level(), 0);
    let g = grad(|x: Tensor| x.sum()).call((x(&[2]),)).unwrap();
    assert_eq!(g.to_vec::<f32>().unwrap(), [1.0, 1.0]);
}

#[test]
fn a_panic_that_follows_from_a_mistake_is_the_mistake() {
    let f = |x: Tensor| {
        let y = &x + Tensor::from([1.0f32, 2.0, 3.0]);
        // The sum failed, so that its shape is only a guess.
        let _ = y.shape()[1];
        y.sum()
    };
    let e = grad(f).call((x(&[2]),)).unwrap_err().to_string();
    assert!(e.contains("`add` at tests/tests/all/debugging.rs"), "{e}");
}

#[test]
fn values_of_traced_tensors() {
    let e = vmap(|x: Tensor| x.item::<f32>().map(Tensor::from)).call((x(&[2]),)).unwrap_err();
    let text = e.to_string();
    assert!(text.starts_with("at tests/tests/all/debugging.rs:") && text.contains("(in `vmap(closure)`)"), "{text}");
    // Even if the function carries on without it.
    let f = |x: Tensor| {
        let _ = x.is_true();
        x.sum()
    };
    let e = grad(f).call((x(&[]),)).unwrap_err().to_string();
    assert!(e.contains("data-dependent control flow"), "{e}");
}
