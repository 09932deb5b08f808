//! What was agreed: a spec file, read and checked.
//!
//! A TOML file becomes a [`Spec`] in one pass that reports every problem at once, each with its
//! place (file, line, caret) and what to do. What a file says about columns can only be judged with
//! both catalogs at hand; that is `plan`'s work, and it uses the places kept here.

mod accept;
mod compare;
mod connection;
mod diagnostic;
mod document;
mod duration;
mod fragment;
mod gate;
mod mapping;
mod pace;
mod params;
mod passwords;
mod problems;
mod reader;
mod rule;
mod sections;
mod suggestion;

pub use accept::Accept;
pub use compare::{CompareSettings, StrategyChoice, Unmapped};
pub use connection::{ConnectionText, SideSettings};
pub use diagnostic::{
    Diagnostic, Placed, Severity, Span, SpecText, drives_terminal, escape_json, printable,
};
pub use document::{Spec, read, read_name_of};
pub use duration::parse_duration;
pub use fragment::{Fragment, FragmentPart};
pub use gate::GateSettings;
pub use mapping::{ColumnRule, Mapping, Reads, SideMapping, SourceExpression};
pub use pace::PaceSettings;
pub use params::Param;
pub use passwords::{holds_connection, withhold};
pub use problems::{FileProblems, MOST_SHOWN};
pub use rule::{PairSettings, Precision, Rule};
pub use suggestion::did_you_mean;
