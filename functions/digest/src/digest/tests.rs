//! Runs against a model of the world: a log, an object, a topic and a clock. Runs die at any call, before or after its
//! effect; answers are lost; two are at work at once; lines come late.

mod world;

use proptest::prelude::*;

use super::*;
use crate::digest::tests::world::{DigestWorld, Fate, Minutes, WorldStep};

#[test]
fn a_quiet_window_sends_nothing_and_is_done_with() {
    let world = DigestWorld::default();
    assert_eq!(world.run_to_the_end(), Ok(DigestEnd::Nothing));
    world.advance(Minutes(5));
    world.log_line();
    world.advance(Minutes(5));
    assert!(matches!(world.run_to_the_end(), Ok(DigestEnd::Sent { .. })));
    world.advance(Minutes(5));
    assert_eq!(world.run_to_the_end(), Ok(DigestEnd::Nothing));
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn the_first_window_is_one_interval_long() {
    let world = DigestWorld::default();
    world.advance(Minutes(2));
    world.log_line();
    world.advance(Minutes(7));
    assert_eq!(world.run_to_the_end(), Ok(DigestEnd::Nothing));
    world.log_line();
    world.advance(Minutes(2));
    assert!(matches!(world.run_to_the_end(), Ok(DigestEnd::Sent { .. })));
}

#[test]
fn a_refused_message_is_sent_by_the_retry() {
    let world = DigestWorld::default();
    world.run_to_the_end().unwrap();
    world.log_line();
    world.advance(Minutes(5));
    world.take(WorldStep::FailNextPublish(Fate::Refused));
    assert_eq!(world.run_to_the_end().unwrap_err().kind(), "AccessDenied");
    assert!(world.sent().is_empty());
    assert!(matches!(world.run_to_the_end(), Ok(DigestEnd::Sent { .. })));
    assert_eq!((world.sent().len(), world.named().len()), (1, 0));
}

#[test]
fn a_message_of_which_nobody_knows_is_not_sent_again() {
    let world = DigestWorld::default();
    world.run_to_the_end().unwrap();
    world.log_line();
    world.advance(Minutes(5));
    world.take(WorldStep::FailNextPublish(Fate::WorksWithoutAnswer));
    assert!(matches!(world.run_to_the_end(), Ok(DigestEnd::Unknown(_))));
    world.advance(Minutes(5));
    assert_eq!(world.run_to_the_end(), Ok(DigestEnd::Nothing));
    assert_eq!((world.sent().len(), world.named().len()), (1, 1));
}

#[test]
fn a_second_run_waits_for_the_first_and_goes_on_when_it_is_dead() {
    let world = DigestWorld::default();
    world.run_to_the_end().unwrap();
    world.log_line();
    world.advance(Minutes(5));
    world.run_until_publishing_and_die();
    assert_eq!(world.run_to_the_end(), Ok(DigestEnd::OtherRun));
    world.log_line();
    world.advance(Minutes(5));
    assert!(matches!(world.run_to_the_end(), Ok(DigestEnd::Sent { .. })));
    assert_eq!((world.sent().len(), world.named().len()), (1, 1));
}

#[test]
fn two_at_once_publish_once_wherever_the_second_comes_in() {
    for stops in 0..14 {
        let world = DigestWorld::default();
        world.run_to_the_end().unwrap();
        world.log_line();
        world.advance(Minutes(5));
        world.run_inside_another(stops);
        assert_eq!((world.sent().len(), world.named().len()), (1, 0), "after {stops} stops");
    }
}

#[test]
fn a_pause_of_days_is_one_message_that_names_what_was_not_looked_at() {
    let world = DigestWorld::default();
    world.run_to_the_end().unwrap();
    world.log_line();
    world.advance(Minutes(3 * 24 * 60));
    world.log_line();
    world.advance(Minutes(5));
    let Ok(DigestEnd::Sent { report, .. }) = world.run_to_the_end() else { panic!("nothing was sent") };
    assert_eq!(report.batches(), 1);
    assert_eq!(report.skipped.map(|skipped| skipped.to), Some(report.window.from));
    assert_eq!(world.named().len(), 1);
}

#[test]
fn an_object_that_may_not_be_read_is_an_error() {
    let world = DigestWorld::default();
    world.run_to_the_end().unwrap();
    world.advance(Minutes(5));
    world.hide_state();
    assert_eq!(world.run_to_the_end().unwrap_err().kind(), "StateUnreadable");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// No line is published twice, and none is passed over in silence.
    #[test]
    fn each_line_is_in_one_message_or_in_a_window_that_is_named(steps in prop::collection::vec(world::step(), 1..100)) {
        let world = DigestWorld::default();
        steps.iter().for_each(|step| world.take(*step));
        // Whatever was under way is over, and three quiet runs go behind everything.
        for _ in 0..3 {
            world.take(WorldStep::KillAll);
            world.advance(Minutes(10));
            let _ = world.run_to_the_end();
        }
        world.check()?;
    }
}
