//! Calls that a browser makes for a page that is not ours.
//!
//! A browser sends whatever any page asks it to, from inside the network of who looks at that page.
//! Two things keep such a page from counting here. A call that may change something must not be
//! said, by the browser itself, to come from another site: `Sec-Fetch-Site` where there is one (no
//! page can set it), else `Origin` against `Host`. And a node that only this machine can reach is
//! asked by a name of this machine, by an address, or by a name that its operator allows
//! (`--allow-host`): a page may have the name of its own server resolve to 127.0.0.1 (DNS rebinding),
//! and then is of the same site.
//!
//! Programs send neither header and are not affected. Rejected: tokens in the page, which protect
//! only calls that the page makes; comparing `Origin` also where `Sec-Fetch-Site` says that the
//! site is ours, which refuses the page behind a proxy that rewrites `Host`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};

use super::errors::{Kind, Problem};
use super::unknown::{listed, shortened};

/// In which the browser says whether a page of another site asks.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which hosts a request may be for.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    /// Others reach this node: names that lead to it are theirs to choose.
    Any,
    /// Those of this machine, and these others without a port: the one that the node is advertised
    /// as, and those that the operator allows.
    Local(Vec<String>),
}

impl Hosts {
    pub(super) fn of(listen: Option<SocketAddr>, advertised: &str, allowed: &[String]) -> Self {
        match listen {
            Some(listen) if listen.ip().is_loopback() => {
                let advertised = without_port(advertised).to_owned();
                Hosts::Local([advertised].into_iter().chain(allowed.iter().cloned()).collect())
            }
            _ => Hosts::Any,
        }
    }
}

/// Refuses what a page of another site has a browser ask, and what does not say whom it asks.
pub(super) fn check<B>(request: &Request<B>, hosts: &Hosts) -> Result<(), Problem> {
    let said = Said::by(request.headers());
    let host = host(request, &said)?;
    if let (Some(host), Hosts::Local(names)) = (host, hosts)
        && !is_local(without_port(host), names)
    {
        return Err(Problem::new(
            Kind::Host,
            format!(
                "expected a host of this machine such as localhost, or {}, since this node listens \
                 on loopback only; found {:?}; where that is the name of a proxy before this node, \
                 start it with --allow-host NAME",
                listed(&names.iter().map(String::as_str).collect::<Vec<_>>()),
                shortened(host),
            ),
        ));
    }
    if request.method().is_safe() {
        return Ok(());
    }
    match (said.site.map(text), said.origin.map(text)) {
        (Some("same-origin" | "none"), _) | (None, None) => Ok(()),
        (Some(site), _) => Err(cross_site(format!("Sec-Fetch-Site: {site}"))),
        (None, Some(origin)) => {
            let origin_host = origin.split_once("://").map(|(_, host)| host);
            match (origin_host, host) {
                (Some(ours), Some(host)) if ours.eq_ignore_ascii_case(host) => Ok(()),
                _ => Err(cross_site(format!("Origin: {origin}"))),
            }
        }
    }
}

/// Whom a request asks, with the port if it says one. `None` only before HTTP/1.1, which needs no
/// `Host`; a later request without one, or with more than one, is none (RFC 9112, section 3.2): what
/// stands before this node may have heeded another one than is heeded here.
fn host<'a, B>(request: &'a Request<B>, said: &Said<'a>) -> Result<Option<&'a str>, Problem> {
    let wrong = |found: &str| {
        let reason =
            format!("expected one Host header such as Host: localhost:8088, found {found}");
        Err(Problem::new(Kind::HostHeader, reason))
    };
    let given = match said.host {
        None if request.version() < Version::HTTP_11 => None,
        None => return wrong("none"),
        Some(_) if said.has_hosts => return wrong("more than one"),
        Some(host) => match host.to_str().ok().filter(|host| is_host(host)) {
            Some(host) => Some(host),
            None => {
                return wrong(&format!(
                    "{:?}",
                    shortened(&String::from_utf8_lossy(host.as_bytes()))
                ));
            }
        },
    };
    // A target that names its host is for that one (RFC 9112, section 3.2.2).
    match request.uri().authority() {
        Some(target) if is_host(target.as_str()) => Ok(Some(target.as_str())),
        Some(target) => wrong(&format!("the target {:?}", shortened(target.as_str()))),
        None => Ok(given),
    }
}

/// Whether this is a host, with or without a port (RFC 3986, section 3.2.2): nothing at all, a name,
/// or an address. Of what may stand in a name, only what names are made of: a comma, say, is what a
/// proxy puts between two headers that it has made into one.
fn is_host(host: &str) -> bool {
    let port = match host.strip_prefix('[').map(|host| host.split_once(']')) {
        Some(Some((ip, rest))) => {
            // Some clients leave in it by which of their interfaces they asked (RFC 6874).
            let ip = ip.split('%').next().unwrap_or_default();
            if ip.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            rest.as_bytes()
        }
        Some(None) => return false,
        None => {
            let host = host.as_bytes();
            let end = host.iter().position(|byte| !OF_NAMES[usize::from(*byte)]);
            &host[end.unwrap_or(host.len())..]
        }
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Which bytes names of hosts are made of. As a table, since every call is looked at.
const OF_NAMES: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < table.len() {
        table[byte] = matches!(byte as u8, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'%');
        byte += 1;
    }
    table
};

fn cross_site(found: String) -> Problem {
    let found: String = found.chars().take(100).collect();
    Problem::new(
        Kind::CrossSite,
        format!(
            "expected a call that changes something to come from this node's own page, or from no \
             page; found {found}"
        ),
    )
}

/// What is looked at of a request's headers, each as it stands there first. One walk over the few that
/// a call has costs less than a search for each.
#[derive(Default)]
struct Said<'a> {
    host: Option<&'a HeaderValue>,
    /// Whether there is more than one.
    has_hosts: bool,
    site: Option<&'a HeaderValue>,
    origin: Option<&'a HeaderValue>,
}

impl<'a> Said<'a> {
    fn by(headers: &'a HeaderMap) -> Self {
        let mut said = Said::default();
        for (name, value) in headers {
            if *name == header::HOST {
                said.has_hosts = said.host.is_some();
                said.host = said.host.or(Some(value));
            } else if *name == header::ORIGIN {
                said.origin = said.origin.or(Some(value));
            } else if *name == SEC_FETCH_SITE {
                said.site = said.site.or(Some(value));
            }
        }
        said
    }
}

/// A header's value; one that is not text is none that we allow.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?.?")
}

/// Whether only this machine's owner can have a page under this name. An address is what the
/// browser was told to call, so no rebinding has led here; nor can a name without a dot be had in
/// the public DNS.
fn is_local(host: &str, names: &[String]) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || host.to_ascii_lowercase().ends_with(".localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has more colons, and brackets if there is a port.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    fn checked(method: Method, headers: &[(&'static str, &str)], hosts: &Hosts) -> bool {
        // Which needs no Host.
        let mut request = Request::builder().method(method).version(Version::HTTP_10);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), hosts).is_ok()
    }

    /// Whom a request of HTTP/1.1 asks.
    fn asked(target: &str, hosts: &[&str]) -> Result<String, String> {
        let mut request = Request::builder().uri(target);
        for value in hosts {
            request = request.header("host", *value);
        }
        let request = request.body(()).unwrap();
        let host =
            host(&request, &Said::by(request.headers())).map_err(|problem| problem.reason)?;
        Ok(host.expect("HTTP/1.1 has one").to_owned())
    }

    #[test]
    fn a_request_says_once_whom_it_asks() {
        for host in [
            "",
            "a",
            "a:",
            "A_b-c.d.:8088",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8088",
            "[fe80::1%eth0]:1",
            "1",
        ] {
            assert_eq!(asked("/count", &[host]).as_deref(), Ok(host));
        }
        assert_eq!(asked("http://b:1/count", &["a"]).as_deref(), Ok("b:1"));
        for (target, hosts, found) in [
            ("/count", &[][..], "found none"),
            ("http://b/count", &[], "found none"),
            ("/count", &["a", "a"], "found more than one"),
            ("/count", &["", "a"], "found more than one"),
            ("/count", &["a, b"], "found \"a, b\""),
            ("/count", &["a,b"], "found \"a,b\""),
            ("/count", &["a b"], "found \"a b\""),
            ("/count", &["a/b"], "found \"a/b\""),
            ("/count", &["user@a"], "found \"user@a\""),
            ("/count", &["a:b"], "found \"a:b\""),
            ("/count", &["a:1:2"], "found \"a:1:2\""),
            ("/count", &["::1"], "found \"::1\""),
            ("/count", &["[::1"], "found \"[::1\""),
            ("/count", &["[::g]"], "found \"[::g]\""),
            ("/count", &["[::1]x"], "found \"[::1]x\""),
            ("/count", &["[127.0.0.1]"], "found \"[127.0.0.1]\""),
            ("http://user@b/count", &["a"], "found the target \"user@b\""),
        ] {
            let reason = asked(target, hosts).unwrap_err();
            assert!(reason.starts_with("expected one Host header such as"), "{reason}");
            assert!(reason.ends_with(found), "{target} {hosts:?}: {reason}");
        }
    }

    #[test]
    fn a_change_is_refused_if_a_browser_asks_for_it_on_behalf_of_another_site() {
        let host = ("host", "node:8088");
        for (headers, is_allowed) in [
            (vec![host], true),
            (vec![], true),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "none")], true),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "anything")], false),
            (vec![host, ("sec-fetch-site", "cross-site"), ("origin", "http://node:8088")], false),
            (vec![host, ("origin", "http://node:8088")], true),
            (vec![host, ("origin", "https://NODE:8088")], true),
            (vec![host, ("origin", "http://node:8089")], false),
            (vec![host, ("origin", "http://node")], false),
            (vec![host, ("origin", "http://evil.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![("origin", "http://node:8088")], false),
            (
                vec![
                    ("host", "n:1"),
                    ("origin", "https://q.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
            ),
        ] {
            assert_eq!(checked(Method::POST, &headers, &Hosts::Any), is_allowed, "{headers:?}");
            assert!(checked(Method::GET, &headers, &Hosts::Any), "reading: {headers:?}");
        }
    }

    #[test]
    fn a_node_on_loopback_answers_to_names_of_this_machine_only() {
        let allowed = ["counts.example".to_owned()];
        let listen = |at: &str| Some(at.parse().unwrap());
        let local = Hosts::of(listen("127.0.0.1:8088"), "q.example:8088", &allowed);
        for (host, is_allowed) in [
            ("127.0.0.1:8088", true),
            ("127.9.9.9", true),
            ("[::1]:8088", true),
            ("localhost", true),
            ("LOCALHOST.:8088", true),
            ("a.localhost:1", true),
            ("test", true),
            ("q.example:8088", true),
            ("Q.example", true),
            ("counts.example", true),
            ("Counts.Example.:443", true),
            ("", true),
            ("a.counts.example", false),
            ("counts.example.evil.example", false),
            ("evil.example:8088", false),
            ("evil.example.", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("xlocalhost.com", false),
        ] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(checked(method, &[("host", host)], &local), is_allowed, "{host}");
            }
        }
        let target = Request::builder().uri("http://evil.example/").header("host", "localhost");
        let refused = check(&target.body(()).unwrap(), &local).unwrap_err().reason;
        assert!(refused.contains("or q.example or counts.example, since"), "{refused}");
        assert!(refused.contains("start it with --allow-host NAME"), "{refused}");
        let six = Hosts::of(listen("[::1]:8088"), "[::1]:8088", &[]);
        assert!(checked(Method::GET, &[("host", "[::1]:8088")], &six));
        assert!(!checked(Method::GET, &[("host", "evil.example")], &six));
        let open = Hosts::of(listen("0.0.0.0:8088"), "10.0.0.1:8088", &[]);
        assert!(checked(Method::POST, &[("host", "counts.example")], &open));
    }
}
