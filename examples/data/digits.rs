//! UCI's optical digits; `README.md` names source and licence.

use cotangent::prelude::*;

/// All 1,797 images as `[images, 64]` in [0, 1], and their digits.
pub fn digits() -> Result<(Tensor, Tensor), Error> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in include_str!("digits.csv").lines() {
        let mut numbers = line.split(',').map(str::parse::<i64>);
        let mut row = numbers.by_ref().collect::<Result<Vec<_>, _>>().map_err(Error::user)?;
        labels.extend(row.pop());
        pixels.extend(row.into_iter().map(|p| p as f32 / 16.0));
    }
    let n = labels.len();
    Ok((Tensor::from_vec(pixels, [n, 64]), Tensor::from_vec(labels, [n])))
}

/// Images and digits to train on, and every fifth of them, held out.
pub fn split() -> Result<[(Tensor, Tensor); 2], Error> {
    let (images, labels) = digits()?;
    let (held, rest): (Vec<i64>, Vec<i64>) = (0..images.size(0) as i64).partition(|i| i % 5 == 4);
    let rows = |rows: Vec<i64>| {
        let rows = Tensor::from(rows);
        (images.index_select(0, &rows), labels.index_select(0, &rows))
    };
    Ok([rows(rest), rows(held)])
}

/// The share of rows of `scores` `[n, 10]` whose largest number stands at the label.
pub fn accuracy(scores: &Tensor, labels: &Tensor) -> Tensor {
    scores.argmax(1).eq(labels).convert(DType::F32).mean()
}
