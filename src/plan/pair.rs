//! A pair: two expressions, one a side, whose canons must be equal.

use super::canon::Canon;
use super::leeway::Leeway;
use crate::schema::{Builtin, BySide, ColumnName, ColumnType, PgType, Side};
use crate::spec::{Fragment, Terms};

/// How one side says a pair's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// As a column.
    Column(ColumnName),
    /// As an expression of the operator's.
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

/// A pair of expressions that must have equal canons.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// The form in which both sides say the value.
    pub canon: Canon,
    /// What the spec says of it beside its expressions.
    pub terms: Terms,
    /// What its values may differ by at row level.
    pub leeway: Option<Leeway>,
    /// For key pairs: whether a text is ordered and sent as its bytes in UTF-8. A database of another
    /// encoding orders "C" by bytes of its own, and cannot be asked for a letter that it does not have.
    pub in_utf8: bool,
    /// Each side's expression.
    pub sides: BySide<PairSide>,
}

impl Pair {
    /// The built-in type in which the pair's value travels.
    pub fn wire(&self) -> Builtin {
        if self.in_utf8 { Builtin::Bytea } else { self.canon.wire() }
    }

    /// Returns whether a key's text leaves out the padding of `char(n)` on this side: the other side pads to
    /// another length, or not at all, and a key has one text.
    pub fn drops_padding(&self, side: Side) -> bool {
        let form = |side: Side| {
            let of = &self.sides[side].column_type;
            (of.pg_type.base(), of.modifier)
        };
        form(side).0 == &PgType::Builtin(Builtin::Bpchar) && form(side) != form(side.other())
    }
}

/// One side of a pair.
#[derive(Clone, Debug)]
pub struct PairSide {
    /// How the side says the value.
    pub expression: Expression,
    /// The expression's type.
    pub column_type: ColumnType,
    /// For key pairs: whether ranges compare the expression itself, not its canon.
    pub searched_raw: bool,
    /// For key pairs: whether keys are looked up by the expression itself.
    pub looked_up_raw: bool,
}
