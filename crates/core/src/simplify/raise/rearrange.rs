//! The same elements in other places, as operators that say where: repeated, or with channels and pixels exchanged.

use smallvec::SmallVec;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::{Found, Raising, number, sizes};
use crate::ops::Op;

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Exact, find: repeat },
    Raising { class: Class::Exact, find: exchange },
    Raising { class: Class::Exact, find: shuffle },
    Raising { class: Class::Exact, find: turn },
];

type Sizes = SmallVec<[usize; 8]>;

/// Dims in a row: how many elements, and whether these are one element repeated.
///
/// Dims of size 1 say nothing, and neighbours of one kind are one dim: what is left is the same for the same elements in the same places.
pub(super) fn spread(dims: impl IntoIterator<Item = (usize, bool)>) -> SmallVec<[(usize, bool); 8]> {
    let mut out: SmallVec<[(usize, bool); 8]> = SmallVec::new();
    for (n, repeated) in dims.into_iter().filter(|(n, _)| *n != 1) {
        match out.last_mut() {
            Some(last) if last.1 == repeated => last.0 *= n,
            Some(_) | None => out.push((n, repeated)),
        }
    }
    out
}

/// The whole of a tensor, repeated along each dim.
fn repeat(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let wide = e.as_view(v)?;
    let small = e.as_expand(wide).filter(|_| e.shape(v).numel() > 0)?;
    let from = aligned(e.shape(small), e.shape(wide)).sizes();
    let found = spread(e.shape(wide).sizes().iter().zip(&from).map(|(n, one)| (*n, n != one)));
    // Where the repeated dims were made room for, or where they were there.
    [e.as_view(small), Some(small)].into_iter().flatten().find_map(|x| {
        let out = e.shape(v);
        if e.shape(x).rank() > out.rank() {
            return None;
        }
        let (own, all) = (aligned(e.shape(x), out).sizes(), out.sizes());
        let times = all.iter().zip(&own).map(|(n, own)| n.is_multiple_of(*own).then(|| n / own));
        let times = times.collect::<Option<Sizes>>()?;
        let meant = spread(times.iter().zip(&own).flat_map(|(times, own)| [(*times, true), (*own, false)]));
        if found != meant {
            return None;
        }
        Found::new("aten::repeat(Tensor self, SymInt[] repeats) -> Tensor", [("repeats", sizes(&times))], [x])
    })
}

/// The dims of `shape` in the order `dims`: groups of source dims that stay together, in the order of the result.
///
/// As with [`spread`], equal ones move the same elements to the same places.
fn moved(shape: &[usize], dims: &[usize]) -> (Sizes, Sizes) {
    let real: Sizes = dims.iter().copied().filter(|d| shape[*d] != 1).collect();
    // The next real dim of the source.
    let next = |d: usize| (d + 1..shape.len()).find(|n| shape[*n] != 1);
    let mut groups: SmallVec<[(usize, usize); 8]> = SmallVec::new();
    let mut last = None;
    for d in real {
        match groups.last_mut() {
            Some(group) if last.and_then(next) == Some(d) => group.1 *= shape[d],
            Some(_) | None => groups.push((d, shape[d])),
        }
        last = Some(d);
    }
    let places = groups.iter().map(|(d, _)| groups.iter().filter(|(other, _)| other < d).count()).collect();
    (groups.iter().map(|(_, n)| *n).collect(), places)
}

const PIXEL_SHUFFLE: &str = "aten::pixel_shuffle(Tensor self, int upscale_factor) -> Tensor";
const PIXEL_UNSHUFFLE: &str = "aten::pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor";

/// The blocks of an image as channels, and back.
fn exchange(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, y) = e.as_permute(e.as_view(v)?)?;
    let x = e.as_view(y)?;
    let (small, large) = (e.shape(x).sizes(), e.shape(v).sizes());
    let [.., channels, height, width] = *small.as_slice() else { return None };
    let [.., fewer, down, right] = *large.as_slice() else { return None };
    if small.len() != large.len() || e.shape(x).numel() == 0 {
        return None;
    }
    let lead: usize = small[..small.len() - 3].iter().product();
    let found = moved(&e.shape(y).sizes(), &dims);
    // From channels to blocks of `r` by `r`.
    let r = down / height;
    if r > 1 && (down, right, channels) == (height * r, width * r, fewer * r * r) {
        let meant = moved(&[lead, fewer, r, r, height, width], &[0, 1, 4, 2, 5, 3]);
        return if found == meant {
            Found::new(PIXEL_SHUFFLE, [("upscale_factor", number(r as i64))], [x])
        } else {
            None
        };
    }
    let r = height / down;
    if r > 1 && (height, width, fewer) == (down * r, right * r, channels * r * r) {
        let meant = moved(&[lead, channels, down, r, right, r], &[0, 1, 3, 5, 2, 4]);
        return if found == meant {
            Found::new(PIXEL_UNSHUFFLE, [("downscale_factor", number(r as i64))], [x])
        } else {
            None
        };
    }
    None
}

/// The channels of an image, counted through its groups.
fn shuffle(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, y) = e.as_permute(e.as_view(v)?)?;
    let x = e.as_view(y)?;
    let shape = e.shape(x).sizes();
    let [batch, channels, rest @ ..] = shape.as_slice() else { return None };
    if e.shape(x) != e.shape(v) || rest.is_empty() || e.shape(x).numel() == 0 {
        return None;
    }
    let found = moved(&e.shape(y).sizes(), &dims);
    // The groups are the dim that the channels are split by first.
    let groups = *e.shape(y).sizes().get(1)?;
    let pixels: usize = rest.iter().product();
    if groups < 2 || !channels.is_multiple_of(groups) {
        return None;
    }
    let meant = moved(&[*batch, groups, channels / groups, pixels], &[0, 2, 1, 3]);
    let schema = "aten::channel_shuffle(Tensor self, SymInt groups) -> Tensor";
    if found == meant { Found::new(schema, [("groups", number(groups as i64))], [x]) } else { None }
}

/// A quarter turn: one of two dims reversed, and both exchanged.
fn turn(e: &Editor, id: NodeId) -> Option<Found> {
    let (order, y) = e.as_permute(e.results(id)[0])?;
    let (Op::Flip(flip), at) = e.def_op(y)? else { return None };
    let moved: SmallVec<[usize; 2]> = (0..order.len()).filter(|d| order[*d] != *d).collect();
    let ([a, b], [reversed]) = (moved.as_slice(), flip.dims.as_slice()) else { return None };
    if e.count(y) > 1 || !moved.contains(reversed) {
        return None;
    }
    let (times, schema) =
        (if reversed == b { 1 } else { 3 }, "aten::rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor");
    Found::new(schema, [("k", number(times as i64)), ("dims", sizes(&[*a, *b]))], [e.arg(at, 0)])
}
