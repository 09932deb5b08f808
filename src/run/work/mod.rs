//! Workers: each carries out one task.

pub(super) mod blocks;
pub(super) mod bounds;
pub(super) mod changed_keys;
pub(super) mod chunk;
pub(super) mod part_digests;
pub(super) mod range_split;
pub(super) mod rows;
pub(super) mod table_change;
pub(super) mod task_context;
pub(super) mod worker;
