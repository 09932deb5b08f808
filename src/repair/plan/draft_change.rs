//! A change that the server of the written side has not been queried about yet: it may become none.

use crate::repair::{Operation, RowChange, WritableMapping};
use crate::schema::ColumnName;

/// A change that may become none. `R` is a row as it was read.
pub(crate) struct DraftChange<'d, R> {
    /// The operation.
    pub(crate) operation: Operation,
    /// The change.
    pub(crate) change: RowChange,
    /// The columns of the images that it sets.
    pub(crate) set: Vec<usize>,
    /// The values that come from another type: the index in the images, and the pair.
    pub(crate) converted: Vec<(usize, usize)>,
    /// The row of the source of truth, if there is one.
    pub(crate) right: Option<&'d R>,
    /// The values of the written side's row, by column.
    pub(crate) stored: Vec<Option<&'d str>>,
}

impl<R> DraftChange<'_, R> {
    /// Returns the index of a converted pair in the images.
    pub(crate) fn converted_index(&self, pair: usize) -> Option<usize> {
        self.converted.iter().find(|(_, other)| *other == pair).map(|(at, _)| *at)
    }

    /// Returns the text of a converted pair, as the source of truth has it.
    pub(crate) fn converted_text(&self, pair: usize) -> Option<&str> {
        self.change.new.as_ref()?[self.converted_index(pair)?].as_deref()
    }

    /// Returns the text of a column before or after (`new`) the change.
    pub(crate) fn text(&self, scope: &WritableMapping, column: usize, new: bool) -> Option<&str> {
        let index = scope.image(self.operation).iter().position(|(stored, _)| *stored == column);
        let image = if new { &self.change.new } else { &self.change.old };
        match (index, image) {
            (Some(at), Some(image)) => image[at].as_deref(),
            _ => self.stored.get(column).copied().flatten(),
        }
    }

    /// Returns whether it is an update that changes a column.
    pub(crate) fn updates(&self, scope: &WritableMapping, column: usize) -> bool {
        self.operation == Operation::Update
            && self.text(scope, column, false) != self.text(scope, column, true)
    }

    /// Returns whether it changes a column.
    pub(crate) fn changes(&self, scope: &WritableMapping, name: &ColumnName) -> bool {
        let column = scope.stored.columns.iter().position(|column| column.name == *name);
        column.is_some_and(|at| self.text(scope, at, false) != self.text(scope, at, true))
    }
}
