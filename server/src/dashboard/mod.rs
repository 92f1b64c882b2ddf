//! The live page: plain HTML, CSS and JavaScript, in the binary as they are in `server/assets`.
//!
//! What is written is what a browser gets: no build step, and nothing is loaded from elsewhere, so
//! the page is there whenever the node is. It asks what every client may ask, and shows nothing
//! that could not be had with curl. Rejected: a framework, for a page of a few hundred lines; a
//! crate that embeds folders, for a handful of files.

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $content_type:literal) => {
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../assets/", $name)),
        }
    };
}

/// The page itself, which the others are loaded by.
static PAGE: Asset = asset!("index.html", "text/html; charset=utf-8");

static FILES: [Asset; 12] = [
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("main.js", "text/javascript; charset=utf-8"),
    asset!("node.js", "text/javascript; charset=utf-8"),
    asset!("series.js", "text/javascript; charset=utf-8"),
    asset!("chart.js", "text/javascript; charset=utf-8"),
    asset!("cluster.js", "text/javascript; charset=utf-8"),
    asset!("counters.js", "text/javascript; charset=utf-8"),
    asset!("question.js", "text/javascript; charset=utf-8"),
    asset!("ranking.js", "text/javascript; charset=utf-8"),
    asset!("text.js", "text/javascript; charset=utf-8"),
    asset!("whole.js", "text/javascript; charset=utf-8"),
];

/// The page.
pub(crate) fn page() -> &'static Asset {
    &PAGE
}

/// A file that the page is made of.
pub(crate) fn file(name: &str) -> Option<&'static Asset> {
    FILES.iter().find(|asset| asset.name == name)
}

impl Asset {
    /// Names these bytes and no others (RFC 9110, section 8.8.3).
    pub(crate) fn etag(&self) -> String {
        format!("\"{:016x}\"", hash(self.bytes))
    }
}

/// FNV-1a, which is the same in every process; only ourselves choose what it is made of.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(asset: &Asset) -> &str {
        std::str::from_utf8(asset.bytes).unwrap()
    }

    /// What stands between quotes behind a word.
    fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn the_page_and_its_scripts_load_files_that_are_there_and_nothing_from_elsewhere() {
        let mut loaded = Vec::new();
        for attribute in ["src=\"", "href=\""] {
            loaded.extend(quoted(text(&PAGE), attribute).filter(|path| path.starts_with("page/")));
        }
        for script in FILES.iter().filter(|asset| asset.name.ends_with(".js")) {
            loaded.extend(quoted(text(script), "from \"./"));
        }
        assert!(loaded.len() >= FILES.len(), "{loaded:?}");
        for path in &loaded {
            assert!(file(path.trim_start_matches("page/")).is_some(), "{path}");
        }
        let is_loaded = |name| loaded.iter().any(|path| path.trim_start_matches("page/") == name);
        for asset in &FILES {
            assert!(is_loaded(asset.name), "{} is loaded by nothing", asset.name);
        }
        for asset in FILES.iter().chain([&PAGE]) {
            let foreign = text(asset).match_indices("://").find(|(at, _)| {
                !text(asset)[..*at].ends_with("http")
                    || !text(asset)[*at..].starts_with("://www.w3.org/2000/svg")
            });
            assert_eq!(foreign, None, "{} names something elsewhere", asset.name);
        }
    }

    #[test]
    fn files_of_different_content_have_different_tags() {
        let mut tags: Vec<_> = FILES.iter().chain([&PAGE]).map(Asset::etag).collect();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), FILES.len() + 1);
    }
}
