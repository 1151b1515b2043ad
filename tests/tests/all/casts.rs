//! Casts against what PyTorch 2.15 gives on x86.

use cotangent_core::array::Array;
use cotangent_core::ir::DType;

#[test]
fn floats_to_integers_go_towards_zero_and_overflow_as_x86() {
    let x = vec![-0.5, -1.5, 300.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e20, 3e9, -3e9, 70000.0];
    let x = Array::new([10], x);
    let (min, min32) = (i64::MIN, i64::from(i32::MIN));
    let expected = [
        (DType::I64, vec![0, -1, 300, min, min, min, min, 3_000_000_000, -3_000_000_000, 70000]),
        (DType::I32, vec![0, -1, 300, min32, min32, min32, min32, min32, min32, 70000]),
        (DType::I16, vec![0, -1, 300, 0, 0, 0, 0, 0, 0, 4464]),
        (DType::I8, vec![0, -1, 44, 0, 0, 0, 0, 0, 0, 112]),
        (DType::U8, vec![0, 255, 44, 0, 0, 0, 0, 0, 0, 112]),
        (DType::Bool, vec![1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ];
    for (dtype, values) in expected {
        assert_eq!(x.cast(dtype).to_i64_vec(), values, "{dtype}");
    }
}

#[test]
fn integers_round_once_to_f32_and_halves_round_by_way_of_it() {
    let big = Array::new([2], vec![(1i64 << 60) + (1 << 36) + 1, (1i64 << 60) + (1 << 36)]);
    assert_eq!(big.cast(DType::F32).to_f64_vec(), [1.1529216420458004e18, 1.152921504606847e18]);
    let above_a_tie = Array::new([2], vec![(1i64 << 40) + (1 << 32) + 1, 3]);
    assert_eq!(above_a_tie.cast(DType::BF16).to_f64_vec(), [1_099_511_627_776.0, 3.0]);
    let tiny = 2f64.powi(-40);
    let x = Array::new([2], vec![1.0 + 2f64.powi(-11) + tiny, 65520.0 - 1e-9]);
    assert_eq!(x.cast(DType::F16).to_f64_vec(), [1.0, f64::INFINITY]);
    let y = Array::new([1], vec![1.0 + 2f64.powi(-8) + tiny]);
    assert_eq!(y.cast(DType::BF16).to_f64_vec(), [1.0]);
}

#[test]
fn scalars_are_cast_as_elements() {
    use cotangent_core::ir::Scalar;
    let dtypes = [DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32, DType::I16, DType::I8];
    for x in [0.1, -1.5, 300.5, 3e9, f64::NAN, f64::INFINITY, 1e-50] {
        for dtype in dtypes.into_iter().chain([DType::U8, DType::Bool]) {
            assert_eq!(Scalar::Float(x).cast(dtype), Array::scalar(x).cast(dtype).get(0), "{x} as {dtype}");
        }
    }
}
