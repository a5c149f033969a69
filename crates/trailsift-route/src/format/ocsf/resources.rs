//! `resources`: what it was done to.

use std::collections::HashMap;

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
    // By ARN and name, for a record may list thousands.
    let mut known: HashMap<&str, &Resource<'_>> = HashMap::new();
    for resource in resources {
        let texts = [resource.arn.as_deref(), resource.name.as_deref()];
        known.extend(texts.into_iter().flatten().map(|text| (text, resource)));
    }
    for entry in listed {
        take(entry, &known, writing);
    }
}

/// Of an entry of the record's own list, takes what the resource that it became says.
fn take(entry: Json<'_>, known: &HashMap<&str, &Resource<'_>>, writing: &Writing<'_, '_>) {
    let became = entry.members().find_map(|(_, value)| known.get(value.text()?.as_ref()));
    let Some(resource) = became else { return };
    let Resource { kind, name, arn, account_id, .. } = resource;
    for (_, value) in entry.members() {
        let text = value.text();
        if text.is_some() && [kind, name, arn, account_id].contains(&&text) {
            writing.fields.take(value);
        }
    }
}
