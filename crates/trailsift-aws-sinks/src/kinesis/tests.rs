use trailsift_core::Disposition;

use super::*;

fn taken(number: &str) -> PutRecordsResultEntry {
    PutRecordsResultEntry::builder().sequence_number(number).shard_id("shardId-0").build()
}

fn failed(code: &str, message: &str) -> PutRecordsResultEntry {
    PutRecordsResultEntry::builder().error_code(code).error_message(message).build()
}

#[test]
fn exactly_the_records_with_a_sequence_number_are_acknowledged() {
    let records = [
        taken("495"),
        failed("ProvisionedThroughputExceededException", "Rate exceeded for shard shardId-0"),
        failed("InternalFailure", "Internal service failure."),
        taken(""),
        PutRecordsResultEntry::builder().build(),
        failed("KMSThrottlingException", "slow down"),
        taken("496"),
    ];
    let part = [10, 11, 12, 13, 14, 15, 16];
    let Answer::Of(results) = results(&part, &records) else { panic!("an answer") };
    assert_eq!(results.iter().map(|(place, _)| *place).collect::<Vec<_>>(), part);
    for (place, result) in results {
        match result {
            Ok(()) => assert!([10, 16].contains(&place), "{place}"),
            Err(error) => assert_eq!(error.disposition, Disposition::RETRY, "{place}: {error}"),
        }
    }
}

#[test]
fn an_answer_about_another_number_of_records_acknowledges_none() {
    for records in [vec![], vec![taken("1")], vec![taken("1"), taken("2"), taken("3")]] {
        let Answer::Of(results) = results(&[0, 1], &records) else { panic!("an answer") };
        assert!(results.iter().all(|(_, result)| result.is_err()), "{results:?}");
    }
}
