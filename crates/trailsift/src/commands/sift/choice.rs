//! Which events are wanted: by the routes of the configuration, some of them, or conditions.

use trailsift_core::RouteSet;
use trailsift_route::{Condition, FieldSpec, RouteSpec, Routes, SelectorSpec};

use super::condition;
use super::tally::Field;
use crate::cli::SiftArgs;
use crate::config::closest;

/// The name of the route that conditions make.
const CONDITIONS: &str = "where";

/// What selects; what is odd about the wish is added to the warnings.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn routes(
    args: &SiftArgs,
    specs: &[RouteSpec],
    warnings: &mut Vec<String>,
) -> Result<Routes, Vec<String>> {
    if !args.conditions.is_empty() {
        let specs = [of_conditions(&args.conditions)?];
        let nulls = args.conditions.iter().filter_map(|text| text.strip_suffix("=null"));
        warnings.extend(nulls.map(|path| {
            let path = path.trim_end_matches('!').escape_debug();
            format!("--where: {path}: `null` is compared as text; for no value write {path}!=*")
        }));
        warnings.extend(Routes::warnings(&specs).into_iter().map(|warning| {
            let field = warning.field.map(|field| format!("{}: ", field.escape_debug()));
            let field = field.unwrap_or_default();
            format!("--where: {field}{}; {}", warning.problem, warning.remedy)
        }));
        return compiled(&specs);
    }
    let routes = compiled(specs)?;
    if args.routes.is_empty() {
        return Ok(routes);
    }
    let mut wanted = RouteSet::EMPTY;
    let mut errors = Vec::new();
    for name in &args.routes {
        match routes.names().iter().position(|known| known == name) {
            Some(number) => wanted.insert(number),
            None => errors.push(unknown(name, routes.names())),
        }
    }
    if errors.is_empty() { Ok(routes.restricted_to(wanted)) } else { Err(errors) }
}

fn unknown(name: &str, known: &[String]) -> String {
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let hint = match closest(name, &known) {
        Some(name) if known.len() > 1 => format!("did you mean `{name}`? There are "),
        _ if known.len() > 1 => "there are ".to_owned(),
        _ => "there is only ".to_owned(),
    };
    let known: Vec<_> = known.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
    format!("--route: no route is called `{}`; {hint}{}", name.escape_debug(), known.join(", "))
}

fn of_conditions(texts: &[String]) -> Result<RouteSpec, Vec<String>> {
    let mut fields: Vec<FieldSpec> = Vec::new();
    let mut errors = Vec::new();
    for text in texts {
        match condition::parse(text) {
            Ok(field) => match fields.iter_mut().find(|known| known.path == field.path) {
                Some(known) => known.conditions.extend(field.conditions),
                None => fields.push(field),
            },
            Err(wrong) => errors.extend(wrong),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(RouteSpec { name: CONDITIONS.into(), selectors: vec![SelectorSpec { fields }] })
}

/// The field by which is counted; what is odd about it is added to the warnings.
///
/// # Errors
/// What is wrong with it.
pub(super) fn field(path: &str, warnings: &mut Vec<String>) -> Result<Field, Vec<String>> {
    let shown = |(problem, remedy): (String, String)| {
        format!("--count by={}: {problem}; {remedy}", path.escape_debug())
    };
    if path == "count" {
        // Its lines would have two members of that name.
        let remedy = "write by=eventName, for example";
        return Err(vec![shown(("no event has this field".into(), remedy.into()))]);
    }
    let spec = FieldSpec { path: path.into(), conditions: vec![Condition::Exists(true)] };
    let odd = condition::judged(&spec)
        .map_err(|wrong| wrong.into_iter().map(shown).collect::<Vec<_>>())?;
    warnings.extend(odd.into_iter().map(shown));
    Ok(Field::new(path))
}

fn compiled(specs: &[RouteSpec]) -> Result<Routes, Vec<String>> {
    Routes::compile(specs).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}
