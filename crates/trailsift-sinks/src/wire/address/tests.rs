use super::*;

fn problem(url: &str) -> Option<String> {
    Endpoint::parse(url, false).err().map(|error| error.problem)
}

#[test]
fn encrypted_and_local_urls_are_accepted() {
    for url in [
        "https://collector.example.com/ingest?token=x",
        "https://10.0.0.1/",
        "https://[2001:db8::1]:8443/",
        "http://localhost:8080/",
        "http://127.0.0.2/",
        "http://[::1]:9000/x",
        "http://[::ffff:127.0.0.1]/",
    ] {
        assert_eq!(problem(url), None, "{url}");
    }
}

#[test]
fn metadata_and_other_unfit_addresses_are_refused_however_they_are_written() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::169.254.169.254]/",
        "https://[::169.254.169.254]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://100.100.100.200/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[ff02::1]/",
    ] {
        let problem = Endpoint::parse(url, true).err().map(|error| error.problem);
        assert!(problem.as_ref().is_some_and(|p| p.starts_with("points to")), "{url}: {problem:?}");
    }
}

#[test]
fn unencrypted_other_and_telling_urls_are_refused_without_being_repeated() {
    for (url, expected) in [
        ("http://collector.example.com/s3cret", "is not encrypted"),
        ("http://10.0.0.1/s3cret", "is not encrypted"),
        ("ftp://example.com/s3cret", "must begin with https://"),
        ("file:///s3cret", "must begin with https://"),
        ("https://user:s3cret@example.com/", "must not hold a user name"),
        ("s3cret", "is not a URL"),
    ] {
        let problem = problem(url).expect(url);
        assert!(problem.starts_with(expected), "{url}: {problem}");
        assert!(!problem.contains("s3cret"), "{problem}");
    }
    assert!(Endpoint::parse("http://collector.example.com/", true).is_ok());
}

#[test]
fn the_shown_origin_leaves_out_path_and_query() {
    let endpoint = Endpoint::parse("https://c.example.com:8443/s3cret?k=s3cret", false).unwrap();
    assert_eq!(endpoint.origin(), "https://c.example.com:8443");
}

#[test]
fn a_name_that_leads_to_metadata_is_refused_when_it_is_resolved() {
    let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
    let bad = [address("169.254.169.254"), address("fe80::1")];
    let error = Allowed::Public.only(&bad).expect_err("refused");
    assert!(error.to_string().contains("instance metadata"), "{error}");
    let mixed = [address("169.254.169.254"), address("10.1.2.3")];
    assert_eq!(Allowed::Public.only(&mixed).unwrap(), [address("10.1.2.3")]);
}

#[test]
fn an_unencrypted_name_may_only_stand_for_this_machine() {
    let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
    let found = [address("10.1.2.3")];
    let error = Allowed::Loopback.only(&found).expect_err("refused");
    assert!(matches!(error, ForbiddenAddress::NotLoopback));
    let found = [address("::1"), address("10.1.2.3")];
    assert_eq!(Allowed::Loopback.only(&found).unwrap(), [address("::1")]);
}

#[tokio::test]
async fn the_resolver_hands_the_client_nothing_that_is_refused() {
    // An address in place of a name needs no DNS server and takes the same way.
    let resolve = |allowed, name: &str| Resolver(allowed).resolve(name.parse().unwrap());
    let error = resolve(Allowed::Public, "169.254.169.254").await.err().expect("refused");
    assert!(error.to_string().contains("instance metadata"), "{error}");
    let error = resolve(Allowed::Loopback, "10.1.2.3").await.err().expect("refused");
    assert!(error.to_string().contains("does not stand for this machine"), "{error}");
    let found = resolve(Allowed::Public, "10.1.2.3").await.expect("allowed").count();
    assert_eq!(found, 1);
}
