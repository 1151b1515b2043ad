//! What the command does without arguments: the first example of the README, from function to numbers.

use cotangent::prelude::*;
use miette::{Report, Result};

/// Traces the gradient of `sum(sin x)` on 100 elements, prints it before and after simplification, and compares its values with
/// `cos x`.
pub fn run() -> Result<()> {
    let f = |x: Tensor| x.sin().sum();
    let x = Tensor::from_vec((0..100).map(|i| i as f32 / 10.0).collect::<Vec<f32>>(), [100]);

    let raw = make_fx_with(CaptureOptions::raw(), grad(f), (x.clone(),)).map_err(Report::new)?;
    println!("f = |x| x.sin().sum()   on f32[100]");
    println!("\nmake_fx(grad(f)), as traced:{}", raw.code());
    let graph = make_fx(grad(f), (x.clone(),)).map_err(Report::new)?;
    println!("make_fx(grad(f)), simplified:{}", graph.code());

    let dx = grad(f).call((x.clone(),)).map_err(Report::new)?;
    let (dx, cos) = (dx.to_vec::<f32>().map_err(Report::new)?, x.cos().to_vec::<f32>().map_err(Report::new)?);
    let worst = dx.iter().zip(&cos).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("grad(f)(x)[..4] = {:?}", &dx[..4]);
    println!("largest difference from cos(x): {worst:e}");
    Ok(())
}
