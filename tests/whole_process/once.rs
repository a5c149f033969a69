//! Where nothing goes wrong, nothing is sent twice.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::adversary::Adversary;
use crate::copies::Copies;
use crate::disk::{Disk, both_sinks};
use crate::ledger;
use crate::stack::{Stack, eventually};
use crate::traffic::{ANNOUNCED, Traffic, damaged, owners};
use crate::trailsift::Trailsift;

/// Messages; half of them are sent twice.
const MESSAGES: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn without_kills_and_faults_nothing_is_written_twice_however_often_it_is_announced() {
    for versioned in [false, true] {
        let name = format!("once-{versioned}");
        // Short: a poll that ends with its process may still take a message, and hide it.
        let mut stack = Stack::create(&name, 10).await.notifying_of(ANNOUNCED).await;
        if versioned {
            stack = stack.versioned().await;
        }
        let collector = Adversary::start(3).await;
        let out = tempfile::tempdir().expect("a folder");
        let trailsift = Trailsift::configure(
            &stack,
            "workers = 8\nhash_objects = true",
            &both_sinks(out.path(), &collector),
        );
        let mut disk = Disk::new(out.path(), &trailsift);
        let traffic = Traffic::new(&stack, 5);

        // Twice at the same moment, and again while the first ones are being worked on.
        let running = trailsift.run_as(1, &[]);
        for message in 0..MESSAGES {
            traffic.send(message % 2 == 0).await;
            traffic.repeat().await;
        }
        let empty = || async { (stack.backlog().await == (0, 0)).then_some(()) };
        eventually("everything is settled", empty).await;
        running.signal(Signal::TERM);
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        disk.read(1);

        // Again, all of them, to another process.
        let sent = traffic.sent();
        for sent in &sent {
            stack.announce(std::slice::from_ref(&sent.stored)).await;
        }
        let ended = trailsift.run_as(2, &["--until-empty"]).ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        disk.read(2);

        let (events, files) = (owners(&sent), damaged(&sent));
        let held = [
            ("collector", Copies::of(collector.arrived()).judge(&events)),
            ("file", disk.written.judge(&events)),
            ("quarantine", disk.parked.judge(&files)),
        ];
        println!("{} objects, {} events, {} damaged", sent.len(), events.len(), files.len());
        for (sink, held) in held {
            println!("{sink}: {held}");
            assert_eq!(held.faults(0, &BTreeSet::new()), Vec::<String>::new(), "{sink}");
            assert_eq!(held.duplicates, 0, "{sink}");
        }
        assert_eq!(ended.totals()["skipped"]["duplicate"], sent.len());
        let data = trailsift.path("data/ledger");
        let differences = ledger::differences(&data, &stack, &["events", "siem"], &sent);
        assert_eq!(differences, Vec::<String>::new());
    }
}
