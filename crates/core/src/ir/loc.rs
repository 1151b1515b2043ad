//! Where a node comes from: the user's source line and the transforms that derived it (I8).

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// One step in the derivation of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Derivation {
    /// Made by `vmap`'s batching rule.
    Vmap,
    /// The tangent of a node, or a value that a derivative rule needed.
    Tangent,
    /// The cotangent of a node.
    Cotangent,
    /// Rewritten by simplification.
    Simplify,
}

impl Derivation {
    /// All steps.
    pub const ALL: [Derivation; 4] =
        [Derivation::Vmap, Derivation::Tangent, Derivation::Cotangent, Derivation::Simplify];

    /// The word in text forms.
    pub const fn name(self) -> &'static str {
        match self {
            Derivation::Vmap => "vmap",
            Derivation::Tangent => "tangent",
            Derivation::Cotangent => "cotangent",
            Derivation::Simplify => "simplify",
        }
    }
}

/// The source line of a user's call and the chain of transforms after it, first applied first.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Loc {
    /// The user's file as the compiler names it; empty if the node has no source (a parsed graph without locations).
    pub file: Cow<'static, str>,
    /// The line, counted from 1.
    pub line: u32,
    /// The transforms that derived the node from what the user wrote.
    #[serde(default, skip_serializing_if = "SmallVec::is_empty")]
    pub chain: SmallVec<[Derivation; 4]>,
}

impl Loc {
    /// The most steps that a chain keeps; deeper nestings keep the first ones.
    const MAX_CHAIN: usize = 16;

    /// The location of a call.
    pub fn of(site: &'static Location<'static>) -> Self {
        Loc { file: Cow::Borrowed(site.file()), line: site.line(), chain: SmallVec::new() }
    }

    /// This location with one more step; repeated equal steps count once.
    pub fn derived(&self, step: Derivation) -> Self {
        let mut loc = self.clone();
        if loc.chain.last() != Some(&step) && loc.chain.len() < Self::MAX_CHAIN {
            loc.chain.push(step);
        }
        loc
    }

    /// Whether a source line is known.
    pub fn is_known(&self) -> bool {
        !self.file.is_empty()
    }
}

impl fmt::Display for Loc {
    /// `src/main.rs:12`, followed by `via tangent, vmap` for derived nodes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            write!(f, "{}:{}", self.file, self.line)?;
        } else {
            f.write_str("unknown source")?;
        }
        for (i, d) in self.chain.iter().enumerate() {
            f.write_str(if i == 0 { " via " } else { ", " })?;
            f.write_str(d.name())?;
        }
        Ok(())
    }
}
