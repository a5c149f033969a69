use super::*;

fn condition(text: &str) -> (String, Condition) {
    let FieldSpec { path, mut conditions } =
        parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    (path, conditions.pop().expect("one condition"))
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| Value::String((*value).into())).collect()
}

#[test]
fn conditions_say_what_they_look_like() {
    let some = |text: &str| vec![text.to_owned()];
    let network = |text: &str| vec![parse_network(text).expect("a network")];
    let either = |value: Value, text: &str| vec![value, Value::String(text.into())];
    for (text, path, expected) in [
        ("eventName=ListX", "eventName", Condition::Equals(texts(&["ListX"]))),
        ("eventName!=ListX", "eventName", Condition::NotEquals(texts(&["ListX"]))),
        ("eventName=List*", "eventName", Condition::StartsWith(some("List"))),
        ("eventName!=List*", "eventName", Condition::NotStartsWith(some("List"))),
        ("eventName=*List", "eventName", Condition::EndsWith(some("List"))),
        ("eventName!=*List", "eventName", Condition::NotEndsWith(some("List"))),
        ("errorCode=*", "errorCode", Condition::Exists(true)),
        ("errorCode!=*", "errorCode", Condition::Exists(false)),
        ("userIdentity.arn=a=b", "userIdentity.arn", Condition::Equals(texts(&["a=b"]))),
        (r"userAgent=\*", "userAgent", Condition::Equals(texts(&["*"]))),
        (r"userAgent=a\**", "userAgent", Condition::StartsWith(some("a*"))),
        (r"userAgent=\\*", "userAgent", Condition::StartsWith(some("\\"))),
        (r"userAgent=A\user", "userAgent", Condition::Equals(texts(&[r"A\user"]))),
        (r"userAgent=\=a", "userAgent", Condition::Equals(texts(&["=a"]))),
        ("userAgent=a b!=c", "userAgent", Condition::Equals(texts(&["a b!=c"]))),
        // CloudTrail's own fields have one type each; of others nobody knows.
        ("readOnly=true", "readOnly", Condition::Equals(vec![Value::Bool(true)])),
        ("readOnly!=false", "readOnly", Condition::NotEquals(vec![Value::Bool(false)])),
        (
            "recipientAccountId=111122223333",
            "recipientAccountId",
            Condition::Equals(texts(&["111122223333"])),
        ),
        (
            "requestParameters.force=true",
            "requestParameters.force",
            Condition::Equals(either(Value::Bool(true), "true")),
        ),
        (
            "requestParameters.n=-5",
            "requestParameters.n",
            Condition::Equals(either(Value::Integer(-5), "-5")),
        ),
        (
            "requestParameters.n!=5",
            "requestParameters.n",
            Condition::NotEquals(either(Value::Integer(5), "5")),
        ),
        ("requestParameters.n=007", "requestParameters.n", Condition::Equals(texts(&["007"]))),
        ("requestParameters.n=1.5", "requestParameters.n", Condition::Equals(texts(&["1.5"]))),
        ("sourceIPAddress=10.0.0.0/8", "sourceIPAddress", Condition::Cidr(network("10.0.0.0/8"))),
        ("sourceIPAddress!=fd00::/8", "sourceIPAddress", Condition::NotCidr(network("fd00::/8"))),
        ("sourceIPAddress=10.0.0.1", "sourceIPAddress", Condition::Equals(texts(&["10.0.0.1"]))),
        (
            "requestParameters.cidrIp=0.0.0.0/0",
            "requestParameters.cidrIp",
            Condition::Equals(texts(&["0.0.0.0/0"])),
        ),
    ] {
        assert_eq!(condition(text), (path.to_owned(), expected), "{text}");
    }
}

#[test]
fn what_is_no_condition_is_named_with_a_remedy() {
    for (text, part) in [
        ("eventName", "there is no `=`; write PATH=VALUE"),
        ("", "there is no `=`"),
        ("=x", "no field is named"),
        ("!=x", "no field is named"),
        ("eventName = x", "leave it away"),
        ("eventName= x", "leave it away"),
        ("eventName==x", "no such operator; write `=` or `!=`"),
        ("eventName=~x", "no such operator"),
        ("eventTime>=2026", "no such operator"),
        ("sourceIPAddress=010.0.0.0/8", "no network; write it as 10.0.0.0/8"),
        ("sourceIPAddress!=10.0.0.0/33", "no network"),
        ("eventName!!=x", "no such operator"),
        ("eventName=", "to select events without the field, write PATH!=*"),
        ("eventName!=", "to select events without the field, write PATH!=*"),
        ("eventName=*x*", "a `*` at both ends is not supported"),
        ("eventName=**", "a `*` at both ends is not supported"),
        ("eventName=a*b", r"write \* for the character itself"),
        ("eventName=a**", r"write \* for the character itself"),
        ("eventname=x", "write eventName"),
        ("readOnly=yes", "write readOnly=true or readOnly=false"),
        ("readOnly!=t*", "write readOnly=true or readOnly=false"),
        ("a..b=x", "a name in the path is empty"),
        ("\u{1b}[2J", r"--where '\u{1b}[2J': "),
    ] {
        let shown = parse(text).expect_err(text);
        assert!(shown.iter().any(|shown| shown.contains(part)), "{text}: {shown:?}");
    }
}
