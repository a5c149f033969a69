pub use ipnet::IpNet;

/// A route: which records a set of sinks gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Its name, unique in the configuration.
    pub name: String,
    /// A record is selected if any of them selects it.
    pub selectors: Vec<SelectorSpec>,
}

/// One selector of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorSpec {
    /// A record is selected if all of them hold. Each looks at the record by itself: two fields
    /// below one array may be satisfied by two different elements.
    pub fields: Vec<FieldSpec>,
}

/// What is asked of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The field's names from the top of the record, joined by dots (`userIdentity.type`). An array
    /// on the way, or at the end, stands for each of its elements. `actor.kind` and its siblings are
    /// not in the record: they are derived from its `userIdentity`.
    pub path: String,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

/// An operator and its values.
///
/// A positive operator holds if *any* value at the path matches *any* of the listed ones; a
/// negative one holds if *none* matches any. So on a field that is absent or null no positive
/// operator holds and every negative one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A value of the same type and content.
    Equals(Vec<Value>),
    /// The opposite of `Equals`.
    NotEquals(Vec<Value>),
    /// A string that begins so.
    StartsWith(Vec<String>),
    /// The opposite of `StartsWith`.
    NotStartsWith(Vec<String>),
    /// A string that ends so.
    EndsWith(Vec<String>),
    /// The opposite of `EndsWith`.
    NotEndsWith(Vec<String>),
    /// A string that is an IP address in one of these networks. An IPv6 address that maps an IPv4 one
    /// and is written with dots (`::ffff:192.0.2.1`) counts as both; one with a zone is no address,
    /// nor is a name such as `cloudformation.amazonaws.com` or `AWS Internal`.
    Cidr(Vec<IpNet>),
    /// The opposite of `Cidr`: it holds for names and for fields that are absent.
    NotCidr(Vec<IpNet>),
    /// Whether there is a value at the path, of whatever type but null.
    Exists(bool),
}

impl Condition {
    /// The operator's name in a configuration.
    pub const fn operator(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::NotEquals(_) => "not_equals",
            Self::StartsWith(_) => "starts_with",
            Self::NotStartsWith(_) => "not_starts_with",
            Self::EndsWith(_) => "ends_with",
            Self::NotEndsWith(_) => "not_ends_with",
            Self::Cidr(_) => "cidr",
            Self::NotCidr(_) => "not_cidr",
            Self::Exists(_) => "exists",
        }
    }
}

/// A value to compare with. Types are never converted: `"5"` is not `5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A JSON string, compared after unescaping, exactly: case and spaces count.
    String(String),
    /// `true` or `false`.
    Bool(bool),
    /// A JSON number without fraction and exponent.
    Integer(i64),
}

impl Value {
    /// The string, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Bool(_) | Self::Integer(_) => None,
        }
    }
}

impl RouteSpec {
    /// The built-in route: every event of CodeGuru Reviewer, whatever its name.
    pub fn codeguru_reviewer() -> Self {
        let source = Value::String("codeguru-reviewer.amazonaws.com".to_owned());
        let path = "eventSource".to_owned();
        let fields = vec![FieldSpec { path, conditions: vec![Condition::Equals(vec![source])] }];
        let selectors = vec![SelectorSpec { fields }];
        Self { name: "codeguru-reviewer".to_owned(), selectors }
    }
}
