//! The mail: plain text, the worst first.

use hydration::text::{count, thousands};

use super::{Excerpt, words};

pub fn text(excerpt: &Excerpt<'_>) -> String {
    let (report, links) = (excerpt.report, excerpt.links);
    let mut lines = vec![
        format!(
            "Lambda gave up on {} of {}.",
            count(report.batches(), "batch", "batches"),
            count(report.functions().len() as u64, "function", "functions"),
        ),
        format!(
            "{} came back to the queue, {} lost.",
            count(report.records(), "record", "records"),
            match report.missing() {
                1 => "1 is".to_owned(),
                missing => format!("{} are", thousands(missing)),
            }
        ),
        format!("Stack {}. Logged on {}.", links.stack_name, words::window(&report.window)),
    ];
    for (place, reported) in report.incidents.iter().take(excerpt.listed).enumerate() {
        let incident = &reported.incident;
        lines.push(String::new());
        lines.push(format!("{}. {}", place + 1, words::title(reported)));
        let details = [words::counts(incident), words::reason(incident), words::cause_and_age(incident)];
        lines.extend(details.into_iter().filter(|line| !line.is_empty()).map(|line| format!("   {line}")));
        lines.push(format!("   > {}", words::command(incident, &links.stack_name)));
    }
    let left_out = words::left_out(excerpt);
    if !left_out.is_empty() {
        lines.push(String::new());
        lines.extend(left_out);
    }
    lines.push(String::new());
    lines.push("Next".to_owned());
    for (command, what) in words::next_steps(excerpt) {
        lines.push(format!("   > {command}"));
        lines.push(format!("     {what}"));
    }
    if let Some(dashboard) = &links.dashboard_url {
        lines.push(String::new());
        lines.push(format!("Dashboard: {dashboard}"));
    }
    lines.push(String::new());
    lines.join("\n")
}
