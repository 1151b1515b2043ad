//! Linear scan over straight-line code in which several copies of a body are interleaved.
//!
//! Values are in single static assignment form, so a spilled value is written to the stack at most once.

/// The number of the first mask register; vector registers have those below.
pub const MASKS: u8 = 32;
/// All numbers.
const REGISTERS: u8 = 40;

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Loc {
    /// Nowhere (yet, or any more).
    None,
    /// A register.
    Reg(u8),
    /// A stack slot.
    Slot(u32),
}

impl Loc {
    /// The register of copy `c` of an accumulator whose first copy is here.
    pub fn register(self, c: usize) -> Option<u8> {
        match self {
            Loc::Reg(r) => Some(r - c as u8),
            Loc::Slot(_) | Loc::None => None,
        }
    }
}

/// A value: copy and instruction.
pub type Value = (usize, u32);

/// Registers and slots during one pass over a body.
#[derive(Debug)]
pub struct Alloc {
    free: u64,
    /// What each register holds.
    held: [Option<Value>; REGISTERS as usize],
    locs: Vec<Vec<Loc>>,
    slots: Vec<Vec<Option<u32>>>,
    /// The positions of uses of each instruction, ascending.
    uses: Vec<Vec<u32>>,
    free_slots: Vec<u32>,
    /// The number of slots ever in use.
    pub slot_count: u32,
    /// Registers that the current instruction needs.
    pub locked: u64,
}

/// A move that the emitter has to make.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Move {
    /// Register to slot.
    Spill(u8, u32),
}

impl Alloc {
    /// For a body with these uses, `copies` times, with `free` registers; slots from `first_slot` on.
    pub fn new(uses: Vec<Vec<u32>>, copies: usize, free: u64, slot_count: u32) -> Self {
        let n = uses.len();
        Alloc {
            free,
            locs: vec![vec![Loc::None; n]; copies],
            slots: vec![vec![None; n]; copies],
            uses,
            slot_count,
            held: [None; REGISTERS as usize],
            free_slots: Vec::new(),
            locked: 0,
        }
    }

    /// Where a value is.
    pub fn loc(&self, v: Value) -> Loc {
        self.locs[v.0][v.1 as usize]
    }

    /// Whether instruction `at` is the last that uses a value.
    pub fn dies(&self, v: u32, at: u32) -> bool {
        self.uses[v as usize].last().is_none_or(|last| *last <= at)
    }

    /// Whether only instruction `at` uses a value.
    pub fn only_use(&self, v: u32, at: u32) -> bool {
        self.uses[v as usize].len() == 1 && self.uses[v as usize][0] == at
    }

    /// A register of `class` for `v`, with the spill that makes room.
    pub fn take(&mut self, v: Value, at: u32, class: u64) -> (u8, Option<Move>) {
        let mut moved = None;
        if self.free & class == 0 {
            let next = |(_, id): Value| self.uses[id as usize].iter().find(|u| **u >= at).copied().unwrap_or(u32::MAX);
            let victim = (0..REGISTERS)
                .filter(|r| class >> r & 1 == 1 && self.locked >> r & 1 == 0)
                .filter_map(|r| self.held[r as usize].map(|v| (r, v)))
                .max_by_key(|(_, v)| next(*v))
                .expect("fewer operands than registers");
            moved = self.evict(victim.0, victim.1);
        }
        let r = (self.free & class).trailing_zeros() as u8;
        self.put(v, r);
        (r, moved)
    }

    fn evict(&mut self, r: u8, v: Value) -> Option<Move> {
        self.held[r as usize] = None;
        self.free |= 1 << r;
        let slot = &mut self.slots[v.0][v.1 as usize];
        if let Some(s) = slot {
            self.locs[v.0][v.1 as usize] = Loc::Slot(*s);
            return None;
        }
        let s = self.free_slots.pop().unwrap_or_else(|| {
            self.slot_count += 1;
            self.slot_count - 1
        });
        *slot = Some(s);
        self.locs[v.0][v.1 as usize] = Loc::Slot(s);
        Some(Move::Spill(r, s))
    }

    /// Puts `v` into the free register `r`.
    pub fn put(&mut self, v: Value, r: u8) {
        self.free &= !(1 << r);
        self.held[r as usize] = Some(v);
        self.locs[v.0][v.1 as usize] = Loc::Reg(r);
    }

    /// Says that `v` is in a register that is not allocated here.
    pub fn pin(&mut self, v: Value, r: u8) {
        self.locs[v.0][v.1 as usize] = Loc::Reg(r);
    }

    /// Frees the register of a value that the current instruction uses last; its slot stays until [`Alloc::release`], because a spill
    /// for the result must not overwrite it before it is read.
    pub fn free_register(&mut self, v: Value) {
        if let Loc::Reg(r) = self.loc(v)
            && self.owns(v, r)
        {
            self.held[r as usize] = None;
            self.free |= 1 << r;
        }
    }

    /// Forgets a value that is dead.
    pub fn release(&mut self, v: Value) {
        if let Loc::Reg(r) = self.loc(v)
            && self.held[r as usize] == Some(v)
        {
            self.held[r as usize] = None;
            self.free |= 1 << r;
        }
        self.locs[v.0][v.1 as usize] = Loc::None;
        if let Some(s) = self.slots[v.0][v.1 as usize].take() {
            self.free_slots.push(s);
        }
    }

    /// Whether `r` holds `v` and was allocated here, so that its last user may overwrite it.
    pub fn owns(&self, v: Value, r: u8) -> bool {
        self.held[r as usize] == Some(v)
    }

    /// Registers in use.
    pub fn in_use(&self) -> u64 {
        (0..REGISTERS).filter(|r| self.held[*r as usize].is_some()).fold(0, |m, r| m | 1 << r)
    }
}
