//! Keys that the others have and one record has not.

use std::collections::HashSet;

use crate::suspects::SuspectRule;
use crate::suspects::content::ContentKind;
use crate::suspects::judge::class::MIN_CLASS;
use crate::suspects::judge::{Clue, Judge, others, strong_limit, surprise, weak_limit};
use crate::suspects::log::Topic;
use crate::suspects::path::PathId;
use crate::suspects::profile::ValueType;

const BITS: f64 = 3.0;
/// Bits off for each other key that a few other records are without, up to a limit: then a missing key is usual here.
const LOOSE_BITS: f64 = 1.0;
const MAX_LOOSE_BITS: f64 = 4.0;

/// Units that have the object around a key, and those of them that have not the key.
#[derive(Debug, Default, Clone)]
struct Presence {
    all: usize,
    missing: usize,
    /// The first of the units without it.
    without: Vec<u32>,
}

impl Judge<'_> {
    pub(super) fn judge_missing(&mut self) {
        let keys: Vec<PathId> = self.profile.paths.ids().filter(|path| self.profile.paths.is_key(*path)).collect();
        let presences: Vec<(PathId, Vec<Presence>)> = keys
            .into_iter()
            .map(|path| (path, self.presence(path)))
            .filter(|(_, classes)| has_missing(classes))
            .collect();
        // Sets of records that are without a key. A record that is without many keys counts once.
        let loose: HashSet<Vec<u32>> =
            presences.iter().map(|(_, classes)| total(classes)).filter(is_loose).map(|all| all.without).collect();
        self.loose_keys = loose.len();
        for (path, classes) in &presences {
            let own = total(classes).without;
            let others = loose.len() - usize::from(loose.contains(&own));
            let found = self.judge_key(*path, classes, (others as f64 * LOOSE_BITS).min(MAX_LOOSE_BITS));
            self.clues.extend(found);
        }
    }

    /// The units with and without the key, by their class.
    fn presence(&self, path: PathId) -> Vec<Presence> {
        let parent = self.profile.paths.parent(path);
        let mut classes = vec![Presence::default(); self.classes.len()];
        let mut children = self.profile.at(path).iter().peekable();
        let mut objects =
            self.profile.at(parent).iter().filter(|value| value.value_type == ValueType::Object).peekable();
        while let Some(object) = objects.next() {
            let mut wanted = 1;
            while objects.next_if(|next| next.unit == object.unit).is_some() {
                wanted += 1;
            }
            while children.next_if(|child| child.unit < object.unit).is_some() {}
            let mut found = 0;
            while children.next_if(|child| child.unit == object.unit).is_some() {
                found += 1;
            }
            if let Some(class) = classes.get_mut(self.classes.class(object.unit)) {
                class.all += 1;
                if found < wanted {
                    class.missing += 1;
                    if class.without.len() < 6 {
                        class.without.push(object.unit);
                    }
                }
            }
        }
        classes
    }

    fn judge_key(&self, path: PathId, classes: &[Presence], loose_bits: f64) -> Vec<Clue> {
        let whole = total(classes);
        let named = self.names_key_of(path);
        let limit = |all: usize| if named { strong_limit(all) } else { weak_limit(all) };
        let is_rare = |presence: &Presence| {
            (1..=limit(presence.all)).contains(&presence.missing) && presence.all > 4 * presence.missing
        };
        let mut found = Vec::new();
        let within = classes.iter().filter(|class| self.classes.len() > 1 && class.all >= MIN_CLASS);
        for presence in within.chain(std::iter::once(&whole)).filter(|presence| is_rare(presence)) {
            let loose = if named { 0.0 } else { loose_bits };
            let weight = self.weight(BITS - loose, &[Topic::Absence], Some(path)).bits;
            for unit in &presence.without {
                let is_image = self.profile.unit(*unit).is_some_and(|unit| unit.kind == ContentKind::Change)
                    && self.profile.paths.name(path) == "newImage";
                let rule = SuspectRule::MissingKey;
                let discount = if is_image || named { 0.0 } else { self.classes.discount(*unit, rule) };
                let bits = weight + surprise(presence.all, presence.missing) - discount;
                let claim = format!("{} is missing", self.name(path));
                let usual = format!("{} have it{}", others(presence.all - presence.missing), self.key_in_log(path));
                found.extend(self.clue(*unit, rule, bits, claim).map(|clue| Clue { usual, ..clue }));
            }
        }
        found
    }
}

fn has_missing(classes: &[Presence]) -> bool {
    classes.iter().any(|class| class.missing > 0)
}

fn total(classes: &[Presence]) -> Presence {
    Presence {
        all: classes.iter().map(|class| class.all).sum(),
        missing: classes.iter().map(|class| class.missing).sum(),
        without: classes.iter().flat_map(|class| class.without.iter().copied()).take(6).collect(),
    }
}

/// Returns true if some records are without the key, and most have it.
fn is_loose(presence: &Presence) -> bool {
    presence.missing > 0 && presence.missing * 6 < presence.all
}
