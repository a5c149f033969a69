//! `resources`: what it was done to.

use std::borrow::Cow;

use trailsift_event::{Json, Operation, Resource};

use super::{RESOURCE_UID, Writing, account};
use crate::format::writer::Object;

/// What the request and the response name, and what the record lists. The schema wants a name or an
/// ARN of each.
pub(super) fn write(
    out: &mut Object<'_>,
    operation: &Operation<'_>,
    listed: Vec<Json<'_>>,
    writing: &mut Writing<'_, '_>,
) {
    let is_named = |resource: &&Resource<'_>| resource.arn.is_some() || resource.name.is_some();
    let resources: Vec<_> = operation.resources.iter().filter(is_named).collect();
    out.array_if_any("resources", |array| {
        for resource in &resources {
            array.object(|out| {
                out.text_if("type", resource.kind.as_deref());
                out.text_if("name", resource.name.as_deref());
                out.text_if("uid", resource.arn.as_deref());
                out.text_if("provider", resource.provider.as_deref());
                out.object_if_any("owner", |owner| {
                    owner.text_if("name", resource.owner.as_deref());
                    if let Some(id) = &resource.account_id {
                        account(owner, id);
                    }
                });
            });
        }
    });
    for (index, resource) in resources.iter().enumerate() {
        if let Some(arn) = &resource.arn {
            writing.observe(format!("resources[{index}].uid"), RESOURCE_UID, arn);
        }
    }
    for entry in listed {
        take(entry, &resources, writing);
    }
}

/// Of an entry of the record's own list, takes what the resource that it became says.
fn take(entry: Json<'_>, resources: &[&Resource<'_>], writing: &Writing<'_, '_>) {
    let became = |it: &&&Resource<'_>| entry.members().any(|(_, value)| names(value, it));
    let Some(resource) = resources.iter().find(became) else { return };
    for (_, value) in entry.members() {
        if names(value, resource)
            || says(value, &resource.kind)
            || says(value, &resource.account_id)
        {
            writing.fields.take(value);
        }
    }
}

fn names(value: Json<'_>, resource: &Resource<'_>) -> bool {
    says(value, &resource.arn) || says(value, &resource.name)
}

fn says(value: Json<'_>, known: &Option<Cow<'_, str>>) -> bool {
    known.is_some() && value.text() == *known
}
