//! Sinks that send each event to a service of AWS.

use super::*;

fn sink(keys: &str) -> String {
    format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"s\"]\n\
         selector = [{{ eventID = {{ exists = true }} }}]\n[sink.s]\nregion = \"us-east-1\"\n{keys}"
    )
}

const SQS: &str =
    "type = \"sqs\"\nqueue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/events\"\n";
const SNS: &str = "type = \"sns\"\ntopic_arn = \"arn:aws:sns:us-east-1:111122223333:events\"\n";
const BUS: &str = "type = \"eventbridge\"\n";
const LOGS: &str = "type = \"cloudwatch_logs\"\nlog_group = \"/security/trailsift\"\n";

fn fifo(keys: &str) -> String {
    keys.replace("events\"", "events.fifo\"")
}

#[test]
fn what_is_printed_reads_as_the_same() {
    let role = "role_arn = \"arn:aws:iam::111122223333:role/x\"\nexternal_id = \"y-z\"\n";
    for keys in [
        SQS.to_owned(),
        format!("{SQS}{role}"),
        format!("{}message_group = \"event\"\n", fifo(SQS)),
        format!("{SNS}max_message = \"1MiB\"\n"),
        format!("{}message_group = \"account\"\n", fifo(SNS)),
        BUS.to_owned(),
        format!(
            "{BUS}event_bus = \"arn:aws:events:us-east-1:111122223333:event-bus/b\"\n\
             source = \"a \\\"b\\\"\"\ndetail_type = \"c\"\nmax_call = \"256KiB\"\n"
        ),
        format!("{LOGS}log_stream = \"a b\"\nendpoint_url = \"http://localhost:4566\"\n"),
    ] {
        let config = config_of(&sink(&keys));
        let printed = config.to_string();
        assert_eq!(config_of(&printed), config, "{printed}");
    }
}

#[test]
fn mistakes_are_named_with_their_remedies() {
    for (keys, expected) in [
        ("type = \"sqs\"\n".to_owned(), "`sink.s.queue_url` is missing"),
        (SQS.replace("events", "a/b"), "is no URL of a queue"),
        (SQS.replace("us-east-1", "eu-west-1"), "is a queue in \"eu-west-1\""),
        (SQS.replace("amazonaws.com", "example.com"), "names a host that is not AWS"),
        (SQS.replace("events", "trail"), "the sink `s` writes to a queue that an account reads"),
        (format!("{SQS}message_group = \"account\"\n"), "the queue is not FIFO"),
        (format!("{SNS}message_group = \"event\"\n"), "the topic is not FIFO"),
        (format!("{}message_group = \"none\"\n", fifo(SQS)), "\"account\" or \"event\""),
        ("type = \"sns\"\n".to_owned(), "`sink.s.topic_arn` is missing"),
        (SNS.replace("sns:us", "sqs:us"), "is no ARN of a topic"),
        (SNS.replace("us-east-1", "eu-west-1"), "`topic_arn` is in \"eu-west-1\""),
        (format!("{SNS}max_message = \"2MiB\"\n"), "is out of range"),
        (format!("{BUS}source = \"aws.trailsift\"\n"), "belongs to AWS"),
        (format!("{BUS}event_bus = \"a b\"\n"), "is neither an event bus's name nor its ARN"),
        (
            format!("{BUS}event_bus = \"arn:aws:events:eu-west-1:111122223333:event-bus/b\"\n"),
            "`event_bus` is in \"eu-west-1\"",
        ),
        (format!("{BUS}detail_type = \"{}\"\n", "x".repeat(129)), "has not 1 to 128 characters"),
        ("type = \"cloudwatch_logs\"\n".to_owned(), "`sink.s.log_group` is missing"),
        (LOGS.replace("/security", "arn:aws:logs:"), "is no name of a log group"),
        (format!("{LOGS}log_stream = \"a:b\"\n"), "is no name of a log stream"),
        (format!("{LOGS}external_id = \"a-b\"\n"), "is given without `role_arn`"),
        (format!("{LOGS}endpoint_url = \"http://example.com\"\n"), "is plain http"),
    ] {
        let lines = findings_of(&sink(&keys));
        assert!(lines.len() == 1 && lines[0].contains(expected), "{keys}: {lines:#?}");
    }
}

#[test]
fn a_bucket_that_is_read_and_written_to_is_a_warning_where_its_objects_are_announced() {
    const S3: &str = "type = \"s3\"\nbucket = \"org-trail\"\n";
    let narrow = "{ name = \"org-trail\", prefix = \"AWSLogs/\" }";
    let lines = findings_of(&sink(S3));
    let expected = "the sink `s` writes to a bucket that an account reads";
    assert!(lines.len() == 1 && lines[0].contains(expected), "{lines:#?}");
    assert_eq!(load_text(&sink(S3)).expect("only a warning").warnings.errors(), 0);
    for quiet in [
        sink(&S3.replace("org-trail", "lake")),
        sink(S3).replace("{ name = \"org-trail\" }", narrow),
    ] {
        assert_eq!(findings_of(&quiet), Vec::<String>::new(), "{quiet}");
    }
}
