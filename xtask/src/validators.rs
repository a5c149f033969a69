//! The validators that others wrote, of event formats and of configurations (`tests/validators`).

use std::path::PathBuf;

use crate::python::Environment;
use crate::ui::Ui;

const ENVIRONMENT: Environment = Environment {
    what: "the validators of formats and configurations",
    folder: "validators",
    requirements: "tests/validators/requirements.txt",
    minors: (10, None),
    remedy: "name a Python that has tests/validators/requirements.txt installed by TRAILSIFT_VALIDATORS",
};

/// The packages whose tests need them.
pub(crate) const PACKAGES: [&str; 2] = ["trailsift", "trailsift-route"];

/// How the tests find the Python that runs them.
pub(crate) const VARIABLE: &str = "TRAILSIFT_VALIDATORS";

/// The Python that has them: the one that the person named, or else that of an environment of our own.
pub(crate) async fn python(ui: &Ui) -> anyhow::Result<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(named) if !named.is_empty() => Ok(named.into()),
        _ => ENVIRONMENT.python(ui).await,
    }
}
