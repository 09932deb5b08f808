//! Ranges: only rows that stood alone at two looks are repaired.

use super::round::{Round, same};
