//! From what is written to what is in effect: references are looked up, what must be unique is
//! compared, and built-in parts stand in for what is not there.

use std::collections::BTreeMap;

use trailsift_core::RouteSet;
use trailsift_route::RouteSpec;

use super::account::AccountDraft;
use super::document::Draft;
use super::findings::{At, Findings};
use super::reader::nearest;
use super::route::RouteDraft;
use super::service::QuarantineWish;
use super::sink::{S3Config, SinkDraft, stdout};
use super::{Account, Config, Quarantine, Route, Service, SinkConfig, SinkKind};

/// The sink of the built-in route, which stands where no route is configured.
const BUILT_IN_SINK: &str = "stdout";

/// The effective configuration. Only complete if nothing was found to be wrong.
pub(super) fn resolve(draft: Draft, findings: &Findings) -> Config {
    let Draft { service, quarantine, routes, sinks, accounts } = draft;
    judge_sinks(&sinks, findings);
    judge_loops(&sinks, &accounts, findings);
    let quarantine = resolve_quarantine(quarantine, &service, &sinks, findings);
    judge_routes(&routes, &sinks, findings);
    judge_accounts(&accounts, &routes, findings);
    if !findings.has_syntax_errors() {
        warn_of_idle_parts(&quarantine, &routes, &sinks, &accounts, findings);
    }

    let built_in = routes.is_empty();
    let routes: Vec<Route> = match built_in {
        true => {
            let spec = RouteSpec::codeguru_reviewer();
            vec![Route { name: spec.name.clone(), spec, sinks: vec![BUILT_IN_SINK.to_owned()] }]
        }
        false => routes.into_iter().filter_map(effective_route).collect(),
    };
    let mut sinks: BTreeMap<String, SinkConfig> = sinks
        .into_iter()
        .filter_map(|sink| sink.config.map(|config| (sink.name.value, config)))
        .collect();
    if built_in {
        sinks.entry(BUILT_IN_SINK.into()).or_insert_with(stdout);
    }
    let names: Vec<String> = routes.iter().map(|route| route.name.clone()).collect();
    let accounts = accounts.into_iter().filter_map(|draft| effective_account(draft, &names));
    Config { service, quarantine, routes, sinks, accounts: accounts.collect() }
}

/// The routes alone, wherever they lead.
pub(super) fn route_specs(routes: Vec<RouteDraft>, findings: &Findings) -> Vec<RouteSpec> {
    if routes.is_empty() {
        return vec![RouteSpec::codeguru_reviewer()];
    }
    judge_route_names(&routes, findings);
    routes.into_iter().filter_map(effective_route).map(|route| route.spec).collect()
}

fn effective_route(draft: RouteDraft) -> Option<Route> {
    let name = draft.name?.value;
    let spec = RouteSpec { name: name.clone(), selectors: draft.selectors? };
    Some(Route { name, spec, sinks: draft.sinks.into_iter().map(|sink| sink.value).collect() })
}

fn effective_account(draft: AccountDraft, all_routes: &[String]) -> Option<Account> {
    let routes = match draft.routes {
        Some(routes) => routes.into_iter().map(|route| route.value).collect(),
        None => all_routes.to_vec(),
    };
    draft.account.map(|account| Account { routes, ..account })
}

fn resolve_quarantine(
    wish: Option<QuarantineWish>,
    service: &Service,
    sinks: &[SinkDraft],
    findings: &Findings,
) -> Quarantine {
    match wish {
        None => Quarantine::Folder(Config::default_quarantine(&service.data_dir)),
        Some(QuarantineWish::Redrive) => Quarantine::Redrive,
        Some(QuarantineWish::Sink(name)) => {
            if look_up_sink(&name, sinks, findings)
                .and_then(|sink| sink.config.as_ref())
                .is_some_and(|config| !config.required)
            {
                findings.error(
                    name.place,
                    format!("the quarantine's sink `{}` is best effort", name.value),
                    "what is parked must be safe before its message goes: set required = true",
                );
            }
            Quarantine::Sink(name.value)
        }
    }
}

fn look_up_sink<'a>(
    name: &At<String>,
    sinks: &'a [SinkDraft],
    findings: &Findings,
) -> Option<&'a SinkDraft> {
    let found = sinks.iter().find(|sink| sink.name.value == name.value);
    if found.is_none() {
        if name.value == "history" {
            findings.error(
                name.place,
                "the sink `history` is not available in this version",
                "leave it out",
            );
            return None;
        }
        let known: Vec<_> = sinks.iter().map(|sink| sink.name.value.as_str()).collect();
        let hint = match known.is_empty() {
            true => {
                format!("add [sink.{}] with type = \"stdout\", \"file\" or \"http\"", name.value)
            }
            false => format!("{}; or add [sink.{}]", nearest(&name.value, &known), name.value),
        };
        findings.missing_reference(name.place, format!("there is no sink `{}`", name.value), hint);
    }
    found
}

fn judge_sinks(sinks: &[SinkDraft], findings: &Findings) {
    let file_of = |sink: &SinkDraft| match sink.config.as_ref().map(|config| &config.kind) {
        Some(SinkKind::File(file)) => file.settings().active(),
        _ => None,
    };
    let mut stdout: Option<&SinkDraft> = None;
    for (at, sink) in sinks.iter().enumerate() {
        let path = file_of(sink);
        let same = |other: &&SinkDraft| path.is_some() && file_of(other) == path;
        if let (Some(other), Some(place)) = (sinks[..at].iter().find(same), sink.path) {
            findings.error(
                place,
                format!("the sink `{}` already writes to this file", other.name.value),
                "two sinks in one file overwrite each other: give each its own",
            );
        }
        if matches!(sink.config.as_ref().map(|config| &config.kind), Some(SinkKind::Stdout)) {
            if let Some(other) = stdout {
                findings.warning(
                    sink.name.place,
                    format!("the sink `{}` writes to standard output too", other.name.value),
                    "their lines come mixed: route to one of them",
                );
            }
            stdout = Some(sink);
        }
    }
}

/// A sink must not feed the queue that its own events come from: they would come back as notifications
/// that nobody knows, and each of them would be parked. What it writes to a bucket that is read comes back
/// as notifications, too: of objects that are no trail files, so that only costs requests.
fn judge_loops(sinks: &[SinkDraft], accounts: &[AccountDraft], findings: &Findings) {
    // Hosts may be spelt in several ways: owner and name tell queues of a region apart.
    let queue_of = |url: &str| {
        let mut parts = url.rsplit('/').map(str::to_owned);
        (parts.next(), parts.next())
    };
    let accounts = || accounts.iter().filter_map(|draft| draft.account.as_ref());
    for sink in sinks {
        let (place, name) = (sink.name.place, &sink.name.value);
        match sink.config.as_ref().map(|config| &config.kind) {
            Some(SinkKind::Sqs(sqs))
                if accounts().any(|account| {
                    account.region == sqs.aws.region
                        && queue_of(&account.queue_url) == queue_of(&sqs.settings.queue_url)
                }) =>
            {
                findings.error(
                    place,
                    format!("the sink `{name}` writes to a queue that an account reads"),
                    "events are no notifications: give the sink a queue of its own",
                );
            }
            Some(SinkKind::S3(S3Config { settings, .. }))
                if accounts().flat_map(|account| &account.buckets).any(|read| {
                    read.name == settings.bucket
                        && settings.prefix.to_string().starts_with(&read.prefix)
                }) =>
            {
                findings.warning(
                    place,
                    format!("the sink `{name}` writes to a bucket that an account reads"),
                    "each of its objects is announced and skipped: give the sink a bucket of its own",
                );
            }
            _ => {}
        }
    }
}

fn judge_route_names(routes: &[RouteDraft], findings: &Findings) {
    unique(routes.iter().filter_map(|route| route.name.as_ref()), "route name", findings);
    if let Some(route) = routes.get(RouteSet::MAX) {
        findings.error(
            route.place,
            format!("there are {} routes, at most {} are possible", routes.len(), RouteSet::MAX),
            "selectors of one route are OR-ed: put what goes to the same sinks into one",
        );
    }
}

fn judge_routes(routes: &[RouteDraft], sinks: &[SinkDraft], findings: &Findings) {
    judge_route_names(routes, findings);
    for route in routes {
        for (at, sink) in route.sinks.iter().enumerate() {
            look_up_sink(sink, sinks, findings);
            if route.sinks[..at].iter().any(|other| other.value == sink.value) {
                let message = format!("the sink `{}` is named twice", sink.value);
                findings.error(sink.place, message, "each sink gets an event once: leave one out");
            }
        }
    }
}

fn judge_accounts(accounts: &[AccountDraft], routes: &[RouteDraft], findings: &Findings) {
    unique(accounts.iter().filter_map(|account| account.id.as_ref()), "account id", findings);
    // Without a name the id is the name.
    let names = accounts.iter().filter_map(|account| account.name.as_ref().or(account.id.as_ref()));
    let names: Vec<_> = names.collect();
    for (at, name) in names.iter().enumerate() {
        let is_id = accounts
            .iter()
            .any(|account| account.id.as_ref().is_some_and(|id| id.place == name.place));
        if !is_id && names[..at].iter().any(|other| other.value == name.value) {
            duplicate(name, "account name", findings);
        }
    }
    unique(accounts.iter().filter_map(|account| account.queue_url.as_ref()), "queue", findings);
    let mut known: Vec<_> =
        routes.iter().filter_map(|route| route.name.as_ref()).map(|at| at.value.as_str()).collect();
    let built_in = RouteSpec::codeguru_reviewer().name;
    if routes.is_empty() {
        known.push(&built_in);
    }
    for account in accounts {
        for (at, route) in account.routes.iter().flatten().enumerate() {
            if !known.contains(&route.value.as_str()) {
                let message = format!("there is no route `{}`", route.value);
                findings.missing_reference(route.place, message, nearest(&route.value, &known));
            }
            let others = account.routes.iter().flatten().take(at);
            if others.into_iter().any(|other| other.value == route.value) {
                let message = format!("the route `{}` is named twice", route.value);
                findings.error(route.place, message, "leave one out");
            }
        }
    }
}

fn unique<'a>(values: impl Iterator<Item = &'a At<String>>, what: &str, findings: &Findings) {
    let mut seen: Vec<&str> = Vec::new();
    for at in values {
        if seen.contains(&at.value.as_str()) {
            duplicate(at, what, findings);
        }
        seen.push(&at.value);
    }
}

fn duplicate(at: &At<String>, what: &str, findings: &Findings) {
    let message = format!("the {what} {:?} is already taken", at.value);
    findings.error(at.place, message, "it must be unique in the whole configuration");
}

fn warn_of_idle_parts(
    quarantine: &Quarantine,
    routes: &[RouteDraft],
    sinks: &[SinkDraft],
    accounts: &[AccountDraft],
    findings: &Findings,
) {
    for sink in sinks {
        let name = &sink.name.value;
        let parked = matches!(quarantine, Quarantine::Sink(parked) if parked == name);
        let fed = routes.iter().flat_map(|route| &route.sinks).any(|fed| fed.value == *name);
        let built_in = routes.is_empty() && name == BUILT_IN_SINK;
        // A sink that is wrong by itself has its own error; one mistake is enough at a time.
        if !(parked || fed || built_in) && sink.config.is_some() {
            let hint = match routes.is_empty() {
                true => "without any [[route]], events go to standard output: add a route",
                false => "name it in the sinks of a [[route]], or remove it",
            };
            findings.warning(sink.name.place, format!("no route uses the sink `{name}`"), hint);
        }
    }
    for route in routes {
        let Some(name) = &route.name else { continue };
        let takes = |account: &AccountDraft| match &account.routes {
            Some(routes) => routes.iter().any(|route| route.value == name.value),
            None => true,
        };
        if !accounts.is_empty() && !accounts.iter().any(takes) {
            let message = format!("no account uses the route `{}`", name.value);
            findings.warning(name.place, message, "name it in the routes of an account");
        }
    }
}
