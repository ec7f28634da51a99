//! The file that says which batches of a rescue were sent, so that the next run goes on behind them.
//!
//! A line is written after a batch was sent. If the program dies in between, the next run sends that batch again, with
//! the same id, and every reader of the queue knows the two copies for one. A batch is never left out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use hydration::invocation_record::sha256_hex;
use hydration::rescue::{RescuePlan, RescuedBatch, ResumePoint, ShardEnd};
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// The plan of a rescue, in the first line. With another plan, the batches would be cut elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RescueHeader {
    pub queue: String,
    pub stream: String,
    pub function: String,
    pub since: String,
    pub until: String,
    pub batch_size: u64,
    /// The patterns of the mapping whose filters are applied, as a digest. Empty without filters.
    pub filters: String,
}

impl RescueHeader {
    pub fn new(queue: &str, plan: &RescuePlan, patterns: Option<&[String]>) -> Self {
        Self {
            queue: queue.to_owned(),
            stream: plan.stream.as_str().to_owned(),
            function: plan.function_arn.clone(),
            since: plan.range.since.rfc3339(),
            until: plan.range.until.rfc3339(),
            batch_size: plan.batch_size,
            filters: patterns.map(|patterns| sha256_hex(&patterns.join("\n"))).unwrap_or_default(),
        }
    }

    /// The path of the file. It names the rescue and not its settings, so that a change of the mapping is noticed.
    pub fn path(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
        let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
        let state = state.context(
            "there is no folder for the progress of the rescue: neither XDG_STATE_HOME nor HOME is set\n  → give \
             --progress FILE",
        )?;
        let identity = [&self.queue, &self.stream, &self.function, &self.since, &self.until].map(String::as_str);
        let digest = sha256_hex(&identity.join("\n"));
        Ok(state.join("dlq/rescue").join(format!("{}.jsonl", digest.get(..32).unwrap_or(&digest))))
    }
}

/// A line after the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum ProgressLine {
    Sent {
        shard: String,
        end: String,
        arrival: Option<i64>,
        records: u64,
        #[serde(default, skip_serializing_if = "is_false")]
        gap: bool,
    },
    Ended {
        shard: String,
        ended: SavedEnd,
        #[serde(default, skip_serializing_if = "is_false")]
        gap: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SavedEnd {
    AfterRange,
    Closed,
    Tip,
    Gone,
}

/// Progress of earlier runs in a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardProgress {
    pub point: Option<ResumePoint>,
    pub batches: u64,
    pub records: u64,
    pub end: Option<ShardEnd>,
    /// Records may have expired while an earlier run read the shard.
    pub may_have_gap: bool,
}

#[derive(Debug)]
pub struct ProgressFile {
    path: PathBuf,
    file: File,
    shards: HashMap<String, ShardProgress>,
}

impl ProgressFile {
    /// Opens the file, or creates it, and reads what earlier runs have done. No other process may have it open.
    pub fn open(path: &Path, header: &RescueHeader) -> Result<Self> {
        let name = || format!("the progress file {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(name)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(path).with_context(name)?;
        if file.try_lock().is_err() {
            bail!("{} is in use: another run of this rescue is not finished\n  → wait for it, or stop it", name());
        }
        // A device may have no end.
        if !file.metadata().with_context(name)?.is_file() {
            return Err(not_a_progress_file(path));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(name)?;
        // The program may have died within its last line, which is then cut off. Before that, the file has to be one
        // of this rescue: any other stays as it is.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text.get(..whole).unwrap_or_default().lines();
        let first = lines.next();
        match first {
            Some(first) => check(path, first, header)?,
            None if serde_json::to_string(header)?.starts_with(&text) => {}
            None => return Err(not_a_progress_file(path)),
        }
        file.set_len(whole as u64).with_context(name)?;
        let mut progress = Self { path: path.to_owned(), file, shards: HashMap::new() };
        if first.is_none() {
            progress.write(header)?;
        }
        for line in lines {
            let entry = serde_json::from_str(line).ok().and_then(|entry| progress.apply(entry));
            entry.with_context(|| format!("{} is damaged\n  → remove it, and the rescue begins again", name()))?;
        }
        Ok(progress)
    }

    fn apply(&mut self, entry: ProgressLine) -> Option<()> {
        match entry {
            ProgressLine::Sent { shard, end, arrival, records, gap } => {
                let end = SequenceNumber::parse(&end).ok()?;
                let shard = self.shards.entry(shard).or_default();
                shard.point = Some(ResumePoint { end, arrival: arrival.map(Timestamp::from_millis) });
                shard.batches += 1;
                shard.records += records;
                shard.may_have_gap |= gap;
            }
            ProgressLine::Ended { shard, ended, gap } => {
                let shard = self.shards.entry(shard).or_default();
                shard.may_have_gap |= gap;
                shard.end = Some(match ended {
                    SavedEnd::AfterRange => ShardEnd::AfterRange,
                    SavedEnd::Closed => ShardEnd::Closed,
                    SavedEnd::Tip => ShardEnd::Tip,
                    SavedEnd::Gone => ShardEnd::Gone,
                });
            }
        }
        Some(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn of(&self, shard_id: &str) -> ShardProgress {
        self.shards.get(shard_id).cloned().unwrap_or_default()
    }

    /// Batches and records that earlier runs have sent.
    pub fn sent_before(&self) -> (u64, u64) {
        self.shards
            .values()
            .fold((0, 0), |(batches, records), shard| (batches + shard.batches, records + shard.records))
    }

    pub fn sent(&mut self, shard_id: &str, batch: &RescuedBatch, gap: bool) -> Result<()> {
        let arrival = batch.last_arrival.map(Timestamp::millis);
        let (shard, end) = (shard_id.to_owned(), batch.end.as_str().to_owned());
        self.write(&ProgressLine::Sent { shard, end, arrival, records: batch.records, gap })
    }

    pub fn ended(&mut self, shard_id: &str, end: ShardEnd, gap: bool) -> Result<()> {
        let ended = match end {
            ShardEnd::AfterRange => SavedEnd::AfterRange,
            ShardEnd::Closed => SavedEnd::Closed,
            ShardEnd::Tip => SavedEnd::Tip,
            ShardEnd::Gone => SavedEnd::Gone,
        };
        self.write(&ProgressLine::Ended { shard: shard_id.to_owned(), ended, gap })
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let line = format!("{}\n", serde_json::to_string(line)?);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("the progress file {}", self.path.display()))
    }
}

/// Checks the first line of a file.
fn check(path: &Path, first: &str, header: &RescueHeader) -> Result<()> {
    let Ok(found) = serde_json::from_str::<RescueHeader>(first) else { return Err(not_a_progress_file(path)) };
    let path = path.display();
    let same_cut = RescueHeader { batch_size: found.batch_size, filters: found.filters.clone(), ..header.clone() };
    if found != same_cut {
        bail!("{path} is the progress file of another rescue\n  → give another with --progress");
    }
    if found.batch_size != header.batch_size {
        bail!(
            "the rescue was begun with batches of {} records, and would go on with {}\n  → give --batch-size {}",
            found.batch_size,
            header.batch_size,
            found.batch_size
        );
    }
    if found.filters != header.filters {
        bail!(
            "the rescue was begun with other filters, so that its batches were cut elsewhere\n  → give the same \
             --filter-mapping; if the mapping has changed, remove {path}, and the rescue begins again with other ids"
        );
    }
    Ok(())
}

fn not_a_progress_file(path: &Path) -> anyhow::Error {
    anyhow!("{} is not the progress file of a rescue\n  → give another with --progress", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RescueHeader {
        RescueHeader {
            queue: "q".into(),
            stream: "s".into(),
            function: "f".into(),
            since: "a".into(),
            until: "b".into(),
            batch_size: 100,
            filters: String::new(),
        }
    }

    fn sent(end: &str) -> ProgressLine {
        ProgressLine::Sent { shard: "shard".into(), end: end.into(), arrival: Some(5), records: 3, gap: false }
    }

    #[test]
    fn the_next_run_knows_what_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.jsonl");
        let mut file = ProgressFile::open(&path, &header()).unwrap();
        assert_eq!(file.of("shard"), ShardProgress::default());
        file.write(&sent("7")).unwrap();
        file.write(&sent("12")).unwrap();
        assert!(ProgressFile::open(&path, &header()).unwrap_err().to_string().contains("in use"));
        drop(file);

        // The program died within a line.
        fs::write(&path, fs::read_to_string(&path).unwrap() + r#"{"shard":"shard","en"#).unwrap();
        let mut file = ProgressFile::open(&path, &header()).unwrap();
        let point = ResumePoint { end: SequenceNumber::parse("12").unwrap(), arrival: Some(Timestamp::from_millis(5)) };
        let expected = ShardProgress { point: Some(point), batches: 2, records: 6, ..ShardProgress::default() };
        assert_eq!((file.of("shard"), file.sent_before()), (expected, (2, 6)));
        file.ended("shard", ShardEnd::Tip, false).unwrap();
        drop(file);
        let ended = ProgressFile::open(&path, &header()).unwrap().of("shard");
        assert_eq!((ended.end, ended.may_have_gap), (Some(ShardEnd::Tip), false));
    }

    #[test]
    fn the_next_run_knows_which_shards_may_lack_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let mut file = ProgressFile::open(&path, &header()).unwrap();
        let ProgressLine::Sent { end, arrival, records, .. } = sent("7") else { unreachable!() };
        file.write(&ProgressLine::Sent { shard: "interrupted".into(), end, arrival, records, gap: true }).unwrap();
        file.write(&sent("8")).unwrap();
        file.ended("read", ShardEnd::Closed, true).unwrap();
        drop(file);
        let file = ProgressFile::open(&path, &header()).unwrap();
        let gaps = ["interrupted", "read", "shard"].map(|shard| file.of(shard).may_have_gap);
        assert_eq!(gaps, [true, true, false]);
    }

    #[test]
    fn a_file_of_another_kind_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        for text in ["{\"kept\":1}", "one line\nand half a", "\n", " ", "\u{feff}"] {
            fs::write(&path, text).unwrap();
            let error = ProgressFile::open(&path, &header()).unwrap_err().to_string();
            assert!(error.contains("not the progress file"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let error = ProgressFile::open(Path::new("/dev/null"), &header()).unwrap_err().to_string();
        assert!(error.contains("not the progress file"), "{error}");
    }

    #[test]
    fn a_run_that_died_within_the_first_line_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let first = serde_json::to_string(&header()).unwrap();
        for length in [0, 1, first.len() - 1, first.len()] {
            fs::write(&path, &first[..length]).unwrap();
            drop(ProgressFile::open(&path, &header()).unwrap());
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{first}\n"));
        }
    }

    #[test]
    fn a_rescue_goes_on_with_its_own_settings_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        drop(ProgressFile::open(&path, &header()).unwrap());
        let refused = |header: RescueHeader| ProgressFile::open(&path, &header).unwrap_err().to_string();
        assert!(refused(RescueHeader { batch_size: 10, ..header() }).contains("--batch-size 100"));
        assert!(refused(RescueHeader { filters: "x".into(), ..header() }).contains("--filter-mapping"));
        assert!(refused(RescueHeader { queue: "other".into(), ..header() }).contains("another rescue"));
        fs::write(&path, "{}\n").unwrap();
        assert!(refused(header()).contains("not the progress file"));
        let text = serde_json::to_string(&header()).unwrap() + "\n{}\n";
        fs::write(&path, text).unwrap();
        assert!(format!("{:#}", ProgressFile::open(&path, &header()).unwrap_err()).contains("damaged"));
    }

    #[test]
    fn the_file_names_the_rescue_and_not_its_settings() {
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/ana"));
        let path = header().path(home).unwrap();
        assert!(path.starts_with("/home/ana/.local/state/dlq/rescue"));
        assert_eq!(RescueHeader { batch_size: 5, filters: "x".into(), ..header() }.path(home).unwrap(), path);
        assert_ne!(RescueHeader { since: "c".into(), ..header() }.path(home).unwrap(), path);
        assert!(header().path(|_| None).unwrap_err().to_string().contains("--progress"));
    }
}
