use trailsift_core::Disposition;

use super::*;

fn taken(id: &str) -> PutRecordBatchResponseEntry {
    PutRecordBatchResponseEntry::builder().record_id(id).build()
}

fn failed(code: &str, message: &str) -> PutRecordBatchResponseEntry {
    PutRecordBatchResponseEntry::builder().error_code(code).error_message(message).build()
}

#[test]
fn exactly_the_records_with_an_id_are_acknowledged() {
    let records = [
        failed("ServiceUnavailableException", "Slow down."),
        taken("a"),
        failed("InternalFailure", "oops"),
        taken(""),
        PutRecordBatchResponseEntry::builder().build(),
    ];
    let part = [3, 4, 5, 6, 7];
    let Answer::Of(results) = results(&part, &records) else { panic!("an answer") };
    for (place, result) in results {
        match result {
            Ok(()) => assert_eq!(place, 4),
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
