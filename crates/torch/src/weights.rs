//! The weights and constants of an archive, as arrays.

use std::collections::BTreeMap;
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, Dim, Shape};

use crate::archive::Archive;
use crate::error::TorchError;
use crate::pickle;
use crate::scalar_type;
use crate::schema::{Payload, Size, TensorMeta};
use crate::strided::{is_dense, strided};

/// The most bytes by which weights may be larger than twice their file, for names that share an entry.
const MAX_SHARED: u64 = 1 << 30;

/// The weights and constants of an archive of models: an entry for each.
pub(crate) fn raw_weights(
    archive: &mut Archive,
    format: impl Fn(String) -> TorchError,
) -> Result<BTreeMap<String, Arc<Array>>, TorchError> {
    let mut weights = BTreeMap::new();
    // Names may share an entry; each has an array of its own.
    let mut room = archive.length().saturating_mul(2).saturating_add(MAX_SHARED);
    for (folder, config) in
        [("data/weights", "model_weights_config.json"), ("data/constants", "model_constants_config.json")]
    {
        let Some(bytes) = archive.read(&format!("{folder}/{config}"))? else { continue };
        let payload: Payload = serde_json::from_slice(&bytes).map_err(|e| format(format!("{config}: {e}")))?;
        for (name, entry) in payload.config {
            let Some(meta) = entry.tensor_meta.filter(|_| !entry.use_pickle) else { continue };
            let fail = |m: String| format(format!("weight `{name}`: {m}"));
            let path = format!("{folder}/{}", entry.path_name);
            let layout = StridedLayout::of(&meta).map_err(&fail)?;
            let array = match archive.size(&path)? {
                Some(size) if layout.fills(size) => {
                    Array::from_le_fill(&layout.aval, |room| archive.fill(&path, room))?
                }
                Some(_) | None => layout.array(&archive.require(&path)?).map_err(&fail)?,
            };
            let size = (array.numel() * array.dtype().size_bytes()) as u64;
            room =
                room.checked_sub(size).ok_or_else(|| fail("the weights are much larger than the file".to_owned()))?;
            weights.insert(name, Arc::new(array));
        }
    }
    Ok(weights)
}

/// The weights and constants of a flat archive: dictionaries that `torch.save` wrote.
pub(crate) fn pickled_weights(
    archive: &mut Archive,
    format: impl Fn(String) -> TorchError,
) -> Result<BTreeMap<String, Arc<Array>>, TorchError> {
    let mut weights = BTreeMap::new();
    for entry in ["serialized_state_dict.pt", "serialized_constants.pt"] {
        if let Some(bytes) = archive.read(entry)?.filter(|b| !b.is_empty()) {
            let tensors = pickle::tensors(&bytes).map_err(|m| format(format!("{entry}: {m}")))?;
            weights.extend(tensors.into_iter().map(|(n, a)| (n, Arc::new(a))));
        }
    }
    Ok(weights)
}

/// The aval of a scalar type's code and sizes.
pub(crate) fn fixed_aval(dtype: i64, sizes: &[i64]) -> Result<Aval, String> {
    let dtype = scalar_type::dtype(dtype).ok_or_else(|| scalar_type::unsupported(dtype))?;
    let dim = |i: &i64| usize::try_from(*i).map(Dim::new).map_err(|_| format!("negative size {i}"));
    let shape: Shape = sizes.iter().map(dim).collect::<Result<Vec<Dim>, _>>()?.into_iter().collect();
    Ok(Aval::new(dtype, shape))
}

/// How a weight lies in its entry.
struct StridedLayout {
    aval: Aval,
    strides: Vec<i64>,
    offset: i64,
}

impl StridedLayout {
    fn of(meta: &TensorMeta) -> Result<Self, String> {
        let fixed = |s: &Size| match s {
            Size::Int(i) => Ok(*i),
            Size::Name(n, _) => Err(format!("expected a fixed size, found `{n}`")),
        };
        let sizes: Vec<i64> = meta.sizes.iter().map(fixed).collect::<Result<_, _>>()?;
        let strides: Vec<i64> = meta.strides.iter().map(fixed).collect::<Result<_, _>>()?;
        let offset = meta.storage_offset.as_ref().map_or(Ok(0), fixed)?;
        Ok(StridedLayout { aval: fixed_aval(meta.dtype, &sizes)?, strides, offset })
    }

    /// Whether the elements are the whole entry of `size` bytes, in order.
    fn fills(&self, size: usize) -> bool {
        let bytes = self.aval.shape.checked_numel().and_then(|n| n.checked_mul(self.aval.dtype.size_bytes()));
        self.offset == 0 && bytes == Some(size) && is_dense(&self.aval, &self.strides)
    }

    fn array(&self, bytes: &[u8]) -> Result<Array, String> {
        let StridedLayout { aval, strides, offset } = self;
        strided(aval, bytes, strides, *offset)
            .ok_or_else(|| format!("{} bytes do not hold {aval} with strides {strides:?}", bytes.len()))
    }
}
