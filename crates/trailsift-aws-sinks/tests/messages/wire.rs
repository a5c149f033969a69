//! The services' requests and answers, read and rewritten as a proxy must.

use serde_json::{Value, json};
use trailsift_testkit::{ProxyAnswer, ProxyRequest};

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Sqs,
    Sns,
    EventBridge,
    Logs,
}

impl Wire {
    /// Whether a request brings events.
    pub(crate) fn is_write(self, request: &ProxyRequest) -> bool {
        let target = request.header("x-amz-target").unwrap_or_default();
        match self {
            Self::Sqs => target.ends_with(".SendMessageBatch"),
            Self::Sns => request.text().contains("Action=PublishBatch&"),
            Self::EventBridge => target.ends_with(".PutEvents"),
            Self::Logs => target.ends_with(".PutLogEvents"),
        }
    }

    /// Each entry's ID and the event in it.
    pub(crate) fn entries(self, body: &[u8]) -> Vec<(String, String)> {
        let field = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        match self {
            Self::Sqs => list(body, "Entries")
                .iter()
                .map(|entry| (field(entry, "Id"), field(entry, "MessageBody")))
                .collect(),
            Self::EventBridge => {
                let details = list(body, "Entries");
                details.iter().map(|entry| (String::new(), field(entry, "Detail"))).collect()
            }
            Self::Logs => list(body, "logEvents")
                .iter()
                .map(|event| (String::new(), field(event, "message")))
                .collect(),
            Self::Sns => members(body)
                .into_iter()
                .map(|fields| {
                    let of = |name: &str| {
                        let found = fields.iter().find(|(known, _)| known == name);
                        found.map(|(_, value)| decoded(value)).unwrap_or_default()
                    };
                    (of("Id"), of("Message"))
                })
                .collect(),
        }
    }

    /// The request with these entries only.
    pub(crate) fn keeping(self, body: &[u8], kept: &[bool]) -> Vec<u8> {
        if self == Self::Sns {
            let text = String::from_utf8_lossy(body);
            let others = text.split('&').filter(|pair| !pair.starts_with(MEMBER));
            let mut pairs: Vec<String> = others.map(str::to_owned).collect();
            let left = members(body).into_iter().zip(kept).filter(|(_, kept)| **kept);
            for (number, (fields, _)) in left.enumerate() {
                for (name, value) in fields {
                    pairs.push(format!("{MEMBER}{}.{name}={value}", number + 1));
                }
            }
            return pairs.join("&").into_bytes();
        }
        let name = if self == Self::Logs { "logEvents" } else { "Entries" };
        let mut document: Value = serde_json::from_slice(body).expect("JSON");
        let left = list(body, name).into_iter().zip(kept).filter(|(_, kept)| **kept);
        document[name] = left.map(|(entry, _)| entry).collect();
        document.to_string().into_bytes()
    }

    /// The answer to the whole request, made of the answer to what was kept: the others failed.
    pub(crate) fn answer(
        self,
        upstream: ProxyAnswer,
        entries: &[(String, String)],
        kept: &[bool],
        senders_fault: bool,
    ) -> ProxyAnswer {
        if upstream.status != 200 {
            return upstream;
        }
        let failed = || entries.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(it, _)| it);
        let body = match self {
            Self::Sqs => {
                let code = if senders_fault { "InvalidMessageContents" } else { "InternalError" };
                let failed = failed().map(|(id, _)| {
                    json!({"Id": id, "SenderFault": senders_fault, "Code": code, "Message": "no"})
                });
                let failed: Vec<_> = failed.collect();
                json!({"Successful": list(&upstream.body, "Successful"), "Failed": failed})
                    .to_string()
            }
            Self::Sns => {
                let text = String::from_utf8_lossy(&upstream.body).into_owned();
                let successful = text.split_once("<Successful>").map_or("", |(_, rest)| {
                    rest.split_once("</Successful>").map_or("", |(inner, _)| inner)
                });
                let code = if senders_fault { "InvalidMessageContents" } else { "InternalError" };
                let failed: String = failed()
                    .map(|(id, _)| {
                        format!(
                            "<member><Id>{id}</Id><Code>{code}</Code>\
                             <SenderFault>{senders_fault}</SenderFault></member>"
                        )
                    })
                    .collect();
                format!(
                    "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
                     <PublishBatchResult><Successful>{successful}</Successful>\
                     <Failed>{failed}</Failed></PublishBatchResult></PublishBatchResponse>"
                )
            }
            Self::EventBridge => {
                let mut taken = list(&upstream.body, "Entries").into_iter();
                let code = if senders_fault { "MalformedDetail" } else { "InternalFailure" };
                let results = kept.iter().map(|kept| match kept {
                    true => taken.next().unwrap_or_default(),
                    false => json!({"ErrorCode": code, "ErrorMessage": "no"}),
                });
                let results: Vec<_> = results.collect();
                json!({"FailedEntryCount": failed().count(), "Entries": results}).to_string()
            }
            Self::Logs => unreachable!("CloudWatch Logs takes a call whole"),
        };
        ProxyAnswer { body: body.into_bytes(), ..upstream }
    }

    /// The answer of a service that took nothing of what it was sent.
    pub(crate) fn took_nothing(self) -> ProxyAnswer {
        match self {
            Self::Sns => ProxyAnswer::new(200, "<R><Successful></Successful></R>")
                .header("content-type", "text/xml"),
            _ => ProxyAnswer::new(200, "{\"Successful\":[],\"Entries\":[]}"),
        }
    }
}

const MEMBER: &str = "PublishBatchRequestEntries.member.";

fn list(body: &[u8], name: &str) -> Vec<Value> {
    let document: Value = serde_json::from_slice(body).expect("JSON");
    document[name].as_array().cloned().unwrap_or_default()
}

/// The fields of each entry of a form, values still encoded.
fn members(body: &[u8]) -> Vec<Vec<(String, String)>> {
    let text = String::from_utf8_lossy(body);
    let mut members = std::collections::BTreeMap::<u32, Vec<(String, String)>>::new();
    for pair in text.split('&') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let Some(rest) = name.strip_prefix(MEMBER) else { continue };
        let (number, field) = rest.split_once('.').expect("a field");
        let number = number.parse().expect("a number");
        members.entry(number).or_default().push((field.to_owned(), value.to_owned()));
    }
    members.into_values().collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("two digits")
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}
