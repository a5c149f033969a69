use std::time::{Duration, SystemTime};

use axum::http::Method;
use trailsift_core::{Disposition, Reason, Sink, SinkError, WriteOutcome};
use trailsift_sinks::{
    BodyShape, BuildError, HeaderText, HttpSettings, HttpSink, SecretError, SecretSource,
};

use crate::collector::{Collector, Fault, events};
use crate::{acknowledged, batch};

fn sink(settings: HttpSettings) -> HttpSink {
    HttpSink::new("siem", settings).expect("good settings")
}

fn quick(collector: &Collector) -> HttpSettings {
    HttpSettings { timeout: Duration::from_secs(20), ..HttpSettings::new(&collector.url) }
}

fn secret(name: &str, prefix: &str, path: std::path::PathBuf) -> (String, HeaderText) {
    let source = SecretSource::File(path);
    (name.into(), HeaderText::Secret { prefix: prefix.into(), source })
}

#[tokio::test]
async fn events_arrive_in_the_shape_that_was_asked_for() {
    for gzip in [false, true] {
        for (body, expected) in [
            (BodyShape::Ndjson, "{\"a\": 1.50}\n[2]\n"),
            (BodyShape::JsonArray, "[{\"a\":\n 1.50},[2]]"),
        ] {
            let collector = Collector::start().await;
            let sink = sink(HttpSettings { body, gzip, ..quick(&collector) });
            let events = batch(["{\"a\":\n 1.50}", "[2]"]);
            assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
            let requests = collector.requests();
            assert_eq!((requests.len(), &requests[0].method), (1, &Method::POST));
            assert_eq!(requests[0].body, expected);
            assert_eq!(requests[0].headers.contains_key("content-encoding"), gzip);
            let agent = requests[0].headers["user-agent"].to_str().unwrap();
            assert!(agent.starts_with("trailsift/"));
        }
    }
}

#[tokio::test]
async fn secrets_travel_in_headers_and_rotated_ones_are_picked_up() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "old-s3cret\n").unwrap();
    let collector = Collector::start().await;
    collector.judge(|request| {
        let sent = request.headers["authorization"].to_str().unwrap().to_owned();
        assert!(!request.headers["authorization"].is_sensitive() && sent.starts_with("Bearer "));
        (sent != "Bearer new-s3cret").then_some(401)
    });
    let headers = vec![
        ("X-Tenant".into(), HeaderText::Plain("blue".into())),
        secret("Authorization", "Bearer ", token.clone()),
    ];
    let sink = sink(HttpSettings { headers, ..quick(&collector) });
    assert!(!format!("{sink:?}").contains("s3cret"));

    let events = batch(["1"]);
    let refused = sink.write(&events).await.expect("an outcome");
    let error = &refused.failures[0].error;
    assert_eq!(error.disposition, Disposition::RETRY);
    assert!(!format!("{error:?}").contains("s3cret"));
    std::fs::write(&token, "new-s3cret\n").unwrap();
    let refused = sink.write(&events).await.expect("an outcome");
    let at_once = Disposition::Retry { after: Some(Duration::ZERO) };
    assert_eq!(refused.failures[0].error.disposition, at_once);
    assert_eq!(acknowledged(&events, &sink.write(&events).await), ["1"]);
    assert_eq!(collector.requests()[0].headers["x-tenant"], "blue");
}

#[tokio::test]
async fn what_is_not_about_the_events_is_retried_with_the_time_that_was_named() {
    let collector = Collector::start().await;
    let sink = sink(quick(&collector));
    let events = batch(["1", "2"]);
    for status in [301, 302, 307, 401, 403, 404, 405, 408, 409, 410, 429, 500, 502, 503] {
        let retry_after = vec![("retry-after", "7".into()), ("location", collector.url.clone())];
        collector.fail([Fault::Status(status, retry_after)]);
        let outcome = sink.write(&events).await.expect("an outcome");
        assert_eq!(outcome.failures.len(), 2);
        for failure in outcome.failures {
            let named = Disposition::Retry { after: Some(Duration::from_secs(7)) };
            assert_eq!(failure.error.disposition, named, "{status}");
            let begin = format!("the collector answers {status} (");
            assert!(failure.error.to_string().starts_with(&begin), "{}", failure.error);
        }
    }
    assert_eq!(collector.taken(), Vec::<String>::new(), "no redirect was followed");
    assert_eq!(collector.requests().len(), 14);
}

#[tokio::test]
async fn a_date_in_retry_after_is_understood() {
    let collector = Collector::start().await;
    let until = time::OffsetDateTime::from(SystemTime::now() + Duration::from_secs(600));
    let form = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = until.format(form).unwrap();
    collector.fail([Fault::Status(503, vec![("retry-after", date)])]);
    let outcome = sink(quick(&collector)).write(&batch(["1"])).await.expect("an outcome");
    let Disposition::Retry { after: Some(after) } = outcome.failures[0].error.disposition else {
        panic!("{:?}", outcome.failures)
    };
    assert!(after > Duration::from_secs(300) && after <= Duration::from_secs(600), "{after:?}");
}

#[tokio::test]
async fn refused_batches_are_halved_until_only_the_refused_events_are_left() {
    for status in [400, 413, 422] {
        let collector = Collector::start().await;
        collector.judge(move |request| request.body.contains("bad").then_some(status));
        let bad = [0, 7, 8, 49];
        let texts = (0..50).map(|n| match bad.contains(&n) {
            true => format!("\"bad {n}\""),
            false => format!("\"{n}\""),
        });
        let events = batch(texts);
        let outcome = sink(quick(&collector)).write(&events).await.expect("an outcome");
        let failed: Vec<usize> = outcome.failures.iter().map(|failure| failure.index).collect();
        assert_eq!(failed, bad);
        let reason = if status == 413 { Reason::SinkRecordTooLarge } else { Reason::SinkRejected };
        for failure in outcome.failures {
            assert_eq!(failure.error.disposition, Disposition::Poison { reason });
            assert!(!failure.error.to_string().contains("bad"), "{}", failure.error);
        }
        let taken: Vec<String> =
            (0..50).filter(|n| !bad.contains(n)).map(|n| format!("\"{n}\"")).collect();
        assert_eq!(collector.taken(), taken, "all others once, in order");
        assert!(collector.requests().len() < 50, "{}", collector.requests().len());
    }
}

#[tokio::test]
async fn a_half_that_meets_a_busy_collector_is_retried_and_the_other_is_not() {
    let collector = Collector::start().await;
    collector.judge(|request| {
        let events = events(request);
        match events.len() {
            4 => Some(400),
            _ if events.contains(&"1".to_owned()) => Some(503),
            _ if events.contains(&"\"bad\"".to_owned()) => Some(422),
            _ => None,
        }
    });
    let outcome = sink(quick(&collector)).write(&batch(["1", "2", "3", "\"bad\""])).await;
    let found = outcome.expect("an outcome").failures;
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    let found: Vec<_> = found.iter().map(|f| (f.index, f.error.disposition)).collect();
    assert_eq!(found, [(0, Disposition::RETRY), (1, Disposition::RETRY), (3, poison)]);
    assert_eq!(collector.taken(), ["3"]);
}

#[tokio::test]
async fn finding_the_refused_events_takes_a_bounded_number_of_requests() {
    let collector = Collector::start().await;
    collector.judge(|request| (events(request) != ["0"]).then_some(400));
    let outcome = sink(quick(&collector)).write(&batch(0..500)).await.expect("an outcome");
    assert_eq!(outcome.failures.len(), 499);
    assert_eq!(collector.requests().len(), 64);
    let undecided = Disposition::Retry { after: Some(Duration::ZERO) };
    let (left, found): (Vec<_>, Vec<_>) =
        outcome.failures.iter().partition(|failure| failure.error.disposition == undecided);
    assert!(!left.is_empty() && found.len() > 10, "{} found", found.len());
}

/// How many of the failures are for good; the others are all retried without haste.
fn given_up(outcome: &WriteOutcome) -> usize {
    let for_good = |error: &SinkError| matches!(error.disposition, Disposition::Poison { .. });
    let (for_good, later): (Vec<_>, Vec<_>) =
        outcome.failures.iter().map(|failure| &failure.error).partition(|error| for_good(error));
    for error in later {
        assert_eq!(error.disposition, Disposition::RETRY);
        assert!(error.to_string().contains("accepted none"), "{error}");
    }
    for_good.len()
}

#[tokio::test]
async fn a_collector_that_refuses_whatever_it_is_sent_is_not_well_and_the_stream_is_not_given_up() {
    for (status, size) in [(400, 1), (400, 500), (413, 7), (422, 40)] {
        let collector = Collector::start().await;
        collector.judge(move |request| (request.method == Method::POST).then_some(status));
        let sink = sink(quick(&collector));
        sink.check().await.expect("nothing speaks against it yet");
        let mut parked = 0;
        for _ in 0..30 {
            let outcome = sink.write(&batch(0..size)).await.expect("an outcome");
            assert_eq!(outcome.failures.len(), size);
            parked += given_up(&outcome);
        }
        assert_eq!(parked, 10, "{status}: whatever the size of a batch");
        let error = sink.check().await.expect_err("it refuses everything");
        assert!(error.to_string().contains("check its body and compression settings"), "{error}");

        // It was mended. What it still refuses now is to blame itself.
        collector.judge(move |request| request.body.contains("bad").then_some(status));
        let events = batch((0..size).map(|n| n.to_string()).chain(["\"bad\"".to_owned()]));
        let outcome = sink.write(&events).await.expect("an outcome");
        assert_eq!((outcome.failures.len(), outcome.failures[0].index), (1, size));
        assert_eq!(given_up(&outcome), 1);
        assert_eq!(collector.taken().len(), size);
        sink.check().await.expect("well again");
    }
}

#[tokio::test]
async fn many_bad_events_that_come_together_are_given_up_as_others_are_accepted() {
    let collector = Collector::start().await;
    collector.judge(|request| request.body.contains("bad").then_some(400));
    let sink = sink(quick(&collector));
    let bad = batch((0..25).map(|n| format!("\"bad {n}\"")));
    let mut parked = Vec::new();
    for _ in 0..3 {
        parked.push(given_up(&sink.write(&bad).await.expect("an outcome")));
        let good = batch(["1"]);
        assert_eq!(acknowledged(&good, &sink.write(&good).await), ["1"]);
    }
    assert_eq!(parked, [10, 10, 10]);
}

#[tokio::test]
async fn a_collector_that_never_answers_is_left_in_time_and_one_that_trickles_has_answered() {
    let collector = Collector::start().await;
    let within =
        |seconds| sink(HttpSettings { timeout: Duration::from_secs(seconds), ..quick(&collector) });
    collector.fail([Fault::Silent, Fault::Trickle]);
    let events = batch(["1"]);
    let outcome = within(1).write(&events).await.expect("an outcome");
    let error = &outcome.failures[0].error;
    assert_eq!(error.disposition, Disposition::RETRY);
    assert!(error.to_string().ends_with("gave no answer within 1s"), "{error}");
    assert!(!error.to_string().contains("ingest"), "{error}");
    // Its status has to be there in time, on the slowest machine.
    assert_eq!(acknowledged(&events, &within(20).write(&events).await), ["1"]);
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_retried_and_named_without_its_path() {
    // Ours, so that nobody else's server is there; and it does not listen.
    let nobody = tokio::net::TcpSocket::new_v4().expect("a socket");
    nobody.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let url = format!("http://{}/s3cret?token=s3cret", nobody.local_addr().expect("an address"));
    let sink = sink(HttpSettings::new(url));
    let outcome = sink.write(&batch(["1"])).await.expect("an outcome");
    let error = &outcome.failures[0].error;
    assert_eq!(error.disposition, Disposition::RETRY);
    assert!(error.to_string().starts_with("cannot connect to http://127.0.0.1:"), "{error}");
    let checked = sink.check().await.expect_err("not there");
    for text in [format!("{error:?}"), format!("{checked:?}"), format!("{sink:?}")] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn check_takes_any_answer_but_401_and_server_errors() {
    let collector = Collector::start().await;
    let sink = sink(quick(&collector));
    for (status, well) in [
        (200, true),
        (405, true),
        (403, true),
        (404, true),
        (501, true),
        (401, false),
        (503, false),
    ] {
        collector.fail([Fault::Status(status, Vec::new())]);
        assert_eq!(sink.check().await.is_ok(), well, "{status}");
    }
    assert!(collector.requests().iter().all(|request| request.method == Method::HEAD));
}

#[tokio::test]
async fn a_collector_on_this_machine_is_reached_by_name() {
    let collector = Collector::start().await;
    let url = collector.url.replace("127.0.0.1", "localhost");
    let events = batch(["1"]);
    let answer = sink(HttpSettings::new(url)).write(&events).await;
    assert_eq!(acknowledged(&events, &answer), ["1"]);
}

#[test]
fn every_mistake_in_the_settings_is_named_and_no_value_repeated() {
    let plain = |name: &str, text: &str| (name.to_owned(), HeaderText::Plain(text.into()));
    let settings = HttpSettings {
        headers: vec![
            plain("Bad Name", "x"),
            plain("Host", "x"),
            plain("Authorization", "s3cret"),
            plain("X-Break", "a\nb"),
            plain("X-Twice", "1"),
            plain("x-twice", "2"),
        ],
        timeout: Duration::ZERO,
        ..HttpSettings::new("http://collector.example.com/")
    };
    let problems = settings.validate();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["url", "timeout", "headers", "headers", "headers", "headers", "headers"]);
    assert!(!format!("{settings:?}").contains("s3cret"));
    let error = HttpSink::new("siem", settings).expect_err("refused").to_string();
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_missing_secret_is_named_with_its_place() {
    let settings = HttpSettings {
        headers: vec![secret("Authorization", "", "/nowhere/token".into())],
        ..HttpSettings::new("https://collector.example.com/")
    };
    let error = HttpSink::new("siem", settings).expect_err("refused");
    let BuildError::Secret { source: SecretError::File { path, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(path.to_str(), Some("/nowhere/token"));
}
