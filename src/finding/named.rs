//! Named values in their own order, written as a JSON object.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Key or column values by pair name, in plan order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named<V>(pub Vec<(String, V)>);

impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
