//! The order of instructions: so that few values are alive at once.
//!
//! Bodies come in the order in which their results ask for values. Where a result is the end of one chain beside another (a counter of steps beside
//! the steps), that is all of the one before any of the other, and whatever the second chain reads of the first stays alive until then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Code, Op};

/// So many values have registers on every machine.
const FEW: usize = 6;

/// The same instructions, in an order in which fewer values are alive at once if there is one to be found; else as they are.
pub(super) fn ordered(code: Code) -> Code {
    let before = code.most_alive(|_| true);
    if before <= FEW {
        return code;
    }
    let frugal = code.rebuilt(&Schedule::new(&code).run());
    if frugal.most_alive(|_| true) < before { frugal } else { code }
}

/// Whether a value needs a register of its own.
fn lives(code: &Code, id: u32) -> bool {
    !matches!(code.insts[id as usize].op, Op::Const(_) | Op::Acc(_))
}

/// List scheduling: of what could follow, that which leaves the fewest values alive, and of such the one that could have followed for the longest.
struct Schedule<'a> {
    code: &'a Code,
    /// What must stand behind each instruction: its readers, and where memory or an accumulator changes, what may not move over that.
    after: Vec<Vec<u32>>,
    /// How much must still come before each instruction.
    waits: Vec<usize>,
    /// The readers of each value, each once.
    readers: Vec<Vec<u32>>,
    /// How many of these are still to come.
    unread: Vec<usize>,
    done: Vec<bool>,
    /// When each instruction could first follow, or nothing before.
    ready: Vec<Option<usize>>,
    queue: BinaryHeap<Reverse<(i32, usize, usize)>>,
    clock: usize,
}

impl<'a> Schedule<'a> {
    fn new(code: &'a Code) -> Self {
        let n = code.insts.len();
        let mut readers: Vec<Vec<u32>> = vec![Vec::new(); n];
        let mut after: Vec<Vec<u32>> = vec![Vec::new(); n];
        let mut waits = vec![0; n];
        let mut effect: Option<usize> = None;
        let mut since: Vec<usize> = Vec::new();
        for (i, inst) in code.insts.iter().enumerate() {
            let op = &inst.op;
            let mut reads_accumulator = matches!(op, Op::Acc(_));
            op.operands(|v| {
                let of = &mut readers[v.id as usize];
                if of.last() != Some(&(i as u32)) {
                    of.push(i as u32);
                }
                reads_accumulator |= matches!(code.insts[v.id as usize].op, Op::Acc(_));
            });
            let mut follows = |a: usize| {
                after[a].push(i as u32);
                waits[i] += 1;
            };
            if op.has_effect() {
                since.drain(..).chain(effect).for_each(&mut follows);
                effect = Some(i);
            } else if reads_accumulator || matches!(op, Op::Load(..) | Op::Gather(..)) {
                effect.into_iter().for_each(follows);
                since.push(i);
            }
        }
        for (i, of) in readers.iter().enumerate() {
            after[i].extend(of);
            of.iter().for_each(|r| waits[*r as usize] += 1);
        }
        let unread = readers.iter().map(Vec::len).collect();
        Schedule {
            code,
            after,
            waits,
            readers,
            unread,
            done: vec![false; n],
            ready: vec![None; n],
            queue: BinaryHeap::new(),
            clock: 0,
        }
    }

    fn run(mut self) -> Vec<usize> {
        let n = self.code.insts.len();
        let mut order = Vec::with_capacity(n);
        (0..n).filter(|i| self.waits[*i] == 0).collect::<Vec<_>>().into_iter().for_each(|i| self.offer(i));
        while let Some(Reverse((_, _, i))) = self.queue.pop() {
            // A better offer of the same may have been taken.
            if std::mem::replace(&mut self.done[i], true) {
                continue;
            }
            order.push(i);
            for id in self.operands(i) {
                self.unread[id as usize] -= 1;
                // Its last reader ends its life now.
                if self.unread[id as usize] == 1
                    && let Some(last) = self.readers[id as usize].iter().find(|r| !self.done[**r as usize])
                    && self.ready[*last as usize].is_some()
                {
                    self.offer(*last as usize);
                }
            }
            for next in std::mem::take(&mut self.after[i]) {
                self.waits[next as usize] -= 1;
                if self.waits[next as usize] == 0 {
                    self.offer(next as usize);
                }
            }
        }
        order
    }

    /// The operands of an instruction, each once.
    fn operands(&self, i: usize) -> impl Iterator<Item = u32> + use<> {
        let mut own: [Option<u32>; 4] = [None; 4];
        let mut n = 0;
        self.code.insts[i].op.operands(|v| {
            if !own.contains(&Some(v.id)) {
                own[n] = Some(v.id);
                n += 1;
            }
        });
        own.into_iter().flatten()
    }

    /// Says that an instruction may follow.
    fn offer(&mut self, i: usize) {
        let ends = |id: &u32| lives(self.code, *id) && self.unread[*id as usize] == 1;
        let ended = self.operands(i).filter(ends).count() as i32;
        let begun = i32::from(lives(self.code, i as u32) && self.unread[i] > 0);
        let since = *self.ready[i].get_or_insert(self.clock);
        self.clock += 1;
        self.queue.push(Reverse((begun - ended, since, i)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bin, Builder, Mem, OpSet, Pred, Ty};
    use super::*;

    fn alive(code: &Code) -> usize {
        code.most_alive(|_| true)
    }

    /// `steps` of `x = x·x`, each compared with a bound, and a counter of where it was below; the counter after all of them.
    fn counted(steps: usize) -> Code {
        let mut b = Builder::new(OpSet::Common);
        let mut x = b.push(Op::Load(0, Mem::B32), Ty::F32);
        let four = b.f(4.0, Ty::F32);
        let mut masks = Vec::new();
        for _ in 0..steps {
            masks.push(b.cmp(Pred::Lt, x, four));
            x = b.mul(x, x);
        }
        let (mut n, one) = (b.push(Op::Load(1, Mem::B32), Ty::F32), b.f(1.0, Ty::F32));
        for mask in masks {
            let more = b.add(n, one);
            n = b.select(mask, more, n);
        }
        b.push(Op::Store(2, Mem::B32, n), Ty::F32);
        b.push(Op::Store(3, Mem::B32, x), Ty::F32);
        b.code
    }

    #[test]
    fn a_chain_that_reads_another_goes_along_with_it() {
        let code = counted(40);
        assert!(alive(&code) > 40);
        assert!(alive(&ordered(code)) <= 6);
    }

    #[test]
    fn each_instruction_reads_what_it_read_before() {
        // A sum into an accumulator whose old value is read before and after.
        let mut b = Builder::new(OpSet::Common);
        let loads: Vec<_> = (0..8).map(|i| b.push(Op::Load(i, Mem::B32), Ty::F32)).collect();
        let old = b.push(Op::Acc(0), Ty::F32);
        let sum = b.bin(Bin::Add, old, loads[0]);
        b.push(Op::SetAcc(0, sum), Ty::F32);
        b.push(Op::Store(8, Mem::B32, loads[1]), Ty::F32);
        let again = b.push(Op::Load(8, Mem::B32), Ty::F32);
        let total = loads[2..].iter().fold(again, |a, x| b.add(a, *x));
        b.push(Op::Store(9, Mem::B32, total), Ty::F32);
        let code = b.code;
        let new = code.rebuilt(&Schedule::new(&code).run());
        let place = |c: &Code, what: &dyn Fn(&Op) -> bool| c.insts.iter().position(|i| what(&i.op)).expect("there");
        assert_eq!(new.insts.len(), code.insts.len());
        assert!(place(&new, &|op| matches!(op, Op::Acc(_))) < place(&new, &|op| matches!(op, Op::SetAcc(..))));
        assert!(place(&new, &|op| matches!(op, Op::Store(8, ..))) < place(&new, &|op| matches!(op, Op::Load(8, _))));
        for (i, inst) in new.insts.iter().enumerate() {
            inst.op.operands(|v| assert!((v.id as usize) < i));
        }
    }
}
