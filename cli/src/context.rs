//! Context of a command, beside the queue, the bucket and the function that it works with.

use hydration::ports::Clock;
use hydration::timestamp::Timestamp;

use crate::interrupt::Interrupt;
use crate::print::Output;

pub struct Context<C> {
    pub output: Output,
    pub interrupt: Interrupt,
    pub clock: C,
    /// The words that were typed after the program's name.
    pub words: Vec<String>,
    /// The flags that were typed to say where things are, for a suggested command to repeat.
    pub location_flags: String,
}

impl<C: Clock> Context<C> {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
