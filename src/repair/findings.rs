//! A findings file, as `compare --report FILE.jsonl` writes it: which keys somebody wants repaired.
//!
//! Only names and keys are taken from it: every value is read again. A file that ends before its
//! summary, or that tells of another spec, is refused whole.

use serde_json::{Map, Value};

use crate::finding::Kind;

/// Where rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedPlace {
    /// One key, its fields in the order of the names given.
    Key(Vec<String>),
    /// All keys after one and through another; nothing is an open end.
    Range(Option<Vec<String>>, Option<Vec<String>>),
}

/// A finding to be repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The mapping.
    pub mapping: String,
    /// What was found.
    pub kind: Kind,
    /// Where.
    pub place: WantedPlace,
    /// The group that the finding speaks of, where there are groups.
    pub group: Option<Option<String>>,
    /// Whether a range holds rows that other findings speak of.
    pub partial: bool,
}

/// Why a file is refused, as a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// Reads a file line by line.
#[derive(Debug)]
pub struct ReportReader<'s> {
    spec: &'s str,
    hash: &'s str,
    scope: &'s str,
    ours: bool,
    run: Option<String>,
    ended: bool,
    /// Whether the run says of itself that it is complete.
    pub complete: bool,
    /// Findings that cannot be repaired from here, by mapping and reason.
    pub left_out: Vec<(String, &'static str, u64)>,
}

impl<'s> ReportReader<'s> {
    /// Reads findings of this spec, as it is now.
    pub fn new(spec: &'s str, hash: &'s str, scope: &'s str) -> ReportReader<'s> {
        ReportReader {
            spec,
            hash,
            scope,
            ours: false,
            run: None,
            ended: false,
            complete: false,
            left_out: Vec::new(),
        }
    }

    /// Takes a line in. `key` gives the pairs of a mapping's key, in order.
    ///
    /// # Errors
    /// Why the file is refused.
    pub fn line<'k>(
        &mut self,
        line: &str,
        key: impl Fn(&str) -> Option<&'k [String]>,
    ) -> Result<Option<Wanted>, Refused> {
        let refuse = |why: &str| Err(Refused(why.to_owned()));
        let Ok(Value::Object(record)) = serde_json::from_str::<Value>(line) else {
            return refuse(
                "a line of it is not a JSON object: it is no .jsonl report, or it was cut off",
            );
        };
        if record.get("version").and_then(Value::as_u64) != Some(1) {
            return refuse("it is not version 1 of the format");
        }
        match text(&record, "type") {
            Some("run") => self.begins(&record),
            Some("finding") if self.ours => self.finding(&record, key),
            Some("summary") => {
                if self.ours {
                    self.ended = true;
                    self.complete = record.get("complete") == Some(&Value::Bool(true));
                }
                self.ours = false;
                Ok(None)
            }
            Some("finding" | "undecided" | "mapping") => Ok(None),
            _ => refuse("it holds a record of an unknown type"),
        }
    }

    fn begins(&mut self, record: &Map<String, Value>) -> Result<Option<Wanted>, Refused> {
        if self.ours {
            return Err(Refused("a run in it has no end: it was cut off".to_owned()));
        }
        if text(record, "spec") != Some(self.spec) {
            return Ok(None);
        }
        if self.run.is_some() {
            return Err(Refused("it holds two runs of this spec".to_owned()));
        }
        if text(record, "spec_hash") != Some(self.hash) {
            return Err(Refused("the spec was changed since that run".to_owned()));
        }
        if text(record, "scope") != Some(self.scope) {
            return Err(Refused("that run had other parameters".to_owned()));
        }
        self.ours = true;
        self.run = text(record, "run").map(str::to_owned);
        Ok(None)
    }

    fn finding<'k>(
        &mut self,
        record: &Map<String, Value>,
        key: impl Fn(&str) -> Option<&'k [String]>,
    ) -> Result<Option<Wanted>, Refused> {
        let bad = || Refused("a finding in it is not one of this program's".to_owned());
        let mapping = text(record, "mapping").ok_or_else(bad)?;
        let Some(names) = key(mapping) else {
            return Err(Refused(format!("the spec has no mapping \"{mapping}\"")));
        };
        let rows = record.get("rows").and_then(Value::as_u64).unwrap_or(1);
        let mut leave = |why| {
            self.left_out.push((mapping.to_owned(), why, rows));
            Ok(None)
        };
        if text(record, "disposition") == Some("accepted") {
            return leave("accepted");
        }
        if text(record, "disposition") == Some("unsettled") {
            return leave("that kept changing");
        }
        let kind = match text(record, "kind") {
            Some("only_in_source") => Kind::OnlyInSource,
            Some("only_in_target") => Kind::OnlyInTarget,
            Some("mismatch") => Kind::Mismatch,
            Some("duplicate_key") => return leave("of a key that several rows have"),
            Some("null_key") => return leave("with a NULL in the key"),
            _ => return Err(bad()),
        };
        let fields = |key: &Value| -> Result<Vec<String>, Refused> {
            let field = |name: &String| key.get(name).and_then(Value::as_str).map(str::to_owned);
            names.iter().map(|name| field(name).ok_or_else(bad)).collect()
        };
        let place = match (record.get("key"), record.get("range")) {
            (Some(key), None) => WantedPlace::Key(fields(key)?),
            (None, Some(range)) => {
                let end = |name| match range.get(name) {
                    Some(Value::Null) => Ok(None),
                    Some(key) => fields(key).map(Some),
                    None => Err(bad()),
                };
                WantedPlace::Range(end("after")?, end("through")?)
            }
            _ => return Err(bad()),
        };
        let group = record.get("group").map(|group| group.as_str().map(str::to_owned));
        let partial = record.contains_key("range_rows");
        Ok(Some(Wanted { mapping: mapping.to_owned(), kind, place, group, partial }))
    }

    /// The run that the file tells of.
    ///
    /// # Errors
    /// Why the file is refused.
    pub fn finish(&self) -> Result<&str, Refused> {
        match (&self.run, self.ended) {
            (Some(run), true) => Ok(run),
            (Some(_), false) => Err(Refused("it has no summary: it was cut off".to_owned())),
            (None, _) => Err(Refused(format!("it tells of no run of spec \"{}\"", self.spec))),
        }
    }
}

fn text<'r>(record: &'r Map<String, Value>, name: &str) -> Option<&'r str> {
    record.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str =
        r#"{"type":"run","version":1,"run":"R","spec":"s","spec_hash":"h","scope":"c"}"#;
    const END: &str = r#"{"type":"summary","version":1,"complete":true}"#;

    fn read(lines: &[&str]) -> Result<Vec<Wanted>, String> {
        let names = ["id".to_owned()];
        let mut reader = ReportReader::new("s", "h", "c");
        let key = |name: &str| (name == "m").then_some(&names[..]);
        let wanted: Result<Vec<_>, _> = lines.iter().map(|line| reader.line(line, key)).collect();
        let wanted = wanted.map_err(|refused| refused.0)?;
        reader.finish().map_err(|refused| refused.0)?;
        Ok(wanted.into_iter().flatten().collect())
    }

    #[test]
    fn keys_and_ranges_are_wanted_and_accepted_rows_are_not() {
        let finding = |more: &str| {
            format!(
                r#"{{"type":"finding","version":1,"mapping":"m","kind":"only_in_source",{more}}}"#
            )
        };
        let lines = [
            finding(r#""disposition":"confirmed","key":{"id":"4"},"columns":{}"#),
            finding(r#""disposition":"accepted","key":{"id":"5"}"#),
            finding(
                r#""range":{"after":null,"through":{"id":"9"}},"rows":7,"range_rows":9,"group":null"#,
            ),
        ];
        let wanted = read(&[RUN, &lines[0], &lines[1], &lines[2], END]).unwrap();
        assert_eq!(wanted.len(), 2);
        assert_eq!(wanted[0].place, WantedPlace::Key(vec!["4".into()]));
        assert_eq!(wanted[1].place, WantedPlace::Range(None, Some(vec!["9".into()])));
        assert_eq!((wanted[1].partial, &wanted[1].group), (true, &Some(None)));
    }

    #[test]
    fn what_is_cut_off_or_of_another_spec_is_refused() {
        for (lines, why) in [
            (&[RUN][..], "no summary"),
            (&[RUN, "{\"type\":\"find"], "not a JSON object"),
            (&[END], "no run of spec"),
            (&[&RUN.replace("\"h\"", "\"x\""), END], "the spec was changed"),
            (&[&RUN.replace("\"c\"", "\"x\""), END], "other parameters"),
            (&[&RUN.replace(":1", ":2"), END], "version"),
            (&["mapping,kind"], "not a JSON object"),
        ] {
            let said = read(lines).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
