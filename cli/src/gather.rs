//! Everything on the queue, read once and put in order.

use std::cell::RefCell;

use anyhow::Result;
use futures_util::stream::{self, StreamExt};
use hydration::message::received::Pointer;

use crate::entry::{Entry, Foreign, Letter, collect};
use crate::exit::explain;
use crate::hold::Hold;
use crate::look::{Pass, look};
use crate::ports::{Bucket, NotFetched, Queue};
use crate::print::progress::Progress;

/// What precedes the records is a fiftieth of this: the invocation record and the verdict.
const BEGINNING: usize = 64 * 1024;
const FETCHES_AT_ONCE: usize = 8;

pub struct Gathered {
    pub pass: Pass,
    pub entries: Vec<Entry>,
    pub foreign: Vec<Foreign>,
}

/// Reads the whole queue. Bodies are kept only of what `wants` asks for: two thousand messages may be two gigabytes.
pub async fn gather<Q: Queue, B: Bucket>(
    hold: &Hold<'_, Q>,
    bucket: &B,
    wants: impl Fn(&Entry) -> bool,
) -> Result<Gathered> {
    let letters = RefCell::new(Vec::new());
    let progress = Progress::new("reading the queue");
    let pass = look(hold, &progress, |delivery| {
        let mut letter = Letter::open(delivery);
        if letter.pointer.is_some() || !letter.entry().is_ok_and(|entry| wants(&entry)) {
            letter.body = None;
        }
        letters.borrow_mut().push(letter);
    })
    .await?;

    let mut letters = letters.into_inner();
    let progress = Progress::new("reading the overflow");
    progress.expect(letters.iter().filter(|letter| letter.pointer.is_some()).count() as u64);
    let pointed = letters.iter_mut().filter_map(|letter| Some((letter.pointer.clone()?, letter)));
    stream::iter(pointed)
        .map(async |(pointer, letter)| {
            let beginning = bucket.get(&pointer, Some(BEGINNING)).await;
            letter.fetched(beginning.map_err(|why| not_fetched(&why, &pointer)));
            progress.add(1);
        })
        .buffer_unordered(FETCHES_AT_ONCE)
        .for_each(|()| std::future::ready(()))
        .await;
    progress.done();

    let (entries, foreign) = collect(letters);
    Ok(Gathered { pass, entries, foreign })
}

pub fn not_fetched(why: &NotFetched, pointer: &Pointer) -> String {
    let Pointer { bucket, key } = pointer;
    match why {
        NotFetched::Missing => format!("s3://{bucket}/{key} is gone: deleted, or past the bucket's lifecycle"),
        NotFetched::Fault(fault) => format!("s3://{bucket}/{key}: {:#}", explain(fault)),
    }
}

/// The whole text of an entry, from its fullest copy.
pub async fn text_of<B: Bucket>(entry: &Entry, bucket: &B) -> Result<String> {
    let Some(copy) = entry.copies.first() else { anyhow::bail!("the message has no copy") };
    if let Some(pointer) = &copy.pointer {
        let bytes = bucket.get(pointer, None).await.map_err(|why| anyhow::anyhow!(not_fetched(&why, pointer)))?;
        return String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("the object is not UTF-8 text"));
    }
    copy.body.clone().ok_or_else(|| anyhow::anyhow!("the message's body was not kept"))
}
