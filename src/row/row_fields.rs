//! One row as it arrives, before anyone has copied a byte of it.

/// A row's fields in plan order, key pairs first, each in the canon's binary form.
///
/// The rows of `pg` implement it by slicing the message that they came in.
pub trait RowFields {
    /// The bytes of a field, or nothing for NULL.
    fn field(&self, index: usize) -> Option<&[u8]>;
}

/// Whether two rows are equal_fields in the fields of a range.
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
