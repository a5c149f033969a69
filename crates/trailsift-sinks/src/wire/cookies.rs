//! The cookies by which a load balancer knows where it sent somebody before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// As many, and as long, as balancers need; whoever sends more is none.
const MOST: usize = 16;
const LONGEST: usize = 4 << 10;

/// Kept in memory, and sent back to nobody but the one service of a sink: domains and paths, which
/// would only narrow that down, are not looked at. A cookie lives until it is replaced or emptied.
#[derive(Debug, Default)]
pub(super) struct Cookies(Mutex<BTreeMap<String, String>>);

impl Cookies {
    /// Takes over what an answer sets.
    pub(super) fn note(&self, answer: &HeaderMap) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in answer.get_all(SET_COOKIE) {
            let Ok(text) = cookie.to_str() else { continue };
            let pair = text.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || pair.len() > LONGEST {
                continue;
            }
            if value.is_empty() {
                known.remove(name);
            } else if known.len() < MOST || known.contains_key(name) {
                known.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// What a request says.
    pub(super) fn mark(&self, request: &mut HeaderMap) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> =
            known.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Ok(value) = HeaderValue::from_str(&pairs.join("; "))
            && !pairs.is_empty()
        {
            request.insert(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &Cookies) -> String {
        let mut headers = HeaderMap::new();
        cookies.mark(&mut headers);
        headers.get(COOKIE).map_or("", |it| it.to_str().unwrap()).to_owned()
    }

    fn answer(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|text| (SET_COOKIE, text.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_set_is_sent_back_until_it_is_replaced_or_emptied() {
        let cookies = Cookies::default();
        assert_eq!(sent(&cookies), "");
        cookies.note(&answer(&["AWSALB=a=b; Expires=Mon; Path=/", "AWSALBCORS=c; Secure"]));
        assert_eq!(sent(&cookies), "AWSALB=a=b; AWSALBCORS=c");
        cookies.note(&answer(&["AWSALB=d", "AWSALBCORS=; Max-Age=0", "nonsense", "=x"]));
        assert_eq!(sent(&cookies), "AWSALB=d");
    }

    #[test]
    fn nobody_fills_the_memory_with_cookies() {
        let cookies = Cookies::default();
        for n in 0..100 {
            cookies.note(&answer(&[&format!("n{n}=1")]));
        }
        cookies.note(&answer(&[&format!("n1={}", "x".repeat(5_000)), "n2=2"]));
        let sent = sent(&cookies);
        assert_eq!(sent.split("; ").count(), MOST);
        assert!(sent.contains("n2=2") && sent.contains("n1=1;"), "{sent}");
    }
}
