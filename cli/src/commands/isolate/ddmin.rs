//! Delta debugging: the smallest set of records that still fails.

/// Outcome of one trial with some of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    Passes,
    Fails,
    /// The search must end now.
    Stop,
}

/// The smallest failing set that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smallest {
    /// Places of the records in the batch, in their order.
    pub places: Vec<usize>,
    /// `true` when the set passes without any one of its records; `false` when the search was stopped before.
    pub is_minimal: bool,
}

/// Halves a failing set, and then tries smaller and smaller pieces of it, until none can be left out. The method is in
/// A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002. For one bad record it takes
/// about two trials for each halving.
pub async fn smallest(
    all: Vec<usize>,
    mut trial: impl AsyncFnMut(&[usize]) -> anyhow::Result<Trial>,
) -> anyhow::Result<Smallest> {
    let mut failing = all;
    let mut pieces = 2;
    while failing.len() > 1 {
        let size = failing.len().div_ceil(pieces);
        match first_failing(candidates(&failing, size), &mut trial).await? {
            Found::Stopped => return Ok(Smallest { places: failing, is_minimal: false }),
            Found::Piece(piece) => {
                failing = piece;
                pieces = 2;
            }
            Found::Rest(rest) => {
                failing = rest;
                pieces = (pieces - 1).max(2);
            }
            Found::Nothing if size == 1 => break,
            Found::Nothing => pieces = (pieces * 2).min(failing.len()),
        }
    }
    Ok(Smallest { places: failing, is_minimal: true })
}

/// A smaller set to try: one piece of the failing set, or all of it without one piece.
enum Candidate {
    Piece(Vec<usize>),
    Rest(Vec<usize>),
}

enum Found {
    Piece(Vec<usize>),
    Rest(Vec<usize>),
    /// Every candidate passes.
    Nothing,
    Stopped,
}

fn candidates(failing: &[usize], size: usize) -> Vec<Candidate> {
    let pieces: Vec<&[usize]> = failing.chunks(size).collect();
    let without = |piece: &&[usize]| failing.iter().copied().filter(|place| !piece.contains(place)).collect();
    // Of two halves, each is what is left without the other.
    let rests = pieces.iter().filter(|_| pieces.len() > 2).map(|piece| Candidate::Rest(without(piece)));
    pieces.iter().map(|piece| Candidate::Piece(piece.to_vec())).chain(rests).collect()
}

async fn first_failing(
    candidates: Vec<Candidate>,
    trial: &mut impl AsyncFnMut(&[usize]) -> anyhow::Result<Trial>,
) -> anyhow::Result<Found> {
    for candidate in candidates {
        let (Candidate::Piece(places) | Candidate::Rest(places)) = &candidate;
        match (trial(places).await?, candidate) {
            (Trial::Passes, _) => {}
            (Trial::Stop, _) => return Ok(Found::Stopped),
            (Trial::Fails, Candidate::Piece(piece)) => return Ok(Found::Piece(piece)),
            (Trial::Fails, Candidate::Rest(rest)) => return Ok(Found::Rest(rest)),
        }
    }
    Ok(Found::Nothing)
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
        fn exactly_what_must_be_together_is_found(
            count in 1_usize..60,
            picks in prop::collection::btree_set(0_usize..60, 1..4),
        ) {
            let culprits: Vec<usize> = picks.into_iter().filter(|place| *place < count).collect();
            prop_assume!(!culprits.is_empty());
            let (found, _) = find(count, &culprits);
            prop_assert_eq!(found, Smallest { places: culprits, is_minimal: true });
        }
    }
}
