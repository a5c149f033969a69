use std::pin::pin;

use futures::poll;
use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn after_a_minute_without_an_acknowledgement_only_the_longest_waiter_stays() {
    let patience = Patience::default();
    let mut longest = pin!(patience.run_out());
    assert!(poll!(&mut longest).is_pending());
    sleep(5 * SECOND).await;
    let mut second = pin!(patience.run_out());
    let mut third = pin!(patience.run_out());
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    sleep(PATIENCE - 6 * SECOND).await;
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    // The sink's minute counts from when the first of them came.
    sleep(SECOND + MOMENT).await;
    assert!(poll!(&mut second).is_ready() && poll!(&mut third).is_ready());
    // Whoever comes now waits a little; the longest waiter goes on, however long it takes.
    let mut newcomer = pin!(patience.run_out());
    assert!(poll!(&mut newcomer).is_pending());
    sleep(GRACE - SECOND).await;
    assert!(poll!(&mut newcomer).is_pending());
    sleep(SECOND + MOMENT).await;
    assert!(poll!(&mut newcomer).is_ready());
    for _ in 0..100 {
        sleep(PATIENCE).await;
        assert!(poll!(&mut longest).is_pending());
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_renews_everybody() {
    let patience = Patience::default();
    let mut first = pin!(patience.run_out());
    let mut second = pin!(patience.run_out());
    for _ in 0..5 {
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        sleep(PATIENCE - SECOND).await;
        patience.renew();
    }
    sleep(PATIENCE - SECOND).await;
    assert!(poll!(&mut second).is_pending());
    let mut newcomer = pin!(patience.run_out());
    assert!(poll!(&mut newcomer).is_pending());
    sleep(SECOND + MOMENT).await;
    assert!(poll!(&mut second).is_ready() && poll!(&mut newcomer).is_pending());
    sleep(GRACE).await;
    assert!(poll!(&mut newcomer).is_ready());
    assert!(poll!(&mut first).is_pending());
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_also_renews_when_the_minute_was_over() {
    let patience = Patience::default();
    let mut longest = pin!(patience.run_out());
    assert!(poll!(&mut longest).is_pending());
    sleep(PATIENCE + SECOND).await;
    let mut second = pin!(patience.run_out());
    assert!(poll!(&mut second).is_pending());
    patience.renew();
    sleep(PATIENCE - SECOND).await;
    assert!(poll!(&mut second).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_leaves_the_line_to_the_next() {
    let patience = Patience::default();
    let mut first = Box::pin(patience.run_out());
    assert!(poll!(&mut first).is_pending());
    sleep(SECOND).await;
    let mut second = pin!(patience.run_out());
    assert!(poll!(&mut second).is_pending());
    sleep(SECOND).await;
    let mut third = pin!(patience.run_out());
    assert!(poll!(&mut third).is_pending());
    drop(first);
    // The second is the longest waiter now, and its own waiting is what counts.
    sleep(PATIENCE - SECOND + MOMENT).await;
    assert!(poll!(&mut third).is_ready());
    sleep(10 * PATIENCE).await;
    assert!(poll!(&mut second).is_pending());
    assert_eq!(patience.waiting().since.len(), 1);
}
