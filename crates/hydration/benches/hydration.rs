//! The time of a hydration's parts without the network, for a batch of 10,000 records.
//!
//! `cargo bench -p hydration`. The release profile favours size, as the function does.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hydration::arn::{Source, StreamArn};
use hydration::incoming::{IncomingMessage, recognize};
use hydration::invocation_record::InvocationRecord;
use hydration::message::body::{DecodedView, OriginalMessage};
use hydration::message::{Body, Collector, Hydration, Origin, Part};
use hydration::record::{AttributeValue, DynamoDbRecord, Item, KinesisRecord};
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::{InvocationRecordBuilder, KINESIS_STREAM_ARN, gzip};
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;
use hydration::{kpl, view};
use md5::{Digest, Md5};

/// The largest batch that an event source mapping forms.
const RECORDS: usize = 10_000;
const SHARD: &str = "shardId-000000000000";

fn stream() -> StreamArn {
    StreamArn::parse(KINESIS_STREAM_ARN).unwrap()
}

fn sequence_number(index: usize) -> SequenceNumber {
    SequenceNumber::parse(&format!("4964723877401875844914379136130106672368919{index:013}")).unwrap()
}

/// A small order, a hundred bytes and some: 10,000 of them are what fits into the 6 MB of an event.
fn order(index: usize) -> String {
    let lines = r#"[{"sku":"A-1001","price":19.90}]"#;
    format!(r#"{{"orderId":"o-{index:08}","customer":"Zoë \"Z\" Müller","lines":{lines},"total":19.90}}"#)
}

fn kinesis_records(data: impl Fn(usize) -> Vec<u8>) -> Vec<KinesisRecord> {
    let record = |index| KinesisRecord {
        sequence_number: sequence_number(index),
        partition_key: format!("c-{:05}", index % 977),
        data: data(index),
        approximate_arrival: Some(Timestamp::from_millis(1_789_779_944_662 + index as i64)),
    };
    (0..RECORDS).map(record).collect()
}

fn change(index: usize) -> DynamoDbRecord {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let line = Item::from([("sku".to_owned(), text("A-1001")), ("price".to_owned(), number("19.90"))]);
    let image = Item::from([
        ("orderId".to_owned(), text(&format!("o-{index:08}"))),
        ("customer".to_owned(), text("Zoë \"Z\" Müller")),
        ("total".to_owned(), number("45.05")),
        ("paid".to_owned(), AttributeValue::Bool(true)),
        ("lines".to_owned(), AttributeValue::L(vec![AttributeValue::M(line.clone()), AttributeValue::M(line)])),
    ]);
    DynamoDbRecord {
        sequence_number: sequence_number(index),
        event_id: Some("c4ca4238a0b923820dcc509a6f75849b".to_owned()),
        event_name: Some("MODIFY".to_owned()),
        event_version: Some("1.1".to_owned()),
        event_source: Some("aws:dynamodb".to_owned()),
        aws_region: Some("us-east-1".to_owned()),
        approximate_creation: Some(1_789_779_944),
        keys: Some(Item::from([("orderId".to_owned(), text(&format!("o-{index:08}")))])),
        new_image: Some(image.clone()),
        old_image: Some(image),
        size_bytes: Some(180),
        stream_view_type: Some("NEW_AND_OLD_IMAGES".to_owned()),
        user_identity: None,
    }
}

fn invocation_record() -> String {
    let arrival = Timestamp::from_millis(1_789_779_944_662);
    let (start, end) = (sequence_number(0), sequence_number(RECORDS - 1));
    let mut record = InvocationRecordBuilder::new(KINESIS_STREAM_ARN, start, end, arrival);
    record.invoke_count = Some(4);
    record.executed_version = Some("$LATEST".to_owned());
    record.batch_size = Some(RECORDS as u64);
    record.to_json().to_string()
}

fn batch() -> InvocationRecord {
    match recognize(&invocation_record()).pop() {
        Some(Ok(IncomingMessage::FailedBatch(record))) => *record,
        other => panic!("no batch: {other:?}"),
    }
}

fn collect(records: &[KinesisRecord]) -> Part {
    let stream = stream();
    let mut collector = Collector::new(Some(RECORDS as u64), true, 0);
    for record in records {
        collector.push(&record.sequence_number, |events, view| {
            record.write_event(&stream, SHARD, events);
            if let Some(view) = view {
                view::write_kinesis(&record.data, view);
            }
        });
        assert!(collector.take_full_part().is_none());
    }
    collector.take_last_part()
}

fn compose(record: &InvocationRecord, part: &Part) -> String {
    let hydration = Hydration {
        version: 1,
        id: record.batch.id(),
        status: Status::Complete,
        reason: None,
        expected_records: Some(RECORDS as u64),
        recovered_records: RECORDS as u64,
        missing_records: None,
        first_sequence_number: None,
        last_sequence_number: None,
        source: Some(Source::Kinesis),
        origin: Some(Origin::Stream),
        object: None,
        hydrated_at: "2026-11-21T02:51:00.123Z".to_owned(),
        part: None,
        decoded_view: DecodedView::Included,
    };
    Body::new(OriginalMessage::InvocationRecord { fields: &record.fields, source: Source::Kinesis }, hydration, part)
        .build(true)
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: usize, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// A thousand orders in one record of the Kinesis Producer Library.
fn aggregate() -> Vec<u8> {
    let mut message = Vec::new();
    field(1, b"c-00001", &mut message);
    for index in 0..1000 {
        let mut entry = vec![1 << 3, 0];
        field(3, order(index).as_bytes(), &mut entry);
        field(3, &entry, &mut message);
    }
    [&[0xF3, 0x89, 0x9A, 0xC2], message.as_slice(), Md5::digest(&message).as_slice()].concat()
}

fn views(records: &[KinesisRecord]) -> usize {
    let mut out = String::new();
    for record in records {
        view::write_kinesis(&record.data, &mut out);
    }
    out.len()
}

fn parts(criterion: &mut Criterion) {
    let text = invocation_record();
    criterion.bench_function("recognise an invocation record", |bencher| bencher.iter(|| recognize(black_box(&text))));

    let mut group = criterion.benchmark_group("10,000 records");
    group.sample_size(20);

    let orders = kinesis_records(|index| order(index).into_bytes());
    let stream = stream();
    group.throughput(Throughput::Bytes(orders.iter().map(|record| record.data.len() as u64).sum()));
    group.bench_function("write Kinesis events", |bencher| {
        bencher.iter(|| {
            let mut out = String::new();
            orders.iter().for_each(|record| record.write_event(&stream, SHARD, &mut out));
            out.len()
        });
    });
    group.bench_function("view JSON", |bencher| bencher.iter(|| views(black_box(&orders))));
    let zipped = kinesis_records(|index| gzip(order(index).as_bytes()));
    group.bench_function("view gzipped JSON", |bencher| bencher.iter(|| views(black_box(&zipped))));
    group.bench_function("collect events and views", |bencher| bencher.iter(|| collect(black_box(&orders))));
    let (record, part) = (batch(), collect(&orders));
    group.bench_function("compose the message", |bencher| bencher.iter(|| compose(&record, black_box(&part))));

    let changes: Vec<DynamoDbRecord> = (0..RECORDS).map(change).collect();
    group.bench_function("write DynamoDB events and views", |bencher| {
        bencher.iter(|| {
            let mut out = String::new();
            for change in &changes {
                change.write_event(&stream, &mut out);
                view::write_dynamodb(change, &mut out);
            }
            out.len()
        });
    });
    group.finish();

    let data = aggregate();
    let mut group = criterion.benchmark_group("an aggregate of 1,000 records");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("open", |bencher| bencher.iter(|| kpl::deaggregate(black_box(&data)).unwrap().len()));
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
