//! The record after a stage: forward only, and what is decided stays decided.

use crate::evidence::{cause, end, policy, record, wall};
use operator_engine::{
    plan::{
        action::WriteStep,
        end::{Cause, End},
        transition::{Ended, after},
        view::Ending,
    },
    workflow::{Outcome, Phase, Stage, record::MAX_MESSAGE_LEN},
};
use proptest::{prelude::*, test_runner::Config};

/// How a stage may end; owned, because [`Ended`] borrows.
#[derive(Debug, Clone)]
enum Kind {
    Pod(End, Option<Ending>),
    Vanished,
    Lost,
    StoppedBefore,
    NeverRan(String, String),
    DocumentChanged,
}

impl Kind {
    fn ended(&self) -> Ended<'_> {
        match self {
            Self::Pod(end, ending) => Ended::Pod { end, ending: ending.as_ref() },
            Self::Vanished => Ended::Vanished,
            Self::Lost => Ended::Lost,
            Self::StoppedBefore => Ended::StoppedBefore,
            Self::NeverRan(reason, message) => Ended::NeverRan { reason: reason.clone(), message: message.clone() },
            Self::DocumentChanged => Ended::DocumentChanged,
        }
    }

    /// Whether the pod of this attempt certainly never ran.
    fn never_ran(&self) -> bool {
        match self {
            Self::Pod(end, Some(Ending::WaitedFor { .. })) => end.exit_code.is_none(),
            Self::StoppedBefore | Self::NeverRan(..) | Self::DocumentChanged => true,
            _ => false,
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    let ending = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Ending::Stop)),
        1 => (cause(), any::<String>()).prop_map(|(cause, message)| Some(Ending::WaitedFor { cause, message, after: std::time::Duration::from_secs(600) })),
    ];
    prop_oneof![
        8 => (end(), ending).prop_map(|(end, ending)| Kind::Pod(end, ending)),
        1 => Just(Kind::Vanished),
        1 => Just(Kind::Lost),
        1 => Just(Kind::StoppedBefore),
        1 => ("[ -~]{0,200}", ".{0,3000}").prop_map(|(reason, message)| Kind::NeverRan(reason, message)),
        1 => Just(Kind::DocumentChanged),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_record_goes_forward_and_forgets_nothing(
        record in record(),
        kind in kind(),
        wants_stop in any::<bool>(),
        policy in policy(),
        second in -200_000i64..200_000,
    ) {
        let Some(stage) = record.phase.stage() else { return Ok(()) };
        // As the plan asks: who wanted it to stop once still does.
        let stop = wants_stop || record.stopreq == 1;
        let (step, next) = after(&record, stage, &kind.ended(), stop, &policy, wall(second));

        match step {
            // What may not leave, which is found once: then there is nothing to wait for.
            WriteStep::Retry if next.withheld && !record.withheld => {
                prop_assert_eq!((stage, next.phase, next.attempt), (Stage::Publish, record.phase, record.attempt + 1));
                prop_assert_eq!((next.not_before, next.failures), (None, record.failures));
                prop_assert_eq!(next.outcome, record.outcome.or(Some(Outcome::Withheld)), "whoever wanted it to stop");
            }
            WriteStep::Retry => {
                prop_assert_eq!((next.phase, next.attempt), (record.phase, record.attempt.wrapping_add(1)));
                prop_assert!(next.attempt > 0 && next.not_before > Some(wall(second)));
                prop_assert!(!stop, "nobody waits for what is to stop");
                prop_assert_eq!(next.outcome, record.outcome);
                prop_assert!(stage == Stage::Publish || next.failures > record.failures);
            }
            WriteStep::Transition | WriteStep::Finish => {
                if next.round == record.round {
                    prop_assert!(next.phase > record.phase);
                    prop_assert_eq!(next.times[&stage].ended, Some(wall(second)));
                } else {
                    // The next of the document's stages: only after this one was published, and nothing stands against it.
                    prop_assert_eq!((stage, next.phase, step), (Stage::Publish, Phase::Configure, WriteStep::Transition));
                    prop_assert_eq!((record.outcome, next.outcome, stop), (None, None, false));
                    prop_assert_eq!((next.round, next.ahead.len() + 1), (record.round + 1, record.ahead.len()));
                    let earlier = next.earlier.last().unwrap();
                    prop_assert_eq!(earlier.times[&stage].ended, next.times[&Stage::Configure].started);
                    prop_assert!(earlier.results.is_some() && next.results.is_none());
                    prop_assert!(matches!(&kind, Kind::Pod(end, None) if end.cause() == Cause::Success), "{:?}", kind);
                }
                prop_assert_eq!((next.attempt, next.not_before), (0, None));
                prop_assert_eq!(step == WriteStep::Finish, next.phase == Phase::Done);
            }
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert!(record.outcome.is_none() || next.outcome == record.outcome, "the first outcome stays");
        prop_assert!(!record.withheld || next.withheld, "what is withheld stays so");
        prop_assert!(!stop || next.stopreq == 1, "a stop is never lost: {}", next.stopreq);
        prop_assert!(!record.code.sticks() || next.code == record.code);
        prop_assert_eq!((&next.holder, next.document), (&record.holder, record.document));
        prop_assert_eq!(next.text.as_str(), if next.code == record.code { record.text.as_str() } else { next.code.text() });
        prop_assert!(next.phase != Phase::Done || next.outcome.is_some());
        let fits = |text: &Option<String>, max: usize| text.as_ref().is_none_or(|text| text.len() <= max);
        prop_assert!(fits(&next.reason, 64) || next.reason == record.reason);
        prop_assert!(fits(&next.message, MAX_MESSAGE_LEN) || next.message == record.message);

        // Success is what publish proved, and nothing else.
        if record.outcome.is_none() && next.outcome == Some(Outcome::Succeeded) {
            prop_assert_eq!((stage, next.phase), (Stage::Publish, Phase::Done));
            prop_assert!(next.results.is_some() && next.ahead.is_empty());
            prop_assert!(matches!(&kind, Kind::Pod(end, None) if end.cause() == Cause::Success), "{:?}", kind);
        }
        // The gate: what may have run is published only after a filter that agreed, or not at all.
        if policy.filter_image.is_some() && stage == Stage::Algorithm && next.phase == Phase::Publish {
            prop_assert!(kind.never_ran() && record.attempt == 0, "past the filter: {:?}", kind);
        }
        if stage == Stage::Filter && next.phase == Phase::Publish && !next.withheld {
            prop_assert!(matches!(&kind, Kind::Pod(end, None) if end.cause() == Cause::Success), "{:?}", kind);
        }
        // Nothing is retried for ever.
        if stage != Stage::Publish && record.failures >= policy.retries.platform {
            prop_assert!(step != WriteStep::Retry);
        }
    }
}
