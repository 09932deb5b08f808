//! The verbs: one file each, with its arguments, whose comments are the help, and one function.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod gate;
pub(crate) mod history;
pub(crate) mod plan;
pub(crate) mod recheck;
pub(crate) mod repair;
pub(crate) mod report;
