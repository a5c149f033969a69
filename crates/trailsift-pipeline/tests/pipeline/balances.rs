//! What metrics say of backlogs, and that sums and their parts stay equal.

use std::sync::Arc;
use std::time::Duration;

use trailsift_core::{Reason, Sink as _, SinkError};
use trailsift_testkit::{Answer, ScriptedSink};

use crate::rig::{Rig, SECOND, outlet, selected, within};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn the_backlog_is_shown_within_a_minute_while_messages_come() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Hang);
    let running = rig.start();
    tokio::time::sleep(SECOND).await;
    let visible = || rig.metric("trailsift_queue_messages", &[("state", "visible")]);
    let in_flight = || rig.metric("trailsift_queue_messages", &[("state", "in_flight")]);
    assert_eq!((visible(), in_flight()), (0.0, 0.0));
    for n in 0..100 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    tokio::time::sleep(MINUTE).await;
    assert!(in_flight() > 0.0 && visible() > 0.0);
    assert_eq!(visible() + in_flight(), 100.0);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_is_owed_is_acknowledged_parked_left_or_lost() {
    let mut rig = Rig::new();
    let (copy, refuser) = (ScriptedSink::new("copy"), ScriptedSink::new("refuser"));
    // It takes nothing the first time, and refuses one event for good the second time.
    refuser.answer(Answer::Fail(SinkError::retry("not now")));
    refuser
        .answer(Answer::AcceptExcept(vec![(0, SinkError::poison(Reason::SinkRejected, "never"))]));
    copy.answer(Answer::AcceptExcept(vec![(1, SinkError::retry("no"))]));
    rig.extra.push(outlet(Arc::new(copy.clone()), false));
    rig.extra.push(outlet(Arc::new(refuser.clone()), true));
    rig.deliver("one", &[&selected("1"), &selected("2"), &selected("3")]);
    within(MINUTE * 60, rig.run_until_empty()).await;
    let of = |sink, outcome| {
        rig.metric("trailsift_deliveries_total", &[("sink", sink), ("outcome", outcome)])
    };
    let all = |sink| {
        ["owed", "acknowledged", "quarantined", "left", "lost"].map(|outcome| of(sink, outcome))
    };
    assert_eq!(all("refuser"), [6.0, 2.0, 1.0, 3.0, 0.0]);
    assert_eq!(
        all("copy"),
        [3.0, 2.0, 0.0, 0.0, 1.0],
        "what a best-effort sink does not take is lost"
    );
    for sink in ["copy", "refuser", rig.sink.name()] {
        let [owed, parts @ ..] = all(sink);
        assert_eq!(owed, parts.iter().sum::<f64>(), "{sink}");
    }
    assert_eq!(rig.unbalanced(), None);
}
