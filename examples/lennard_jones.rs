//! Energy and forces of Lennard-Jones atoms: forces are a gradient, and they move the atoms.

use cotangent::prelude::*;

/// The energy of atoms at `x` `[atoms, 3]`: `4 Σ (r⁻¹² - r⁻⁶)` over pairs.
pub fn energy(x: Tensor) -> Tensor {
    let n = x.size(0);
    // An atom is at no distance of itself: 1 is put there and taken off again.
    let itself = eye_of(n, n, x.dtype());
    let r2 = (x.unsqueeze(1) - x.unsqueeze(0)).square().sum_dim(-1) + &itself;
    let r6 = r2.reciprocal().pow(3.0);
    ((&r6 * &r6 - r6) * (1.0 - itself)).sum() * 2.0
}

/// Forces on the atoms, and the energy.
pub fn forces(x: Tensor) -> Result<(Tensor, Tensor), Error> {
    let (gradient, energy) = grad_and_value(energy).call((x,))?;
    Ok((-gradient, energy))
}

/// Places, velocities and forces of atoms.
#[derive(Clone, Tree)]
pub struct Atoms {
    /// `[atoms, 3]`.
    pub x: Tensor,
    /// `[atoms, 3]`.
    pub v: Tensor,
    /// `[atoms, 3]`.
    pub f: Tensor,
}

/// `side³` atoms near a lattice, at rest.
pub fn lattice(side: usize) -> Result<Atoms, Error> {
    let n = side * side * side;
    let place = |i: usize, c: usize| (i / side.pow(c as u32)) % side;
    let corners: Vec<f64> = (0..3 * n).map(|k| place(k / 3, k % 3) as f64 * 1.12).collect();
    let x = Tensor::from_vec(corners, [n, 3]) + Key::new(0).randn_of([n, 3], DType::F64) * 0.02;
    let (f, _) = forces(x.clone())?;
    Ok(Atoms { v: x.zeros_like(), f, x })
}

/// The atoms after a time `dt`, and their total energy, by the method of Verlet.
pub fn verlet(atoms: Atoms, dt: f64) -> Result<(Atoms, Tensor), Error> {
    let half = atoms.v + atoms.f * (dt / 2.0);
    let x = atoms.x + &half * dt;
    let (f, potential) = forces(x.clone())?;
    let v = half + &f * (dt / 2.0);
    let total = potential + v.square().sum() * 0.5;
    Ok((Atoms { x, v, f }, total))
}

/// The total energy after each step.
pub fn simulate(side: usize, steps: usize) -> Result<Vec<f64>, Error> {
    let step = jit(|atoms: Atoms| verlet(atoms, 1e-3)).donate([0]);
    let mut atoms = lattice(side)?;
    let mut energies = Vec::new();
    for _ in 0..steps {
        let total;
        (atoms, total) = step.call((atoms,))?;
        energies.push(total.item::<f64>()?);
    }
    Ok(energies)
}

fn main() -> Result<(), Error> {
    let two = Tensor::from([[0.0f64, 0.0, 0.0], [1.5, 0.0, 0.0]]);
    let (f, e) = forces(two)?;
    println!("two atoms at distance 1.5: energy {e}, forces {f}");

    let energies = simulate(4, 2000)?;
    let (first, last) = (energies[0], energies[energies.len() - 1]);
    println!("64 atoms, 2000 steps: total energy {first:.6} at first, {last:.6} at last");
    Ok(())
}
