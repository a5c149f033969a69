use std::fmt;
use std::time::Duration;

use trailsift_core::QueueStatus;

/// A lease shorter than this may be over before a slow network has extended it.
const SHORT_VISIBILITY: Duration = Duration::from_secs(30);
/// How many times our own attempts a message should be received before the queue gives it up: a sink
/// that is down, a deployment and a crash all count, although the message is good.
const MARGIN: u32 = 2;

/// What is questionable about how a queue is set up. Displayed as one sentence; see
/// [`QueueConcern::remedy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueConcern {
    /// Nothing takes away a message that can never be settled.
    NoRedrive,
    /// The queue gives a message up before its objects had their attempts.
    RedrivesTooSoon {
        /// The queue's `maxReceiveCount`.
        max_receive_count: u32,
        /// Our attempts.
        max_receive: u32,
    },
    /// The queue gives a message up soon after its objects had their attempts.
    RedrivesSoon {
        /// The queue's `maxReceiveCount`.
        max_receive_count: u32,
        /// Our attempts.
        max_receive: u32,
    },
    /// A lease is over before a slow network has extended it.
    BriefVisibility(Duration),
}

impl QueueConcern {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoRedrive => {
                "give the queue a redrive policy with a dead-letter queue and a maxReceiveCount of 50".into()
            }
            Self::RedrivesTooSoon { max_receive, .. } | Self::RedrivesSoon { max_receive, .. } => format!(
                "raise its maxReceiveCount to {} or more, or lower service.max_receive",
                max_receive.saturating_mul(MARGIN).max(50)
            ),
            Self::BriefVisibility(_) => {
                "raise the queue's VisibilityTimeout, to 120 s for example".into()
            }
        }
    }

    /// Whether it is about the visibility timeout, not about the redrive policy.
    pub const fn is_about_visibility(&self) -> bool {
        matches!(self, Self::BriefVisibility(_))
    }
}

impl fmt::Display for QueueConcern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRedrive => f.write_str(
                "the queue has no redrive policy: a message that can never be settled stays for ever",
            ),
            Self::RedrivesTooSoon { max_receive_count, max_receive } => write!(
                f,
                "the queue moves messages away before max_receive parks their objects: its \
                 maxReceiveCount is {max_receive_count}, max_receive is {max_receive}"
            ),
            Self::RedrivesSoon { max_receive_count, max_receive } => write!(
                f,
                "the queue moves messages away soon after max_receive ({max_receive}): its \
                 maxReceiveCount is {max_receive_count}, and outages, deployments and crashes count too"
            ),
            Self::BriefVisibility(_) => f.write_str(
                "the queue hides messages only briefly: a short pause of this process means duplicates",
            ),
        }
    }
}

/// What is questionable about this queue, for a service that gives each object `max_receive` attempts.
/// What `run` warns of and what `doctor` judges is this.
pub fn queue_concerns(status: &QueueStatus, max_receive: u32) -> Vec<QueueConcern> {
    let redrive = match status.max_receive_count {
        None => Some(QueueConcern::NoRedrive),
        Some(count) if count <= max_receive => {
            Some(QueueConcern::RedrivesTooSoon { max_receive_count: count, max_receive })
        }
        Some(count) if count < max_receive.saturating_mul(MARGIN) => {
            Some(QueueConcern::RedrivesSoon { max_receive_count: count, max_receive })
        }
        Some(_) => None,
    };
    let timeout = status.visibility_timeout;
    let brief = (timeout < SHORT_VISIBILITY).then_some(QueueConcern::BriefVisibility(timeout));
    redrive.into_iter().chain(brief).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_judged_by_its_redrive_policy_and_its_visibility() {
        let too_soon =
            |count| QueueConcern::RedrivesTooSoon { max_receive_count: count, max_receive: 5 };
        let soon = |count| QueueConcern::RedrivesSoon { max_receive_count: count, max_receive: 5 };
        let brief = |seconds| QueueConcern::BriefVisibility(Duration::from_secs(seconds));
        for (count, seconds, expected) in [
            (Some(50), 120, vec![]),
            (Some(10), 30, vec![]),
            (None, 120, vec![QueueConcern::NoRedrive]),
            (Some(1), 120, vec![too_soon(1)]),
            (Some(5), 120, vec![too_soon(5)]),
            (Some(6), 120, vec![soon(6)]),
            (Some(9), 120, vec![soon(9)]),
            (Some(50), 29, vec![brief(29)]),
            (None, 0, vec![QueueConcern::NoRedrive, brief(0)]),
        ] {
            let status = QueueStatus {
                visibility_timeout: Duration::from_secs(seconds),
                max_receive_count: count,
                visible: 0,
                in_flight: 0,
                delayed: 0,
            };
            assert_eq!(queue_concerns(&status, 5), expected, "{count:?}, {seconds} s");
        }
    }
}
