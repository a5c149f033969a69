//! SIGTERM while something is stuck: the deadline holds, and whoever comes next has the messages at
//! once.

use std::time::Duration;

use rustix::process::Signal;
use trailsift_testkit::trail::FileSpec;

use crate::delivery::some_file;
use crate::http_sink::{Collector, http_sink};
use crate::stack::{Stack, eventually};
use crate::stalling_proxy::StallingProxy;
use crate::trailsift::{DEADLINE, Running, Trailsift};

/// As many messages as there are workers, so that no receive is on its way when the order comes.
const MESSAGES: usize = 12;
/// Without being given back, messages would stay hidden for far longer than any of these tests.
const VISIBILITY_SECONDS: u32 = 300;
/// What the tests configure: the shortest one that leaves all the time there is for giving messages back, on a busy machine.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

fn service() -> String {
    format!("workers = {MESSAGES}\ndrain_timeout = \"{}s\"", DRAIN_TIMEOUT.as_secs())
}

fn key(number: usize) -> String {
    FileSpec { seed: number as u64, ..FileSpec::default() }.key("")
}

async fn all_in_flight(stack: &Stack) {
    let taken = || async { (stack.backlog().await == (0, MESSAGES as u64)).then_some(()) };
    eventually("every message is taken", taken).await;
}

/// Orders the end, and expects it in time, with every message back and none deleted.
async fn ends_in_time_and_gives_everything_back(running: Running, stack: &Stack) {
    running.signal(Signal::TERM);
    let ended = running.ended().await;
    // Not because what was stuck gave up by itself: that would go on for longer.
    assert!(ended.logged(DEADLINE).is_some(), "{}", ended.log);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    // Not eventually: at the moment at which the process is gone.
    assert_eq!(stack.backlog().await, (MESSAGES as u64, 0), "{}", ended.log);
    // Once by the service, once by us.
    assert_eq!(stack.receive_counts().await, [2; MESSAGES]);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_stuck_sink_is_left_at_the_deadline_and_its_messages_are_given_back() {
    let stack = Stack::create("stuck", VISIBILITY_SECONDS).await;
    let collector = Collector::start(|_, _| None).await;
    let trailsift = Trailsift::configure(&stack, &service(), &http_sink(&collector.url(), ""));
    for number in 0..MESSAGES {
        stack.put(&key(number), some_file(number as u64).gzip()).await;
    }
    let running = trailsift.run(&[]);
    all_in_flight(&stack).await;
    eventually("the sink is stuck", || async { (collector.requests() > 0).then_some(()) }).await;
    ends_in_time_and_gives_everything_back(running, &stack).await;
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_stuck_quarantine_is_left_at_the_deadline_and_nothing_is_deleted() {
    let stack = Stack::create("stuck-quarantine", VISIBILITY_SECONDS).await;
    let collector = Collector::start(|_, _| None).await;
    let quarantine = format!(
        "[quarantine]\nsink = \"parked\"\n[sink.parked]\ntype = \"http\"\nurl = \"{}\"\n",
        collector.url()
    );
    let trailsift = Trailsift::configure(&stack, &service(), &quarantine);
    for number in 0..MESSAGES {
        stack.put(&key(number), b"{}".to_vec()).await;
    }
    let running = trailsift.run(&[]);
    all_in_flight(&stack).await;
    eventually("it is stuck", || async { (collector.requests() > 0).then_some(()) }).await;
    ends_in_time_and_gives_everything_back(running, &stack).await;
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_object_that_stalls_in_its_middle_is_left_at_the_deadline() {
    let mut stack = Stack::create("stalled", VISIBILITY_SECONDS).await;
    let objects = format!("GET /{}/", stack.bucket);
    let proxy = StallingProxy::start(&stack.endpoint, &objects, usize::MAX).await;
    stack.endpoint = proxy.url();
    let trailsift = Trailsift::configure(&stack, &service(), "");
    for number in 0..MESSAGES {
        stack.put(&key(number), some_file(number as u64).gzip()).await;
    }
    let running = trailsift.run(&[]);
    all_in_flight(&stack).await;
    let stalled = || async { (proxy.stalled() == MESSAGES).then_some(()) };
    eventually("every object is stalled", stalled).await;
    ends_in_time_and_gives_everything_back(running, &stack).await;
}
