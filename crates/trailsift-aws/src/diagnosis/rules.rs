use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::RuleState;
use futures::future::try_join_all;

use super::{Examiner, Refusal, refused, timeouts};
use crate::AnswerLimit;

/// How many rules are looked at.
const MOST: usize = 20;

/// The rules that may lead from the default event bus to a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Those of the account's default bus, in the queue's region, that have the queue as a target.
    pub rules: Vec<Rule>,
    /// The account's other buses, whose rules were not looked at. Asked for only where there is no
    /// rule.
    pub other_buses: Option<Result<Vec<String>, Refusal>>,
}

/// A rule that has the queue as a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Which events it is about, as JSON; a rule that only runs by the clock has none.
    pub pattern: Option<String>,
    /// Whether its target is given the whole event as it is. One that is given a part of it, or a
    /// text of the rule's own, cannot read what it is told.
    pub whole: bool,
    /// Whether it sends as a role, and not as EventBridge.
    pub as_role: bool,
}

impl Examiner {
    fn eventbridge(&self) -> Client {
        let config = aws_sdk_eventbridge::config::Builder::from(self.session.config());
        Client::from_conf(
            config
                .timeout_config(timeouts())
                .interceptor(self.watching())
                .interceptor(AnswerLimit::LARGE)
                .build(),
        )
    }

    /// Which rules lead to the queue: `events:ListRuleNamesByTarget`, `events:DescribeRule` and
    /// `events:ListTargetsByRule`; where there is none, `events:ListEventBuses`.
    ///
    /// # Errors
    /// If one of the first three is not answered.
    pub async fn rules(&self, queue_arn: &str) -> Result<Rules, Refusal> {
        let client = self.eventbridge();
        let asked = async {
            let request = client.list_rule_names_by_target().target_arn(queue_arn);
            let answer = request.send().await;
            let names = answer.map_err(|error| refused(&self.session, &error))?.rule_names;
            let names = names.unwrap_or_default().into_iter().take(MOST);
            try_join_all(names.map(|name| self.rule(&client, name, queue_arn))).await
        };
        let rules = self.limit.of(asked).await?;
        let other_buses = match rules.is_empty() {
            true => Some(self.limit.of(self.other_buses(&client)).await),
            false => None,
        };
        Ok(Rules { rules, other_buses })
    }

    async fn rule(&self, client: &Client, name: String, queue_arn: &str) -> Result<Rule, Refusal> {
        let rule = client.describe_rule().name(&name).send().await;
        let rule = rule.map_err(|error| refused(&self.session, &error))?;
        let targets = client.list_targets_by_rule().rule(&name).send().await;
        let targets = targets.map_err(|error| refused(&self.session, &error))?;
        let mut ours = targets.targets().iter().filter(|target| target.arn() == queue_arn);
        // A rule has five targets, or a few more: they are on the first page.
        let target = ours.next();
        Ok(Rule {
            name,
            arn: rule.arn().unwrap_or_default().to_owned(),
            enabled: rule.state() != Some(&RuleState::Disabled),
            pattern: rule.event_pattern().filter(|it| !it.is_empty()).map(str::to_owned),
            whole: target.is_none_or(|it| {
                let input_path = it.input_path().filter(|path| *path != "$");
                it.input().is_none() && input_path.is_none() && it.input_transformer().is_none()
            }),
            as_role: target.is_some_and(|it| it.role_arn().is_some()),
        })
    }

    async fn other_buses(&self, client: &Client) -> Result<Vec<String>, Refusal> {
        let answer = client.list_event_buses().send().await;
        let answer = answer.map_err(|error| refused(&self.session, &error))?;
        let names = answer.event_buses().iter().filter_map(|bus| bus.name());
        Ok(names.filter(|name| *name != "default").map(str::to_owned).collect())
    }
}
