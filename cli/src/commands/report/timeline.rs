//! Timelines: for each function, the records that failed in each stretch of time.

use hydration::timestamp::Timestamp;

use super::page_text::{PageText, minute, minute_without_zone};
use super::totals::{FailedFunction, RecordTotals};
use crate::print::count;

/// Functions that have a chart of their own.
const MAX_CHARTS: usize = 12;
/// Widths of a bar, in seconds. Wider ones are doubles of the last.
const WIDTHS: [i64; 12] = [10, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800];
const MAX_BARS: i64 = 60;
/// A chart with fewer bars would be a few broad blocks. It begins earlier then.
const MIN_BARS: i64 = 24;
/// The height of a chart, in the units of its drawing.
const HEIGHT: f64 = 100.0;
/// The least height of a part that is not empty.
const MIN_HEIGHT: f64 = 3.0;

/// The stretches of time that the bars stand for, the same for every function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeScale {
    /// Seconds since the epoch.
    start: i64,
    width: i64,
    bars: i64,
}

impl TimeScale {
    /// A scale from the first time to the last.
    pub fn over(first: Timestamp, last: Timestamp) -> Self {
        let (first, last) = (first.millis().div_euclid(1000), last.millis().div_euclid(1000));
        let bars_of = |width: i64| last.div_euclid(width) - first.div_euclid(width) + 1;
        let mut width = WIDTHS.into_iter().find(|width| bars_of(*width) <= MAX_BARS).unwrap_or(604_800);
        while bars_of(width) > MAX_BARS {
            width = width.saturating_mul(2);
        }
        let (start, bars) = (first.div_euclid(width), bars_of(width));
        let padding = (MIN_BARS - bars).max(0);
        Self { start: (start - padding).saturating_mul(width), width, bars: bars + padding }
    }

    fn place(self, time: Timestamp) -> usize {
        let place = (time.millis().div_euclid(1000).saturating_sub(self.start) / self.width).clamp(0, self.bars - 1);
        usize::try_from(place).unwrap_or(0)
    }

    /// The time at which a bar begins; behind the last bar, the end.
    fn begin(self, place: i64) -> Timestamp {
        Timestamp::from_millis(self.start.saturating_add(place.saturating_mul(self.width)).saturating_mul(1000))
    }

    fn bar_words(self) -> String {
        match self.width {
            60 => "1 minute".to_owned(),
            3_600 => "1 hour".to_owned(),
            86_400 => "1 day".to_owned(),
            604_800 => "1 week".to_owned(),
            width if width < 60 => format!("{width} seconds"),
            width if width < 3_600 => format!("{} minutes", width / 60),
            width if width < 86_400 => format!("{} hours", width / 3_600),
            width => format!("{} days", width / 86_400),
        }
    }
}

/// A part of a bar: a rectangle in the units of the drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct BarPart {
    pub class: &'static str,
    pub y: String,
    pub height: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChartBar {
    pub x: usize,
    pub parts: Vec<BarPart>,
    /// The numbers in words.
    pub title: String,
}

/// The chart of one function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionChart {
    pub function: PageText,
    /// `12 batches: 1,200 records came back, 20 are lost`.
    pub summary: String,
    /// The highest bar in words: the scale of the chart.
    pub highest: String,
    pub bars: Vec<ChartBar>,
    pub description: String,
}

/// The charts of all functions, and the axis that they share.
#[derive(Debug, Clone, PartialEq)]
pub struct Timelines {
    pub charts: Vec<FunctionChart>,
    pub number_of_bars: i64,
    pub bar_words: String,
    /// A batch is drawn of which no number of records is known.
    pub has_uncounted: bool,
    pub start: String,
    pub middle: String,
    pub end: String,
    /// What is not drawn.
    pub left_out: Vec<String>,
}

impl Timelines {
    /// `None` where no message has a time.
    pub fn of(functions: &[FailedFunction<'_>], now: Timestamp) -> Option<Self> {
        let first = functions.iter().filter_map(|function| function.totals.first).min()?;
        let last = functions.iter().filter_map(|function| function.totals.last).max()?;
        // The present belongs to the picture where the trouble may go on.
        let span = last.millis_since(first).max(3_600_000);
        let is_recent = (0..=span).contains(&now.millis_since(last));
        let scale = TimeScale::over(first, if is_recent { now } else { last });
        let charts: Vec<FunctionChart> = functions.iter().take(MAX_CHARTS).map(|each| chart(each, scale)).collect();
        let mut left_out = Vec::new();
        if let Some(others) = functions.get(MAX_CHARTS..).filter(|others| !others.is_empty()) {
            let totals = RecordTotals::of(others.iter().flat_map(|function| function.messages.iter().copied()));
            left_out.push(format!(
                "Not drawn: {} with fewer records, together {} with {}.",
                count(others.len() as u64, "function", "functions"),
                count(totals.batches(), "batch", "batches"),
                count(totals.all(), "record", "records")
            ));
        }
        let parts = charts.iter().flat_map(|chart| &chart.bars).flat_map(|bar| &bar.parts);
        Some(Self {
            has_uncounted: parts.into_iter().any(|part| part.class == "none"),
            charts,
            number_of_bars: scale.bars,
            bar_words: scale.bar_words(),
            start: minute_without_zone(scale.begin(0)),
            middle: minute_without_zone(scale.begin(scale.bars / 2)),
            end: minute(scale.begin(scale.bars)),
            left_out,
        })
    }
}

fn chart(function: &FailedFunction<'_>, scale: TimeScale) -> FunctionChart {
    let mut stretches = vec![RecordTotals::default(); usize::try_from(scale.bars).unwrap_or(0)];
    for message in &function.messages {
        let place = message.failed_or_sent_at().map(|time| scale.place(time));
        if let Some(totals) = place.and_then(|place| stretches.get_mut(place)) {
            totals.add(message);
        }
    }
    let highest = stretches.iter().map(RecordTotals::all).max().unwrap_or(0);
    let bar = |(x, totals): (usize, &RecordTotals<'_>)| {
        let at = minute(scale.begin(i64::try_from(x).unwrap_or(0)));
        let title = format!("From {at}: {}", words(totals));
        (totals.batches() > 0).then(|| ChartBar { x, parts: parts(totals.records, totals.lost, highest), title })
    };
    let bars: Vec<ChartBar> = stretches.iter().enumerate().filter_map(bar).collect();
    let summary = words(&function.totals);
    FunctionChart {
        function: PageText::name(&function.name),
        highest: count(highest, "record", "records"),
        description: format!("{summary}. Each bar is {}; {} filled.", scale.bar_words(), is_or_are(bars.len())),
        summary,
        bars,
    }
}

fn is_or_are(bars: usize) -> String {
    format!("{} {}", count(bars as u64, "bar", "bars"), if bars == 1 { "is" } else { "are" })
}

/// The parts of a bar: what came back below, what is lost above it.
fn parts(records: u64, lost: u64, highest: u64) -> Vec<BarPart> {
    let height = |number: u64| {
        let share = number as f64 / highest.max(1) as f64 * HEIGHT;
        if number == 0 { 0.0 } else { share.max(MIN_HEIGHT) }
    };
    let (kept, lost) = (height(records), height(lost));
    // Both least heights together may be more than there is room for.
    let kept = kept.min(HEIGHT - lost);
    let part = |class, y: f64, height: f64| {
        (height > 0.0).then(|| BarPart { class, y: format!("{y:.1}"), height: format!("{height:.1}") })
    };
    let parts = [part("kept", HEIGHT - kept, kept), part("lost", HEIGHT - kept - lost, lost)];
    let mut parts: Vec<BarPart> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        parts.extend(part("none", HEIGHT - MIN_HEIGHT, MIN_HEIGHT));
    }
    parts
}

fn words(totals: &RecordTotals<'_>) -> String {
    let batches = count(totals.batches(), "batch", "batches");
    let records = count(totals.records, "record came back", "records came back");
    match totals.lost {
        0 => format!("{batches}, {records}"),
        lost => format!("{batches}, {records}, {}", count(lost, "is lost", "are lost")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn bars_have_round_widths() {
        for (seconds, words) in
            [(0, "10 seconds"), (3_600, "5 minutes"), (86_400, "30 minutes"), (1_209_600, "6 hours")]
        {
            assert_eq!(TimeScale::over(at(1_000_000), at(1_000_000 + seconds)).bar_words(), words, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn every_time_has_its_bar(first in any::<i64>(), second in any::<i64>(), part in 0.0..=1.0_f64) {
            let (first, last) = (first.min(second) / 2, first.max(second) / 2);
            let between = Timestamp::from_millis(first + ((last - first) as f64 * part) as i64);
            let scale = TimeScale::over(Timestamp::from_millis(first), Timestamp::from_millis(last));
            prop_assert!((MIN_BARS..=MAX_BARS).contains(&scale.bars), "{scale:?}");
            prop_assert!(scale.place(between) <= scale.place(Timestamp::from_millis(last)));
            let begin = scale.begin(scale.place(Timestamp::from_millis(first)) as i64);
            prop_assert!(begin.millis() <= first);
        }
    }

    #[test]
    fn what_is_lost_stands_on_what_came_back() {
        let drawn = parts(30, 10, 80);
        let drawn: Vec<_> = drawn.iter().map(|part| (part.class, part.y.as_str(), part.height.as_str())).collect();
        assert_eq!(drawn, [("kept", "62.5", "37.5"), ("lost", "50.0", "12.5")]);
        let one_lost = parts(1_000_000, 1, 1_000_001);
        let drawn: Vec<_> = one_lost.iter().map(|part| (part.y.as_str(), part.height.as_str())).collect();
        assert_eq!(drawn, [("3.0", "97.0"), ("0.0", "3.0")], "one lost record of a million is seen");
        assert_eq!(parts(0, 0, 0)[0].class, "none");
    }
}
