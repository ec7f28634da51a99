use std::cell::Cell;
use std::collections::BTreeSet;

use hydration::message::parsed::Pointer;
use proptest::prelude::*;

use super::*;
use crate::args::{AwsCommand, Cli, Command};
use crate::ports::GetObjectError;
use crate::test_support::bucket::{InMemoryBucket, WriteIf};
use clap::Parser;
use hydration::timestamp::Timestamp;

const NOW: &str = "2026-11-21T12:00:00Z";

fn place() -> ArchivePlace {
    ArchivePlace::in_bucket("overflow")
}

/// The filter of a command line.
fn filter(line: &str) -> KeyFilter {
    let cli = Cli::parse_from(["dlq"].into_iter().chain(line.split_whitespace()));
    let Command::OnAws(command) = cli.command else { panic!("{line}") };
    assert!(!matches!(command, AwsCommand::Doctor(_)));
    command.key_filter(Timestamp::parse(NOW).unwrap())
}

fn key(function: &str, day: &str, id: &str) -> String {
    format!("hydrated/{function}/{day}/{}-0123456789abcdef-Complete.json", id.repeat(32))
}

fn bucket_of(keys: &BTreeSet<String>, page_size: usize) -> InMemoryBucket {
    let bucket = InMemoryBucket::default();
    bucket.page_size.set(Some(page_size));
    keys.iter().for_each(|key| assert!(bucket.put(key, "{}", WriteIf::Absent).is_some()));
    bucket
}

async fn listed(bucket: &InMemoryBucket, filter: &KeyFilter) -> (Vec<String>, u64) {
    let listing = list(bucket, &place(), filter).await.unwrap();
    (listing.objects.into_iter().map(|object| object.key).collect(), listing.ruled_out)
}

proptest! {
    #[test]
    fn every_object_is_listed_once_whatever_the_pages_are(
        pieces in prop::collection::btree_set(
            (0..4_usize, 2024..2027_u32, 1..13_u32, 1..29_u32, 0..30_u8, 0..12_u8), 0..150),
        page_size in 1..40_usize,
    ) {
        let keys: BTreeSet<String> = pieces
            .into_iter()
            .map(|(function, year, month, day, id, kind)| match kind {
                // What no hydration has written is listed all the same.
                0 => format!("hydrated/{id}.txt"),
                1 => format!("hydrated/f{function}/notes/{year}/{id}.json"),
                2 => format!("hydrated/f{function}/{year}/{month:02}/{id}"),
                _ => key(&format!("f{function}"), &format!("{year}/{month:02}/{day:02}"), &format!("{id:02x}")),
            })
            .collect();
        let mut with_others = keys.clone();
        with_others.extend(["hydrated/".to_owned(), "ledger/x".to_owned(), "hydrated".to_owned()]);
        let bucket = bucket_of(&with_others, page_size);
        bucket.put("hydrated/f1/", "", WriteIf::Absent);
        let bucket_has_marker = bucket_of(&BTreeSet::new(), page_size);
        bucket_has_marker.put("hydrated/", "", WriteIf::Absent);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (found, ruled_out) = runtime.block_on(listed(&bucket, &KeyFilter::default()));
        let expected: Vec<String> =
            with_others.iter().filter(|key| key.starts_with("hydrated/")).cloned().collect();
        prop_assert_eq!((found, ruled_out), (expected, 0));
        prop_assert_eq!(runtime.block_on(listed(&bucket_has_marker, &KeyFilter::default())).0, Vec::<String>::new());
    }
}

#[tokio::test]
async fn small_folders_cost_no_call_of_their_own() {
    let days: Vec<String> =
        (1..=12).flat_map(|month| (1..=28).map(move |day| format!("2026/{month:02}/{day:02}"))).collect();
    let keys: BTreeSet<String> =
        days.iter().flat_map(|day| [key("orders", day, "1a"), key("stock", day, "2b")]).collect();
    let bucket = bucket_of(&keys, 1000);
    assert_eq!(listed(&bucket, &KeyFilter::default()).await.0.len(), 672);
    assert_eq!(bucket.lists.get(), 1);
}

/// A bucket that takes its time, and knows how many calls there are at once.
struct SlowBucket<'a> {
    bucket: &'a InMemoryBucket,
    running: Cell<usize>,
    most: Cell<usize>,
}

impl Bucket for SlowBucket<'_> {
    async fn get(&self, pointer: &Pointer, first_bytes: Option<usize>) -> Result<Vec<u8>, GetObjectError> {
        self.bucket.get(pointer, first_bytes).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Fault> {
        self.running.set(self.running.get() + 1);
        self.most.set(self.most.get().max(self.running.get()));
        tokio::task::yield_now().await;
        self.running.set(self.running.get() - 1);
        self.bucket.list(request).await
    }
}

/// A day's pages follow each other. All else is listed eight calls at a time, and few calls bring no page of their own.
#[tokio::test]
async fn a_hundred_pages_take_little_more_than_a_hundred_calls_eight_at_a_time() {
    let day = |number: usize| format!("2026/{:02}/{:02}", 1 + number / 25, 1 + number % 25);
    let ids: Vec<String> = (0..10).map(|id| format!("{id}a")).collect();
    let keys: BTreeSet<String> =
        (0..100).flat_map(|number| ids.iter().map(move |id| key("orders", &day(number), id))).collect();
    let bucket = bucket_of(&keys, 10);
    let slow = SlowBucket { bucket: &bucket, running: Cell::new(0), most: Cell::new(0) };
    let listing = list(&slow, &place(), &KeyFilter::default()).await.unwrap();
    assert_eq!(listing.objects.len(), keys.len());
    assert_eq!(slow.most.get(), MAX_CONCURRENT_CALLS);
    assert!(bucket.lists.get() < 125, "{} calls", bucket.lists.get());
}

#[tokio::test]
async fn a_function_and_days_are_listed_alone() {
    let mut keys = BTreeSet::new();
    for function in ["orders", "orders-v2", "stock"] {
        for day in ["1970/01/01", "2025/11/20", "2026/10/31", "2026/11/18", "2026/11/19", "2026/11/21"] {
            keys.insert(key(function, day, "1a"));
        }
    }
    let bucket = bucket_of(&keys, 1000);
    let days = async |line: &str| -> Vec<String> {
        let (keys, _) = listed(&bucket, &filter(line)).await;
        keys.into_iter().map(|key| key.split('/').skip(1).take(4).collect::<Vec<_>>().join("/")).collect()
    };
    // What has no day is always there.
    assert_eq!(
        days("list --function orders --since 2026-11-18T23:00:00Z --until 2026-11-19").await,
        ["orders/1970/01/01", "orders/2026/11/18"]
    );
    assert_eq!(
        days("list --function orders --since 2d").await,
        ["orders/1970/01/01", "orders/2026/11/19", "orders/2026/11/21"]
    );
    assert_eq!(days("list --function orders --until 2026-01-01").await, ["orders/1970/01/01", "orders/2025/11/20"]);
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:stock";
    assert_eq!(days(&format!("list --function {arn} --since 2026-11-21")).await.len(), 2);
    assert_eq!(days("list --function order").await, [""; 0]);
    let before = bucket.lists.get();
    days("list --since 2026-11-21").await;
    // The archive, three functions, their years, the months and days of 1970 and 2026.
    assert!(bucket.lists.get() - before <= 1 + 3 * 7, "{}", bucket.lists.get() - before);
}

#[tokio::test]
async fn ids_and_statuses_rule_out_by_name_and_are_counted() {
    let bucket = InMemoryBucket::default();
    let name = |id: &str, digest: &str, status: &str| {
        format!("hydrated/orders/2026/11/21/{}-{}-{status}.json", id.repeat(32), digest.repeat(8))
    };
    let keys = [
        name("1a", "01", "Complete"),
        name("1a", "02", "Partial"),
        name("2b", "03", "Partial"),
        name("3c", "04", "Gone"),
    ];
    keys.iter().for_each(|key| assert!(bucket.put(key, "{}", WriteIf::Absent).is_some()));
    bucket.put("hydrated/orders/2026/11/21/readme", "hello", WriteIf::Absent);
    let names = async |line: &str| {
        let (keys, ruled_out) = listed(&bucket, &filter(line)).await;
        let names: Vec<String> = keys.iter().map(|key| key.rsplit('/').next().unwrap()[..2].to_owned()).collect();
        (names.join(" "), ruled_out)
    };
    // An object with another name may hold a message all the same.
    assert_eq!(names("show 1a").await, ("1a 1a re".to_owned(), 2));
    assert_eq!(names("show 1a1a 3c").await, ("1a 1a 3c re".to_owned(), 1));
    assert_eq!(names(&format!("show {}-02", "1a".repeat(32))).await, ("1a re".to_owned(), 3));
    // A batch is read whole: its other object may be the better one.
    assert_eq!(names("list --status Partial").await, ("1a 1a 2b re".to_owned(), 1));
    assert_eq!(names("list --status Gone").await, ("3c re".to_owned(), 3));
    assert_eq!(names("replay --all --status Gone").await, ("1a 1a 2b 3c re".to_owned(), 0));
}

#[tokio::test]
async fn an_object_without_a_day_is_read_unless_it_is_too_old() {
    let bucket = InMemoryBucket::default();
    for (id, written) in [("1a", "2026-11-01T00:00:00Z"), ("2b", "2026-11-21T11:00:00Z")] {
        bucket.now.set(Timestamp::parse(written));
        bucket.put(&key("unrecognized", "1970/01/01", id), "{}", WriteIf::Absent);
    }
    let number = async |line: &str| listed(&bucket, &filter(line)).await.0.len();
    assert_eq!(number("list --since 2d").await, 1);
    assert_eq!(number("list --since 2026-10-01").await, 2);
    assert_eq!(number("list --until 2026-11-02").await, 2);
    assert_eq!(number("list --since 1970-01-01").await, 2);
}

#[tokio::test]
async fn a_listing_that_is_denied_is_an_error() {
    let bucket = InMemoryBucket::default();
    bucket.denies_lists.set(true);
    assert_eq!(list(&bucket, &place(), &KeyFilter::default()).await.unwrap_err().action, "s3:ListBucket");
}
