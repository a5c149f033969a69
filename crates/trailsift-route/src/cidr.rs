//! IP addresses as CloudTrail writes them, and the networks that they may lie in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The longest text that can be an address: of IPv6, with an IPv4 one at its end.
const MAX_LEN: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// An address, as either kind that it may be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl Address {
    /// The address that the text is, and nothing else is: no port, no zone, no octet with a leading
    /// zero. An IPv6 address that maps an IPv4 one is taken for that one too if it is written with
    /// dots, so that whatever lies in an IPv4 network has the network's octets in its text.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        // Most texts that are looked at are none, and the last byte tells: names end in a letter.
        let may_be = text.len() <= MAX_LEN && text.last().is_some_and(u8::is_ascii_hexdigit)
            || text.ends_with(b"::");
        let text = std::str::from_utf8(text).ok().filter(|_| may_be)?;
        match text.parse().ok()? {
            IpAddr::V4(v4) => Some(Self { v4: Some(v4), v6: None }),
            IpAddr::V6(v6) => {
                let v4 = v6.to_ipv4_mapped().filter(|_| text.contains('.'));
                Some(Self { v4, v6: Some(v6) })
            }
        }
    }
}

/// The network that the text names: an address, a slash and the length of its prefix, or an address
/// alone, which is the network of itself. As strict as records are read, so that `010.0.0.0/8`, which
/// some readers take for 8.0.0.0, is none. Bits behind the prefix are kept, but do not count.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let is_number = !prefix.is_empty()
        && prefix.bytes().all(|byte| byte.is_ascii_digit())
        && (prefix == "0" || !prefix.starts_with('0'));
    let length = prefix.parse().ok().filter(|_| is_number)?;
    IpNet::new(address.parse().ok()?, length).ok()
}

/// Networks to find an address in. Bits behind a network's prefix do not count.
#[derive(Clone, Debug)]
pub(crate) struct Networks {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl Networks {
    /// As few networks as hold the same addresses.
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        let v4 = networks.iter().filter_map(|net| match net {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        });
        let v6 = networks.iter().filter_map(|net| match net {
            IpNet::V6(net) => Some(*net),
            IpNet::V4(_) => None,
        });
        Self { v4: Ipv4Net::aggregate(&v4.collect()), v6: Ipv6Net::aggregate(&v6.collect()) }
    }

    /// Whether the address lies in one of them.
    pub(crate) fn contain(&self, address: Address) -> bool {
        let in_v4 = |address: Ipv4Addr| self.v4.iter().any(|net| net.contains(&address));
        let in_v6 = |address: Ipv6Addr| self.v6.iter().any(|net| net.contains(&address));
        address.v4.is_some_and(in_v4) || address.v6.is_some_and(in_v6)
    }
}

/// What the texts of all addresses of the network have in common: its whole octets, if they are two
/// at least. An address of IPv6 has too many spellings.
pub(crate) fn octets(network: &IpNet) -> Option<String> {
    let IpNet::V4(network) = network else { return None };
    let whole = usize::from(network.prefix_len() / 8);
    let octets = network.network().octets();
    let mut text: Vec<String> = octets[..whole].iter().map(u8::to_string).collect();
    match whole {
        0 | 1 => return None,
        4 => {}
        _ => text.push(String::new()),
    }
    Some(text.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_named_in_one_way_only() {
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.1.2.3/8")),
            ("192.0.2.1", Some("192.0.2.1/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("2001:DB8::/32", Some("2001:db8::/32")),
            ("::1", Some("::1/128")),
            ("", None),
            ("/8", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/33", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/08", None),
            ("10.0.0.0/8/8", None),
            ("10.0.0.0/255.0.0.0", None),
            ("010.0.0.0/8", None),
            ("10.0.0/8", None),
            (" 10.0.0.0/8", None),
            ("fe80::1%eth0", None),
            ("::/129", None),
        ] {
            let network = parse_network(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }
}
