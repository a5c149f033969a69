//! A condition of `--where`, in words that selectors know.

use trailsift_route::{
    Condition, FieldSpec, RouteSpec, Routes, SelectorSpec, Value, parse_network,
};

/// The field whose value may be a network: elsewhere `10.0.0.0/8` is text, as in the rules of a
/// security group.
const ADDRESS: &str = "sourceIPAddress";

/// The field and what is asked of it, of `PATH=VALUE` or `PATH!=VALUE`; else everything that is
/// wrong with it, each with a remedy.
pub(super) fn parse(text: &str) -> Result<FieldSpec, Vec<String>> {
    let shown = |(problem, remedy): (&str, &str)| {
        format!("--where '{}': {problem}; {remedy}", text.escape_debug())
    };
    let wrong = |problem: &str, remedy: &str| vec![shown((problem, remedy))];
    let Some((path, value)) = text.split_once('=') else {
        let remedy = "write PATH=VALUE or PATH!=VALUE, such as eventName=List*";
        return Err(wrong("there is no `=`", remedy));
    };
    let (path, is_wanted) = path.strip_suffix('!').map_or((path, true), |path| (path, false));
    if path.is_empty() {
        return Err(wrong("no field is named", "write it before the `=`, such as eventName=List*"));
    }
    if path.ends_with(|c: char| c.is_whitespace()) || value.starts_with(char::is_whitespace) {
        return Err(wrong("there is a space beside the `=`", "leave it away"));
    }
    if path.ends_with(['<', '>', '~', '!']) || value.starts_with(['=', '~']) {
        let remedy = "write `=` or `!=`; a value that begins so is written `\\=` or `\\~`";
        return Err(wrong("there is no such operator", remedy));
    }
    let candidates = match Pattern::of(value) {
        Ok(Pattern::Exactly(text)) if is_network(path, &text) && parse_network(&text).is_none() => {
            return Err(wrong("that is no network", "write it as 10.0.0.0/8 or 2001:db8::/32"));
        }
        Ok(pattern) => pattern.conditions(path, is_wanted),
        Err((problem, remedy)) => return Err(wrong(problem, remedy)),
    };
    let mut odd = None;
    let mut errors = Vec::new();
    for condition in candidates {
        let field = FieldSpec { path: path.into(), conditions: vec![condition] };
        match judged(&field) {
            Ok(warnings) if warnings.is_empty() => return Ok(field),
            Ok(_) => odd = odd.or(Some(field)),
            Err(found) => errors = found,
        }
    }
    let boolean = Condition::Equals(vec![Value::Bool(true)]);
    let boolean = FieldSpec { path: path.into(), conditions: vec![boolean] };
    if odd.is_none() && judged(&boolean).is_ok() {
        let remedy = format!("write {path}=true or {path}=false");
        return Err(wrong("CloudTrail writes this field as a boolean", &remedy));
    }
    odd.ok_or_else(|| errors.iter().map(|(problem, remedy)| shown((problem, remedy))).collect())
}

/// Problems, each with its remedy.
pub(super) type Problems = Vec<(String, String)>;

/// What is odd about asking this of the field.
///
/// # Errors
/// What is wrong with it.
pub(super) fn judged(field: &FieldSpec) -> Result<Problems, Problems> {
    let selectors = vec![SelectorSpec { fields: vec![field.clone()] }];
    let specs = [RouteSpec { name: "where".into(), selectors }];
    match Routes::compile(&specs) {
        Ok(_) => {
            Ok(Routes::warnings(&specs).into_iter().map(|it| (it.problem, it.remedy)).collect())
        }
        Err(errors) => Err(errors.into_iter().map(|it| (it.problem, it.remedy)).collect()),
    }
}

/// Whether the value is meant as a network: no address holds a slash.
fn is_network(path: &str, text: &str) -> bool {
    path == ADDRESS && text.contains('/')
}

/// What stands behind the `=`.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    Anything,
    Start(String),
    End(String),
    Exactly(String),
}

impl Pattern {
    /// Reads the stars and the backslashes.
    fn of(value: &str) -> Result<Self, (&'static str, &'static str)> {
        let mut text = String::with_capacity(value.len());
        let mut stars = Vec::new();
        let mut rest = value.chars();
        while let Some(c) = rest.next() {
            let follows = rest.clone().next();
            match (c, follows) {
                ('*', _) => stars.push(text.len()),
                ('\\', Some(escaped @ ('*' | '\\' | '=' | '~'))) => {
                    text.push(escaped);
                    rest.next();
                }
                _ => text.push(c),
            }
        }
        match stars[..] {
            [] if text.is_empty() => {
                Err(("there is no value", "to select events without the field, write PATH!=*"))
            }
            [] => Ok(Self::Exactly(text)),
            [_] if text.is_empty() => Ok(Self::Anything),
            [0] => Ok(Self::End(text)),
            [at] if at == text.len() => Ok(Self::Start(text)),
            [0, at] if at == text.len() => Err((
                "a `*` at both ends is not supported",
                "keep one of them, or filter the lines that come out, with grep for example",
            )),
            _ => Err((
                "a `*` stands only at the beginning or at the end of a value",
                "write \\* for the character itself",
            )),
        }
    }

    /// The conditions that may be meant, the best one first: the next is meant only where CloudTrail
    /// never writes the field like that.
    fn conditions(self, path: &str, is_wanted: bool) -> Vec<Condition> {
        let one =
            |wanted: fn(Vec<String>) -> Condition, not: fn(Vec<String>) -> Condition, text| {
                vec![if is_wanted { wanted(vec![text]) } else { not(vec![text]) }]
            };
        let text = match self {
            Self::Anything => return vec![Condition::Exists(is_wanted)],
            Self::Start(text) => return one(Condition::StartsWith, Condition::NotStartsWith, text),
            Self::End(text) => return one(Condition::EndsWith, Condition::NotEndsWith, text),
            Self::Exactly(text) => text,
        };
        if let Some(network) = parse_network(&text).filter(|_| is_network(path, &text)) {
            let condition = if is_wanted { Condition::Cidr } else { Condition::NotCidr };
            return vec![condition(vec![network])];
        }
        // CloudTrail writes some booleans and numbers as text: either is what the user sees.
        let typed = match text.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            digits => digits
                .parse::<i64>()
                .ok()
                .filter(|number| number.to_string() == digits)
                .map(Value::Integer),
        };
        let equal = if is_wanted { Condition::Equals } else { Condition::NotEquals };
        let text = Value::String(text);
        match typed {
            None => vec![equal(vec![text])],
            Some(typed) => vec![
                equal(vec![typed.clone(), text.clone()]),
                equal(vec![typed]),
                equal(vec![text]),
            ],
        }
    }
}

#[cfg(test)]
mod tests;
