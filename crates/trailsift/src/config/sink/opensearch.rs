//! `type = "opensearch"`, Elasticsearch included.

use std::fmt::{self, Write};

use trailsift_sinks::{
    BulkOp, DocumentId, IndexTemplate, OpenSearchSettings, SearchCredentials, SearchService,
};

use super::connection::{self, GZIP, connection, gzip_word};
use super::secret::{Secret, printed};
use crate::config::findings::At;
use crate::config::kinds::{OneOf, Parsed, TableOf, Text};
use crate::config::names::{EXTERNAL_ID, REGION, ROLE_ARN};
use crate::config::print::quoted;
use crate::config::reader::{Kind, Node, Section};

/// An OpenSearch or Elasticsearch cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSearchConfig {
    /// What is written, and where.
    pub settings: OpenSearchSettings,
    /// Whose signatures, with [`SearchCredentials::Aws`].
    pub aws: Option<SearchAws>,
}

/// As whom AWS is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchAws {
    /// The region of the domain or the collection.
    pub region: String,
    /// The role to take on first.
    pub role_arn: Option<String>,
    /// The external id that the role demands; only with a role.
    pub external_id: Option<String>,
}

const INDEX: Parsed<IndexTemplate> =
    Parsed::new("the name of an index, which may hold {yyyy}, {MM}, {dd}, {account} and {region}");

const OP: OneOf<BulkOp> =
    OneOf { words: &[("create", BulkOp::Create), ("index", BulkOp::Index)], later: &[] };

const DOCUMENT_ID: OneOf<DocumentId> =
    OneOf { words: &[("event", DocumentId::Event), ("service", DocumentId::Service)], later: &[] };

/// Under the names that signatures know them by.
const SERVICE: OneOf<SearchService> = OneOf {
    words: &[("es", SearchService::Domain), ("aoss", SearchService::Serverless)],
    later: &[],
};

const USERNAME: Text = Text {
    what: "the name of a user",
    judge: |text| match !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_control()) {
        true => Ok(()),
        false => Err((
            "is empty, or holds a colon or a control character".into(),
            "write the user's name as the cluster has it".into(),
        )),
    },
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn opensearch(section: &mut Section<'_, '_>) -> OpenSearchConfig {
    let (connection, url) = connection(section);
    let default = OpenSearchSettings::new("");
    let aws = section.get("aws", TableOf(aws));
    let document_id = section.get("document_id", DOCUMENT_ID);
    if let Some(aws) = &aws {
        judge_aws(section, aws, url.as_ref(), document_id.is_some());
    }
    let settings = OpenSearchSettings {
        connection,
        index: section.get_or("index", INDEX, default.index),
        op: section.get_or("op", OP, default.op),
        document_id: document_id.map_or(default.document_id, |at| at.value),
        credentials: credentials(section, aws.as_ref().map(|aws| aws.value.1)),
        gzip: section.get_or("compression", GZIP, default.gzip),
        limits: default.limits,
    };
    // What is wrong with the connection was said.
    let known = settings.connection.validate();
    if let Some(url) = url {
        for error in settings.validate().into_iter().filter(|error| !known.contains(error)) {
            let message = format!("`{}` {}", error.key, error.problem);
            let hint = "give the service alone, such as \"https://search.example.com:9200\"";
            section.scope.findings.error(url.place, message, hint);
        }
    }
    OpenSearchConfig { settings, aws: aws.map(|aws| aws.value.0) }
}

fn aws(section: &mut Section<'_, '_>) -> Option<(SearchAws, SearchService)> {
    let region = section.need("region", REGION);
    let service = section.get_or("service", SERVICE, SearchService::Domain);
    let role_arn = section.get("role_arn", ROLE_ARN);
    let external_id = section.get("external_id", EXTERNAL_ID);
    if let (Some(external_id), None) = (&external_id, &role_arn) {
        section.scope.findings.error(
            external_id.place,
            "`external_id` is given without `role_arn`",
            "add the role that demands it, or leave it out",
        );
    }
    let aws = SearchAws {
        region: region?.value,
        role_arn: role_arn.map(|at| at.value),
        external_id: external_id.map(|at| at.value),
    };
    Some((aws, service))
}

/// The region and the service in the name of a domain or a collection: `search-x.us-east-1.es.amazonaws.com`.
fn named(url: &str) -> Option<(String, String)> {
    let host = url.split_once("://")?.1.split(['/', ':', '?']).next()?.to_ascii_lowercase();
    let name = host.strip_suffix(".cn").unwrap_or(&host).strip_suffix(".amazonaws.com")?;
    let (name, service) = name.rsplit_once('.')?;
    let (_, region) = name.rsplit_once('.')?;
    matches!(service, "es" | "aoss").then(|| (region.to_owned(), service.to_owned()))
}

fn judge_aws(
    section: &Section<'_, '_>,
    aws: &At<(SearchAws, SearchService)>,
    url: Option<&At<String>>,
    has_document_id: bool,
) {
    let findings = section.scope.findings;
    let (SearchAws { region, .. }, service) = &aws.value;
    if *service == SearchService::Serverless && !has_document_id {
        findings.error(
            aws.place,
            "`document_id` is missing: Serverless takes IDs in collections of the type search, and in no other",
            "set document_id = \"event\" for a search collection, or \"service\" for time series",
        );
    }
    let Some((found, kind)) = url.and_then(|url| named(&url.value)) else { return };
    let word = SERVICE.words.iter().find(|(_, of)| of == service).map_or("", |(word, _)| word);
    if found != *region || kind != word {
        findings.error(
            aws.place,
            format!(
                "`url` is in {found:?} at {kind:?}, but `aws` signs for {region:?} at {word:?}"
            ),
            "make the two agree",
        );
    }
}

fn credentials(section: &mut Section<'_, '_>, service: Option<SearchService>) -> SearchCredentials {
    let findings = section.scope.findings;
    // A key that is there and cannot be read is one mistake, not two.
    let (user, pass) = (section.node("username"), section.node("password"));
    let (has_username, has_password) = (user.is_some(), pass.is_some());
    let username = user.and_then(|node| read(USERNAME, &node));
    let password = pass.and_then(|node| read(Secret, &node));
    let api_key = section.get("api_key", Secret);
    if let Some(key) = &api_key
        && (has_username || has_password)
    {
        findings.error(
            key.place,
            "`api_key` is given beside `username` or `password`",
            "keep the one or the other",
        );
    }
    let others = [
        username.as_ref().map(|at| at.place),
        password.as_ref().map(|at| at.place),
        api_key.as_ref().map(|at| at.place),
    ];
    if let (Some(service), place) = (service, others.into_iter().flatten().next()) {
        if let Some(place) = place {
            findings.error(
                place,
                "`aws` signs requests, and there are other credentials beside it",
                "keep the one or the other",
            );
        }
        return SearchCredentials::Aws(service);
    }
    for (found, other, name, missing) in [
        (username.as_ref().map(|at| at.place), has_password, "username", "password"),
        (password.as_ref().map(|at| at.place), has_username, "password", "username"),
    ] {
        if let (Some(place), false) = (found, other) {
            findings.error(
                place,
                format!("`{name}` is given without `{missing}`"),
                "give both, or api_key",
            );
        }
    }
    match (username, password, api_key) {
        (Some(username), Some(password), None) => {
            SearchCredentials::Basic { username: username.value, password: password.value }
        }
        (_, _, Some(key)) => SearchCredentials::ApiKey(key.value),
        _ => SearchCredentials::None,
    }
}

fn read<K: Kind>(kind: K, node: &Node<'_, '_>) -> Option<At<K::Value>> {
    Some(At { value: kind.read(node)?, place: node.place })
}

impl OpenSearchConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let settings = &self.settings;
        writeln!(f, "type = \"opensearch\"")?;
        connection::print(&settings.connection, f)?;
        writeln!(f, "index = {}", quoted(&settings.index.to_string()))?;
        let op = match settings.op {
            BulkOp::Create => "create",
            BulkOp::Index => "index",
        };
        let id = match settings.document_id {
            DocumentId::Event => "event",
            DocumentId::Service => "service",
        };
        writeln!(f, "op = \"{op}\"\ndocument_id = \"{id}\"")?;
        match &settings.credentials {
            SearchCredentials::None | SearchCredentials::Aws(_) => {}
            SearchCredentials::Basic { username, password } => {
                writeln!(f, "username = {}", quoted(username))?;
                writeln!(f, "password = {}", printed(password))?;
            }
            SearchCredentials::ApiKey(key) => writeln!(f, "api_key = {}", printed(key))?,
        }
        if let (Some(aws), SearchCredentials::Aws(service)) = (&self.aws, &settings.credentials) {
            let word = SERVICE.words.iter().find(|(_, of)| of == service);
            let word = word.map_or("", |(word, _)| word);
            write!(f, "aws = {{ region = {}, service = \"{word}\"", quoted(&aws.region))?;
            for (name, value) in [("role_arn", &aws.role_arn), ("external_id", &aws.external_id)] {
                if let Some(value) = value {
                    write!(f, ", {name} = {}", quoted(value))?;
                }
            }
            writeln!(f, " }}")?;
        }
        writeln!(f, "compression = \"{}\"", gzip_word(settings.gzip))
    }
}
