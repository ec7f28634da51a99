//! The mapping of a drill, and the place that it reports to.

use super::*;

#[tokio::test]
async fn a_mapping_whose_reports_come_to_no_hydrator_is_a_problem_before_anything_is_reported() {
    for (destination, problem) in [
        (None, "the mapping has no on-failure destination"),
        (Some("arn:aws:sns:us-east-1:123456789012:other"), "nothing hands that to the hydrator"),
        (Some("arn:aws:s3:::other"), "nothing hands that to the hydrator"),
    ] {
        let mut tool = deployment(14);
        let destination = destination.map(str::to_owned);
        tool.deployment.mappings.streams = vec![StreamMapping { destination, ..mapping("orders") }];
        let (run, lines) = drill(&tool, "").await;
        assert!(problems(&lines)[0].contains(problem), "{:?}", problems(&lines));
        assert_eq!((run.code, tool.way.published.borrow().len()), (3, 0));
    }
    let mut tool = super::super::attached();
    tool.deployment.mappings.streams.retain(|mapping| mapping.uuid == "to-queue");
    assert!(problems(&drill(&tool, "").await.1)[0].contains("to a topic or a bucket alone"));
}

#[tokio::test]
async fn without_the_stack_the_destination_of_the_mapping_is_tried() {
    for mut tool in [deployment(14), to_bucket()] {
        tool.stack_outputs = &[];
        assert_eq!(drill(&tool, "").await.0.code, 0);
    }
}

#[tokio::test]
async fn a_stream_with_several_mappings_or_none_needs_a_name() {
    let mut tool = deployment(14);
    tool.deployment.mappings.streams.push(mapping("other"));
    let run = tool.run(DRILL).await;
    assert!(run.code == 1 && run.notes.contains("has several mappings"), "{}", run.text());
    let (run, lines) = drill(&tool, "--function other").await;
    assert_eq!((run.code, &facts(&lines)["mapping"]), (0, &"other".into()));
    for line in [format!("{DRILL} --function nosuch"), DRILL.replace("orders", "nosuch")] {
        let run = tool.run(&line).await;
        assert!(run.code == 1 && run.notes.contains("no event source mapping reads"), "{}", run.text());
    }
    let consumer = format!("{STREAM}/consumer/fast:1789779975");
    tool.deployment.mappings.streams = vec![StreamMapping { source: consumer.clone(), ..mapping("fast") }];
    let (_, lines) = drill(&tool, "").await;
    assert_eq!(problems(&lines), [""; 0]);
    assert!(tool.way.published.borrow().last().unwrap().contains(&consumer), "Lambda names the consumer");
}
