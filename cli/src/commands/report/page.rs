//! The page: a template that is filled with texts. It escapes all of them.

use askama::Template;

use super::history_rows::HistorySection;
use super::incident_cards::{IncidentCard, IncidentCards};
use super::overview::Overview;
use super::page_text::{PageText, minute};
use super::retention::{self, RetentionRow};
use super::tables::{CutTable, FunctionRow, ShardRow, StatusRow, by_shard, by_status, function_rows};
use super::timeline::Timelines;
use super::totals::{RecordTotals, TotalCells, by_function};
use super::{ReportFacts, SourceWords};

#[derive(Template)]
#[template(path = "report.html")]
pub struct ReportPage {
    with_records: bool,
    account: PageText,
    region: PageText,
    queue: PageText,
    source: SourceWords,
    made_at: String,
    version: &'static str,
    filters: PageText,
    overview: Overview,
    /// What is not in the report, though it is there.
    unseen: Vec<PageText>,
    timelines: Option<Timelines>,
    totals: TotalCells,
    functions: CutTable<FunctionRow>,
    statuses: Vec<StatusRow>,
    incidents: Vec<IncidentCard>,
    incidents_left_out: Vec<String>,
    retention: CutTable<RetentionRow>,
    shards: CutTable<ShardRow>,
    history: Result<HistorySection, PageText>,
    ledger: PageText,
}

impl ReportPage {
    pub fn new(facts: &ReportFacts<'_>, cards: IncidentCards) -> Self {
        let functions = by_function(facts.messages);
        let history = match &facts.ledger {
            Ok(ledger) => Ok(HistorySection::of(ledger, &facts.ids, facts.filter, facts.now)),
            Err(error) => Err(PageText::sentence(error)),
        };
        let overview = Overview::of(facts, &functions, facts.incidents, history.as_ref().ok());
        Self {
            with_records: facts.with_records,
            account: PageText::name(&facts.queue.account),
            region: PageText::name(&facts.queue.region),
            queue: PageText::name(&facts.queue.queue),
            source: facts.source,
            made_at: minute(facts.now),
            version: env!("CARGO_PKG_VERSION"),
            filters: PageText::sentence(&match facts.filters.trim() {
                "" => format!("none: every batch {}", facts.source.here),
                filters => filters.to_owned(),
            }),
            overview,
            unseen: facts.unseen.iter().map(|line| PageText::sentence(line)).collect(),
            timelines: Timelines::of(&functions, facts.now),
            totals: RecordTotals::of(facts.messages).cells(),
            functions: function_rows(&functions),
            statuses: by_status(facts.messages),
            incidents_left_out: cards.left_out(),
            incidents: cards.cards,
            retention: retention::rows(&functions, facts.retention, facts.source.name, facts.now),
            shards: by_shard(facts.messages),
            history,
            ledger: PageText::sentence(&facts.ledger_place),
        }
    }
}
