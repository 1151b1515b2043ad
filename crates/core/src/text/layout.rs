//! Places for boxes in layers, so that arrows go down.
//!
//! The steps are those of Sugiyama, Tagawa and Toda (1981): layers by longest path, bends where an arrow passes a
//! layer, order within layers by the mean of neighbours, and places near the neighbours without overlap. Ties go by
//! number, so that the result depends on the graph only.

/// The space between layers.
pub(crate) const GAP: f64 = 36.0;
/// The space between boxes of a layer, and around the picture.
const SPACE: f64 = 18.0;
/// The width kept free for an arrow that passes a layer.
const LANE: f64 = 10.0;
/// Sweeps over the layers for their order and for their places.
const SWEEPS: usize = 8;
/// Beyond this many bends, long arrows go straight: the picture of such a graph is not for reading.
const MAX_BENDS: usize = 50_000;

/// Where a box is: the middle of its upper edge, and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// A finished layout.
pub(crate) struct Layout {
    pub width: f64,
    pub height: f64,
    pub blocks: Vec<Place>,
    /// The points of each arrow.
    pub arrows: Vec<Vec<(f64, f64)>>,
}

/// Lays out boxes of these sizes; every arrow goes from a box to one with a greater number.
pub(crate) fn layout(sizes: &[(f64, f64)], arrows: &[(usize, usize)]) -> Layout {
    let mut layer = layers(sizes.len(), arrows);
    let (chains, links) = bends(&mut layer, arrows);
    let count = layer.iter().max().map_or(0, |l| l + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (v, l) in layer.iter().enumerate() {
        order[*l].push(v);
    }
    let (mut above, mut below) = (vec![Vec::new(); layer.len()], vec![Vec::new(); layer.len()]);
    for (a, b) in links {
        below[a].push(b);
        above[b].push(a);
    }
    sort_layers(&mut order, &above, &below);
    let width = |v: usize| sizes.get(v).map_or(LANE, |s| s.0);
    let mut x = places(&order, &above, &below, &width);
    let left = (0..x.len()).map(|v| x[v] - width(v) / 2.0).fold(f64::INFINITY, f64::min);
    for v in &mut x {
        *v += SPACE - left;
    }
    let right = (0..x.len()).map(|v| x[v] + width(v) / 2.0).fold(0.0, f64::max);
    let (tops, height) = heights(&order, sizes);
    let place = |v: usize| Place { x: x[v], y: tops[layer[v]].0, w: sizes[v].0, h: sizes[v].1 };
    let blocks: Vec<Place> = (0..sizes.len()).map(place).collect();
    let route = |((from, to), chain): (&(usize, usize), &Vec<usize>)| {
        let mut points = vec![(x[*from], blocks[*from].y + blocks[*from].h)];
        for v in chain {
            let (top, bottom) = tops[layer[*v]];
            points.extend([(x[*v], top), (x[*v], bottom)]);
        }
        points.push((x[*to], blocks[*to].y));
        points
    };
    let routes = arrows.iter().zip(&chains).map(route).collect();
    Layout { width: right + SPACE, height, blocks, arrows: routes }
}

/// The layer of each box: one below its lowest operand; a box without operands stands just above its highest user.
fn layers(n: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut layer = vec![0; n];
    let mut has_operand = vec![false; n];
    let mut highest_user = vec![usize::MAX; n];
    // Arrows are in the order of the boxes at which they end, so that operands are settled before their users.
    for (a, b) in arrows {
        layer[*b] = layer[*b].max(layer[*a] + 1);
        has_operand[*b] = true;
    }
    for (a, b) in arrows {
        highest_user[*a] = highest_user[*a].min(layer[*b]);
    }
    for v in (0..n).filter(|v| !has_operand[*v] && highest_user[*v] != usize::MAX) {
        layer[v] = highest_user[v] - 1;
    }
    layer
}

/// For each arrow, the bends on its way.
type Chains = Vec<Vec<usize>>;
/// Pairs of neighbours in adjacent layers.
type Links = Vec<(usize, usize)>;

/// Adds a bend for each layer that an arrow passes; arrows from one box share theirs.
fn bends(layer: &mut Vec<usize>, arrows: &[(usize, usize)]) -> (Chains, Links) {
    let mut longest = vec![0usize; layer.len()];
    for (a, b) in arrows {
        longest[*a] = longest[*a].max(layer[*b] - layer[*a] - 1);
    }
    let total = longest.iter().fold(0usize, |n, l| n.saturating_add(*l));
    if total > MAX_BENDS {
        let adjacent = arrows.iter().copied().filter(|(a, b)| layer[*a] + 1 == layer[*b]).collect();
        return (vec![Vec::new(); arrows.len()], adjacent);
    }
    let mut first = Vec::with_capacity(longest.len());
    let mut links = Vec::new();
    for (v, length) in longest.iter().enumerate() {
        first.push(layer.len());
        let mut last = v;
        for k in 0..*length {
            layer.push(layer[v] + 1 + k);
            links.push((last, layer.len() - 1));
            last = layer.len() - 1;
        }
    }
    let mut chains = Vec::with_capacity(arrows.len());
    for (a, b) in arrows {
        let chain: Vec<usize> = (0..layer[*b] - layer[*a] - 1).map(|k| first[*a] + k).collect();
        links.push((chain.last().copied().unwrap_or(*a), *b));
        chains.push(chain);
    }
    (chains, links)
}

/// Orders each layer by the mean position of neighbours, down and up in turn.
fn sort_layers(order: &mut [Vec<usize>], above: &[Vec<usize>], below: &[Vec<usize>]) {
    let mut position = vec![0.0; above.len()];
    let number = |layer: &[usize], position: &mut Vec<f64>| {
        for (i, v) in layer.iter().enumerate() {
            position[*v] = (i as f64 + 0.5) / layer.len() as f64;
        }
    };
    for layer in order.iter() {
        number(layer, &mut position);
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let neighbours = if down { above } else { below };
        for i in 0..order.len() {
            let layer = if down {
                &mut order[i]
            } else {
                let last = order.len() - 1;
                &mut order[last - i]
            };
            let key = |v: usize| mean(&neighbours[v], &position).unwrap_or(position[v]);
            let mut keyed: Vec<(f64, usize)> = layer.iter().map(|v| (key(*v), *v)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *layer = keyed.into_iter().map(|(_, v)| v).collect();
            number(layer, &mut position);
        }
    }
}

/// The middles: as near to the neighbours' as the order and the widths allow.
fn places(order: &[Vec<usize>], above: &[Vec<usize>], below: &[Vec<usize>], width: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let mut x = vec![0.0; above.len()];
    for sweep in 0..=SWEEPS {
        let down = sweep % 2 == 0;
        let neighbours = if down { above } else { below };
        for i in 0..order.len() {
            let layer = if down { &order[i] } else { &order[order.len() - 1 - i] };
            let wanted: Vec<f64> = layer.iter().map(|v| mean(&neighbours[*v], &x).unwrap_or(x[*v])).collect();
            for (v, at) in layer.iter().zip(apart(layer, &wanted, width)) {
                x[*v] = at;
            }
        }
    }
    x
}

/// The places nearest to `wanted` in the sense of least squares that keep the order and do not overlap.
///
/// Pooling of adjacent violators: groups that touch move together, to the mean of what their members want.
fn apart(layer: &[usize], wanted: &[f64], width: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let mut offset = Vec::with_capacity(layer.len());
    let mut at = 0.0;
    for (i, v) in layer.iter().enumerate() {
        if i > 0 {
            at += (width(layer[i - 1]) + width(*v)) / 2.0 + SPACE;
        }
        offset.push(at);
    }
    // Each group: the sum of what its members want, less their offsets, and their number.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for (w, o) in wanted.iter().zip(&offset) {
        groups.push((w - o, 1));
        while let [.., (a, n), (b, m)] = groups.as_slice()
            && a / *n as f64 > b / *m as f64
        {
            let merged = (a + b, n + m);
            groups.truncate(groups.len() - 2);
            groups.push(merged);
        }
    }
    let starts = groups.iter().flat_map(|(sum, n)| std::iter::repeat_n(sum / *n as f64, *n));
    starts.zip(offset).map(|(s, o)| s + o).collect()
}

fn mean(items: &[usize], of: &[f64]) -> Option<f64> {
    (!items.is_empty()).then(|| items.iter().map(|v| of[*v]).sum::<f64>() / items.len() as f64)
}

/// The upper and lower edge of each layer, and the height of all.
fn heights(order: &[Vec<usize>], sizes: &[(f64, f64)]) -> (Vec<(f64, f64)>, f64) {
    let mut y = SPACE;
    let mut edges = Vec::with_capacity(order.len());
    for layer in order {
        let h = layer.iter().filter_map(|v| sizes.get(*v)).map(|s| s.1).fold(0.0, f64::max);
        edges.push((y, y + h));
        y += h + GAP;
    }
    (edges, (y - GAP).max(0.0) + SPACE)
}
