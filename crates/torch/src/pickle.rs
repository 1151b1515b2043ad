//! The tensors of a file of `torch.save`: a zip archive of storages with a pickle that says how tensors lie in them.
//!
//! Pickles can run any code; here only the few instructions and functions that dictionaries of tensors need are known, and
//! they make data. *Source*: `pickletools`, `torch/serialization.py`, `torch/_utils.py`.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};

use crate::strided::strided;

/// More instructions are refused.
const MAX_STEPS: usize = 1 << 26;

/// The tensors of the dictionary in the bytes of a file of `torch.save`, by name; what is no tensor is left out.
///
/// *Errors*: a file that is damaged or holds something else, as a message.
pub(crate) fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("not a file of torch.save: {e}"))?;
    let root = zip.file_names().find_map(|n| n.strip_suffix("data.pkl")).map(str::to_owned);
    let root = root.ok_or("expected an entry data.pkl")?;
    let mut read = |name: String| -> Result<Vec<u8>, String> {
        let entry = zip.by_name(&name).map_err(|e| format!("{name}: {e}"))?;
        // Storages are not compressed: none is larger than the file.
        let mut out = Vec::new();
        entry.take(bytes.len() as u64).read_to_end(&mut out).map_err(|e| format!("{name}: {e}"))?;
        Ok(out)
    };
    let code = read(format!("{root}data.pkl"))?;
    let machine = Machine::run(&code)?;
    let Object::Dict(items) = &machine.objects[machine.result] else { return Err("expected a dictionary".to_owned()) };
    let mut storages: HashMap<&str, Vec<u8>> = HashMap::new();
    let mut out = BTreeMap::new();
    for (key, value) in items {
        let (Object::Str(name), Object::Tensor(t)) = (&machine.objects[*key], &machine.objects[*value]) else {
            continue;
        };
        if !storages.contains_key(t.storage.as_str()) {
            storages.insert(&t.storage, read(format!("{root}data/{}", t.storage))?);
        }
        let aval = Aval::new(t.dtype, t.sizes.as_slice());
        let array = strided(&aval, &storages[t.storage.as_str()], &t.strides, t.offset);
        out.insert(name.clone(), array.ok_or_else(|| format!("tensor `{name}` does not lie in its storage"))?);
    }
    Ok(out)
}

/// Where an object stands in [`Machine::objects`].
type Id = usize;

/// What a pickle makes. Containers hold the places of their items, so that shared objects are not copied.
enum Object {
    None,
    Int(i64),
    Str(String),
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module.name`.
    Global(String),
    Storage(DType, String),
    Tensor(Strided),
    /// Something without meaning for tensors.
    Other,
}

/// A tensor as a view of a storage.
#[derive(Clone)]
struct Strided {
    dtype: DType,
    storage: String,
    offset: i64,
    sizes: Vec<usize>,
    strides: Vec<i64>,
}

struct Machine<'a> {
    code: &'a [u8],
    objects: Vec<Object>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    result: Id,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn run(code: &'a [u8]) -> Step<Self> {
        let (objects, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut m = Machine { code, objects, stack, marks, memo: HashMap::new(), result: 0 };
        for _ in 0..MAX_STEPS {
            let op = m.take(1)?[0];
            if op == b'.' {
                m.result = m.pop()?;
                return Ok(m);
            }
            m.step(op)?;
        }
        Err(format!("expected a pickle of at most {MAX_STEPS} instructions"))
    }

    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let (head, rest) = self.code.split_at_checked(n).ok_or("the pickle is cut off")?;
        self.code = rest;
        Ok(head)
    }

    /// An unsigned number of `n` bytes.
    fn number(&mut self, n: usize) -> Step<u32> {
        Ok(self.take(n)?.iter().rev().fold(0, |acc, b| acc << 8 | u32::from(*b)))
    }

    fn text(&mut self, n: usize) -> Step<String> {
        String::from_utf8(self.take(n)?.to_vec()).map_err(|_| "text that is not UTF-8".to_owned())
    }

    fn line(&mut self) -> Step<String> {
        let n = self.code.iter().position(|b| *b == b'\n').ok_or("the pickle is cut off")?;
        let line = self.text(n)?;
        self.take(1)?;
        Ok(line)
    }

    fn push(&mut self, o: Object) {
        self.objects.push(o);
        self.stack.push(self.objects.len() - 1);
    }

    fn pop(&mut self) -> Step<Id> {
        self.stack.pop().ok_or_else(|| "an instruction without operands".to_owned())
    }

    /// What was pushed since the last mark.
    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let at = self.marks.pop().filter(|at| *at <= self.stack.len()).ok_or("an instruction without a mark")?;
        Ok(self.stack.split_off(at))
    }

    fn last(&mut self, n: usize) -> Step<Vec<Id>> {
        let at = self.stack.len().checked_sub(n).ok_or("an instruction without operands")?;
        Ok(self.stack.split_off(at))
    }

    fn step(&mut self, op: u8) -> Step<()> {
        match op {
            // PROTO and FRAME.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Object::None),
            0x88 | 0x89 => self.push(Object::Other),
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let n = self.number(4)? as i32;
                self.push(Object::Int(n.into()));
            }
            0x8a => {
                let n = self.number(1)? as usize;
                let bytes = self.take(n)?;
                let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [sign; 8];
                wide.get_mut(..n).ok_or("an integer of more than 64 bits")?.copy_from_slice(bytes);
                self.push(Object::Int(i64::from_le_bytes(wide)));
            }
            b'G' => {
                self.take(8)?;
                self.push(Object::Other);
            }
            b'X' => {
                let n = self.number(4)? as usize;
                let s = self.text(n)?;
                self.push(Object::Str(s));
            }
            0x8c => {
                let n = self.number(1)? as usize;
                let s = self.text(n)?;
                self.push(Object::Str(s));
            }
            b')' | b']' => self.push(Object::Sequence(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            0x85..=0x87 => {
                let items = self.last(usize::from(op - 0x84))?;
                self.push(Object::Sequence(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Object::Sequence(items));
            }
            b'a' => {
                let items = self.last(1)?;
                self.extend(items)?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let items = self.last(2)?;
                self.update(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.update(&items)?;
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let top = *self.stack.last().ok_or("nothing to remember")?;
                self.memo.insert(self.memo.len() as u32, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(format!("{module}.{name}")));
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage);
            }
            // The state of an object has no meaning for tensors.
            b'b' => drop(self.pop()?),
            b'R' | 0x81 => {
                let (args, f) = (self.pop()?, self.pop()?);
                let made = self.apply(f, args)?;
                self.push(made);
            }
            _ => return Err(format!("the pickle has an instruction {op:#04x}, which tensors do not need")),
        }
        Ok(())
    }

    fn int(&mut self, n: usize) -> Step<()> {
        let n = self.number(n)?;
        self.push(Object::Int(n.into()));
        Ok(())
    }

    fn remember(&mut self, n: usize) -> Step<()> {
        let key = self.number(n)?;
        self.memo.insert(key, *self.stack.last().ok_or("nothing to remember")?);
        Ok(())
    }

    fn recall(&mut self, n: usize) -> Step<()> {
        let key = self.number(n)?;
        self.stack.push(*self.memo.get(&key).ok_or("an object that was not remembered")?);
        Ok(())
    }

    fn extend(&mut self, items: Vec<Id>) -> Step<()> {
        let list = *self.stack.last().ok_or("items without a list")?;
        if let Object::Sequence(v) = &mut self.objects[list] {
            v.extend(items);
        }
        Ok(())
    }

    fn update(&mut self, items: &[Id]) -> Step<()> {
        let dict = *self.stack.last().ok_or("items without a dictionary")?;
        if let Object::Dict(v) = &mut self.objects[dict] {
            v.extend(items.chunks_exact(2).map(|kv| (kv[0], kv[1])));
        }
        Ok(())
    }

    fn sequence(&self, id: Id) -> &[Id] {
        if let Object::Sequence(v) = &self.objects[id] { v } else { &[] }
    }

    fn ints(&self, id: Id) -> Option<Vec<i64>> {
        let int = |i: &Id| if let Object::Int(n) = self.objects[*i] { Some(n) } else { None };
        self.sequence(id).iter().map(int).collect()
    }

    /// `('storage', torch.FloatStorage, key, device, numel)`.
    fn storage(&self, id: Id) -> Step<Object> {
        let [_, class, key, ..] = self.sequence(id) else { return Err("a storage without a key".to_owned()) };
        let (Object::Global(class), Object::Str(key)) = (&self.objects[*class], &self.objects[*key]) else {
            return Err("a storage without a dtype or key".to_owned());
        };
        let dtype = match class.as_str() {
            "torch.FloatStorage" => DType::F32,
            "torch.DoubleStorage" => DType::F64,
            "torch.HalfStorage" => DType::F16,
            "torch.BFloat16Storage" => DType::BF16,
            "torch.LongStorage" => DType::I64,
            "torch.IntStorage" => DType::I32,
            "torch.ShortStorage" => DType::I16,
            "torch.CharStorage" => DType::I8,
            "torch.ByteStorage" => DType::U8,
            "torch.BoolStorage" => DType::Bool,
            _ => return Err(format!("unsupported storage {class}")),
        };
        Ok(Object::Storage(dtype, key.clone()))
    }

    fn apply(&self, f: Id, args: Id) -> Step<Object> {
        let Object::Global(f) = &self.objects[f] else {
            return Err("a call of something that is no function".to_owned());
        };
        match (f.as_str(), self.sequence(args)) {
            ("torch._utils._rebuild_tensor_v2", [storage, offset, sizes, strides, ..]) => {
                let (Object::Storage(dtype, storage), Object::Int(offset)) =
                    (&self.objects[*storage], &self.objects[*offset])
                else {
                    return Err("a tensor without a storage".to_owned());
                };
                let (sizes, strides) = self.ints(*sizes).zip(self.ints(*strides)).ok_or("a tensor without sizes")?;
                let sizes = sizes.into_iter().map(usize::try_from).collect::<Result<_, _>>();
                let sizes = sizes.map_err(|_| "a tensor with a negative size")?;
                let (dtype, storage, offset) = (*dtype, storage.clone(), *offset);
                Ok(Object::Tensor(Strided { dtype, storage, offset, sizes, strides }))
            }
            ("torch._utils._rebuild_parameter", [data, ..]) => match &self.objects[*data] {
                Object::Tensor(t) => Ok(Object::Tensor(t.clone())),
                Object::None
                | Object::Int(_)
                | Object::Str(_)
                | Object::Sequence(_)
                | Object::Dict(_)
                | Object::Global(_)
                | Object::Storage(..)
                | Object::Other => Err("a parameter that is no tensor".to_owned()),
            },
            ("collections.OrderedDict", _) => Ok(Object::Dict(Vec::new())),
            (_, _) => Err(format!("the pickle calls {f}, which tensors do not need")),
        }
    }
}
