//! Who did it, as records tell.

mod generated;
mod properties;
mod table;

use trailsift_event::{Actor, ActorValue};

/// Every field that the actor has, by name, and the provider where there is one.
fn told(actor: &Actor<'_>) -> String {
    let fields = Actor::FIELDS.iter().filter_map(|name| match actor.field(name)? {
        ActorValue::Text(text) => Some(format!("{name}={text}")),
        ActorValue::Flag(flag) => Some(format!("{name}={flag}")),
    });
    let provider =
        actor.web_identity_provider.iter().map(|it| format!("web_identity_provider={it}"));
    fields.chain(provider).collect::<Vec<_>>().join(" ")
}
