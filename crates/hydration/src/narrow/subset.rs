//! Subsets of weights that add up to a target.

/// The most additions that are made. It is a second's work at worst, and more than any batch of 10,000 needs.
const MAX_WORK: usize = 200_000_000;

/// The subsets that add up to the target.
#[derive(Debug, PartialEq, Eq)]
pub enum Subsets {
    None,
    /// Exactly one: the places of its weights.
    One(Vec<usize>),
    Several,
}

/// Counts the subsets of weights, all above zero, that add up to the target. `None` if that is too much work.
///
/// The table holds for each sum how many subsets have it, up to two, and the last weight of the first one that was found.
/// So its memory is that of the target, and its time that of the target by the number of weights.
pub fn subsets(weights: &[usize], target: usize) -> Option<Subsets> {
    if weights.iter().sum::<usize>() < target {
        return Some(Subsets::None);
    }
    if weights.len().checked_mul(target)? > MAX_WORK {
        return None;
    }
    let mut counts = vec![0_u8; target + 1];
    let mut last_places = vec![0_usize; target + 1];
    *counts.first_mut()? = 1;
    for (place, weight) in weights.iter().enumerate() {
        for sum in (*weight..=target).rev() {
            let without = counts.get(sum - weight).copied().unwrap_or_default();
            let (Some(count), Some(last_place)) = (counts.get_mut(sum), last_places.get_mut(sum)) else { continue };
            if *count == 0 && without > 0 {
                *last_place = place;
            }
            *count = count.saturating_add(without).min(2);
        }
    }
    Some(match counts.last() {
        Some(1) => Subsets::One(only_subset(weights, &last_places, target)),
        Some(2) => Subsets::Several,
        _ => Subsets::None,
    })
}

/// The places of the only subset. Each of its sums, taken from its last weight down, has one subset among the weights
/// before, which was the first to be found.
fn only_subset(weights: &[usize], last_places: &[usize], target: usize) -> Vec<usize> {
    let (mut places, mut sum) = (Vec::new(), target);
    while sum > 0 {
        let Some(place) = last_places.get(sum).copied() else { break };
        places.push(place);
        sum -= weights.get(place).copied().unwrap_or(sum).min(sum);
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_subset_one_or_several() {
        for (weights, target, expected) in [
            (&[][..], 0, Subsets::One(vec![])),
            (&[], 1, Subsets::None),
            (&[3], 3, Subsets::One(vec![0])),
            (&[3, 3], 3, Subsets::Several),
            (&[3, 3], 6, Subsets::One(vec![1, 0])),
            (&[1, 2, 3], 3, Subsets::Several),
            (&[2, 4, 8], 10, Subsets::One(vec![2, 0])),
            (&[2, 4, 8], 7, Subsets::None),
        ] {
            assert_eq!(subsets(weights, target), Some(expected), "{weights:?} {target}");
        }
        assert_eq!(subsets(&[1; 30_000], 10_000), None);
        assert_eq!(subsets(&[1; 1_000], 999), Some(Subsets::Several));
    }

    proptest! {
        #[test]
        fn all_subsets_are_counted(weights in prop::collection::vec(1_usize..9, 0..10), target in 0_usize..30) {
            let chosen = |bits: u32| (0..weights.len()).filter(move |place| bits >> place & 1 == 1);
            let adds_up = |bits: &u32| chosen(*bits).map(|place| weights[place]).sum::<usize>() == target;
            let all: Vec<u32> = (0..1_u32 << weights.len()).filter(adds_up).collect();
            match subsets(&weights, target).unwrap() {
                Subsets::None => prop_assert!(all.is_empty()),
                Subsets::Several => prop_assert!(all.len() > 1),
                Subsets::One(mut places) => {
                    places.sort_unstable();
                    prop_assert_eq!(all.len(), 1);
                    prop_assert_eq!(places, chosen(all[0]).collect::<Vec<_>>());
                }
            }
        }
    }
}
