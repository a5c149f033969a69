//! The effective configuration as one file that says the same.

use std::fmt::{self, Display, Write};

use trailsift_event::text::is_unseen;
use trailsift_route::{Condition, RouteSpec, Value};
use trailsift_trail::MultiMember;

use super::units::duration_text;
use super::{Account, AllowedAccounts, Config, Quarantine, Service, SinkConfig, SinkKind, cost};

/// TOML with every default written out. Holds no secret, only where each is; loading it yields the
/// same [`Config`], but for one limit: a single file holds one account, so the accounts after the
/// first are comments, each below the name of the file that it would be.
impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        service(f, &self.service)?;
        quarantine(f, &self.quarantine)?;
        for route in &self.routes {
            writeln!(f, "\n[[route]]\nname = {}", quoted(&route.name))?;
            writeln!(f, "sinks = {}", list(route.sinks.iter().map(|sink| quoted(sink))))?;
            writeln!(f, "# cost: {}", cost::of_route(&route.spec))?;
            selectors(f, &route.spec)?;
        }
        for (name, config) in &self.sinks {
            sink(f, name, config)?;
        }
        for (at, account) in self.accounts.iter().enumerate() {
            let mut text = String::new();
            write_account(&mut text, account)?;
            writeln!(f, "\n# accounts/{}.toml", account.id)?;
            match at {
                0 => f.write_str(&text)?,
                _ => text.lines().try_for_each(|line| writeln!(f, "# {line}"))?,
            }
        }
        Ok(())
    }
}

fn service(f: &mut impl Write, service: &Service) -> fmt::Result {
    writeln!(f, "[service]")?;
    writeln!(f, "listen = {}", quoted(&service.listen.to_string()))?;
    writeln!(f, "data_dir = {}", quoted(&service.data_dir.to_string_lossy()))?;
    writeln!(f, "drain_timeout = \"{}\"", duration_text(service.drain_timeout))?;
    writeln!(f, "memory = \"{}\"", service.memory)?;
    writeln!(f, "workers = {}", service.workers)?;
    writeln!(f, "startup_timeout = \"{}\"", duration_text(service.startup_timeout))?;
    writeln!(f, "max_receive = {}", service.max_receive)?;
    writeln!(f, "hash_objects = {}", service.hash_objects)?;
    writeln!(f, "ledger_retention = \"{}\"", duration_text(service.ledger_retention))?;
    writeln!(f, "multi_member = \"{}\"", multi_member(service.multi_member))?;
    writeln!(f, "max_inflated = \"{}\"", service.max_inflated)?;
    writeln!(f, "max_record = \"{}\"", service.max_record)
}

fn quarantine(f: &mut impl Write, quarantine: &Quarantine) -> fmt::Result {
    writeln!(f, "\n[quarantine]")?;
    match quarantine {
        Quarantine::Folder(path) => {
            writeln!(f, "# the folder {}", path.to_string_lossy().escape_debug())
        }
        Quarantine::Sink(name) => writeln!(f, "sink = {}", quoted(name)),
        Quarantine::Redrive => writeln!(f, "policy = \"redrive\""),
    }
}

fn selectors(f: &mut impl Write, spec: &RouteSpec) -> fmt::Result {
    for selector in &spec.selectors {
        writeln!(f, "[[route.selector]]")?;
        for field in &selector.fields {
            let conditions: Vec<_> = field
                .conditions
                .iter()
                .map(|condition| format!("{} = {}", condition.operator(), operand(condition)))
                .collect();
            writeln!(f, "{} = {{ {} }}", key(&field.path), conditions.join(", "))?;
        }
    }
    Ok(())
}

fn operand(condition: &Condition) -> String {
    match condition {
        Condition::Equals(values) | Condition::NotEquals(values) => {
            list(values.iter().map(|value| match value {
                Value::String(text) => quoted(text),
                Value::Bool(value) => value.to_string(),
                Value::Integer(value) => value.to_string(),
            }))
        }
        Condition::StartsWith(texts)
        | Condition::NotStartsWith(texts)
        | Condition::EndsWith(texts)
        | Condition::NotEndsWith(texts) => list(texts.iter().map(|text| quoted(text))),
        Condition::Cidr(nets) | Condition::NotCidr(nets) => {
            list(nets.iter().map(|net| quoted(&net.to_string())))
        }
        Condition::Exists(value) => value.to_string(),
    }
}

fn sink(f: &mut impl Write, name: &str, config: &SinkConfig) -> fmt::Result {
    writeln!(f, "\n[sink.{}]", key(name))?;
    match &config.kind {
        SinkKind::Stdout => writeln!(f, "type = \"stdout\"")?,
        SinkKind::File(file) => file.print(f)?,
        SinkKind::Http(http) => http.print(f)?,
        SinkKind::SplunkHec(splunk) => splunk.print(f)?,
        SinkKind::OpenSearch(opensearch) => opensearch.print(f)?,
        SinkKind::Otlp(otlp) => otlp.print(f)?,
        SinkKind::Kafka(kafka) => kafka.print(f)?,
        SinkKind::S3(s3) => s3.print(f)?,
        SinkKind::Kinesis(kinesis) => kinesis.print(f)?,
        SinkKind::Firehose(firehose) => firehose.print(f)?,
        SinkKind::Sqs(sqs) => sqs.print(f)?,
        SinkKind::Sns(sns) => sns.print(f)?,
        SinkKind::EventBridge(bus) => bus.print(f)?,
        SinkKind::CloudWatchLogs(logs) => logs.print(f)?,
    }
    let format = config.format.name();
    writeln!(f, "format = \"{format}\"\nrequired = {}", config.required)?;
    let batch = &config.batch;
    let linger = duration_text(batch.linger);
    writeln!(
        f,
        "batch = {{ events = {}, bytes = \"{}\", linger = \"{linger}\" }}",
        batch.events, batch.bytes
    )?;
    writeln!(f, "retry = {{ deadline = \"{}\" }}", duration_text(config.retry.deadline))
}

const fn multi_member(multi_member: MultiMember) -> &'static str {
    match multi_member {
        MultiMember::Reject => "reject",
        MultiMember::Flag => "flag",
        MultiMember::Accept => "accept",
    }
}

fn write_account(f: &mut impl Write, account: &Account) -> fmt::Result {
    writeln!(f, "[account]")?;
    let optional = |name: &'static str, value: &Option<String>| {
        value.as_ref().map(|value| (name, value.clone()))
    };
    let texts = [
        Some(("id", account.id.clone())),
        Some(("name", account.name.clone())),
        Some(("region", account.region.clone())),
        Some(("queue_url", account.queue_url.clone())),
        optional("role_arn", &account.role_arn),
        optional("external_id", &account.external_id),
        optional("endpoint_url", &account.endpoint_url),
    ];
    for (name, value) in texts.into_iter().flatten() {
        writeln!(f, "{name} = {}", quoted(&value))?;
    }
    writeln!(f, "buckets = [")?;
    for bucket in &account.buckets {
        write!(f, "  {{ name = {}, ", quoted(&bucket.name))?;
        if let Some(owner) = &bucket.owner {
            write!(f, "owner = {}, ", quoted(owner))?;
        }
        if let Some(region) = &bucket.region {
            write!(f, "region = {}, ", quoted(region))?;
        }
        let accounts = match &bucket.accounts {
            AllowedAccounts::Any => list([quoted("*")]),
            AllowedAccounts::Set(ids) => list(ids.iter().map(|id| quoted(id))),
        };
        writeln!(f, "prefix = {}, accounts = {accounts} }},", quoted(&bucket.prefix))?;
    }
    writeln!(f, "]")?;
    writeln!(f, "routes = {}", list(account.routes.iter().map(|route| quoted(route))))?;
    writeln!(f, "allow_http = {}", account.allow_http)
}

pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<_> = items.into_iter().collect();
    format!("[{}]", items.join(", "))
}

pub(super) fn key(text: &str) -> String {
    let bare = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if !text.is_empty() && text.bytes().all(bare) { text.to_owned() } else { quoted(text) }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // What a terminal does not show as it is, or shows elsewhere.
            c if is_unseen(c) => match u32::from(c) {
                short @ ..=0xFFFF => out.push_str(&format!("\\u{short:04X}")),
                long => out.push_str(&format!("\\U{long:08X}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
