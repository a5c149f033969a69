use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::Value;

use super::Account;
use crate::localstack;

/// A configuration folder as `trailsift --config` takes it, and where its parts write.
pub(super) struct Written {
    pub(super) folder: PathBuf,
    /// What the file sink writes.
    pub(super) events: PathBuf,
    /// The quarantine's folder.
    pub(super) quarantine: PathBuf,
    /// The ledger's folder.
    pub(super) ledger: PathBuf,
    /// The program's own log.
    pub(super) log: PathBuf,
    listen: String,
}

impl Written {
    /// Where health and metrics are served.
    pub(super) fn listen_url(&self) -> String {
        format!("http://{}", self.listen)
    }
}

/// Writes `trailsift.toml` and one file per account.
pub(super) fn write(run: &Path, accounts: &[Account], endpoint: &str) -> anyhow::Result<Written> {
    let folder = run.join("config");
    let data = run.join("data");
    let written = Written {
        events: run.join("events.jsonl"),
        quarantine: data.join("quarantine"),
        ledger: data.join("ledger"),
        log: run.join("trailsift.log"),
        listen: format!("127.0.0.1:{}", localstack::free_port()?),
        folder,
    };
    put(&written.folder.join("trailsift.toml"), &service(&written, &data))?;
    for account in accounts {
        let path = written.folder.join(format!("accounts/{}.toml", account.site.account));
        put(&path, &account_file(account, endpoint))?;
    }
    std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    Ok(written)
}

fn service(written: &Written, data: &Path) -> String {
    let (listen, data, events) = (text(&written.listen), path(data), path(&written.events));
    format!(
        "# Written by `cargo xtask demo`.\n\
         [service]\nlisten = {listen}\ndata_dir = {data}\n\n\
         [[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"screen\", \"file\"]\n\n\
         [[route.selector]]\neventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\n\
         [sink.screen]\ntype = \"stdout\"\nformat = \"raw\"\n\n\
         [sink.file]\ntype = \"file\"\npath = {events}\nformat = \"raw\"\n"
    )
}

fn account_file(account: &Account, endpoint: &str) -> String {
    let Account { site, stack, .. } = account;
    format!(
        "# Written by `cargo xtask demo`.\n\
         [account]\nid = {}\nname = {}\nregion = {}\nqueue_url = {}\n\
         buckets = [{{ name = {}, accounts = [\"*\"] }}]\nendpoint_url = {}\n",
        text(&site.account),
        text(account.name),
        text(&site.region),
        text(&stack.queue_url),
        text(&stack.bucket),
        text(endpoint),
    )
}

fn put(path: &Path, contents: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut file = crate::process::create(path)?;
    file.write_all(contents.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// A TOML string.
fn text(value: &str) -> String {
    Value::String(value.to_owned()).to_string()
}

fn path(value: &Path) -> String {
    text(&value.to_string_lossy())
}
