//! Arguments of `sift`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use trailsift_route::Format;

const DETAILS: &str = "\
Plain, gzip and zstd files are told apart by their content. A folder is read recursively in the \
order of names: files laid out as CloudTrail lays them out are read if they hold events (digests \
and Insight files are skipped), others if their name ends in .json, .json.gz or .json.zst. A file \
that is named is always read.

Without --route and --where, the routes of the configuration select; without a configuration, \
CodeGuru Reviewer's events are selected. On a terminal they are shown as a table, elsewhere as \
JSON Lines.

Conditions of --where:
  eventName=DeleteTrail         the field is that: text, a number, true or false
  eventName=Delete*             it begins so; `*List` ends so, `\\*` is the character itself
  eventName!=List*              it does not, or is not there
  errorCode=*                   it is there; `errorCode!=*`: it is not
  sourceIPAddress=10.0.0.0/8    the address is in the network
  sourceIPAddress!=10.0.0.0/8   it is not, or is no address but a service's name
A field is a path: userIdentity.type, resources.ARN (any element of an array), or who is behind \
the event: actor.kind (root, iam_user, assumed_role, aws_service ...), actor.name, actor.mfa, \
actor.credentials ...

A bad file is named on standard error, the others are still read, and the exit code is 1.

Examples:
  trailsift sift 111122223333_CloudTrail_us-east-1_20261120T1005Z_abcdefghijklmnop.json.gz
  aws s3 sync s3://org-trail/AWSLogs trail && trailsift sift trail > events.jsonl
  aws s3 cp s3://org-trail/KEY - | trailsift sift --count
  trailsift sift trail --where 'eventName!=List*' --where actor.kind=root
  trailsift sift trail --where 'errorCode=*' --count by=errorCode
  trailsift sift trail --config /etc/trailsift --route writes --format ocsf > events.jsonl";

/// Arguments of `sift`.
#[derive(Clone, Debug, Args)]
#[command(after_help = DETAILS)]
pub struct SiftArgs {
    /// Files and folders; `-` is standard input, as is nothing at all.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Select by this route of the configuration only. Repeatable: by any of them.
    #[arg(long = "route", value_name = "NAME", conflicts_with = "conditions")]
    pub routes: Vec<String>,
    /// Select by this condition in place of any route: PATH=VALUE or PATH!=VALUE, with `*` at
    /// either end of the value. Repeatable: all must hold.
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// How events are written; JSON Lines also on a terminal [default: raw].
    #[arg(long, value_name = "FORMAT", value_parser = formats(), conflicts_with = "count")]
    pub format: Option<Format>,
    /// Print only how many events are selected; with by=FIELD, of each value of that field.
    #[arg(long, value_name = "by=FIELD", value_parser = Count::parse)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub count: Option<Count>,
    /// Print JSON Lines even on a terminal.
    #[arg(long)]
    pub json: bool,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    /// All selected events.
    All,
    /// The selected events by what this field of theirs says.
    By(String),
}

impl Count {
    fn parse(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("by=")) {
            ("", _) => Ok(Self::All),
            (_, Some("")) => Err("no field is named; write by=eventName, for example".into()),
            (_, Some(field)) => Ok(Self::By(field.to_owned())),
            (_, None) => Err("write by=FIELD, for example by=eventName".into()),
        }
    }
}

fn formats() -> impl TypedValueParser<Value = Format> {
    let named = |format: Format| {
        PossibleValue::new(format.name()).help(match format {
            Format::Raw => "the record's own bytes",
            Format::Envelope => "the record, where it was read and who is behind it",
            Format::CloudEvents => "CloudEvents 1.0, structured mode",
            Format::Ocsf => "OCSF, class API Activity",
            Format::Ecs => "Elastic Common Schema, as Elastic's aws.cloudtrail names its fields",
        })
    };
    // The parser lets no other name through.
    PossibleValuesParser::new(Format::ALL.map(named))
        .map(|name| Format::parse(&name).unwrap_or_default())
}

/// The arguments with `--count by=FIELD` made one: by itself `--count` takes no value, so that a
/// path may follow it.
pub(super) fn joined(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut are_options_over = false;
    for argument in arguments {
        are_options_over |= argument == "--";
        match joined.last_mut().filter(|last| !are_options_over && *last == "--count") {
            Some(count) if argument.as_encoded_bytes().starts_with(b"by=") => {
                count.push("=");
                count.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<SiftArgs, clap::Error> {
        let all = ["trailsift", "sift"].iter().chain(arguments).map(OsString::from);
        Ok(match Cli::try_parse_from(joined(all))?.command {
            Command::Sift(args) => args,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_count_takes_a_field_and_leaves_every_path_alone() {
        let by = |field: &str| Some(Count::By(field.into()));
        for (arguments, count, paths) in [
            (vec!["--count", "a.json.gz"], Some(Count::All), vec!["a.json.gz"]),
            (vec!["a.json.gz", "--count"], Some(Count::All), vec!["a.json.gz"]),
            (vec!["--count", "by=eventName", "a"], by("eventName"), vec!["a"]),
            (vec!["a", "--count", "by=a.b=c"], by("a.b=c"), vec!["a"]),
            (vec!["--count=by=eventName", "a"], by("eventName"), vec!["a"]),
            (vec!["--count", "--", "by=x"], Some(Count::All), vec!["by=x"]),
            (vec!["--count", "./by=x"], Some(Count::All), vec!["./by=x"]),
            (vec!["--", "--count", "by=x"], None, vec!["--count", "by=x"]),
            (vec!["by=x"], None, vec!["by=x"]),
            (vec!["--count", "--json"], Some(Count::All), vec![]),
        ] {
            let args = parsed(&arguments).expect("arguments");
            let expected: Vec<_> = paths.iter().map(PathBuf::from).collect();
            assert_eq!((args.count, args.paths), (count, expected), "{arguments:?}");
        }
        for arguments in [["--count", "by="], ["--count=eventName", "a"], ["--count=by", "a"]] {
            let error = parsed(&arguments).expect_err("no field").to_string();
            assert!(error.contains("by=eventName"), "{error}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for arguments in [
            ["--route", "a", "--where", "b=c"].as_slice(),
            &["--count", "--format", "ocsf"],
            &["--format", "OCSF"],
        ] {
            assert_eq!(parsed(arguments).expect_err("a conflict").exit_code(), 2, "{arguments:?}");
        }
        let args = parsed(&["--where", "a=b", "--where", "c=d"]).expect("both");
        assert_eq!(args.conditions, ["a=b", "c=d"]);
        let args = parsed(&["--route", "a", "--route", "b", "--format", "ecs"]).expect("both");
        assert_eq!((args.routes.len(), args.format), (2, Some(Format::Ecs)));
    }
}
