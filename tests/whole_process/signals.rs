use rustix::process::Signal;

use crate::delivery::{KEY, file_sink, selected, some_file, sorted};
use crate::http_sink::{Collector, http_sink};
use crate::stack::{Stack, eventually};
use crate::trailsift::Trailsift;

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn sigterm_and_sigint_drain_and_end_with_0() {
    for (name, signal) in [("term", Signal::TERM), ("int", Signal::INT)] {
        let stack = Stack::create(name, 30).await;
        let folder = tempfile::tempdir().expect("a folder");
        let trailsift =
            Trailsift::configure(&stack, "", &file_sink(&folder.path().display().to_string()));
        let running = trailsift.run(&[]);
        let file = some_file(6);
        stack.put(KEY, file.gzip()).await;
        let settled = || async { (stack.backlog().await == (0, 0)).then_some(()) };
        let written = || async { folder.path().join("events.jsonl").exists().then_some(()) };
        eventually("the events are written", written).await;
        eventually("the message is deleted", settled).await;
        assert_eq!(trailsift.get("/livez").await.map(|(status, _)| status), Some(200));
        assert_eq!(trailsift.get("/readyz").await.map(|(status, _)| status), Some(200));
        let (_, metrics) = trailsift.get("/metrics").await.expect("metrics");
        let done = "trailsift_objects_total{account=\"production\",outcome=\"done\",reason=\"\"} 1";
        assert!(metrics.contains(done), "{metrics}");
        let page = include_str!("../../crates/trailsift/METRICS.md");
        let names =
            metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let unknown: Vec<_> = names.filter(|name| !page.contains(name)).collect();
        assert!(unknown.is_empty(), "exported, but not in METRICS.md: {unknown:?}");

        running.signal(signal);
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(ended.logged("draining").is_some(), "{}", ended.log);
        let events = std::fs::read(folder.path().join("events.jsonl")).expect("events");
        let events = events.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec);
        assert_eq!(sorted(events.collect()), sorted(selected(&file)));
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_second_signal_ends_at_once() {
    for (name, signal, code) in
        [("second-term", Signal::TERM, 143), ("second-int", Signal::INT, 130)]
    {
        let stack = Stack::create(name, 30).await;
        let collector = Collector::start(|_, _| None).await;
        let trailsift = Trailsift::configure(
            &stack,
            "drain_timeout = \"110s\"",
            &http_sink(&collector.url(), ""),
        );
        stack.put(KEY, some_file(8).gzip()).await;
        let running = trailsift.run(&[]);
        eventually("the sink is stuck", || async { (collector.requests() > 0).then_some(()) })
            .await;
        running.signal(signal);
        let draining = || async { running.log().contains("draining").then_some(()) };
        eventually("it drains", draining).await;
        running.signal(signal);
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(code), "{}", ended.log);
    }
}
