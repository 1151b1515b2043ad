//! Inputs of workloads: reproducible in any language, without files.
//!
//! Element `i` (flat, row-major) of the input at position `p` is made of
//!
//! ```text
//! raw(i, k) = (i · 2654435761 + k · 40503 + 12345) mod 2^32,    k = 7919 · p
//! u(i, k)   = raw(i, k) / 2^32 - 0.5                            (f64, exact)
//! float     = u · scale + offset                                (f64, rounded once to f32; kept for f64)
//! integer   = raw(i, k) mod n
//! ```

use cotangent::Tensor;

/// The input at position `p` of a workload is stream number `STRIDE · p`, so that inputs are not shifted copies of each other.
const STRIDE: u64 = 7919;

/// An input tensor: its name, shape and elements.
#[derive(Clone, Debug)]
pub struct Input {
    name: &'static str,
    shape: Vec<usize>,
    elements: Elements,
}

#[derive(Clone, Copy, Debug)]
enum Elements {
    F32(Uniform),
    F64(Uniform),
    I64 { modulo: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Uniform {
    scale: f64,
    offset: f64,
    /// The spacing of a cubic lattice that is added to positions `[…, atoms, 3]`.
    lattice: Option<f64>,
}

/// An `f32` input of elements from -0.5 to 0.5.
pub fn f32s(name: &'static str, shape: impl Into<Vec<usize>>) -> Input {
    let elements = Elements::F32(Uniform { scale: 1.0, offset: 0.0, lattice: None });
    Input { name, shape: shape.into(), elements }
}

/// An `f64` input of elements from -0.5 to 0.5.
pub fn f64s(name: &'static str, shape: impl Into<Vec<usize>>) -> Input {
    let elements = Elements::F64(Uniform { scale: 1.0, offset: 0.0, lattice: None });
    Input { name, shape: shape.into(), elements }
}

/// An `i64` input of elements from 0 to `modulo - 1`.
pub fn i64s(name: &'static str, shape: impl Into<Vec<usize>>, modulo: u64) -> Input {
    Input { name, shape: shape.into(), elements: Elements::I64 { modulo } }
}

impl Input {
    /// Multiplied by `scale`.
    pub fn scale(self, scale: f64) -> Self {
        self.change(|u| u.scale = scale)
    }

    /// Plus `offset`.
    pub fn offset(self, offset: f64) -> Self {
        self.change(|u| u.offset = offset)
    }

    /// Positions `[…, atoms, 3]` around the points of a cubic lattice of this spacing.
    pub fn lattice(self, spacing: f64) -> Self {
        self.change(|u| u.lattice = Some(spacing))
    }

    /// The name in the workload's formula.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn change(mut self, f: impl FnOnce(&mut Uniform)) -> Self {
        match &mut self.elements {
            Elements::F32(u) | Elements::F64(u) => f(u),
            Elements::I64 { .. } => unreachable!("integers have neither scale nor offset"),
        }
        self
    }

    /// The tensor of this input at position `position` of a workload.
    pub fn make(&self, position: usize) -> Tensor {
        let k = STRIDE * position as u64;
        let n: usize = self.shape.iter().product();
        let indices = 0..n as u64;
        match self.elements {
            Elements::F32(u) => {
                let data: Vec<f32> = indices.map(|i| self.float(u, i, k) as f32).collect();
                Tensor::from_vec(data, self.shape.as_slice())
            }
            Elements::F64(u) => {
                let data: Vec<f64> = indices.map(|i| self.float(u, i, k)).collect();
                Tensor::from_vec(data, self.shape.as_slice())
            }
            Elements::I64 { modulo } => {
                let data: Vec<i64> = indices.map(|i| (raw(i, k) % modulo) as i64).collect();
                Tensor::from_vec(data, self.shape.as_slice())
            }
        }
    }

    fn float(&self, u: Uniform, i: u64, k: u64) -> f64 {
        let value = (raw(i, k) as f64 / 4_294_967_296.0 - 0.5) * u.scale + u.offset;
        match u.lattice {
            None => value,
            Some(spacing) => value + spacing * self.lattice_point(i),
        }
    }

    /// The coordinate, in units of the spacing, of the lattice point near element `i`.
    fn lattice_point(&self, i: u64) -> f64 {
        let atoms = self.shape[self.shape.len() - 2] as u64;
        let side = (1..=atoms).find(|s| s.pow(3) >= atoms).expect("at least one atom");
        let (atom, coordinate) = ((i / 3) % atoms, (i % 3) as u32);
        ((atom / side.pow(coordinate)) % side) as f64
    }
}

fn raw(i: u64, k: u64) -> u64 {
    (i * 2_654_435_761 + k * 40_503 + 12_345) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition's test vector: scale 1, offset 0, elements 0 to 3.
    #[test]
    #[allow(clippy::excessive_precision, reason = "nine digits, as the definition gives them")]
    fn streams_are_the_defined_ones() {
        let expected: [[f32; 4]; 3] = [
            [-0.499997139, 0.118036859, -0.263929158, 0.354104847],
            [-0.425318271, 0.192715719, -0.18925029, 0.428783685],
            [-0.350639403, 0.267394572, -0.114571437, -0.496537447],
        ];
        for (position, values) in expected.iter().enumerate() {
            assert_eq!(f32s("t", [4]).make(position).to_vec::<f32>().unwrap(), values);
        }
    }

    #[test]
    fn integers_are_remainders() {
        let y = i64s("y", [100], 10).make(1).to_vec::<i64>().unwrap();
        assert_eq!(y[0], (7919 * 40_503 + 12_345) % 10);
        assert!(y.iter().all(|y| (0..10).contains(y)));
    }

    #[test]
    fn atoms_stand_on_a_lattice() {
        // 5 atoms need a cube of side 2; atom 4 is the first of the second layer.
        let x = f64s("x", [5, 3]).scale(0.0).lattice(1.5).make(0).to_vec::<f64>().unwrap();
        assert_eq!(x[..6], [0.0, 0.0, 0.0, 1.5, 0.0, 0.0]);
        assert_eq!(x[12..], [0.0, 0.0, 1.5]);
    }
}
