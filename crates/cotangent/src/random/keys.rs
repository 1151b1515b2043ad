//! An endless row of keys.

use cotangent_core::Tensor;

use super::key::Key;

/// Keys that are all different, one after the other, so that each draw has its own.
///
/// ```
/// use cotangent::random::Keys;
///
/// # fn main() -> Result<(), cotangent::Error> {
/// let mut keys = Keys::new(0);
/// let (a, b) = (keys.next_key().rand([2]), keys.next_key().rand([2]));
/// assert_ne!(a.to_vec::<f32>()?, b.to_vec::<f32>()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    key: Key,
    used: i64,
}

impl Keys {
    /// The keys of a seed.
    pub fn new(seed: i64) -> Self {
        Keys::of(Key::new(seed))
    }

    /// The keys that follow from `key`, which may be traced.
    pub fn of(key: Key) -> Self {
        Keys { key, used: 0 }
    }

    /// A key that was not given out before.
    #[track_caller]
    pub fn next_key(&mut self) -> Key {
        self.used += 1;
        self.key.fold_in(Tensor::from(self.used))
    }
}
