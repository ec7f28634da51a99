//! Tables on terminals from 60 to 200 columns.

use insta::assert_snapshot;

use super::shop;
use crate::test_support::messages::{TestBatch, batch};
use crate::test_support::tool::Tool;

const WIDTHS: [u16; 4] = [60, 80, 120, 200];

/// A queue whose names are as long as names are.
fn long_names() -> Tool {
    let tool = shop();
    let function = "order-projector-with-a-name-of-sixty-four-characters-and-no-more";
    let failed = TestBatch { function, version: "1024", shard: 11, ..batch("8a") };
    tool.queue.send(failed.message());
    tool
}

/// The words of a text, as a person copies them.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[tokio::test]
async fn every_id_and_name_is_whole_at_every_width() {
    let mut tool = long_names();
    tool.width = 400;
    for line in ["list", "status", "list --grep n", "replay --all"] {
        tool.width = 400;
        let wide = tool.run(line).await.answers;
        for width in (60..=200).step_by(7) {
            tool.width = width;
            let answers = tool.run(line).await.answers;
            let found = words(&answers);
            for word in words(&wide).iter().filter(|word| word.len() > 11 && word.is_ascii()) {
                assert!(found.contains(word), "{line} at {width} has no {word}:\n{answers}");
            }
        }
    }
}

#[tokio::test]
async fn no_line_of_a_table_is_wider_than_the_terminal() {
    let mut tool = long_names();
    for width in WIDTHS {
        tool.width = width;
        for line in ["list", "status", "list --grep n"] {
            let answers = tool.run(line).await.answers;
            // The table ends before the line about what to do next: commands to copy are not broken.
            let table = answers.split("\nNext").next().unwrap();
            for line in table.lines().filter(|line| words(line).len() > 2) {
                // A word that is wider than its column stays whole.
                let is_fit = line.chars().count() <= usize::from(width);
                assert!(is_fit || words(line).iter().any(|word| word.len() > 30), "{width}: {line}\n{answers}");
            }
        }
    }
}

#[tokio::test]
async fn tables_at_each_width() {
    let mut tool = shop();
    for width in WIDTHS {
        tool.width = width;
        let commands = ["list", "status", "replay --all"];
        let mut text = String::new();
        for line in commands {
            text.push_str(&format!("$ dlq {line}\n{}", tool.run(line).await.answers));
        }
        assert_snapshot!(format!("width_{width}"), text);
    }
}
