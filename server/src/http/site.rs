//! Calls that a browser makes for a page that is not ours.
//!
//! A browser sends whatever any page asks it to, from inside the network of who looks at that page.
//! Two things keep such a page from counting here. A call that may change something must not be
//! said, by the browser itself, to come from another site: `Sec-Fetch-Site` where there is one (no
//! page can set it), else `Origin` against `Host`. And a node that only this machine can reach is
//! asked by a name of this machine or by an address: a page may have the name of its own server
//! resolve to 127.0.0.1 (DNS rebinding), and then is of the same site.
//!
//! Programs send neither header and are not affected. Rejected: tokens in the page, which protect
//! only calls that the page makes; comparing `Origin` also where `Sec-Fetch-Site` says that the
//! site is ours, which refuses the page behind a proxy that rewrites `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, header};

use super::errors::{Kind, Problem};

/// Which hosts a request may be for.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    /// Others reach this node: names that lead to it are theirs to choose.
    Any,
    /// Those of this machine, and the one that the node is advertised as.
    Local {
        /// Without a port.
        advertised: String,
    },
}

impl Hosts {
    pub(super) fn of(listen: Option<SocketAddr>, advertised: &str) -> Self {
        match listen {
            Some(listen) if listen.ip().is_loopback() => {
                Hosts::Local { advertised: without_port(advertised).to_owned() }
            }
            _ => Hosts::Any,
        }
    }
}

/// Refuses what a page of another site has a browser ask.
pub(super) fn check(method: &Method, headers: &HeaderMap, hosts: &Hosts) -> Result<(), Problem> {
    let host = text(headers, header::HOST.as_str());
    if let (Some(host), Hosts::Local { advertised }) = (host, hosts)
        && !is_local(without_port(host), advertised)
    {
        return Err(Problem::new(
            Kind::Host,
            format!(
                "expected a host of this machine such as localhost, or {advertised}, since this \
                 node listens on loopback only; found {host:?}"
            ),
        ));
    }
    if method.is_safe() {
        return Ok(());
    }
    match (text(headers, "sec-fetch-site"), text(headers, header::ORIGIN.as_str())) {
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

/// A header; one that is not text is none that we allow.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?.?"))
}

/// Whether nobody but this machine's owner can have a page under this name. An address is what the
/// browser was told to call, so no rebinding has led here; nor can a name without a dot be had in
/// the public DNS.
fn is_local(host: &str, advertised: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.eq_ignore_ascii_case(advertised)
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
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn checked(method: Method, headers: &[(&'static str, &str)], hosts: &Hosts) -> bool {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        check(&method, &headers.iter().map(header).collect(), hosts).is_ok()
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
        let local = Hosts::of(Some("127.0.0.1:8088".parse().unwrap()), "q.example:8088");
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
        let open = Hosts::of(Some("0.0.0.0:8088".parse().unwrap()), "10.0.0.1:8088");
        assert!(checked(Method::POST, &[("host", "counts.example")], &open));
    }
}
