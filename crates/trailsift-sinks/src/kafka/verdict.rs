use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use trailsift_core::Reason;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not the event's: missing rights, a missing topic, brokers that are down or overloaded.
    Later,
    /// The event's, if it was alone.
    Refused(Reason),
}

/// The only place that blames events for a code of Kafka's. Whatever it does not name is retried.
pub(super) fn judge(error: &KafkaError) -> Verdict {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::MessageBatchTooLarge,
        ) => Verdict::Refused(Reason::SinkRecordTooLarge),
        Some(RDKafkaErrorCode::InvalidRecord) => Verdict::Refused(Reason::SinkRejected),
        _ => Verdict::Later,
    }
}

/// Whether the client may go on saying so by itself, until it asks the brokers again.
pub(super) fn is_about_the_topic(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::InvalidTopic
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_kafka_says_of_one_message_blames_it() {
        let judge = |code| judge(&KafkaError::MessageProduction(code));
        let large = Verdict::Refused(Reason::SinkRecordTooLarge);
        assert_eq!(judge(RDKafkaErrorCode::MessageSizeTooLarge), large);
        assert_eq!(judge(RDKafkaErrorCode::MessageBatchTooLarge), large);
        let rejected = Verdict::Refused(Reason::SinkRejected);
        assert_eq!(judge(RDKafkaErrorCode::InvalidRecord), rejected);
        for code in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::QueueFull,
            RDKafkaErrorCode::UnknownTopicOrPartition,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::ClusterAuthorizationFailed,
            RDKafkaErrorCode::SaslAuthenticationFailed,
            RDKafkaErrorCode::NotEnoughReplicas,
            RDKafkaErrorCode::PolicyViolation,
            RDKafkaErrorCode::ThrottlingQuotaExceeded,
            RDKafkaErrorCode::InvalidDifferentRecord,
            RDKafkaErrorCode::InvalidMessage,
            RDKafkaErrorCode::Fatal,
            RDKafkaErrorCode::Unknown,
        ] {
            assert_eq!(judge(code), Verdict::Later, "{code:?}");
        }
        assert_eq!(super::judge(&KafkaError::Canceled), Verdict::Later);
    }
}
