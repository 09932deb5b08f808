//! Access to the fields of a row without a copy.

/// A row's fields in plan order, key pairs first, each in the binary canonical form.
///
/// The rows of `pg` return slices of the protocol message that they arrived in.
pub trait RowFields {
    /// Returns the bytes of a field, `None` for NULL.
    fn field(&self, index: usize) -> Option<&[u8]>;
}

/// Returns whether two rows are equal in a range of fields.
pub fn equal_fields(
    one: &impl RowFields,
    other: &impl RowFields,
    mut fields: std::ops::Range<usize>,
) -> bool {
    fields.all(|index| one.field(index) == other.field(index))
}

#[cfg(test)]
impl RowFields for Vec<Option<Vec<u8>>> {
    fn field(&self, index: usize) -> Option<&[u8]> {
        self[index].as_deref()
    }
}
