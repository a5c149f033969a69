//! One GET over plain HTTP, for health checks and metrics on this machine. HTTP/1.0, so that the
//! answer ends with the connection and nothing is chunked.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of a 200 answer within three seconds. `base` is `http://host:port`.
pub(crate) async fn get(base: &str, path: &str) -> anyhow::Result<String> {
    tokio::time::timeout(Duration::from_secs(3), fetch(base, path))
        .await
        .with_context(|| format!("{base}{path} did not answer within 3 s"))?
}

async fn fetch(base: &str, path: &str) -> anyhow::Result<String> {
    let authority = authority(base)?;
    let mut stream = TcpStream::connect(&authority)
        .await
        .with_context(|| format!("cannot connect to {authority}"))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{base}{path} answered {:?}", status);
    }
    Ok(body.to_owned())
}

/// `host:port` of `http://host[:port][/]`.
fn authority(base: &str) -> anyhow::Result<String> {
    let rest = base.strip_prefix("http://").with_context(|| {
        format!("{base:?} is no http:// address; LocalStack is spoken to without TLS")
    })?;
    let authority = rest.trim_end_matches('/');
    let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if port { authority.to_owned() } else { format!("{authority}:80") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_means_port_80() {
        assert_eq!(authority("http://localstack").unwrap(), "localstack:80");
        assert_eq!(authority("http://127.0.0.1:4566/").unwrap(), "127.0.0.1:4566");
        assert!(authority("https://example.com").is_err());
    }
}
