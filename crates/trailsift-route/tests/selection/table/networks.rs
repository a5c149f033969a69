//! Networks and the addresses in them.

use super::Case;

const V4: &str = r#"[{"sourceIPAddress": {"cidr": ["198.51.100.0/24"]}}]"#;
const V6: &str = r#"[{"sourceIPAddress": {"cidr": ["2001:db8:5::/48"]}}]"#;
const ODD: &str = r#"[{"sourceIPAddress": {"cidr": ["203.0.112.0/22"]}}]"#;
const OUTSIDE: &str =
    r#"[{"sourceIPAddress": {"not_cidr": ["10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32"]}}]"#;
const ANYWHERE: &str = r#"[{"sourceIPAddress": {"cidr": ["0.0.0.0/0", "::/0"]}}]"#;
const V4_ANYWHERE: &str = r#"[{"sourceIPAddress": {"cidr": ["0.0.0.0/0"]}}]"#;
const MAPPED: &str = r#"[{"sourceIPAddress": {"cidr": ["::ffff:198.51.100.0/120"]}}]"#;
const FOREIGN_ADDRESS: &str =
    r#"[{"sourceIPAddress": {"cidr": ["0.0.0.0/0", "::/0"], "not_cidr": ["10.0.0.0/8"]}}]"#;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    ("an address of the network", V4, r#"{"sourceIPAddress":"198.51.100.7"}"#, true),
    ("its first address", V4, r#"{"sourceIPAddress":"198.51.100.0"}"#, true),
    ("its last address", V4, r#"{"sourceIPAddress":"198.51.100.255"}"#, true),
    ("the address behind it", V4, r#"{"sourceIPAddress":"198.51.101.0"}"#, false),
    ("a text that begins alike", V4, r#"{"sourceIPAddress":"198.51.1.100"}"#, false),
    ("an escaped address", V4, r#"{"sourceIPAddress":"198.51\u002e100.7"}"#, true),
    ("a network of no whole octets, inside", ODD, r#"{"sourceIPAddress":"203.0.115.255"}"#, true),
    ("a network of no whole octets, outside", ODD, r#"{"sourceIPAddress":"203.0.116.0"}"#, false),
    ("host bits of a network do not count", r#"[{"n": {"cidr": ["198.51.100.77/24"]}}]"#, r#"{"n":"198.51.100.1"}"#, true),
    ("one address", r#"[{"n": {"cidr": ["198.51.100.7/32"]}}]"#, r#"{"n":"198.51.100.7"}"#, true),
    ("one address and a longer text", r#"[{"n": {"cidr": ["198.51.100.7/32"]}}]"#, r#"{"n":"198.51.100.77"}"#, false),
    ("networks are OR-ed", r#"[{"n": {"cidr": ["10.0.0.0/8", "192.0.2.0/24"]}}]"#, r#"{"n":"192.0.2.1"}"#, true),
    ("networks that touch", r#"[{"n": {"cidr": ["192.0.2.0/25", "192.0.2.128/25"]}}]"#, r#"{"n":"192.0.2.128"}"#, true),
    ("every address of IPv4", V4_ANYWHERE, r#"{"sourceIPAddress":"255.255.255.255"}"#, true),
    ("no address of IPv6 is one of IPv4", V4_ANYWHERE, r#"{"sourceIPAddress":"::"}"#, false),
    ("an address of IPv6", V6, r#"{"sourceIPAddress":"2001:db8:5::17"}"#, true),
    ("spelt in full", V6, r#"{"sourceIPAddress":"2001:0db8:0005:0000:0000:0000:0000:0017"}"#, true),
    ("spelt in capitals", V6, r#"{"sourceIPAddress":"2001:DB8:5::A"}"#, true),
    ("ending in colons", V6, r#"{"sourceIPAddress":"2001:db8:5::"}"#, true),
    ("of another network", V6, r#"{"sourceIPAddress":"2001:db8:6::17"}"#, false),
    ("with a zone it is none", V6, r#"{"sourceIPAddress":"2001:db8:5::17%eth0"}"#, false),
    ("in brackets it is none", V6, r#"{"sourceIPAddress":"[2001:db8:5::17]"}"#, false),
    ("a mapped address with dots", V4, r#"{"sourceIPAddress":"::ffff:198.51.100.7"}"#, true),
    ("a mapped address without dots", V4, r#"{"sourceIPAddress":"::ffff:c633:6407"}"#, false),
    ("a mapped network finds either", MAPPED, r#"{"sourceIPAddress":"::ffff:198.51.100.7"}"#, true),
    ("a mapped network finds the other", MAPPED, r#"{"sourceIPAddress":"::ffff:c633:6407"}"#, true),
    ("a mapped network is of IPv6", MAPPED, r#"{"sourceIPAddress":"198.51.100.7"}"#, false),
    ("a compatible address is not mapped", V4, r#"{"sourceIPAddress":"::198.51.100.7"}"#, false),
    // What is no address.
    ("a port behind it", V4, r#"{"sourceIPAddress":"198.51.100.7:443"}"#, false),
    ("a space behind it", V4, r#"{"sourceIPAddress":"198.51.100.7 "}"#, false),
    ("octets with zeros in front", V4, r#"{"sourceIPAddress":"198.051.100.007"}"#, false),
    ("three octets", V4, r#"{"sourceIPAddress":"198.51.100"}"#, false),
    ("an octet too large", V4_ANYWHERE, r#"{"sourceIPAddress":"198.51.100.256"}"#, false),
    ("a network in place of an address", V4, r#"{"sourceIPAddress":"198.51.100.0/24"}"#, false),
    ("a service, no address", ANYWHERE, r#"{"sourceIPAddress":"cloudformation.amazonaws.com"}"#, false),
    ("AWS itself, no address", ANYWHERE, r#"{"sourceIPAddress":"AWS Internal"}"#, false),
    ("an empty string, no address", ANYWHERE, r#"{"sourceIPAddress":""}"#, false),
    ("null, no address", ANYWHERE, r#"{"sourceIPAddress":null}"#, false),
    ("an absent field, no address", ANYWHERE, "{}", false),
    ("a number, no address", ANYWHERE, r#"{"sourceIPAddress":3325256711}"#, false),
    ("an object, no address", ANYWHERE, r#"{"sourceIPAddress":{"sourceIPAddress":"10.0.0.1"}}"#, false),
    ("half a character behind it", ANYWHERE, r#"{"sourceIPAddress":"10.0.0.1\ud800"}"#, false),
    ("a text longer than any address", ANYWHERE, r#"{"sourceIPAddress":"0000000000000000000000000000000000000000000000000000000000000000"}"#, false),
    // Arrays, and the opposite.
    ("any of the addresses", V4, r#"{"sourceIPAddress":["10.0.0.1",["198.51.100.7"]]}"#, true),
    ("an address below an array", r#"[{"requestParameters.items.cidrIp": {"cidr": ["192.0.2.0/24"]}}]"#, r#"{"requestParameters":{"items":[{"cidrIp":"10.0.0.1"},{"cidrIp":"192.0.2.9"}]}}"#, true),
    ("from outside", OUTSIDE, r#"{"sourceIPAddress":"203.0.113.9"}"#, true),
    ("from the first network", OUTSIDE, r#"{"sourceIPAddress":"10.255.0.1"}"#, false),
    ("from the second network", OUTSIDE, r#"{"sourceIPAddress":"198.51.100.9"}"#, false),
    ("from the network of IPv6", OUTSIDE, r#"{"sourceIPAddress":"2001:db8:ffff::1"}"#, false),
    ("from a network of IPv6 outside", OUTSIDE, r#"{"sourceIPAddress":"2001:db9::1"}"#, true),
    ("mapped from inside", OUTSIDE, r#"{"sourceIPAddress":"::ffff:10.1.2.3"}"#, false),
    ("a service is not inside", OUTSIDE, r#"{"sourceIPAddress":"cloudformation.amazonaws.com"}"#, true),
    ("AWS itself is not inside", OUTSIDE, r#"{"sourceIPAddress":"AWS Internal"}"#, true),
    ("nothing is not inside", OUTSIDE, "{}", true),
    ("null is not inside", OUTSIDE, r#"{"sourceIPAddress":null}"#, true),
    ("one inside excludes", OUTSIDE, r#"{"sourceIPAddress":["203.0.113.9","10.0.0.1"]}"#, false),
    ("an address from outside", FOREIGN_ADDRESS, r#"{"sourceIPAddress":"203.0.113.9"}"#, true),
    ("no address from outside", FOREIGN_ADDRESS, r#"{"sourceIPAddress":"AWS Internal"}"#, false),
    ("an address from inside", FOREIGN_ADDRESS, r#"{"sourceIPAddress":"10.0.0.1"}"#, false),
];
