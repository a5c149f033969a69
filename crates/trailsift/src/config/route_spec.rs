//! What a route selects, until the route crate's own words are in.

/// What one route selects: any of its selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Its name.
    pub name: String,
    /// OR-ed.
    pub selectors: Vec<SelectorSpec>,
}

/// All of its fields must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorSpec {
    /// AND-ed.
    pub fields: Vec<FieldSpec>,
}

/// Conditions on the value at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Names joined by dots.
    pub path: String,
    /// AND-ed.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Any of these.
    Equals(Vec<Value>),
    /// None of these.
    NotEquals(Vec<Value>),
    /// Begins with any of these.
    StartsWith(Vec<String>),
    /// Begins with none of these.
    NotStartsWith(Vec<String>),
    /// Ends with any of these.
    EndsWith(Vec<String>),
    /// Ends with none of these.
    NotEndsWith(Vec<String>),
    /// Is there, or is not.
    Exists(bool),
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    String(String),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Integer(i64),
}
