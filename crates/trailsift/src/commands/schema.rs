use anyhow::Context;

use super::{Exit, put};

/// What an editor needs to know of a configuration. Held to what the reader takes by its tests.
pub(crate) const SCHEMA: &str = include_str!("../../schemas/config.schema.json");

/// Prints the JSON Schema of the configuration.
pub(super) fn schema() -> anyhow::Result<Exit> {
    put(SCHEMA.as_bytes()).context("standard output cannot be written")?;
    Ok(Exit::Done)
}
