//! The parts of a configuration as written: which file may hold which.

use toml::de::DeTable;

use super::account::{AccountDraft, account};
use super::files::{Role, Sources};
use super::findings::Findings;
use super::kinds::{ListOf, TableOf};
use super::reader::{Environment, Kind, Scope, Section};
use super::route::{RouteDraft, route};
use super::service::{QuarantineWish, quarantine, service};
use super::sink::{SinkDraft, sinks};
use super::{Service, files};

/// Everything as written, its references not yet looked up.
pub(super) struct Draft {
    pub(super) service: Service,
    pub(super) quarantine: Option<QuarantineWish>,
    pub(super) routes: Vec<RouteDraft>,
    pub(super) sinks: Vec<SinkDraft>,
    pub(super) accounts: Vec<AccountDraft>,
}

/// Which parts are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Everything,
    /// What `sift` needs.
    Routes,
}

impl Draft {
    /// Reads every part of every file.
    pub(super) fn read(
        sources: &Sources,
        environment: Environment<'_>,
        findings: &Findings,
    ) -> Self {
        Self::of(sources, environment, findings, Extent::Everything)
    }

    /// Reads the service and the routes, and skips every other part.
    pub(super) fn read_for_sift(sources: &Sources, findings: &Findings) -> Self {
        Self::of(sources, &|_| None, findings, Extent::Routes)
    }

    fn of(
        sources: &Sources,
        environment: Environment<'_>,
        findings: &Findings,
        extent: Extent,
    ) -> Self {
        let nowhere = Scope { findings, environment, file: 0 };
        let mut draft = Self {
            service: service(&mut Section::absent(nowhere, "service")),
            quarantine: None,
            routes: Vec::new(),
            sinks: Vec::new(),
            accounts: Vec::new(),
        };
        // All files are parsed before any is read: a reference may lead to another file, and means
        // nothing if that one does not parse.
        let tables: Vec<(usize, DeTable<'_>, Role)> = sources
            .files
            .iter()
            .map(|source| {
                let (file, table) = files::parse(&source.path, &source.text, findings);
                (file, table, source.role)
            })
            .collect();
        for (file, table, role) in &tables {
            let scope = Scope { findings, environment, file: *file };
            draft.read_file(Section::root(scope, table), *role, extent);
        }
        draft
    }

    fn read_file(&mut self, mut root: Section<'_, '_>, role: Role, extent: Extent) {
        if role == Role::Account {
            self.read_account(&mut root, role);
            for key in ["service", "quarantine", "route", "sink"] {
                root.misplaced(key, "trailsift.toml");
            }
            root.finish();
            return;
        }
        if let Some(node) = root.node("service") {
            let read = TableOf(|section: &mut Section<'_, '_>| Some(service(section)));
            self.service = read.read(&node).unwrap_or_else(|| self.service.clone());
        }
        if let Some(node) = root.node("route") {
            let list = ListOf(TableOf(route)).read(&node).unwrap_or_default();
            self.routes = list.into_iter().map(|route| route.value).collect();
        }
        let everything = extent == Extent::Everything;
        if let Some(node) = root.node("quarantine").filter(|_| everything) {
            let read = TableOf(|section: &mut Section<'_, '_>| Some(quarantine(section)));
            self.quarantine = read.read(&node).flatten();
        }
        if let Some(node) = root.node("sink").filter(|_| everything) {
            self.sinks = sinks(&node);
        }
        match extent {
            Extent::Everything => self.read_account(&mut root, role),
            Extent::Routes => drop(root.node("account")),
        }
        root.not_available("history", "remove it");
        root.finish();
    }

    fn read_account(&mut self, root: &mut Section<'_, '_>, role: Role) {
        match root.node("account") {
            Some(node) => self.accounts.extend(TableOf(account).read(&node)),
            None if role == Role::Account => {
                let hint = "each file in accounts/ describes one account";
                root.scope.findings.missing(root.place, "the file has no [account]", hint);
            }
            None => {}
        }
    }
}
