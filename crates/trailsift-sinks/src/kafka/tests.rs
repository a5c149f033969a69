use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::client::Credentials;
use super::sink::Producer;
use super::*;
use crate::BuildError;

fn settings() -> KafkaSettings {
    KafkaSettings::new(vec!["broker:9093".into()], "trail")
}

#[test]
fn every_mistake_in_the_settings_is_named() {
    assert_eq!(settings().validate(), []);
    let wrong = KafkaSettings {
        brokers: vec!["a:1,b:2".into()],
        topic: "a topic".into(),
        max_message_bytes: 10,
        timeout: Duration::from_millis(1),
        tls: false,
        ca_file: Some("/ca.pem".into()),
        certificate: Some(KafkaCertificate {
            cert_file: "/cert.pem".into(),
            key_file: "/key.pem".into(),
            key_password: None,
        }),
        ..settings()
    };
    let keys: Vec<_> = wrong.validate().iter().map(|problem| problem.key).collect();
    assert_eq!(
        keys,
        ["brokers", "topic", "max_message_bytes", "timeout", "ca_file", "certificate"]
    );
    let none = KafkaSettings { brokers: Vec::new(), ..settings() };
    assert_eq!(none.validate()[0].to_string(), "brokers: names no broker");
}

#[test]
fn a_missing_password_or_certificate_is_named_and_no_secret_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    let login = Some(KafkaLogin {
        mechanism: KafkaMechanism::ScramSha512,
        username: KafkaUser::Plain("trailsift".into()),
        password: SecretSource::File(password.clone()),
    });
    let with_login = KafkaSettings { login, ..settings() };
    let error = KafkaSink::new("k", with_login.clone()).expect_err("no password");
    assert!(matches!(error, BuildError::Secret { .. }), "{error}");

    std::fs::write(&password, "hunter2\n").expect("written");
    let ca_file = Some(folder.path().join("none.pem"));
    let error = KafkaSink::new("k", KafkaSettings { ca_file, ..with_login.clone() });
    let error = format!("{:?}", error.expect_err("no certificate"));
    assert!(error.contains("none.pem") && !error.contains("hunter2"), "{error}");

    let sink = KafkaSink::new("k", with_login).expect("all of it is there");
    let shown = format!("{sink:?} {:?}", sink.lock().credentials);
    assert!(shown.contains("broker:9093") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn every_mechanism_and_compression_is_in_this_build() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cret").expect("written");
    let secret = SecretSource::File(file);
    for mechanism in
        [KafkaMechanism::Plain, KafkaMechanism::ScramSha256, KafkaMechanism::ScramSha512]
    {
        for compression in [
            KafkaCompression::None,
            KafkaCompression::Gzip,
            KafkaCompression::Lz4,
            KafkaCompression::Zstd,
        ] {
            let (username, password) = (KafkaUser::Secret(secret.clone()), secret.clone());
            let login = Some(KafkaLogin { mechanism, username, password });
            let made = KafkaSink::new("k", KafkaSettings { login, compression, ..settings() });
            assert!(made.is_ok(), "{mechanism:?} {compression:?}: {made:?}");
        }
    }
}

#[test]
fn the_end_of_a_client_holds_up_no_thread_of_the_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(async {
        let credentials =
            Arc::new(Credentials::read("k", &settings()).expect("none are asked for"));
        let producer = Producer::with("k", &settings(), credentials, None).expect("a client");
        let alive = Arc::downgrade(&producer.context.generation);
        // The one thread that may wait has something else to do.
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(1);
        let busy = spawn_blocking(move || wait.recv());
        let writer = producer.clone();
        drop(producer);
        drop(writer);
        assert!(alive.strong_count() > 0, "it ended here");
        drop(go);
        busy.await.expect("it ends").expect_err("nothing was sent");
        // Whose turn comes after that of the client's end.
        spawn_blocking(|| ()).await.expect("it ends");
        assert_eq!(alive.strong_count(), 0);
    });
}
