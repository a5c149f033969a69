use std::path::Path;

use reqwest::Certificate;

use crate::SettingsError;

/// The certificates in a PEM file, at least one. Blocks while it reads.
pub(super) fn read(path: &Path) -> Result<Vec<Certificate>, SettingsError> {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    let error = |problem: String| SettingsError::new("ca_file", problem);
    let pem = std::fs::read(path).map_err(|cause| {
        error(format!("{shown} cannot be read ({cause}): it must be a file of certificates in PEM"))
    })?;
    let unfit = || {
        error(format!(
            "{shown} holds no certificate that can be read: it must be PEM, from -----BEGIN CERTIFICATE----- on"
        ))
    };
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| unfit())?;
    if certificates.is_empty() {
        return Err(unfit());
    }
    Ok(certificates)
}
