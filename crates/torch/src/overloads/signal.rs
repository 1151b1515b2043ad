//! Windows of signals.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, _)) = parts(c) else { return Ok(None) };
    const TAU: f64 = std::f64::consts::TAU;
    let window = match name {
        "bartlett_window" => 1.0 - (places(c)? * 2.0 - 1.0).abs(),
        "blackman_window" => {
            let t = places(c)?;
            0.42 - (&t * TAU).cos() * 0.5 + (t * (2.0 * TAU)).cos() * 0.08
        }
        "hann_window" => 0.5 - (places(c)? * TAU).cos() * 0.5,
        "hamming_window" => c.float_or("alpha", 0.54)? - (places(c)? * TAU).cos() * c.float_or("beta", 0.46)?,
        "kaiser_window" => {
            let (beta, from_middle) = (c.float_or("beta", 12.0)?, places(c)? * 2.0 - 1.0);
            let inside = (1.0 - from_middle.square()).clamp_min(0.0).sqrt();
            (inside * beta).i0() / scalar_tensor(beta, DType::F64).i0()
        }
        _ => return Ok(None),
    };
    one(window.convert(c.dtype("dtype")?.unwrap_or(DType::F32)))
}

/// Evenly spread places from 0 to 1 in `f64`. The place 1 is left out of a periodic window; the only place of a window of one is
/// its middle.
fn places(c: &Call) -> Read<Tensor> {
    let n = c.size("window_length")?;
    let at = arange_of(0i64, n as i64, 1i64, DType::F64);
    let intervals = if c.bool_or("periodic", true)? { n } else { n.saturating_sub(1) };
    Ok(if n == 1 { at + 0.5 } else { at / intervals as f64 })
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::args::Arg;

    /// PyTorch's values.
    #[test]
    fn windows_are_those_of_pytorch() {
        let check = |name: &str, n: i64, periodic: bool, numbers: &[(&str, f64)], expected: &[f64]| {
            let dtype = ("dtype", Arg::DType(DType::F64));
            let mut args = vec![("window_length", Arg::Int(n)), ("periodic", Arg::Bool(periodic)), dtype];
            args.extend(numbers.iter().map(|(k, v)| (*k, Arg::Float(*v))));
            let got = values(&format!("aten.{name}"), args);
            let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15);
            assert!(got.len() == expected.len() && near, "{name}: {got:?}, expected {expected:?}");
        };
        check("bartlett_window.default", 5, true, &[], &[0.0, 0.4, 0.8, 0.8, 0.4]);
        check("blackman_window.default", 4, true, &[], &[0.0, 0.34, 1.0, 0.34]);
        check("hann_window.periodic", 4, false, &[], &[0.0, 0.75, 0.75, 0.0]);
        let wide = [("alpha", 0.5), ("beta", 0.3)];
        check("hamming_window.periodic_alpha_beta", 3, true, &wide, &[0.2, 0.65, 0.65]);
        let kaiser = [0.2048847564012536, 0.7269255302876366, 1.0, 0.7269255302876366];
        check("kaiser_window.beta", 4, true, &[("beta", 3.0)], &kaiser);
        check("kaiser_window.default", 1, true, &[], &[1.0]);
    }
}
