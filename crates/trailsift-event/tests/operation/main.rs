//! What an event did, to what, and the sentence that says so.

mod properties;
mod reviewer;
mod shapes;
mod who;

use trailsift_event::{Event, Resource};

/// An event of CodeGuru Reviewer by alice, who assumed a role with MFA.
fn event(name: &str, request: &str, response: &str) -> String {
    event_of("codeguru-reviewer.amazonaws.com", name, request, response)
}

fn event_of(source: &str, name: &str, request: &str, response: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole",
        "arn":"arn:aws:sts::111122223333:assumed-role/Admin/alice","accountId":"111122223333",
        "sessionContext":{{"attributes":{{"mfaAuthenticated":"true"}},
        "sessionIssuer":{{"type":"Role","userName":"Admin"}}}}}},
        "eventSource":"{source}","eventName":"{name}",
        "requestParameters":{request},"responseElements":{response}}}"#
    )
}

/// `kind name=… arn=… account=… provider=… owner=…`, as far as it is there.
fn line(resource: &Resource<'_>) -> String {
    let fields = [
        ("name", &resource.name),
        ("arn", &resource.arn),
        ("account", &resource.account_id),
        ("provider", &resource.provider),
        ("owner", &resource.owner),
    ];
    let fields =
        fields.iter().filter_map(|(name, value)| Some(format!(" {name}={}", value.as_ref()?)));
    format!("{}{}", resource.kind.as_deref().unwrap_or("?"), fields.collect::<String>())
}

fn lines(record: &str) -> Vec<String> {
    Event::new(record.as_bytes()).operation().resources.iter().map(line).collect()
}

fn sentence(record: &str) -> String {
    Event::new(record.as_bytes()).sentence()
}
