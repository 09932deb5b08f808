//! The self-test of the row hash: pairs of small constant tables that every run hashes first.
//!
//! A server whose hash does not see one of these differences must not compute digests: it would report
//! differing tables as clean. The vectors run on the live servers, with the expressions that compare
//! rows, so that no build, fork, extension or later version is trusted unseen. And since the tables hold
//! every type in each form that enters a row hash, two servers with equal results hash alike.

use super::canonical_form::CanonicalForm;
use crate::schema::{Builtin, DigestTrust};
use crate::spec::Precision;

/// A self-test vector: two tables of constants, written as rows of literals.
#[derive(Clone, Copy, Debug)]
pub struct SelfTestVector {
    /// The difference between the tables, in words.
    pub what: &'static str,
    /// The columns: the canonical form of each, and the type of its literals.
    pub columns: &'static [(CanonicalForm, &'static str)],
    /// One table and the other.
    pub tables: [&'static [&'static [Option<&'static str>]]; 2],
    /// Whether the tables differ; otherwise they are equal, and their hashes must be too.
    pub differ: bool,
}

macro_rules! vector {
    ($what:literal, [$($form:expr => $type:literal),+], $left:expr, $right:expr, $differ:literal) => {
        SelfTestVector {
            what: $what,
            columns: &[$(($form, $type)),+],
            tables: [$left, $right],
            differ: $differ,
        }
    };
}

/// One column, one row a table.
macro_rules! one {
    ($what:literal, $form:expr, $type:literal, $left:literal, $right:literal) => {
        vector!($what, [$form => $type], &[&[Some($left)]], &[&[Some($right)]], true)
    };
}

/// The same where both tables are equal.
macro_rules! equal {
    ($what:literal, $form:expr, $type:literal, $left:literal, $right:literal) => {
        vector!($what, [$form => $type], &[&[Some($left)]], &[&[Some($right)]], false)
    };
}

/// A time truncated to milliseconds.
const fn ms(builtin: Builtin) -> CanonicalForm {
    CanonicalForm::Truncated(builtin, Precision::Milliseconds)
}

/// A time truncated to seconds.
const fn s(builtin: Builtin) -> CanonicalForm {
    CanonicalForm::Truncated(builtin, Precision::Seconds)
}

/// All self-test vectors.
pub const SELF_TEST_VECTORS: &[SelfTestVector] = {
    use Builtin as B;
    use CanonicalForm as C;
    &[
        one!("the sign of a numeric", C::As(B::Numeric), "numeric", "5.25", "-5.25"),
        one!("NaN and infinity", C::TrimmedNumeric, "numeric", "NaN", "Infinity"),
        one!("2^32 added to an int8", C::As(B::Int8), "int8", "-5", "4294967291"),
        one!(
            "2^32 microseconds",
            C::As(B::Timestamp),
            "timestamp",
            "2000-01-01 00:00:00.000001",
            "2000-01-01 01:11:34.967296"
        ),
        one!(
            "2^32 microseconds of a moment",
            C::As(B::TimestampTz),
            "timestamptz",
            "2000-01-01 00:00:00.000001+00",
            "2000-01-01 01:11:34.967296+00"
        ),
        one!("a time", C::As(B::Time), "time", "24:00:00", "00:00:00"),
        one!("a time's zone", C::As(B::TimeTz), "timetz", "10:00:00+00", "11:00:00+01"),
        one!("a day and 24 hours", C::As(B::Interval), "interval", "1 day", "24:00:00"),
        one!("2^32 cents", C::As(B::Money), "money", "0.01", "42949672.96"),
        one!("2^32 in a log position", C::As(B::PgLsn), "pg_lsn", "0/1", "1/0"),
        one!("2^32 transactions", C::As(B::Xid8), "xid8", "1", "4294967296"),
        one!("a float's last bit", C::Float(B::Float8), "float8", "0.1", "0.10000000000000002"),
        one!("a short float's last bit", C::Float(B::Float4), "float4", "0.1", "0.10000001"),
        one!("a truth", C::As(B::Bool), "bool", "true", "false"),
        one!("a small integer", C::As(B::Int2), "int2", "1", "-1"),
        one!("an integer", C::As(B::Int4), "int4", "1", "-1"),
        one!("a date", C::As(B::Date), "date", "2026-11-22", "2026-11-23"),
        one!("an address and its network", C::As(B::Inet), "inet", "10.0.0.1/32", "10.0.0.1/31"),
        one!("a network", C::As(B::Cidr), "cidr", "10.0.0.0/8", "10.0.0.0/9"),
        one!(
            "a hardware address",
            C::As(B::MacAddr),
            "macaddr",
            "08:00:2b:01:02:03",
            "08:00:2b:01:02:04"
        ),
        one!(
            "a longer hardware address",
            C::As(B::MacAddr8),
            "macaddr8",
            "08:00:2b:ff:fe:01:02:03",
            "08:00:2b:ff:fe:01:02:04"
        ),
        one!(
            "a uuid",
            C::As(B::Uuid),
            "uuid",
            "0188a1f2-3c4d-7e5f-8a6b-9c0d1e2f3a4b",
            "0188a1f2-3c4d-7e5f-8a6b-9c0d1e2f3a4c"
        ),
        one!("bytes", C::As(B::Bytea), "bytea", "\\x00ff10", "\\x00ff1000"),
        one!("a range's sign", C::As(B::NumRange), "numrange", "[1,2)", "[-1,2)"),
        one!(
            "2^32 in a range",
            C::As(B::Int8Range),
            "int8range",
            "[1,9)",
            "[4294967296,4294967299)"
        ),
        one!("a blank at the end", C::Text, "text", "a", "a "),
        one!("a padded text", C::As(B::Bpchar), "bpchar", "a", "b"),
        one!("the depth of an array", C::Rendered, "int4[]", "{1,2}", "{{1,2}}"),
        one!(
            "elements of jsonb 32 places apart",
            C::Rendered,
            "jsonb",
            "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32]",
            "[32,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,0]"
        ),
        vector!("NULL and an empty text", [C::Text => "text"], &[&[None]], &[&[Some("")]], true),
        vector!(
            "NULL and zero",
            [C::Float(B::Float8) => "float8"],
            &[&[None]],
            &[&[Some("0")]],
            true
        ),
        vector!(
            "a letter that moved to the next column",
            [C::Text => "text", C::Text => "text"],
            &[&[Some("a"), Some("bc")]],
            &[&[Some("ab"), Some("c")]],
            true
        ),
        vector!(
            "a value swapped between two rows",
            [C::As(B::Int4) => "int4", C::Text => "text"],
            &[&[Some("1"), Some("a")], &[Some("2"), Some("b")]],
            &[&[Some("1"), Some("b")], &[Some("2"), Some("a")]],
            true
        ),
        vector!(
            "two equal rows instead of two others",
            [C::Text => "text"],
            &[&[Some("a")], &[Some("a")]],
            &[&[Some("b")], &[Some("b")]],
            true
        ),
        vector!(
            "zeros at the end of a numeric",
            [C::TrimmedNumeric => "numeric"],
            &[&[Some("1.0")]],
            &[&[Some("1.00")]],
            false
        ),
        vector!(
            "the sign of zero",
            [C::Float(B::Float8) => "float8", C::Float(B::Float4) => "float4"],
            &[&[Some("-0"), Some("-0")]],
            &[&[Some("0"), Some("0")]],
            false
        ),
        equal!("blanks that only pad", C::Text, "bpchar", "a ", "a"),
        // The forms of the rules: which differences they ignore, and which they do not.
        one!("a value within JSON", C::JsonbText, "json", "{\"a\":1}", "{\"a\":\"1\"}"),
        equal!(
            "the order of JSON's keys",
            C::JsonbText,
            "json",
            "{\"a\": 1, \"b\": 2}",
            "{\"b\":2,\"a\":1}"
        ),
        one!("the order of an array", C::ArrayText(B::Int8), "int4[]", "{1,2}", "{2,1}"),
        one!("a blank within a text", C::TrimmedText, "text", "a b", "ab"),
        equal!("blanks around a text", C::TrimmedText, "text", " a\t\n", "a"),
        one!("a letter in either case", C::LowerText, "text", "a", "b"),
        equal!("the case of a letter", C::LowerText, "text", "A", "a"),
        one!("a text where there may be none", C::NullAsEmpty, "text", "", "a"),
        vector!("NULL for an empty text", [C::NullAsEmpty => "text"], &[&[None]], &[&[Some("")]], false),
        one!("the second place of a number", C::Rounded(2), "numeric", "1.01", "1.02"),
        one!("half of the second place", C::Rounded(2), "numeric", "1.005", "1.0049"),
        equal!("the third place of a number", C::Rounded(2), "numeric", "1.012", "1.009"),
        one!(
            "a millisecond",
            ms(B::Timestamp),
            "timestamp",
            "2026-01-01 10:00:00.001",
            "2026-01-01 10:00:00.002"
        ),
        equal!(
            "microseconds",
            ms(B::Timestamp),
            "timestamp",
            "2026-01-01 10:00:00.001",
            "2026-01-01 10:00:00.001999"
        ),
        one!(
            "a second",
            s(B::Timestamp),
            "timestamp",
            "2026-01-01 10:00:01",
            "2026-01-01 10:00:02"
        ),
        equal!(
            "milliseconds",
            s(B::Timestamp),
            "timestamp",
            "2026-01-01 10:00:01",
            "2026-01-01 10:00:01.999"
        ),
        one!(
            "a moment's millisecond",
            ms(B::TimestampTz),
            "timestamptz",
            "2026-01-01 10:00:00.001+00",
            "2026-01-01 10:00:00.002+00"
        ),
        equal!(
            "a moment's microseconds",
            ms(B::TimestampTz),
            "timestamptz",
            "2026-01-01 10:00:00.001+00",
            "2026-01-01 11:00:00.001999+01"
        ),
        one!(
            "a moment's second",
            s(B::TimestampTz),
            "timestamptz",
            "2026-01-01 10:00:01+00",
            "2026-01-01 10:00:02+00"
        ),
        equal!(
            "a moment's milliseconds",
            s(B::TimestampTz),
            "timestamptz",
            "2026-01-01 10:00:01+00",
            "2026-01-01 11:00:01.999+01"
        ),
        one!("a time's millisecond", ms(B::Time), "time", "10:00:00.001", "10:00:00.002"),
        equal!("a time's microseconds", ms(B::Time), "time", "10:00:00.001", "10:00:00.001999"),
        one!("a time's second", s(B::Time), "time", "00:00:00", "24:00:00"),
        equal!("a time's milliseconds", s(B::Time), "time", "10:00:01", "10:00:01.999"),
        one!(
            "a zoned time's millisecond",
            ms(B::TimeTz),
            "timetz",
            "10:00:00.001+00",
            "10:00:00.001+01"
        ),
        equal!(
            "a zoned time's microseconds",
            ms(B::TimeTz),
            "timetz",
            "10:00:00.001+01",
            "10:00:00.001999+01"
        ),
        one!("a zoned time's second", s(B::TimeTz), "timetz", "10:00:01+00", "10:00:02+00"),
        equal!(
            "a zoned time's milliseconds",
            s(B::TimeTz),
            "timetz",
            "10:00:01+01",
            "10:00:01.999+01"
        ),
        one!(
            "an interval's millisecond",
            ms(B::Interval),
            "interval",
            "1 day",
            "1 day 00:00:00.001"
        ),
        equal!(
            "an interval's microseconds",
            ms(B::Interval),
            "interval",
            "1 day",
            "1 day 00:00:00.000999"
        ),
        one!("an interval's second", s(B::Interval), "interval", "1 day", "24:00:00"),
        equal!(
            "an interval's milliseconds",
            s(B::Interval),
            "interval",
            "00:00:01",
            "00:00:01.999"
        ),
    ]
};

/// Checks the sums of all tables, two for each vector, in order.
pub fn judge_self_test(sums: &[(&str, &str)]) -> DigestTrust {
    for (vector, (left, right)) in SELF_TEST_VECTORS.iter().zip(sums) {
        if (left != right) != vector.differ {
            let how = if vector.differ { "does not see" } else { "stumbles over" };
            return DigestTrust::Blind(format!("its row hash {how} {}", vector.what));
        }
    }
    if sums.len() != SELF_TEST_VECTORS.len() {
        return DigestTrust::Blind("it did not hash every vector".to_owned());
    }
    DigestTrust::Probe(sums.iter().map(|(left, _)| *left).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::DigestForm;
    use crate::schema::Builtin as B;

    #[test]
    fn a_server_that_fails_one_vector_is_blind() {
        let right: Vec<_> = SELF_TEST_VECTORS
            .iter()
            .map(|c| if c.differ { ("1", "2") } else { ("1", "1") })
            .collect();
        assert!(matches!(judge_self_test(&right), DigestTrust::Probe(_)));
        for place in 0..right.len() {
            let mut wrong = right.clone();
            wrong[place] = if SELF_TEST_VECTORS[place].differ { ("1", "1") } else { ("1", "2") };
            let DigestTrust::Blind(why) = judge_self_test(&wrong) else { panic!("{place}") };
            assert!(why.contains(SELF_TEST_VECTORS[place].what));
        }
        assert!(matches!(judge_self_test(&right[1..]), DigestTrust::Blind(_)));
    }

    /// A rule's canonical form could hide differences as well as its hash could: each is tested for
    /// differences that it must see, and for those that it must ignore.
    #[test]
    fn every_canonical_form_of_a_rule_is_tested_both_ways() {
        let times = [B::Timestamp, B::TimestampTz, B::Time, B::TimeTz, B::Interval];
        let of_times = times.into_iter().flat_map(|time| [ms(time), s(time)]);
        let of_rules = [
            CanonicalForm::JsonbText,
            CanonicalForm::TrimmedText,
            CanonicalForm::LowerText,
            CanonicalForm::NullAsEmpty,
        ];
        let tried = |form: CanonicalForm, differ| {
            let vectors = SELF_TEST_VECTORS.iter().filter(|vector| vector.differ == differ);
            vectors.into_iter().any(|vector| vector.columns.iter().any(|(c, _)| *c == form))
        };
        for form in of_times.chain(of_rules).chain([CanonicalForm::Rounded(2)]) {
            assert!(tried(form, true) && tried(form, false), "{form:?}");
        }
        assert!(tried(CanonicalForm::ArrayText(B::Int8), true));
    }

    #[test]
    fn every_function_of_a_row_hash_is_tested() {
        let tried = |digest: DigestForm| {
            SELF_TEST_VECTORS
                .iter()
                .any(|vector| vector.columns.iter().any(|(form, _)| form.digest_form() == digest))
        };
        for oid in 0..6000 {
            let Some(builtin) = Builtin::from_oid(oid) else { continue };
            let form = crate::plan::common_type::form_of(builtin).digest_form();
            assert!(tried(form), "{builtin:?}");
        }
    }
}
