//! States in files.

use std::collections::BTreeMap;
use std::path::Path;

use cotangent_core::Tensor;
use cotangent_safetensors::{read_safetensors, write_safetensors};

use super::error::StateError;
use super::named::State;

impl State {
    /// The tensors of a safetensors file, in the order of their names.
    ///
    /// *Errors*: [`StateError::File`] a file that cannot be read, is damaged, or has a dtype that cotangent does not have.
    pub fn load(path: impl AsRef<Path>) -> Result<State, StateError> {
        let path = path.as_ref();
        let arrays = read_safetensors(path).map_err(|e| StateError::file(path, e))?;
        Ok(arrays.into_iter().map(|(name, a)| (name, Tensor::from_array(a))).collect())
    }

    /// Writes the tensors to a safetensors file, which PyTorch reads with `safetensors.torch.load_file`.
    ///
    /// ```
    /// use cotangent::nn::{Linear, Module, State};
    /// use cotangent::random::Keys;
    ///
    /// # fn main() -> Result<(), cotangent::Error> {
    /// let path = std::env::temp_dir().join("cotangent_linear.safetensors");
    /// let trained = Linear::new(3, 2, &mut Keys::new(1));
    /// trained.state_dict().save(&path)?;
    ///
    /// let mut layer = Linear::new(3, 2, &mut Keys::new(2));
    /// layer.load_state_dict(&State::load(&path)?)?;
    /// assert_eq!(layer.weight.to_vec::<f32>()?, trained.weight.to_vec::<f32>()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// *Errors*: [`StateError::NoValues`] a traced or abstract tensor; [`StateError::File`] a file that cannot be
    /// written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), StateError> {
        let path = path.as_ref();
        let arrays = self.iter().map(|(name, x)| match x.to_array() {
            Ok(a) => Ok((name.to_owned(), a)),
            Err(e) => Err(StateError::NoValues { name: name.to_owned(), problem: e.to_string() }),
        });
        let arrays = arrays.collect::<Result<BTreeMap<_, _>, _>>()?;
        write_safetensors(path, &arrays).map_err(|e| StateError::file(path, e))
    }
}
