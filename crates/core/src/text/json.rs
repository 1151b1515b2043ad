//! JSON twins of the text forms.

/// `f64` in JSON: a number, or the text of [`super::number::float_text`] where JSON has no number for it.
pub mod float {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::text::number::{float_text, parse_float};

    /// Writes `x`.
    pub fn serialize<S: Serializer>(x: &f64, s: S) -> Result<S::Ok, S::Error> {
        if x.is_finite() { s.serialize_f64(*x) } else { s.serialize_str(&float_text(*x)) }
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Text(String),
        }
        match Form::deserialize(d)? {
            Form::Number(x) => Ok(x),
            Form::Text(t) => parse_float(&t).ok_or_else(|| de::Error::custom(format!("`{t}` is no float"))),
        }
    }
}
