//! The time of an invocation, shared among its batches.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_batch_that_hangs_takes_its_own_share_of_time_only() {
    for hanging in ["hanging-1", "endless-1"] {
        let aws = NamedShards::new();
        let started = Instant::now();
        let event = sqs(&[&failed(hanging), &failed("good-1"), &failed("good-2")]);
        assert_eq!(failures(aws.invoke(&event).await), ["0"]);
        assert_eq!(aws.shards(), ["good-1", "good-2"]);
        assert!(started.elapsed() <= Duration::from_secs(TIME) / 3, "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_a_batch_does_not_use_is_left_for_the_next() {
    let aws = NamedShards::new();
    let started = Instant::now();
    let event = sns(&[&failed("good-1"), &failed("good-2"), &failed("hanging-1")]);
    assert_eq!(error_type(aws.invoke(&event).await), "DeadlineReached");
    assert!(started.elapsed() > Duration::from_secs(TIME - 2), "{:?}", started.elapsed());
    assert_eq!(aws.shards(), ["good-1", "good-2"]);
}

#[tokio::test(start_paused = true)]
async fn batches_that_run_out_of_time_are_named_before_the_deadline() {
    let aws = NamedShards::new();
    let event = sqs(&[&failed("hanging-1"), &failed("endless-1"), &failed("hanging-2")]);
    assert_eq!(failures(aws.invoke(&event).await), ["0", "1", "2"]);
    assert_eq!(aws.shards(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_not_read_in_time_is_an_error_and_no_message() {
    let aws = NamedShards::new();
    assert_eq!(error_type(aws.invoke(&sns(&[&failed("endless-1")])).await), "DeadlineReached");
    assert_eq!(aws.shards(), [""; 0]);
    // Paced all the while, and with time kept back for delivery.
    assert!((50..=100).contains(&aws.reads.get()), "{} reads", aws.reads.get());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_none_leaves_time_to_read_and_still_ends() {
    // A missing deadline, or a duration in place of a time, as emulators of Lambda send it.
    for deadline in [0, 30_000, u64::MAX] {
        let aws = NamedShards::new();
        let event = sqs(&[&failed("good-1"), &failed("hanging-1")]);
        let answer = tokio::time::timeout(Duration::from_secs(15 * 60), aws.invoke_until(&event, settings(), deadline));
        assert_eq!(failures(answer.await.expect("it ends")), ["1"], "{deadline}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_shards_are_read_during_the_pause_of_one() {
    let aws = NamedShards::new();
    let started = Instant::now();
    let heavy = failed("heavy-1");
    let good: Vec<String> = (0..5).map(|number| failed(&format!("good-{number}"))).collect();
    let mut bodies = vec![heavy.as_str(), heavy.as_str()];
    bodies.extend(good.iter().map(String::as_str));
    assert_eq!(failures(aws.invoke(&sqs(&bodies)).await), [""; 0]);
    assert_eq!(aws.shards(), ["heavy-1", "good-0", "good-1", "good-2", "good-3", "good-4", "heavy-1"]);
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_share_of_time_shorter_than_a_pause_is_no_reason_to_give_up() {
    let aws = NamedShards::new();
    // Thirty batches of one shard: an equal share of the time would be shorter than the pause between two reads.
    let bodies = vec![failed("good-1"); 30];
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let deadline = u64::try_from(aws.now().millis()).unwrap() + 16_000;
    assert_eq!(failures(aws.invoke_until(&sqs(&bodies), settings(), deadline).await), [""; 0]);
    assert_eq!(aws.shards().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_delays_no_shard() {
    let aws = NamedShards::new();
    let hydrator = Hydrator::new(aws.clone(), &*aws.outbox, aws.clone(), settings());
    let handler = Handler { hydrator, telemetry: Telemetry::for_tests() };
    for step in [0, -3_600_000, 7_200_000] {
        aws.step.set(step);
        let started = Instant::now();
        let mut context = Context::default();
        context.deadline = u64::try_from(aws.now().millis()).unwrap() + 30_000;
        let payload = RawValue::from_string(sns(&[&failed("good-1")]).to_string()).unwrap();
        let answer = handler.handle(LambdaEvent::new(payload, context)).await;
        assert!(answer.is_ok(), "a step of {step} ms");
        assert!(started.elapsed() <= Duration::from_millis(600), "a step of {step} ms: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_time_left_moves_no_deadline() {
    let aws = NamedShards::new();
    let once = failed("once-1");
    let started = Instant::now();
    let deadline = u64::try_from(aws.now().millis()).unwrap() + 5_000;
    // After its first read the shard must rest for ten seconds. Then it does not answer any more.
    assert_eq!(failures(aws.invoke_until(&sqs(&[&once, &once]), settings(), deadline).await), ["1"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_after_a_part_leaves_time_to_send_the_continuation() {
    let aws = NamedShards::new();
    let settings = Settings {
        max_part_bytes: 300,
        retry_queue_url: Some("https://sqs.us-east-1.amazonaws.com/123456789012/retry".to_owned()),
        ..settings()
    };
    let record = failed("stalling-1").replace(r#""endSequenceNumber":"2""#, r#""endSequenceNumber":"3""#);
    assert_eq!(aws.invoke_with(&sns(&[&record]), settings).await.unwrap()["batches"].as_array().unwrap().len(), 1);
    let continuation: Value = serde_json::from_str(&aws.outbox.retry_queue.borrow()[0].0).unwrap();
    assert_eq!((&continuation["hydrationContinuation"]["after"], aws.shards().len()), (&json!("1"), 1));
}
