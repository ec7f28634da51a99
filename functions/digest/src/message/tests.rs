use std::fmt::Write;

use hydration::timestamp::Timestamp;
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::report::FailureCounts;
use crate::state::DigestState;
use crate::window::DigestWindow;

fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-11-21T{time}Z")).unwrap()
}

fn window() -> DigestWindow {
    DigestWindow { from: at("10:00:07"), to: at("10:05:07") }
}

fn links() -> StackLinks {
    let url =
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/Dashboard-1A2B";
    StackLinks { stack_name: "failed-batch-hydrator".to_owned(), dashboard_url: Some(url.to_owned()) }
}

/// The log lines of an incident of three functions, as the hydrator wrote them.
fn three_functions() -> String {
    include_str!("tests/three-functions.jsonl").to_owned()
}

fn report(lines: &str, before: &DigestState) -> DigestReport {
    let mut counts = FailureCounts::default();
    lines.lines().for_each(|line| counts.add(line, at("10:03:00")));
    DigestReport::of(counts, window(), None, before)
}

fn new_state() -> DigestState {
    DigestState::starting_at(at("10:00:07"))
}

fn texts(notification: &Notification) -> Value {
    serde_json::from_str(&notification.message).unwrap()
}

fn email(report: &DigestReport) -> String {
    let notification = Notification::of(report, &links());
    let text = texts(&notification)["email"].as_str().unwrap().to_owned();
    format!("Subject: {}\n\n{text}", notification.subject)
}

#[test]
fn the_mail_of_an_incident_of_three_functions() {
    assert_snapshot!(email(&report(&three_functions(), &new_state())));
}

#[test]
fn the_chat_of_an_incident_of_three_functions() {
    let texts = texts(&Notification::of(&report(&three_functions(), &new_state()), &links()));
    let chat: Value = serde_json::from_str(texts["https"].as_str().unwrap()).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&chat).unwrap());
}

#[test]
fn the_program_s_text_of_an_incident_of_three_functions() {
    let texts = texts(&Notification::of(&report(&three_functions(), &new_state()), &links()));
    let program: Value = serde_json::from_str(texts["sqs"].as_str().unwrap()).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&program).unwrap());
    assert_eq!((&texts["lambda"], &texts["firehose"]), (&texts["sqs"], &texts["sqs"]));
    assert_eq!(texts["default"], texts["email"]);
}

#[test]
fn the_second_message_about_a_kind_does_not_call_it_new() {
    let first = report(&three_functions(), &new_state());
    let incidents: Vec<_> = first.incidents.iter().map(|reported| reported.incident.clone()).collect();
    let after = new_state().remembering(&incidents, &window());
    let again = report(&three_functions(), &after);
    assert!(again.incidents.iter().all(|reported| !reported.is_new));
    assert!(email(&again).starts_with("Subject: Again: "));
}

fn storm(kinds: usize) -> String {
    (0..kinds).fold(String::new(), |mut text, kind| {
        for batch in 0..3 {
            let arn = format!("arn:aws:lambda:eu-west-1:123456789012:function:consumer-{kind:03}");
            writeln!(
                text,
                r#"{{"message":"batch hydrated","id":"{kind:04}{batch}","status":"Complete","function_arn":"{arn}","condition":"RetryAttemptsExhausted","recovered_records":{kind}}}"#
            )
            .unwrap();
        }
        text
    })
}

#[test]
fn a_storm_is_one_message_with_the_ten_worst() {
    let report = report(&storm(700), &new_state());
    let text = email(&report);
    assert_eq!(text.matches("   > dlq show").count(), 10);
    assert!(text.contains("And 490 more incidents of 1,470 batches"), "{text}");
    assert!(text.contains("And 600 more failures of too many different kinds"), "{text}");
    assert!(text.contains("1. consumer-499 (new)"), "{text}");
}

#[test]
fn what_was_not_looked_at_is_said() {
    let mut report = report(&three_functions(), &new_state());
    report.skipped = Some(DigestWindow { from: at("01:00:00"), to: at("10:00:07") });
    report.is_whole = false;
    let text = email(&report);
    assert!(text.contains("failures from 2026-11-21 01:00 to 2026-11-21 10:00 UTC were not looked at"), "{text}");
    assert!(text.contains("no time to read every log line"), "{text}");
}

#[test]
fn a_text_from_outside_is_no_mention_and_no_second_line() {
    let line = r#"{"message":"batch failed","id":"1","error_type":"A","error":"a\nb \u202e <!channel> `x` [y](https://z)","function_arn":"x\r\nSubject: y"}"#;
    let notification = Notification::of(&report(line, &new_state()), &links());
    assert!(!notification.subject.contains('\n') && !notification.subject.contains('\r'));
    let texts = texts(&notification);
    let email = texts["email"].as_str().unwrap();
    assert!(email.contains(r"a\u{a}b \u{202e}") && !email.contains("\nSubject"), "{email}");
    let chat = texts["https"].as_str().unwrap();
    assert!(chat.contains("(y)(https://z)") && !chat.contains("<!channel>"), "{chat}");
}

proptest! {
    #[test]
    fn any_text_gives_a_message_that_sns_takes(
        texts in prop::collection::vec(
            prop_oneof![
                ".{0,50}",
                r#"[\\"]{12}"#.prop_map(|text| text.repeat(50)),
                Just("\u{10ffff}".repeat(600)),
            ],
            1..40,
        ),
    ) {
        let lines: String = texts
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let line = serde_json::json!({
                    "message": "batch hydrated", "id": format!("{text}{number}"), "status": "Partial", "reason": text,
                    "function_arn": text, "condition": format!("{number}{text}"), "function_error": text,
                    "executed_version": text,
                });
                format!("{line}\n")
            })
            .collect();
        let notification = Notification::of(&report(&lines, &new_state()), &links());
        prop_assert!(notification.message.len() <= 262_144);
        let subject = &notification.subject;
        prop_assert!((1..100).contains(&subject.len()), "{subject}");
        prop_assert!(subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{subject}");
        let texts: Value = serde_json::from_str(&notification.message).unwrap();
        for (_, text) in texts.as_object().unwrap() {
            prop_assert!(text.is_string());
        }
    }
}
