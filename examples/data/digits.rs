//! UCI's optical digits; `README.md` names source and licence.

use cotangent::prelude::*;

/// All 1,797 images as `[images, 64]` in [0, 1], and their digits.
pub fn digits() -> Result<Labelled, Error> {
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

/// Images and digits.
pub type Labelled = (Tensor, Tensor);

/// Images and digits to train on, and every fifth of them, held out.
pub fn split() -> Result<[Labelled; 2], Error> {
    Ok(without_every_fifth(&digits()?))
}

/// The images and digits that are left, and every fifth.
pub fn without_every_fifth((images, labels): &Labelled) -> [Labelled; 2] {
    let (fifth, rest): (Vec<i64>, Vec<i64>) = (0..images.size(0) as i64).partition(|i| i % 5 == 4);
    [rest, fifth].map(|rows| {
        let rows = Tensor::from(rows);
        (images.index_select(0, &rows), labels.index_select(0, &rows))
    })
}

/// The share of rows of `scores` `[n, 10]` whose largest number stands at the label.
pub fn accuracy(scores: &Tensor, labels: &Tensor) -> Tensor {
    scores.argmax(1).eq(labels).convert(DType::F32).mean()
}
