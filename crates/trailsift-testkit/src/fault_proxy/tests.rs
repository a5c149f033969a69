use super::*;

/// One request as a client sends it; everything that comes back.
async fn ask(url: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("up");
    let length = body.len();
    let request =
        format!("POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap_or_default();
    answer
}

async fn echo() -> FaultProxy {
    FaultProxy::alone(|request| ProxyAnswer::new(200, request.body.clone())).await
}

#[tokio::test]
async fn a_request_and_its_answer_pass_unchanged() {
    let upstream = echo().await;
    let proxy = FaultProxy::start(upstream.url()).await;
    let answer = ask(proxy.url(), "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let seen = &upstream.requests()[0];
    assert_eq!((&*seen.method, &*seen.target, &*seen.text()), ("POST", "/a?b", "hello"));
    assert_eq!(seen.header("host"), Some("x"));
}

#[tokio::test]
async fn each_fault_is_what_its_name_says_and_then_all_is_well() {
    let upstream = echo().await;
    let proxy = FaultProxy::start(upstream.url()).await;
    proxy.next(Plan::Cut);
    proxy.next(Plan::Answer(ProxyAnswer::new(503, "busy")));
    proxy.next(Plan::LoseAnswer);
    proxy.next(Plan::Rewrite {
        body: b"less".to_vec(),
        answer: Box::new(|mut answer| {
            answer.body.extend_from_slice(b" and more");
            answer
        }),
    });
    assert_eq!(ask(proxy.url(), "1").await, "");
    assert!(ask(proxy.url(), "2").await.ends_with("busy"));
    assert!(upstream.requests().is_empty());
    assert_eq!(ask(proxy.url(), "3").await, "");
    assert!(ask(proxy.url(), "4").await.ends_with("less and more"));
    assert!(ask(proxy.url(), "5").await.ends_with('5'));
    let bodies: Vec<_> = upstream.requests().iter().map(ProxyRequest::text).collect();
    assert_eq!(bodies, ["3", "less", "5"]);
}

#[tokio::test]
async fn an_answer_in_chunks_is_put_together() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_request(&mut stream).await.expect("read");
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.expect("sent");
    });
    let proxy = FaultProxy::start(&url).await;
    let answer = ask(proxy.url(), "").await;
    assert!(answer.ends_with("content-length: 5\r\nconnection: close\r\n\r\nabcde"), "{answer}");
}
