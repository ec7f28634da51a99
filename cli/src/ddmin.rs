//! The smallest set that still fails.

/// What a trial of some of the records came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    Passes,
    Fails,
    /// No more trials are wanted.
    Stop,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smallest {
    /// In their order.
    pub places: Vec<usize>,
    /// Whether leaving out any one of them makes the rest pass; `false` when the search was stopped before.
    pub is_minimal: bool,
}

/// Halves a failing set, and then smaller and smaller pieces of it, until none can be left out: delta debugging as in
/// A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002. One culprit among n takes about
/// two trials for each halving.
pub async fn smallest(
    all: Vec<usize>,
    mut trial: impl AsyncFnMut(&[usize]) -> anyhow::Result<Trial>,
) -> anyhow::Result<Smallest> {
    let mut failing = all;
    let mut pieces = 2;
    'smaller: while failing.len() > 1 {
        let size = failing.len().div_ceil(pieces);
        let chunks: Vec<Vec<usize>> = failing.chunks(size).map(<[usize]>::to_vec).collect();
        for chunk in &chunks {
            match trial(chunk).await? {
                Trial::Stop => return Ok(Smallest { places: failing, is_minimal: false }),
                Trial::Fails => {
                    failing = chunk.clone();
                    pieces = 2;
                    continue 'smaller;
                }
                Trial::Passes => {}
            }
        }
        // Of two halves, each is what is left without the other.
        for left_out in chunks.iter().filter(|_| chunks.len() > 2) {
            let rest: Vec<usize> = failing.iter().copied().filter(|place| !left_out.contains(place)).collect();
            match trial(&rest).await? {
                Trial::Stop => return Ok(Smallest { places: failing, is_minimal: false }),
                Trial::Fails => {
                    failing = rest;
                    pieces = (pieces - 1).max(2);
                    continue 'smaller;
                }
                Trial::Passes => {}
            }
        }
        if size == 1 {
            break;
        }
        pieces = (pieces * 2).min(failing.len());
    }
    Ok(Smallest { places: failing, is_minimal: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(count: usize, culprits: &[usize]) -> (Smallest, usize) {
        let mut trials = 0;
        let found =
            futures_util::FutureExt::now_or_never(smallest((0..count).collect(), async |places: &[usize]| {
                trials += 1;
                let fails = culprits.iter().all(|culprit| places.contains(culprit));
                Ok(if fails { Trial::Fails } else { Trial::Passes })
            }));
        (found.unwrap().unwrap(), trials)
    }

    #[test]
    fn one_poison_record_in_a_thousand_takes_some_twenty_trials() {
        let (found, trials) = find(1000, &[617]);
        assert_eq!(found, Smallest { places: vec![617], is_minimal: true });
        assert!(trials <= 20, "{trials}");
    }

    proptest! {
        #[test]
        fn exactly_what_must_be_together_is_found(count in 1_usize..60, picks in prop::collection::btree_set(0_usize..60, 1..4)) {
            let culprits: Vec<usize> = picks.into_iter().filter(|place| *place < count).collect();
            prop_assume!(!culprits.is_empty());
            let (found, _) = find(count, &culprits);
            prop_assert_eq!(found, Smallest { places: culprits, is_minimal: true });
        }
    }
}
