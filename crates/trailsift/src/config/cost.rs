//! What a route costs, in words.

use trailsift_route::{Cost, RouteSpec, Share};

/// What reading every record costs, of what skipping nearly all of them does: from `BENCHMARKS.md` of
/// trailsift-trail, "nothing to search for" beside twenty routes and beside one.
const EVERY_RECORD: &str = "about 1.5 to 2.2 times the CPU";

/// How many texts are named before the rest is counted.
const NAMED: usize = 4;

/// What this route makes of each file of the accounts that take it: a sentence.
pub(crate) fn of_route(route: &RouteSpec) -> String {
    let costs: Vec<Cost> = route.selectors.iter().map(|selector| selector.cost()).collect();
    let blind = blind_selectors(route);
    if !blind.is_empty() {
        let has = if blind.len() == 1 { "has" } else { "have" };
        return format!(
            "{} {has} nothing to search for: every record of each account that takes this route is \
             read, {EVERY_RECORD}; add a value or a field that few records have, such as an \
             eventSource",
            numbered(&blind)
        );
    }
    let mut texts: Vec<&str> = Vec::new();
    for text in costs.iter().flat_map(|cost| &cost.texts) {
        if !texts.contains(&text.as_str()) {
            texts.push(text);
        }
    }
    let named: Vec<_> = texts.iter().take(NAMED).map(|text| format!("{text:?}")).collect();
    let more = match texts.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let meaning = match costs.iter().map(|cost| cost.share).max() {
        None | Some(Share::Rare) => "(rare): other records are skipped at full speed",
        Some(Share::Some) => "(in up to a quarter of the records): other records are skipped",
        Some(Share::Many | Share::All) => {
            "(in many records, all of which are read): something rarer costs less"
        }
    };
    format!("searches for {}{more} {meaning}", named.join(", "))
}

/// What an account that takes these routes pays for all of them, because of one: a sentence, if
/// there is such a one beside others.
pub(crate) fn of_account<'r>(routes: impl Iterator<Item = &'r RouteSpec>) -> Option<String> {
    let routes: Vec<_> = routes.collect();
    let blind = |route: &&&RouteSpec| !blind_selectors(route).is_empty();
    let route = routes.iter().find(blind).filter(|_| routes.len() > 1)?;
    let which = numbered(&blind_selectors(route));
    Some(format!("reads every record, for {which} of the route {}", route.name))
}

/// The numbers of the selectors for which every record must be read, counted from 1.
fn blind_selectors(route: &RouteSpec) -> Vec<usize> {
    let numbered = (1..).zip(&route.selectors);
    let blind = numbered.filter(|(_, selector)| selector.cost().share == Share::All);
    blind.map(|(number, _)| number).collect()
}

fn numbered(selectors: &[usize]) -> String {
    let numbers: Vec<_> = selectors.iter().map(usize::to_string).collect();
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("selector{plural} {}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use trailsift_route::{Condition, FieldSpec, SelectorSpec, Value};

    use super::*;

    fn one(path: &str, condition: Condition) -> SelectorSpec {
        SelectorSpec { fields: vec![FieldSpec { path: path.into(), conditions: vec![condition] }] }
    }

    fn equals(path: &str, values: &[&str]) -> SelectorSpec {
        let values = values.iter().map(|value| Value::String((*value).into()));
        one(path, Condition::Equals(values.collect()))
    }

    fn route(selectors: Vec<SelectorSpec>) -> RouteSpec {
        RouteSpec { name: "r".into(), selectors }
    }

    fn of(selectors: Vec<SelectorSpec>) -> String {
        of_route(&route(selectors))
    }

    const BLIND: &str = "nothing to search for: every record of each account that takes this route is \
                         read, about 1.5 to 2.2 times the CPU; add a value or a field that few records \
                         have, such as an eventSource";

    #[test]
    fn a_route_says_what_is_searched_for_and_what_that_means() {
        assert_eq!(
            of_route(&RouteSpec::codeguru_reviewer()),
            "searches for \"codeguru-reviewer.amazonaws.com\" (rare): other records are skipped at full \
             speed"
        );
        assert_eq!(
            of(vec![equals("eventSource", &["s3.amazonaws.com"])]),
            "searches for \"s3.amazonaws.com\" (in many records, all of which are read): something \
              rarer costs less"
        );
        assert_eq!(
            of(vec![one("errorCode", Condition::Exists(true))]),
            "searches for \"errorCode\" (in up to a quarter of the records): other records are \
             skipped"
        );
        let names = ["AaaaAaaa", "BbbbBbbb", "CcccCccc", "DdddDddd", "EeeeEeee", "FfffFfff"];
        assert_eq!(
            of(vec![equals("eventName", &names), equals("eventName", &names[..2])]),
            "searches for \"AaaaAaaa\", \"BbbbBbbb\", \"CcccCccc\", \"DdddDddd\" and 2 more (rare): \
              other records are skipped at full speed"
        );
    }

    #[test]
    fn one_selector_without_anything_to_search_for_is_named_with_its_price() {
        let blind = || one("readOnly", Condition::Equals(vec![Value::Bool(false)]));
        assert_eq!(of(vec![blind()]), format!("selector 1 has {BLIND}"));
        let rare = || equals("eventSource", &["codeguru-reviewer.amazonaws.com"]);
        assert_eq!(of(vec![blind(), rare(), blind()]), format!("selectors 1, 3 have {BLIND}"));

        let (rare, blind) = (route(vec![rare()]), route(vec![blind()]));
        assert_eq!(of_account([&rare, &rare].into_iter()), None);
        assert_eq!(of_account([&blind].into_iter()), None, "the route says so itself");
        assert_eq!(
            of_account([&rare, &blind].into_iter()).as_deref(),
            Some("reads every record, for selector 1 of the route r")
        );
    }
}
