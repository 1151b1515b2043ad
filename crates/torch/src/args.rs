//! The arguments of one node, read by the names of the operator's schema.

use cotangent_aten::Over;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::tensor::{Operand, result_type};

use crate::error::TorchError;

/// A value of the program: what stands behind a name.
#[derive(Clone, Debug)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A list of tensors.
    Tensors(Vec<Tensor>),
    /// A size.
    Int(i64),
    /// A number that depends on data: a tensor of rank 0.
    Number(Tensor),
    /// Nothing: an effect token.
    None,
    /// A condition that has to hold for the program to have results.
    Check {
        /// A truth value.
        condition: Tensor,
        /// What it means if it does not hold.
        message: String,
        /// What stands for the check in the program, if it has a value there.
        token: Option<Tensor>,
    },
}

/// One argument with its names resolved.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Nothing.
    None,
    /// A tensor.
    Tensor(Tensor),
    /// A list of tensors.
    Tensors(Vec<Tensor>),
    /// A list of tensors some of which are absent.
    OptionalTensors(Vec<Option<Tensor>>),
    /// An integer.
    Int(i64),
    /// A number that depends on data: a tensor of rank 0.
    Number(Tensor),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A float.
    Float(f64),
    /// A list of floats.
    Floats(Vec<f64>),
    /// A truth value.
    Bool(bool),
    /// A list of truth values.
    Bools(Vec<bool>),
    /// A string.
    Str(String),
    /// A dtype.
    DType(DType),
    /// A device, layout or memory format.
    Meaningless,
}

impl Arg {
    fn kind(&self) -> String {
        match self {
            Arg::None => "None".to_owned(),
            Arg::Tensor(t) => t.aval().to_string(),
            Arg::Tensors(v) => format!("a list of {} tensors", v.len()),
            Arg::OptionalTensors(v) => format!("a list of {} optional tensors", v.len()),
            Arg::Int(i) => i.to_string(),
            Arg::Number(_) => "a number that depends on data".to_owned(),
            Arg::Ints(v) => format!("{v:?}"),
            Arg::Float(x) => format!("{x:?}"),
            Arg::Floats(v) => format!("{v:?}"),
            Arg::Bool(b) => b.to_string(),
            Arg::Bools(v) => format!("{v:?}"),
            Arg::Str(s) => format!("{s:?}"),
            Arg::DType(d) => format!("dtype {d}"),
            Arg::Meaningless => "a device, layout or memory format".to_owned(),
        }
    }
}

/// The call of an operator's overload.
pub struct Call<'a> {
    /// `aten.add.Tensor`.
    pub target: &'a str,
    /// The node's name, for messages.
    pub node: &'a str,
    /// Names and values; positional arguments of higher-order operators have empty names.
    pub args: Vec<(&'a str, Arg)>,
}

/// An argument that was read, or why it could not be.
pub type Read<T> = Result<T, TorchError>;

impl Call<'_> {
    /// The argument `name`, if it is given.
    pub fn get(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find(|(n, _)| *n == name).map(|(_, a)| a)
    }

    /// The error of an argument that is not `expected`.
    pub fn wrong(&self, argument: &str, expected: &str) -> TorchError {
        if let Some(Arg::Number(_)) = self.get(argument) {
            return self.refused(&format!("its `{argument}` depends on data, and is part of the graph"));
        }
        TorchError::Argument {
            target: self.target.to_owned(),
            node: self.node.to_owned(),
            argument: argument.to_owned(),
            expected: expected.to_owned(),
            found: self.get(argument).map_or("nothing".to_owned(), Arg::kind),
        }
    }

    /// The error of an operator that is refused.
    pub fn refused(&self, reason: &str) -> TorchError {
        TorchError::Refused { target: self.target.to_owned(), node: self.node.to_owned(), reason: reason.to_owned() }
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Read<Tensor> {
        self.opt_tensor(name)?.ok_or_else(|| self.wrong(name, "a tensor"))
    }

    /// A tensor or nothing.
    pub fn opt_tensor(&self, name: &str) -> Read<Option<Tensor>> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Tensor(t)) => Ok(Some(t.clone())),
            Some(_) => Err(self.wrong(name, "a tensor")),
        }
    }

    /// A list of tensors.
    pub fn tensors(&self, name: &str) -> Read<Vec<Tensor>> {
        match self.get(name) {
            Some(Arg::Tensors(v)) => Ok(v.clone()),
            Some(Arg::Ints(v)) if v.is_empty() => Ok(Vec::new()),
            _ => Err(self.wrong(name, "a list of tensors")),
        }
    }

    /// A list of tensors some of which are absent: the indices of `index`.
    pub fn optional_tensors(&self, name: &str) -> Read<Vec<Option<Tensor>>> {
        match self.get(name) {
            Some(Arg::OptionalTensors(v)) => Ok(v.clone()),
            Some(Arg::Tensors(v)) => Ok(v.iter().cloned().map(Some).collect()),
            _ => Err(self.wrong(name, "a list of optional tensors")),
        }
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Read<i64> {
        self.opt_int(name)?.ok_or_else(|| self.wrong(name, "an integer"))
    }

    /// An integer, or `default` where it is not given.
    pub fn int_or(&self, name: &str, default: i64) -> Read<i64> {
        Ok(self.opt_int(name)?.unwrap_or(default))
    }

    /// An integer or nothing.
    pub fn opt_int(&self, name: &str) -> Read<Option<i64>> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(*i)),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Read<Vec<i64>> {
        self.opt_ints(name)?.ok_or_else(|| self.wrong(name, "a list of integers"))
    }

    /// A list of integers, or `default` where it is not given.
    pub fn ints_or(&self, name: &str, default: &[i64]) -> Read<Vec<i64>> {
        Ok(self.opt_ints(name)?.unwrap_or_else(|| default.to_vec()))
    }

    /// A list of integers or nothing; one integer stands for a list of one.
    pub fn opt_ints(&self, name: &str) -> Read<Option<Vec<i64>>> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Ints(v)) => Ok(Some(v.clone())),
            Some(Arg::Int(i)) => Ok(Some(vec![*i])),
            Some(_) => Err(self.wrong(name, "a list of integers")),
        }
    }

    /// A size that is not negative.
    pub fn size(&self, name: &str) -> Read<usize> {
        usize::try_from(self.int(name)?).map_err(|_| self.wrong(name, "an integer that is not negative"))
    }

    /// A list of sizes: integers that are not negative.
    pub fn sizes(&self, name: &str) -> Read<Vec<usize>> {
        self.opt_sizes(name)?.ok_or_else(|| self.wrong(name, "a list of sizes"))
    }

    /// A list of sizes or nothing.
    pub fn opt_sizes(&self, name: &str) -> Read<Option<Vec<usize>>> {
        let Some(given) = self.opt_ints(name)? else { return Ok(None) };
        let sizes: Result<_, _> = given.into_iter().map(usize::try_from).collect();
        sizes.map(Some).map_err(|_| self.wrong(name, "sizes that are not negative"))
    }

    /// A list of `N` truth values.
    pub fn flags<const N: usize>(&self, name: &str) -> Read<[bool; N]> {
        match self.get(name) {
            Some(Arg::Bools(v)) => v.as_slice().try_into().map_err(|_| self.wrong(name, "another number of flags")),
            _ => Err(self.wrong(name, "a list of truth values")),
        }
    }

    /// A truth value, or `default` where it is not given.
    pub fn bool_or(&self, name: &str, default: bool) -> Read<bool> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(default),
            Some(Arg::Bool(b)) => Ok(*b),
            Some(_) => Err(self.wrong(name, "a truth value")),
        }
    }

    /// A float.
    pub fn float(&self, name: &str) -> Read<f64> {
        self.opt_float(name)?.ok_or_else(|| self.wrong(name, "a float"))
    }

    /// A float, or `default` where it is not given.
    pub fn float_or(&self, name: &str, default: f64) -> Read<f64> {
        Ok(self.opt_float(name)?.unwrap_or(default))
    }

    /// A float or nothing.
    pub fn opt_float(&self, name: &str) -> Read<Option<f64>> {
        Ok(self.opt_scalar(name)?.map(Scalar::to_f64))
    }

    /// A list of floats or nothing.
    pub fn opt_floats(&self, name: &str) -> Read<Option<Vec<f64>>> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Floats(v)) => Ok(Some(v.clone())),
            Some(Arg::Ints(v)) => Ok(Some(v.iter().map(|i| *i as f64).collect())),
            Some(_) => Err(self.wrong(name, "a list of floats")),
        }
    }

    /// A number.
    pub fn scalar(&self, name: &str) -> Read<Scalar> {
        self.opt_scalar(name)?.ok_or_else(|| self.wrong(name, "a number"))
    }

    /// A number, or `default` where it is not given.
    pub fn scalar_or(&self, name: &str, default: impl Into<Scalar>) -> Read<Scalar> {
        Ok(self.opt_scalar(name)?.unwrap_or_else(|| default.into()))
    }

    /// A number or nothing.
    pub fn opt_scalar(&self, name: &str) -> Read<Option<Scalar>> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(Scalar::Int(*i))),
            Some(Arg::Float(x)) => Ok(Some(Scalar::Float(*x))),
            Some(Arg::Bool(b)) => Ok(Some(Scalar::Bool(*b))),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    /// A dtype or nothing.
    pub fn dtype(&self, name: &str) -> Read<Option<DType>> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::DType(d)) => Ok(Some(*d)),
            Some(_) => Err(self.wrong(name, "a dtype")),
        }
    }

    /// A string, or `default` where it is not given.
    pub fn str_or<'s>(&'s self, name: &str, default: &'s str) -> Read<&'s str> {
        match self.get(name) {
            None | Some(Arg::None) => Ok(default),
            Some(Arg::Str(s)) => Ok(s),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// A tensor or a number.
    pub fn operand(&self, name: &str) -> Read<Operand> {
        self.opt_operand(name)?.ok_or_else(|| self.wrong(name, "a tensor or a number"))
    }

    /// A tensor, a number or nothing.
    pub fn opt_operand(&self, name: &str) -> Read<Option<Operand>> {
        match self.get(name) {
            Some(Arg::Tensor(t)) => Ok(Some(Operand::Tensor(t.clone()))),
            Some(Arg::Number(t)) => Ok(Some(Operand::Tensor(self.beside(t)))),
            _ => Ok(self.opt_scalar(name)?.map(Operand::Scalar)),
        }
    }

    /// A number that depends on data in the dtype that it has beside the first tensor, where it promotes as a number does.
    fn beside(&self, number: &Tensor) -> Tensor {
        let first = self.args.iter().find_map(|(_, a)| if let Arg::Tensor(t) = a { Some(t) } else { None });
        let like = match number.dtype() {
            DType::Bool => Scalar::Bool(true),
            d if d.is_float() => Scalar::Float(1.0),
            _ => Scalar::Int(1),
        };
        first.map_or(number.clone(), |x| {
            number.convert(result_type(&[&Operand::Tensor(x.clone()), &Operand::Scalar(like)]))
        })
    }

    /// What a reduction goes over: the arguments `dim` and `keepdim`.
    pub fn over(&self) -> Read<Over> {
        Ok(Over { dims: self.opt_ints("dim")?.map(Into::into), keepdim: self.bool_or("keepdim", false)? })
    }
}
