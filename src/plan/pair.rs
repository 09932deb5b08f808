//! Pairs: two expressions, one for each side, whose canonical forms must be equal.

use super::canonical_form::CanonicalForm;
use super::tolerance::Tolerance;
use crate::schema::{Builtin, BySide, ColumnName, ColumnType, PgType, Side};
use crate::spec::{Fragment, PairSettings};

/// The expression of one side of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A column.
    Column(ColumnName),
    /// SQL from the spec.
    Sql(Fragment),
}

impl Expression {
    /// Returns whether the expression reads a column. An SQL text reads it if it contains the name.
    pub fn reads(&self, column: &ColumnName) -> bool {
        match self {
            Expression::Column(name) => name == column,
            Expression::Sql(fragment) => fragment.mentions(&column.0),
        }
    }
}

/// A pair of expressions that must have equal canonical forms.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The pair's name.
    pub name: String,
    /// The form in which the values are compared.
    pub form: CanonicalForm,
    /// Rule, tolerance and redaction, as the spec says.
    pub settings: PairSettings,
    /// How far its values may differ at row level.
    pub tolerance: Option<Tolerance>,
    /// For key pairs: whether a text is ordered and sent as its bytes in UTF-8. A database of another
    /// encoding has another order under "C", and refuses letters that its encoding lacks.
    pub in_utf8: bool,
    /// Each side's expression.
    pub sides: BySide<PairSide>,
}

impl Pair {
    /// Returns the built-in type in which the pair's values are sent.
    pub fn wire(&self) -> Builtin {
        if self.in_utf8 { Builtin::Bytea } else { self.form.wire() }
    }

    /// Returns whether a key's text leaves out the padding of `char(n)` on this side: the other side pads to
    /// another length or not at all, and a key has one text.
    pub fn drops_padding(&self, side: Side) -> bool {
        let padding = |side: Side| {
            let of = &self.sides[side].column_type;
            (of.pg_type.base(), of.modifier)
        };
        padding(side).0 == &PgType::Builtin(Builtin::Bpchar)
            && padding(side) != padding(side.other())
    }
}

/// One side of a pair.
#[derive(Clone, Debug)]
pub struct PairSide {
    /// The side's expression.
    pub expression: Expression,
    /// The expression's type.
    pub column_type: ColumnType,
    /// For key pairs: whether key ranges compare the expression itself, not its canonical form.
    pub searched_raw: bool,
    /// For key pairs: whether keys are looked up by the expression itself.
    pub looked_up_raw: bool,
}
