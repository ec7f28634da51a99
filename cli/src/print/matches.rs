//! Records that match a search, in the output of commands that print many messages.

use anyhow::Result;

use crate::print::table::Columns;
use crate::print::{Output, Paint, count, printable, short_id, thousands};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::record_search::{MatchesById, MessageMatches};

/// Records of a message that have a line each.
const MAX_LINES: usize = 5;

/// The number of records, and the places of the first, as in `2 records match: 58, 59`.
pub fn sentence(matches: &MessageMatches) -> String {
    let places: Vec<String> = matches.matches.iter().take(MAX_LINES).map(|found| found.record.to_string()).collect();
    let more = matches.match_count.saturating_sub(places.len() as u64);
    let more = if more > 0 { format!(" and {} more", thousands(more)) } else { String::new() };
    let verb = if matches.match_count == 1 { "matches" } else { "match" };
    format!("{} {verb}: {}{more}", count(matches.match_count, "record", "records"), places.join(", "))
}

/// A table of the records that match. Nothing where nothing was searched for.
pub fn print(output: &Output, messages: &[HydratedMessage], found: &MatchesById) -> Result<()> {
    let mut table = Columns::new(output, &["ID", "RECORD", "SEQUENCE NUMBER"]);
    table.right(&[1]);
    let mut is_empty = true;
    for (message, matches) in messages.iter().filter_map(|message| Some((message, found.of(message)?))) {
        is_empty = false;
        let id = || (printable(&short_id(&message.id)), Some(Paint::Cyan));
        for record in matches.matches.iter().take(MAX_LINES) {
            let number = record.sequence_number.as_deref().unwrap_or("-");
            table.row([id(), (record.record.to_string(), None), (printable(number), None)]);
        }
        if let Some(more) = matches.match_count.checked_sub(MAX_LINES as u64).filter(|more| *more > 0) {
            let text = format!("and {} more: dlq show --grep", thousands(more));
            table.row([id(), ("…".to_owned(), None), (text, Some(Paint::Dim))]);
        }
    }
    if is_empty { Ok(()) } else { output.line("").and_then(|()| output.table(&table)) }
}
