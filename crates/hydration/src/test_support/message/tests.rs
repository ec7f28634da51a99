use super::*;
use crate::message::parsed::{ParsedMessage, Pointer};
use crate::test_support::{DYNAMODB_STREAM_ARN, KINESIS_STREAM_ARN, START_MILLIS, dynamodb_record, kinesis_record};

fn builder() -> HydratedMessageBuilder {
    let arrival = Timestamp::from_millis(START_MILLIS);
    let mut record = InvocationRecordBuilder::new(KINESIS_STREAM_ARN, 10, 12, arrival);
    record.batch_size = Some(3);
    let records = [10, 11, 12].map(|number| kinesis_record(number, r#"{"n":1.10}"#)).to_vec();
    HydratedMessageBuilder::new(record, records)
}

/// The message that a hydration of the same batch sends.
fn hydrated(builder: &HydratedMessageBuilder) -> OutgoingMessage {
    let aws = SimulatedAws::with_records(builder.records.clone(), START_MILLIS);
    let message = recognize(&builder.invocation_record.to_json().to_string()).pop().unwrap().unwrap();
    let hydrator = Hydrator::new(&aws, &aws, ManualClock::default(), builder.settings.clone());
    let deadline = aws.deadline(60_000);
    now_or_never(hydrator.hydrate(&message, deadline, &mut CallStats::default())).unwrap();
    aws.outbox.queue.borrow_mut().pop().unwrap()
}

#[test]
fn a_built_message_is_the_one_that_a_hydration_sends() {
    let kinesis = builder();
    assert_eq!(kinesis.build().message, hydrated(&kinesis));
    let mut dynamodb = builder();
    dynamodb.invocation_record.stream_arn = DYNAMODB_STREAM_ARN.to_owned();
    dynamodb.records = [10, 11, 12].map(dynamodb_record).to_vec();
    assert_eq!(dynamodb.build().message, hydrated(&dynamodb));
    let overflow = HydratedMessageBuilder { settings: Settings { max_message_bytes: 1_024, ..settings() }, ..kinesis };
    let built = overflow.build();
    assert_eq!(built.message, hydrated(&overflow));
    assert_eq!(Pointer::parse(&built.message.body).unwrap().key, built.object.unwrap().0);
}

#[test]
fn every_status_of_a_batch_can_be_built_and_parsed() {
    let batch = builder();
    let part = Some(PartNumber { number: 2, last: false });
    let mut no_range = batch.clone();
    (no_range.invocation_record.start, no_range.invocation_record.end) = (None, None);
    let empty = |status| HydratedMessageBuilder { status, records: vec![], ..batch.clone() };
    for builder in [
        batch.clone(),
        HydratedMessageBuilder { status: Status::Superset, part, ..batch.clone() },
        HydratedMessageBuilder { status: Status::Partial, records: batch.records[1..].to_vec(), ..batch.clone() },
        empty(Status::Expired),
        empty(Status::Gone),
        HydratedMessageBuilder { status: Status::NoRange, records: vec![], ..no_range },
    ] {
        let built = builder.build();
        let parsed = ParsedMessage::parse(&built.text).unwrap();
        assert_eq!(parsed.head.hydration.status, builder.status);
        assert_eq!((parsed.head.hydration.id.as_str(), parsed.head.batch_id()), (&*built.id, &*built.batch_id));
        assert_eq!(ParsedMessage::event(parsed.records.iter().map(AsRef::as_ref)), built.event);
    }
}

#[test]
#[should_panic(expected = "records: 13 is not in the range")]
fn a_record_outside_the_range_is_named() {
    let mut builder = builder();
    builder.records.push(kinesis_record(13, "{}"));
    builder.build();
}

#[test]
#[should_panic(expected = "status: Complete contradicts")]
fn a_status_that_the_records_contradict_is_named() {
    let mut builder = builder();
    builder.records.pop();
    builder.build();
}

#[test]
#[should_panic(expected = "records: a record is of another service")]
fn a_record_of_another_service_is_named() {
    let mut builder = builder();
    builder.records = vec![dynamodb_record(10)];
    builder.build();
}

#[test]
#[should_panic(expected = "invocation_record: KinesisBatchInfo.shardId")]
fn a_wrong_field_of_the_invocation_record_is_named() {
    let mut builder = builder();
    builder.invocation_record.shard_id = "a shard".to_owned();
    builder.build();
}
