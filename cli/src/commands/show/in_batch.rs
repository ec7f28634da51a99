//! The records of a superset: how many were in the failed batch, or the reason why that is not known.

use anyhow::Result;

use crate::narrowing::{Narrowing, NotNarrowed};
use crate::print::{Output, Paint, printable};

pub fn print(output: &Output, narrowing: Option<&Result<Narrowing, NotNarrowed>>) -> Result<()> {
    let text = match narrowing {
        None => return Ok(()),
        Some(Ok(narrowing)) => narrowing.sentence(),
        Some(Err(reason)) => format!("not narrowed: {reason}"),
    };
    let name = output.paint(Paint::Dim, format!("{:<10}", "in batch"));
    output.line(format!("  {name} {}", printable(&text)))
}
