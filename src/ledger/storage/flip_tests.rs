//! Tests that flip every byte of every stored value, one by one. Each row verifies as it was written, and
//! no row with another byte. Decoding flipped bytes never panics.

#[cfg(test)]
mod tests {
    use super::super::stored_row::{LedgerWrite, StoredRow, StoredValue, values};
    use crate::chunks::{PriorChunkState, StoredOutcome};
    use crate::compare::{CandidateKey, PartCounts, RangeComparison};
    use crate::event::Event;
    use crate::finding::{
        Finding, MappingRecord, NamedValues, RangeText, Ruling, RunRecord, SummaryRecord,
        Undecided, Verdict,
    };
    use crate::ledger::checkpoint::StoredChunks;
    use crate::ledger::checksum::{ChecksummedTable, Checksums};
    use crate::ledger::redaction::decode;
    use crate::ledger::{Location, Recorder, ReplayOutcome, Store, StoredBlockScan};
    use crate::row::{Bound, Coverage, Digest, Key, KeyRange};
    use crate::schema::{BySide, Side};

    fn bound(number: i32) -> Option<Bound> {
        let key = Key::new([&number.to_be_bytes()[..]]);
        Some(Bound { key, text: [number.to_string()].into() })
    }

    fn named() -> NamedValues<String> {
        NamedValues(vec![("id".to_owned(), "42".to_owned())])
    }

    /// Returns a finding as it is written.
    fn finding() -> Finding {
        let text = r#"{"type":"finding","version":1,"mapping":"t","kind":"mismatch",
        "disposition":"confirmed","key":{"id":"42"},"columns":{"v":{"source":"a","target":null}},
        "first_seen":"2026-11-22T06:00:00Z","last_seen":"2026-11-22T06:00:00Z","runs":1}"#;
        serde_json::from_str(text).unwrap()
    }

    /// Returns a chunk with every kind of difference.
    fn compared() -> RangeComparison {
        let key = Key::new([&42_i32.to_be_bytes()[..]]);
        RangeComparison {
            rows: BySide { source: 9, target: 8 },
            matched: 8,
            candidates: vec![CandidateKey { key, image: BySide::default() }],
            one_sided: Some((Side::Target, Digest::default())),
            ..RangeComparison::default()
        }
    }

    /// Returns a recorder whose run has a row in every table, and has not ended.
    async fn recorder(folder: &std::path::Path) -> Recorder {
        let store = Store::create(&Location::File(folder.join("x.db"))).await.unwrap();
        let mut recorder = Recorder::new(store, "compare");
        recorder.set_run_fingerprint("{\"asked\":\"all\"}".to_owned());
        let run = RunRecord::new("01J".into(), "test", "h".into(), "s".into(), named());
        recorder.record_events(&mut [Event::RunStarted(run)]).await;
        let range = KeyRange { after: bound(1), through: bound(100) };
        recorder.record_chunk("t", (0, &range, 100), StoredOutcome::Compared(&compared()));
        let parts = PartCounts::default();
        recorder.record_ruling("t", &Some(1_u8), &(Side::Source, &parts));
        recorder.record_block_scan("t", &(1_u64, "state"));
        recorder.record_coverage("t", "id", &Coverage::nothing(7));
        let range = RangeText { after: Some(named()), through: None };
        let undecided = Undecided::new("t", range, "slow".to_owned());
        let mut events = [
            Event::Finding { mapping: 0, finding: finding() },
            Event::Undecided(undecided),
            Event::MappingFinished {
                mapping: 0,
                record: Box::new(MappingRecord::new("t", "digest")),
            },
        ];
        recorder.record_events(&mut events).await;
        let params = values![1_i64, "t", 0_i64, &b"range"[..]];
        let covered = params.iter().cloned().chain(values![0_i64, 0_i64]).collect::<Vec<_>>();
        let checksum = recorder.store().checksums().of(ChecksummedTable::Shard, "01J", &covered);
        let params = params.into_iter().chain(values![&checksum[..]]).collect();
        let statement =
            "insert into shard (run, mapping, place, range, checksum) values ($1, $2, $3, $4, $5)";
        recorder.store().write_all(vec![LedgerWrite { statement, params }]).await.unwrap();
        assert!(recorder.problem().is_none());
        recorder
    }

    /// Returns the statements that read each table's rows, and the id of their run.
    fn reads() -> Vec<(ChecksummedTable, &'static str, &'static str, Vec<StoredValue>)> {
        let of_run = |place: bool| {
            let place = place.then_some(StoredValue::Int(i64::MIN));
            [StoredValue::Int(1)].into_iter().chain(place).collect::<Vec<_>>()
        };
        let of_mapping = || values![1_i64, "t"];
        vec![
            (
                ChecksummedTable::Secret,
                "",
                include_str!("../statements/find_secret.sql"),
                values!["redact"],
            ),
            (
                ChecksummedTable::Run,
                "01J",
                include_str!("../statements/run_of_number.sql"),
                of_run(false),
            ),
            (
                ChecksummedTable::Mapping,
                "01J",
                include_str!("../statements/mappings_of_run.sql"),
                of_run(false),
            ),
            (
                ChecksummedTable::Undecided,
                "01J",
                include_str!("../statements/undecided_of_run.sql"),
                of_run(true),
            ),
            (
                ChecksummedTable::Finding,
                "01J",
                include_str!("../statements/findings_of_run.sql"),
                of_run(true),
            ),
            (
                ChecksummedTable::Terms,
                "01J",
                include_str!("../statements/terms_of_run.sql"),
                values!["01J"],
            ),
            (
                ChecksummedTable::Chunk,
                "01J",
                include_str!("../statements/outcome_of_chunk.sql"),
                values![1_i64, "t", 0_i64],
            ),
            (
                ChecksummedTable::Shard,
                "01J",
                "select run, mapping, place, range, 0, 0, checksum from shard",
                Vec::new(),
            ),
            (
                ChecksummedTable::Ruling,
                "01J",
                include_str!("../statements/rulings_of_mapping.sql"),
                of_mapping(),
            ),
            (
                ChecksummedTable::Pass,
                "01J",
                include_str!("../statements/pass_of_mapping.sql"),
                of_mapping(),
            ),
            (
                ChecksummedTable::Coverage,
                "",
                include_str!("../statements/coverage_of_mapping.sql"),
                values!["s", "t"],
            ),
        ]
    }

    /// Returns a value with one bit flipped, for each of its bytes. A text may become bytes.
    fn flipped(value: &StoredValue) -> Vec<StoredValue> {
        let bytes = match value {
            StoredValue::Null => {
                return vec![StoredValue::Int(0), StoredValue::Text(String::new())];
            }
            StoredValue::Int(number) => number.to_le_bytes().to_vec(),
            StoredValue::Text(text) => text.clone().into_bytes(),
            StoredValue::Bytes(bytes) => bytes.clone(),
        };
        let flip = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            match value {
                StoredValue::Int(_) => {
                    StoredValue::Int(i64::from_le_bytes(bytes.try_into().unwrap()))
                }
                StoredValue::Text(_) => match String::from_utf8(bytes) {
                    Ok(text) => StoredValue::Text(text),
                    Err(error) => StoredValue::Bytes(error.into_bytes()),
                },
                _ => StoredValue::Bytes(bytes),
            }
        };
        (0..bytes.len()).map(flip).collect()
    }

    /// Decodes a value as each type that it may have.
    fn decode_all(value: &StoredValue) {
        match value {
            StoredValue::Bytes(bytes) => {
                let _ = decode::<KeyRange>(bytes);
                let _ = decode::<(KeyRange, String)>(bytes);
                let _ = decode::<RangeComparison>(bytes);
                let _ = decode::<String>(bytes);
                let _ = decode::<Option<Key>>(bytes);
                let _ = decode::<(Option<Key>, (Side, Option<Key>, Ruling, PartCounts))>(bytes);
            }
            StoredValue::Text(text) => {
                let _ = serde_json::from_str::<RunRecord>(text);
                let _ = serde_json::from_str::<SummaryRecord>(text);
                let _ = serde_json::from_str::<MappingRecord>(text);
                let _ = serde_json::from_str::<Finding>(text);
                let _ = serde_json::from_str::<Undecided>(text);
            }
            StoredValue::Null | StoredValue::Int(_) => {}
        }
    }

    #[tokio::test]
    async fn every_flipped_byte_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path()).await;
        let store = recorder.store();
        let mut bytes = 0;
        for (table, run, statement, params) in reads() {
            let rows = store.rows(statement, params).await.unwrap();
            assert_eq!(rows.len(), 1, "{table}");
            let of_secret = |row: &StoredRow| match table {
                ChecksummedTable::Secret => row.bytes("value").map(Checksums::of_secret).ok(),
                _ => Some(store.checksums().clone()),
            };
            let verify = |row: &StoredRow| {
                of_secret(row).is_some_and(|checksums| checksums.verify(table, run, row).is_ok())
            };
            assert!(verify(&rows[0]), "{table}");
            for (at, value) in rows[0].values().iter().enumerate() {
                for other in flipped(value) {
                    decode_all(&other);
                    let row = rows[0].with(at, other);
                    assert!(!verify(&row), "{table} {at}: {row:?}");
                    bytes += 1;
                }
            }
        }
        assert!(bytes > 1_500, "{bytes}");
    }

    /// A finished run has the counts of its rows, so that a missing row is detected.
    #[tokio::test]
    async fn a_missing_row_is_detected() {
        for table in ["finding", "undecided", "mapping"] {
            let folder = tempfile::tempdir().unwrap();
            let mut recorder = recorder(folder.path()).await;
            let ended = Event::RunFinished(SummaryRecord::new(Verdict::Incomplete, 1));
            recorder.record_events(&mut [ended]).await;
            assert!(recorder.problem().is_none());
            let damaged = async || {
                let outcome = recorder.store().replay("test", None, |_| {}).await.unwrap();
                let history = recorder.store().read_history("test").await.unwrap();
                (outcome, history.runs[0].damaged)
            };
            assert_eq!(damaged().await, (ReplayOutcome::Replayed, false));
            let sql = format!("update {table} set run = 2");
            rusqlite::Connection::open(folder.path().join("x.db"))
                .unwrap()
                .execute(&sql, [])
                .unwrap();
            let read = damaged().await;
            assert_eq!(read, (ReplayOutcome::Damaged("01J".to_owned()), true), "{table}");
        }
    }

    #[tokio::test]
    async fn damaged_checkpoints_of_a_resumed_run_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path()).await;
        let range = KeyRange { after: bound(100), through: None };
        recorder.record_chunk("t", (1, &range, 50), StoredOutcome::Skipped);
        let mut waits = [Event::Undecided(Undecided::new(
            "t",
            RangeText { after: None, through: None },
            "slow".to_owned(),
        ))];
        tokio::time::sleep(recorder.time_until_due().unwrap()).await;
        recorder.record_events(&mut waits).await;
        let StoredChunks { sound, damaged } = recorder.read_chunks("t").await.unwrap();
        assert_eq!((sound.len(), damaged.len()), (2, 0));
        assert_eq!(recorder.read_outcome("t", 0).await.unwrap(), compared());
        let sql =
        "update chunk set matched = matched + 1 where place = 0; update ruling set mapping = 'u';
               update pass set state = x'00'";
        let file = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
        file.execute_batch(sql).unwrap();
        let StoredChunks { sound, damaged } = recorder.read_chunks("t").await.unwrap();
        assert_eq!((sound.len(), damaged), (1, vec![0]));
        assert_eq!(sound[0].state, PriorChunkState::Skipped);
        assert!(recorder.read_outcome("t", 0).await.is_err());
        for (mapping, damaged) in [("t", 0), ("u", 1)] {
            let rulings =
                recorder.read_rulings::<Option<u8>, (Side, PartCounts)>(mapping).await.unwrap();
            assert_eq!((rulings.0.len(), rulings.1), (0, damaged));
        }
        let pass = recorder.read_block_scan::<(u64, String)>("t").await.unwrap();
        assert!(matches!(pass, StoredBlockScan::Damaged), "{pass:?}");
    }

    mod decoders {
        use proptest::prelude::*;

        use super::*;
        use crate::ledger::redaction::encode;

        fn key() -> impl Strategy<Value = Key> {
            let field = prop::collection::vec(any::<u8>(), 0..40);
            prop::collection::vec(field, 0..4)
                .prop_map(|fields| Key::new(fields.iter().map(Vec::as_slice)))
        }

        fn end() -> impl Strategy<Value = Option<Bound>> {
            let bound = (key(), prop::collection::vec(".{0,9}", 0..3));
            prop::option::of(bound.prop_map(|(key, text)| Bound { key, text: text.into() }))
        }

        fn range() -> impl Strategy<Value = KeyRange> {
            (end(), end()).prop_map(|(after, through)| KeyRange { after, through })
        }

        /// Checks that bytes are refused, or decoded as a value that is encoded as it was read.
        fn read<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
            bytes: &[u8],
        ) {
            if let Ok(value) = decode::<T>(bytes) {
                assert_eq!(decode::<T>(&encode(&value)).unwrap(), value);
            }
        }

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn random_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
                decode_all(&StoredValue::Bytes(bytes.clone()));
                read::<KeyRange>(&bytes);
                read::<RangeComparison>(&bytes);
                read::<Option<Key>>(&bytes);
                if let Ok(key) = decode::<Key>(&bytes) {
                    prop_assert_eq!(Key::new(key.fields()), key.clone());
                }
                decode_all(&StoredValue::Text(String::from_utf8_lossy(&bytes).into_owned()));
            }

            #[test]
            fn cut_and_flipped_bytes_are_decoded_or_refused(
                range in range(),
                cut in any::<prop::sample::Index>(),
                flip in any::<prop::sample::Index>(),
                bit in 0..8_u32,
            ) {
                let mut bytes = encode(&(&range, "id"));
                prop_assert!(decode::<(KeyRange, String)>(&bytes).unwrap() == (range, "id".to_owned()));
                prop_assert!(decode::<(KeyRange, String)>(&bytes[..cut.index(bytes.len())]).is_err());
                let at = flip.index(bytes.len());
                bytes[at] ^= 1 << bit;
                decode_all(&StoredValue::Bytes(bytes));
            }

            #[test]
            fn stretches_that_do_not_tile_are_no_coverage(
                ranges in prop::collection::vec(range(), 0..4),
                rows in any::<u64>(),
            ) {
                let stretch = |range: &KeyRange| crate::row::CoveredRange {
                    range: range.clone(),
                    rows,
                    verified: None,
                };
                let coverage = Coverage::of(ranges.iter().map(stretch).collect());
                if let Some(coverage) = coverage {
                    prop_assert!(coverage.shares().share(|_| true) >= 0.0);
                    prop_assert!(ranges[0].after.is_none() && ranges[ranges.len() - 1].through.is_none());
                }
            }

            #[test]
            fn groups_of_any_size_are_read_or_refused(
                rows in prop::collection::vec((prop::option::of("[ab]"), any::<u64>()), 0..5),
                beyond in any::<u64>(),
            ) {
                let listed: Vec<_> =
                    rows.into_iter().map(|(group, rows)| (group.map(String::into_bytes), rows)).collect();
                let _ = decode::<crate::row::GroupCounts>(&encode(&(listed, beyond)));
            }

            #[test]
            fn flipped_records_are_read_or_refused(at in any::<prop::sample::Index>(), bit in 0..7_u32) {
                let records = [
                    serde_json::to_string(&finding()).unwrap(),
                    serde_json::to_string(&MappingRecord::new("t", "digest")).unwrap(),
                    serde_json::to_string(&SummaryRecord::new(Verdict::Clean, 7)).unwrap(),
                ];
                for record in records {
                    let mut bytes = record.into_bytes();
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                    decode_all(&StoredValue::Text(String::from_utf8_lossy(&bytes).into_owned()));
                }
            }
        }

        /// Every cut and every flipped bit of what is stored in a binary form, and of every record.
        #[test]
        fn whatever_is_cut_or_flipped_is_read_or_refused() {
            let mut compared = compared();
            let place = compared.groups.place(Some(b"7"));
            compared.groups.add(place, 3);
            let range = KeyRange { after: bound(1), through: bound(100) };
            let key = Some(Key::new([&b"k"[..]]));
            let mut parts = PartCounts::default();
            parts.add(Some(b"7"), None, 4);
            let confirmed = decode::<Ruling>(&[0]).unwrap();
            let run = RunRecord::new("01J".into(), "test", "h".into(), "s".into(), named());
            let undecided = RangeText { after: Some(named()), through: None };
            let undecided = Undecided::new("t", undecided, "slow".to_owned());
            let stored = [
                encode(&(&range, "id")),
                encode(&compared),
                encode(&(&key, (Side::Source, &key, &confirmed, &parts))),
                serde_json::to_vec(&run).unwrap(),
                serde_json::to_vec(&finding()).unwrap(),
                serde_json::to_vec(&undecided).unwrap(),
                serde_json::to_vec(&MappingRecord::new("t", "digest")).unwrap(),
                serde_json::to_vec(&SummaryRecord::new(Verdict::Clean, 7)).unwrap(),
            ];
            let decode_either = |bytes: &[u8]| {
                decode_all(&StoredValue::Bytes(bytes.to_vec()));
                decode_all(&StoredValue::Text(String::from_utf8_lossy(bytes).into_owned()));
            };
            for mut bytes in stored {
                for at in 0..bytes.len() {
                    decode_either(&bytes[..at]);
                    for bit in 0..8 {
                        bytes[at] ^= 1 << bit;
                        decode_either(&bytes);
                        bytes[at] ^= 1 << bit;
                    }
                }
            }
        }

        /// A length that says more than there is takes no memory.
        #[test]
        fn a_length_beyond_the_end_is_refused() {
            let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
            assert!(decode::<Key>(&long).is_err());
            assert!(decode::<String>(&long).is_err());
            let mut compared = encode(&RangeComparison::default());
            let at = compared.len() - 3;
            compared.splice(at..=at, long);
            assert!(decode::<RangeComparison>(&compared).is_err());
            // Nothing may be left behind the end.
            assert!(decode::<u8>(&[7, 0]).is_err());
        }

        #[test]
        fn sums_of_damaged_rows_do_not_overflow() {
            let stretch = |after: Option<i32>, through: Option<i32>| crate::row::CoveredRange {
                range: KeyRange { after: after.and_then(bound), through: through.and_then(bound) },
                rows: u64::MAX,
                verified: None,
            };
            let coverage =
                Coverage::of(vec![stretch(None, Some(5)), stretch(Some(5), None)]).unwrap();
            let mut marked = coverage.clone();
            let order = crate::row::KeyOrder(vec![crate::row::KeyField::Signed]);
            let range = KeyRange { after: bound(2), through: bound(9) };
            marked.mark(&range, u64::MAX, None, &order);
            assert!(Coverage::of(marked.ranges().to_vec()).is_some());
        }
    }
}
