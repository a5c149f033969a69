use std::pin::pin;
use std::task::Poll;

use futures::poll;
use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(10);

/// One sink, and this many workers.
fn patience_of(workers: usize) -> Patience {
    Patience::new(Share { workers, sinks: 1 })
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_without_an_acknowledgement_only_one_goes_on_waiting() {
    let patience = patience_of(8);
    let mut first = pin!(patience.run_out());
    assert!(poll!(&mut first).is_pending());
    sleep(6 * SECOND).await;
    let mut second = pin!(patience.run_out());
    assert!(poll!(&mut second).is_pending());
    sleep(PATIENCE - 7 * SECOND).await;
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    // The sink's minute counts from when the first of them came.
    sleep(SECOND + MOMENT).await;
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_ready());
    for _ in 0..100 {
        sleep(PATIENCE).await;
        assert!(poll!(&mut first).is_pending());
    }
}

#[tokio::test(start_paused = true)]
async fn where_workers_are_scarce_the_last_one_gives_up_too_and_after_a_rest_the_next_goes_on() {
    let patience = patience_of(1);
    let began = Instant::now();
    assert_eq!(patience.run_out().await, GivenUp::Stuck(2 * PATIENCE));
    assert_eq!(began.elapsed(), 2 * PATIENCE);
    let (mut waits, mut rested) = (Vec::new(), None);
    while rested.is_none() {
        let came = Instant::now();
        patience.run_out().await;
        waits.push(came.elapsed());
        if came.elapsed() > GRACE {
            rested = Some(came - began);
        }
        sleep(SECOND / 10).await;
    }
    let rested = rested.expect("the loop ends then");
    assert!(rested >= 3 * PATIENCE && rested < 3 * PATIENCE + GRACE, "{rested:?}");
    assert_eq!(waits.pop(), Some(2 * PATIENCE));
}

#[tokio::test(start_paused = true)]
async fn once_patience_is_over_a_few_wait_a_little_and_the_others_not_at_all() {
    // A quarter of eight workers' time: five seconds each for one message every two and a half.
    let patience = patience_of(8);
    let mut probe = pin!(patience.run_out());
    assert!(poll!(&mut probe).is_pending());
    sleep(PATIENCE + MOMENT).await;
    assert!(poll!(&mut probe).is_pending());
    let mut waited = 0;
    for _ in 0..10 {
        let began = Instant::now();
        let mut chosen = pin!(patience.run_out());
        let mut other = pin!(patience.run_out());
        assert!(poll!(&mut chosen).is_pending());
        assert!(poll!(&mut other).is_ready());
        chosen.await;
        waited += u32::from(began.elapsed() >= GRACE);
    }
    assert_eq!(waited, 10);
    assert!(poll!(&mut probe).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_takes_no_more_than_three_quarters_of_the_only_worker() {
    let patience = patience_of(1);
    let (mut waiting, began) = (Duration::ZERO, Instant::now());
    while began.elapsed() < 24 * 3600 * SECOND {
        let came = Instant::now();
        patience.run_out().await;
        waiting += came.elapsed();
        sleep(SECOND / 10).await;
    }
    let share = waiting.as_secs_f64() / began.elapsed().as_secs_f64();
    assert!((0.5..0.75).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_renews_everybody() {
    let patience = patience_of(8);
    let mut first = pin!(patience.run_out());
    let mut second = pin!(patience.run_out());
    for _ in 0..5 {
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        sleep(PATIENCE - SECOND).await;
        patience.renew();
    }
    sleep(PATIENCE - SECOND).await;
    assert!(poll!(&mut second).is_pending());
    sleep(SECOND + MOMENT).await;
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_ready());
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_get_through_for_long_where_others_do_comes_again() {
    let patience = patience_of(8);
    let mut forgotten = pin!(patience.run_out());
    assert!(poll!(&mut forgotten).is_pending());
    for _ in 0..9 {
        sleep(PATIENCE).await;
        patience.renew();
        assert!(poll!(&mut forgotten).is_pending());
    }
    sleep(PATIENCE).await;
    patience.renew();
    let comes_again = Instant::now();
    assert_eq!(forgotten.await, GivenUp::Overtaken);
    assert!(comes_again.elapsed() <= PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_also_renews_when_the_minute_was_over() {
    let patience = patience_of(8);
    let mut probe = pin!(patience.run_out());
    assert!(poll!(&mut probe).is_pending());
    sleep(PATIENCE + SECOND).await;
    assert!(poll!(&mut probe).is_pending());
    let mut chosen = pin!(patience.run_out());
    assert!(poll!(&mut chosen).is_pending());
    patience.renew();
    let mut newcomer = pin!(patience.run_out());
    assert!(poll!(&mut newcomer).is_pending());
    sleep(PATIENCE - SECOND).await;
    assert!(poll!(&mut probe).is_pending() && poll!(&mut chosen).is_pending());
    assert!(poll!(&mut newcomer).is_pending());
}

#[tokio::test(start_paused = true)]
async fn time_counts_in_which_somebody_waited_however_the_waiting_ended() {
    let patience = patience_of(8);
    // A sink that fails after twenty seconds each time.
    for _ in 0..3 {
        let mut failed = Box::pin(patience.run_out());
        assert!(poll!(&mut failed).is_pending());
        sleep(20 * SECOND).await;
        drop(failed);
        // Nobody needs it: that does not count.
        sleep(3600 * SECOND).await;
    }
    let mut probe = pin!(patience.run_out());
    let mut chosen = pin!(patience.run_out());
    let mut other = pin!(patience.run_out());
    assert!(poll!(&mut probe).is_pending() && poll!(&mut chosen).is_pending());
    assert_eq!(poll!(&mut other), Poll::Ready(GivenUp::Stuck(PATIENCE)));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_waiting_leaves_that_to_another_when_it_goes() {
    let patience = patience_of(8);
    let mut probe = Box::pin(patience.run_out());
    assert!(poll!(&mut probe).is_pending());
    sleep(PATIENCE + MOMENT).await;
    assert!(poll!(&mut probe).is_pending());
    drop(probe);
    let mut next = pin!(patience.run_out());
    assert!(poll!(&mut next).is_pending());
    sleep(2 * PATIENCE - MOMENT).await;
    assert!(poll!(&mut next).is_pending());
    assert_eq!(patience.waiting().in_line, 1);
}

#[test]
fn messages_are_left_alone_about_as_long_as_the_sink_has_been_stuck() {
    for (stuck, least, most) in [(60, 30, 60), (200, 100, 200), (86_400, 150, 300)] {
        for _ in 0..100 {
            let pause = GivenUp::Stuck(stuck * SECOND).pause();
            assert!(pause >= least * SECOND && pause <= most * SECOND, "{pause:?}");
        }
    }
}
