use std::sync::Mutex;

use trailsift_core::Disposition;

use super::*;

fn parts(sizes: &[usize], most: usize, most_bytes: usize) -> Vec<Vec<usize>> {
    pack(sizes.iter().copied().enumerate(), most, most_bytes).into()
}

fn all(places: &[usize]) -> Answer {
    Answer::Of(places.iter().map(|place| (*place, Ok(()))).collect())
}

fn dispositions(settled: Settled) -> Vec<Option<Disposition>> {
    settled.entries.into_iter().map(|error| error.map(|error| error.disposition)).collect()
}

#[test]
fn calls_hold_no_more_than_the_service_takes() {
    assert_eq!(parts(&[1, 1, 1, 1, 1], 2, 100), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(
        parts(&[60, 40, 1, 100, 101, 1], 10, 100),
        [vec![0, 1], vec![2], vec![3], vec![4], vec![5]]
    );
    assert_eq!(parts(&[], 10, 100), Vec::<Vec<usize>>::new());
}

#[tokio::test]
async fn what_no_answer_mentions_is_not_acknowledged() {
    let mut settled = Settled::undecided(3);
    // The second entry is left out, and the third is claimed by a call that it was not in.
    let calls = VecDeque::from([vec![0, 1]]);
    settled.deliver(calls, 1, |_| async { Answer::Of(vec![(0, Ok(())), (2, Ok(()))]) }).await;
    let expected = [None, Some(Disposition::RETRY), Some(Disposition::RETRY)];
    assert_eq!(dispositions(settled), expected);
}

#[tokio::test]
async fn a_refused_call_is_halved_until_the_event_is_found_and_its_neighbours_arrive() {
    let seen = Mutex::new(Vec::new());
    let mut settled = Settled::undecided(10);
    let bad = [3, 8];
    settled
        .deliver(pack((0..10).map(|place| (place, 1)), 10, 100), 4, |part| {
            let refused = part.iter().any(|place| bad.contains(place));
            if !refused {
                seen.lock().unwrap().extend(part.iter().copied());
            }
            async move {
                match refused {
                    true => Answer::Failed(Verdict::Refused(Reason::SinkRejected, "bad".into())),
                    false => all(&part),
                }
            }
        })
        .await;
    let poison = Some(Disposition::Poison { reason: Reason::SinkRejected });
    for (place, found) in dispositions(settled).into_iter().enumerate() {
        assert_eq!(found, if bad.contains(&place) { poison } else { None }, "{place}");
    }
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 4, 5, 6, 7, 9]);
}

fn refused() -> Answer {
    Answer::Failed(Verdict::Refused(Reason::SinkRejected, "no".into()))
}

#[tokio::test]
async fn a_service_that_refuses_everything_is_to_blame_itself_and_is_not_asked_about_each_event() {
    let blame = Blame::new("it");
    let calls = Mutex::new(0);
    let mut settled = Settled::undecided(501);
    let own = SinkError::poison(Reason::SinkRecordTooLarge, "too large");
    settled.settle(500, Err(own));
    settled
        .deliver(pack((0..500).map(|place| (place, 1)), 500, 1000), 8, |_| {
            *calls.lock().unwrap() += 1;
            async { refused() }
        })
        .await;
    let mut found = dispositions(settled.blaming(&blame));
    let own = Some(Disposition::Poison { reason: Reason::SinkRecordTooLarge });
    assert_eq!(found.pop(), Some(own), "what the service was not asked for");
    let poison = Some(Disposition::Poison { reason: Reason::SinkRejected });
    assert_eq!(found.iter().filter(|it| **it == poison).count(), 10);
    assert_eq!(found.iter().filter(|it| **it == Some(Disposition::RETRY)).count(), 490);
    assert!(blame.check().is_err());
    assert!((MOST_REFUSED..MOST_REFUSED + 8).contains(&calls.into_inner().unwrap()));

    let mut settled = Settled::undecided(2);
    settled
        .deliver(VecDeque::from([vec![0], vec![1]]), 1, |part| async move {
            if part[0] == 0 { refused() } else { all(&part) }
        })
        .await;
    assert_eq!(dispositions(settled.blaming(&blame)), [poison, None], "it takes another one");
    assert!(blame.check().is_ok());
}

#[tokio::test]
async fn good_events_arrive_however_many_bad_ones_stand_before_them() {
    let blame = Blame::new("it");
    let (bad, count) = (400, 500);
    let mut left: Vec<usize> = (0..count).collect();
    let mut parked = Vec::new();
    // As they are sent again, those that are left.
    for _ in 0..200 {
        let mut settled = Settled::undecided(left.len());
        let calls = pack((0..left.len()).map(|place| (place, 1)), 10, 1000);
        settled
            .deliver(calls, 8, |part| {
                let any_bad = part.iter().any(|place| left[*place] < bad);
                async move { if any_bad { refused() } else { all(&part) } }
            })
            .await;
        let found = dispositions(settled.blaming(&blame));
        let is_poison = |it: &Option<Disposition>| matches!(it, Some(Disposition::Poison { .. }));
        parked.extend(left.iter().zip(&found).filter(|(_, it)| is_poison(it)).map(|(n, _)| *n));
        let again = left.iter().zip(&found).filter(|(_, it)| **it == Some(Disposition::RETRY));
        left = again.map(|(number, _)| *number).collect();
        if left.iter().all(|number| *number < bad) {
            break;
        }
    }
    assert!(left.iter().all(|number| *number < bad), "{} are left", left.len());
    assert!(parked.iter().all(|number| *number < bad));
    assert!(parked.len() > 10, "the service takes others: {}", parked.len());
}

#[tokio::test]
async fn what_an_answer_both_refuses_and_takes_counts_as_what_it_says_last() {
    let blame = Blame::new("it");
    let no = || Err(SinkError::poison(Reason::SinkRejected, "no"));
    for _ in 0..20 {
        let mut settled = Settled::undecided(1);
        settled
            .deliver(VecDeque::from([vec![0]]), 1, |_| async {
                Answer::Of(vec![(0, no()), (0, Ok(()))])
            })
            .await;
        assert_eq!(dispositions(settled.blaming(&blame)), [None]);
    }
    assert!(blame.check().is_ok());
}

#[tokio::test(start_paused = true)]
async fn with_a_service_that_answers_nothing_a_write_ends_in_time() {
    let started = Instant::now();
    let mut settled = Settled::undecided(100);
    settled
        .deliver(pack((0..100).map(|place| (place, 1)), 1, 100), 2, |part| async move {
            // The worst case: the second pair begins just in time, and never ends.
            if part[0] > 1 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(BEGIN_WITHIN - Duration::from_millis(1)).await;
            all(&part)
        })
        .await;
    assert!(started.elapsed() <= LONGEST_WRITE, "{:?}", started.elapsed());
    assert!(started.elapsed() > CALL_TIMEOUT, "{:?}", started.elapsed());
    for (place, found) in dispositions(settled).into_iter().enumerate() {
        assert_eq!(found, (place > 1).then_some(Disposition::RETRY), "{place}");
    }
}

#[tokio::test]
async fn no_more_calls_are_on_their_way_than_allowed() {
    let running = Mutex::new((0, 0));
    let mut settled = Settled::undecided(50);
    settled
        .deliver(pack((0..50).map(|place| (place, 1)), 1, 100), 8, |part| {
            let running = &running;
            async move {
                {
                    let mut now = running.lock().unwrap();
                    now.0 += 1;
                    now.1 = now.1.max(now.0);
                }
                tokio::task::yield_now().await;
                running.lock().unwrap().0 -= 1;
                all(&part)
            }
        })
        .await;
    assert_eq!(running.into_inner().unwrap(), (0, 8));
    assert!(settled.outcome().failures.is_empty());
}
