//! Layouts of temporaries: the order in which the dims of a value stand in memory that nests alone touch.
//!
//! Values are row-major, and lanes should lie side by side. In a batch of small arrays the last dims are too short for lanes, which are the batch then, and
//! apart in memory. Temporaries of such shapes, between nests that reduce nothing, have their longest dim last, where that leaves fewer elements to be read and
//! written one by one; those that nests have in common change together, so that neighbours in one stay neighbours in the other.

use rustc_hash::{FxHashMap, FxHashSet};

use super::flow::{Flow, Id};
use super::group::Group;
use super::loops::{arrange, lane_dim};
use super::schedule::Planned;
use crate::affine::{Affine, Extents, delinearize, flatten};

/// Gives the temporaries of `steps` their layouts. The memory of `results` stays row-major. Linear in what nests touch.
pub(crate) fn lay_out(steps: &mut [Planned], flow: &Flow, results: &[Id]) {
    let mut layouts = candidates(steps, flow, results);
    if layouts.is_empty() {
        return;
    }
    let stays: Vec<Id> = groups(steps)
        .flat_map(|g| {
            g.accesses()
                .filter(|(v, at)| layouts.get(v).is_some_and(|l| l.place(at, &g.extents).is_none()))
                .map(|(v, _)| v)
        })
        .collect();
    stays.iter().for_each(|v| {
        layouts.remove(v);
    });
    for members in components(steps, &layouts) {
        let group = |i: &usize| group_of(&steps[*i]).expect("members are nests");
        // Lanes of reductions are chosen for more than what lies apart.
        if members.iter().any(|i| group(i).has_reduces()) {
            continue;
        }
        let move_all = |i: &usize| {
            let mut moved = group(i).clone();
            moved.move_accesses(|v, at, extents| layouts.get(&v).and_then(|l| l.place(at, extents)));
            moved
        };
        let moved: Vec<Group> = members.iter().map(move_all).collect();
        if moved.iter().map(apart).sum::<usize>() < members.iter().map(|i| apart(group(i))).sum() {
            for (i, group) in members.into_iter().zip(moved) {
                steps[i] = Planned::Group(Box::new(group));
            }
        }
    }
}

/// How a value of `sizes` stands in memory: its dims in another order, the outermost first.
struct Layout {
    sizes: Vec<usize>,
    order: Vec<usize>,
}

impl Layout {
    /// The dim of the lanes last, where it is not.
    fn of(sizes: &[usize]) -> Option<Self> {
        let lanes = lane_dim(sizes)?;
        let mut order: Vec<usize> = (0..sizes.len()).filter(|d| *d != lanes).collect();
        order.push(lanes);
        sizes[lanes + 1..].iter().any(|n| *n != 1).then(|| Layout { sizes: sizes.to_vec(), order })
    }

    /// Where the element at the row-major place `at` stands; `None` where that is not affine.
    fn place(&self, at: &Affine, extents: &Extents) -> Option<Affine> {
        let index = delinearize(at, &self.sizes, extents).ok()?;
        let moved: Vec<Affine> = self.order.iter().map(|d| index[*d].clone()).collect();
        let sizes: Vec<usize> = self.order.iter().map(|d| self.sizes[*d]).collect();
        Some(flatten(&moved, &sizes))
    }
}

fn group_of(step: &Planned) -> Option<&Group> {
    match step {
        Planned::Group(g) => Some(g),
        Planned::Product { .. } | Planned::Call { .. } => None,
    }
}

fn groups(steps: &[Planned]) -> impl Iterator<Item = &Group> {
    steps.iter().filter_map(group_of)
}

/// The values that nests write, nobody else touches, and which would have another layout.
fn candidates(steps: &[Planned], flow: &Flow, results: &[Id]) -> FxHashMap<Id, Layout> {
    let mut fixed: FxHashSet<Id> = results.iter().copied().collect();
    for step in steps {
        match step {
            Planned::Group(_) => {}
            Planned::Product { value, args, .. } => fixed.extend(args.iter().chain([value])),
            Planned::Call { call, args } => fixed.extend(args.iter().chain(&flow.calls[*call].results)),
        }
    }
    fixed.extend(groups(steps).flat_map(Group::looked_up));
    let written = groups(steps).flat_map(|g| g.stores.iter().map(|s| s.dst)).filter(|v| !fixed.contains(v));
    written.filter_map(|v| Some((v, Layout::of(&flow.values[v].sizes)?))).collect()
}

/// The nests that have some values with layouts, those in one list that have some in common, directly or through others.
fn components(steps: &[Planned], layouts: &FxHashMap<Id, Layout>) -> Vec<Vec<usize>> {
    let mut lists: Vec<Vec<usize>> = Vec::new();
    let mut list_of: FxHashMap<Id, usize> = FxHashMap::default();
    // Values of each list: the shorter one is renamed when two become one, so that each value is at most a logarithm of times.
    let mut values: Vec<Vec<Id>> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let Some(group) = group_of(step) else { continue };
        let mut own: Option<usize> = None;
        for v in group.accesses().map(|(v, _)| v).filter(|v| layouts.contains_key(v)) {
            let there = *list_of.entry(v).or_insert_with(|| {
                lists.push(Vec::new());
                values.push(vec![v]);
                lists.len() - 1
            });
            own = Some(match own {
                Some(own) if own != there => {
                    let (to, from) = if values[own].len() >= values[there].len() { (own, there) } else { (there, own) };
                    let (members, renamed) = (std::mem::take(&mut lists[from]), std::mem::take(&mut values[from]));
                    renamed.iter().for_each(|v| {
                        list_of.insert(*v, to);
                    });
                    lists[to].extend(members);
                    values[to].extend(renamed);
                    to
                }
                Some(_) | None => there,
            });
        }
        if let Some(own) = own {
            lists[own].push(i);
        }
    }
    lists.retain(|members| !members.is_empty());
    lists
}

/// How many elements the lanes of a nest read and write apart from each other.
fn apart(group: &Group) -> usize {
    let lane = arrange(group).lane;
    let apart = group.accesses().filter(|(_, at)| lane.is_some_and(|l| l.stride(at).abs() > 1)).count();
    apart.saturating_mul(group.total())
}
