//! Reasons why a replay does not run a message, with the advice for each.

/// Reasons why a message is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    Superset,
    /// Nothing is known of a superset that could be left out.
    NotNarrowed,
    TooLarge,
    InDoubt,
    NothingToRun,
    /// A person has taken it off the queue, and it is read from the archive.
    Discarded,
    /// A drill has left it: no function has failed on it.
    Drill,
    /// A pipe failed, or the source is unknown.
    NoFunction,
    /// Its body cannot be read.
    Unreadable,
    /// An earlier run knew fewer records of it than there are.
    CopiesDiffer,
    /// The records that were chosen on the command line cannot be run.
    Selection,
    /// Another run has acted on it since it was planned.
    Changed,
    /// It was tried in this run, and has failed.
    FailedBefore,
    /// Messages of a standard queue are in flight or delayed, and one of them may be an earlier batch of its shard.
    InFlight,
}

impl RefusalReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superset => "superset",
            Self::NotNarrowed => "notNarrowed",
            Self::TooLarge => "tooLarge",
            Self::InDoubt => "inDoubt",
            Self::NothingToRun => "nothingToRun",
            Self::Discarded => "discarded",
            Self::Drill => "drill",
            Self::NoFunction => "noFunction",
            Self::Unreadable => "unreadable",
            Self::CopiesDiffer => "copiesDiffer",
            Self::Selection => "selection",
            Self::Changed => "changed",
            Self::FailedBefore => "failedBefore",
            Self::InFlight => "inFlight",
        }
    }

    /// The meaning of the reason, and the next step.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Superset => {
                "a superset: it would run records that had succeeded; --narrow leaves out those that were not in the \
                 batch, --include-superset runs all"
            }
            Self::NotNarrowed => "a superset that cannot be narrowed; --include-superset runs all of it",
            Self::TooLarge => "larger than the 6 MB that an invocation takes; dlq export writes it to a file",
            Self::InDoubt => {
                "in doubt: an earlier invocation has no known outcome; look at the function's log, then give \
                 --in-doubt rerun or --in-doubt done"
            }
            Self::NothingToRun => {
                "nothing is left to run; dlq discard takes it off a queue when it has been dealt with"
            }
            Self::Discarded => "discarded from the queue; dlq show says by whom, and its id in place of --all runs it",
            Self::Drill => "left by a drill: no function has failed on it; dlq discard takes it off a queue",
            Self::NoFunction => "no Lambda function failed on it; --on names one to run it on",
            Self::Unreadable => "not readable; dlq show says why",
            Self::CopiesDiffer => "it holds records that an earlier, partial run did not know of; run it by hand",
            Self::Selection => "the chosen records cannot be run",
            Self::Changed => "another run has acted on it; run dlq again",
            Self::FailedBefore => "it has failed in this run already",
            Self::InFlight => {
                "not run while messages are in flight or delayed, of which one may be an earlier batch of its shard; \
                 wait until they are visible, or give --keep-going"
            }
        }
    }

    /// A batch without records has nothing that a later one could overtake, the records of a drill did not fail, and a
    /// message that was discarded is dealt with.
    pub fn holds_back(self) -> bool {
        !matches!(self, Self::NothingToRun | Self::Discarded | Self::Drill)
    }
}
