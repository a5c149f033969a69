use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::SettingsError;

/// The checked address of a collector.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    /// Which addresses its name may stand for.
    pub(super) allowed: Allowed,
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Any but those that [`refused`] names.
    Public,
    /// Only this machine: the URL is `http`, which nothing on the way protects.
    Loopback,
}

impl Endpoint {
    /// Reads a URL from the configuration.
    ///
    /// Messages never repeat the URL: its path or query often is the credential.
    pub(super) fn parse(url: &str, allow_http: bool) -> Result<Self, SettingsError> {
        let error = |problem: &str| SettingsError::new("url", problem);
        let url = Url::parse(url)
            .map_err(|cause| SettingsError::new("url", format!("is not a URL: {cause}")))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(error("must begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error(
                "must not hold a user name or password: send them as a header, from the environment or a file",
            ));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if let Some(what) = address.and_then(refused) {
            return Err(SettingsError::new(
                "url",
                format!("points to {what}, where events are never sent"),
            ));
        }
        let local = match address {
            Some(address) => is_loopback(address),
            None => is_localhost(&host),
        };
        if url.scheme() == "http" && !local && !allow_http {
            return Err(error("is not encrypted: use https://, or set allow_http = true"));
        }
        let plain = url.scheme() == "http" && !allow_http;
        let allowed = if plain { Allowed::Loopback } else { Allowed::Public };
        Ok(Self { url, allowed })
    }

    /// Scheme, host and port: all of the URL that may be shown.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    pub(super) fn is_local(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => is_loopback(address),
            Err(_) => is_localhost(host),
        }
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

fn is_loopback(address: IpAddr) -> bool {
    embedded(address).map_or_else(|| address.is_loopback(), |address| address.is_loopback())
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, or behind NAT64.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let v6 = match address {
        IpAddr::V4(v4) => return Some(v4),
        IpAddr::V6(v6) => v6,
    };
    let octets = v6.octets();
    let tail = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    let nat64 = matches!(v6.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _]);
    let compatible = octets[..12] == [0; 12] && v6 != Ipv6Addr::LOCALHOST && !v6.is_unspecified();
    v6.to_ipv4_mapped().or_else(|| (nat64 || compatible).then_some(tail))
}

/// Where no collector can be, but where the credentials of a cloud machine are handed out.
fn refused(address: IpAddr) -> Option<&'static str> {
    if let Some(v4) = embedded(address) {
        return match v4.octets() {
            [169, 254, ..] => Some("a link-local address (instance metadata)"),
            [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => {
                Some("an instance metadata address")
            }
            [0, ..] => Some("an unspecified address"),
            [224..=255, ..] => Some("a multicast, reserved or broadcast address"),
            _ => None,
        };
    }
    let IpAddr::V6(v6) = address else { return None };
    if v6.is_unspecified() {
        Some("an unspecified address")
    } else if v6.is_unicast_link_local() {
        Some("a link-local address")
    } else if v6.is_multicast() {
        Some("a multicast address")
    } else if v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] {
        Some("an instance metadata address")
    } else {
        None
    }
}

/// Resolves names and leaves only addresses that may be connected to. The client connects to
/// nothing else, so a name that changes its mind after the check gains nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver(pub(super) Allowed);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let usable = allowed.only(&found)?;
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

impl Allowed {
    fn only(self, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
        let usable: Vec<SocketAddr> = found
            .iter()
            .filter(|found| refused(found.ip()).is_none())
            .filter(|found| self == Self::Public || is_loopback(found.ip()))
            .copied()
            .collect();
        if !usable.is_empty() {
            return Ok(usable);
        }
        Err(match found.iter().find_map(|found| refused(found.ip())) {
            Some(what) => ForbiddenAddress::Refused(what),
            None if found.is_empty() => ForbiddenAddress::None,
            None => ForbiddenAddress::NotLoopback,
        })
    }
}

/// Why a name leads nowhere that may be connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForbiddenAddress {
    #[error("the name stands for {0}, where events are never sent")]
    Refused(&'static str),
    #[error("the name does not stand for this machine, and http:// is for nothing else")]
    NotLoopback,
    #[error("the name stands for no address")]
    None,
}

#[cfg(test)]
mod tests;
