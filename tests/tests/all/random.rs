//! Random draws: by key, and without one under `vmap`'s randomness (field.md F2).

use cotangent::prelude::*;
use cotangent_tests::expect::message;

fn f32s(t: &Tensor) -> Vec<f32> {
    t.to_vec().unwrap()
}

#[test]
fn vmap_over_keys_equals_the_loop() {
    let keys = Key::new(3).split_stacked(4);
    let split: [Key; 4] = Key::new(3).split();
    let draws = |k: Key| {
        let [a, b, c] = k.split();
        (a.rand([2]), b.randn([3]), k.fold_in(5i64).randint(0, 10, [2]), c.randperm(5))
    };
    let all = vmap(draws).call((keys,)).unwrap();
    for (i, k) in split.into_iter().enumerate() {
        let (u, n, r, p) = draws(k);
        assert_eq!(f32s(&all.0)[2 * i..2 * i + 2], f32s(&u));
        assert_eq!(f32s(&all.1)[3 * i..3 * i + 3], f32s(&n));
        assert_eq!(all.2.to_vec::<i64>().unwrap()[2 * i..2 * i + 2], r.to_vec::<i64>().unwrap());
        assert_eq!(all.3.to_vec::<i64>().unwrap()[5 * i..5 * i + 5], p.to_vec::<i64>().unwrap());
    }
}

#[test]
fn nested_vmap_over_keys_equals_the_loop() {
    let k = Key::new(1);
    let rows = k.split_stacked(2);
    let f = |k: Key| vmap(|k: Key| k.rand([2])).call((k.split_stacked(3),));
    let all = vmap(f).call((rows,)).unwrap();
    let mut expected = Vec::new();
    for row in k.split::<2>() {
        for k in row.split::<3>() {
            expected.extend(f32s(&k.rand([2])));
        }
    }
    assert_eq!(f32s(&all), expected);
}

#[test]
fn distributions() {
    let k = Key::new(11);
    let n = 20_000;
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
    let u = f32s(&k.rand([n]));
    assert!(u.iter().all(|x| (0.0..1.0).contains(x)));
    assert!((mean(&u) - 0.5).abs() < 0.01);
    let z = f32s(&k.randn([n]));
    assert!(mean(&z).abs() < 0.03);
    assert!((mean(&z.iter().map(|z| z * z).collect::<Vec<_>>()) - 1.0).abs() < 0.04);
    let b = f32s(&k.bernoulli(&(Tensor::from(vec![0.3f32; n]))));
    assert!((mean(&b) - 0.3).abs() < 0.02);
    let r = k.randint(-2, 3, [n]).to_vec::<i64>().unwrap();
    assert!((-2..3).all(|v| r.contains(&v)) && r.iter().all(|v| (-2..3).contains(v)));
    let mut p = k.randperm(100).to_vec::<i64>().unwrap();
    assert_ne!(p, (0..100).collect::<Vec<i64>>());
    p.sort_unstable();
    assert_eq!(p, (0..100).collect::<Vec<i64>>());
    let d = f32s(&k.dropout(&Tensor::from(vec![1.0f32; n]), 0.25));
    assert!(d.iter().all(|x| *x == 0.0 || (*x - 4.0 / 3.0).abs() < 1e-6));
    assert!((mean(&d) - 1.0).abs() < 0.02);
    for dtype in [DType::F64, DType::F16, DType::BF16] {
        let u = k.rand_of([100], dtype);
        assert_eq!(u.dtype(), dtype);
        assert!(u.as_array().unwrap().to_f64_vec().iter().all(|x| (0.0..1.0).contains(x)));
        assert_eq!(k.randn_of([100], dtype).dtype(), dtype);
    }
}

#[test]
fn the_generator_follows_its_seed() {
    random::manual_seed(5);
    let a = (f32s(&random::rand([3])), f32s(&random::randn([3])));
    random::manual_seed(5);
    let b = (f32s(&random::rand([3])), f32s(&random::randn([3])));
    assert_eq!(a, b);
    assert_ne!(a.0, f32s(&random::rand([3])));
}

#[test]
fn randomness_error() {
    let x = Tensor::from([1.0f32, 2.0]);
    let line = line!() + 1;
    let e = message(vmap(|x: Tensor| x + random::rand([])).call((x.clone(),)));
    assert_eq!(
        e,
        format!(
            "vmap: called random operation while in randomness error mode (`rand` at tests/tests/all/random.rs:{line}). Please use the `same` or `different` randomness flags on vmap, or give each example a key of its own"
        )
    );
    // Also where the draw never meets the result.
    let e = message(
        vmap(|x: Tensor| {
            random::randn([3]);
            x
        })
        .call((x.clone(),)),
    );
    assert!(e.contains("randomness error mode (`randn`"), "{e}");
    // Also under a transform inside, and in the outer map of two.
    let inner = vmap(|x: Tensor| x + random::rand([])).randomness(Randomness::Different);
    let e = message(vmap(inner).call((Tensor::from([[1.0f32]]),)));
    assert!(e.contains("randomness error mode"), "{e}");
}

#[test]
fn randomness_same() {
    random::manual_seed(0);
    let x = Tensor::from([0.0f32, 0.0, 0.0]);
    let y = f32s(&vmap(|x: Tensor| x + random::rand([])).randomness(Randomness::Same).call((x,)).unwrap());
    assert!(y[0] == y[1] && y[1] == y[2]);
    random::manual_seed(0);
    assert_eq!(y[0], random::rand([]).item::<f32>().unwrap());
    // With a mapped operand, too: one draw is compared with each probability.
    let p = Tensor::from([0.0f32, 1.0]);
    let b = vmap(|p: Tensor| random::bernoulli(&p)).randomness(Randomness::Same).call((p,)).unwrap();
    assert_eq!(f32s(&b), [0.0, 1.0]);
}

#[test]
fn randomness_different() {
    let x = Tensor::from([0.0f32; 4]);
    let f = vmap(|x: Tensor| x + random::rand([])).randomness(Randomness::Different);
    random::manual_seed(0);
    let y = f32s(&f.call((x.clone(),)).unwrap());
    assert!((0..4).all(|i| (0..i).all(|j| y[i] != y[j])), "{y:?}");
    // Chunks draw what the whole batch draws.
    random::manual_seed(0);
    assert_eq!(y, f32s(&f.clone().chunk_size(3).call((x.clone(),)).unwrap()));
    // A factory op that never touches the batch.
    let z = vmap(|_: Tensor| random::rand([2])).randomness(Randomness::Different).call((x.clone(),)).unwrap();
    assert_eq!(z.shape(), &Shape::from([4, 2]));
    assert_ne!(f32s(&z)[..2], f32s(&z)[2..4]);
    // Same outside, different inside: rows repeat.
    let rows =
        vmap(vmap(|x: Tensor| x + random::rand([])).randomness(Randomness::Different)).randomness(Randomness::Same);
    let r = f32s(&rows.call((Tensor::from([[0.0f32; 3]; 2]),)).unwrap());
    assert_eq!(r[..3], r[3..]);
    assert_ne!(r[0], r[1]);
}

#[test]
fn draws_are_constants_for_derivatives() {
    let k = Key::new(2);
    let g = grad(|x: Tensor| (x * k.rand([3])).sum_over(&[0])).call((Tensor::from([1.0f32; 3]),)).unwrap();
    assert_eq!(f32s(&g), f32s(&k.rand([3])));
}

#[test]
fn errors() {
    let keys = Key::new(0).split_stacked(3);
    let e = message(keys.rand([3]).ok());
    assert!(
        e.contains("expected a key, an i64 scalar (stacked keys are mapped by vmap), found i64[3] (key_c1)"),
        "{e}"
    );
    let e = message(Key::new(0).randint(3, 3, [1]).ok());
    assert!(
        e.contains("expected `high` to be a range that is not empty") && e.contains("found [3, 3) (randint_c1)"),
        "{e}"
    );
    let e = message(Key::new(0).dropout(&Tensor::from(1.0f32), 1.5).ok());
    assert!(e.contains("(dropout_c1)"), "{e}");
    let e = message(Key::new(0).rand([1 << 30, 1 << 30]).ok());
    assert!(e.contains("expected at most 2^47 elements"), "{e}");
    let e = message(Key::new(0).rand_of([2], DType::I64).ok());
    assert!(e.contains("expected a float dtype"), "{e}");
}
