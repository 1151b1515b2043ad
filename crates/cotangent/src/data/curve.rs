//! The curve of losses.

use std::path::Path;

/// The loss at each step of a training, and its picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    losses: Vec<f64>,
}

/// The size of the picture, and the margins of the plot in it.
const SIZE: [f64; 2] = [640.0, 360.0];
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;

/// The points that are drawn at most; more steps are drawn as means of neighbours.
const POINTS: usize = 512;

impl Curve {
    /// No losses.
    pub fn new() -> Self {
        Curve::default()
    }

    /// Adds the loss of the next step.
    pub fn push(&mut self, loss: f64) {
        self.losses.push(loss);
    }

    /// All losses.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// A picture of the losses over the steps; the scale is logarithmic if all losses are positive. Losses that are no
    /// finite numbers are left out.
    pub fn svg(&self) -> String {
        let points = self.points();
        let log = points.iter().all(|(_, y)| *y > 0.0);
        let scaled = |y: f64| if log { y.log10() } else { y };
        let heights = || points.iter().map(|(_, y)| scaled(*y));
        let (low, high) = (heights().fold(f64::INFINITY, f64::min), heights().fold(f64::NEG_INFINITY, f64::max));
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        let steps = self.losses.len().saturating_sub(1).max(1) as f64;
        let x_at = |step: f64| LEFT + (SIZE[0] - LEFT - RIGHT) * step / steps;
        let y_at = |y: f64| TOP + (SIZE[1] - TOP - BOTTOM) * (high - y) / (high - low);

        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>Loss over steps</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            SIZE[0], SIZE[1]
        );
        let mut add = |line: String| out.extend([line.as_str(), "\n"]);
        let (bottom, right) = (SIZE[1] - BOTTOM, SIZE[0] - RIGHT);
        for i in 0..=4 {
            let y = low + (high - low) * f64::from(i) / 4.0;
            let (value, at) = (if log { 10f64.powf(y) } else { y }, y_at(y));
            if points.is_empty() {
                break;
            }
            add(format!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>"));
            add(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.3}</text>", LEFT - 6.0, at + 4.0));
        }
        for i in 0..=4 {
            let step = (steps * f64::from(i) / 4.0).round();
            let (at, below) = (x_at(step), bottom + 16.0);
            add(format!("<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{step}</text>"));
        }
        add(format!("<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#333\"/>"));
        add(format!("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>", SIZE[0] / 2.0, SIZE[1] - 6.0));
        let line: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_at(*x), y_at(scaled(*y)))).collect();
        add(format!("<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"1.5\"/>", line.join(" ")));
        out + "</svg>\n"
    }

    /// Writes the picture to a file.
    ///
    /// *Errors*: a file that cannot be written.
    pub fn save_svg(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        std::fs::write(path, self.svg())
    }

    /// Steps and losses, at most [`POINTS`].
    fn points(&self) -> Vec<(f64, f64)> {
        let width = self.losses.len().div_ceil(POINTS).max(1);
        let chunk = |(i, chunk): (usize, &[f64])| {
            let finite: Vec<f64> = chunk.iter().copied().filter(|y| y.is_finite()).collect();
            let middle = (i * width) as f64 + (chunk.len() - 1) as f64 / 2.0;
            (!finite.is_empty()).then(|| (middle, finite.iter().sum::<f64>() / finite.len() as f64))
        };
        self.losses.chunks(width).enumerate().filter_map(chunk).collect()
    }
}
