use proptest::prelude::*;

use super::*;

fn number(index: usize) -> SequenceNumber {
    SequenceNumber::parse(&(index + 1).to_string()).unwrap()
}

/// A JSON string of a given number of bytes that contains the record's number.
fn text(index: usize, size: usize) -> String {
    let name = format!("{index}:");
    format!("\"{name}{}\"", "x".repeat(size.saturating_sub(2 + name.len())))
}

fn collect(sizes: &[usize], batch_size: Option<u64>, wants_view: bool) -> Vec<Part> {
    let mut collector = Collector::new(batch_size, wants_view, 0);
    let mut parts = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        collector.push(&number(index), |records, view| {
            records.push_str(&text(index, *size));
            if let Some(view) = view {
                view.push_str(&index.to_string());
            }
        });
        while let Some(part) = collector.take_full_part() {
            parts.push(part);
        }
        assert_eq!(collector.total(), index as u64 + 1);
    }
    parts.push(collector.take_last_part());
    parts
}

fn event_size(part: &Part) -> usize {
    format!(r#"{{"Records":[{}]}}"#, part.records).len()
}

/// A batch with a given number of records, and a given number of bytes in its event.
fn filling(bytes: usize, records: usize) -> Vec<usize> {
    let each = (bytes - EVENT_FRAME_BYTES - (records - 1)) / records;
    let mut sizes = vec![each; records];
    sizes[0] += bytes - EVENT_FRAME_BYTES - (records - 1) - each * records;
    sizes
}

#[test]
fn no_records_make_one_empty_part() {
    let parts = collect(&[], Some(3), true);
    let empty = Part { view: Some(String::new()), ..Part::default() };
    assert_eq!(parts, [empty]);
}

#[test]
fn an_event_that_lambda_may_have_delivered_is_never_split() {
    for records in [2, 3, 1000] {
        let sizes = filling(MAX_EVENT_BYTES, records);
        let parts = collect(&sizes, Some(records as u64), false);
        assert_eq!(parts.iter().map(event_size).collect::<Vec<_>>(), [MAX_EVENT_BYTES]);
        // One byte more was never one event.
        let sizes = filling(MAX_EVENT_BYTES + 1, records);
        assert_eq!(collect(&sizes, Some(records as u64), false).len(), 2);
        // Nor were more records than the batch had.
        let sizes = filling(MAX_EVENT_BYTES, records);
        assert_eq!(collect(&sizes, Some(records as u64 - 1), false).len(), 2);
        assert_eq!(collect(&sizes, None, false).len(), 2);
    }
}

#[test]
fn a_part_s_event_ends_below_the_limit_to_the_byte() {
    assert_eq!(collect(&filling(MAX_PART_BYTES - 1, 2), None, false).len(), 1);
    assert_eq!(collect(&filling(MAX_PART_BYTES, 2), None, false).len(), 2);
}

#[test]
fn a_batch_that_was_split_is_never_one_event() {
    let parts = collect(&[3_100_000; 4], Some(4), false);
    assert_eq!(parts.iter().map(|part| part.count).collect::<Vec<_>>(), [1, 1, 1, 1]);
}

#[test]
fn a_record_too_large_for_any_event_is_a_part_by_itself() {
    let parts = collect(&[10, MAX_PART_BYTES + 5, 10, 10], None, true);
    assert_eq!(parts.iter().map(|part| part.count).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(parts.iter().map(|part| part.view.clone().unwrap()).collect::<Vec<_>>(), ["0", "1", "2,3"]);
    assert_eq!(collect(&[MAX_PART_BYTES + 5], None, false).len(), 1);
}

#[test]
fn a_view_that_unpacks_beyond_reason_is_left_out_and_the_records_are_not() {
    let mut collector = Collector::new(Some(2), true, 0);
    for index in 0..2 {
        collector.push(&number(index), |records, view| {
            records.push_str("{}");
            view.unwrap().push_str(&" ".repeat(MAX_VIEW_BYTES / 2));
        });
    }
    let part = collector.take_last_part();
    assert_eq!((part.records.as_str(), part.view, part.count), ("{},{}", None, 2));
}

#[test]
fn characters_that_sqs_refuses_are_escaped_in_records_and_view() {
    let mut collector = Collector::new(None, true, 0);
    for index in 0..2 {
        collector.push(&number(index), |records, view| {
            records.push_str("\"\u{FFFF}\"");
            view.unwrap().push_str("\"a\u{FFFE}\"");
        });
    }
    let part = collector.take_last_part();
    assert_eq!(part.records, r#""\uffff","\uffff""#);
    assert_eq!(part.view.as_deref(), Some(r#""a\ufffe","a\ufffe""#));
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![
        8 => 8..200_usize,
        4 => 1_450_000..1_550_000_usize,
        2 => 2_999_900..3_000_100_usize,
        1 => 5_999_900..6_000_100_usize,
    ];
    prop::collection::vec(size, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_hold_every_record_in_order_and_each_can_be_invoked(
        sizes in sizes(),
        batch_size in prop::option::of(0..10_u64),
        wants_view in any::<bool>(),
    ) {
        let parts = collect(&sizes, batch_size, wants_view);
        let texts: Vec<String> = sizes.iter().enumerate().map(|(index, size)| text(index, *size)).collect();

        let mut start = 0;
        for part in &parts {
            let end = start + part.count as usize;
            prop_assert!(part.records == texts[start..end].join(","), "records {start} to {end} are others");
            prop_assert_eq!((&part.first, &part.last), (
                &(start < end).then(|| number(start)), &(start < end).then(|| number(end - 1))));
            let view = (start..end).map(|index| index.to_string()).collect::<Vec<_>>().join(",");
            prop_assert_eq!(part.view.clone(), wants_view.then_some(view));
            start = end;
        }
        prop_assert_eq!(start, sizes.len());

        let whole = texts.iter().map(String::len).sum::<usize>() + sizes.len().saturating_sub(1) + EVENT_FRAME_BYTES;
        let was_one_event = batch_size.is_some_and(|size| sizes.len() as u64 <= size) && whole <= MAX_EVENT_BYTES;
        if was_one_event {
            prop_assert_eq!(parts.len(), 1);
        } else {
            prop_assert!(parts.iter().all(|part| event_size(part) < MAX_PART_BYTES || part.count == 1));
        }
        // None is cut short: the first record of the next would not have fitted.
        let mut next = 0;
        for part in &parts[..parts.len() - 1] {
            next += part.count as usize;
            prop_assert!(part.count > 0);
            prop_assert!(event_size(part) + 1 + texts[next].len() >= MAX_PART_BYTES);
        }
        // The retry cuts alike, whatever became of the view.
        let again = collect(&sizes, batch_size, !wants_view);
        prop_assert!(again.iter().map(|part| &part.records).eq(parts.iter().map(|part| &part.records)));
    }
}

/// The parts of aggregates. All user records of an aggregate are equal.
fn collect_equal(aggregates: &[usize]) -> Vec<Part> {
    let mut collector = Collector::new(Some(1), true, 0).with_max_part_bytes(1_000);
    let mut parts = Vec::new();
    for (index, user_records) in aggregates.iter().enumerate() {
        for _ in 0..*user_records {
            collector.push(&number(index), |records, view| {
                records.push_str(&text(index, 100));
                view.into_iter().for_each(|view| view.push('1'));
            });
            while let Some(part) = collector.take_full_part() {
                parts.push(part);
            }
        }
    }
    parts.extend(collector.take_repeated_part());
    parts.push(collector.take_last_part());
    parts
}

#[test]
fn parts_of_equal_user_records_have_different_digests() {
    for aggregates in (0..=40).map(|count| vec![count]).chain([vec![3, 30, 18], vec![27, 27, 27], vec![1, 1, 1]]) {
        let parts = collect_equal(&aggregates);
        assert_eq!(parts.iter().map(|part| part.count).sum::<u64>(), aggregates.iter().sum::<usize>() as u64);
        let digests: std::collections::BTreeSet<_> = parts.iter().map(Part::digest).collect();
        assert_eq!(digests.len(), parts.len(), "{aggregates:?}: {:?}", parts.iter().map(|part| part.count));
        for part in &parts {
            let records: Vec<String> = serde_json::from_str(&format!("[{}]", part.records)).unwrap();
            let view: Vec<u8> = serde_json::from_str(&format!("[{}]", part.view.as_ref().unwrap())).unwrap();
            assert_eq!((records.len(), view.len()), (part.count as usize, part.count as usize));
            assert!(event_size(part) < 1_000);
        }
    }
}
