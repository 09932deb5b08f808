//! A gate's verdict, for programs and for people: open or closed, with one line per reason.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::finding::format_timestamp;
use crate::gate::{GateInput, GateVerdict, GroupVerdict, Judgement, Reason, Sequence};
use crate::spec::{Spec, printable};
use crate::text::{escape_to_one_line, format_count};

/// The version of the record.
const VERSION: u32 = 1;

/// A gate's verdict with what it is based on.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "gate")]
pub struct GateRecord<'g> {
    version: u32,
    spec: &'g str,
    scope: String,
    judged_at: String,
    verdict: GateVerdict,
    reasons: &'g [Reason],
    #[serde(skip_serializing_if = "<[GroupVerdict]>::is_empty")]
    groups: &'g [GroupVerdict],
    runs: &'g [String],
    verified: &'g BTreeMap<String, f64>,
    sequences: Vec<Sequence>,
}

impl<'g> GateRecord<'g> {
    /// Makes the record of a gate's verdict.
    pub fn new(spec: &'g Spec, input: &'g GateInput, judgement: &'g Judgement) -> GateRecord<'g> {
        GateRecord {
            version: VERSION,
            spec: &spec.name,
            scope: spec.scope(),
            judged_at: format_timestamp(input.now.machine),
            verdict: judgement.verdict(),
            reasons: &judgement.reasons,
            groups: &judgement.groups,
            runs: &judgement.runs,
            verified: &input.verified,
            sequences: input.sequences.iter().map(Sequence::shown).collect(),
        }
    }
}

/// Writes a gate's verdict for people.
///
/// # Errors
/// When it cannot be written.
pub fn write_gate(out: &mut impl Write, gate: &GateRecord<'_>) -> io::Result<()> {
    let GateRecord { spec, verdict, reasons, groups, runs, .. } = gate;
    writeln!(out, "{}: {}", printable(spec), verdict.name())?;
    for reason in *reasons {
        writeln!(out, "  {}", escape_to_one_line(&reason.message))?;
    }
    if *verdict == GateVerdict::Open {
        let newest = runs.first().map_or("", String::as_str);
        let whole = format_count(runs.len() as u64, "whole run");
        writeln!(out, "  {whole} complete and clean, the newest {}", printable(newest))?;
    }
    if groups.len() > 1 {
        for GroupVerdict { group, verdict } in *groups {
            writeln!(out, "group {}: {}", escape_to_one_line(group), verdict.name())?;
        }
    }
    out.flush()
}
