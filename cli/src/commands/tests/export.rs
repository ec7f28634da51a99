use super::shop;
use crate::test_support::messages::batch;

#[tokio::test]
async fn export_writes_the_event_once() {
    let tool = shop();
    let folder = tool.state.path().join("out");
    let line = format!("export 5e --to {}", folder.display());
    assert_eq!(tool.run(&line).await.code, 0);
    let path = folder.join(format!("{}.json", batch("5e").id()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), batch("5e").event());
    // A second run finds the same content there, as after an export that was cut off.
    let again = tool.run(&line).await;
    assert!(again.code == 0 && again.answers.contains(r#"5e5e.json  "#), "{}", again.text());
    std::fs::write(&path, "mine").unwrap();
    let again = tool.run(&line).await;
    assert!(again.code == 1 && again.notes.contains("--force"), "{}", again.notes);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(tool.run(&format!("{line} --force")).await.code, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), batch("5e").event());
}

#[tokio::test]
async fn export_of_all_says_what_has_no_record() {
    let tool = shop();
    let folder = tool.state.path().join("out");
    let run = tool.run(&format!("export --all --format ndjson --to {}", folder.display())).await;
    assert!(run.notes.contains("1 message has no record left and no file"), "{}", run.notes);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 6);
}
