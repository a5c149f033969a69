//! Elastic Common Schema, as Elastic's aws.cloudtrail integration names its fields: FORMATS.md has
//! the table.

mod category;
mod cloudtrail;

use std::borrow::Cow;
use std::net::IpAddr;

use trailsift_event::{Actor, Event, Json, Outcome};

use super::moment::Moment;
use super::writer::Object;
use super::{Context, known};

/// The version of the schema that events follow.
const VERSION: &str = "9.4.0";

/// A tag of events whose time nobody can read.
const NO_TIME: &str = "event_time_unreadable";

/// A record's fields, by the types that the schema has for them.
struct Fields<'c, 'r> {
    event: &'c Event<'r>,
}

impl<'r> Fields<'_, 'r> {
    /// The value at the end of these names, unless it is null.
    fn at(&self, path: &[&str]) -> Option<Json<'r>> {
        let (top, below) = path.split_first()?;
        self.event.get(top)?.at(below)
    }

    /// The string at the end of these names, unless it is empty.
    fn text(&self, path: &[&str]) -> Option<Cow<'r, str>> {
        self.at(path)?.text().filter(|text| !text.is_empty())
    }

    /// The boolean at the end of these names, also one that is written as a string.
    fn flag(&self, path: &[&str]) -> Option<bool> {
        self.at(path)?.flag_or_word()
    }
}

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    let event = &context.event;
    let (fields, actor) = (Fields { event }, event.actor());
    let time = fields.text(&["eventTime"]).and_then(|time| Moment::parse(&time));
    out.text("@timestamp", &time.unwrap_or(Moment::EPOCH).to_string());
    if time.is_none() {
        out.array_if_any("tags", |tags| tags.text(NO_TIME));
    }
    out.text("message", &event.sentence());
    out.object("ecs", |ecs| ecs.text("version", VERSION));
    out.object("labels", |labels| {
        labels.text("actor_kind", actor.kind.as_str());
        labels.text("actor_credentials", actor.credentials.as_str());
        labels.text_if("route", context.routes.first());
    });
    about(out, context, &fields);
    cloud(out, &fields);
    people(out, &fields, &actor);
    network(out, &fields);
    out.object_if_any("error", |error| {
        error.text_if("code", fields.text(&["errorCode"]));
        error.text_if("message", fields.text(&["errorMessage"]));
    });
    let (bucket, key) = (known(context.origin.bucket), known(context.origin.key));
    out.object_if_any("aws", |aws| {
        aws.object_if_any("cloudtrail", |it| cloudtrail::write(it, &fields));
        if let Some(bucket) = bucket {
            aws.object("s3", |s3| {
                s3.object("bucket", |it| it.text("name", bucket));
                s3.object_if_any("object", |it| it.text_if("key", key));
            });
        }
    });
    if bucket.is_none() {
        out.object_if_any("log", |log| {
            log.object_if_any("file", |it| it.text_if("path", key));
        });
    }
}

/// `event`: what happened, and the record itself.
fn about(out: &mut Object<'_>, context: &Context<'_>, fields: &Fields<'_, '_>) {
    let operation = context.event.operation();
    let source = fields.text(&["eventSource"]);
    out.object("event", |about| {
        about.text("kind", "event");
        about.text("module", "aws");
        about.text("dataset", "aws.cloudtrail");
        about.text_if("id", fields.text(&["eventID"]));
        about.text_if("provider", source.as_deref());
        about.text_if("action", operation.name.as_deref());
        let (category, kinds) = category::of(source.as_deref().unwrap_or_default(), &operation);
        about.array_if_any("category", |array| array.text(category));
        about.array_if_any("type", |array| kinds.iter().for_each(|kind| array.text(kind)));
        about.text("outcome", outcome(context));
        about.text("original", &String::from_utf8_lossy(context.record));
    });
}

/// How it went; of a sign-in, what its response says.
fn outcome(context: &Context<'_>) -> &'static str {
    match context.event.outcome() {
        Outcome::Success => "success",
        Outcome::Failure { .. } => "failure",
    }
}

fn cloud(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    out.object("cloud", |cloud| {
        cloud.text("provider", "aws");
        cloud.text_if("region", fields.text(&["awsRegion"]));
        cloud.object_if_any("account", |account| {
            let callers = fields.text(&["userIdentity", "accountId"]);
            account.text_if("id", callers.or_else(|| fields.text(&["recipientAccountId"])));
        });
    });
}

/// `user`, `group` and `related`: who did it, to whom.
fn people(out: &mut Object<'_>, fields: &Fields<'_, '_>, actor: &Actor<'_>) {
    let name = fields.text(&["userIdentity", "userName"]).or_else(|| actor.name.clone());
    let id = fields
        .text(&["userIdentity", "principalId"])
        .or_else(|| fields.text(&["userIdentity", "onBehalfOf", "userId"]));
    let concerned = fields.text(&["requestParameters", "userName"]);
    let renamed = fields.text(&["requestParameters", "newUserName"]);
    out.object_if_any("user", |user| {
        user.text_if("name", name.as_deref());
        user.text_if("id", id.as_deref());
        user.object_if_any("target", |target| {
            target.text_if("name", concerned.as_deref());
            target.text_if("id", fields.text(&["responseElements", "user", "userId"]));
        });
        user.object_if_any("changes", |it| it.text_if("name", renamed.as_deref()));
    });
    out.object_if_any("group", |group| {
        group.text_if("name", fields.text(&["requestParameters", "groupName"]));
        group.text_if("id", fields.text(&["responseElements", "group", "groupId"]));
    });

    let users = [name, id, actor.session_name.clone(), actor.source_identity.clone()];
    let users = users.into_iter().chain([concerned, renamed]).flatten();
    let address = fields.text(&["sourceIPAddress"]);
    let (addresses, names): (Vec<_>, Vec<_>) =
        address.into_iter().partition(|address| address.parse::<IpAddr>().is_ok());
    let host = fields.text(&["tlsDetails", "clientProvidedHostHeader"]);
    let hosts = names.into_iter().filter(|name| name.contains('.')).chain(host);
    out.object_if_any("related", |related| {
        each_once(related, "user", users);
        each_once(related, "ip", addresses.into_iter());
        each_once(related, "hosts", hosts);
    });
}

fn each_once<'t>(out: &mut Object<'_>, name: &str, texts: impl Iterator<Item = Cow<'t, str>>) {
    let mut written: Vec<Cow<'_, str>> = Vec::new();
    out.array_if_any(name, |array| {
        for text in texts {
            if !written.contains(&text) {
                array.text(&text);
                written.push(text);
            }
        }
    });
}

/// `source`, `user_agent` and `tls`: from where, and how.
fn network(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    out.object_if_any("source", |source| {
        if let Some(address) = fields.text(&["sourceIPAddress"]) {
            source.text("address", &address);
            if address.parse::<IpAddr>().is_ok() {
                source.text("ip", &address);
            }
        }
    });
    out.object_if_any("user_agent", |it| it.text_if("original", fields.text(&["userAgent"])));
    out.object_if_any("tls", |tls| {
        let version = fields.text(&["tlsDetails", "tlsVersion"]);
        if let Some((protocol, version)) = version.as_deref().and_then(|it| it.split_once('v')) {
            tls.text("version_protocol", &protocol.to_ascii_lowercase());
            tls.text("version", version);
        }
        tls.text_if("cipher", fields.text(&["tlsDetails", "cipherSuite"]));
        tls.object_if_any("client", |client| {
            client.text_if("server_name", fields.text(&["tlsDetails", "clientProvidedHostHeader"]));
        });
    });
}

#[cfg(test)]
mod tests;
