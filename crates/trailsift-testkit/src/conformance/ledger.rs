use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use trailsift_core::{Known, Ledger, ObjectId, Reason, Revision, Settlement};

use super::report::{Report, ensure};

#[cfg(test)]
mod tests;

type Checked = Result<(), String>;

/// Makes fresh, empty ledgers of one implementation.
#[async_trait]
pub trait LedgerFactory: Sync {
    /// A new ledger.
    async fn make(&self) -> Box<dyn LedgerUnderTest>;
}

/// A ledger whose process can be ended.
#[async_trait]
pub trait LedgerUnderTest: Send + Sync {
    /// The port.
    fn port(&self) -> &dyn Ledger;
    /// Lets go of the ledger and opens it anew, as the next process would.
    async fn reopen(&mut self);
}

/// Runs every check, each on a ledger of its own.
pub async fn ledger(factory: &dyn LedgerFactory) -> Report {
    let mut report = Report::default();
    macro_rules! check {
        ($name:ident) => {{
            let mut under_test = factory.make().await;
            report.note(stringify!($name), $name(under_test.as_mut()).await);
        }};
    }
    check!(an_object_never_heard_of_is_no_error_and_nothing_is_known);
    check!(what_was_acknowledged_outlives_the_process);
    check!(the_higher_place_stands);
    check!(places_of_any_size_are_kept);
    check!(what_is_settled_outlives_the_process);
    check!(a_settled_object_leaves_other_sinks_as_they_were);
    check!(settling_a_sink_ends_its_progress_however_it_was_fed);
    check!(settling_again_adds_sinks);
    check!(nothing_takes_back_what_is_settled);
    check!(the_latest_settlement_says_why_the_object_is_parked);
    check!(settlements_of_any_figures_are_taken);
    check!(revisions_of_one_object_are_told_apart);
    check!(objects_are_told_apart_whatever_their_names);
    check!(sinks_are_told_apart_whatever_their_names);
    check!(an_answered_call_is_known_at_once);
    check!(calls_for_one_object_at_once_all_count);
    check!(calls_for_many_objects_at_once_all_count);
    check!(a_dropped_call_is_carried_out_whole_or_not_at_all);
    report
}

fn etag(bucket: &str, key: &str, etag: &str) -> ObjectId {
    let (account, bucket, key) = ("main".to_owned(), bucket.to_owned(), key.to_owned());
    ObjectId { account, bucket, key, revision: Revision::Etag(etag.to_owned()) }
}

fn version(bucket: &str, key: &str, version: &str) -> ObjectId {
    let (account, bucket, key) = ("main".to_owned(), bucket.to_owned(), key.to_owned());
    ObjectId { account, bucket, key, revision: Revision::Version(version.to_owned()) }
}

fn some_object() -> ObjectId {
    let key = "AWSLogs/111122223333/CloudTrail/us-east-1/2024/05/06/file.json.gz";
    etag("trail", key, "9b2cf535f27731c974343645a3985328")
}

fn settlement(sinks: &[&str]) -> Settlement {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Settlement {
        etag: Some("9b2cf535f27731c974343645a3985328".to_owned()),
        version_id: Some("3HL4kqtJlcpXroDTDmJ".to_owned()),
        sinks: sinks.iter().map(|&sink| sink.to_owned()).collect(),
        parked: None,
        inflated: 70_000,
        sha256: Some([0xa5; 32]),
        seen: 40,
        selected: 3,
        quarantined: 1,
        first_event: Some(at(1_700_000_000)),
        last_event: Some(at(1_700_000_300)),
        settled_at: at(1_700_000_900),
    }
}

async fn recall(ledger: &dyn LedgerUnderTest, object: &ObjectId) -> Result<Known, String> {
    ledger.port().recall(object).await.map_err(|error| format!("recall of {object}: {error}"))
}

async fn acknowledge(
    ledger: &dyn LedgerUnderTest,
    object: &ObjectId,
    sink: &str,
    below: u64,
) -> Checked {
    let answer = ledger.port().acknowledged(object, sink, below).await;
    answer.map_err(|error| format!("{sink:?} acknowledged below {below} of {object}: {error}"))
}

async fn settle(ledger: &dyn LedgerUnderTest, object: &ObjectId, sinks: &[&str]) -> Checked {
    let answer = ledger.port().settled(object, &settlement(sinks)).await;
    answer.map_err(|error| format!("settled {object} for {sinks:?}: {error}"))
}

/// That exactly this is known, now and after the process has ended.
async fn known(
    ledger: &mut dyn LedgerUnderTest,
    object: &ObjectId,
    expected: &[(&str, u64)],
) -> Checked {
    let expected: Vec<_> = expected.iter().map(|&(sink, below)| (sink.to_owned(), below)).collect();
    let expected = Known { acknowledged: expected.into_iter().collect(), parked: None };
    for moment in ["at once", "once it was opened anew"] {
        let known = recall(ledger, object).await?;
        ensure!(known == expected, "{moment}, of {object}: {known:?} instead of {expected:?}");
        if moment == "at once" {
            ledger.reopen().await;
        }
    }
    Ok(())
}

async fn an_object_never_heard_of_is_no_error_and_nothing_is_known(
    ledger: &mut dyn LedgerUnderTest,
) -> Checked {
    known(ledger, &some_object(), &[]).await
}

async fn what_was_acknowledged_outlives_the_process(ledger: &mut dyn LedgerUnderTest) -> Checked {
    acknowledge(ledger, &some_object(), "siem", 3).await?;
    known(ledger, &some_object(), &[("siem", 3)]).await?;
    acknowledge(ledger, &some_object(), "siem", 9).await?;
    acknowledge(ledger, &some_object(), "archive", 4).await?;
    known(ledger, &some_object(), &[("siem", 9), ("archive", 4)]).await
}

async fn the_higher_place_stands(ledger: &mut dyn LedgerUnderTest) -> Checked {
    for below in [3, 7, 5, 0, 6] {
        acknowledge(ledger, &some_object(), "siem", below).await?;
    }
    known(ledger, &some_object(), &[("siem", 7)]).await
}

async fn places_of_any_size_are_kept(ledger: &mut dyn LedgerUnderTest) -> Checked {
    let places = [("a", 1), ("b", 1 << 31), ("c", 1 << 32), ("d", 1 << 62), ("e", Known::ALL)];
    for (sink, below) in places {
        acknowledge(ledger, &some_object(), sink, below).await?;
    }
    known(ledger, &some_object(), &places).await?;
    // No file has as many places. What is owed less by a few is owed too little, so only down.
    let huge = Known::ALL - 1;
    acknowledge(ledger, &some_object(), "f", huge).await?;
    let owed_from = recall(ledger, &some_object()).await?.owed_from("f");
    ensure!(owed_from <= huge && owed_from >= 1 << 62, "{owed_from} instead of {huge}");
    Ok(())
}

async fn what_is_settled_outlives_the_process(ledger: &mut dyn LedgerUnderTest) -> Checked {
    settle(ledger, &some_object(), &["siem", "archive"]).await?;
    known(ledger, &some_object(), &[("siem", Known::ALL), ("archive", Known::ALL)]).await
}

async fn a_settled_object_leaves_other_sinks_as_they_were(
    ledger: &mut dyn LedgerUnderTest,
) -> Checked {
    acknowledge(ledger, &some_object(), "siem", 3).await?;
    acknowledge(ledger, &some_object(), "archive", 4).await?;
    settle(ledger, &some_object(), &["siem"]).await?;
    known(ledger, &some_object(), &[("siem", Known::ALL), ("archive", 4)]).await?;
    settle(ledger, &some_object(), &[]).await?;
    known(ledger, &some_object(), &[("siem", Known::ALL), ("archive", 4)]).await
}

async fn settling_a_sink_ends_its_progress_however_it_was_fed(
    ledger: &mut dyn LedgerUnderTest,
) -> Checked {
    let places = [("siem 01", 3), ("siem 02", 4), ("siem-2 01", 5), ("siemens", 6)];
    for (sink, below) in places {
        acknowledge(ledger, &some_object(), sink, below).await?;
    }
    known(ledger, &some_object(), &places).await?;
    settle(ledger, &some_object(), &["siem"]).await?;
    let expected = [("siem", Known::ALL), ("siem-2 01", 5), ("siemens", 6)];
    known(ledger, &some_object(), &expected).await
}

async fn settling_again_adds_sinks(ledger: &mut dyn LedgerUnderTest) -> Checked {
    settle(ledger, &some_object(), &["siem"]).await?;
    acknowledge(ledger, &some_object(), "archive", 4).await?;
    settle(ledger, &some_object(), &["archive"]).await?;
    known(ledger, &some_object(), &[("siem", Known::ALL), ("archive", Known::ALL)]).await
}

async fn nothing_takes_back_what_is_settled(ledger: &mut dyn LedgerUnderTest) -> Checked {
    settle(ledger, &some_object(), &["siem"]).await?;
    acknowledge(ledger, &some_object(), "siem", 2).await?;
    known(ledger, &some_object(), &[("siem", Known::ALL)]).await
}

async fn the_latest_settlement_says_why_the_object_is_parked(
    ledger: &mut dyn LedgerUnderTest,
) -> Checked {
    for parked in [Some(Reason::GzipCrc), Some(Reason::AccessDenied), None] {
        let settlement = Settlement { parked, ..settlement(&["siem"]) };
        let answer = ledger.port().settled(&some_object(), &settlement).await;
        answer.map_err(|error| error.to_string())?;
        ledger.reopen().await;
        acknowledge(ledger, &some_object(), "archive", 1).await?;
        let known = recall(ledger, &some_object()).await?;
        ensure!(
            known.parked.as_deref() == parked.map(Reason::as_str),
            "{parked:?}, then {known:?}"
        );
        ensure!(known.has_all("siem"), "{known:?}");
    }
    Ok(())
}

async fn settlements_of_any_figures_are_taken(ledger: &mut dyn LedgerUnderTest) -> Checked {
    let long_ago = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_millis(1_500));
    let settlements = [
        Settlement {
            inflated: u64::MAX,
            seen: u64::MAX,
            selected: u64::MAX,
            quarantined: u64::MAX,
            first_event: long_ago,
            ..settlement(&["siem"])
        },
        Settlement {
            etag: None,
            version_id: None,
            sha256: None,
            first_event: None,
            last_event: None,
            ..settlement(&["siem"])
        },
    ];
    for (number, settlement) in settlements.iter().enumerate() {
        let object = etag("trail", &number.to_string(), "e");
        let answer = ledger.port().settled(&object, settlement).await;
        answer.map_err(|error| format!("{settlement:?}: {error}"))?;
        known(ledger, &object, &[("siem", Known::ALL)]).await?;
    }
    Ok(())
}

async fn revisions_of_one_object_are_told_apart(ledger: &mut dyn LedgerUnderTest) -> Checked {
    settle(ledger, &version("b", "k", "r"), &["siem"]).await?;
    known(ledger, &etag("b", "k", "r"), &[]).await?;
    known(ledger, &version("b", "k", "R"), &[]).await?;
    acknowledge(ledger, &etag("b", "k", "r"), "siem", 2).await?;
    known(ledger, &etag("b", "k", "r"), &[("siem", 2)]).await?;
    known(ledger, &version("b", "k", "r"), &[("siem", Known::ALL)]).await
}

async fn objects_are_told_apart_whatever_their_names(ledger: &mut dyn LedgerUnderTest) -> Checked {
    let long = ["a", "b"].map(|last| format!("{}{last}", "x".repeat(1_023)));
    let keys = [
        "", "k", "K", "k ", " k", "k/", "k\0", "k\0a", "\0", "k\n", "k\r\n", "k'", "k\"", "k''",
        "k`", "k\\", "k%", "k_", "k?1", "é", "e\u{301}", "😀", "k;--", "1", "01", "1.0", "0x1",
        "null", "NULL",
    ];
    let keys: Vec<&str> = keys.into_iter().chain(long.iter().map(String::as_str)).collect();
    let mut objects: Vec<ObjectId> = keys.iter().map(|key| etag("b", key, "e")).collect();
    objects.extend(keys.iter().map(|revision| version("b", "k", revision)));
    let of = |account: &str, id: ObjectId| ObjectId { account: account.to_owned(), ..id };
    objects.extend(["", "Main", "main ", "main\0"].map(|account| of(account, etag("b", "k", "e"))));
    // Their parts put one behind the other are the same text.
    objects.push(of("mainb", etag("", "k", "e")));
    objects.extend([
        etag("bk", "", "e"),
        etag("", "bk", "e"),
        etag("b", "ke", ""),
        etag("bke", "", ""),
    ]);
    // Each is noted with a place of its own, so that any two taken for one are seen.
    let place = |index: usize| index as u64 + 1;
    for (index, object) in objects.iter().enumerate() {
        if index % 2 == 0 {
            settle(ledger, object, &["settled"]).await?;
        }
        acknowledge(ledger, object, "siem", place(index)).await?;
    }
    ledger.reopen().await;
    for (index, object) in objects.iter().enumerate() {
        let known = recall(ledger, object).await?;
        let as_noted = known.owed_from("siem") == place(index);
        ensure!(as_noted && known.has_all("settled") == (index % 2 == 0), "of {object}: {known:?}");
    }
    Ok(())
}

async fn sinks_are_told_apart_whatever_their_names(ledger: &mut dyn LedgerUnderTest) -> Checked {
    let sinks = [
        "a", "A", "a,b", "b", "a b", " ", "", "\"", "'", "[\"a\"]", "\\", "a\0", "a\n", "é", "null",
    ];
    settle(ledger, &some_object(), &sinks).await?;
    let all: Vec<(&str, u64)> = sinks.iter().map(|&sink| (sink, Known::ALL)).collect();
    known(ledger, &some_object(), &all).await?;
    let other = etag("b", "other", "e");
    let places: Vec<(&str, u64)> = sinks.iter().copied().zip(1..).collect();
    for &(sink, below) in &places {
        acknowledge(ledger, &other, sink, below).await?;
    }
    known(ledger, &other, &places).await
}

async fn an_answered_call_is_known_at_once(ledger: &mut dyn LedgerUnderTest) -> Checked {
    for number in 1..=200 {
        acknowledge(ledger, &some_object(), "siem", number).await?;
        let known = recall(ledger, &some_object()).await?;
        ensure!(known.owed_from("siem") == number, "{number} was noted, then: {known:?}");
    }
    settle(ledger, &some_object(), &["siem"]).await?;
    let known = recall(ledger, &some_object()).await?;
    ensure!(known.has_all("siem"), "settled, then: {known:?}");
    Ok(())
}

async fn calls_for_one_object_at_once_all_count(ledger: &mut dyn LedgerUnderTest) -> Checked {
    let object = some_object();
    let shared = &*ledger;
    let settled = ["s0", "s1", "s2", "s3"];
    let notes = (0..60).rev().map(|below| acknowledge(shared, &object, "siem", below));
    let ends = settled.iter().map(|sink| async { settle(shared, &some_object(), &[*sink]).await });
    let (notes, ends) = futures::join!(try_join_all(notes), try_join_all(ends));
    notes?;
    ends?;
    let mut expected: Vec<(&str, u64)> = settled.iter().map(|&sink| (sink, Known::ALL)).collect();
    expected.push(("siem", 59));
    known(ledger, &object, &expected).await
}

async fn calls_for_many_objects_at_once_all_count(ledger: &mut dyn LedgerUnderTest) -> Checked {
    let objects: Vec<ObjectId> =
        (0..1_000).map(|number| etag("b", &format!("k{number}"), "e")).collect();
    let shared = &*ledger;
    for (part, chunk) in objects.chunks(100).enumerate() {
        let answers = join_all(chunk.iter().map(|object| async move {
            acknowledge(shared, object, "siem", part as u64 + 1).await?;
            recall(shared, object).await?;
            settle(shared, object, &["archive"]).await
        }));
        answers.await.into_iter().collect::<Checked>()?;
    }
    ledger.reopen().await;
    for (number, object) in objects.iter().enumerate() {
        let known = recall(ledger, object).await?;
        let place = number as u64 / 100 + 1;
        ensure!(
            known.has_all("archive") && known.owed_from("siem") == place,
            "{object}: {known:?}"
        );
    }
    Ok(())
}

async fn a_dropped_call_is_carried_out_whole_or_not_at_all(
    ledger: &mut dyn LedgerUnderTest,
) -> Checked {
    let objects: Vec<ObjectId> =
        (0..50).map(|number| etag("b", &format!("k{number}"), "e")).collect();
    for object in &objects {
        // Polled once, then dropped: an answer that is there already may be missed.
        settle(ledger, object, &["a", "b"]).now_or_never();
        acknowledge(ledger, object, "c", 2).now_or_never();
        recall(ledger, object).now_or_never();
    }
    acknowledge(ledger, &some_object(), "siem", 1).await?;
    ledger.reopen().await;
    for object in &objects {
        let known = recall(ledger, object).await?;
        let whole = known.has_all("a") == known.has_all("b");
        ensure!(whole && [0, 2].contains(&known.owed_from("c")), "of {object}: {known:?}");
    }
    known(ledger, &some_object(), &[("siem", 1)]).await
}
